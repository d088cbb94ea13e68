import type { Instance, Observation, Volume } from '../../../lambda/membership/observation';
import { plan } from '../../../lambda/membership/plan';
import { askForRecovery, FREE_MS, SILENT_MS } from '../../../lambda/membership/recover-quorum';
import { emptyMembership, membershipCodec, type LeaderRecord, type Membership } from '../../../protocol/cluster';
import type { SwarmNode } from '../../../protocol/swarm';

const NOW = 100_000_000;
const tokens = { manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`, worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}` };
const seats = [0, 1, 2].map((seat) => ({ seat, volumeId: `vol-${seat}`, networkInterfaceId: `eni-${seat}`, address: `10.0.${seat}.10` }));
const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
const nodeIdOf = (n: number) => `n${String(n).padStart(24, '0')}`;
const swarmId = 's'.repeat(25);
const leader: LeaderRecord = { swarmId, epoch: 20, instanceId: idOf(1), tokens, updatedAt: NOW - SILENT_MS };
const present: LeaderRecord = { ...leader, updatedAt: NOW - 1_000 };

const member = (n: number, change: Partial<SwarmNode> = {}): SwarmNode => ({
  id: nodeIdOf(n), hostname: `node-${n}`, role: 'manager', availability: 'active', state: 'ready', instanceId: idOf(n), address: `10.0.${n}.10`, manager: { leader: n === 1, reachability: 'reachable', address: `10.0.${n}.10:2377` }, ...change,
});
const manager = (n: number, lifecycleState = 'InService', seesLeader = false): Instance => ({
  instanceId: idOf(n), group: { name: `seat-${n}`, role: 'manager', seat: n }, lifecycleState,
  report: { instanceId: idOf(n), role: 'manager', seat: n, address: `10.0.${n}.10`, volume: { id: `vol-${n}`, state: 'mounted' }, swarm: { state: 'active', nodeId: nodeIdOf(n), controlAvailable: true, ...(seesLeader && { swarmId }) } },
});
const held = (n: number): Volume => ({ volumeId: `vol-${n}`, state: 'in-use', attachedTo: idOf(n) });
const free = (n: number): Volume => ({ volumeId: `vol-${n}`, state: 'available' });

/** Seat 1 is what is left. */
const lost: Observation = {
  now: NOW, seats, settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 }, leader, nodes: [0, 1, 2].map((n) => member(n)), membership: emptyMembership,
  instances: [manager(1)], groups: [], interfaces: [], stacksLeaving: new Set(), gone: new Set(), interrupted: new Set(), volumes: [free(0), held(1), free(2)],
};
const begun = (change: Partial<Membership> = {}): Membership => ({ ...askForRecovery(lost, { seat: 1, swarmId }).membership!, ...change });
const underWay = (freeSince?: number) => begun({ recovery: { ...begun().recovery!, ...(freeSince !== undefined && { freeSince }) } });

function planned(over: Partial<Observation>) {
  const { effects, commands, membership, alarms } = plan({ ...lost, ...over }, () => 'c');
  return { effects: effects.map(({ kind, instanceId }) => `${kind} ${instanceId}`), commands: commands.map(({ instanceId, command }) => ({ instanceId, kind: command?.kind, ...(command && 'nodeId' in command && { nodeId: command.nodeId }) })), membership, alarms: alarms.map(({ reason }) => reason) };
}

describe('whoever asks for it', () => {
  it('is told first what would be done, and how to confirm it', () => {
    const { answer, membership } = askForRecovery({ ...lost, instances: [manager(0), manager(1)], volumes: [held(0), held(1), free(2)] }, { seat: 1 });
    expect(membership).toBeUndefined();
    expect(answer).toEqual({
      wouldDo: [
        'The volume of seat 0, vol-0, is given up, with all that only it has. It is never attached again.',
        'The volume of seat 2, vol-2, is given up, with all that only it has. It is never attached again.',
        `${idOf(0)} of seat 0, which has its volume still, is terminated.`,
        `Then ${idOf(1)} of seat 1 goes on as the only manager of the swarm ${swarmId}.`,
        "Then deploy with managers: { volumeGenerations: { '0': 2, '2': 2 } } (or one more than there is): these seats get other volumes, and join anew.",
      ],
      toConfirm: { recover: { seat: 1, swarmId } },
    });
  });

  it.each<[string, Partial<Observation>, { seat: number; swarmId?: string }, string]>([
    ['before there was a swarm', { leader: undefined }, { seat: 1 }, 'No swarm was ever made.'],
    ['with another swarm in mind', {}, { seat: 1, swarmId: 'x'.repeat(25) }, `The swarm of this cluster is ${swarmId}.`],
    ['while a leader reports', { leader: present }, { seat: 1 }, 'A leader reported 1 s ago. A quorum counts as lost for good when none has reported for 300 s.'],
    ['for a seat that there is not', {}, { seat: 5 }, 'There is no seat 5. There are 0, 1, 2.'],
    ['for a seat without an instance', {}, { seat: 0 }, 'Seat 0 has no instance whose engine runs with its volume and is a manager that sees no leader. It has no instance.'],
    ['for a manager that sees a leader', { instances: [manager(1, 'InService', true)] }, { seat: 1 }, 'Seat 1 has no instance whose engine runs with its volume and is a manager that sees no leader. See the log of its instance.'],
    ['for one that EC2 does not give the volume', { volumes: [free(1)] }, { seat: 1 }, 'Seat 1 has no instance whose engine runs with its volume and is a manager that sees no leader. See the log of its instance.'],
    ['for one that leaves', { instances: [manager(1, 'Terminating:Wait')] }, { seat: 1 }, 'Seat 1 has no instance whose engine runs with its volume and is a manager that sees no leader. It has no instance.'],
    ['for one whose volume was given up before', { membership: { ...emptyMembership, abandonedVolumes: ['vol-1'] } }, { seat: 1 }, 'The volume of seat 1, vol-1, was given up before.'],
    ['twice', { membership: begun() }, { seat: 1, swarmId }, 'It is under way already, with seat 1.'],
  ])('%s is refused', (_, over, request, refusal) => {
    const { answer, membership } = askForRecovery({ ...lost, ...over }, request);
    expect(answer).toEqual({ refused: [refusal] });
    expect(membership).toBeUndefined();
  });

  it('and confirms it, has begun it', () => {
    expect(askForRecovery(lost, { seat: 1, swarmId }).answer).toHaveProperty('begun');
    expect(begun()).toMatchObject({ abandonedVolumes: ['vol-0', 'vol-2'], recovery: { seat: 1, volumes: ['vol-0', 'vol-2'], dead: [{ nodeId: nodeIdOf(0), seat: 0 }, { nodeId: nodeIdOf(2), seat: 2 }] } });
    membershipCodec.encode(begun());
  });
});

describe('once it is begun', () => {
  it('whoever holds a volume that is given up is terminated first, and nobody is told to go on', () => {
    const { effects, commands } = planned({ membership: underWay(0), instances: [manager(0), manager(1), manager(2, 'Pending:Wait')], volumes: [held(0), held(1), held(2)] });
    expect(effects).toEqual(expect.arrayContaining([`terminate ${idOf(0)}`, `abandon ${idOf(2)}`]));
    expect(commands).toEqual([]);
  });

  it('and let go at once, though there is no quorum', () => {
    expect(planned({ membership: underWay(), instances: [manager(0, 'Terminating:Wait'), manager(1)], volumes: [held(0), held(1), free(2)] }).effects).toContain(`let-go ${idOf(0)}`);
    expect(planned({ instances: [manager(0, 'Terminating:Wait'), manager(1)], volumes: [held(0), held(1), free(2)] }).effects).toEqual([]);
  });

  it('the manager that is left goes on only when nobody has had one of the volumes for some time', () => {
    expect(planned({ membership: underWay() }).membership.recovery).toMatchObject({ freeSince: NOW });
    expect(planned({ membership: underWay(NOW - FREE_MS + 1) }).commands).toEqual([]);
    expect(planned({ membership: underWay(NOW - FREE_MS) }).commands).toEqual([{ instanceId: idOf(1), kind: 'recover', nodeId: nodeIdOf(1) }]);
    // One that is being detached may still be in use.
    expect(planned({ membership: underWay(NOW - FREE_MS), volumes: [{ volumeId: 'vol-0', state: 'in-use' }, held(1), free(2)] })).toMatchObject({ commands: [], membership: { recovery: expect.not.objectContaining({ freeSince: expect.anything() }) } });
    // And one that is gone has nothing any more.
    expect(planned({ membership: underWay(NOW - FREE_MS), volumes: [held(1)] }).commands).toHaveLength(1);
  });

  it('the command is not given twice at a time', () => {
    const told = planned({ membership: underWay(NOW - FREE_MS) }).membership;
    expect(planned({ membership: told }).commands).toEqual([]);
    expect(planned({ membership: told, now: NOW + 61_000 }).commands).toEqual([{ instanceId: idOf(1), kind: 'recover', nodeId: nodeIdOf(1) }]);
  });

  it('a quorum that reports before that calls it off, and gives nothing up', () => {
    expect(planned({ membership: underWay(), leader: present })).toMatchObject({ membership: { recovery: null, abandonedVolumes: [] }, alarms: ['The swarm has a quorum again: none of its volumes is given up.'] });
  });

  it('when it leads, the others are taken out, one at a time, and then it is over', () => {
    const told = planned({ membership: underWay(NOW - FREE_MS) }).membership;
    const alone = { leader: present, nodes: [member(1), ...[0, 2].map((n) => member(n, { state: 'down', manager: undefined }))], instances: [manager(1, 'InService', true)] };
    const first = planned({ ...alone, membership: told });
    expect(first.commands).toEqual([{ instanceId: idOf(1), kind: 'remove', nodeId: nodeIdOf(0) }]);
    const second = planned({ ...alone, membership: { ...told, managerChange: null }, nodes: [member(1), member(2, { state: 'down', manager: undefined })] });
    expect(second.commands).toEqual([{ instanceId: idOf(1), kind: 'remove', nodeId: nodeIdOf(2) }]);
    expect(planned({ ...alone, membership: { ...told, managerChange: null }, nodes: [member(1)] }).membership).toMatchObject({ recovery: null, abandonedVolumes: ['vol-0', 'vol-2'] });
  });

  it('a volume that is given up is never attached, and its instance waits, and says so', () => {
    const waiting = { ...manager(0, 'Pending:Wait'), ec2: { state: 'running', address: '10.0.0.10', launchedAt: NOW - 60 * 60_000 }, report: { ...manager(0).report!, volume: { id: 'vol-0', state: 'waiting' as const } } };
    const { effects, alarms } = planned({ membership: begun({ recovery: null }), leader: present, nodes: [member(1)], instances: [waiting, manager(1, 'InService', true)] });
    expect(effects).toEqual([`extend-hook ${idOf(0)}`]);
    expect(alarms).toEqual([expect.stringContaining("Deploy with another one: managers: { volumeGenerations: { '0': 2 } }")]);
    // Without that it would be.
    expect(planned({ leader: present, nodes: [member(1)], instances: [{ ...waiting, ec2: { ...waiting.ec2, launchedAt: NOW } }, manager(1, 'InService', true)] }).effects).toEqual([`attach-volume ${idOf(0)}`]);
  });
});
