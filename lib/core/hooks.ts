/**
 * The lifecycle hooks of every group: data that both flavours put into the group itself, since the first instances
 * would miss hooks that are made after it.
 */
import type { NodeRole } from '../../protocol/body';
import { LAUNCH_HOOK, TERMINATE_HOOK } from '../../protocol/hooks';

export interface LifecycleHook {
  readonly name: string;
  readonly transition: 'autoscaling:EC2_INSTANCE_LAUNCHING' | 'autoscaling:EC2_INSTANCE_TERMINATING';
  /** What happens when nobody completes it. */
  readonly defaultResult: 'ABANDON' | 'CONTINUE';
  /** Seconds without a heartbeat until then. */
  readonly heartbeatTimeout: number;
  /** The function whose queue is told. */
  readonly tells: 'node-join' | 'node-leave';
}

/** At launch longer than node-join's own deadline, which ends the wait in an orderly way. */
const LAUNCH_HEARTBEAT = 900;
/** A broken function must stall the roll of the managers, never speed it. The longest that Auto Scaling allows. */
const TERMINATE_HEARTBEAT: Record<NodeRole, number> = { manager: 7200, worker: 900 };

export const lifecycleHooks = (role: NodeRole): LifecycleHook[] => [
  {
    name: LAUNCH_HOOK,
    transition: 'autoscaling:EC2_INSTANCE_LAUNCHING',
    defaultResult: 'ABANDON',
    heartbeatTimeout: LAUNCH_HEARTBEAT,
    tells: 'node-join',
  },
  {
    name: TERMINATE_HOOK,
    transition: 'autoscaling:EC2_INSTANCE_TERMINATING',
    defaultResult: 'CONTINUE',
    heartbeatTimeout: TERMINATE_HEARTBEAT[role],
    tells: 'node-leave',
  },
];
