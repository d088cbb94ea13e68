/** Alarms about the cluster itself. */
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { jsonLog } from '../../../protocol/log';
import { census } from '../../../lambda/membership/census';
import { emptyMembership } from '../../../protocol/cluster';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { synthesise } from '../synthesise';

const plain = synthesise({}, (cluster) => cluster.addAlarms());
const filters = Object.values(plain.of('AWS::Logs::MetricFilter')).map(({ Properties }) => ({
  pattern: Properties.FilterPattern as string,
  group: Properties.LogGroupName.Ref as string,
  ...Properties.MetricTransformations[0],
}));
const alarms = Object.entries(plain.of('AWS::CloudWatch::Alarm')).map(([id, { Properties }]) => ({
  id,
  ...(Properties as Record<'AlarmDescription' | 'TreatMissingData' | 'AlarmActions', any>),
}));

/** The line that node-join logs at each look. */
function logged(): Record<string, unknown> {
  const lines: string[] = [];
  const swarm = {
    role: 'manager' as const,
    hostname: 'm',
    availability: 'active' as const,
    instanceId: 'i-00000000000000001',
  };
  const observation = {
    now: 100_000,
    seats: [0, 1, 2].map((seat) => ({ seat, volumeId: 'v', networkInterfaceId: 'e', address: '10.0.0.1' })),
    settings: { addressPools: [], addressPoolPrefixLength: 24 },
    membership: { ...emptyMembership, held: { seat: 1 } },
    tasksPending: 3,
    leader: {
      swarmId: 's'.repeat(25),
      epoch: 1,
      instanceId: 'i-00000000000000001',
      tokens: { manager: 'm', worker: 'w' },
      updatedAt: 58_000,
    },
    nodes: [
      {
        ...swarm,
        id: 'a',
        state: 'ready' as const,
        manager: { leader: true, reachability: 'reachable' as const, address: '10.0.0.1:2377' },
      },
      {
        ...swarm,
        id: 'b',
        state: 'down' as const,
        manager: { leader: false, reachability: 'unreachable' as const, address: '10.0.0.2:2377' },
      },
      { ...swarm, id: 'c', role: 'worker' as const, state: 'ready' as const },
    ],
    groups: [],
    instances: [
      {
        instanceId: 'i-00000000000000009',
        lifecycleState: 'Pending:Wait',
        group: { name: 'g', role: 'worker' as const },
      },
      {
        instanceId: 'i-00000000000000008',
        lifecycleState: 'Terminating:Wait',
        group: { name: 'g', role: 'worker' as const },
      },
    ],
    interfaces: [],
    stacksLeaving: new Set<string>(),
    gone: new Set<string>(),
    interrupted: new Set<string>(),
    volumes: [],
  };
  jsonLog(new VirtualClock(), (line) => void lines.push(line))('info', 'The cluster as it is seen.', {
    ...census(observation),
  });
  return JSON.parse(lines[0]!) as Record<string, unknown>;
}

test('each look logs the state of the cluster in numbers', () => {
  expect(logged()).toMatchObject({
    metric: 'Census',
    seats: 3,
    managersWorking: 1,
    managersMissing: 2,
    workersReady: 1,
    nodesDown: 1,
    instancesWaiting: 1,
    instancesLeaving: 1,
    launchesHeld: 1,
    leaderAgeSeconds: 42,
    tasksPending: 3,
  });
});

test('each metric reads a logged field from both logs, because either function may be the one that looks', () => {
  const line = logged();
  const ofCensus = filters.filter(({ pattern }) => pattern.includes('"Census"'));
  expect([...new Set(ofCensus.map(({ MetricName }) => MetricName))].sort()).toEqual([
    'leaderAgeSeconds',
    'managersMissing',
    'nodesDown',
    'tasksPending',
  ]);
  for (const { MetricName, MetricValue, MetricNamespace, pattern } of ofCensus) {
    expect(MetricNamespace).toBe('DockerSwarm/Test/Swarm');
    expect(MetricValue).toBe(`$.${MetricName}`);
    expect(typeof line[MetricName]).toBe('number');
    expect(pattern).toBe(`{ ($.metric = "${line.metric as string}") && ($.${MetricName} >= 0) }`);
    expect(new Set(ofCensus.filter((one) => one.MetricName === MetricName).map(({ group }) => group)).size).toBe(2);
  }
  expect(filters.filter(({ pattern }) => pattern === '{ $.metric = "MembershipAlarms" }')).toHaveLength(3);
});

test('there are ten alarms with descriptions, and missing data breaches only the alarm about silence', () => {
  expect(alarms.map(({ id }) => id.replace(/^SwarmAlarms|[0-9A-F]{8}$/g, '')).sort()).toEqual([
    'Attention',
    'CertificatesOverdue',
    'DeadLetters',
    'FunctionsFail',
    'FunctionsSilent',
    'HookDeadlines',
    'LeaderSilent',
    'ManagersMissing',
    'NodesDown',
    'TasksPending',
  ]);
  for (const { id, AlarmDescription, TreatMissingData, AlarmActions } of alarms) {
    expect(AlarmDescription).toMatch(/\.$/);
    expect(TreatMissingData).toBe(id.includes('FunctionsSilent') ? 'breaching' : 'notBreaching');
    expect(AlarmActions).toBeUndefined();
  }
});

test('they cost what the docs say: 2.60 USD a month while all is well, and at most 3.50', () => {
  const ofAlarms = Object.values(plain.of('AWS::CloudWatch::Alarm')).flatMap(
    ({ Properties }) =>
      (Properties.Metrics as { MetricStat?: object }[] | undefined)?.filter(({ MetricStat }) => MetricStat) ?? [
        Properties.MetricName,
      ],
  );
  const names = new Set(filters.map(({ MetricName }) => MetricName));
  const ofCensus = new Set(
    filters.filter(({ pattern }) => pattern.includes('"Census"')).map(({ MetricName }) => MetricName),
  );
  const cents = (metrics: number) => metrics * 30 + ofAlarms.length * 10;
  expect([cents(ofCensus.size), cents(names.size)]).toEqual([260, 350]);
});

test('metrics of what was done are created on request, each once', () => {
  const { of } = synthesise({}, (cluster) => {
    const swarm = cluster.addAlarms();
    expect(swarm.metric('rotations')).toMatchObject({
      namespace: 'DockerSwarm/Test/Swarm',
      metricName: 'rotations',
      statistic: 'Sum',
    });
    expect(swarm.metric('workersReady', { label: 'Workers' })).toMatchObject({
      statistic: 'Average',
      label: 'Workers',
    });
    swarm.metric('rotations');
  });
  const patterns = Object.values(of('AWS::Logs::MetricFilter'))
    .filter(({ Properties }) => Properties.MetricTransformations[0].MetricName === 'rotations')
    .map(({ Properties }) => Properties.FilterPattern as string);
  expect(patterns).toEqual(Array(2).fill('{ ($.metric = "Deeds") && ($.rotations >= 0) }'));
});

test('actions run when an alarm goes off and when it ends', () => {
  const { of } = synthesise({}, (cluster, stack) =>
    cluster.addAlarms({ actions: [new SnsAction(new Topic(stack, 'Topic'))] }),
  );
  for (const { Properties } of Object.values(of('AWS::CloudWatch::Alarm'))) {
    expect(Properties.AlarmActions).toHaveLength(1);
    expect(Properties.OKActions).toEqual(Properties.AlarmActions);
  }
});

test('an unknown metric is refused with the list of metrics, and alarms can be added only once', () => {
  synthesise({}, (cluster) => {
    const swarm = cluster.addAlarms();
    expect(() => swarm.metric('rotation' as never)).toThrow(
      /^metric: 'rotation' is unknown\. Choose from seats, managersWorking, .*, rotations\.$/,
    );
    expect(() => swarm.metric('' as never)).toThrow("metric: '' is unknown.");
    expect(() => cluster.addAlarms()).toThrow('addAlarms was already called. Call it once, with all actions.');
  });
});
