/**
 * EBS volumes as sparse files behind loop devices. A volume outlives the instances it is attached to. This process
 * holds the device open, and the kernel removes it when its last holder (this process, or a mount in a node) ends, so
 * nothing stays when everything dies at once.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Clock } from '../../protocol/clock';
import { run } from './shell';

/** How long a device may stay in use after its node has ended. */
const RELEASE_MS = 20_000;
const POLL_MS = 5;

interface Volume {
  file: string;
  attached?: { instanceId: string; loop: string; descriptor: number; paths: string[] };
}

export class LoopVolumes {
  private readonly volumes = new Map<string, Volume>();

  /**
   * @param folder for the files
   * @param run the run's id, which is part of each file's name so that the janitor finds its devices
   */
  constructor(
    private readonly folder: string,
    private readonly run: string,
    private readonly clock: Clock,
  ) {
    mkdirSync(folder, { recursive: true });
  }

  create(volumeId: string, sizeGiB: number): void {
    if (this.volumes.has(volumeId)) return;
    const file = join(this.folder, `${volumeId}.${this.run}`);
    writeFileSync(file, '');
    truncateSync(file, sizeGiB * 2 ** 30);
    this.volumes.set(volumeId, { file });
  }

  /**
   * @param root the instance's root folder, seen from here
   * @throws Error when the volume is attached to another instance
   */
  async attach(volumeId: string, instanceId: string, root: string): Promise<void> {
    const volume = this.get(volumeId);
    if (volume.attached?.instanceId === instanceId) return;
    if (volume.attached)
      throw new Error(
        `Volume ${volumeId} is attached to ${volume.attached.instanceId} and cannot be attached to ${instanceId}.`,
      );
    const loop = (await run('losetup', ['--find', '--show', volume.file])).trim();
    const descriptor = openSync(loop, 'r');
    // While a process has it open, "detach" takes effect at the last close:
    // https://man7.org/linux/man-pages/man8/losetup.8.html
    await run('losetup', ['--detach', loop]);
    const number = [...Array(26).keys()].find((n) => !existsSync(join(root, `dev/nvme${n + 1}n1`)));
    const device = `nvme${number! + 1}n1`;
    // Source of the link's name: https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html
    const link = join(root, 'dev/disk/by-id', `nvme-Amazon_Elastic_Block_Store_${volumeId.replace('-', '')}`);
    volume.attached = { instanceId, loop, descriptor, paths: [link, join(root, 'dev', device)] };
    const [major, minor] = readFileSync(`/sys/block/${basename(loop)}/dev`, 'utf8')
      .trim()
      .split(':');
    await run('mknod', [join(root, 'dev', device), 'b', major!, minor!]);
    await run('ln', ['-s', `../../${device}`, link]);
  }

  /** Resolves when nothing uses the device, and every write to it has reached the volume. */
  async detach(volumeId: string, instanceId: string): Promise<void> {
    const volume = this.get(volumeId);
    if (volume.attached?.instanceId !== instanceId) return;
    const { loop, descriptor, paths } = volume.attached;
    for (const path of paths) rmSync(path, { force: true });
    closeSync(descriptor);
    const deadline = this.clock.now() + RELEASE_MS;
    while (this.backs(loop, volume.file)) {
      if (this.clock.now() > deadline)
        throw new Error(`Volume ${volumeId} is still in use on ${instanceId}: unmount it there before you detach it.`);
      await this.clock.sleep(POLL_MS);
    }
    delete volume.attached;
  }

  ids(): string[] {
    return [...this.volumes.keys()];
  }

  attachedTo(instanceId: string): string[] {
    return [...this.volumes]
      .filter(([, { attached }]) => attached?.instanceId === instanceId)
      .map(([volumeId]) => volumeId);
  }

  delete(volumeId: string): void {
    const volume = this.volumes.get(volumeId);
    if (volume === undefined) return;
    if (volume.attached)
      throw new Error(`Volume ${volumeId} is attached to ${volume.attached.instanceId} and cannot be deleted.`);
    rmSync(volume.file);
    this.volumes.delete(volumeId);
  }

  private get(volumeId: string): Volume {
    const volume = this.volumes.get(volumeId);
    if (volume === undefined) throw new Error(`There is no volume ${volumeId}.`);
    return volume;
  }

  private backs(loop: string, file: string): boolean {
    try {
      return readFileSync(`/sys/block/${basename(loop)}/loop/backing_file`, 'utf8')
        .trim()
        .endsWith(basename(file));
    } catch {
      return false;
    }
  }
}
