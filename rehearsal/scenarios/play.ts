/** What scenarios (scenarios.ts) share: how they disturb a cluster on real engines, and how they observe it. */
import type { Clock } from '../../protocol/clock';
import { HEALTH_PORT } from '../../protocol/environment';
import { SEAT_TAG } from '../../protocol/tags';
import type { EmulatedRegion } from '../aws/region';
import { UNITS } from './formation-kills';
import type { Moment, SwarmListEntry } from '../display/results';
import { RealProxy } from '../nodes/proxy';
import type { RealMachines } from '../nodes/real-machines';
import type { Template } from '../assembly/synth';
import type { Milestone, NodeTimeline } from '../display/timeline';
import { Traffic, type Load } from './traffic';

/** A formed cluster, as scenarios use it. */
export interface Stage {
  clock: Clock;
  region: EmulatedRegion;
  machines: RealMachines;
  /** The running instances of a role, in launch order. */
  instances(role: 'manager' | 'worker'): string[];
  /** The milestones that an instance has reached, in milliseconds from its launch. */
  milestones(instanceId: string): NodeTimeline['milestones'];
  /** The swarm's own node list, once its nodes are exactly the running instances and all are Ready. */
  converged(): Promise<SwarmListEntry[]>;
  /** For files of the run; removed with it. */
  folder: string;
  /** Called when something that the scenario waits for has happened. */
  onMoment(moment: Moment): void;
  /** Updates the stack with a changed template. @throws Error when the update was rolled back */
  deploy(change: (template: Template) => Template): Promise<void>;
  /** Deploys the app with the scenario's `next`. */
  deployNext(): Promise<void>;
}

const POLL_MS = 50;
const ANSWER_MS = 1_000;
/** By then a client would have given up. */
const REQUEST_MS = 10_000;
/** Requests per second. A busy machine sends a few less than it should. */
const LEAST_A_SECOND = 200;
const MOST_SHOWN = 20;
export const REPLICAS = 4;
/** The service's tasks ignore SIGTERM (`sleep` is process 1), so they use all of it. */
const STOP_GRACE = '10s';
const IMAGE = 'rehearsal-sleep';
/** Longer than a load balancer takes to notice that another port is served. */
const LONG_GRACE = '40s';
/** How much later than the load balancer the proxy in its place changes. */
const RELOAD_MS = 10_000;
/** An image of one program and its libraries, because no registry is reachable here. */
const IMPORT = `tar -C / -ch bin/sleep $(ldd /bin/sleep | grep -o '/[^ )]*') | docker import - ${IMAGE}`;
/**
 * An image of a web server, which is HAProxy too: it accepts every connection of a burst that comes when one worker
 * answers all requests. (busybox's httpd lets nine wait, and then drops first packets.)
 */
const WEB_IMAGE = 'rehearsal-web';
const WEB_CONFIG = [
  'global',
  '  nbthread 1',
  'defaults',
  '  mode http',
  '  maxconn 1000',
  '  timeout client 10s',
  'listen web',
  '  bind :8080',
  '  http-request return status 200 content-type text/plain string ok',
  '',
].join('\n');
const WEB_IMPORT = [
  'set -e',
  'folder=$(mktemp -d)',
  `trap 'rm -r "$folder"' EXIT`,
  'haproxy=$(command -v haproxy)',
  `printf '%s' '${WEB_CONFIG}' >"$folder/haproxy.cfg"`,
  'cp -L "$haproxy" "$folder/haproxy"',
  `tar -C / -ch $(ldd "$haproxy" | grep -o '/[^ )]*') -C "$folder" haproxy haproxy.cfg | docker import - ${WEB_IMAGE}`,
].join('\n');
/**
 * One task per worker, with ports in host mode: this machine's kernel may not support the routing mesh. Old tasks run
 * on until their grace period ends: HAProxy, which is process 1, ignores SIGWINCH.
 */
const webService = (published: number, grace: string) => [
  'docker',
  'service',
  'create',
  '--detach',
  '--no-resolve-image',
  '--name',
  'web',
  '--mode',
  'global',
  '--constraint',
  'node.role==worker',
  '--publish',
  `mode=host,target=8080,published=${published}`,
  '--stop-grace-period',
  grace,
  '--stop-signal',
  'SIGWINCH',
  WEB_IMAGE,
  '/haproxy',
  '-db',
  '-f',
  '/haproxy.cfg',
];
const CREATE = [
  'docker',
  'service',
  'create',
  '--detach',
  '--no-resolve-image',
  '--name',
  'work',
  '--replicas',
  String(REPLICAS),
  '--constraint',
  'node.role==worker',
  '--stop-grace-period',
  STOP_GRACE,
  IMAGE,
  '/bin/sleep',
  '100000',
];

/** Scenarios run their Docker commands on a manager. */
export class Play {
  readonly moments: Moment[] = [];
  private begun = 0;
  private readonly supplied = new Set<string>();
  private importScript = IMPORT;
  /** Results other than times. */
  readonly remarks: string[] = [];

  constructor(readonly stage: Stage) {}

  begin(): void {
    this.begun = this.stage.clock.now();
  }

  /** Waits for a condition and records when it became true. */
  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) {
      // A worker that was launched meanwhile may get tasks. Not needed when the scenario started no service.
      if (this.supplied.size > 0) await this.loadImage();
      await this.stage.clock.sleep(POLL_MS);
    }
    const moment = { what, ms: this.elapsed() };
    this.moments.push(moment);
    this.stage.onMoment(moment);
  }

  /** Starts a task with a web server on every worker, and constant requests to it through the load balancer. */
  async beginRequests(load?: Load): Promise<Served> {
    const { stage } = this;
    this.importScript = WEB_IMPORT;
    await this.loadImage();
    await this.docker(webService(8080, STOP_GRACE));
    const workers = stage.instances('worker');
    while (!workers.every((instanceId) => this.isRouted(instanceId))) await stage.clock.sleep(POLL_MS);
    const proxy = new RealProxy(stage.region, stage.clock, stage.folder);
    const [{ port }] = stage.region.loadBalancers()[0]!.listeners as [{ port: number }, ...unknown[]];
    while (!(await answers(proxy.url(port)))) await stage.clock.sleep(POLL_MS);
    return { proxy, traffic: new Traffic(proxy.url(port), load), supplies: this.keepSupplying() };
  }

  /** As an operator would, on a manager. */
  private async docker(command: string[]): Promise<void> {
    await this.stage.machines.exec(this.stage.instances('manager')[0]!, command);
  }

  /**
   * A service publishes a port, then another one, then it is removed. From the first answer on, it is requested all the
   * time, at either port. The load balancer has only the listeners that it follows.
   */
  async publishAndChange(): Promise<void> {
    const { stage } = this;
    this.importScript = WEB_IMPORT;
    await this.loadImage();
    const proxy = new RealProxy(stage.region, stage.clock, stage.folder);
    const isFollowed = (port: number) =>
      stage.region.loadBalancers().some(({ listeners }) => listeners.some((listener) => listener.port === port));
    const reached = (port: number) => (isFollowed(port) ? answers(proxy.url(port)) : Promise.resolve(false));
    const [first, second] = [8081, 8082];
    this.begin();
    await this.docker(webService(first, LONG_GRACE));
    await this.until(`the load balancer serves port ${first}`, () => reached(first));
    await this.until('all workers are healthy', async () =>
      stage.region
        .loadBalancers()[0]!
        .listeners.every(({ targets }) => targets.every(({ state }) => state === 'healthy')),
    );
    const asking = this.askAllTheTime(async () => (await reached(second)) || (await reached(first)));
    this.begin();
    await this.docker([
      'docker',
      'service',
      'update',
      '--detach',
      '--no-resolve-image',
      '--update-order',
      'start-first',
      '--publish-rm',
      `mode=host,target=8080,published=${first}`,
      '--publish-add',
      `mode=host,target=8080,published=${second}`,
      'web',
    ]);
    await this.until(`it serves port ${second}`, () => reached(second));
    await this.until(`port ${first} has no listener`, async () => !isFollowed(first));
    const { asked, unanswered } = await asking.end();
    this.remarks.push(`${asked} requests to either port during the change, ${unanswered} not answered.`);
    if (unanswered > 0) throw new Error(this.remarks.join(' '));
    this.begin();
    await this.docker(['docker', 'service', 'rm', 'web']);
    await this.until('the service has no listener', async () => !isFollowed(second));
    await this.converged();
    await proxy.end();
  }

  /** Sends one request after another until ended. */
  private askAllTheTime(ask: () => Promise<boolean>): { end(): Promise<{ asked: number; unanswered: number }> } {
    let over = false;
    const counts = { asked: 0, unanswered: 0 };
    const work = (async () => {
      for (; !over; await this.stage.clock.sleep(POLL_MS)) {
        counts.asked++;
        if (!(await ask())) counts.unanswered++;
      }
    })();
    work.catch(() => undefined);
    return {
      end: async () => {
        over = true;
        await work;
        return counts;
      },
    };
  }

  /** Keeps loading the image: a launched worker is let into service only when its task answers. */
  private keepSupplying(): { end(): Promise<void> } {
    let over = false;
    const work = (async () => {
      for (; !over; await this.stage.clock.sleep(POLL_MS)) await this.loadImage();
    })();
    // end() reports errors.
    work.catch(() => undefined);
    return {
      end: () => {
        over = true;
        return work;
      },
    };
  }

  /**
   * @param untilMs requests before this may fail, in milliseconds from the start
   * @throws Error when any other request was not answered
   */
  async endRequests({ proxy, traffic, supplies }: Served, untilMs?: number): Promise<void> {
    await supplies.end();
    const { sent, answered, failed, seconds } = await traffic.end();
    await proxy.end();
    this.remarks.push(`${sent} requests in ${seconds.toFixed(0)} s, ${answered} answered, ${failed} failed.`);
    const wrong = proxy.failures.filter(({ at }) => untilMs === undefined || at - this.begun > untilMs + RELOAD_MS);
    const seen = wrong
      .slice(0, MOST_SHOWN)
      .map(({ at, how }) => `${how} after ${((at - this.begun) / 1_000).toFixed(1)} s`);
    const last = Math.max(0, ...proxy.failures.map(({ at }) => at - this.begun));
    if (failed > 0 && untilMs !== undefined)
      this.remarks.push(
        `The last failed connection was accepted ${(last / 1_000).toFixed(1)} s after the worker died; the load ` +
          `balancer had noticed after ${(untilMs / 1_000).toFixed(1)} s.`,
      );
    if (untilMs === undefined ? failed > 0 : wrong.length > 0)
      throw new Error(`Requests failed: ${this.remarks.join(' ')} ${seen.join(', ')}`);
    if (sent < LEAST_A_SECOND * seconds) throw new Error(`Only ${sent} requests were sent in ${seconds} s.`);
  }

  /** Whether the load balancer sends new connections to the instance. */
  isRouted(instanceId: string): boolean {
    return this.stage.region
      .loadBalancers()
      .some(({ listeners }) =>
        listeners.some(({ targets }) => targets.some((target) => target.instanceId === instanceId && target.routed)),
      );
  }

  async startService(): Promise<void> {
    await this.loadImage();
    await this.stage.machines.exec(this.stage.instances('manager')[0]!, CREATE);
    while ((await this.tasks()).filter(isRunning).length < REPLICAS) await this.stage.clock.sleep(POLL_MS);
  }

  /** Loads the image into every engine that answers, in place of a registry. */
  private async loadImage(): Promise<void> {
    for (const instanceId of this.stage.instances('worker')) {
      if (this.supplied.has(instanceId) || this.stage.milestones(instanceId).engine === undefined) continue;
      this.supplied.add(instanceId);
      await this.stage.machines.exec(instanceId, ['sh', '-c', this.importScript]);
    }
  }

  tasks(): Promise<Task[]> {
    return this.ask('/tasks');
  }

  nodes(): Promise<Node[]> {
    return this.ask('/nodes');
  }

  /**
   * Asks the managers and takes the first answer; until one answers, the result is empty. A manager without a leader
   * holds a request for many seconds, and does not answer it even when a new leader is elected.
   */
  private async ask<T>(path: string): Promise<T[]> {
    for (;;) {
      const { machines } = this.stage;
      const answer = await Promise.any(
        this.stage.instances('manager').map((instanceId) => machines.engine(instanceId, path, ANSWER_MS)),
      ).catch(() => undefined);
      if (Array.isArray(answer)) return answer as T[];
      await this.stage.clock.sleep(POLL_MS);
    }
  }

  /** The node id of an instance, from its own engine. */
  async nodeId(instanceId: string): Promise<string> {
    const { Swarm } = (await this.stage.machines.engine(instanceId, '/info')) as { Swarm: { NodeID: string } };
    return Swarm.NodeID;
  }

  async leader(): Promise<{ instanceId: string; nodeId: string }> {
    const nodeId = (await this.nodes()).find(({ ManagerStatus }) => ManagerStatus?.Leader)!.ID;
    for (const instanceId of this.stage.instances('manager'))
      if ((await this.nodeId(instanceId)) === nodeId) return { instanceId, nodeId };
    throw new Error('The leader is not an instance.');
  }

  async nextLeader(last: { nodeId: string }): Promise<void> {
    await this.until('the swarm has a leader again', async () =>
      (await this.nodes()).some(({ ID, ManagerStatus }) => ManagerStatus?.Leader && ID !== last.nodeId),
    );
  }

  /** As an operator would: through the group, which then launches a new instance. */
  async terminate(instanceId: string): Promise<void> {
    const { region } = this.stage;
    await region.call({
      service: 'autoscaling',
      action: 'TerminateInstanceInAutoScalingGroup',
      input: { InstanceId: instanceId, ShouldDecrementDesiredCapacity: false },
      accessKeyId: region.operator.accessKeyId,
    });
  }

  /** Troubles the leader. It must come back as it was; no instance may be replaced. */
  async troubleLeader(trouble: (leader: { instanceId: string; nodeId: string }) => Promise<void>): Promise<void> {
    const leader = await this.leader();
    const before = this.stage.instances('manager');
    this.begin();
    await trouble(leader);
    await this.converged();
    if (this.stage.instances('manager').join() !== before.join())
      throw new Error('An instance was replaced, though it came back.');
  }

  /** Makes a change, then waits until the cluster has converged with the same managers. */
  async sameManagers(change: () => Promise<void>): Promise<void> {
    const ids = async () =>
      (await this.nodes())
        .flatMap(({ ID, Spec }) => (Spec.Role === 'manager' ? [ID] : []))
        .sort()
        .join();
    const before = await ids();
    await change();
    await this.converged();
    if ((await ids()) !== before) throw new Error('A seat came back as another node.');
  }

  /** Whether this many managers run, none of them on a lost instance. */
  holdSeats(count: number, lost: string[]): boolean {
    const managers = this.stage.instances('manager');
    return managers.length === count && !lost.some((instanceId) => managers.includes(instanceId));
  }

  /** A manager that does not lead. */
  async follower(): Promise<string> {
    const leader = await this.leader();
    return this.stage.instances('manager').find((instanceId) => instanceId !== leader.instanceId)!;
  }

  seatOf(instanceId: string): string {
    return this.stage.region.instances().find((one) => one.instanceId === instanceId)!.tags[SEAT_TAG]!;
  }

  /** The running instance that holds a seat, if any. */
  holderOf(seat: string): string | undefined {
    return this.stage.instances('manager').find((instanceId) => this.seatOf(instanceId) === seat);
  }

  /** Records when an instance reaches each of these milestones, in order. */
  async follow(instanceId: string, steps: [Milestone, string][]): Promise<void> {
    for (const [milestone, what] of steps)
      await this.until(what, async () => this.stage.milestones(instanceId)[milestone] !== undefined);
  }

  /** What the health endpoint tells a load balancer. */
  async isHealthy(instanceId: string): Promise<boolean> {
    return (
      (await this.stage.machines
        .exec(instanceId, ['curl', '--silent', '--max-time', '5', `http://127.0.0.1:${HEALTH_PORT}/health`])
        .catch(() => '')) === 'This node may receive work.\n'
    );
  }

  async killAgent(instanceId: string): Promise<void> {
    await this.killService(instanceId, UNITS.agent);
  }

  async killEngine(instanceId: string): Promise<void> {
    await this.killService(instanceId, UNITS.engine);
  }

  private async killService(instanceId: string, unit: string): Promise<void> {
    const { machines } = this.stage;
    const running = await machines.serviceProcess(instanceId, unit);
    if (!running || !(await machines.killProcess(instanceId, running.id)))
      throw new Error(`${unit} of ${instanceId} does not run.`);
  }

  /** Kills managers. No manager can answer for the swarm until it has a leader again. */
  async loseManagers(instanceIds: string[]): Promise<void> {
    const { stage } = this;
    await this.sameManagers(async () => {
      this.begin();
      for (const instanceId of instanceIds) await stage.region.killInstance(instanceId);
      await this.until('new instances hold their seats', async () => this.holdSeats(3, instanceIds));
      await this.until('the swarm has a leader again', async () => (await this.nodes()).some(isLeader));
    });
  }

  elapsed(): number {
    return this.stage.clock.now() - this.begun;
  }

  async isListed(nodeId: string): Promise<boolean> {
    return (await this.nodes()).some(({ ID }) => ID === nodeId);
  }

  /** Starts the service, and picks a worker with some of its tasks. */
  async busyWorker(): Promise<{ instanceId: string; nodeId: string }> {
    await this.startService();
    const instanceId = this.stage.instances('worker')[0]!;
    return { instanceId, nodeId: await this.nodeId(instanceId) };
  }

  /**
   * Checks the order: tasks end before the node is removed, and the node is removed before the instance may end. The
   * tasks use their whole grace period, so that a missing wait shows.
   */
  async expectOrder({ instanceId, nodeId }: { instanceId: string; nodeId: string }): Promise<void> {
    const letGo = !this.hasOpenHook(instanceId);
    if (await this.isListed(nodeId)) {
      if (letGo) throw new Error('The terminate hook was completed before the node was removed.');
      return;
    }
    // The instance may have ended by now.
    const containers = (await this.stage.machines.engine(instanceId, '/containers/json').catch(() => [])) as unknown[];
    if (containers.length > 0)
      throw new Error(`The node was removed while ${containers.length} of its tasks were still running.`);
  }

  hasOpenHook(instanceId: string): boolean {
    return this.stage.region
      .groups()
      .some(({ instances }) => instances.some((one) => one.instanceId === instanceId && one.openHooks.length > 0));
  }

  async converged(): Promise<void> {
    await this.until('the cluster has converged', async () => (await this.stage.converged()).length > 0);
  }
}

/** The running load test, and what it needs. */
interface Served {
  proxy: RealProxy;
  traffic: Traffic;
  supplies: { end(): Promise<void> };
}

export interface Task {
  NodeID?: string;
  DesiredState: string;
  Status: { State: string };
}

export interface Node {
  ID: string;
  Spec: { Availability: string; Role: string };
  ManagerStatus?: { Leader?: boolean };
}

export const isLeader = ({ ManagerStatus }: Node) => ManagerStatus?.Leader === true;
export const isRunning = ({ DesiredState, Status }: Task) => DesiredState === 'running' && Status.State === 'running';

/** Whether all tasks run on other nodes than this one. */
export const movedFrom = (nodeId: string, tasks: Task[]) =>
  tasks.filter((task) => isRunning(task) && task.NodeID !== nodeId).length === REPLICAS;

const answers = (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(REQUEST_MS) }).then(
    ({ status }) => status === 200,
    () => false,
  );
