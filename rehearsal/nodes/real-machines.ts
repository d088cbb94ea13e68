/**
 * Instances as real nodes: namespaces with their own root (an overlay of the machine's), in which the template's own
 * user data runs. Must run inside a region (namespaces.ts), as root.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Clock } from '../../protocol/clock';
import type { HealthCheck, MachineSpec, Machines } from '../aws/core/types';
import { configureHost, installStandIns, STAND_INS } from '../stand-ins/install';
import { SYSTEMD_STATE } from '../stand-ins/systemctl';
import { hierarchies, inGroups, makeGroups, removeGroups, type Hierarchy } from './cgroups';
import { buildScript, environmentOf, INIT } from './init';
import { makeNetwork, plug, routerOf, unplug } from './network';
import { run } from './shell';
import { LoopVolumes } from './volumes';

/**
 * How long services may take to stop before the instance is switched off. EC2 gives them minutes. An engine takes about
 * 2 s; a manager without quorum (which the last one always is) would wait 20 s for nothing.
 */
const POWEROFF_MS = 5_000;
const CUT_OFF = [
  ['INPUT', '-i', 'eth0', '-j', 'DROP'],
  ['OUTPUT', '-o', 'eth0', '-j', 'DROP'],
];
/** Longer than a just started engine takes to answer when all start at once. */
const ENGINE_TIMEOUT_MS = 10_000;

/** How long to wait for the answer to one health check. */
const ANSWER_SECONDS = 5;

/** How much of each of an instance's log files is kept, in characters. */
const KEPT_LOG = 256 * 1024;

export interface RealMachinesProps {
  clock: Clock;
  /** The run's id. */
  run: string;
  /** A folder that is not on the file system of `/`: overlays keep their changes there. */
  folder: string;
  /** Where instances reach the emulated AWS. */
  endpoint: string;
  /** The Node.js binary that instances find as `node-22`. */
  node: string;
  /** The Docker engine's binary. */
  dockerd: string;
  /** The bundle of stand-ins/aws.ts. */
  awsStandIn: string;
  /** Called when an instance begins to boot. */
  onLaunch?(spec: MachineSpec): void;
  /** Called when user data has ended, with its exit status. */
  onUserData?(instanceId: string, status: number): void;
}

/** The main process of a service, by its id inside the instance. */
export interface ServiceProcess {
  id: string;
  /** As systemd sees it: the engine answers. */
  ready: boolean;
}

interface Node {
  spec: MachineSpec;
  folder: string;
  groups: string[];
  /** The bridge's end of its veth pair. */
  port: string;
  process: ChildProcess;
  /** The instance's process 1, by its id in the region. */
  processId: number;
  gone: Promise<void>;
}

/**
 * The host name that EC2 gives an instance. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-naming.html
 */
export function hostName(address: string): string {
  return `ip-${address.replaceAll('.', '-')}`;
}

export class RealMachines implements Machines {
  private readonly nodes = new Map<string, Promise<Node>>();
  private readonly volumes: LoopVolumes;
  private readonly hierarchies: Hierarchy[] = hierarchies();
  private readonly groups: string[];
  /** Instances that are cut off from the network. */
  private readonly unreachable = new Set<string>();
  private readonly lastLogs = new Map<string, Record<string, string>>();
  private ports = 0;

  private constructor(private readonly props: RealMachinesProps) {
    this.groups = JSON.parse(process.env.REHEARSAL_CGROUPS ?? '[]') as string[];
    this.volumes = new LoopVolumes(join(props.folder, 'volumes'), props.run, props.clock);
  }

  /** Creates the network, after which a server can listen on the metadata address. */
  static async start(props: RealMachinesProps): Promise<RealMachines> {
    await makeNetwork();
    return new RealMachines(props);
  }

  async launch(spec: MachineSpec): Promise<void> {
    if (!this.nodes.has(spec.instanceId)) {
      this.nodes.set(spec.instanceId, this.boot(spec));
      this.props.onLaunch?.(spec);
    }
    await this.nodes.get(spec.instanceId);
  }

  async terminate(instanceId: string): Promise<void> {
    const node = await this.nodes.get(instanceId)?.catch(() => undefined);
    if (node === undefined) return;
    this.keepLogs(node);
    node.process.stdin?.write('poweroff\n');
    const late = this.props.clock.after(POWEROFF_MS, () => node.process.kill('SIGKILL'));
    await node.gone;
    late();
    await this.clear(node);
  }

  /** A fault: everything in the instance is killed at once. */
  async kill(instanceId: string): Promise<void> {
    const node = await this.get(instanceId);
    this.keepLogs(node);
    node.process.kill('SIGKILL');
    await node.gone;
    await this.clear(node);
  }

  async createVolume(volumeId: string, sizeGiB: number): Promise<void> {
    this.volumes.create(volumeId, sizeGiB);
  }

  async attachVolume(instanceId: string, volumeId: string): Promise<void> {
    await this.volumes.attach(volumeId, instanceId, await this.root(instanceId));
  }

  async detachVolume(instanceId: string, volumeId: string): Promise<void> {
    await this.volumes.detach(volumeId, instanceId);
  }

  async deleteVolume(volumeId: string): Promise<void> {
    this.volumes.delete(volumeId);
  }

  /** Asks from inside the instance as if from outside: a cut-off instance does not answer. */
  async answers(instanceId: string, { protocol, port, path = '/' }: HealthCheck): Promise<boolean> {
    if (this.unreachable.has(instanceId)) return false;
    const seconds = String(ANSWER_SECONDS);
    if (protocol === 'TCP') {
      return this.exec(instanceId, ['timeout', seconds, 'bash', '-c', `: </dev/tcp/127.0.0.1/${port}`]).then(
        () => true,
        () => false,
      );
    }
    // A load balancer does not verify a target's certificate.
    const asking = [
      'curl',
      '--silent',
      '--insecure',
      '--max-time',
      seconds,
      '--output',
      '/dev/null',
      '--write-out',
      '%{http_code}',
      `${protocol.toLowerCase()}://127.0.0.1:${port}${path}`,
    ];
    const status = Number(await this.exec(instanceId, asking).catch(() => '0'));
    return status >= 200 && status < 400;
  }

  /** Ids of the volumes that exist. */
  volumeIds(): string[] {
    return this.volumes.ids();
  }

  /** Ids of the instances that run. */
  running(): string[] {
    return [...this.nodes.keys()];
  }

  /** Runs a program in an instance and gives its standard output. */
  async exec(instanceId: string, argv: string[]): Promise<string> {
    const { processId, groups } = await this.get(instanceId);
    const enter = [
      'nsenter',
      '--target',
      String(processId),
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--pid',
      '--cgroup',
      '--',
    ];
    const [program, ...args] = inGroups(groups, [
      ...enter,
      'env',
      '-i',
      ...environmentOf(this.props.endpoint),
      ...argv,
    ]);
    return run(program!, args);
  }

  /** Undefined while the service does not run. */
  async serviceProcess(instanceId: string, unit: string): Promise<ServiceProcess | undefined> {
    const id = (await this.readFile(instanceId, `${SYSTEMD_STATE}/${unit}/main`))?.trim();
    return id ? { id, ready: existsSync(join(await this.root(instanceId), SYSTEMD_STATE, unit, 'ready')) } : undefined;
  }

  /**
   * A fault: kills one process of an instance. Its children live on or end with it, as on any machine.
   * @returns false when it had already ended
   */
  async killProcess(instanceId: string, processId: string): Promise<boolean> {
    return this.exec(instanceId, ['kill', '-KILL', processId]).then(
      () => true,
      (error: Error) => {
        if (!error.message.includes('No such process')) throw error;
        return false;
      },
    );
  }

  /** A fault: the engine of an instance hangs; it neither receives nor sends anything. */
  async hangEngine(instanceId: string): Promise<void> {
    const { id } = (await this.serviceProcess(instanceId, 'docker'))!;
    await this.exec(instanceId, ['kill', '-STOP', id]);
  }

  /** A fault: cuts an instance off from the network in both directions. */
  async cutOff(instanceId: string): Promise<void> {
    this.unreachable.add(instanceId);
    for (const rule of CUT_OFF) await this.exec(instanceId, ['iptables', '-I', ...rule]);
  }

  async connect(instanceId: string): Promise<void> {
    for (const rule of CUT_OFF) await this.exec(instanceId, ['iptables', '-D', ...rule]);
    this.unreachable.delete(instanceId);
  }

  /** The contents of a file of an instance, or undefined when it does not exist. */
  async readFile(instanceId: string, path: string): Promise<string | undefined> {
    const file = join(await this.root(instanceId), path);
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /**
   * The files in `/var/log` of every instance that was ever launched, by instance id and file name. Those of a
   * terminated instance are as it left them.
   */
  async logs(): Promise<Record<string, Record<string, string>>> {
    for (const node of await Promise.all([...this.nodes.values()].map((boot) => boot.catch(() => undefined))))
      if (node !== undefined) this.keepLogs(node);
    return Object.fromEntries(this.lastLogs);
  }

  private keepLogs({ spec, processId }: Node): void {
    const folder = `/proc/${processId}/root/var/log`;
    // An instance that has just died has no root; keep what was read before.
    if (!existsSync(folder)) return;
    const files = readdirSync(folder).filter((name) => name.endsWith('.log'));
    this.lastLogs.set(
      spec.instanceId,
      Object.fromEntries(files.map((name) => [name, readEnd(join(folder, name), KEPT_LOG)])),
    );
  }

  /** Calls the instance's Docker engine on its own socket: `GET /nodes`, ... */
  async engine(instanceId: string, path: string, timeoutMs = ENGINE_TIMEOUT_MS): Promise<unknown> {
    const socketPath = join(await this.root(instanceId), 'run/docker.sock');
    return new Promise((resolve, reject) => {
      const asking = request({ socketPath, path, timeout: timeoutMs }, (answer) => {
        let body = '';
        answer.setEncoding('utf8');
        answer.on('data', (part: string) => (body += part));
        answer.on('error', reject);
        answer.on('end', () =>
          answer.statusCode === 200
            ? resolve(JSON.parse(body))
            : reject(new Error(`GET ${path} of the engine of ${instanceId}: ${answer.statusCode} ${body.trim()}`)),
        );
      });
      asking.on('timeout', () =>
        asking.destroy(
          new Error(`GET ${path} of the engine of ${instanceId}: no answer within ${timeoutMs / 1_000} s.`),
        ),
      );
      asking.on('error', reject);
      asking.end();
    });
  }

  /** The instance's root folder as this process sees it. */
  private async root(instanceId: string): Promise<string> {
    return `/proc/${(await this.get(instanceId)).processId}/root`;
  }

  private async get(instanceId: string): Promise<Node> {
    const node = await this.nodes.get(instanceId);
    if (node === undefined) throw new Error(`No instance ${instanceId} runs.`);
    return node;
  }

  private async boot(spec: MachineSpec): Promise<Node> {
    const folder = join(this.props.folder, 'nodes', spec.instanceId);
    for (const name of ['upper', 'work', 'root', 'var-lib']) mkdirSync(join(folder, name), { recursive: true });
    const name = hostName(spec.privateIpAddress);
    installStandIns(join(folder, 'upper'), this.props.awsStandIn);
    configureHost(join(folder, 'upper'), name, spec.privateIpAddress);
    if (!spec.userData.startsWith('#!'))
      throw new Error(
        `The user data of ${spec.instanceId} is not a script: it begins with ` +
          `${JSON.stringify(spec.userData.slice(0, 20))}.`,
      );
    writeFileSync(join(folder, 'upper', STAND_INS, 'user-data'), spec.userData, { mode: 0o755 });
    writeFileSync(join(folder, 'upper', STAND_INS, 'init'), INIT);

    const groups = makeGroups(this.groups, spec.instanceId);
    const router = routerOf(spec.subnetCidr);
    const unshare = [
      'unshare',
      '--net',
      '--mount',
      '--uts',
      '--ipc',
      '--pid',
      '--cgroup',
      '--fork',
      '--kill-child',
      '--',
    ];
    const { node, dockerd, endpoint } = this.props;
    const build = [
      '/bin/sh',
      '-c',
      buildScript(this.hierarchies),
      'build',
      folder,
      name,
      spec.privateIpAddress,
      String(router.prefixLength),
      router.address,
      node,
      dockerd,
      ...environmentOf(endpoint),
    ];
    const [program, ...args] = inGroups(groups, [...unshare, ...build]);
    const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.on('error', () => undefined);
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (part: string) => (errors = (errors + part).slice(-4_000)));
    const lines = lineReader(child);

    const failed = () =>
      new Error(
        `Instance ${spec.instanceId} did not start: ${errors.trim() || 'its first process ended without output'}`,
      );
    const processId = Number(/^pid (\d+)$/.exec((await lines.next()) ?? '')?.[1]);
    if (!processId) throw failed();
    const port = `node${this.ports++}`;
    await plug(processId, port, spec.privateIpAddress, spec.subnetCidr);
    child.stdin.write('go\n');
    if ((await lines.next()) !== 'running') throw failed();
    void lines.next().then((line) => {
      const status = /^user-data (\d+)$/.exec(line ?? '')?.[1];
      if (status !== undefined) this.props.onUserData?.(spec.instanceId, Number(status));
    });
    return { spec, folder, groups, port, process: child, processId, gone };
  }

  private async clear(node: Node): Promise<void> {
    const { instanceId } = node.spec;
    await unplug(node.port);
    for (const volumeId of this.volumes.attachedTo(instanceId)) await this.volumes.detach(volumeId, instanceId);
    // The last threads of killed processes may leave their groups shortly after the parent has seen them end.
    while (!removeGroups(node.groups)) await this.props.clock.sleep(5);
    rmSync(node.folder, { recursive: true, force: true });
    this.nodes.delete(instanceId);
  }
}

/** Reads a process's standard output line by line; undefined once it has ended. */
function lineReader(child: ChildProcess): { next(): Promise<string | undefined> } {
  const lines: string[] = [];
  const waiting: ((line: string | undefined) => void)[] = [];
  let rest = '';
  let ended = false;
  child.stdout!.setEncoding('utf8').on('data', (part: string) => {
    const parts = (rest + part).split('\n');
    rest = parts.pop()!;
    for (const line of parts) (waiting.shift() ?? ((text) => lines.push(text!)))(line);
  });
  child.stdout!.on('end', () => {
    ended = true;
    for (const resolve of waiting.splice(0)) resolve(undefined);
  });
  return {
    next: () => new Promise((resolve) => (lines.length > 0 || ended ? resolve(lines.shift()) : waiting.push(resolve))),
  };
}

/** The last bytes of a file, which may be larger than a string can be. */
function readEnd(file: string, bytes: number): string {
  const opened = openSync(file, 'r');
  try {
    const { size } = fstatSync(opened);
    const end = Buffer.alloc(Math.min(size, bytes));
    return end.toString('utf8', 0, readSync(opened, end, 0, end.length, size - end.length));
  } finally {
    closeSync(opened);
  }
}
