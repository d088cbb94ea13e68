/**
 * What must never happen to the targets of load balancers (DESIGN.md, invariant 9), judged by what the emulated AWS and
 * the engines know.
 */
import type { AwsEvent } from '../../aws/core/types';
import type { Call } from '../cluster/aws-link';
import type { SimulatedCluster } from '../cluster/cluster';

/** A registration follows from a node list that may be 90 s old, and from AWS's answers, which may be stale. */
const KNOWN_MS = 150_000;
/** The news that a target is unhealthy may be 30 s old, and the requests that read it are retried when AWS is slow. */
const HEALTHY_MS = 60_000;

export class TargetInvariants {
  /** Whether there is a load balancer, or one is being created. */
  private balanced = false;
  /** When each instance was last a Ready node that was not drained. */
  private readonly servedAt = new Map<string, number>();
  /** Since when each instance waits at its terminate hook. */
  private readonly leavesSince = new Map<string, number>();
  /** The state of each registered target. */
  private readonly states = new Map<string, { group: string; state: string }>();
  /** When targets became unhealthy without being deregistered. */
  private readonly healthyUntil = new Map<string, { group: string; at: number }>();

  constructor(
    private readonly truth: SimulatedCluster,
    private readonly breach: (sentence: string) => void,
  ) {
    truth.region.onEvent((event) => this.onAwsEvent(event));
  }

  /** After every step. */
  check(): void {
    if (!this.balanced) return;
    for (const { state, availability, instanceId } of this.truth.docker.swarms()[0]?.nodes ?? []) {
      if (state === 'ready' && availability !== 'drain' && instanceId !== undefined)
        this.servedAt.set(instanceId, this.truth.clock.now());
    }
  }

  /** After each request that AWS carried out. */
  onCall({ action, input }: Call): void {
    if (action !== 'RegisterTargets') return;
    this.check();
    const longAgo = (at: number | undefined) => at === undefined || this.truth.clock.now() - at > KNOWN_MS;
    for (const { Id: instanceId } of input.Targets as { Id: string }[]) {
      if (longAgo(this.servedAt.get(instanceId)))
        this.breach(`${instanceId} was registered as a target, but its node is not Ready or is drained.`);
      if (this.leavesSince.has(instanceId) && longAgo(this.leavesSince.get(instanceId)))
        this.breach(`${instanceId} was registered as a target long after it began to leave.`);
    }
  }

  private onAwsEvent({ source, what, subject, detail }: AwsEvent): void {
    if (source === 'cloudformation' && detail.type === 'AWS::ElasticLoadBalancingV2::LoadBalancer')
      this.balanced = true;
    if (source === 'autoscaling' && what === 'terminating-wait') this.leavesSince.set(subject, this.truth.clock.now());
    if (source !== 'elb') return;
    const group = String(detail.targetGroupArn);
    const target = `${group} ${subject}:${String(detail.port)}`;
    if (what === 'routed' || what === 'not-routed') return;
    if (what === 'draining') this.afterDeregistered(target, group, subject);
    const isGone = what === 'draining' || what === 'deregistered';
    if (!isGone && what !== 'healthy' && this.states.get(target)?.state === 'healthy')
      this.healthyUntil.set(target, { group, at: this.truth.clock.now() });
    if (isGone) this.states.delete(target);
    else this.states.set(target, { group, state: what });
  }

  private afterDeregistered(target: string, group: string, instanceId: string): void {
    if (this.states.get(target)?.state !== 'healthy') return;
    const others = [...this.states].some(
      ([other, { group: of, state }]) => other !== target && of === group && state === 'healthy',
    );
    // Another one has just died, which the function could not know.
    const lately = [...this.healthyUntil.values()].some(
      ({ group: of, at }) => of === group && this.truth.clock.now() - at < HEALTHY_MS,
    );
    if (!others && !lately) this.breach(`${instanceId}, the last healthy target of ${group}, was deregistered.`);
  }
}
