/** The simulated engines, in virtual time. */
import type { PublishedPort } from '../../../../protocol/swarm';
import type { Disk } from '../../../../rehearsal/simulation/docker/disk';
import type { SimulatedDaemon } from '../../../../rehearsal/simulation/docker/daemon';
import { SimulatedDocker } from '../../../../rehearsal/simulation/docker/simulated-docker';
import { VirtualClock } from '../../../../rehearsal/simulation/virtual-clock';
import { describeEngine, type Engines, type Harness } from './conformance';

class SimulatedEngines implements Engines {
  readonly patience = 1;
  private readonly docker: SimulatedDocker;
  private readonly daemons = new Map<number, SimulatedDaemon>();
  private readonly disks = new Map<number, Disk>();
  private readonly addresses = new Map<number, string>();

  constructor(private readonly clock: VirtualClock) {
    this.docker = new SimulatedDocker(clock);
  }

  engine(number: number): SimulatedDaemon {
    if (!this.daemons.has(number)) this.daemons.set(number, this.daemon(number));
    return this.daemons.get(number)!;
  }

  async isCertified(number: number): Promise<boolean> {
    return this.disks.get(number)?.docker?.certificate !== undefined;
  }

  address(number: number): string {
    return this.addresses.get(number) ?? `10.0.0.${10 + number}`;
  }

  async start(number: number): Promise<void> {
    this.engine(number).start();
    await this.engine(number).info();
  }

  async kill(number: number): Promise<void> {
    this.engine(number).kill();
  }

  stop(number: number): Promise<void> {
    return this.engine(number).stop();
  }

  async cut(a: number, b: number): Promise<void> {
    this.docker.network.cut(this.address(a), this.address(b));
  }

  async heal(a: number, b: number): Promise<void> {
    this.docker.network.heal(this.address(a), this.address(b));
  }

  async joinUnheard(number: number, remote: number, token: string): Promise<void> {
    const [engine, address] = [this.engine(number), this.address(number)];
    // Its session is there before its member of raft, which the leader cannot dial for a while.
    const join = engine
      .joinSwarm({ remote: this.address(remote), token, advertiseAddress: address })
      .catch(() => undefined);
    const disk = this.disks.get(number)!;
    const active = () => disk.docker?.local.joinInProgress === false;
    while (engine.running && !(active() && disk.docker!.raft?.unheard)) {
      if (active() && !disk.docker!.raft?.unheard) break;
      await this.clock.sleep(1);
    }
    engine.kill();
    await join;
  }

  publish(number: number, ports: PublishedPort[]): Promise<void> {
    return this.engine(number).publish(ports);
  }

  async changeAddress(number: number, address: string): Promise<void> {
    this.addresses.set(number, address);
    this.daemons.delete(number);
  }

  now(): number {
    return this.clock.now();
  }

  sleep(ms: number): Promise<void> {
    return this.clock.sleep(ms);
  }

  private daemon(number: number): SimulatedDaemon {
    if (!this.disks.has(number)) this.disks.set(number, {});
    const address = this.address(number);
    return this.docker.daemon({
      address,
      hostname: `ip-${address.replaceAll('.', '-')}`,
      disk: this.disks.get(number)!,
      labels: () => ({ 'aws.instance-id': `i-${number}` }),
    });
  }
}

for (const seed of [1, 2, 3]) {
  const clock = new VirtualClock(seed);
  const harness: Harness = {
    begin: async () => new SimulatedEngines(clock),
    finish: (work) => clock.finish(work, 3_600_000),
    end: async () => undefined,
    atOnce: Infinity,
    tries: 1,
    test,
  };
  describeEngine(`Simulated Docker, seed ${seed}`, harness);
}
