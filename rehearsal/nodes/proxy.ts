/**
 * A real proxy for the emulated load balancers: HAProxy accepts connections on loopback addresses of the region and
 * forwards each to a target that currently receives traffic. Like a Network Load Balancer it retries nothing. It does
 * no health checks either: it follows the emulated targets. Source of its settings:
 * https://docs.haproxy.org/2.6/configuration.html
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Clock } from '../../protocol/clock';
import type { LoadBalancerView } from '../aws/elb/model';
import type { EmulatedRegion } from '../aws/region';

const POLL_MS = 20;
/**
 * Longer than a connection takes within one machine. If the server's queue is full and drops the first packet, TCP
 * retries after 1 s and after 3 s.
 */
const CONNECT_SECONDS = 4;

/**
 * A connection that failed: when it was accepted (milliseconds since 1970), HAProxy's two-letter termination state, and
 * its server.
 */
export interface Failure {
  at: number;
  how: string;
}

export class RealProxy {
  readonly failures: Failure[] = [];
  private readonly file: string;
  private readonly masterSocket: string;
  private process: ChildProcess | undefined;
  private served = '';
  private reloading = false;
  /** The process id of the worker that accepts connections. */
  private worker: string | undefined;
  private ended: string | undefined;

  /** @param folder holds its configuration and socket */
  constructor(
    private readonly region: EmulatedRegion,
    private readonly clock: Clock,
    folder: string,
    private readonly program = 'haproxy',
  ) {
    this.file = join(folder, 'haproxy.cfg');
    this.masterSocket = `${this.file}.master`;
    region.onEvent(({ source }) => {
      if (source === 'elb') void this.refresh();
    });
    void this.refresh();
  }

  /** The URL of a listener of the first load balancer. @throws Error when HAProxy has ended */
  url(port: number): string {
    if (this.ended !== undefined) throw new Error(this.ended);
    return `http://${addressOf(0)}:${port}/`;
  }

  private async refresh(): Promise<void> {
    if (this.reloading) return;
    this.reloading = true;
    for (let wanted: string; (wanted = this.configuration()) !== this.served;) {
      this.served = wanted;
      writeFileSync(this.file, wanted);
      if (this.process) this.process.kill('SIGUSR2');
      else this.start();
      const last = this.worker;
      while (this.ended === undefined && (this.worker === undefined || this.worker === last)) {
        await this.clock.sleep(POLL_MS);
        this.worker = await this.presentWorker();
      }
    }
    this.reloading = false;
  }

  /**
   * Asks through the master, which does not answer while it starts or reloads. A signal at that time would end it or be
   * lost.
   */
  private async presentWorker(): Promise<string | undefined> {
    const said = await text(connect(this.masterSocket).end('@1 show info\n')).catch(() => '');
    return /^Pid: (\d+)/m.exec(said)?.[1] ?? this.worker;
  }

  /** The master survives all reloads. A worker that serves a connection during a reload finishes it. */
  private start(): void {
    const child = spawn(this.program, ['-W', '-db', '-S', this.masterSocket, '-f', this.file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process = child;
    child.once('error', ({ message }) => (this.ended = `HAProxy could not be started: ${message}`));
    child.once('exit', (code, signal) => (this.ended = `HAProxy has ended: ${signal ?? `exit status ${code}`}.`));
    // Messages about reloads are not needed.
    child.stderr!.setEncoding('utf8').on('data', (part: string) =>
      process.stderr.write(
        part
          .split('\n')
          .filter((line) => line.startsWith('[ALERT]'))
          .map((line) => `${line}\n`)
          .join(''),
      ),
    );
    let rest = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => {
      const lines = (rest + part).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const [, seconds, milliseconds, how] = /^failed (\d+) (\d+) (.+)$/.exec(line) ?? [];
        if (how) this.failures.push({ at: Number(seconds) * 1_000 + Number(milliseconds), how });
      }
    });
  }

  /** Stops accepting connections. */
  end(): Promise<void> {
    const { process: child } = this;
    if (child === undefined || this.ended !== undefined) return Promise.resolve();
    const gone = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill('SIGTERM');
    return gone;
  }

  private configuration(): string {
    const addresses = new Map(
      this.region.instances().map(({ instanceId, privateIpAddress }) => [instanceId, privateIpAddress]),
    );
    return configuration(this.region.loadBalancers(), addresses, `${this.file}.sock`);
  }
}

const addressOf = (loadBalancer: number) => `127.0.1.${loadBalancer + 1}`;

/**
 * @param addresses of instances, by id; `socket` hands listening sockets over at a reload, so that no connection is
 * refused
 */
export function configuration(
  loadBalancers: readonly LoadBalancerView[],
  addresses: ReadonlyMap<string, string>,
  socket: string,
): string {
  const sections = loadBalancers.flatMap(({ listeners }, n) =>
    listeners
      // The proxy supports neither UDP nor TLS.
      .filter(({ protocol }) => protocol === 'TCP')
      .map(({ port, targets }) => [
        `listen port-${n}-${port}`,
        `  bind ${addressOf(n)}:${port}`,
        '  balance random',
        ...targets
          .filter(({ routed }) => routed)
          .map(({ instanceId, port: at }) => `  server ${instanceId} ${addresses.get(instanceId)}:${at}`),
      ]),
  );
  return [
    'global',
    `  stats socket ${socket} expose-fd listeners level admin`,
    '  log stdout format raw local0',
    'defaults',
    '  mode tcp',
    '  log global',
    '  option dontlog-normal',
    '  log-format "failed %Ts %ms %ts %s %Tw/%Tc/%Tt"',
    '  retries 0',
    `  timeout connect ${CONNECT_SECONDS}s`,
    '  timeout client 60s',
    '  timeout server 60s',
    ...sections.flat(),
    '',
  ].join('\n');
}
