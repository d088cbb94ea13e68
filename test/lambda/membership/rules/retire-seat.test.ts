import { COMMAND_MS } from '../../../../lambda/membership/draft';
import type { Observation } from '../../../../lambda/membership/observation';
import { DRAIN_DEADLINE_MS } from '../../../../lambda/membership/rules/release';
import type { Membership } from '../../../../protocol/cluster';
import {
  idOf,
  idsOf,
  leader,
  LEAVING,
  lostMember,
  manager,
  member,
  nodeIdOf,
  NOW,
  numbers,
  planned as plannedFor,
  seesNoLeader,
  silentLeader,
  workerNode,
} from '../world';

/** Seats 0, 1 and 2 are configured; 3 and 4 were once. */
function planned(change: Partial<Observation>, membership: Partial<Membership> = {}) {
  const plan = plannedFor({ nodes: [], instances: [], ...change, membership });
  return {
    told: plan.commands.map(
      ({ instanceId, command }) =>
        `${instanceId} ` +
        `${command === null ? 'nothing' : `${command.kind} ${'nodeId' in command ? command.nodeId : ''}`}`,
    ),
    letGo: idsOf(plan, 'let-go'),
    orders: plan.orders.flatMap(({ orders }) => orders.map(({ kind, nodeId }) => `${kind} ${nodeId}`)),
    change: plan.membership.managerChange?.kind,
  };
}

const five = numbers(0, 5).map((n) => member(n));
const instances = [manager(0), manager(1), manager(2), manager(3, LEAVING), manager(4, LEAVING)];
const retiring = (over: Partial<NonNullable<Membership['managerChange']>> = {}) => ({
  managerChange: {
    kind: 'retire' as const,
    seat: 4,
    instanceId: idOf(0),
    commandId: 'c',
    expiresAt: NOW + COMMAND_MS,
    nodeId: nodeIdOf(4),
    ...over,
  },
});

describe('a seat that is no longer configured', () => {
  test('is taken out of raft by the leader while its instance leaves, highest seat first, before it is let go', () => {
    expect(planned({ instances, nodes: five })).toEqual({
      told: [`${idOf(0)} retire ${nodeIdOf(4)}`],
      letGo: [],
      orders: [],
      change: 'retire',
    });
  });

  test('waits while another manager is going, though the list still shows that one at work', () => {
    const three = [member(0), member(1), member(3)];
    const goes = (letGoAt?: number) =>
      planned(
        { instances: [manager(0), manager(1), manager(3, LEAVING)], nodes: three },
        { departures: { [idOf(1)]: { since: NOW - 5_000, ...(letGoAt !== undefined && { letGoAt }) } } },
      ).told;
    expect(goes()).toEqual([`${idOf(0)} retire ${nodeIdOf(3)}`]);
    expect(goes(NOW - 5_000)).toEqual([]);
  });

  test('stays while its instance is in service: the deployment may be rolled back', () => {
    expect(planned({ instances: numbers(0, 5).map((n) => manager(n)), nodes: five })).toEqual({
      told: [],
      letGo: [],
      orders: [],
      change: undefined,
    });
  });

  test('waits for another manager change to end, and the next one waits for it', () => {
    const change = {
      kind: 'remove' as const,
      seat: 1,
      instanceId: idOf(0),
      commandId: 'c',
      expiresAt: NOW + 1,
      nodeId: nodeIdOf(9),
    };
    expect(planned({ instances, nodes: [...five, lostMember(9)] }, { managerChange: change }).told).toEqual([]);
    expect(planned({ instances, nodes: five }, retiring())).toEqual({
      told: [],
      letGo: [],
      orders: [],
      change: 'retire',
    });
  });

  test('is retired by a new command when the old one expired or another manager leads', () => {
    expect(planned({ instances, nodes: five }, retiring({ expiresAt: NOW })).told).toEqual([
      `${idOf(0)} retire ${nodeIdOf(4)}`,
    ]);
    expect(planned({ instances, nodes: five, leader: { ...leader, instanceId: idOf(1) } }, retiring()).told).toEqual([
      `${idOf(0)} nothing`,
      `${idOf(1)} retire ${nodeIdOf(4)}`,
    ]);
  });

  test('gives way when others were lost in the meantime: their dead members are removed first', () => {
    const former = idOf(3);
    const lost = {
      instances: [manager(0), manager(1), manager(2), manager(4, LEAVING)],
      nodes: [member(0), lostMember(1), member(2), lostMember(3), member(4)],
      gone: new Set([former]),
    };
    expect(planned(lost, retiring({ expiresAt: NOW + 1 }))).toMatchObject({ told: [], change: 'retire' });
    expect(planned({ ...lost, leader: silentLeader }, retiring({ expiresAt: NOW }))).toMatchObject({
      told: [],
      change: 'retire',
    });
    expect(planned(lost, retiring({ expiresAt: NOW }))).toMatchObject({
      told: [`${idOf(0)} nothing`],
      change: undefined,
    });
    expect(planned(lost).told).toEqual([`${idOf(0)} remove ${nodeIdOf(3)}`]);
  });

  test('is kept while no quorum is visible or the others would be none, however long that takes', () => {
    const late = {
      departures: { [idOf(3)]: { since: NOW - DRAIN_DEADLINE_MS }, [idOf(4)]: { since: NOW - DRAIN_DEADLINE_MS } },
    };
    expect(planned({ instances, nodes: five, leader: silentLeader }, late)).toMatchObject({ told: [], letGo: [] });
    expect(
      planned({ instances, nodes: [member(0), lostMember(1), lostMember(2), member(3), member(4)] }, late),
    ).toMatchObject({
      told: [],
      letGo: [],
    });
    // The list shows a deaf manager at work.
    expect(
      planned(
        {
          instances: [
            manager(0),
            manager(1),
            manager(2, undefined, { swarm: seesNoLeader(2) }),
            manager(3, LEAVING),
            manager(4, LEAVING),
          ],
          nodes: [member(0), lostMember(1), member(2), member(3), member(4)],
        },
        late,
      ),
    ).toMatchObject({ told: [], letGo: [] });
  });

  test('is drained and removed like a worker once it is out of raft, and the next seat is retired', () => {
    const nodes = [...five.slice(0, 4), workerNode(4)];
    expect(planned({ instances, nodes }, retiring())).toEqual({
      told: [`${idOf(0)} nothing`],
      letGo: [],
      orders: [`release ${nodeIdOf(4)}`],
      change: undefined,
    });
    expect(planned({ instances, nodes })).toEqual({
      told: [`${idOf(0)} retire ${nodeIdOf(3)}`],
      letGo: [],
      orders: [`release ${nodeIdOf(4)}`],
      change: 'retire',
    });
  });

  test('is waited for while its role is worker but raft still counts it', () => {
    expect(planned({ instances, nodes: [...five.slice(0, 4), member(4, { role: 'worker' })] }, retiring())).toEqual({
      told: [],
      letGo: [],
      orders: [],
      change: 'retire',
    });
  });

  test('is let go once it is no longer a node', () => {
    expect(
      planned({ instances: instances.filter(({ instanceId }) => instanceId !== idOf(3)), nodes: five.slice(0, 3) })
        .letGo,
    ).toEqual([idOf(4)]);
  });

  test('leaves a dead member when its instance is gone, which is removed once its group no longer has it', () => {
    const nodes = [...five.slice(0, 4), lostMember(4)];
    const gone = new Set([idOf(4)]);
    expect(
      planned({ instances: instances.slice(0, 3), nodes: [...five.slice(0, 3), lostMember(4)], gone }).told,
    ).toEqual([`${idOf(0)} remove ${nodeIdOf(4)}`]);
    // A list of groups that lacks one says nothing, nor does the swarm alone.
    expect(planned({ instances: instances.slice(0, 3), nodes: [...five.slice(0, 3), lostMember(4)] }).told).toEqual([]);
    expect(planned({ instances: instances.slice(0, 3), nodes: [...five.slice(0, 3), member(4)], gone }).told).toEqual(
      [],
    );
    expect(
      planned({ instances: [...instances.slice(0, 3), manager(3), manager(4, 'Terminating:Proceed')], nodes, gone })
        .told,
    ).toEqual([]);
  });
});
