import { evaluate, type Caller, type Decision } from '../../../../rehearsal/aws/iam/evaluate';
import { compilePolicy, type PolicyDocument, type PolicyKind } from '../../../../rehearsal/aws/iam/policy';

const caller: Caller = {
  type: 'session',
  arn: 'arn:aws:sts::123456789012:assumed-role/role/i-1',
  roleArn: 'arn:aws:iam::123456789012:role/role',
  accountId: '123456789012',
};
const events: Caller = { type: 'service', name: 'events.amazonaws.com' };
const TABLE = 'arn:aws:dynamodb:us-east-1:123456789012:table/Music';
const QUEUE = 'arn:aws:sqs:us-east-1:123456789012:queue';

type Statements = Record<string, any>[];
interface Given {
  action?: string;
  resource?: string;
  keys?: Record<string, string[]>;
  caller?: Caller;
  identity?: Statements;
  boundary?: Statements;
  policy?: Statements;
  version?: string;
}

function document(statements: Statements, version = '2012-10-17'): PolicyDocument {
  return {
    Version: version,
    Statement: statements.map((statement) => ({
      Effect: 'Allow',
      ...(statement.NotAction ? {} : { Action: '*' }),
      ...(statement.NotResource ? {} : { Resource: '*' }),
      ...statement,
    })),
  };
}

function decide({
  action = 'dynamodb:GetItem',
  resource = TABLE,
  keys = {},
  identity = [],
  boundary,
  policy,
  version,
  caller: who = caller,
}: Given): Decision {
  const compiled = (name: string, kind: PolicyKind, statements: Statements) =>
    compilePolicy(name, kind, document(statements, version));
  return evaluate(
    { caller: who, action, resource, keys },
    {
      identity: [compiled('identity', 'identity', identity)],
      boundary: boundary && compiled('boundary', 'identity', boundary),
      resource:
        policy &&
        compiled(
          'resource',
          'resource',
          policy.map((statement) => ({ Principal: '*', ...statement })),
        ),
    },
  );
}

const outcome = (given: Given) => {
  const decision = decide(given);
  return decision.allowed ? 'allowed' : decision.because;
};
const NO_IDENTITY = 'because no identity-based policy allows the dynamodb:GetItem action';
const deny = { Effect: 'Deny' };

// Source:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html
test.each<[string, Given, string]>([
  ['nothing allows it', {}, NO_IDENTITY],
  ['an identity policy allows it', { identity: [{}] }, 'allowed'],
  [
    'an identity policy allows and denies it',
    { identity: [{}, deny] },
    'with an explicit deny in an identity-based policy',
  ],
  [
    'an identity policy allows it, the resource denies it',
    { identity: [{}], policy: [deny] },
    'with an explicit deny in a resource-based policy',
  ],
  ['only the resource allows it', { policy: [{}] }, 'allowed'],
  [
    'the resource allows it, an identity policy denies it',
    { policy: [{}], identity: [deny] },
    'with an explicit deny in an identity-based policy',
  ],
  ['the boundary allows it and no identity policy', { boundary: [{}] }, NO_IDENTITY],
  ['the boundary and an identity policy allow it', { boundary: [{}], identity: [{}] }, 'allowed'],
  [
    'an identity policy allows it and the boundary does not',
    { boundary: [{ Action: 's3:*' }], identity: [{}] },
    'because no permissions boundary allows the dynamodb:GetItem action',
  ],
  [
    'the boundary denies it',
    { boundary: [{}, deny], identity: [{}] },
    'with an explicit deny in a permissions boundary',
  ],
])('%s', (_, given, expected) => {
  expect(outcome(given)).toBe(expected);
});

// Source:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-eval-logic
test.each<[string, unknown, string]>([
  ['everybody', '*', 'allowed'],
  ['everybody of AWS', { AWS: '*' }, 'allowed'],
  ['the session', { AWS: 'arn:aws:sts::123456789012:assumed-role/role/i-1' }, 'allowed'],
  [
    'the role',
    { AWS: 'arn:aws:iam::123456789012:role/role' },
    'because no permissions boundary allows the dynamodb:GetItem action',
  ],
  ['the account, which leaves it to identity policies,', { AWS: 'arn:aws:iam::123456789012:root' }, NO_IDENTITY],
  ['another role', { AWS: ['arn:aws:iam::123456789012:role/other'] }, NO_IDENTITY],
  ['a service', { Service: 'events.amazonaws.com' }, NO_IDENTITY],
])(
  'what a resource grants to %s is limited, or not, by a boundary that allows nothing of it',
  (_, Principal, expected) => {
    expect(outcome({ policy: [{ Principal }], boundary: [{ Action: 's3:*' }] })).toBe(expected);
  },
);

// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
test.each<[string, Given, string]>([
  [
    'the account of the session',
    { identity: [{}], policy: [{ ...deny, Principal: { AWS: '123456789012' } }] },
    'with an explicit deny in a resource-based policy',
  ],
  [
    "the session's role",
    { identity: [{}], policy: [{ ...deny, Principal: { AWS: 'arn:aws:iam::123456789012:role/role' } }] },
    'with an explicit deny in a resource-based policy',
  ],
  ['another account', { identity: [{}], policy: [{ ...deny, Principal: { AWS: '210987654321' } }] }, 'allowed'],
])('a deny of a resource for %s', (_, given, expected) => {
  expect(outcome(given)).toBe(expected);
});

// Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions
test.each<[string, Given, string]>([
  ['its rule', { keys: { 'aws:sourcearn': ['arn:aws:events:us-east-1:123456789012:rule/sweep'] } }, 'allowed'],
  [
    'another rule',
    { keys: { 'aws:sourcearn': ['arn:aws:events:us-east-1:123456789012:rule/other'] } },
    'because no resource-based policy allows the sqs:SendMessage action',
  ],
  ['no rule', {}, 'because no resource-based policy allows the sqs:SendMessage action'],
])('a service may what the resource grants it for %s', (_, given, expected) => {
  const Condition = { ArnEquals: { 'aws:SourceArn': 'arn:aws:events:us-east-1:123456789012:rule/sweep' } };
  expect(
    outcome({
      caller: events,
      action: 'sqs:SendMessage',
      resource: QUEUE,
      policy: [{ Principal: { Service: 'events.amazonaws.com' }, Condition }],
      ...given,
    }),
  ).toBe(expected);
});

// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
test.each<[Record<string, any>, string, boolean]>([
  [{ Action: 'dynamodb:GetItem' }, 'dynamodb:GetItem', true],
  [{ Action: 'DynamoDB:getitem' }, 'dynamodb:GetItem', true],
  [{ Action: 'dynamodb:Get*' }, 'dynamodb:GetItem', true],
  [{ Action: 'dynamodb:?etItem' }, 'dynamodb:GetItem', true],
  [{ Action: 'dynamodb:Get' }, 'dynamodb:GetItem', false],
  [{ Action: ['s3:*', 'dynamodb:*Item'] }, 'dynamodb:BatchGetItem', true],
  [{ NotAction: 'dynamodb:GetItem' }, 'dynamodb:GetItem', false],
  [{ NotAction: ['s3:*', 'sqs:*'] }, 'dynamodb:GetItem', true],
])('%j names %s: %s', (statement, action, named) => {
  expect(decide({ action, identity: [statement] }).allowed).toBe(named);
});

// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
test.each<[Record<string, any>, string, boolean]>([
  [{ Resource: TABLE }, TABLE, true],
  [{ Resource: TABLE }, `${TABLE}/stream/1`, false],
  [{ Resource: TABLE.toLowerCase() }, TABLE, false],
  [{ Resource: 'arn:aws:dynamodb:*:123456789012:table/M?sic' }, TABLE, true],
  [{ Resource: 'arn:aws:dynamodb:us-east-1:*:table/*' }, TABLE, true],
  // A wildcard stays within its part of the ARN.
  [{ Resource: 'arn:aws:*:us-east-1:2*:table/*' }, TABLE, false],
  [
    { Resource: 'arn:aws:logs:us-east-1:123456789012:log-group:g:*' },
    'arn:aws:logs:us-east-1:123456789012:log-group:g:log-stream:a/b',
    true,
  ],
  [
    { Resource: 'arn:aws:logs:us-east-1:123456789012:log-group:g' },
    'arn:aws:logs:us-east-1:123456789012:log-group:g:log-stream:a/b',
    false,
  ],
  [{ Resource: 'arn:aws:ec2:us-east-1:123456789012:instance/*' }, '*', false],
  [{ Resource: '*' }, '*', true],
  [{ NotResource: TABLE }, TABLE, false],
  [{ NotResource: QUEUE }, TABLE, true],
])('%j covers %s: %s', (statement, resource, covered) => {
  expect(decide({ resource, identity: [statement] }).allowed).toBe(covered);
});

// Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html,
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
const leading = (operator: string, ...values: string[]) => ({ [operator]: { 'dynamodb:LeadingKeys': values } });
const user = (operator: string, ...values: string[]) => ({ [operator]: { 'aws:userid': values } });
test.each<[Record<string, any>, Record<string, string[]>, boolean]>([
  [user('StringEquals', 'a', 'b'), { 'aws:userid': ['b'] }, true],
  [user('StringEquals', 'a*'), { 'aws:userid': ['ab'] }, false],
  [user('StringEquals', 'A'), { 'aws:userid': ['a'] }, false],
  [user('StringEquals', 'a'), {}, false],
  [user('StringEqualsIfExists', 'a'), {}, true],
  [user('StringEqualsIfExists', 'a'), { 'aws:userid': ['b'] }, false],
  [user('StringNotEquals', 'a', 'b'), { 'aws:userid': ['b'] }, false],
  [user('StringNotEquals', 'a', 'b'), { 'aws:userid': ['c'] }, true],
  [user('StringNotEquals', 'a'), {}, true],
  [user('StringLike', 'AROA?:*'), { 'aws:userid': ['AROA1:i-1'] }, true],
  [user('StringLike', 'AROA?:*'), { 'aws:userid': ['AROA:i-1'] }, false],
  [{ Bool: { 'aws:SecureTransport': 'false' } }, { 'aws:securetransport': ['true'] }, false],
  [{ Bool: { 'aws:SecureTransport': true } }, { 'aws:securetransport': ['true'] }, true],
  [
    { ArnLike: { 'aws:SourceArn': 'arn:aws:events:*:*:rule/s*' } },
    { 'aws:sourcearn': ['arn:aws:events:us-east-1:1:rule/sweep'] },
    true,
  ],
  [
    { ArnEquals: { 'aws:SourceArn': 'arn:aws:events:us-east-*:*:rule/s*' } },
    { 'aws:sourcearn': ['arn:aws:events:us-east-1:1:rule/sweep'] },
    true,
  ],
  [
    { ArnEquals: { 'aws:SourceArn': 'arn:aws:events:*:2:rule/s*' } },
    { 'aws:sourcearn': ['arn:aws:events:us-east-1:1:rule/sweep'] },
    false,
  ],
  [leading('ForAllValues:StringEquals', 'a', 'b'), { 'dynamodb:leadingkeys': ['a', 'b'] }, true],
  [leading('ForAllValues:StringEquals', 'a'), { 'dynamodb:leadingkeys': ['a', 'b'] }, false],
  [leading('ForAllValues:StringEquals', 'a'), {}, true],
  [leading('ForAnyValue:StringEquals', 'a'), { 'dynamodb:leadingkeys': ['a', 'b'] }, true],
  [leading('ForAnyValue:StringEquals', 'a'), {}, false],
  [leading('ForAllValues:StringNotEquals', 'a'), { 'dynamodb:leadingkeys': ['b', 'a'] }, false],
  [{ StringEquals: { 'AWS:ResourceTag/Cluster': 'c' } }, { 'aws:resourcetag/cluster': ['c'] }, true],
  [
    { StringEquals: { 'aws:ResourceTag/Cluster': 'c', 'aws:userid': 'u' } },
    { 'aws:resourcetag/cluster': ['c'], 'aws:userid': ['v'] },
    false,
  ],
])('%j with %j: %s', (Condition, keys, holds) => {
  expect(decide({ keys, identity: [{ Condition }] }).allowed).toBe(holds);
});

// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
test.each<[string, Given, boolean]>([
  [
    "a variable stands for the request's value",
    {
      identity: [{ Condition: leading('ForAllValues:StringEquals', '${aws:userid}') }],
      keys: { 'aws:userid': ['AROA:i-1'], 'dynamodb:leadingkeys': ['AROA:i-1'] },
    },
    true,
  ],
  [
    'the value of a variable holds no wildcards',
    {
      identity: [{ Condition: { StringLike: { 'aws:SourceAccount': '${aws:userid}' } } }],
      keys: { 'aws:userid': ['*'], 'aws:sourceaccount': ['1'] },
    },
    false,
  ],
  [
    'a variable without a value equals nothing, not even itself',
    {
      identity: [{ Condition: user('StringEquals', '${aws:SourceArn}') }],
      keys: { 'aws:userid': ['${aws:SourceArn}'] },
    },
    false,
  ],
  [
    'a variable without a value is unequal to everything',
    { identity: [{ Condition: user('StringNotEquals', '${aws:SourceArn}') }], keys: { 'aws:userid': ['u'] } },
    true,
  ],
  [
    'a default stands for a variable without a value',
    { identity: [{ Condition: user('StringEquals', "${aws:SourceArn, 'u'}") }], keys: { 'aws:userid': ['u'] } },
    true,
  ],
  [
    'variables stand in resources too',
    {
      identity: [{ Resource: 'arn:aws:s3:::bucket/${aws:userid}/*' }],
      resource: 'arn:aws:s3:::bucket/AROA:i-1/x',
      keys: { 'aws:userid': ['AROA:i-1'] },
    },
    true,
  ],
  [
    '${*} is a star',
    { identity: [{ Resource: 'arn:aws:s3:::bucket/${*}' }], resource: 'arn:aws:s3:::bucket/x' },
    false,
  ],
  [
    'policies of the version 2008-10-17 know no variables',
    {
      version: '2008-10-17',
      identity: [{ Condition: user('StringEquals', '${aws:userid}') }],
      keys: { 'aws:userid': ['u'] },
    },
    false,
  ],
])('%s', (_, given, allowed) => {
  expect(decide(given).allowed).toBe(allowed);
});

test('a decision names the statements that made it', () => {
  const decision = decide({
    identity: [
      { Sid: 'Other', Action: 's3:*' },
      { Sid: 'Reads', Action: 'dynamodb:Get*' },
    ],
    boundary: [{ Sid: 'Limit' }],
  });
  expect(
    decision.decidedBy.map(({ policy, statement }) => `${policy.name} ${statement.sid} ${statement.index}`),
  ).toEqual(['identity Reads 1', 'boundary Limit 0']);
});

describe('what a policy may not have', () => {
  const compile =
    (statement: Record<string, any>, kind: PolicyKind = 'identity') =>
    () =>
      compilePolicy('P', kind, {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*', ...statement }],
      });

  // Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
  test.each<[Record<string, any>, string]>([
    [{ Effect: 'allow' }, 'Invalid effect: allow'],
    [{ Action: undefined }, 'either Action or NotAction'],
    [{ NotAction: 's3:*' }, 'either Action or NotAction'],
    [{ Action: [] }, 'must contain actions'],
    [{ Action: 'GetObject' }, 'must be prefaced by a vendor'],
    [{ Resource: 'bucket' }, 'must be in ARN format'],
    [{ Resource: 'arn:aws:dynamodb:*:table/*' }, 'must be in ARN format'],
  ])('%j is malformed', (statement, message) => {
    expect(compile(statement)).toThrow(
      expect.objectContaining({ code: 'MalformedPolicyDocument', message: expect.stringContaining(message) }),
    );
  });

  test.each<[Record<string, any>, string, PolicyKind]>([
    [{ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }, "condition operator 'IpAddress'", 'identity'],
    [{ Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o' } } }, "condition key 'aws:PrincipalOrgID'", 'identity'],
    [
      { Condition: leading('StringEquals', 'a') },
      'whether ForAllValues:StringEquals or ForAnyValue:StringEquals',
      'identity',
    ],
    [{ Condition: { StringEquals: { 'aws:userid': [] } } }, "'aws:userid' has no values", 'identity'],
    [
      { Condition: { StringEquals: { 'aws:userid': '${aws:PrincipalTag/team}' } } },
      'variable ${aws:principaltag/team}',
      'identity',
    ],
    [{ Resource: 'arn:aws:dynamodb:*:*:table/${aws:usrid}' }, 'variable ${aws:usrid}', 'identity'],
    [{ Principal: { AWS: 'AROAEXAMPLE' } }, "not 'AROAEXAMPLE'", 'resource'],
    [{ Principal: '*' }, 'element Principal', 'identity'],
    [{ NotPrincipal: '*', Principal: '*' }, 'element NotPrincipal', 'resource'],
    [{ Principal: { Federated: 'x' } }, "kind 'Federated'", 'resource'],
    [{ Effects: 'Allow' }, 'element Effects', 'identity'],
  ])('%j is an error that names it', (statement, message, kind) => {
    expect(compile(statement, kind)).toThrow(message);
  });

  test("a resource's policy names whom it is for", () => {
    expect(compile({}, 'resource')).toThrow('Missing required field Principal');
  });

  test('two statements with one id are malformed, and so is a version that is none', () => {
    const statement = { Sid: 'A', Effect: 'Allow', Action: '*', Resource: '*' };
    expect(() => compilePolicy('P', 'identity', { Statement: [statement, statement] })).toThrow('must be unique');
    expect(() => compilePolicy('P', 'identity', { Version: '2013-01-01', Statement: [statement] })).toThrow(
      '2012-10-17',
    );
  });
});
