/**
 * Instances and volumes of the emulated EC2 as simulated nodes: they boot, read their user data, and start the real
 * agent.
 */
import type { Notice } from '../../../protocol/report';
import type { Credentials, HealthCheck, MachineSpec, Machines } from '../../aws/core/types';
import { readUserData, type BootInstructions } from './agent-config';
import type { Disk } from '../docker/disk';
import { SimulatedNode, type SimulatedNodeProps } from './node';

/** From power-on until user data has installed everything, in milliseconds. */
const BOOT_MS = { least: 15_000, most: 45_000 };
/** How long the engine may take to stop before the power is cut. */
const POWEROFF_MS = 10_000;

export type NodeSurroundings = Pick<SimulatedNodeProps, 'clock' | 'faults' | 'link' | 'docker' | 'withoutRaftFence'> & {
  /** The credentials of the instance's role. */
  credentials(instanceId: string): Credentials | undefined;
  skew(instanceId: string): number;
  notice(instanceId: string): Notice | undefined;
  connected(instanceId: string): boolean;
  loseInstance(instanceId: string): void;
  log(instanceId: string, line: string): void;
  onEffect(node: SimulatedNode, effect: string, argument: unknown): void;
};

export class SimulatedMachines implements Machines {
  /** The nodes that are switched on. */
  readonly nodes = new Map<string, SimulatedNode>();
  readonly volumes = new Map<string, Disk>();

  constructor(private readonly around: NodeSurroundings) {}

  async launch(spec: MachineSpec): Promise<void> {
    const { clock, faults, link, docker } = this.around;
    const { instanceId, privateIpAddress, availabilityZone, instanceType, lifecycle, userData } = spec;
    const instructions = readUserData(userData);
    const node = new SimulatedNode({
      clock,
      faults,
      link,
      docker,
      withoutRaftFence: this.around.withoutRaftFence,
      config: instructions.config,
      identity: { instanceId, address: privateIpAddress, zone: availabilityZone, instanceType, lifecycle },
      hostname: `ip-${privateIpAddress.replaceAll('.', '-')}`,
      accessKeyId: this.around.credentials(instanceId)!.accessKeyId,
      skew: () => this.around.skew(instanceId),
      notice: () => this.around.notice(instanceId),
      connected: () => this.around.connected(instanceId),
      loseInstance: () => this.around.loseInstance(instanceId),
      log: (level, message, fields) => this.around.log(instanceId, JSON.stringify({ level, message, ...fields })),
      onEffect: (effect, argument) => this.around.onEffect(node, effect, argument),
    });
    this.nodes.set(instanceId, node);
    clock.after(
      BOOT_MS.least + clock.random() * (BOOT_MS.most - BOOT_MS.least),
      () => void this.runUserData(node, instructions),
    );
  }

  async terminate(instanceId: string): Promise<void> {
    const node = this.nodes.get(instanceId);
    if (node === undefined) return;
    this.nodes.delete(instanceId);
    const { clock } = this.around;
    await Promise.race([node.switchOff(true), clock.sleep(POWEROFF_MS)]);
    await node.switchOff(false);
  }

  /** A fault: everything in the instance is killed at once. */
  lose(instanceId: string): void {
    void this.nodes.get(instanceId)?.switchOff(false);
    this.nodes.delete(instanceId);
  }

  async createVolume(volumeId: string): Promise<void> {
    this.volumes.set(volumeId, {});
  }

  async attachVolume(instanceId: string, volumeId: string): Promise<void> {
    this.nodes.get(instanceId)?.attach(volumeId, this.volumes.get(volumeId)!);
  }

  async detachVolume(instanceId: string): Promise<void> {
    this.nodes.get(instanceId)?.detach();
  }

  async deleteVolume(volumeId: string): Promise<void> {
    this.volumes.delete(volumeId);
  }

  async answers(instanceId: string, check: HealthCheck): Promise<boolean> {
    return (await this.nodes.get(instanceId)?.answers(check)) ?? false;
  }

  /** With `set -e`: if the agent cannot be fetched after all retries, it is never started. */
  private async runUserData(
    node: SimulatedNode,
    { config, bucket, key, retries, pauseSeconds }: BootInstructions,
  ): Promise<void> {
    if (!node.on) return;
    const { clock, link, credentials, connected } = this.around;
    const { instanceId } = node.identity;
    const caller = { accessKeyId: credentials(instanceId)!.accessKeyId, connected: () => connected(instanceId) };
    for (let attempt = 0; node.on; attempt++) {
      try {
        await link.ask(caller, 's3', 'GetObject', { Bucket: bucket, Key: key });
        break;
      } catch (error) {
        if (attempt === retries)
          return this.around.log(
            instanceId,
            `User data failed: ${error instanceof Error ? error.message : String(error)}`,
          );
        await clock.sleep(pauseSeconds * 1_000);
      }
    }
    node.startAgent();
    // The agent's log shipper does this. It reads files, so it is not simulated. A node works even when its log cannot
    // be written.
    const stream = { logGroupName: config.logGroup, logStreamName: `${instanceId}/boot` };
    try {
      await link.ask(caller, 'logs', 'CreateLogStream', stream);
      await link.ask(caller, 'logs', 'PutLogEvents', {
        ...stream,
        logEvents: [{ message: 'User data has ended.', timestamp: clock.now() }],
      });
    } catch (error) {
      this.around.log(
        instanceId,
        `The boot log could not be written: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
