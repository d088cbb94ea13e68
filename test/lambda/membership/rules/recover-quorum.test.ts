import type { Observation, Volume } from '../../../../lambda/membership/observation';
import { askForRecovery, FREE_MS, SILENT_MS } from '../../../../lambda/membership/rules/recover-quorum';
import { LEADER_STALE_MS, membershipCodec, type LeaderRecord, type Membership } from '../../../../protocol/cluster';
import type { SwarmNode } from '../../../../protocol/swarm';
import {
  attached,
  available,
  idOf,
  leader as leaderOfSeat0,
  LEAVING,
  manager as managerOf,
  member as memberOf,
  nodeIdOf,
  NOW,
  observation,
  planned as plannedFor,
  seats,
  seesLeader,
  seesNoLeader,
  SWARM_ID as swarmId,
} from '../world';

const present: LeaderRecord = { ...leaderOfSeat0, instanceId: idOf(1) };
/** Seat 1 led, and has not reported for so long that its quorum may be called lost. */
const leader: LeaderRecord = { ...present, updatedAt: NOW - SILENT_MS };
const member = (n: number, change: Partial<SwarmNode> = {}) =>
  memberOf(n, { manager: { ...memberOf(n).manager!, leader: n === 1 }, ...change });
const manager = (n: number, lifecycleState?: string, leaderSeen = false) =>
  managerOf(n, lifecycleState, { swarm: leaderSeen ? seesLeader(n) : seesNoLeader(n) });

/** Seat 1 is all that is left. */
const lost: Observation = observation({
  leader,
  nodes: [0, 1, 2].map((n) => member(n)),
  instances: [manager(1)],
  // Launches are held back by another rule.
  groups: [],
  volumes: [available(0), attached(1), available(2)],
});
const begun = (change: Partial<Membership> = {}): Membership => ({
  ...askForRecovery(lost, { seat: 1, swarmId }).membership!,
  ...change,
});
const underWay = (freeSince?: number) =>
  begun({ recovery: { ...begun().recovery!, ...(freeSince !== undefined && { freeSince }) } });

function planned(change: Partial<Observation>) {
  const { effects, commands, membership, alarms } = plannedFor({ ...lost, ...change });
  return {
    effects: effects.map(({ kind, instanceId }) => `${kind} ${instanceId}`),
    commands: commands.map(({ instanceId, command }) => ({
      instanceId,
      kind: command?.kind,
      ...(command && 'nodeId' in command && { nodeId: command.nodeId }),
    })),
    membership,
    alarms: alarms.map(({ reason }) => reason),
  };
}

describe('a person who asks to recover the quorum', () => {
  it('is refused a manager whose engine does not answer', () => {
    const silent = managerOf(1, 'InService', { swarm: undefined });
    const { answer, membership } = askForRecovery({ ...lost, instances: [silent] }, { seat: 1, swarmId });
    expect(membership).toBeUndefined();
    expect(answer).not.toHaveProperty('wouldDo');
  });

  it('is first told what it would do, and how to confirm it', () => {
    const { answer, membership } = askForRecovery(
      { ...lost, instances: [manager(0), manager(1)], volumes: [attached(0), attached(1), available(2)] },
      { seat: 1 },
    );
    expect(membership).toBeUndefined();
    expect(answer).toEqual({
      wouldDo: [
        'The volume vol-0 of seat 0 is given up, with everything that only it holds, and never attached again.',
        'The volume vol-2 of seat 2 is given up, with everything that only it holds, and never attached again.',
        `${idOf(0)} of seat 0 is terminated.`,
        `Then ${idOf(1)} of seat 1 goes on as the only manager of the swarm ${swarmId}.`,
        "Only after that, deploy with managers: { volumeGenerations: { '0': 2, '2': 2 } } (or one more than " +
          'the present number): these seats get new volumes and join afresh.',
      ],
      toConfirm: { recover: { seat: 1, swarmId } },
    });
  });

  const notAble =
    "Seat 1 has no instance whose engine runs on the seat's volume as a manager that sees no leader. See the log of";
  it.each<[string, Partial<Observation>, { seat: number; swarmId?: string }, string]>([
    ['before a swarm was formed', { leader: undefined }, { seat: 1 }, 'No swarm was ever created.'],
    [
      'with another swarm in mind',
      {},
      { seat: 1, swarmId: 'x'.repeat(25) },
      `The id of this cluster's swarm is ${swarmId}, not ${'x'.repeat(25)}.`,
    ],
    [
      'while a leader reports',
      { leader: present },
      { seat: 1 },
      'A leader reported 1 s ago. The quorum counts as lost for good when no leader has reported for 300 s.',
    ],
    ['for a seat that does not exist', {}, { seat: 5 }, 'There is no seat 5. The seats are 0, 1, 2.'],
    [
      'for a seat without an instance',
      {},
      { seat: 0 },
      "Seat 0 has no instance whose engine runs on the seat's volume as a manager that sees no leader. It " +
        'has no instance.',
    ],
    [
      'for a manager that sees a leader',
      { instances: [manager(1, 'InService', true)] },
      { seat: 1 },
      `${notAble} ${idOf(1)}.`,
    ],
    [
      'for a manager without its volume by the word of EC2',
      { volumes: [available(1)] },
      { seat: 1 },
      `${notAble} ${idOf(1)}.`,
    ],
    [
      'for a manager that was let go',
      { instances: [manager(1, 'Terminating:Proceed')] },
      { seat: 1 },
      `${notAble} ${idOf(1)}.`,
    ],
    [
      'for a manager whose volume was given up before',
      { membership: { ...lost.membership, abandonedVolumes: ['vol-1'] } },
      { seat: 1 },
      'The volume of seat 1, vol-1, was given up in an earlier recovery.',
    ],
    [
      'once another manager was told to go on',
      { membership: begun({ recovery: { ...begun().recovery!, told: true } }) },
      { seat: 0, swarmId },
      'The manager of seat 1 was already told to go on.',
    ],
    [
      'while another manager sees a leader whose reports do not arrive',
      { instances: [manager(0, 'InService', true), manager(1)] },
      { seat: 1 },
      `${idOf(0)} of seat 0 reports that it sees a leader. There is a quorum then, and only its reports do ` +
        `not arrive: see the functions' logs. If that instance hangs, terminate it first.`,
    ],
    [
      'while a manager of no seat may still exist',
      { nodes: [member(1), member(4)] },
      { seat: 1 },
      `${idOf(4)}, node ${nodeIdOf(4)}, is a manager without a seat, and EC2 does not report it as ` +
        'terminated. Terminate it first.',
    ],
    [
      'while the chosen manager is told to leave',
      {
        membership: {
          ...lost.membership,
          managerChange: { kind: 'leave', seat: 1, instanceId: idOf(1), commandId: 'c', expiresAt: NOW },
        },
      },
      { seat: 1 },
      'The manager of seat 1 is about to join afresh. Try again in a few minutes.',
    ],
  ])('is refused %s', (_, over, request, refusal) => {
    const { answer, membership } = askForRecovery({ ...lost, ...over }, request);
    expect(answer).toEqual({ refused: [refusal] });
    expect(membership).toBeUndefined();
  });

  it('is told which manager led last if it is another one', () => {
    const { answer } = askForRecovery(
      {
        ...lost,
        leader: { ...leader, instanceId: idOf(0) },
        instances: [manager(0), manager(1)],
        volumes: [attached(0), attached(1), available(2)],
      },
      { seat: 1 },
    );
    expect((answer as { wouldDo: string[] }).wouldDo[0]).toBe(
      `(The last leader, ${idOf(0)}, is the instance of seat 0. It has everything that was ever committed; another ` +
        'manager may not. If its engine runs, choose that seat instead.)',
    );
  });

  it('is told of a volume that no seat has any more without a seat', () => {
    const { answer } = askForRecovery(
      {
        ...lost,
        seats: [{ ...seats[0]!, volumeId: 'vol-new' }, seats[1]!],
        nodes: [member(0), member(1)],
        instances: [manager(0), manager(1)],
        volumes: [attached(0), attached(1)],
      },
      { seat: 1 },
    );
    expect((answer as { wouldDo: string[] }).wouldDo.slice(0, 2)).toEqual([
      'The volume vol-new of seat 0 is given up, with everything that only it holds, and never attached again.',
      'The volume vol-0 is given up, with everything that only it holds, and never attached again.',
    ]);
  });

  it('may recover a while after the chosen manager was told to leave: it has joined by then, or never will', () => {
    const asked = (ms: number) =>
      askForRecovery(
        {
          ...lost,
          membership: {
            ...lost.membership,
            managerChange: { kind: 'leave', seat: 1, instanceId: idOf(1), commandId: 'c', expiresAt: NOW - ms },
          },
        },
        { seat: 1 },
      ).answer;
    expect(asked(LEADER_STALE_MS - 1)).toHaveProperty('refused');
    expect(asked(LEADER_STALE_MS)).toHaveProperty('wouldDo');
  });

  it('is told of no other managers where there are none', () => {
    const { answer } = askForRecovery({ ...lost, seats: [seats[1]!], nodes: [member(1)] }, { seat: 1 });
    expect((answer as { wouldDo: string[] }).wouldDo).toEqual([
      `Then ${idOf(1)} of seat 1 goes on as the only manager of the swarm ${swarmId}.`,
    ]);
  });

  it('is told that the recovery is under way when asking again', () => {
    expect(askForRecovery({ ...lost, membership: begun() }, { seat: 1, swarmId })).toEqual({
      answer: { begun: ['The recovery is already under way.'] },
    });
  });

  it('may choose another manager until one was told to go on', () => {
    const { membership } = askForRecovery(
      {
        ...lost,
        membership: begun(),
        instances: [manager(0), manager(1)],
        volumes: [attached(0), attached(1), available(2)],
      },
      { seat: 0, swarmId },
    );
    expect(membership).toMatchObject({
      abandonedVolumes: ['vol-1', 'vol-2'],
      recovery: { seat: 0, volumes: ['vol-1', 'vol-2'], instances: [idOf(1)] },
    });
  });

  it('begins it by confirming, even while the manager waits at its terminate hook', () => {
    expect(askForRecovery(lost, { seat: 1, swarmId }).answer).toHaveProperty('begun');
    expect(askForRecovery({ ...lost, instances: [manager(1, LEAVING)] }, { seat: 1, swarmId }).answer).toHaveProperty(
      'begun',
    );
    expect(begun()).toMatchObject({
      abandonedVolumes: ['vol-0', 'vol-2'],
      recovery: {
        seat: 1,
        volumes: ['vol-0', 'vol-2'],
        instances: [],
        dead: [
          { nodeId: nodeIdOf(0), seat: 0 },
          { nodeId: nodeIdOf(2), seat: 2 },
        ],
      },
    });
    membershipCodec.encode(begun());
  });

  it('gets a record within its size limit, however many managers a false list has', () => {
    const many = Array.from({ length: 5_000 }, (_, n) =>
      member(n, {
        manager: { leader: false, reachability: 'reachable', address: `10.0.${n % 3}.10:2377` },
        instanceId: undefined,
      }),
    );
    membershipCodec.encode(askForRecovery({ ...lost, nodes: [member(1), ...many] }, { seat: 1, swarmId }).membership!);
  });
});

describe('a recovery of the quorum', () => {
  const two = {
    instances: [manager(0), manager(1), manager(2, 'Pending:Wait')],
    volumes: [attached(0), attached(1), attached(2)],
  };
  const ofTwo = () => ({
    ...lost,
    ...two,
    membership: askForRecovery({ ...lost, ...two }, { seat: 1, swarmId }).membership!,
  });

  it('first terminates every other manager, and tells nobody to go on', () => {
    const { effects, commands, alarms } = planned(ofTwo());
    expect(effects).toEqual(expect.arrayContaining([`terminate ${idOf(0)}`, `abandon ${idOf(2)}`]));
    expect(commands).toEqual([]);
    expect(alarms).toContain(`The recovery of the quorum waits. It is still InService.`);
  });

  it('also terminates managers of seats that are no longer configured or were given another volume since', () => {
    const configured = [{ ...seats[0]!, volumeId: 'vol-new' }, seats[1]!];
    const asked = askForRecovery({ ...lost, ...two, seats: configured }, { seat: 1, swarmId }).membership!;
    expect(asked).toMatchObject({
      abandonedVolumes: ['vol-new', 'vol-0', 'vol-2'],
      recovery: { instances: [idOf(0), idOf(2)] },
    });
    const leaving = [manager(0, LEAVING), manager(1), manager(2, LEAVING)];
    expect(planned({ ...two, seats: configured, membership: asked, instances: leaving })).toMatchObject({
      effects: expect.arrayContaining([`let-go ${idOf(0)}`]),
      commands: [],
    });
  });

  it.each([LEAVING, 'Terminating:Proceed', 'Pending'])('waits for another manager in state %s to end', (state) => {
    const { effects, commands, alarms } = planned({ ...ofTwo(), instances: [manager(0, state), manager(1)] });
    expect(effects.filter((effect) => /^(terminate|abandon)/.test(effect))).toEqual([]);
    expect(commands).toEqual([]);
    expect(alarms).toContain(`The recovery of the quorum waits. It is still ${state}.`);
  });

  it('lets the other managers go at once, though there is no quorum', () => {
    const leaving = { ...two, instances: [manager(0, LEAVING), manager(1)] };
    expect(planned({ ...ofTwo(), ...leaving }).effects).toContain(`let-go ${idOf(0)}`);
    expect(planned(leaving).effects).toEqual([]);
  });

  it('does nothing while another manager says that it sees a leader', () => {
    const { effects, commands, alarms } = planned({
      ...ofTwo(),
      instances: [manager(0, 'InService', true), manager(1)],
    });
    expect([effects, commands]).toEqual([[], []]);
    expect(alarms).toContain(
      'The recovery of the quorum waits. It reports that it sees a leader. If it hangs, terminate it.',
    );
  });

  it('tells the manager that is left to go on only when the volumes have been free for a while', () => {
    expect(planned({ membership: underWay() }).membership.recovery).toMatchObject({ freeSince: NOW });
    expect(planned({ membership: underWay(NOW - FREE_MS + 1) }).commands).toEqual([]);
    const goesOn = planned({ membership: underWay(NOW - FREE_MS) });
    expect(goesOn.commands).toEqual([{ instanceId: idOf(1), kind: 'recover', nodeId: nodeIdOf(1) }]);
    expect(goesOn.alarms).toEqual([
      'The swarm goes on with one manager, that of seat 1. A person has confirmed that the quorum is lost for good.',
    ]);
  });

  it.each<[string, Volume[]]>([
    ['that is being detached', [{ ...attached(0), attachedTo: undefined }, attached(1), available(2)]],
    ['that EC2 does not describe', [attached(1), available(2)]],
  ])('tells nobody to go on while there is a volume %s', (_, volumes) => {
    const { commands, membership, alarms } = planned({ membership: underWay(NOW - FREE_MS), volumes });
    expect(commands).toEqual([]);
    expect(membership.recovery).not.toHaveProperty('freeSince');
    expect(alarms).toContain(
      'The recovery of the quorum waits. EC2 does not confirm that vol-0 is detached from every instance.',
    );
  });

  it('does not wait for a volume that EC2 no longer knows', () => {
    expect(
      planned({
        membership: underWay(NOW - FREE_MS),
        volumes: [attached(1), { ...available(0), state: 'deleted' }, available(2)],
      }).commands,
    ).toHaveLength(1);
  });

  it('does not tell the chosen manager to leave, whatever was begun before', () => {
    const managerChange = {
      kind: 'remove' as const,
      seat: 1,
      instanceId: idOf(0),
      commandId: 'c',
      expiresAt: NOW - 10 * 60_000,
      nodeId: nodeIdOf(1),
    };
    const state = {
      nodes: [member(0), member(1, { state: 'down' })],
      instances: [manager(0, 'Pending:Wait'), manager(1)],
      volumes: [attached(0), attached(1), available(2)],
    };
    expect(planned({ ...state, membership: begun({ managerChange }) }).commands).toEqual([]);
    expect(planned({ ...state, membership: { ...lost.membership, managerChange } }).commands).toContainEqual({
      instanceId: idOf(1),
      kind: 'leave',
    });
  });

  it('gives its command again only after the first one expired', () => {
    const told = planned({ membership: underWay(NOW - FREE_MS) }).membership;
    expect(told).toMatchObject({ generation: { number: 1, seat: 1 } });
    expect(planned({ membership: told }).commands).toEqual([]);
    expect(planned({ membership: told, now: NOW + 61_000 }).commands).toEqual([
      { instanceId: idOf(1), kind: 'recover', nodeId: nodeIdOf(1) },
    ]);
  });

  it('raises an alarm when the chosen manager is gone', () => {
    expect(planned({ membership: underWay(NOW - FREE_MS), instances: [] }).alarms).toEqual([
      'The recovery of the quorum waits. Seat 1 no longer has a manager that could go on.',
    ]);
  });

  it('is called off by a quorum that reports before: it gives no volume up and lets nobody go', () => {
    const state = ofTwo();
    const unknown = [0, 1, 2].map((n) => member(n, { state: 'unknown' }));
    expect(
      planned({
        ...state,
        leader: present,
        nodes: unknown,
        instances: [manager(0, LEAVING, true), manager(1), manager(2, LEAVING, true)],
      }),
    ).toMatchObject({
      effects: [],
      membership: { recovery: null, abandonedVolumes: [] },
      alarms: ['The swarm has a quorum again. The recovery is called off, and no volume is given up.'],
    });
  });

  it('removes the other members one at a time once its manager leads, and then ends', () => {
    const told = planned({ membership: underWay(NOW - FREE_MS) }).membership;
    const alone = {
      leader: present,
      nodes: [member(1), ...[0, 2].map((n) => member(n, { state: 'down', manager: undefined }))],
      instances: [manager(1, 'InService', true)],
    };
    const first = planned({ ...alone, membership: told });
    expect(first.commands).toEqual([{ instanceId: idOf(1), kind: 'remove', nodeId: nodeIdOf(0) }]);
    expect(planned({ ...alone, membership: first.membership })).toMatchObject({
      commands: [],
      membership: first.membership,
    });
    const second = planned({
      ...alone,
      membership: { ...told, managerChange: null },
      nodes: [member(1), member(2, { state: 'down', manager: undefined })],
    });
    expect(second.commands).toEqual([{ instanceId: idOf(1), kind: 'remove', nodeId: nodeIdOf(2) }]);
    expect(
      planned({ ...alone, membership: { ...told, managerChange: null }, nodes: [member(1)] }).membership,
    ).toMatchObject({ recovery: null, abandonedVolumes: ['vol-0', 'vol-2'] });
  });

  it('removes them also while the new instances of their seats do not report yet', () => {
    const told = planned({ membership: underWay(NOW - FREE_MS) }).membership;
    expect(
      planned({
        leader: present,
        nodes: [member(1), ...[0, 2].map((n) => member(n, { state: 'down', manager: undefined }))],
        instances: [{ ...manager(0, 'Pending'), report: undefined }, manager(1, 'InService', true)],
        membership: told,
      }).commands,
    ).toEqual([{ instanceId: idOf(1), kind: 'remove', nodeId: nodeIdOf(0) }]);
  });

  it('never attaches a volume that was given up: its instance waits, with an alarm', () => {
    const waiting = {
      ...manager(0, 'Pending:Wait'),
      ec2: { state: 'running', address: '10.0.0.10', launchedAt: NOW - 60 * 60_000 },
      report: { ...manager(0).report!, volume: { id: 'vol-0', state: 'waiting' as const } },
    };
    const { effects, alarms } = planned({
      membership: begun({ recovery: null }),
      leader: present,
      nodes: [member(1)],
      instances: [waiting, manager(1, 'InService', true)],
    });
    expect(effects).toEqual([`extend-hook ${idOf(0)}`]);
    expect(alarms).toEqual([
      expect.stringContaining("Deploy a new one with managers: { volumeGenerations: { '0': 2 } }"),
    ]);
    // Without that it would be.
    expect(
      planned({
        leader: present,
        nodes: [member(1)],
        instances: [{ ...waiting, ec2: { ...waiting.ec2, launchedAt: NOW } }, manager(1, 'InService', true)],
      }).effects,
    ).toEqual([`attach-volume ${idOf(0)}`]);
  });

  it('attaches the volumes of all other seats', () => {
    const { effects } = planned({
      membership: begun({ recovery: null, abandonedVolumes: ['vol-0'] }),
      leader: present,
      nodes: [member(1)],
      instances: [
        manager(1, 'InService', true),
        { ...manager(2, 'Pending:Wait'), report: { ...manager(2).report!, volume: { id: 'vol-2', state: 'waiting' } } },
      ],
    });
    expect(effects).toEqual([`attach-volume ${idOf(2)}`]);
  });

  it('admits no manager with such a volume by a list from before', () => {
    const back = { ...manager(0, 'Pending:Wait'), ec2: { state: 'running', address: '10.0.0.10', launchedAt: NOW } };
    const state = {
      nodes: [member(0), member(1)],
      instances: [back, manager(1)],
      volumes: [attached(0), attached(1), available(2)],
    };
    expect(planned({ ...state, membership: begun({ recovery: null }) }).membership.admissions).toEqual({});
    expect(planned(state).membership.admissions).toHaveProperty(idOf(0));
  });
});
