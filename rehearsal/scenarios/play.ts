/**
 * What scenarios (scenarios.ts) do to a cluster on real engines, and how they see what becomes of it: the part that all
 * of them share.
 */
import type { Clock } from '../../protocol/clock';
import { HEALTH_PORT } from '../../protocol/environment';
import { SEAT_TAG } from '../../protocol/tags';
import type { EmulatedRegion } from '../aws/region';
import { UNITS } from './kills';
import type { Moment, SwarmListEntry } from '../display/results';
import { RealProxy } from '../nodes/proxy';
import type { RealMachines } from '../nodes/real-machines';
import type { Template } from '../assembly/synth';
import type { Milestone, NodeTimeline } from '../display/timeline';
import { Traffic, type Load } from './traffic';

/** A cluster that has formed, and what scenarios do with it. */
export interface Stage {
  clock: Clock;
  region: EmulatedRegion;
  machines: RealMachines;
  /** Instances that run, by role, in the order in which they were launched. */
  instances(role: 'manager' | 'worker'): string[];
  /** What an instance has reached on its way into the swarm, in milliseconds from its launch. */
  milestones(instanceId: string): NodeTimeline['milestones'];
  /** The swarm's own node list, once every instance that runs is a Ready node of it, and nobody else is in it. */
  whole(): Promise<SwarmListEntry[]>;
  /** For files of a run; goes with it. */
  folder: string;
  /** Something came about that the scenario waited for. */
  told(moment: Moment): void;
  /** Another template of the same stack. @throws Error when it was rolled back */
  deploy(change: (template: Template) => Template): Promise<void>;
  /** The app as `next` of the scenario has it. */
  deployNext(): Promise<void>;
}

const POLL_MS = 50;
const ANSWER_MS = 1_000;
/** A client would have given up. */
const REQUEST_MS = 10_000;
/** Requests; a machine that is busy sends a few less than it should. */
const LEAST_A_SECOND = 200;
const MOST_SHOWN = 20;
export const REPLICAS = 4;
/** The service's tasks do not hear SIGTERM (`sleep` is process 1), so that they use all of it. */
const STOP_GRACE = '10s';
const IMAGE = 'rehearsal-sleep';
/** Longer than a load balancer takes to find out that another port is served. */
const LONG_GRACE = '40s';
/** What the load balancer knows, the proxy in its place knows so much later. */
const RELOAD_MS = 10_000;
/** A root file system of one program and its libraries: no registry is reached from here. */
const IMPORT = `tar -C / -ch bin/sleep $(ldd /bin/sleep | grep -o '/[^ )]*') | docker import - ${IMAGE}`;
/** The same, of a program with a web server. */
const WEB_IMAGE = 'rehearsal-web';
const WEB_IMPORT = `tar -C /usr -c bin/busybox | docker import - ${WEB_IMAGE}`;
const WEB_SCRIPT = 'mkdir -p /www && echo ok > /www/index.html && exec /bin/busybox httpd -f -p 8080 -h /www';
/**
 * A task on each worker, at ports of the workers themselves: this machine's kernel may have no routing mesh. What runs
 * already goes on until its grace is over.
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
  WEB_IMAGE,
  '/bin/busybox',
  'sh',
  '-c',
  WEB_SCRIPT,
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

/** Tasks are asked for on a manager. */
export class Play {
  readonly moments: Moment[] = [];
  private begun = 0;
  private readonly supplied = new Set<string>();
  private importScript = IMPORT;
  /** What is worth being told besides when it came. */
  readonly remarks: string[] = [];

  constructor(readonly stage: Stage) {}

  begin(): void {
    this.begun = this.stage.clock.now();
  }

  /** Waits for something, and notes when it came. */
  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) {
      // Tasks may come to a worker that was launched since. Where no service was started nobody needs it.
      if (this.supplied.size > 0) await this.loadImage();
      await this.stage.clock.sleep(POLL_MS);
    }
    const moment = { what, ms: this.elapsed() };
    this.moments.push(moment);
    this.stage.told(moment);
  }

  /** A task with a web server on every worker, and constant requests to it by way of the load balancer. */
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

  /** As an operator does it, on a manager. */
  private async docker(command: string[]): Promise<void> {
    await this.stage.machines.exec(this.stage.instances('manager')[0]!, command);
  }

  /**
   * A service publishes a port, then another one, then it is removed; all the while after it was reached first somebody
   * asks for it, at one port or the other. The load balancer has nothing but what it follows.
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
    await this.until(`the service is reached at port ${first} of the load balancer`, () => reached(first));
    await this.until('all workers are healthy there', async () =>
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
    await this.until(`it is reached at port ${second}`, () => reached(second));
    await this.until(`nothing is left of port ${first}`, async () => !isFollowed(first));
    const { asked, unanswered } = await asking.end();
    this.remarks.push(`Asked ${asked} times at one of the two ports while it changed, ${unanswered} times in vain.`);
    if (unanswered > 0) throw new Error(this.remarks.join(' '));
    this.begin();
    await this.docker(['docker', 'service', 'rm', 'web']);
    await this.until('nothing is left of the service', async () => !isFollowed(second));
    await this.whole();
    await proxy.end();
  }

  /** One after the other, until it is told to end. */
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

  /** A worker that is launched is let into service only when its task answers. */
  private keepSupplying(): { end(): Promise<void> } {
    let over = false;
    const work = (async () => {
      for (; !over; await this.stage.clock.sleep(POLL_MS)) await this.loadImage();
    })();
    // Told when it ends.
    work.catch(() => undefined);
    return {
      end: () => {
        over = true;
        return work;
      },
    };
  }

  /**
   * @param untilMs requests may fail that came before, in milliseconds from the beginning
   * @throws Error when another one was not answered
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
        `The last connection that failed was taken ${(last / 1_000).toFixed(1)} s after the end of the ` +
          `worker; the load balancer knew of it after ${(untilMs / 1_000).toFixed(1)} s.`,
      );
    if (untilMs === undefined ? failed > 0 : wrong.length > 0)
      throw new Error(`Requests failed: ${this.remarks.join(' ')} ${seen.join(', ')}`);
    if (sent < LEAST_A_SECOND * seconds) throw new Error(`Only ${sent} requests were sent in ${seconds} s.`);
  }

  /** Whether the load balancer sends it new connections. */
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

  /** As a registry would have it for them: no worker whose engine answers is without it. */
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
   * As the first manager tells it that answers; until one does, nothing is known. One that has lost its leader keeps a
   * question for many seconds, and does not answer it once there is another.
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

  /** The node that an instance is, by its own engine. */
  async nodeId(instanceId: string): Promise<string> {
    const { Swarm } = (await this.stage.machines.engine(instanceId, '/info')) as { Swarm: { NodeID: string } };
    return Swarm.NodeID;
  }

  async leader(): Promise<{ instanceId: string; nodeId: string }> {
    const nodeId = (await this.nodes()).find(({ ManagerStatus }) => ManagerStatus?.Leader)!.ID;
    for (const instanceId of this.stage.instances('manager'))
      if ((await this.nodeId(instanceId)) === nodeId) return { instanceId, nodeId };
    throw new Error('The leader is no instance.');
  }

  async nextLeader(last: { nodeId: string }): Promise<void> {
    await this.until('the swarm has a leader again', async () =>
      (await this.nodes()).some(({ ID, ManagerStatus }) => ManagerStatus?.Leader && ID !== last.nodeId),
    );
  }

  /** As an operator does it: through the group, which then launches another. */
  async terminate(instanceId: string): Promise<void> {
    const { region } = this.stage;
    await region.call({
      service: 'autoscaling',
      action: 'TerminateInstanceInAutoScalingGroup',
      input: { InstanceId: instanceId, ShouldDecrementDesiredCapacity: false },
      accessKeyId: region.operator.accessKeyId,
    });
  }

  /** Whatever happens to the leader, it comes back as it was: nobody is replaced. */
  async troubleLeader(trouble: (leader: { instanceId: string; nodeId: string }) => Promise<void>): Promise<void> {
    const leader = await this.leader();
    const before = this.stage.instances('manager');
    this.begin();
    await trouble(leader);
    await this.whole();
    if (this.stage.instances('manager').join() !== before.join())
      throw new Error('An instance was replaced, though it came back.');
  }

  /** Until the cluster is whole again, with the very managers that it had. */
  async sameManagers(change: () => Promise<void>): Promise<void> {
    const ids = async () =>
      (await this.nodes())
        .flatMap(({ ID, Spec }) => (Spec.Role === 'manager' ? [ID] : []))
        .sort()
        .join();
    const before = await ids();
    await change();
    await this.whole();
    if ((await ids()) !== before) throw new Error('A seat came back as another node.');
  }

  /** So many managers run, none of them one of those. */
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

  /** The instance that holds a seat now, if any runs. */
  holderOf(seat: string): string | undefined {
    return this.stage.instances('manager').find((instanceId) => this.seatOf(instanceId) === seat);
  }

  /** Notes when an instance has reached what, one after the other. */
  async follow(instanceId: string, steps: [Milestone, string][]): Promise<void> {
    for (const [milestone, what] of steps)
      await this.until(what, async () => this.stage.milestones(instanceId)[milestone] !== undefined);
  }

  /** What a load balancer is told. */
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

  /** Nobody can say anything about the swarm until there is a leader again. */
  async loseManagers(instanceIds: string[]): Promise<void> {
    const { stage } = this;
    await this.sameManagers(async () => {
      this.begin();
      for (const instanceId of instanceIds) await stage.region.killInstance(instanceId);
      await this.until('other instances hold their seats', async () => this.holdSeats(3, instanceIds));
      await this.until('the swarm has a leader again', async () => (await this.nodes()).some(isLeader));
    });
  }

  elapsed(): number {
    return this.stage.clock.now() - this.begun;
  }

  async isListed(nodeId: string): Promise<boolean> {
    return (await this.nodes()).some(({ ID }) => ID === nodeId);
  }

  /** A worker with some of the service's tasks. */
  async busyWorker(): Promise<{ instanceId: string; nodeId: string }> {
    await this.startService();
    const instanceId = this.stage.instances('worker')[0]!;
    return { instanceId, nodeId: await this.nodeId(instanceId) };
  }

  /**
   * What never happens: the instance goes before its node, or the node before its tasks have ended. They take the whole
   * of their grace to end, so that they are seen where nobody waited for them.
   */
  async expectOrder({ instanceId, nodeId }: { instanceId: string; nodeId: string }): Promise<void> {
    const letGo = !this.hasOpenHook(instanceId);
    if (await this.isListed(nodeId)) {
      if (letGo) throw new Error('The instance was let go before its node was removed.');
      return;
    }
    // It may be gone by now.
    const containers = (await this.stage.machines.engine(instanceId, '/containers/json').catch(() => [])) as unknown[];
    if (containers.length > 0)
      throw new Error(`The node was removed while ${containers.length} of its tasks still ran.`);
  }

  hasOpenHook(instanceId: string): boolean {
    return this.stage.region
      .groups()
      .some(({ instances }) => instances.some((one) => one.instanceId === instanceId && one.openHooks.length > 0));
  }

  async whole(): Promise<void> {
    await this.until('the cluster is whole again', async () => (await this.stage.whole()).length > 0);
  }
}

/** Requests that are under way, and what they need. */
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

/** A node that had tasks: whether all of them run elsewhere. */
export const movedFrom = (nodeId: string, tasks: Task[]) =>
  tasks.filter((task) => isRunning(task) && task.NodeID !== nodeId).length === REPLICAS;

const answers = (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(REQUEST_MS) }).then(
    ({ status }) => status === 200,
    () => false,
  );
