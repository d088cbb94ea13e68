/** Counts what happened in many simulations, and lists what never happened. */
import type { Act } from './faults';
import { kindsOf, type SimulationResult } from './simulation';

/** Everything that functions and agents can do. An action that never happened was never tested. */
const ACTIONS = [
  'agent: configureEngine',
  'agent: mountVolume',
  'agent: startEngine',
  'agent: stopEngine',
  'agent: killEngine',
  'agent: initSwarm',
  'agent: joinSwarm',
  'agent: leaveSwarm',
  'agent: recoverSwarm',
  'agent: updateNode',
  'agent: removeNode',
  'agent: rotateTokens',
  'agent: labelSwarm',
  'function: attach-volume',
  'function: admit',
  'function: abandon',
  'function: extend-hook',
  'function: told to init',
  'function: told to join',
  'function: told to remove',
  'function: told to retire',
  'function: told to leave',
  'function: told to recover',
  'function: command erased',
  'function: published',
  'function: refused',
  'function: let-go',
  'function: ordered to release',
  'function: ordered to reap',
  'function: ordered to drain',
  'function: ordered to rotate',
  'function: ordered to restore',
  'function: suspend-launch',
  'function: resume-launch',
  'function: replace',
  'function: terminate',
  'GetItem',
  'Query',
  'BatchGetItem',
  'PutItem',
  'UpdateItem',
  'TransactWriteItems',
  'SendMessage',
  'DescribeAutoScalingGroups',
  'DescribeInstances',
  'DescribeVolumes',
  'AttachVolume',
  'CompleteLifecycleAction',
  'RecordLifecycleActionHeartbeat',
  'SuspendProcesses',
  'ResumeProcesses',
  'DescribeNetworkInterfaces',
  'SetInstanceHealth',
  'TerminateInstanceInAutoScalingGroup',
  'DescribeSpotInstanceRequests',
  'SignalResource',
  'PutEvents',
  'DescribeStacks',
];

/** Further actions with a load balancer. */
const BALANCED = [
  'RegisterTargets',
  'DeregisterTargets',
  'DescribeTargetHealth',
  'DescribeListeners',
  'CreateTargetGroup',
  'ModifyTargetGroupAttributes',
  'AddTags',
  'CreateListener',
  'ModifyListener',
  'DeleteListener',
  'DeleteTargetGroup',
  'AuthorizeSecurityGroupIngress',
  'RevokeSecurityGroupIngress',
];

/** Actions that are rare in one act; the other act must contain them. */
const OUT_OF_PLACE: Record<Act, string[]> = {
  forming: [
    'function: told to retire',
    'function: ordered to release',
    'function: ordered to reap',
    'agent: killEngine',
    'function: replace',
    'SetInstanceHealth',
    'function: terminate',
    'TerminateInstanceInAutoScalingGroup',
    'DescribeSpotInstanceRequests',
  ],
  healing: [
    'agent: stopEngine',
    'agent: leaveSwarm',
    'agent: recoverSwarm',
    'function: told to remove',
    'function: told to leave',
    'function: told to recover',
  ],
};

export class Tally {
  private seeds = 0;
  private breaches = 0;
  private unfinished = 0;
  private formed = 0;
  private virtualMs = 0;
  private slowestMs = 0;
  private readonly faults = new Map<string, number>();
  private readonly actions = new Map<string, number>();

  add({ breaches, unfinished, formed, virtualMs, convergedMs, faults, actions }: SimulationResult): void {
    this.seeds += 1;
    this.breaches += breaches.length > 0 ? 1 : 0;
    this.unfinished += unfinished.length > 0 ? 1 : 0;
    this.formed += formed ? 1 : 0;
    this.virtualMs += virtualMs;
    this.slowestMs = Math.max(this.slowestMs, convergedMs);
    for (const [kind, count] of Object.entries(faults)) this.faults.set(kind, (this.faults.get(kind) ?? 0) + count);
    for (const [action, count] of Object.entries(actions))
      this.actions.set(action, (this.actions.get(action) ?? 0) + count);
  }

  private readonly actionsOf: string[];

  constructor(
    private readonly act: Act,
    balanced: boolean,
  ) {
    this.actionsOf = [...ACTIONS, ...(balanced ? BALANCED : [])];
  }

  missing(): string[] {
    return [
      ...kindsOf(this.act).filter((kind) => !this.faults.get(kind)),
      ...this.actionsOf.filter((action) => !this.actions.get(action) && !OUT_OF_PLACE[this.act].includes(action)),
    ];
  }

  render(seconds: number, processes: number): string[] {
    const counts = (names: readonly string[], of: Map<string, number>) =>
      names.map((name) => `${name} ${of.get(name) ?? 0}`).join(', ');
    return [
      `${this.seeds} seeds in ${seconds.toFixed(0)} s on ${processes} processes, ` +
        `${Math.round(this.virtualMs / 1000 / seconds)} simulated seconds per second.`,
      `${this.breaches} broke an invariant; ${this.unfinished} did not converge within 15 virtual minutes of the last ` +
        'fault (with a load balancer: plus the time in which it registers and deregisters targets); the slowest ' +
        `took ${Math.round(this.slowestMs / 1000)} s. ${this.formed} formed; CloudFormation rolled back ` +
        `${this.seeds - this.formed}.`,
      `Faults: ${counts(kindsOf(this.act), this.faults)}`,
      `Actions: ${counts(this.actionsOf, this.actions)}`,
    ];
  }
}
