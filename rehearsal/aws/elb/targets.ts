/**
 * The targets of target groups: registration, health checks, draining, and which of them get new connections.
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
 */
import type { Context } from '../core/context';
import { TERMINATED_VISIBLE_MS, type Ec2 } from '../ec2/ec2';
import type { InstanceView } from '../ec2/instance';
import { AwsError, type Machines } from '../core/types';
import {
  loadBalancerOf,
  type LoadBalancer,
  type Target,
  type TargetGroup,
  type TargetState,
  type TargetView,
} from './model';
import {
  checkedPort,
  CROSS_ZONE,
  deregistrationDelayMs,
  inRange,
  onlyKnown,
  unhealthyDrainingMs,
  validation,
} from './settings';

/** https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html */
const MOST_IN_GROUP = 1000;
const MOST_IN_ZONE = 500;
const MOST_WITH_CROSS_ZONE = 500;
const MOST_IN_LOAD_BALANCER = 3000;

/**
 * Descriptions of reason codes:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html#target-health-reason-codes
 */
interface Health {
  state: TargetState;
  reason: string | undefined;
  description: string | undefined;
}

const health = (state: TargetState, reason?: string, description?: string): Health => ({ state, reason, description });
const REGISTERING = health('initial', 'Elb.RegistrationInProgress', 'Target registration is in progress');
const INITIAL = health('initial', 'Elb.InitialHealthChecking', 'Initial health checks in progress');
const HEALTHY = health('healthy');
const UNHEALTHY_DRAINING = health('unhealthy.draining', 'Target.FailedHealthChecks', 'Health checks failed');
const UNHEALTHY = health('unhealthy', 'Target.FailedHealthChecks', 'Health checks failed');
const DRAINING = health('draining', 'Target.DeregistrationInProgress', 'Target deregistration is in progress');
const NOT_IN_USE = health(
  'unused',
  'Target.NotInUse',
  'Target group is not configured to receive traffic from the load balancer',
);
const ZONE_NOT_ENABLED = health(
  'unused',
  'Target.NotInUse',
  'Target is in an Availability Zone that is not enabled for the load balancer',
);
const TERMINATED = health('unused', 'Target.InvalidState', 'Target is in the terminated state');
const NOT_REGISTERED = health('unused', 'Target.NotRegistered', 'Target is not registered to the target group');

type Description = { Id?: string; Port?: number; AvailabilityZone?: string };

export class Targets {
  constructor(
    private readonly context: Context,
    private readonly ec2: Ec2,
    private readonly machines: Machines,
  ) {}

  /**
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
   * @throws AwsError before anything is registered
   */
  register(group: TargetGroup, descriptions: Description[]): void {
    const instances = this.instancesOf(group, descriptions);
    const added = new Map<string, Target>();
    for (const description of descriptions) {
      const key = keyOf(group, description);
      if (added.has(key) || isRegistered(group.targets.get(key))) continue;
      const { instanceId, availabilityZone } = instances.get(description.Id!)!;
      added.set(key, newTarget(instanceId, description.Port ?? group.port, availabilityZone));
    }
    const after = [...registered(group), ...added.values()];
    if (after.length > MOST_IN_GROUP)
      throw new AwsError(
        'TooManyTargets',
        `The maximum number of targets per target group '${MOST_IN_GROUP}' has been reached on target ` +
          `group '${group.arn}'`,
      );
    const loadBalancer = loadBalancerOf(group);
    if (loadBalancer) this.checkRoom(loadBalancer, new Map([[group, after]]));
    for (const [key, target] of added) {
      // A draining target starts over.
      this.end(group.targets.get(key));
      group.targets.set(key, target);
      this.begin(group, target);
    }
    this.refresh(group);
  }

  /**
   * Ignores targets that are not registered:
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html
   */
  deregister(group: TargetGroup, descriptions: Description[]): void {
    for (const description of descriptions) {
      checkDescription(description);
      const target = group.targets.get(keyOf(group, description));
      if (isRegistered(target)) this.drain(group, target);
    }
    this.refresh(group);
  }

  /** Call this when a listener begins or stops using the group: targets of an unused group are not checked. */
  useChanged(group: TargetGroup): void {
    const used = group.listeners.size > 0;
    for (const target of [...group.targets.values()]) {
      if (used && target.phase === 'idle') this.begin(group, target);
      else if (!used && target.phase === 'draining') this.remove(group, target);
      else if (!used) this.end(target);
    }
    this.refresh(group);
  }

  /** Call this when the group has been deleted. */
  forget(group: TargetGroup): void {
    for (const target of [...group.targets.values()]) this.remove(group, target);
  }

  /**
   * Call this when an instance has terminated. How long a group keeps it is not published; here as long as EC2 does.
   */
  terminated(groups: Iterable<TargetGroup>, instanceId: string): void {
    for (const group of groups) {
      const ofInstance = [...group.targets.values()].filter((target) => target.instanceId === instanceId);
      for (const target of ofInstance) {
        target.terminated = true;
        if (target.phase !== 'draining') this.end(target);
        this.context.after(TERMINATED_VISIBLE_MS, () => {
          if (group.targets.get(idOf(target)) === target) this.remove(group, target);
        });
      }
      if (ofInstance.length > 0) this.refresh(group);
    }
  }

  views(group: TargetGroup): TargetView[] {
    const routed = routedTargets(group);
    return [...group.targets.values()].map((target) => {
      const { state, reason } = healthOf(group, target);
      return { instanceId: target.instanceId, port: target.port, state, reason, routed: routed.has(target) };
    });
  }

  /** https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html */
  describe(group: TargetGroup, descriptions: Description[] | undefined): Record<string, any>[] {
    const wanted: Description[] = descriptions?.length
      ? descriptions
      : [...group.targets.values()].map(({ instanceId, port }) => ({ Id: instanceId, Port: port }));
    return wanted.map((description) => {
      checkDescription(description);
      const target = group.targets.get(keyOf(group, description));
      const { state, reason, description: words } = target ? healthOf(group, target) : NOT_REGISTERED;
      const port = description.Port ?? group.port;
      return {
        Target: { Id: description.Id, Port: port },
        HealthCheckPort: String(checkedPort(group.healthCheck, port)),
        TargetHealth: { State: state, Reason: reason, Description: words },
      };
    });
  }

  /**
   * At most 500 targets with cross-zone load balancing, or 500 per zone without. A target counts once for each of its
   * groups.
   * Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
   * @param changed the future targets of groups that change or are new to the load balancer
   * @throws AwsError in AWS's words, e.g. https://github.com/kubernetes/ingress-nginx/issues/4847 ; those for a zone
   * are not published
   */
  checkRoom(loadBalancer: LoadBalancer, changed: Map<TargetGroup, Target[]>): void {
    const groups = new Set([
      ...[...loadBalancer.listeners.values()].map(({ targetGroup }) => targetGroup),
      ...changed.keys(),
    ]);
    const all = [...groups].flatMap((group) => changed.get(group) ?? registered(group));
    const crossZone =
      loadBalancer.attributes[CROSS_ZONE] === 'true' ||
      [...groups].some((group) => group.attributes[CROSS_ZONE] === 'true');
    const tooMany = (per: string, most: number) =>
      new AwsError(
        'TooManyTargets',
        `The maximum number of targets per ${per} '${most}' has been reached on load balancer '${loadBalancer.arn}'`,
      );
    const most = crossZone ? MOST_WITH_CROSS_ZONE : MOST_IN_LOAD_BALANCER;
    if (all.length > most) throw tooMany('load balancer', most);
    const byZone = new Map<string, number>();
    for (const { zone } of all) byZone.set(zone, (byZone.get(zone) ?? 0) + 1);
    if ([...byZone.values()].some((count) => count > MOST_IN_ZONE)) throw tooMany('Availability Zone', MOST_IN_ZONE);
  }

  /**
   * The words for unknown targets are from the API reference; the others are from
   * https://github.com/hashicorp/terraform-provider-aws/issues/8537 and many more.
   */
  private instancesOf(group: TargetGroup, descriptions: Description[]): Map<string, InstanceView> {
    if (descriptions.length === 0) throw validation('Targets cannot be empty');
    for (const description of descriptions) checkDescription(description);
    const ids = [...new Set(descriptions.map(({ Id }) => Id!))];
    const invalid = (message: string) => new AwsError('InvalidTarget', message);
    if (ids.some((id) => !this.ec2.instanceTags(id)))
      throw invalid(
        'The specified target does not exist, is not in the same VPC as the target group, or has an ' +
          'unsupported instance type.',
      );
    const instances = ids.map((id) => this.ec2.instance(id));
    const named = (some: InstanceView[]) => some.map(({ instanceId }) => `'${instanceId}'`).join(', ');
    const idle = instances.filter(({ state }) => state !== 'running');
    if (idle.length > 0)
      throw invalid(`The following targets are not in a running state and cannot be registered: ${named(idle)}`);
    const elsewhere = instances.filter(({ subnetId }) => this.ec2.networks.subnet(subnetId).vpcId !== group.vpcId);
    if (elsewhere.length > 0)
      throw invalid(`The following targets are not in the target group VPC '${group.vpcId}': ${named(elsewhere)}`);
    return new Map(instances.map((instance) => [instance.instanceId, instance]));
  }

  /** "It can take a few minutes for the registration process to complete and health checks to start." */
  private begin(group: TargetGroup, target: Target): void {
    if (target.terminated || !isEnabled(group, target)) return;
    const life = this.phase(target, 'registering');
    this.context.start(async () => {
      await this.context.delay('registerTarget');
      if (target.life !== life) return;
      const checking = this.phase(target, 'checking');
      this.refresh(group);
      await this.check(group, target, checking);
    });
  }

  /**
   * "The time that it takes for the target to respond does not affect the interval for the next health check request."
   */
  private async check(group: TargetGroup, target: Target, life: object): Promise<void> {
    const { healthCheck: settings } = group;
    target.cancelCheck = this.context.after(settings.intervalSeconds * 1000, () =>
      this.context.start(() => this.check(group, target, life)),
    );
    const ok = (await this.context.within(settings.timeoutSeconds * 1000, this.ask(group, target))) ?? false;
    if (target.life !== life) return;
    target.row = { ok, count: target.row.ok === ok ? target.row.count + 1 : 1 };
    const { healthyThreshold, unhealthyThreshold } = group.healthCheck;
    const verdict = ok ? 'healthy' : 'unhealthy';
    if (target.verdict === verdict || target.row.count < (ok ? healthyThreshold : unhealthyThreshold)) return;
    target.verdict = verdict;
    this.keep(group, target);
    this.refresh(group);
  }

  /** Connections end if the target is still unhealthy after the interval; the state shows it. */
  private keep(group: TargetGroup, target: Target): void {
    const interval = unhealthyDrainingMs(group);
    const keeps = target.verdict === 'unhealthy' && interval > 0 ? {} : undefined;
    target.keeps = keeps;
    if (!keeps) return;
    this.context.after(interval, () => {
      if (target.keeps !== keeps) return;
      target.keeps = undefined;
      this.refresh(group);
    });
  }

  private async ask({ healthCheck: settings }: TargetGroup, { instanceId, port }: Target): Promise<boolean> {
    try {
      return await this.machines.answers(instanceId, {
        protocol: settings.protocol,
        port: checkedPort(settings, port),
        ...(settings.path !== undefined && { path: settings.path }),
      });
    } catch {
      return false;
    }
  }

  /**
   * "It can take a few minutes for the deregistration process to complete and for the load balancer to stop routing
   * requests to the target": so it stays that long, even if the group's delay is shorter.
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-register-targets.html
   */
  private drain(group: TargetGroup, target: Target): void {
    const lingers = routedTargets(group).has(target);
    if (group.listeners.size === 0) return this.remove(group, target);
    const life = this.phase(target, 'draining');
    target.lingers = lingers;
    const end = this.context.clock.now() + deregistrationDelayMs(group);
    this.context.start(async () => {
      await this.context.delay('deregisterTarget');
      if (target.life !== life) return;
      target.lingers = false;
      this.refresh(group);
      await this.context.sleep(end - this.context.clock.now());
      if (target.life === life) this.remove(group, target);
    });
  }

  private end(target: Target | undefined): void {
    if (target) this.phase(target, 'idle');
  }

  private phase(target: Target, phase: Target['phase']): object {
    target.cancelCheck();
    Object.assign(target, {
      phase,
      verdict: undefined,
      keeps: undefined,
      row: { ok: false, count: 0 },
      lingers: false,
      life: {},
    });
    return target.life;
  }

  private remove(group: TargetGroup, target: Target): void {
    this.end(target);
    group.targets.delete(idOf(target));
    if (target.told?.routed) this.emit(group, target, 'not-routed');
    this.emit(group, target, 'deregistered');
    this.refresh(group);
  }

  /** Emits events for what has changed. Call this after each change. */
  private refresh(group: TargetGroup): void {
    const routed = routedTargets(group);
    for (const target of group.targets.values()) {
      const { state, reason } = healthOf(group, target);
      const now = { state, reason, routed: routed.has(target) };
      const before = target.told;
      target.told = now;
      if (before?.state !== state || before?.reason !== reason) this.emit(group, target, state, reason);
      if ((before?.routed ?? false) !== now.routed) this.emit(group, target, now.routed ? 'routed' : 'not-routed');
    }
  }

  private emit(group: TargetGroup, { instanceId, port }: Target, what: string, reason?: string): void {
    this.context.emit('elb', what, instanceId, {
      targetGroup: group.name,
      targetGroupArn: group.arn,
      port,
      ...(reason !== undefined && { reason }),
    });
  }
}

function newTarget(instanceId: string, port: number, zone: string): Target {
  return {
    instanceId,
    port,
    zone,
    phase: 'idle',
    verdict: undefined,
    keeps: undefined,
    row: { ok: false, count: 0 },
    lingers: false,
    terminated: false,
    life: {},
    cancelCheck: () => undefined,
    told: undefined,
  };
}

const idOf = ({ instanceId, port }: Target) => `${instanceId}:${port}`;
const keyOf = (group: TargetGroup, { Id, Port }: Description) => `${Id}:${Port ?? group.port}`;

function checkDescription(description: Description): void {
  onlyKnown('a target', description, ['Id', 'Port', 'AvailabilityZone']);
  if (description.AvailabilityZone !== undefined)
    throw validation(
      "You cannot specify an Availability Zone for a target of a target group with the target type 'instance'",
    );
  if (description.Id === undefined || !/^i-[0-9a-f]+$/.test(description.Id))
    throw validation(`Instance ID '${description.Id}' is not valid`);
  if (description.Port !== undefined) inRange('targets.1.member.port', description.Port, 1, 65_535);
}

function isRegistered(target: Target | undefined): target is Target {
  return target !== undefined && target.phase !== 'draining';
}

/** The targets that are not draining. */
export function registered(group: TargetGroup): Target[] {
  return [...group.targets.values()].filter(isRegistered);
}

function isEnabled(group: TargetGroup, { zone }: Target): boolean {
  return loadBalancerOf(group)?.subnets.some((subnet) => subnet.zone === zone) ?? false;
}

function healthOf(group: TargetGroup, target: Target): Health {
  if (target.phase === 'draining') return DRAINING;
  if (group.listeners.size === 0) return NOT_IN_USE;
  if (!isEnabled(group, target)) return ZONE_NOT_ENABLED;
  if (target.terminated) return TERMINATED;
  if (target.phase !== 'checking') return REGISTERING;
  if (target.verdict === undefined) return INITIAL;
  if (target.verdict === 'healthy') return HEALTHY;
  return target.keeps ? UNHEALTHY_DRAINING : UNHEALTHY;
}

/**
 * The healthy targets. If there are none and one is unhealthy, the load balancer fails open: "allow traffic to all
 * targets in all enabled Availability Zones, regardless of their health status". A draining target still gets
 * connections until all nodes of the load balancer know.
 * Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
 */
function routedTargets(group: TargetGroup): Set<Target> {
  const all = [...group.targets.values()];
  const lingering = all.filter(({ phase, lingers, terminated }) => phase === 'draining' && lingers && !terminated);
  const checked = all.filter(({ phase }) => phase === 'checking');
  const healthy = checked.filter(({ verdict }) => verdict === 'healthy');
  const open = healthy.length === 0 && checked.some(({ verdict }) => verdict === 'unhealthy');
  return new Set([...(open ? checked : healthy), ...lingering]);
}
