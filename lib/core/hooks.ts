/**
 * The lifecycle hooks of every group: data that both flavours put into the group itself, because its first instances
 * would miss a hook that is created after the group.
 */
import type { NodeRole } from '../../protocol/body';
import { LAUNCH_HOOK, TERMINATE_HOOK } from '../../protocol/hooks';

export interface LifecycleHook {
  readonly name: string;
  readonly transition: 'autoscaling:EC2_INSTANCE_LAUNCHING' | 'autoscaling:EC2_INSTANCE_TERMINATING';
  /** The result when nobody completes the hook. */
  readonly defaultResult: 'ABANDON' | 'CONTINUE';
  /** Seconds without a heartbeat after which the default result applies. */
  readonly heartbeatTimeout: number;
  /** The function whose queue receives the notification. */
  readonly notifies: 'node-join' | 'node-leave';
}

/** Seconds. Longer than node-join's own deadline, which ends the wait in an orderly way. */
const LAUNCH_HEARTBEAT = 900;
/**
 * Seconds. A broken function must stall the roll of the managers, never speed it up: 7200 is Auto Scaling's maximum.
 */
const TERMINATE_HEARTBEAT: Record<NodeRole, number> = { manager: 7200, worker: 900 };

export const lifecycleHooks = (role: NodeRole): LifecycleHook[] => [
  {
    name: LAUNCH_HOOK,
    transition: 'autoscaling:EC2_INSTANCE_LAUNCHING',
    defaultResult: 'ABANDON',
    heartbeatTimeout: LAUNCH_HEARTBEAT,
    notifies: 'node-join',
  },
  {
    name: TERMINATE_HOOK,
    transition: 'autoscaling:EC2_INSTANCE_TERMINATING',
    defaultResult: 'CONTINUE',
    heartbeatTimeout: TERMINATE_HEARTBEAT[role],
    notifies: 'node-leave',
  },
];
