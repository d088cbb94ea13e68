/**
 * What the agent does to its own machine: the state volume and the engine's service. The only file that runs programs.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, open, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { validityOf, type Validity } from './certificate';

const run = promisify(execFile);

/** Where Docker keeps its state: the mount point of a seat's volume. */
export const DOCKER_ROOT = '/var/lib/docker';
export const NODE_CERTIFICATE = `${DOCKER_ROOT}/swarm/certificates/swarm-node.crt`;
/** On the instance's own disk: work that was begun here must be forgotten with the instance. */
const BEGUN = '/var/lib/cdk-docker-swarm/begun';
const DAEMON_CONFIG = '/etc/docker/daemon.json';
/**
 * Timeout for programs of the operating system. Formatting 16 TiB takes a few seconds, because ext4 initialises lazily.
 */
const TIMEOUT_MS = 120_000;
/** How many bytes of a device must be zero for it to count as blank. */
const BLANK_BYTES = 1024 * 1024;

export interface Host {
  /** The device of an attached EBS volume, or undefined until it appears. */
  findDevice(volumeId: string): Promise<string | undefined>;
  /** Whether this device is mounted where Docker keeps its state. An image may have its own partition there. */
  isMounted(device: string): Promise<boolean>;
  /** Mounts the device. Formats it first if, and only if, nothing was ever written to it. */
  mountVolume(device: string): Promise<void>;
  /** Writes `daemon.json`; true if that changed it. Takes effect when the engine starts. */
  configureEngine(config: Record<string, unknown>): Promise<boolean>;
  /** Stops its socket, too, which would start it again. */
  stopEngine(): Promise<void>;
  /** Sends SIGKILL, because a hanging engine reacts to nothing gentler. systemd restarts it. */
  killEngine(): Promise<void>;
  /** Resolves when the engine answers. */
  startEngine(): Promise<void>;
  /** Records that this work was begun; false if it was begun before, by an agent that died. */
  begin(name: string): Promise<boolean>;
  /** Whether the engine holds the certificate of a swarm node. */
  isCertified(): Promise<boolean>;
  /** Validity of that certificate; undefined if there is none. */
  certificateValidity(): Promise<Validity | undefined>;
}

export const linuxHost: Host = {
  async findDevice(volumeId) {
    // On Nitro instances a link has the volume's id; older ones only have the device name of the attachment.
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
    // Kills everything in its control group; containers are in containerd's.
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
    // Docker writes it when the swarm has issued it, and deletes it when the node leaves.
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

/** In the format of /proc/self/mountinfo. https://sourceware.org/git/?p=glibc.git;a=blob;f=bits/sysmacros.h */
function deviceNumber(rdev: number): string {
  const device = BigInt(rdev);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/**
 * Whether `blkid` finds no file system, partition table or other signature, and the start of the device is all zeros.
 */
async function isBlank(device: string): Promise<boolean> {
  const signature = await run('blkid', ['-p', device], { timeout: TIMEOUT_MS }).catch((error: { code?: number }) => {
    // 2: nothing found. 8: several contradicting signatures, so the device is not blank.
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
