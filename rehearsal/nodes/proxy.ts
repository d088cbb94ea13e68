/**
 * The emulated load balancers as a real one: HAProxy, which takes connections on addresses of the region's loopback and passes each on to a target that is routed to now. It checks nobody's health and tries nothing twice, as a
 * Network Load Balancer does not: what it knows are the emulated targets. Source of its settings: https://docs.haproxy.org/2.6/configuration.html
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../protocol/clock';
import type { LoadBalancerView } from '../aws/elb/model';
import type { EmulatedRegion } from '../aws/region';

/** HAProxy may still be at work on the last change. */
const BETWEEN_RELOADS_MS = 200;
/** Longer than a connection takes within one machine. */
const CONNECT_SECONDS = 3;

/** A connection that was not served: when it was accepted (milliseconds since 1970), and, in HAProxy's two letters, how it ended, with the server that it went to. */
export interface Failure {
  at: number;
  how: string;
}

export class RealProxy {
  readonly failures: Failure[] = [];
  private readonly file: string;
  private process: ChildProcess | undefined;
  private served = '';
  private reloading = false;

  /** @param folder for its configuration and socket */
  constructor(
    private readonly region: EmulatedRegion,
    private readonly clock: Clock,
    folder: string,
  ) {
    this.file = join(folder, 'haproxy.cfg');
    region.onEvent(({ source }) => {
      if (source === 'elb') void this.refresh();
    });
    void this.refresh();
  }

  /** Where a listener of the first load balancer takes connections. */
  url(port: number): string {
    return `http://${addressOf(0)}:${port}/`;
  }

  private async refresh(): Promise<void> {
    if (this.reloading) return;
    this.reloading = true;
    for (let wanted: string; (wanted = this.configuration()) !== this.served; ) {
      this.served = wanted;
      writeFileSync(this.file, wanted);
      if (this.process) this.process.kill('SIGUSR2');
      else this.start();
      await this.clock.sleep(BETWEEN_RELOADS_MS);
    }
    this.reloading = false;
  }

  /** Its master goes on over all reloads; who serves a connection at that moment serves it to its end. */
  private start(): void {
    const child = spawn('haproxy', ['-W', '-db', '-f', this.file], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.process = child;
    // What it says of each reload is of no interest.
    child.stderr!.setEncoding('utf8').on('data', (part: string) => process.stderr.write(part.split('\n').filter((line) => line.startsWith('[ALERT]')).map((line) => `${line}\n`).join('')));
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => {
      const lines = (text + part).split('\n');
      text = lines.pop()!;
      for (const line of lines) {
        const [, seconds, milliseconds, how] = /^failed (\d+) (\d+) (.+)$/.exec(line) ?? [];
        if (how) this.failures.push({ at: Number(seconds) * 1_000 + Number(milliseconds), how });
      }
    });
  }

  private configuration(): string {
    const addresses = new Map(this.region.instances().map(({ instanceId, privateIpAddress }) => [instanceId, privateIpAddress]));
    return configuration(this.region.loadBalancers(), addresses, `${this.file}.sock`);
  }
}

const addressOf = (loadBalancer: number) => `127.0.1.${loadBalancer + 1}`;

/** @param addresses of instances, by id; `socket`: by it a reload takes over what is listened on, so that nobody is turned away */
export function configuration(loadBalancers: readonly LoadBalancerView[], addresses: ReadonlyMap<string, string>, socket: string): string {
  const sections = loadBalancers.flatMap(({ listeners }, n) =>
    listeners
      // It passes neither packets nor certificates.
      .filter(({ protocol }) => protocol === 'TCP')
      .map(({ port, targets }) => [
        `listen port-${n}-${port}`,
        `  bind ${addressOf(n)}:${port}`,
        '  balance random',
        ...targets.filter(({ routed }) => routed).map(({ instanceId, port: at }) => `  server ${instanceId} ${addresses.get(instanceId)}:${at}`),
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
