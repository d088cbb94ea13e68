import { DynamoDBClient, PutItemCommand, type QueryCommand } from '@aws-sdk/client-dynamodb';
import { SQSClient } from '@aws-sdk/client-sqs';
import { marshall } from '@aws-sdk/util-dynamodb';
import { publish, type Publisher } from '../../../lambda/leader-token/publish';
import { decodeRecord, queryPartition } from '../../../lambda/shared/tables';
import { emptyMembership, leaderCodec, membershipCodec } from '../../../protocol/cluster';
import { PUBLISHED_TOKENS_ATTRIBUTE } from '../../../protocol/commands';
import { reportCodec, tokensDigest, type Report } from '../../../protocol/report';
import { decodeSwarmReport, encodeSwarmReport, type SwarmReport } from '../../../protocol/swarm';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';

const instanceId = 'i-00000000000000001';
const managerRoleId = 'AROAMANAGER';
const box = `${managerRoleId}:${instanceId}`;
const swarmId = 's'.repeat(25);
const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};
const report: Report = {
  instanceId,
  role: 'manager',
  seat: 0,
  address: '10.0.0.1',
  swarm: { state: 'active', nodeId: 'n'.repeat(25), swarmId, controlAvailable: true },
  tokens,
};
const swarm = (epoch: number, extra = 0): SwarmReport => ({
  swarmId,
  epoch,
  nodes: [
    {
      id: 'n'.repeat(25),
      hostname: 'm',
      role: 'manager',
      availability: 'active',
      state: 'ready',
      instanceId,
      manager: { leader: true, reachability: 'reachable', address: '10.0.0.1:2377' },
    },
    ...Array.from({ length: extra }, (_, n) => ({
      id: String(n).padStart(25, '0'),
      hostname: `w${n}`,
      role: 'worker' as const,
      availability: 'active' as const,
      state: 'ready' as const,
    })),
  ],
});

let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let publisher: Publisher;
let sent: unknown[];
let logged: string[];

beforeEach(async () => {
  const clock = new VirtualClock();
  sent = [];
  logged = [];
  endpoint = await startDynamoDb(clock, (_service, _action, input) => {
    sent.push(input);
    return { MessageId: '1', MD5OfMessageBody: undefined };
  });
  publisher = {
    clock,
    log: (level, message, fields) => void logged.push(JSON.stringify({ level, message, ...fields })),
    dynamodb: endpoint.client,
    sqs: new SQSClient({ ...endpoint.clientOptions, md5: false }),
    tokenTable: TOKEN_TABLE,
    reportTable: REPORT_TABLE,
    managerRoleId,
    joinQueueUrl: 'https://sqs.eu-west-1.amazonaws.com/000000000000/join',
  };
  await put(
    TOKEN_TABLE,
    'cluster',
    'membership',
    membershipCodec.encode({
      ...emptyMembership,
      bootstrap: { seat: 0, instanceId, volumeId: 'vol-1', commandId: 'c' },
    }),
  );
});
afterEach(() => endpoint.close());

const put = (table: string, pk: string, sk: string, attributes: object) =>
  endpoint.client.send(new PutItemCommand({ TableName: table, Item: marshall({ pk, sk, ...attributes }) }));

async function reports(what: SwarmReport, of: Report = report): Promise<void> {
  await put(REPORT_TABLE, box, 'report', reportCodec.encode(of));
  for (const [n, chunk] of encodeSwarmReport(what).entries()) await put(REPORT_TABLE, box, `swarm#${n}`, chunk);
}

async function published() {
  const items = await queryPartition(endpoint.client, TOKEN_TABLE, 'cluster');
  const list = decodeSwarmReport(items.filter(({ sk }) => String(sk).startsWith('nodes#')));
  return {
    leader: decodeRecord(
      { tokenTable: TOKEN_TABLE },
      leaderCodec,
      items.find(({ sk }) => sk === 'leader'),
    ),
    nodes: list.ok ? list.value.nodes : [],
  };
}

describe('publishing', () => {
  it('writes leader record, node list and acknowledgement, and has node-join look again', async () => {
    await reports(swarm(12));
    await publish(publisher, box);
    expect(await published()).toMatchObject({
      leader: { swarmId, epoch: 12, instanceId, tokens },
      nodes: swarm(12).nodes,
    });
    const [commands] = await queryPartition(endpoint.client, TOKEN_TABLE, box);
    expect(commands).toMatchObject({ sk: 'commands', [PUBLISHED_TOKENS_ATTRIBUTE]: tokensDigest(tokens) });
    expect(sent).toHaveLength(1);
  });

  it('wakes target-update as well where there is a load balancer', async () => {
    const targetsQueueUrl = 'https://sqs.eu-west-1.amazonaws.com/000000000000/targets';
    await reports(swarm(12));
    await publish({ ...publisher, targetsQueueUrl }, box);
    expect(sent).toMatchObject([{ QueueUrl: publisher.joinQueueUrl }, { QueueUrl: targetsQueueUrl }]);
  });

  it('wakes target-update alone when nothing but the published ports has changed', async () => {
    const targetsQueueUrl = 'https://sqs.eu-west-1.amazonaws.com/000000000000/targets';
    const { tokens: _, ...acknowledged } = report;
    await reports(swarm(12));
    await publish({ ...publisher, targetsQueueUrl }, box);
    sent.length = 0;
    await reports(
      { ...swarm(13), ports: [{ service: 'web', port: 8081, protocol: 'tcp', mode: 'ingress' }] },
      acknowledged,
    );
    await publish({ ...publisher, targetsQueueUrl }, box);
    expect(sent).toMatchObject([{ QueueUrl: targetsQueueUrl }]);
  });

  it('of the same list under a new epoch renews the record and wakes nobody', async () => {
    await reports(swarm(12));
    await publish(publisher, box);
    const { tokens: _, ...acknowledged } = report;
    await reports(swarm(13), acknowledged);
    await publish(publisher, box);
    expect((await published()).leader).toMatchObject({ epoch: 13, tokens });
    expect(sent).toHaveLength(1);
  });

  it('changes nothing with a stale epoch, also when two publish at once', async () => {
    await reports(swarm(13));
    await Promise.all([publish(publisher, box), publish(publisher, box)]);
    await reports(swarm(12, 5));
    await publish(publisher, box);
    expect(await published()).toMatchObject({ leader: { epoch: 13 }, nodes: swarm(13).nodes });
  });

  it('never brings back join tokens that were replaced since it looked, and publishes the rest', async () => {
    await reports(swarm(12));
    await publish(publisher, box);
    const rotated = {
      manager: tokens.manager.replace(/m+$/, 'x'.repeat(25)),
      worker: tokens.worker.replace(/w+$/, 'y'.repeat(25)),
    };
    const { tokens: _, ...acknowledged } = report;
    const { client } = endpoint;
    const others = async () => {
      await reports(swarm(13), { ...report, tokens: rotated });
      await publish(publisher, box);
      await reports(swarm(14, 3), acknowledged);
    };
    // What is published is read before the others, what the node reports after them.
    let records: Promise<unknown> | undefined;
    let meanwhile: Promise<void> | undefined;
    const send = async (command: QueryCommand): Promise<unknown> => {
      if (command.input.TableName === TOKEN_TABLE && !records) return (records = client.send(command));
      if (command.input.TableName === TOKEN_TABLE) return client.send(command);
      // Both are asked for at once.
      await Promise.resolve();
      await records;
      await (meanwhile ??= others());
      return client.send(command);
    };
    await publish({ ...publisher, dynamodb: Object.assign(Object.create(DynamoDBClient.prototype), { send }) }, box);
    expect(await published()).toMatchObject({ leader: { epoch: 14, tokens: rotated }, nodes: swarm(14, 3).nodes });
  });

  it('after a quorum was recovered, goes on from what is far behind', async () => {
    await reports(swarm(9_000));
    await publish(publisher, box);
    const membership = (generation: object) =>
      put(
        TOKEN_TABLE,
        'cluster',
        'membership',
        membershipCodec.encode({
          ...emptyMembership,
          bootstrap: { seat: 0, instanceId, volumeId: 'vol-1', commandId: 'c' },
          ...generation,
        }),
      );
    await membership({ generation: { number: 1, seat: 0 } });
    await reports(swarm(12));
    await publish(publisher, box);
    expect((await published()).leader).toMatchObject({ epoch: 12, generation: 1 });
    await reports(swarm(13));
    await publish(publisher, box);
    expect((await published()).leader).toMatchObject({ epoch: 13, generation: 1 });
  });

  it('removes the chunks of a longer list', async () => {
    await reports(swarm(12));
    await put(TOKEN_TABLE, 'cluster', 'nodes#0', { v: 1, epoch: 11, chunks: 2, body: 'old' });
    await put(TOKEN_TABLE, 'cluster', 'nodes#1', { v: 1, epoch: 11, chunks: 2, body: 'old' });
    await publish(publisher, box);
    const items = await queryPartition(endpoint.client, TOKEN_TABLE, 'cluster');
    expect(items.map(({ sk }) => sk)).toEqual(['leader', 'membership', 'nodes#0']);
  });

  it.each([
    ["a worker's mailbox", 'AROAWORKER:i-00000000000000001'],
    ['a key that is no mailbox', 'cluster'],
  ])('never happens from %s', async (_name, key) => {
    await put(REPORT_TABLE, key, 'report', reportCodec.encode(report));
    await put(REPORT_TABLE, key, 'swarm#0', encodeSwarmReport(swarm(12))[0]!);
    await publish(publisher, key);
    expect((await published()).leader).toBeUndefined();
    expect(logged.join()).toContain('ReportsIgnored');
  });

  it('never happens from a poisoned report, which is counted and not logged', async () => {
    await reports(swarm(12));
    await put(REPORT_TABLE, box, 'report', {
      v: 1,
      body: '{"instanceId":"i-00000000000000001","role":"<script>poison</script>"}',
    });
    await publish(publisher, box);
    expect((await published()).leader).toBeUndefined();
    expect(logged.join()).toContain('ReportsIgnored');
    expect(logged.join()).not.toContain('poison');
  });

  it('stops with an error when its own records cannot be read, rather than take them for absent', async () => {
    await reports(swarm(12));
    await put(TOKEN_TABLE, 'cluster', 'membership', { v: 2, body: '{}' });
    await expect(publish(publisher, box)).rejects.toThrow('cannot be read (version)');
  });

  it('logs no token', async () => {
    await reports(swarm(12));
    await publish(publisher, box);
    expect(logged.join()).not.toContain('SWMTKN');
  });
});
