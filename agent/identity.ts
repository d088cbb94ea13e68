/**
 * The node's identity, and notices of its end, from the instance metadata service (IMDSv2).
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
 */
import { MetadataService } from '@aws-sdk/ec2-metadata-service';
import type { Notice } from '../protocol/report';

export interface Identity {
  instanceId: string;
  /** Private IPv4 address. */
  address: string;
  zone: string;
  instanceType: string;
  /** `on-demand` or `spot`. */
  lifecycle: string;
}

export async function readIdentity(): Promise<Identity> {
  const metadata = new MetadataService();
  const token = await metadata.fetchMetadataToken();
  // Without a leading slash: the client adds one.
  const read = (path: string) =>
    metadata.request(`latest/meta-data/${path}`, { headers: { 'x-aws-ec2-metadata-token': token } });
  const [instanceId, address, zone, instanceType, lifecycle] = await Promise.all([
    read('instance-id'),
    read('local-ipv4'),
    read('placement/availability-zone'),
    read('instance-type'),
    read('instance-life-cycle'),
  ]);
  return { instanceId, address, zone, instanceType, lifecycle };
}

const METADATA_TIMEOUT_MS = 2_000;

/** The notices that the instance receives of its own end. */
export interface Metadata {
  /** Undefined while the instance is to stay. */
  notice(): Promise<Notice | undefined>;
}

/** @param options options of the client; the default asks this instance's own service */
export function instanceMetadata(options?: { endpoint: string }): Metadata {
  // The agent does nothing else while it waits, so the timeout is short.
  const metadata = new MetadataService({ httpOptions: { timeout: METADATA_TIMEOUT_MS }, ...options });
  /** Undefined if the path does not exist. */
  const read = async (path: string, token: string): Promise<string | undefined> => {
    try {
      return await metadata.request(`latest/meta-data/${path}`, { headers: { 'x-aws-ec2-metadata-token': token } });
    } catch (error) {
      if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404) return undefined;
      throw error;
    }
  };
  return {
    async notice() {
      const token = await metadata.fetchMetadataToken();
      // https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
      if ((await read('autoscaling/target-lifecycle-state', token)) === 'Terminated') return 'termination';
      // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
      return (await read('spot/instance-action', token)) === undefined ? undefined : 'interruption';
    },
  };
}
