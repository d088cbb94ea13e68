/**
 * The simulated clusters: cloud assemblies of an app in several sizes, each with a variant in which CloudFormation
 * creates one seat after another.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SEAT_TAG } from '../../protocol/tags';
import { changeAssembly, readStack, synthesise, type Template } from '../assembly/synth';
import { hash, isDeployment, type Act, type FaultKind } from './faults';

export interface Setup {
  managers: number;
  workers: number;
  /**
   * Each seat waits for the previous one, and workers for the first, as a user's stack may arrange it.
   * @default false: as in the template, all launch at once, and only the functions serialise them
   */
  chained?: boolean;
  /** See `ManagerProps`. */
  volumeGenerations?: Record<string, number>;
  /** Workers are spot instances. @default false */
  spot?: boolean;
  /** Puts a load balancer in front of all nodes, with a listener on port 80; it follows the ports 8000 to 8999. */
  balanced?: boolean;
  /** The port of that listener. @default 80 */
  listener?: number;
  /** Whether it follows published ports. @default true */
  follows?: boolean;
}

export interface Assembly {
  folder: string;
  stackName: string;
}

/** What a run deploys during the faults. */
export interface Next {
  assembly: Assembly;
  /** The seat that loses its volume before the deployment, if any. */
  lostSeat?: number;
}

const SIZES = [
  { managers: 3, workers: 2 },
  { managers: 1, workers: 1 },
  { managers: 3, workers: 1 },
  { managers: 5, workers: 1 },
  { managers: 3, workers: 4 },
];

export function setupOf(seed: number, act: Act): Setup {
  return {
    ...SIZES[Math.floor(hash(seed, 201) * SIZES.length)]!,
    chained: hash(seed, 202) < 0.5,
    spot: act === 'healing',
  };
}

export class Assemblies {
  private readonly known = new Map<string, Promise<Assembly>>();

  /**
   * @param app the folder with `cdk.json`; the app must read the context values `managers` and `workers`
   * @param folder an empty folder
   */
  constructor(
    private readonly app: string,
    private readonly folder: string,
  ) {}

  of(setup: Setup): Promise<Assembly> {
    const generations = setup.volumeGenerations
      ? `-${JSON.stringify(setup.volumeGenerations).replace(/\W+/g, '-')}`
      : '';
    const key = `${setup.managers}-${setup.workers}${generations}${setup.balanced ? `-balanced-${setup.listener ?? 80}${setup.follows === false ? '-alone' : ''}` : ''}${setup.chained ? '-chained' : ''}${setup.spot ? '-spot' : ''}`;
    if (!this.known.has(key)) {
      const assembly = setup.chained
        ? this.variant(key, { ...setup, chained: false }, chain)
        : setup.spot
          ? this.variant(key, { ...setup, spot: false }, withSpotWorkers)
          : this.synthesised(key, setup);
      this.known.set(key, assembly);
    }
    return this.known.get(key)!;
  }

  /** The same stack with a changed template, under its own name. */
  async changed(setup: Setup, name: string, change: (template: Template) => Template): Promise<Assembly> {
    const key = `${name}-${JSON.stringify(setup).replace(/\W+/g, '-')}`;
    if (!this.known.has(key)) this.known.set(key, this.variant(key, setup, change));
    return this.known.get(key)!;
  }

  /**
   * The deployment among these faults, if any. Never volume-loss for a single manager: with its volume it would lose
   * the swarm.
   */
  async next(seed: number, setup: Setup, faults: readonly FaultKind[]): Promise<Next | undefined> {
    const { managers } = setup;
    switch (faults.find(isDeployment)) {
      case 'refresh':
        return { assembly: await this.changed(setup, 'other-instances', otherInstances) };
      case 'resize':
        return { assembly: await this.of({ ...setup, managers: managers === 3 ? 5 : 3 }) };
      case 'volume-loss': {
        if (managers < 3) return undefined;
        const lostSeat = Math.floor(hash(seed, 203) * managers);
        return {
          assembly: await this.changed(setup, `other-volume-${lostSeat}`, (template) =>
            otherVolume(template, lostSeat),
          ),
          lostSeat,
        };
      }
      default:
        return undefined;
    }
  }

  private async synthesised(
    key: string,
    { managers, workers, volumeGenerations, balanced, listener = 80, follows = true }: Setup,
  ): Promise<Assembly> {
    const out = join(this.folder, key);
    mkdirSync(out, { recursive: true });
    await synthesise(
      this.app,
      out,
      {
        managers,
        workers,
        ...(volumeGenerations && { volumeGenerations }),
        ...(balanced && { listener: { port: listener } }),
        ...(balanced && follows && { follow: { from: 8000, to: 8999 } }),
      },
      [],
      () => undefined,
    );
    return { folder: out, stackName: readStack(out).name };
  }

  private async variant(key: string, of: Setup, change: (template: Template) => Template): Promise<Assembly> {
    const { folder, stackName } = await this.of(of);
    const out = join(this.folder, key);
    changeAssembly(folder, stackName, out, change);
    return { folder: out, stackName };
  }
}

function chain(template: Template): Template {
  const groups = Object.entries(template.Resources).filter(
    ([, { Type }]) => Type === 'AWS::AutoScaling::AutoScalingGroup',
  );
  const seatOf = ({ Properties }: Template['Resources'][string]) =>
    (Properties?.Tags as { Key: string; Value: string }[]).find(({ Key }) => Key === SEAT_TAG)?.Value;
  const seats = groups
    .filter(([, group]) => seatOf(group) !== undefined)
    .sort(([, a], [, b]) => Number(seatOf(a)) - Number(seatOf(b)))
    .map(([id]) => id);
  for (const [id, group] of groups) {
    const others = [group.DependsOn ?? []].flat().filter((other) => !seats.includes(other));
    const before = seats[seats.includes(id) ? seats.indexOf(id) - 1 : 0];
    group.DependsOn = before === undefined ? others : [...others, before];
  }
  return template;
}

/** On-demand instances get no interruption notice. */
function withSpotWorkers(template: Template): Template {
  for (const { Type, Properties } of Object.values(template.Resources)) {
    if (Type !== 'AWS::AutoScaling::AutoScalingGroup' || !Properties?.VPCZoneIdentifier) continue;
    const { LaunchTemplate: LaunchTemplateSpecification, ...rest } = Properties;
    const InstancesDistribution = { OnDemandBaseCapacity: 0, OnDemandPercentageAboveBaseCapacity: 0 };
    Object.assign(Properties, rest, {
      CapacityRebalance: true,
      MixedInstancesPolicy: { LaunchTemplate: { LaunchTemplateSpecification }, InstancesDistribution },
    });
    delete Properties.LaunchTemplate;
  }
  return template;
}

/** Gives a seat's volume another logical id, as a change of its `volumeGenerations` does. */
function otherVolume(template: Template, seat: number): Template {
  const [id] = Object.entries(template.Resources).find(
    ([, { Type, Properties }]) =>
      Type === 'AWS::EC2::Volume' &&
      (Properties?.Tags as { Key: string; Value: string }[]).some(
        ({ Key, Value }) => Key === SEAT_TAG && Value === String(seat),
      ),
  )!;
  return JSON.parse(JSON.stringify(template).replaceAll(`"${id}"`, `"${id}Other"`)) as Template;
}

/** A change that replaces every instance. */
export function otherInstances(template: Template): Template {
  for (const { Type, Properties } of Object.values(template.Resources)) {
    if (Type === 'AWS::EC2::LaunchTemplate')
      Object.assign(Properties!.LaunchTemplateData as object, { CreditSpecification: { CpuCredits: 'standard' } });
  }
  return template;
}
