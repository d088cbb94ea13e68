import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { EC2Client } from '@aws-sdk/client-ec2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { plan } from '../../../lambda/membership/plan';
import { converge, type Converger } from '../../../lambda/membership/converge';
import type { Effect } from '../../../lambda/membership/draft';
import { LEASE_MS, LeaseRow } from '../../../lambda/shared/lease';
import type { Observer } from '../../../lambda/membership/observe';
import { emptyMembership } from '../../../protocol/cluster';
import { AwsError } from '../../../rehearsal/aws/core/types';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';
import { idOf, observation, seats, unformed, waiting, web } from './world';

const instanceId = idOf(1);
const cluster = 'Test/Swarm';
const { settings } = observation();
const roleIds = { manager: 'AROAMANAGER', worker: 'AROAWORKER' };

let clock: VirtualClock;
let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let asked: string[];
let answers: (action: string, input: Record<string, any>) => Record<string, any>;
let logged: string[];
let by: Converger;
let observer: Observer;

beforeEach(async () => {
  clock = new VirtualClock();
  asked = [];
  logged = [];
  answers = () => ({});
  endpoint = await startDynamoDb(clock, (_service, action, input) => {
    asked.push(action);
    return answers(action, input);
  });
  const clients = {
    dynamodb: endpoint.client,
    ec2: new EC2Client(endpoint.clientOptions),
    autoScaling: new AutoScalingClient(endpoint.clientOptions),
    cloudFormation: new CloudFormationClient(endpoint.clientOptions),
    eventBridge: new EventBridgeClient(endpoint.clientOptions),
  };
  const log: Converger['log'] = (level, message, fields) =>
    void logged.push(JSON.stringify({ level, message, ...fields }));
  const { eventBridge, ...ofObserver } = clients;
  observer = {
    clock,
    log,
    ...ofObserver,
    cluster,
    tokenTable: TOKEN_TABLE,
    reportTable: REPORT_TABLE,
    roleIds,
    seats,
    settings,
    loadBalanced: false,
  };
  by = {
    eventBridge,
    ...observer,
    lease: new LeaseRow(endpoint.client, TOKEN_TABLE, clock),
    observe: () => Promise.resolve(observed),
    plan: (observed) => plan(observed, () => 'command'),
  };
});
afterEach(() => endpoint.close());

/** One worker that is past its deadline and is to be abandoned. */
const observed = observation({
  ...unformed,
  instances: [waiting(1, web, null, { ec2: { state: 'running', launchedAt: 0 } })],
});

describe('a look', () => {
  it('that fails releases the lease, so that the next event finds a holder', async () => {
    by.observe = () => Promise.reject(new Error('Throttling: Rate exceeded'));
    await expect(converge(by)).rejects.toThrow('Rate exceeded');
    expect(await by.lease.acquireOrAsk()).toBeDefined();
  });

  it('that never ends releases the lease', async () => {
    by.plan = () => ({
      membership: { ...emptyMembership },
      commands: [],
      orders: [],
      effects: [],
      alarms: [],
      announcements: [],
    });
    await converge(by);
    expect(logged.join()).toContain('the work exceeds one invocation');
    expect(await by.lease.acquireOrAsk()).toBeDefined();
  });
});

describe('rounds of one invocation', () => {
  const nothing = { commands: [], orders: [], effects: [], alarms: [], announcements: [] };
  /** One that writes in the first rounds, and then has nothing to do. */
  const writing = (rounds: number) => {
    let round = 0;
    by.plan = ({ membership }) => ({ ...nothing, membership: round++ < rounds ? { ...membership } : membership });
    return () => round;
  };

  it('go on while something changes, and end with the lease released', async () => {
    const rounds = writing(3);
    await converge(by);
    expect(rounds()).toBe(4);
    expect(logged.join()).not.toContain('The next invocation continues');
    expect(await by.lease.acquire()).toBeDefined();
  });

  it('go on after a command, which is written though the record does not change', async () => {
    const rounds: boolean[] = [];
    by.plan = ({ membership }) => {
      rounds.push(endpoint.calls.includes('TransactWriteItems'));
      const command = { instanceId, role: 'worker' as const, command: null, reason: 'It has joined.' };
      return { ...nothing, membership, commands: rounds.length === 1 ? [command] : [] };
    };
    await converge(by);
    expect(rounds).toEqual([false, true]);
    expect(logged.join()).toContain('Its command was erased.');
  });

  it('go on after an admission that an earlier invocation recorded: a place is free for the next one', async () => {
    const recorded = { ...emptyMembership, admissions: { [instanceId]: { group: 'web' } } };
    const effects: Effect[] = [{ kind: 'admit', instanceId, group: 'web', reason: 'It is Ready.' }];
    by.observe = async () => ({ ...observed, membership: recorded });
    let rounds = 0;
    by.plan = ({ membership }) => ({ ...nothing, membership, effects: rounds++ === 0 ? effects : [] });
    await converge(by);
    expect(rounds).toBe(2);
  });

  it('write and announce nothing where an effect changes neither the record nor the nodes', async () => {
    let rounds = 0;
    const abandon: Effect = { kind: 'abandon', instanceId, group: 'web', reason: 'It is late.' };
    by.plan = ({ membership }) => ({ ...nothing, membership, effects: rounds++ === 0 ? [abandon] : [] });
    await converge(by);
    expect(asked).toEqual(['CompleteLifecycleAction']);
    expect(endpoint.calls).not.toContain('TransactWriteItems');
  });

  it('are as many as an invocation may have', async () => {
    const rounds = writing(100);
    await converge(by);
    expect(rounds()).toBe(50);
  });

  it('end when the lease is lost after a write', async () => {
    const rounds = writing(9);
    const { renew } = by.lease;
    by.lease.renew = async (lease) => {
      await clock.advance(LEASE_MS + 1);
      await new LeaseRow(endpoint.client, TOKEN_TABLE, clock).acquire();
      return renew.call(by.lease, lease);
    };
    await converge(by);
    expect(rounds()).toBe(1);
  });
});

describe('a holder whose lease ran out while it looked', () => {
  beforeEach(() => {
    by.observe = async () => {
      await clock.advance(LEASE_MS + 1);
      await by.lease.acquireOrAsk();
      return observed;
    };
  });

  it('changes nothing in AWS', async () => {
    await converge(by);
    expect(asked).toEqual([]);
  });

  it('writes no record either, and leaves the rest to the next invocation', async () => {
    const { plan: planned } = by;
    by.plan = (observed) => ({ ...planned(observed), membership: { ...observed.membership } });
    await converge(by);
    expect(asked).toEqual([]);
    expect(logged.join()).toContain('The next invocation continues');
    expect(logged.join()).not.toContain('Actions taken');
  });

  it('is unlike one that still holds it', async () => {
    by.observe = () => Promise.resolve(observed);
    await converge(by);
    expect(asked).toContain('CompleteLifecycleAction');
  });
});

it('a hung instance is set Unhealthy without grace period, and an error from that ends no look', async () => {
  const inputs: Record<string, any>[] = [];
  answers = (action, input) => {
    if (action !== 'SetInstanceHealth') return {};
    inputs.push(input);
    throw new AwsError('ValidationError', 'Instance Id not found - No managed instance found for instance ID.');
  };
  by.plan = (observed) => ({
    membership: observed.membership,
    commands: [],
    orders: [],
    effects: [{ kind: 'replace', instanceId, reason: 'It hangs.' }],
    alarms: [],
    announcements: [],
  });
  await converge(by);
  expect(inputs).toEqual([
    expect.objectContaining({ InstanceId: instanceId, HealthStatus: 'Unhealthy', ShouldRespectGracePeriod: false }),
  ]);
  expect(logged.join()).toContain('Failed: replace.');
});

it('events are sent last, so that an admission is complete whatever becomes of its event', async () => {
  let settled = 0;
  answers = (action) => {
    if (action === 'PutEvents')
      settled =
        asked.filter((one) => one === 'CompleteLifecycleAction').length +
        endpoint.calls.filter((one) => one === 'TransactWriteItems').length;
    return {};
  };
  const admissions = { [instanceId]: { group: 'workers' } };
  let looks = 0;
  by.plan = (observed) => ({
    membership: looks++ === 0 ? { ...emptyMembership, admissions } : observed.membership,
    commands: [],
    orders: [],
    effects: looks === 1 ? [{ kind: 'admit', instanceId, group: 'workers', reason: 'It is Ready.' }] : [],
    alarms: [],
    announcements: [],
  });
  await converge(by);
  // The hook, the record that it is to be done, and the record that it is.
  expect(settled).toBe(3);
});
