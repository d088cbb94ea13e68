/** An instance, and the queue of work on its machine. */
import type { Tags } from '../core/describe';
import { AwsError } from '../core/types';

export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated';

/** An instance, as other code sees it. */
export interface InstanceView {
  instanceId: string;
  state: InstanceState;
  privateIpAddress: string;
  availabilityZone: string;
  instanceType: string;
  architecture: 'x86_64' | 'arm64';
  imageId: string;
  lifecycle: 'on-demand' | 'spot';
  subnetId: string;
  launchedAt: number;
  networkInterfaceId: string;
  /** The role name of its instance profile. */
  roleName: string | undefined;
  tags: Tags;
  stateReason: string | undefined;
  /** When it got an interruption notice, in milliseconds since 1970. */
  noticedAt: number | undefined;
}

export interface Instance extends InstanceView {
  profileArn: string | undefined;
  userData: string;
  /** The machine's work queue. */
  work: Promise<void>;
}

const STATE_CODES: Record<InstanceState, number> = { pending: 0, running: 16, 'shutting-down': 32, terminated: 48 };

/** Runs work on a machine, one piece at a time. */
export function enqueue(instance: Instance, work: () => Promise<void>): Promise<void> {
  const next = instance.work.then(work);
  instance.work = next.catch(() => undefined);
  return next;
}

/**
 * Graviton families carry a `g` after their generation (and `a1` was the first). Mac and u- types are not emulated.
 * Source: https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
 */
export function architectureOf(instanceType: string): 'x86_64' | 'arm64' {
  const [, family, attributes] = /^([a-z]+)\d+([a-z-]*)\.[a-z0-9-]+$/.exec(instanceType) ?? [];
  if (family === undefined)
    throw new AwsError(
      'InvalidParameterValue',
      `The following supplied instance types do not exist: [${instanceType}]`,
    );
  return family === 'a' || attributes!.includes('g') ? 'arm64' : 'x86_64';
}

export function stateOf(instance: InstanceView): { Code: number; Name: InstanceState } {
  return { Code: STATE_CODES[instance.state], Name: instance.state };
}
