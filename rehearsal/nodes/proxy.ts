/**
 * The emulated load balancers as a real one: HAProxy, which takes connections on addresses of the region's loopback and
 * passes each on to a target that is routed to now. It checks nobody's health and tries nothing twice, as a Network
 * Load Balancer does not: what it knows are the emulated targets. Source of its settings:
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
 * Longer than a connection takes within one machine: also one whose first packet is dropped, since the server's queue
 * is full, is asked for again after 1 s and after 3 s.
 */
const CONNECT_SECONDS = 4;

/**
 * A connection that was not served: when it was accepted (milliseconds since 1970), and, in HAProxy's two letters, how
 * it ended, with the server that it went to.
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
  /** The process id of the worker that takes connections. */
  private worker: string | undefined;
  private ended: string | undefined;

  /** @param folder for its configuration and socket */
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

  /**
   * Where a listener of the first load balancer takes connections.
   * @throws Error when HAProxy has ended
   */
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
   * Asked by way of the master: while that starts or reloads it answers nobody, and a signal would end it, or be lost.
   */
  private async presentWorker(): Promise<string | undefined> {
    const said = await text(connect(this.masterSocket).end('@1 show info\n')).catch(() => '');
    return /^Pid: (\d+)/m.exec(said)?.[1] ?? this.worker;
  }

  /** Its master goes on over all reloads; who serves a connection at that moment serves it to its end. */
  private start(): void {
    const child = spawn(this.program, ['-W', '-db', '-S', this.masterSocket, '-f', this.file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process = child;
    child.once('error', ({ message }) => (this.ended = `HAProxy was not started: ${message}`));
    child.once('exit', (code, signal) => (this.ended = `HAProxy has ended: ${signal ?? `exit status ${code}`}.`));
    // What it says of each reload is of no interest.
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

  /** Takes no more connections. */
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
 * @param addresses of instances, by id; `socket`: by it a reload takes over what is listened on, so that nobody is
 * turned away
 */
export function configuration(
  loadBalancers: readonly LoadBalancerView[],
  addresses: ReadonlyMap<string, string>,
  socket: string,
): string {
  const sections = loadBalancers.flatMap(({ listeners }, n) =>
    listeners
      // It passes neither packets nor certificates.
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
