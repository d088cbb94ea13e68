/**
 * What the agent does to its own machine: the state volume and the engine's service. The only file that runs programs.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, open, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { validityOf, type Validity } from './certificate';

const run = promisify(execFile);

/** Where Docker keeps its state, and where a seat's volume is mounted. */
export const DOCKER_ROOT = '/var/lib/docker';
export const NODE_CERTIFICATE = `${DOCKER_ROOT}/swarm/certificates/swarm-node.crt`;
/** On the instance's own disk: what is begun here is over when the instance is. */
const BEGUN = '/var/lib/cdk-docker-swarm/begun';
const DAEMON_CONFIG = '/etc/docker/daemon.json';
/**
 * Programs of the operating system that hang are given up. Formatting 16 TiB takes a few seconds, since ext4
 * initialises lazily.
 */
const TIMEOUT_MS = 120_000;
/** How much of a device must be zeros before it counts as blank. */
const BLANK_BYTES = 1024 * 1024;

export interface Host {
  /** The device of an attached EBS volume, or undefined while it is not there. */
  findDevice(volumeId: string): Promise<string | undefined>;
  /**
   * Whether this very device is mounted where Docker keeps its state. An image may have a partition of its own there.
   */
  isMounted(device: string): Promise<boolean>;
  /** Formats the device if, and only if, nothing was ever written to it; then mounts it. */
  mountVolume(device: string): Promise<void>;
  /** Writes `daemon.json`; true when it was not so already. Takes effect when the engine starts. */
  configureEngine(config: Record<string, unknown>): Promise<boolean>;
  /** Also its socket, which would start it again. */
  stopEngine(): Promise<void>;
  /** SIGKILL, for an engine that hangs: it would not hear of anything gentler. systemd starts it again. */
  killEngine(): Promise<void>;
  /** Resolves when the engine answers. */
  startEngine(): Promise<void>;
  /** Writes down that the work of this name is begun; false when it was begun before, by an agent that died. */
  begin(name: string): Promise<boolean>;
  /** Whether the engine has the certificate of a node of a swarm. */
  isCertified(): Promise<boolean>;
  /** Of that certificate; undefined without one. */
  certificateValidity(): Promise<Validity | undefined>;
}

export const linuxHost: Host = {
  async findDevice(volumeId) {
    // Nitro instances name the link by the volume; older ones have only the name that the volume was attached under.
    // https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html
    const candidates = [
      `/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volumeId.replace('-', '')}`,
      '/dev/sdf',
      '/dev/xvdf',
    ];
    for (const path of candidates) {
      const device = await realpath(path).catch(() => undefined);
      if (device) return device;
    }
    return undefined;
  },

  async isMounted(device) {
    const [mounts, { rdev }] = await Promise.all([readFile('/proc/self/mountinfo', 'utf8'), stat(device)]);
    return mounts.split('\n').some((line) => {
      const [, , number, , path] = line.split(' ');
      return path === DOCKER_ROOT && number === deviceNumber(rdev);
    });
  },

  async mountVolume(device) {
    if (await isBlank(device)) await run('mkfs.ext4', ['-q', device], { timeout: TIMEOUT_MS });
    await mkdir(DOCKER_ROOT, { recursive: true });
    await run('mount', ['-t', 'ext4', device, DOCKER_ROOT], { timeout: TIMEOUT_MS });
  },

  async configureEngine(config) {
    const text = `${JSON.stringify(config, null, 2)}\n`;
    if ((await readFile(DAEMON_CONFIG, 'utf8').catch(() => undefined)) === text) return false;
    await mkdir(dirname(DAEMON_CONFIG), { recursive: true });
    await writeFile(DAEMON_CONFIG, text);
    return true;
  },

  async stopEngine() {
    await run('systemctl', ['stop', 'docker.socket', 'docker.service'], { timeout: TIMEOUT_MS });
  },

  async killEngine() {
    // Everything in its control group; containers are in containerd's.
    await run('systemctl', ['kill', '--signal=SIGKILL', 'docker.service'], { timeout: TIMEOUT_MS });
  },

  async startEngine() {
    await run('systemctl', ['start', 'docker'], { timeout: TIMEOUT_MS });
  },

  async begin(name) {
    await mkdir(BEGUN, { recursive: true });
    try {
      await (await open(`${BEGUN}/${name}`, 'wx')).close();
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  },

  async isCertified() {
    // Written when the swarm has issued it, and deleted when the node leaves.
    // https://github.com/moby/swarmkit/blob/master/ca/config.go (NewConfigPaths)
    return access(NODE_CERTIFICATE).then(
      () => true,
      () => false,
    );
  },

  async certificateValidity() {
    const pem = await readFile(NODE_CERTIFICATE, 'utf8').catch(() => undefined);
    return pem === undefined ? undefined : validityOf(pem);
  },
};

/** As /proc/self/mountinfo writes it. https://sourceware.org/git/?p=glibc.git;a=blob;f=bits/sysmacros.h */
function deviceNumber(rdev: number): string {
  const device = BigInt(rdev);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** No file system, partition table or other signature that `blkid` knows, and nothing but zeros where one would be. */
async function isBlank(device: string): Promise<boolean> {
  const signature = await run('blkid', ['-p', device], { timeout: TIMEOUT_MS }).catch((error: { code?: number }) => {
    // 2: nothing found. 8: several contradicting signatures, which is anything but blank.
    // https://man7.org/linux/man-pages/man8/blkid.8.html
    if (error.code === 2) return undefined;
    throw error;
  });
  if (signature) return false;
  const file = await open(device, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BLANK_BYTES), 0, BLANK_BYTES, 0);
    return buffer.subarray(0, bytesRead).every((byte) => byte === 0);
  } finally {
    await file.close();
  }
}
