/**
 * The program on every node. Each pass looks at the volume, the engine and the mailbox, takes at most one step, and
 * reports changes. Every decision is made from the current state (`plan.ts`), so the agent may be killed at any line
 * and restarted.
 */
import { isoTime, isRecent, type Clock } from '../protocol/clock';
import type { Command, CommandOf } from '../protocol/commands';
import { CERTIFICATE_METRIC } from '../protocol/census';
import type { AgentConfig } from '../protocol/environment';
import type { Log } from '../protocol/log';
import { tokensDigest, type Notice, type Report } from '../protocol/report';
import { isOverdue } from './certificate';
import { daemonConfig } from './daemon-config';
import type { Engine, EngineInfo } from './engine';
import type { Health, Illness } from './health';
import type { Host } from './host';
import type { Identity, Metadata } from './identity';
import type { Inbox, Mailbox } from './mailbox';
import { Orders } from './orders';
import { nextStep, hasNoIdentity, type Step } from './plan';
import { Removal } from './removal';
import { SwarmReporter } from './swarm-reporter';

/** Pause while the volume is not attached: the agent only checks for its device. */
const VOLUME_MS = 50;
/**
 * Pause between two passes while this node waits for something to happen, and once it is settled. DynamoDB charges for
 * every read of the mailbox.
 */
const EAGER_MS = 100;
/**
 * While nothing changes for a waiting node, its pauses grow to this share of the time it has waited, up to this
 * maximum. A fleet that waits for a swarm, or is throttled, must not poll ten times a second per node; and no node
 * waits more than 5 % longer for that.
 */
const WAITING_SHARE = 0.05;
const WAITING_MS = 2_000;
const MANAGER_REST_MS = 2_000;
const WORKER_REST_MS = 5_000;
/**
 * Maximum age of the engine's last answer while no command is being carried out. Docker runs several programs for each
 * `GET /info`.
 */
const ENGINE_MS = 1_000;
/**
 * How often a settled worker reads its mailbox. For 1,000 workers this costs about 8 USD a month (0.125 USD per million
 * read units; an eventually consistent read takes half a unit).
 */
const WORKER_MAILBOX_MS = 20_000;
/** Heartbeats are writes, which cost five times as much as reads. */
const MANAGER_HEARTBEAT_MS = 15_000;
const WORKER_HEARTBEAT_MS = 60_000;
/**
 * How often a manager's report, which may hold join tokens, is written again although it has not changed: an earlier
 * report may have overwritten it, from an agent that died with the request in flight. A write without a change creates
 * no stream record: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
 */
const MANAGER_REPORT_MS = 300_000;
/**
 * How often a node checks whether its instance is about to end: the interval that AWS recommends.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
 */
const NOTICE_MS = 5_000;
/** How often a node checks whether its certificate was renewed. */
const CERTIFICATE_MS = 3_600_000;
/**
 * Abort an in-progress join after no command has asked for it for this long. Eventually consistent reads lag by a
 * second or so.
 */
const ABORT_JOIN_MS = 5_000;
/**
 * A running engine that has not answered for this long is killed, so that systemd restarts it. For one that is still
 * starting, systemd waits as long as it takes.
 */
const ENGINE_SILENT_MS = 60_000;
/**
 * An engine that has been in its error state for this long is restarted. systemd starts Docker three times a minute at
 * most.
 */
const ENGINE_FAILED_MS = 20_000;
/**
 * The reported time without a leader grows in steps of this many seconds: each step is a write, and wakes a function.
 */
const LEADERLESS_STEP_S = 30;
/** No pass takes longer, even while the engine is slow to answer that it knows no leader. */
const PASS_MS = 60_000;
/** Pauses after a failed command and after an error, so that a broken part is not hammered. */
const RETRY_MS = 1_000;
const ERROR_PAUSE_MS = 2_000;

export interface AgentParts {
  config: AgentConfig;
  identity: Identity;
  clock: Clock;
  log: Log;
  engine: Engine;
  host: Host;
  metadata: Metadata;
  mailbox: Mailbox;
  health: Pick<Health, 'see'>;
}

export class Agent {
  private readonly manager: boolean;
  private readonly swarmReporter: SwarmReporter;
  private readonly orders: Orders;
  private inbox: Inbox = { leaving: false };
  private inboxReadAt = Number.NEGATIVE_INFINITY;
  private lastCommand: Report['lastCommand'];
  private joinAttempts = 0;
  private configured = false;
  private engine: { info: EngineInfo; at: number } | undefined;
  private reported: string | undefined;
  private reportedAt = Number.NEGATIVE_INFINITY;
  private heartbeatAt = Number.NEGATIVE_INFINITY;
  private busy = false;
  /** A step that is taken only after it has been the next one for some time. */
  private delayedStep: { kind: Step['kind']; since: number } | undefined;
  private wake = new AbortController();
  /** The removal that this node, as leader, was told to carry out. */
  private removal: { id: string; work: Removal } | undefined;
  /**
   * Managers only: how long the engine has reported no leader in every answer, in milliseconds, and when the last
   * answer came.
   */
  private leaderless: { ms: number; at: number | undefined } = { ms: 0, at: undefined };
  private notice: Notice | undefined;
  private noticeCheckedAt = Number.NEGATIVE_INFINITY;
  private certificateSeenAt = Number.NEGATIVE_INFINITY;
  private watching = false;
  private settled = false;
  /** What the last pass saw, and since when that has not changed. */
  private lastView = { text: '', since: 0 };

  constructor(private readonly parts: AgentParts) {
    this.manager = parts.config.role === 'manager';
    this.swarmReporter = new SwarmReporter(parts.engine, parts.mailbox, parts.clock);
    this.orders = new Orders(parts.engine, parts.clock, parts.log);
  }

  /** Runs until the signal aborts. Never throws: errors are logged, and the next pass tries again. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.wake.abort());
    while (!signal.aborted) {
      let pause: number;
      try {
        pause = await this.pass(signal);
      } catch (error) {
        this.parts.log('warn', 'A pass failed. The next one tries again.', { error: errorText(error) });
        pause = ERROR_PAUSE_MS;
      }
      if (pause > 0 && !signal.aborted) await this.parts.clock.sleep(pause, this.wake.signal);
      if (!signal.aborted) this.wake = new AbortController();
    }
  }

  /**
   * One pass with at most one step. Resolves with the pause before the next pass in milliseconds: 0 after a step,
   * because the state has changed.
   */
  private async pass(signal: AbortSignal): Promise<number> {
    if (!this.configured) await this.configureEngine();
    const volume = await this.lookAtVolume();
    if (volume && !volume.mounted && !volume.device) {
      await this.report(volume, undefined, undefined);
      await this.heartbeat(false);
      return VOLUME_MS;
    }
    await this.checkNotice();
    try {
      await this.readMailbox();
    } catch (error) {
      // An unreachable table makes a node neither unhealthy nor healthy.
      const info = await this.askEngine();
      this.countLeaderless(info);
      this.parts.health.see(this.illness(info));
      throw error;
    }
    // If a request ends while the engine answers, that answer is outdated.
    const wasBusy = this.busy;
    const info = volume && !volume.mounted ? undefined : await this.lookAtEngine();
    this.countLeaderless(info);
    this.parts.health.see(this.illness(info));
    await this.watchCertificate();
    const certified = info !== undefined && hasNoIdentity(info.swarm) && (await this.parts.host.isCertified());
    const now = this.parts.clock.now();
    const { instanceId } = this.parts.identity;
    const step = nextStep({
      now,
      instanceId,
      volume,
      swarm: info?.swarm,
      certified,
      command: this.inbox.command,
      leaving: this.inbox.leaving,
      busy: wasBusy || this.busy,
    });
    if (await this.take(step, info)) {
      this.engine = undefined;
      return 0;
    }
    const leads = await this.leads(info);
    const tokens = leads ? await this.unpublishedTokens() : undefined;
    await this.report(volume, info, tokens);
    if (leads) {
      if (!(await this.reportSwarm(tokens))) return 0;
      this.watch(signal);
    }
    const ordered = leads && (await this.carryOutOrders());
    await this.heartbeat(info !== undefined);
    this.settled =
      step.kind === 'rest' && !ordered && !this.busy && info?.swarm.state === 'active' && tokens === undefined;
    if (!this.settled) return this.eagerPause(step.kind);
    return this.manager ? MANAGER_REST_MS : WORKER_REST_MS;
  }

  private eagerPause(step: Step['kind']): number {
    const now = this.parts.clock.now();
    const text = `${step} ${this.inbox.command?.id} ${this.reported}`;
    if (this.busy || text !== this.lastView.text) this.lastView = { text, since: now };
    return Math.min(Math.max((now - this.lastView.since) * WAITING_SHARE, EAGER_MS), WAITING_MS);
  }

  private async lookAtVolume(): Promise<{ id: string; mounted: boolean; device?: string } | undefined> {
    const { seat } = this.parts.config;
    if (!seat) return undefined;
    const device = await this.parts.host.findDevice(seat.volumeId);
    return { id: seat.volumeId, mounted: device !== undefined && (await this.parts.host.isMounted(device)), device };
  }

  private async lookAtEngine(): Promise<EngineInfo | undefined> {
    const now = this.parts.clock.now();
    if (this.engine && !this.inbox.command && !this.busy && isRecent(this.engine.at, now, ENGINE_MS))
      return this.engine.info;
    const info = await this.askEngine();
    this.engine = info && { info, at: now };
    return info;
  }

  /** Undefined while no engine answers. */
  private async askEngine(): Promise<EngineInfo | undefined> {
    return this.parts.engine.info().catch(() => undefined);
  }

  private async readMailbox(): Promise<void> {
    const now = this.parts.clock.now();
    if (this.settled && !this.manager && isRecent(this.inboxReadAt, now, WORKER_MAILBOX_MS)) return;
    this.inbox = await this.parts.mailbox.read();
    this.inboxReadAt = now;
    if (this.inbox.refusal) this.parts.log('warn', 'A command was ignored.', { refusal: this.inbox.refusal });
  }

  private async checkNotice(): Promise<void> {
    const { metadata, clock, log } = this.parts;
    const now = clock.now();
    // Nothing follows a termination notice. A spot interruption does not end the search: the group's termination
    // follows soon.
    if (this.notice === 'termination' || isRecent(this.noticeCheckedAt, now, NOTICE_MS)) return;
    this.noticeCheckedAt = now;
    const before = this.notice;
    this.notice = await metadata.notice().catch((error: unknown) => {
      log('warn', 'The instance metadata service did not answer whether this instance is about to end.', {
        error: errorText(error),
      });
      return before;
    });
    if (this.notice !== before) log('info', 'This instance is about to end.', { notice: this.notice });
  }

  /** A missing answer proves nothing; nor do a step of the clock or a suspended machine. */
  private countLeaderless(info: EngineInfo | undefined): void {
    const { ms, at } = this.leaderless;
    if (info === undefined) this.leaderless = { ms, at: undefined };
    else if (!info.swarm.controlAvailable || info.swarm.swarmId !== undefined)
      this.leaderless = { ms: 0, at: undefined };
    else {
      const now = this.parts.clock.now();
      this.leaderless = { ms: ms + Math.min(Math.max(now - (at ?? now), 0), PASS_MS), at: now };
    }
  }

  private illness(info: EngineInfo | undefined): Illness {
    if (this.inbox.leaving || this.notice === 'termination') return 'This instance is leaving the cluster.';
    if (this.notice) return 'EC2 reclaims this instance.';
    return info?.swarm.state === 'active' ? undefined : 'The Docker engine is not an active node of a swarm.';
  }

  private async watchCertificate(): Promise<void> {
    const { host, clock, log } = this.parts;
    const now = clock.now();
    if (isRecent(this.certificateSeenAt, now, CERTIFICATE_MS)) return;
    this.certificateSeenAt = now;
    const validity = await host.certificateValidity().catch(
      (error: unknown) =>
        void log('error', "This node's swarm certificate cannot be read.", {
          metric: CERTIFICATE_METRIC,
          error: errorText(error),
        }),
    );
    if (validity && isOverdue(validity, now))
      log(
        'error',
        "Docker has not renewed this node's swarm certificate in time. When it expires, the node is down for good. " +
          'Replace the instance before that.',
        { metric: CERTIFICATE_METRIC, until: isoTime(validity.until) },
      );
  }

  /** True when the step changed something, so that the next pass follows at once. */
  private async take(step: Step, info: EngineInfo | undefined): Promise<boolean> {
    const { host, engine, identity, log } = this.parts;
    if (step.kind !== this.delayedStep?.kind) this.delayedStep = undefined;
    switch (step.kind) {
      case 'rest':
        return false;
      case 'refuse':
        // After this refusal is reported, another manager may be told to join. This node must never carry out the
        // command later, even if its clock is set back.
        if (this.manager && step.command.kind === 'join' && this.lastCommand?.id !== step.command.id)
          await host.begin(step.command.id);
        this.refuse(step.command, step.reason);
        return false;
      case 'done':
        this.joinAttempts = 0;
        this.lastCommand = { id: step.command.id, outcome: 'done' };
        return false;
      case 'mount-volume':
        log('info', 'Mounting the state volume.', { device: step.device });
        await host.mountVolume(step.device);
        return true;
      case 'start-engine': {
        const silent = this.hasLasted(step.kind, ENGINE_SILENT_MS);
        await host.startEngine();
        if ((await this.askEngine()) !== undefined) return true;
        // If it still does not answer, wait before starting it again.
        if (!silent) return false;
        log('warn', 'Killing the Docker engine: it runs but has not answered for some time.', {
          seconds: ENGINE_SILENT_MS / 1_000,
        });
        this.delayedStep = undefined;
        await host.killEngine();
        return false;
      }
      case 'restart-engine':
        if (!this.hasLasted(step.kind, ENGINE_FAILED_MS)) return false;
        log('warn', 'Restarting the Docker engine.', { reason: step.reason });
        // The next step starts it.
        await host.stopEngine();
        return true;
      case 'leave':
        log('info', 'Leaving the swarm.', { reason: step.reason });
        await engine.leaveSwarm({ force: true });
        return true;
      case 'end-join':
        // The mailbox may be a second old: a command that asks for this join may have been written already.
        if (!this.hasLasted(step.kind, ABORT_JOIN_MS)) return false;
        log('info', 'Aborting the join.', { reason: step.reason });
        await engine.leaveSwarm({ force: false });
        return true;
      case 'recover': {
        this.start(step.command, info, engine.recoverSwarm({ advertiseAddress: step.command.advertiseAddress }));
        return false;
      }
      case 'remove':
        await this.remove(step.command);
        return false;
      case 'init': {
        const { advertiseAddress, addressPools, addressPoolPrefixLength } = step.command;
        this.start(step.command, info, engine.initSwarm({ advertiseAddress, addressPools, addressPoolPrefixLength }));
        return false;
      }
      case 'join': {
        // Docker itself uses only the first address, so each attempt gets another one.
        const { managers, token, id } = step.command;
        const remote = managers[this.joinAttempts++ % managers.length]!;
        // A manager's failed join may succeed later without anybody knowing. Only the functions, which see the list,
        // may repeat it.
        if (this.manager && !(await host.begin(id))) {
          if (this.lastCommand?.id !== id)
            this.lastCommand = { id, outcome: 'failed', error: "A manager's join is attempted only once." };
          return false;
        }
        this.start(step.command, info, engine.joinSwarm({ remote, token, advertiseAddress: identity.address }));
        return false;
      }
    }
  }

  private refuse({ id, kind }: Command, reason: string): void {
    if (this.lastCommand?.id !== id) this.parts.log('warn', `Refused to ${kind}.`, { commandId: id, reason });
    this.lastCommand = { id, outcome: 'refused', error: reason };
  }

  /**
   * One step per pass, as long as this node leads. A removal that was refused or is done is checked again; that costs
   * one list of nodes.
   */
  private async remove(command: CommandOf<'remove' | 'retire'>): Promise<void> {
    if (!(await this.leads(await this.askEngine()))) return this.refuse(command, 'This node is not the leader.');
    if (this.removal?.id !== command.id)
      this.removal = { id: command.id, work: new Removal(this.parts.engine, this.parts.clock, command) };
    const step = await this.removal.work.next();
    if (step.kind === 'refuse') this.refuse(command, step.reason);
    else if (step.kind === 'gone') this.lastCommand = { id: command.id, outcome: 'done' };
    else if (step.kind !== 'wait')
      this.parts.log('info', `Did: ${step.kind}.`, {
        commandId: command.id,
        nodeId: command.nodeId,
        reason: command.reason,
      });
  }

  private hasLasted(kind: Step['kind'], ms: number): boolean {
    const now = this.parts.clock.now();
    this.delayedStep ??= { kind, since: now };
    return now - this.delayedStep.since >= ms;
  }

  /**
   * Stops an engine that was started before it was configured (by an image that starts Docker at boot). It knows
   * neither its labels nor, on a manager, where to keep its state.
   */
  private async configureEngine(): Promise<void> {
    const { host, config, identity, log } = this.parts;
    const changed = await host.configureEngine(daemonConfig(config, identity));
    if (changed && (await this.askEngine())) {
      log('info', 'Stopping a Docker engine that was started before it was configured.');
      await host.stopEngine();
    }
    this.configured = true;
  }

  /**
   * Carries out a command in the background and remembers its outcome. The engine joins some time before it answers,
   * and a failing join takes 20 s. A failure ends nothing: the command stays valid, and the next pass decides again.
   */
  private start(command: Command, info: EngineInfo | undefined, work: Promise<void>): void {
    const { log, clock } = this.parts;
    log('info', `Told to ${command.kind}.`, { commandId: command.id, reason: command.reason, engine: info?.version });
    this.busy = true;
    work
      .then(
        () => {
          this.lastCommand = { id: command.id, outcome: 'done' };
        },
        async (error: unknown) => {
          this.lastCommand = { id: command.id, outcome: 'failed', error: errorText(error) };
          log('warn', `Failed to ${command.kind}.`, { commandId: command.id, error: errorText(error) });
          await clock.sleep(RETRY_MS);
        },
      )
      .finally(() => {
        this.busy = false;
      });
  }

  /** Whether this node leads the swarm. Without a quorum the engine cannot tell, and nobody leads. */
  private async leads(info: EngineInfo | undefined): Promise<boolean> {
    const { controlAvailable, nodeId } = info?.swarm ?? {};
    if (!controlAvailable || !nodeId) return false;
    return this.parts.engine.isLeader(nodeId).catch((error: unknown) => {
      this.parts.log('warn', 'The Docker engine did not answer who leads the swarm.', { error: errorText(error) });
      return false;
    });
  }

  /** Whether there is still work to do on other nodes. */
  private async carryOutOrders(): Promise<boolean> {
    const read = await this.parts.mailbox.readOrders();
    if (read.ok) return (await this.orders.rotate(read.value.rotation)) || this.orders.next(read.value.orders);
    if (read.refusal !== 'missing') this.parts.log('warn', 'Orders were ignored.', { refusal: read.refusal });
    return false;
  }

  /**
   * False when the swarm turned out to be unfinished and was left, so that it can be created again. Never once its
   * tokens are published: others may be members then, whatever this engine says.
   */
  private async reportSwarm(tokens: Report['tokens']): Promise<boolean> {
    try {
      await this.swarmReporter.report(tokens);
      return true;
    } catch (error) {
      if (this.inbox.publishedTokens !== undefined || !(await this.swarmReporter.isStillborn(error))) throw error;
      this.parts.log('warn', 'The swarm was never finished. Leaving it, so that it can be created again.', {
        error: errorText(error),
      });
      await this.parts.engine.leaveSwarm({ force: true });
      this.engine = undefined;
      return false;
    }
  }

  /** The join tokens, until leader-token has acknowledged them. */
  private async unpublishedTokens(): Promise<Report['tokens']> {
    if (this.inbox.leaving) return undefined;
    const { tokens } = await this.parts.engine.swarm();
    return tokensDigest(tokens) === this.inbox.publishedTokens ? undefined : tokens;
  }

  private async report(
    volume: { id: string; mounted: boolean } | undefined,
    info: EngineInfo | undefined,
    tokens: Report['tokens'],
  ): Promise<void> {
    const { config, identity, mailbox } = this.parts;
    const leaderless = LEADERLESS_STEP_S * Math.floor(this.leaderless.ms / 1_000 / LEADERLESS_STEP_S);
    const report: Report = {
      instanceId: identity.instanceId,
      role: config.role,
      ...(config.seat && { seat: config.seat.number }),
      address: identity.address,
      ...(volume && { volume: { id: volume.id, state: volume.mounted ? 'mounted' : 'waiting' } }),
      ...(info && { engine: { version: info.version }, swarm: info.swarm }),
      ...(leaderless && { leaderless }),
      ...(this.notice && { notice: this.notice }),
      ...(this.lastCommand && { lastCommand: this.lastCommand }),
      ...(tokens && { tokens }),
    };
    const text = JSON.stringify(report);
    const now = this.parts.clock.now();
    if (text === this.reported && (!this.manager || isRecent(this.reportedAt, now, MANAGER_REPORT_MS))) return;
    await mailbox.writeReport(report);
    this.reported = text;
    this.reportedAt = now;
  }

  private async heartbeat(engine: boolean): Promise<void> {
    const now = this.parts.clock.now();
    if (isRecent(this.heartbeatAt, now, this.manager ? MANAGER_HEARTBEAT_MS : WORKER_HEARTBEAT_MS)) return;
    await this.parts.mailbox.writeHeartbeat({ at: now, engine });
    this.heartbeatAt = now;
  }

  /** Wakes the agent of a leader when a node or service changes. If an event is lost, a later pass finds the change. */
  private watch(signal: AbortSignal): void {
    if (this.watching) return;
    this.watching = true;
    const ended = () => {
      this.watching = false;
    };
    const onEvent = (about: 'node' | 'service') => {
      if (about === 'service') this.swarmReporter.servicesChanged();
      this.wake.abort();
    };
    this.parts.engine.watch(onEvent, signal).then(ended, ended);
  }
}

/** The error's message, without any join token. */
function errorText(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/SWMTKN-\S+/g, 'SWMTKN-***').slice(0, 500);
}
