/**
 * Real engines for the conformance suite: a region whose first process (conformance-region.ts) starts and ends them;
 * they are asked through their own sockets.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { DockerSocket } from '../../agent/docker-socket';
import { NODE_CERTIFICATE } from '../../agent/host';
import { systemClock as clock } from '../../protocol/clock';
import { CERTIFICATE_LABEL } from '../../protocol/labels';
import type { PublishedPort } from '../../protocol/swarm';
import { Janitor, makeRunGroups, startRegion } from '../../rehearsal/nodes/namespaces';
import { findProgram } from '../../rehearsal/nodes/preflight';
import type { Engines } from '../rehearsal/simulation/docker/conformance';
import type { Answer, Order } from './conformance-region';
import { textOf } from './support';

/**
 * By then a joining engine has its session with the leader, but for its member of raft. And so long a join may take
 * after that.
 */
const SESSION_MS = 900;
const JOINED_MS = 15_000;

export class RealEngines implements Engines {
  /** A dozen engines on two processors, which may have other work too. */
  readonly patience = 2;
  private orders = 0;
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private readonly sockets = new Map<number, DockerSocket>();
  private readonly addresses = new Map<number, string>();

  private constructor(
    private readonly run: string,
    private readonly region: ChildProcess,
    private readonly janitor: Janitor,
  ) {
    region.on('message', (answer: Answer) => {
      this.waiting.get(answer.id)?.(answer);
      this.waiting.delete(answer.id);
    });
  }

  /**
   * @param run an id that no other run has
   * @param temporary a folder of the run
   * @param program conformance-region.ts, bundled
   */
  static async make(run: string, temporary: string, program: string, awsStandIn: string): Promise<RealEngines> {
    const groups = makeRunGroups(run);
    const janitor = new Janitor(run, temporary, groups);
    const dockerd = findProgram('dockerd', process.env.PATH ?? '')!;
    const region = startRegion(
      groups,
      [process.execPath, program, run, dockerd, awsStandIn],
      ['ignore', 'inherit', 'inherit', 'ipc'],
      { ...process.env, TMPDIR: temporary },
    );
    const engines = new RealEngines(run, region, janitor);
    const ready = engines.answerTo(0);
    await Promise.race([
      ready,
      new Promise((_, reject) => region.once('exit', () => reject(new Error('The region did not start.')))),
    ]);
    return engines;
  }

  engine(number: number): DockerSocket {
    if (!this.sockets.has(number)) this.sockets.set(number, new DockerSocket(this.varLib(number, 'docker.sock')));
    return this.sockets.get(number)!;
  }

  async isCertified(number: number): Promise<boolean> {
    return existsSync(this.varLib(number, relative('/var/lib', NODE_CERTIFICATE)));
  }

  /** A path below `/var/lib` of a node, as it is seen from here. */
  private varLib(number: number, path: string): string {
    const { pid } = this.region;
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    return `/proc/${first}/root/run/region/nodes/i-${String(number).padStart(17, '0')}/var-lib/${path}`;
  }

  address(number: number): string {
    return this.addresses.get(number) ?? `10.0.0.${10 + number}`;
  }

  now(): number {
    return clock.now();
  }

  sleep(ms: number): Promise<void> {
    return clock.sleep(ms);
  }

  async start(number: number): Promise<void> {
    await this.order('start', number, this.address(number));
  }

  async kill(number: number): Promise<void> {
    await this.order('kill', number);
  }

  async stop(number: number): Promise<void> {
    await this.order('stop', number);
  }

  async cut(a: number, b: number): Promise<void> {
    await this.order('cut', a, this.address(b));
  }

  async heal(a: number, b: number): Promise<void> {
    await this.order('heal', a, this.address(b));
  }

  async joinUnheard(number: number, remote: number, token: string): Promise<void> {
    const remoteAddress = this.address(remote);
    const fromRemote = `INPUT -p tcp --dport 2377 -s ${remoteAddress} -j DROP`;
    const [raft, local] = [
      this.varLib(number, 'docker/swarm/raft/wal-v3-encrypted'),
      this.varLib(number, 'docker/swarm/docker-state.json'),
    ];
    const active = () => existsSync(raft) && /"JoinInProgress":\s*false/.test(readFileSync(local, 'utf8'));
    const pid = this.enginePid(number);
    // The leader cannot dial it for a while: so its session is there before it is a member, and the join ends as soon
    // as it is one.
    await this.order('sh', number, `iptables -w -I ${fromRemote}`);
    const join = this.engine(number)
      .joinSwarm({ remote: remoteAddress, token, advertiseAddress: this.address(number) })
      .catch(() => undefined);
    await clock.sleep(SESSION_MS);
    await this.order('sh', number, `iptables -w -D ${fromRemote}`);
    for (const end = clock.now() + JOINED_MS; !active() && clock.now() < end;) await clock.sleep(1);
    process.kill(pid, 'SIGKILL');
    await this.kill(number);
    await join;
  }

  /** The process of an engine as it is seen from here. */
  private enginePid(number: number): number {
    const label = `=i-${String(number).padStart(17, '0')}`;
    const found = readdirSync('/proc').find(
      (pid) =>
        /dockerd\0/.test(textOf(`/proc/${pid}/cmdline`)) &&
        textOf(`/proc/${pid}/cmdline`).includes(label) &&
        textOf(`/proc/${pid}/cgroup`).includes(this.run),
    );
    if (found === undefined) throw new Error(`Engine ${number} does not run.`);
    return Number(found);
  }

  /** Without tasks: no image is needed. */
  async publish(number: number, ports: PublishedPort[]): Promise<void> {
    const create = ({ service, port, protocol, mode, certificate }: PublishedPort) =>
      `docker service create --detach --no-resolve-image --name ${service} --replicas 0 ` +
      `${certificate === undefined ? '' : `--label ${CERTIFICATE_LABEL}=${certificate}`} --publish ` +
      `published=${port},target=80,protocol=${protocol},mode=${mode} none`;
    await this.order(
      'sh',
      number,
      ['docker service ls --quiet | xargs --no-run-if-empty docker service rm', ...ports.map(create)].join(' && '),
    );
  }

  async changeAddress(number: number, address: string): Promise<void> {
    await this.order('changeAddress', number, this.address(number), address);
    this.addresses.set(number, address);
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.region.once('exit', resolve));
    this.region.disconnect();
    await ended;
    await this.janitor.clean();
  }

  private async order(verb: Order['verb'], ...args: unknown[]): Promise<unknown> {
    const id = ++this.orders;
    const answer = this.answerTo(id);
    this.region.send({ id, verb, args } satisfies Order);
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(error);
    return result;
  }

  private answerTo(id: number): Promise<Answer> {
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }
}
