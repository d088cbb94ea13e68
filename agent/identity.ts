/** Who this node is, from the instance metadata service (IMDSv2). https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html */
import { MetadataService } from '@aws-sdk/ec2-metadata-service';

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
  // Without a leading slash: the client puts one in front.
  const read = (path: string) => metadata.request(`latest/meta-data/${path}`, { headers: { 'x-aws-ec2-metadata-token': token } });
  const [instanceId, address, zone, instanceType, lifecycle] = await Promise.all([
    read('instance-id'),
    read('local-ipv4'),
    read('placement/availability-zone'),
    read('instance-type'),
    read('instance-life-cycle'),
  ]);
  return { instanceId, address, zone, instanceType, lifecycle };
}
