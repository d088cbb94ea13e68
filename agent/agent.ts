/**
 * The program on every node: looks at the volume, the engine and its mailbox, takes the next step, and reports what
 * changed. Everything is decided from what is there (`plan.ts`), so it may be killed at any line and started again.
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

/** While the volume is awaited: nothing is asked but whether its device is there. */
const VOLUME_MS = 50;
/**
 * Between two looks while something is to happen to this node, and once nothing is. DynamoDB charges each reading of
 * the mailbox.
 */
const EAGER_MS = 100;
/**
 * While nothing happens to a node that waits, its pauses grow with its waiting, to this share of it and to this much: a
 * fleet that waits for a swarm, or is throttled, must not ask ten times a second each. Nobody waits 5 % longer for
 * that.
 */
const WAITING_SHARE = 0.05;
const WAITING_MS = 2_000;
const MANAGER_REST_MS = 2_000;
const WORKER_REST_MS = 5_000;
/**
 * How old an engine's answer may be while no command changes anything. Docker runs several programs for each `GET
 * /info`.
 */
const ENGINE_MS = 1_000;
/**
 * A settled worker reads its mailbox this often: 1,000 of them cost about 8 USD a month (0.125 USD per million read
 * units, of which an eventually consistent read takes half a one).
 */
const WORKER_MAILBOX_MS = 20_000;
/** Heartbeats are writes, five times the price of a read. */
const MANAGER_HEARTBEAT_MS = 15_000;
const WORKER_HEARTBEAT_MS = 60_000;
/**
 * A manager's report, which may hold join tokens, is written again this often though nothing changed: an earlier one
 * may have come later, from an agent that died while its request was on its way. A write that changes nothing wakes
 * nobody: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
 */
const MANAGER_REPORT_MS = 300_000;
/**
 * How often a node looks whether its instance is about to end: as often as AWS recommends.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
 */
const NOTICE_MS = 5_000;
/** How often a node looks whether its certificate was renewed. */
const CERTIFICATE_MS = 3_600_000;
/**
 * How long nobody must have asked for a join that goes on, before it is ended. Eventually consistent reads are behind
 * by a second or so.
 */
const ABORT_JOIN_MS = 5_000;
/**
 * How long an engine that runs may be silent before it is killed, so that systemd starts it again. One that is still
 * starting is waited for by systemd, however long it takes.
 */
const ENGINE_SILENT_MS = 60_000;
/** How long an engine stays in its error before it is restarted. systemd starts Docker three times a minute at most. */
const ENGINE_FAILED_MS = 20_000;
/**
 * In what steps, in seconds, it is reported for how long the engine has named no leader: each is a write, and wakes a
 * function.
 */
const LEADERLESS_STEP_S = 30;
/** A look takes no longer, also while the engine answers late that it knows no leader. */
const LOOK_MS = 60_000;
/** After a command that failed, and after an error, so that a broken part is not hammered. */
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
  /** A step that is taken only once it has been the next one for some time. */
  private delayedStep: { kind: Step['kind']; since: number } | undefined;
  private wake = new AbortController();
  /** The removal that this node, as leader, was told to carry out. */
  private removal: { id: string; work: Removal } | undefined;
  /**
   * For how long all answers of the engine, a manager's, have named no leader, in milliseconds, and when the last one
   * came.
   */
  private leaderless: { ms: number; at: number | undefined } = { ms: 0, at: undefined };
  private notice: Notice | undefined;
  private noticeSoughtAt = Number.NEGATIVE_INFINITY;
  private certificateSeenAt = Number.NEGATIVE_INFINITY;
  private watching = false;
  private settled = false;
  /** What the last look saw, and since when it has been so. */
  private lastView = { text: '', since: 0 };

  constructor(private readonly parts: AgentParts) {
    this.manager = parts.config.role === 'manager';
    this.swarmReporter = new SwarmReporter(parts.engine, parts.mailbox, parts.clock);
    this.orders = new Orders(parts.engine, parts.clock, parts.log);
  }

  /** Runs until the signal aborts. Never throws: what fails is logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.wake.abort());
    while (!signal.aborted) {
      let pause: number;
      try {
        pause = await this.look(signal);
      } catch (error) {
        this.parts.log('warn', 'A look failed; the next one tries again.', { error: errorText(error) });
        pause = ERROR_PAUSE_MS;
      }
      if (pause > 0 && !signal.aborted) await this.parts.clock.sleep(pause, this.wake.signal);
      if (!signal.aborted) this.wake = new AbortController();
    }
  }

  /**
   * One look, at most one step. Resolves with the pause until the next look, in milliseconds: none after a step, since
   * it changed the picture.
   */
  private async look(signal: AbortSignal): Promise<number> {
    if (!this.configured) await this.configureEngine();
    const volume = await this.lookAtVolume();
    if (volume && !volume.mounted && !volume.device) {
      await this.report(volume, undefined, undefined);
      await this.heartbeat(false);
      return VOLUME_MS;
    }
    await this.seekNotice();
    try {
      await this.readMailbox();
    } catch (error) {
      // A table that cannot be reached makes no node ill, nor well.
      const info = await this.askEngine();
      this.countLeaderless(info);
      this.parts.health.see(this.illness(info));
      throw error;
    }
    // A request that ends while the engine is being asked has changed what it said.
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

  private async seekNotice(): Promise<void> {
    const { metadata, clock, log } = this.parts;
    const now = clock.now();
    // A spot instance that is taken back is terminated by its group soon after; nothing comes after that.
    if (this.notice === 'termination' || isRecent(this.noticeSoughtAt, now, NOTICE_MS)) return;
    this.noticeSoughtAt = now;
    const before = this.notice;
    this.notice = await metadata.notice().catch((error: unknown) => {
      log('warn', 'The instance metadata service does not say whether this instance is to end.', {
        error: errorText(error),
      });
      return before;
    });
    if (this.notice !== before) log('info', 'This instance is to end.', { notice: this.notice });
  }

  /** An answer that does not come says nothing; nor do the clock's own steps, or a machine that stood still. */
  private countLeaderless(info: EngineInfo | undefined): void {
    const { ms, at } = this.leaderless;
    if (info === undefined) this.leaderless = { ms, at: undefined };
    else if (!info.swarm.controlAvailable || info.swarm.swarmId !== undefined)
      this.leaderless = { ms: 0, at: undefined };
    else {
      const now = this.parts.clock.now();
      this.leaderless = { ms: ms + Math.min(Math.max(now - (at ?? now), 0), LOOK_MS), at: now };
    }
  }

  private illness(info: EngineInfo | undefined): Illness {
    if (this.inbox.leaving || this.notice === 'termination') return 'This instance leaves the cluster.';
    if (this.notice) return 'EC2 takes this instance back.';
    return info?.swarm.state === 'active' ? undefined : 'The Docker engine is no active node of a swarm.';
  }

  private async watchCertificate(): Promise<void> {
    const { host, clock, log } = this.parts;
    const now = clock.now();
    if (isRecent(this.certificateSeenAt, now, CERTIFICATE_MS)) return;
    this.certificateSeenAt = now;
    const validity = await host.certificateValidity().catch(
      (error: unknown) =>
        void log('error', 'The certificate of this node cannot be read.', {
          metric: CERTIFICATE_METRIC,
          error: errorText(error),
        }),
    );
    if (validity && isOverdue(validity, now))
      log(
        'error',
        'Docker should have renewed the certificate of this node long ago. When it has run out, the node ' +
          'is down for good.',
        { metric: CERTIFICATE_METRIC, until: isoTime(validity.until) },
      );
  }

  /** True when the step changed something, so that another look is due at once. */
  private async take(step: Step, info: EngineInfo | undefined): Promise<boolean> {
    const { host, engine, identity, log } = this.parts;
    if (step.kind !== this.delayedStep?.kind) this.delayedStep = undefined;
    switch (step.kind) {
      case 'rest':
        return false;
      case 'refuse':
        // Whoever hears of it may tell another manager to join: this one must not do so after all, should its clock be
        // set back.
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
        // One that does not answer all the same is told of, and not started again at once.
        if (!silent) return false;
        log('warn', 'Killing the engine: it runs, but has not answered for some time.', {
          seconds: ENGINE_SILENT_MS / 1_000,
        });
        this.delayedStep = undefined;
        await host.killEngine();
        return false;
      }
      case 'restart-engine':
        if (!this.hasLasted(step.kind, ENGINE_FAILED_MS)) return false;
        log('warn', 'Restarting the engine.', { reason: step.reason });
        // The next step starts it.
        await host.stopEngine();
        return true;
      case 'leave':
        log('info', 'Leaving the swarm.', { reason: step.reason });
        await engine.leaveSwarm({ force: true });
        return true;
      case 'end-join':
        // What the mailbox shows may be a second old: the command that asks for it may have been written already.
        if (!this.hasLasted(step.kind, ABORT_JOIN_MS)) return false;
        log('info', 'Ending the join.', { reason: step.reason });
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
        // Docker itself uses the first address only: another one at each try.
        const { managers, token, id } = step.command;
        const remote = managers[this.joinAttempts++ % managers.length]!;
        // A manager's join that fails may succeed later, when nobody is behind it any more: whether it is tried again
        // is for those to say who see the list.
        if (this.manager && !(await host.begin(id))) {
          if (this.lastCommand?.id !== id) this.lastCommand = { id, outcome: 'failed', error: 'It was tried once.' };
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
   * One step towards it, as long as this node leads. What is refused or done is looked at again all the same: it costs
   * one list.
   */
  private async remove(command: CommandOf<'remove' | 'retire'>): Promise<void> {
    if (!(await this.leads(await this.askEngine()))) return this.refuse(command, 'This node does not lead.');
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
   * An engine that ran before it was configured (an image that starts Docker at boot) is stopped: it knows neither its
   * labels nor, on a manager, where its state belongs.
   */
  private async configureEngine(): Promise<void> {
    const { host, config, identity, log } = this.parts;
    const changed = await host.configureEngine(daemonConfig(config, identity));
    if (changed && (await this.askEngine())) {
      log('info', 'Stopping an engine that was started before it was configured.');
      await host.stopEngine();
    }
    this.configured = true;
  }

  /**
   * Remembers how a command fares while the looks go on: the engine is a member some time before its answer comes, and
   * a join that does not succeed takes 20 s. A failure is no end: the command stays valid, and the next look decides
   * anew.
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

  /** Whether this node leads the swarm. Without a quorum the engine cannot say, and nobody does. */
  private async leads(info: EngineInfo | undefined): Promise<boolean> {
    const { controlAvailable, nodeId } = info?.swarm ?? {};
    if (!controlAvailable || !nodeId) return false;
    return this.parts.engine.isLeader(nodeId).catch((error: unknown) => {
      this.parts.log('warn', 'The engine does not say who leads.', { error: errorText(error) });
      return false;
    });
  }

  /** Whether there is still something to be done about other nodes. */
  private async carryOutOrders(): Promise<boolean> {
    const read = await this.parts.mailbox.readOrders();
    if (read.ok) return (await this.orders.rotate(read.value.rotation)) || this.orders.next(read.value.orders);
    if (read.refusal !== 'missing') this.parts.log('warn', 'Orders were ignored.', { refusal: read.refusal });
    return false;
  }

  /**
   * False when the swarm turned out to be stillborn, and was left: it is to be made anew. Not once its tokens are
   * published: others may be members then, whatever this engine says.
   */
  private async reportSwarm(tokens: Report['tokens']): Promise<boolean> {
    try {
      await this.swarmReporter.report(tokens);
      return true;
    } catch (error) {
      if (this.inbox.publishedTokens !== undefined || !(await this.swarmReporter.isStillborn(error))) throw error;
      this.parts.log('warn', 'The swarm was never finished. Leaving it, so that it is made anew.', {
        error: errorText(error),
      });
      await this.parts.engine.leaveSwarm({ force: true });
      this.engine = undefined;
      return false;
    }
  }

  /** The swarm's join tokens while leader-token has not acknowledged them. */
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

  /** Wakes the leader's agent as soon as a node or a service changes. Without it, a later look finds the change too. */
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

/** What went wrong, in the words of who said so, without any join token in it. */
function errorText(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/SWMTKN-\S+/g, 'SWMTKN-***').slice(0, 500);
}
