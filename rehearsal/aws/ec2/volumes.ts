/** EBS volumes and their attachments. */
import { isoTime } from '../../../protocol/clock';
import type { Context } from '../core/context';
import { matchesFilters, tagList, type Tags } from '../core/describe';
import { AwsError, type Machines } from '../core/types';
import { paged, select } from './requests';
import { enqueue, type Instance } from './instance';

export interface VolumeView {
  volumeId: string;
  sizeGiB: number;
  availabilityZone: string;
  state: 'available' | 'in-use';
  attachment: { instanceId: string; device: string; state: 'attaching' | 'attached' | 'detaching' } | undefined;
  tags: Tags;
  /** ARN of the customer's key. */
  encryptionKey?: string;
}

interface Volume extends VolumeView {
  type: string;
  encrypted: boolean;
  createdAt: number;
  attachment: (NonNullable<VolumeView['attachment']> & { at: number }) | undefined;
}

export class Volumes {
  private readonly volumes = new Map<string, Volume>();

  constructor(
    private readonly context: Context,
    private readonly machines: Machines,
    /** @throws AwsError when the instance does not exist */
    private readonly instance: (id: string) => Instance,
  ) {}

  ids(): string[] {
    return [...this.volumes.keys()];
  }

  views(): VolumeView[] {
    return [...this.volumes.values()];
  }

  view(volumeId: string): VolumeView | undefined {
    return this.volumes.get(volumeId);
  }

  attachedTo(instanceId: string): Volume[] {
    return [...this.volumes.values()].filter((volume) => volume.attachment?.instanceId === instanceId);
  }

  /** Releases the volumes of a terminated instance. */
  releaseAll(instanceId: string): void {
    for (const volume of this.attachedTo(instanceId)) this.released(volume);
  }

  async create(input: {
    sizeGiB: number;
    availabilityZone: string;
    type: string;
    encrypted: boolean;
    encryptionKey?: string;
    tags: Tags;
  }): Promise<VolumeView> {
    const volume: Volume = {
      volumeId: this.context.id('vol'),
      state: 'available',
      attachment: undefined,
      createdAt: this.context.clock.now(),
      ...input,
    };
    await this.machines.createVolume(volume.volumeId, volume.sizeGiB);
    this.volumes.set(volume.volumeId, volume);
    return volume;
  }

  async delete(id: string): Promise<void> {
    const volume = this.volumes.get(id);
    if (!volume) return;
    if (volume.attachment)
      throw new AwsError('VolumeInUse', `Volume ${id} is currently attached to ${volume.attachment.instanceId}`);
    this.volumes.delete(id);
    await this.machines.deleteVolume(id);
  }

  attach(input: Record<string, any>): Record<string, any> {
    const { VolumeId: volumeId, InstanceId: instanceId, Device: device } = input;
    const volume = this.find(volumeId);
    const instance = this.instance(instanceId);
    // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    if (volume.attachment) throw new AwsError('VolumeInUse', `${volumeId} is already attached to an instance`);
    if (instance.state !== 'running')
      throw new AwsError('IncorrectState', `Instance '${instanceId}' is not 'running'.`);
    if (volume.availabilityZone !== instance.availabilityZone) {
      throw new AwsError(
        'InvalidVolume.ZoneMismatch',
        `The volume '${volumeId}' is not in the same availability zone as instance '${instanceId}'`,
      );
    }
    if (
      [...this.volumes.values()].some(
        (other) => other.attachment?.instanceId === instanceId && other.attachment?.device === device,
      )
    ) {
      throw new AwsError(
        'InvalidParameterValue',
        `Invalid value '${device}' for unixDevice. Attachment point ${device} is already in use`,
      );
    }
    const attachment = {
      instanceId,
      device,
      state: 'attaching' as 'attaching' | 'attached',
      at: this.context.clock.now(),
    };
    volume.state = 'in-use';
    volume.attachment = attachment;
    this.context.start(async () => {
      await this.context.delay('attachVolume');
      if (volume.attachment !== attachment) return;
      try {
        await enqueue(instance, async () => {
          if (volume.attachment === attachment && instance.state === 'running')
            await this.machines.attachVolume(instanceId, volumeId, device);
        });
      } catch (error) {
        if (volume.attachment !== attachment) return;
        this.context.emit('ec2', 'attach-failed', volumeId, {
          instanceId,
          reason: error instanceof Error ? error.message : String(error),
        });
        this.released(volume);
        return;
      }
      if (volume.attachment !== attachment || instance.state !== 'running') return;
      attachment.state = 'attached';
      this.context.emit('ec2', 'volume-attached', volumeId, { instanceId, device });
    });
    return attachmentOutput(volume)!;
  }

  detach(input: Record<string, any>): Record<string, any> {
    const volume = this.find(input.VolumeId);
    const attachment = volume.attachment;
    if (!attachment || attachment.state === 'detaching') {
      throw new AwsError(
        'IncorrectState',
        `Volume '${volume.volumeId}' is in the '${attachment ? 'detaching' : 'available'}' state.`,
      );
    }
    if (input.InstanceId !== undefined && input.InstanceId !== attachment.instanceId) {
      throw new AwsError(
        'InvalidAttachment.NotFound',
        `The volume '${volume.volumeId}' is not attached to instance '${input.InstanceId}'.`,
      );
    }
    const instance = this.instance(attachment.instanceId);
    attachment.state = 'detaching';
    this.context.start(async () => {
      await this.context.delay('detachVolume');
      try {
        await enqueue(instance, async () => {
          if (volume.attachment === attachment) await this.machines.detachVolume(instance.instanceId, volume.volumeId);
        });
        if (volume.attachment === attachment) this.released(volume);
      } catch (error) {
        // In EC2 too, a volume that is still mounted stays attached (`busy`).
        attachment.state = 'attached';
        this.context.emit('ec2', 'detach-failed', volume.volumeId, {
          instanceId: instance.instanceId,
          reason: error instanceof Error ? error.message : String(error),
        });
      }
    });
    return attachmentOutput(volume)!;
  }

  describe(input: Record<string, any>): Record<string, any> {
    const found = select(input, 'VolumeIds', 'volumeSet', (id) => this.find(id), [...this.volumes.values()]).filter(
      (volume) =>
        matchesFilters(input.Filters, volume.tags, {
          'volume-id': volume.volumeId,
          status: volume.state,
          'availability-zone': volume.availabilityZone,
          'attachment.instance-id': volume.attachment?.instanceId,
          'attachment.status': volume.attachment?.state,
          'attachment.device': volume.attachment?.device,
        }),
    );
    const { items, next } = paged(found, input);
    return {
      Volumes: items.map((volume) => {
        const attachment = attachmentOutput(volume);
        return {
          VolumeId: volume.volumeId,
          Size: volume.sizeGiB,
          AvailabilityZone: volume.availabilityZone,
          State: volume.state,
          VolumeType: volume.type,
          Encrypted: volume.encrypted,
          SnapshotId: '',
          CreateTime: isoTime(volume.createdAt),
          Attachments: attachment ? [attachment] : [],
          Tags: tagList(volume.tags),
        };
      }),
      NextToken: next,
    };
  }

  private released(volume: Volume): void {
    const instanceId = volume.attachment?.instanceId;
    volume.attachment = undefined;
    volume.state = 'available';
    this.context.emit('ec2', 'volume-detached', volume.volumeId, { instanceId });
  }

  private find(id: string): Volume {
    const volume = this.volumes.get(id);
    if (!volume) throw new AwsError('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
    return volume;
  }
}

function attachmentOutput(volume: Volume): Record<string, any> | undefined {
  const { attachment, volumeId } = volume;
  return (
    attachment && {
      VolumeId: volumeId,
      InstanceId: attachment.instanceId,
      Device: attachment.device,
      State: attachment.state,
      AttachTime: isoTime(attachment.at),
      DeleteOnTermination: false,
    }
  );
}
