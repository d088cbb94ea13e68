/**
 * One simulated instance: its disks, its Docker engine and the real agent. Engine and agent are restarted as systemd
 * does it. Either may be killed between two effects of the agent.
 */
import { setMaxListeners } from 'node:events';
import { Agent } from '../../../agent/agent';
import type { Engine } from '../../../agent/engine';
import { Health } from '../../../agent/health';
import type { Host } from '../../../agent/host';
import type { Identity } from '../../../agent/identity';
import { Mailbox } from '../../../agent/mailbox';
import type { Clock } from '../../../protocol/clock';
import { HEALTH_PORT, type AgentConfig } from '../../../protocol/environment';
import type { Log } from '../../../protocol/log';
import { mailbox } from '../../../protocol/keys';
import type { Notice } from '../../../protocol/report';
import type { HealthCheck } from '../../aws/core/types';
import type { AwsLink } from './aws-link';
import { inProcessClients } from './clients';
import type { SimulatedDaemon } from '../docker/daemon';
import type { Disk } from '../docker/disk';
import type { SimulatedDocker } from '../docker/simulated-docker';
import type { Faults } from '../faults';
import { SimulatedProcess } from './process';

/** `RestartSec` of the units of the agent (user data) and of Docker (its package). */
const AGENT_RESTART_MS = 1_000;
const ENGINE_RESTART_MS = 2_000;
const ENGINE_START_MS = { least: 300, most: 2_000 };
const MOUNT_MS = 200;

export interface SimulatedNodeProps {
  clock: Clock;
  faults: Faults;
  link: AwsLink;
  docker: SimulatedDocker;
  config: AgentConfig;
  identity: Identity;
  hostname: string;
  accessKeyId: string;
  /** How far this node's clock is ahead, in milliseconds. */
  skew(): number;
  /** The notice of its own end, if any. */
  notice(): Notice | undefined;
  /** Whether AWS can be reached. */
  connected(): boolean;
  /** Kills this instance now. */
  loseInstance(): void;
  log: Log;
  /** See `ClusterOptions`. */
  withoutRaftFence: boolean;
  /** Called before each effect of the agent. */
  onEffect(effect: keyof Engine | keyof Host, argument: unknown): void;
}

export class SimulatedNode {
  readonly daemon: SimulatedDaemon;
  private readonly root: Disk = {};
  private readonly power = new AbortController();
  private attached: { volumeId: string; volume: Disk } | undefined;
  private mounted = false;
  private broken = false;
  private engineWanted = false;
  private daemonConfig = '';
  /** Commands that were begun; stored on the root disk. */
  private readonly begun = new Set<string>();
  private agent: SimulatedProcess | undefined;
  /** The health endpoint of the current agent, or of the last one. */
  private health: Health | undefined;

  constructor(private readonly props: SimulatedNodeProps) {
    const { docker, identity, hostname } = props;
    // A killed agent does not clean up, so its listeners stay.
    setMaxListeners(0, this.power.signal);
    // The engine's folder is whatever is mounted there now.
    const disk = new Proxy<Disk>(
      {},
      {
        get: (_, name: keyof Disk) => this.disk()[name],
        set: (_, name: keyof Disk, value) => Reflect.set(this.disk(), name, value),
        deleteProperty: (_, name: keyof Disk) => delete this.disk()[name],
      },
    );
    this.daemon = docker.daemon({
      address: identity.address,
      hostname,
      disk,
      labels: () => labelsOf(this.daemonConfig),
    });
  }

  get role() {
    return this.props.config.role;
  }

  get seat(): number | undefined {
    return this.props.config.seat?.number;
  }

  /** Its mailbox: its own partition in both tables. */
  get mailbox(): string {
    return mailbox(this.props.config.roleId, this.props.identity.instanceId);
  }

  get reportTable(): string {
    return this.props.config.reportTable;
  }

  get identity() {
    return this.props.identity;
  }

  get attachedVolume(): string | undefined {
    return this.attached?.volumeId;
  }

  get on(): boolean {
    return !this.power.signal.aborted;
  }

  /** When user data has ended, systemd starts the agent. */
  startAgent(): void {
    if (!this.on) return;
    const { clock, link, config, identity, accessKeyId, connected, log } = this.props;
    const process = new SimulatedProcess(clock, this.props.skew);
    this.agent = process;
    const health = new Health((timeoutMs) => process.whileAlive(this.daemon.ping(timeoutMs)), process.clock);
    this.health = health;
    const caller = { process, accessKeyId, connected, mayDie: () => this.mayDie() };
    const agent = new Agent({
      config,
      identity,
      clock: process.clock,
      log,
      engine: this.as<Engine>(this.props.withoutRaftFence ? unfenced(this.daemon) : this.daemon, process),
      host: this.as<Host>(this.host(), process),
      metadata: { notice: async () => this.props.notice() },
      health,
      mailbox: new Mailbox(inProcessClients(process.clock, link.answerTo(caller)).dynamodb, config, this.mailbox),
    });
    void agent.run(this.power.signal);
  }

  /** Kills the agent. An agent that is already dead is restarted only once, however often it is killed. */
  killAgent(): void {
    if (!this.agent || this.agent.killed) return;
    this.agent.kill();
    this.later(AGENT_RESTART_MS, () => this.startAgent());
  }

  killEngine(): void {
    if (!this.daemon.running) return;
    this.daemon.kill();
    this.later(ENGINE_RESTART_MS, () => this.bootEngine());
  }

  hangEngine(): void {
    this.daemon.hang();
  }

  /** A fault that no restart repairs: the engine never comes back, and EC2 does not notice. */
  breakDown(): void {
    this.broken = true;
    if (this.daemon.running) this.daemon.kill();
  }

  get isBroken(): boolean {
    return this.broken;
  }

  /**
   * The answer to a health check: on the agent's port the agent's own answer, on any other port success as long as the
   * machine runs.
   */
  async answers({ protocol, port, path }: HealthCheck): Promise<boolean> {
    if (!this.on) return false;
    if (port !== HEALTH_PORT) return true;
    const { agent, health } = this;
    if (!agent || agent.killed || !health || protocol === 'HTTPS') return false;
    return protocol === 'TCP' || (path === '/health' && (await health.check()) === undefined);
  }

  attach(volumeId: string, volume: Disk): void {
    this.attached = { volumeId, volume };
  }

  detach(): void {
    this.attached = undefined;
    this.mounted = false;
  }

  /** Switches the machine off: at once, or after stopping the engine. */
  async switchOff(orderly: boolean): Promise<void> {
    if (!this.on) return;
    this.agent?.kill();
    if (orderly && this.daemon.running) await this.daemon.stop();
    this.power.abort();
    if (this.daemon.running) this.daemon.kill();
    this.detach();
  }

  private disk(): Disk {
    return this.mounted ? this.attached!.volume : this.root;
  }

  private later(ms: number, work: () => void): void {
    this.props.clock.after(ms, () => {
      if (this.on) work();
    });
  }

  /**
   * `ConditionPathIsMountPoint`: without its volume a manager's engine does not start, which systemd does not treat as
   * a failure.
   */
  private bootEngine(): void {
    if (this.broken || !this.engineWanted || this.daemon.running || (this.role === 'manager' && !this.mounted)) return;
    this.daemon.start();
  }

  private mayDie(): void {
    const { faults, loseInstance } = this.props;
    if (!this.on) return;
    if (faults.happens('kill-instance')) return loseInstance();
    if (faults.happens('kill-engine')) this.killEngine();
    if (faults.happens('kill-agent')) this.killAgent();
  }

  /** Wraps what the agent calls, so that it may die before and after each call. A dead agent calls nothing. */
  private as<T extends Engine | Host>(target: T, process: SimulatedProcess): T {
    return new Proxy(target, {
      get:
        (_, name: string) =>
        (argument: unknown, ...rest: unknown[]) => {
          this.mayDie();
          if (process.killed) return new Promise(() => undefined);
          this.props.onEffect(name as keyof Engine | keyof Host, argument);
          const call = Promise.resolve(
            (target as unknown as Record<string, (...args: unknown[]) => unknown>)[name]!(argument, ...rest),
          );
          return process.whileAlive(call.finally(() => this.mayDie()));
        },
    });
  }

  private host(): Host {
    const { clock } = this.props;
    return {
      findDevice: async (volumeId) => (this.attached?.volumeId === volumeId ? '/dev/sdf' : undefined),
      isMounted: async () => this.mounted,
      mountVolume: async () => {
        await clock.sleep(MOUNT_MS);
        if (this.attached === undefined) throw new Error('mount: /var/lib/docker: special device does not exist.');
        this.mounted = true;
      },
      configureEngine: async (config) => {
        const text = JSON.stringify(config);
        const changed = text !== this.daemonConfig;
        this.daemonConfig = text;
        return changed;
      },
      stopEngine: async () => {
        this.engineWanted = false;
        if (this.daemon.running) await this.daemon.stop();
      },
      killEngine: async () => this.killEngine(),
      startEngine: async () => {
        this.engineWanted = true;
        await clock.sleep(ENGINE_START_MS.least + clock.random() * (ENGINE_START_MS.most - ENGINE_START_MS.least));
        if (this.on) this.bootEngine();
      },
      begin: async (name) => !this.begun.has(name) && this.begun.add(name).size > 0,
      isCertified: async () => this.disk().docker?.certificate !== undefined,
      // Docker renews the certificate; no simulation lasts that long.
      certificateValidity: async () => undefined,
    };
  }
}

/** An engine that sets a label without committing it, and increments its own version. */
function unfenced(daemon: SimulatedDaemon): Engine {
  let ahead = 0;
  return new Proxy<Engine>(daemon, {
    get: (_, name: keyof Engine) => {
      if (name === 'labelSwarm') return async () => void ahead++;
      if (name === 'swarm')
        return async () => daemon.swarm().then((swarm) => ({ ...swarm, version: swarm.version + ahead }));
      return (daemon[name] as (...args: unknown[]) => unknown).bind(daemon);
    },
  });
}

function labelsOf(daemonConfig: string): Record<string, string> {
  const { labels = [] } = JSON.parse(daemonConfig || '{}') as { labels?: string[] };
  return Object.fromEntries(
    labels.map((label) => [label.slice(0, label.indexOf('=')), label.slice(label.indexOf('=') + 1)]),
  );
}
