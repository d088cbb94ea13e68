import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { announce, type Announcement, type Announcer } from '../../../lambda/shared/announce';
import { announcementOf } from '../../../lambda/membership/announcements';
import type { Effect } from '../../../lambda/membership/draft';
import { AwsError } from '../../../rehearsal/aws/core/types';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { startDynamoDb } from '../dynamodb-endpoint';

const instanceId = 'i-00000000000000001';
const of = (effect: Partial<Effect> & { kind: Effect['kind'] }) =>
  announcementOf({ instanceId, group: 'web', reason: 'So it is.', ...effect } as Effect)?.event;

test('effects that change the state of a node are announced, and no others', () => {
  expect(of({ kind: 'admit' })).toBe('nodeReady');
  expect(of({ kind: 'let-go', role: 'worker', event: 'nodeLeft' })).toBe('nodeLeft');
  expect(of({ kind: 'let-go', role: 'worker', event: 'nodeLost' })).toBe('nodeLost');
  expect(of({ kind: 'let-go', role: 'worker' })).toBeUndefined();
  expect(of({ kind: 'replace' })).toBe('nodeReplaced');
  expect(of({ kind: 'terminate' })).toBe('nodeReplaced');
  expect(of({ kind: 'extend-hook' })).toBeUndefined();
});

describe('announcements', () => {
  let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
  let requests: Record<string, any>[];
  let answer: () => Record<string, any>;
  let logged: string[];
  let by: Announcer;

  beforeEach(async () => {
    requests = [];
    logged = [];
    answer = () => ({ FailedEntryCount: 0, Entries: [] });
    endpoint = await startDynamoDb(new VirtualClock(), (service, action, input) => {
      expect([service, action]).toEqual(['events', 'PutEvents']);
      requests.push(input);
      return answer();
    });
    by = {
      cluster: 'Test/Swarm',
      eventBridge: new EventBridgeClient({ ...endpoint.clientOptions, maxAttempts: 1 }),
      log: (level, message, fields) => void logged.push(JSON.stringify({ level, message, ...fields })),
    };
  });
  afterEach(() => endpoint.close());

  const many = (count: number): Announcement[] =>
    Array.from({ length: count }, (_, n) => ({
      event: 'nodeReady',
      instanceId: `i-${String(n).padStart(17, '0')}`,
      reason: 'It is Ready.',
    }));

  it('go to the default event bus, ten at a time', async () => {
    await announce(by, many(25));
    expect(requests.map(({ Entries }) => Entries.length)).toEqual([10, 10, 5]);
    expect(requests[0]!.Entries[1]).toEqual({
      Source: 'cdk-docker-swarm',
      DetailType: 'Swarm Node Ready',
      Detail: '{"cluster":"Test/Swarm","instanceId":"i-00000000000000001","reason":"It is Ready."}',
    });
    expect(logged).toEqual([]);
  });

  it('cause no request when there are none', async () => {
    await announce(by, []);
    expect(requests).toEqual([]);
  });

  it('that EventBridge rejects are logged and not retried, and the others are sent', async () => {
    answer = () => ({ FailedEntryCount: 1, Entries: [] });
    await announce(by, many(15));
    expect(requests).toHaveLength(2);
    expect(logged.join('\n')).toContain('EventBridge rejected some events.');
  });

  it('are abandoned after one failed request, since nobody waits for them', async () => {
    answer = () => {
      throw new AwsError('AccessDeniedException', 'is not authorized to perform: events:PutEvents');
    };
    await announce(by, many(25));
    expect(requests).toHaveLength(1);
    expect(logged).toEqual([expect.stringMatching(/"events":25.*is not authorized to perform: events:PutEvents/)]);
  });
});
