/**
 * How CloudFormation replaces the instances of a changed group: in batches of the size that the policy allows, waiting
 * for each. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
 */
import type { UpdateRequest } from '../core/resource';
import type { AutoScaling } from './autoscaling';
import type { GroupView } from './model';

/** Changing one of these replaces the instances. */
export const ROLLED = ['LaunchTemplate', 'MixedInstancesPolicy', 'VPCZoneIdentifier'];

const KNOWN = ['MaxBatchSize', 'MinInstancesInService', 'PauseTime', 'SuspendProcesses', 'WaitOnResourceSignals'];

/**
 * First raises the capacity if the policy needs more instances in service. Then terminates old instances batch by
 * batch, and the group launches new ones. At the end the capacity is as before.
 * @throws Error when a batch did not come up in time; replaced instances stay
 */
export async function roll(
  autoscaling: AutoScaling,
  { id: name, updatePolicy = {}, awaitSignals }: UpdateRequest,
): Promise<void> {
  const policy = updatePolicy.AutoScalingRollingUpdate;
  if (!policy) return;
  const unknown = [
    ...Object.keys(updatePolicy).filter((key) => key !== 'AutoScalingRollingUpdate'),
    ...Object.keys(policy).filter((key) => !KNOWN.includes(key)),
  ];
  if (unknown.length > 0)
    throw new Error(
      `The emulation does not know ${unknown.join(', ')} of an update policy. It knows ` +
        `AutoScalingRollingUpdate with ${KNOWN.join(', ')}.`,
    );
  if (String(policy.WaitOnResourceSignals) !== 'true')
    throw new Error('The emulation only knows rolling updates that wait for signals.');
  const { MaxBatchSize = 1, MinInstancesInService = 0, PauseTime = 'PT5M', SuspendProcesses = [] } = policy;
  const view = () => autoscaling.groupViews().find((group) => group.name === name)!;
  const call = (action: string, input: Record<string, unknown>) =>
    autoscaling.call(action, { AutoScalingGroupName: name, ...input });
  const old = new Set(active(view()).map(({ instanceId }) => instanceId));
  const remaining = () => active(view()).filter(({ instanceId }) => old.has(instanceId));
  const { desired, max } = view();
  if (Number(MinInstancesInService) >= max && old.size > 0)
    throw new Error(`MinInstancesInService must be less than the autoscaling group's MaxSize`);
  const batch = Math.min(Number(MaxBatchSize), old.size);
  const capacity = Math.min(max, Math.max(desired, Number(MinInstancesInService) + batch));
  if (SuspendProcesses.length > 0) await call('SuspendProcesses', { ScalingProcesses: SuspendProcesses });
  try {
    if (capacity > desired && batch > 0) {
      const signals = awaitSignals(capacity - desired, PauseTime);
      await Promise.all([signals, call('SetDesiredCapacity', { DesiredCapacity: capacity })]);
    }
    let surplus = capacity - desired;
    while (remaining().length > 0) {
      const some = remaining().slice(0, batch);
      const replaced = Math.max(0, some.length - Math.max(0, surplus - (remaining().length - some.length)));
      const signals = awaitSignals(replaced, PauseTime);
      signals.catch(() => undefined);
      for (const [n, { instanceId }] of some.entries()) {
        const last = n >= replaced;
        if (last) surplus -= 1;
        await call('TerminateInstanceInAutoScalingGroup', {
          InstanceId: instanceId,
          ShouldDecrementDesiredCapacity: last,
        });
      }
      await signals;
    }
    if (surplus > 0) await call('SetDesiredCapacity', { DesiredCapacity: desired });
  } finally {
    if (SuspendProcesses.length > 0) await call('ResumeProcesses', { ScalingProcesses: SuspendProcesses });
  }
}

/** Instances that are not terminating. */
const active = ({ instances }: GroupView) => instances.filter(({ state }) => !state.startsWith('Terminating'));
