/**
 * Tables and volumes under a customer's key: whoever calls needs the key as well, by the own policies and by the key's.
 */
import { Key } from 'aws-cdk-lib/aws-kms';
import { COMMANDS_KEY, mailbox } from '../../../../protocol/keys';
import { deployReference } from '../reference';
import { closeWorlds, group, policy, trust, World, type Resources } from '../world';

afterEach(closeWorlds);

const key = { 'Fn::GetAtt': ['Key', 'Arn'] };
const ACCOUNT = { AWS: { 'Fn::Sub': 'arn:aws:iam::${AWS::AccountId}:root' } };
const VIA_DYNAMODB = { StringEquals: { 'kms:ViaService': 'dynamodb.us-east-1.amazonaws.com' } };

async function deploy(
  statements: Record<string, any>[],
  keyStatements: Record<string, any>[] = [{ Principal: ACCOUNT, Action: 'kms:*' }],
) {
  const own = [{ Action: ['dynamodb:GetItem', 'ec2:AttachVolume'] }, ...statements];
  const resources: Resources = {
    ...group(),
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: trust('ec2'),
        Policies: [{ PolicyName: 'own', PolicyDocument: policy(...own) }],
      },
    },
    Key: { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: policy(...keyStatements) } },
    Table: {
      Type: 'AWS::DynamoDB::Table',
      Properties: {
        TableName: 'table',
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        BillingMode: 'PAY_PER_REQUEST',
        SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: key },
      },
    },
    Volume: {
      Type: 'AWS::EC2::Volume',
      Properties: {
        AvailabilityZone: { 'Fn::GetAtt': ['SubnetA', 'AvailabilityZone'] },
        Size: 1,
        Encrypted: true,
        KmsKeyId: key,
      },
    },
  };
  const world = new World();
  world.denying = true;
  await world.create(resources);
  const { instanceId } = world.region.instances()[0]!;
  const { accessKeyId } = world.region.credentialsFor(instanceId)!;
  const outcome = async (service: string, action: string, input: Record<string, any>) => {
    const result = await world.region.call({ service, action, input, accessKeyId }).then(
      () => 'allowed',
      (error) =>
        `${error.code} ${/kms:\w+/.exec(error.message)?.[0]} ${/because .*|with an .*/.exec(error.message)?.[0]}`,
    );
    await world.clock.settle();
    return result;
  };
  return {
    get: () => outcome('dynamodb', 'GetItem', { TableName: 'table', Key: { pk: { S: 'a' } } }),
    attach: () =>
      outcome('ec2', 'AttachVolume', {
        InstanceId: instanceId,
        VolumeId: world.physicalId('Volume'),
        Device: '/dev/xvdf',
      }),
  };
}

// Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
test.each<[string, Record<string, any>[], string]>([
  [
    'no permission on the key',
    [],
    'AccessDeniedException kms:Decrypt because no identity-based policy allows the kms:Decrypt action',
  ],
  ['the key through DynamoDB', [{ Action: 'kms:Decrypt', Resource: key, Condition: VIA_DYNAMODB }], 'allowed'],
  [
    'the key through another service',
    [
      {
        Action: 'kms:Decrypt',
        Resource: key,
        Condition: { StringEquals: { 'kms:ViaService': 'ec2.us-east-1.amazonaws.com' } },
      },
    ],
    'AccessDeniedException kms:Decrypt because no identity-based policy allows the kms:Decrypt action',
  ],
  [
    'another key',
    [{ Action: 'kms:Decrypt', Resource: 'arn:aws:kms:us-east-1:123456789012:key/other' }],
    'AccessDeniedException kms:Decrypt because no identity-based policy allows the kms:Decrypt action',
  ],
])('a table under a key is read by a role that has %s', async (_, statements, expected) => {
  expect(await (await deploy(statements)).get()).toBe(expected);
});

// Source:
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-root-enable-iam
test.each<[string, Record<string, any>[], Record<string, any>[], string]>([
  ['leaves it to the account', [{ Principal: ACCOUNT, Action: 'kms:*' }], [{ Action: 'kms:Decrypt' }], 'allowed'],
  [
    'does not leave it to the account',
    [{ Principal: ACCOUNT, Action: 'kms:Put*' }],
    [{ Action: 'kms:Decrypt' }],
    'AccessDeniedException kms:Decrypt because no resource-based policy allows the kms:Decrypt action',
  ],
  [
    'names everybody through DynamoDB',
    [{ Principal: { AWS: '*' }, Action: 'kms:Decrypt', Condition: VIA_DYNAMODB }],
    [],
    'allowed',
  ],
  [
    'denies it',
    [
      { Principal: ACCOUNT, Action: 'kms:*' },
      { Effect: 'Deny', Principal: { AWS: '*' }, Action: 'kms:Decrypt' },
    ],
    [{ Action: 'kms:Decrypt' }],
    'AccessDeniedException kms:Decrypt with an explicit deny in a resource-based policy',
  ],
])('a key whose policy %s', async (_, keyStatements, statements, expected) => {
  expect(await (await deploy(statements, keyStatements)).get()).toBe(expected);
});

// Source: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html#ebs-encryption-permissions
test("attaching a volume under a key needs a grant for AWS's resource, and decrypting", async () => {
  const grant = {
    Action: 'kms:CreateGrant',
    Resource: key,
    Condition: {
      Bool: { 'kms:GrantIsForAWSResource': 'true' },
      StringEquals: { 'kms:ViaService': 'ec2.us-east-1.amazonaws.com' },
    },
  };
  expect(await (await deploy([])).attach()).toMatch(/^UnauthorizedOperation kms:CreateGrant/);
  expect(await (await deploy([grant])).attach()).toMatch(/^UnauthorizedOperation kms:Decrypt/);
  expect(await (await deploy([grant, { Action: 'kms:Decrypt', Resource: key }])).attach()).toBe('allowed');
});

test.each([
  ['of the stack', (stack: any) => new Key(stack, 'Key')],
  [
    'from elsewhere',
    (stack: any) =>
      Key.fromKeyArn(stack, 'Key', 'arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555'),
  ],
])('the reference stack forms under a key %s, and a worker reads its commands', async (_, encryptionKey) => {
  const reference = await deployReference((stack) => ({ encryptionKey: encryptionKey(stack) }));
  const [worker] = reference.instancesOf('Worker');
  const { roleId } = reference.world.region.roles().find(({ logicalId }) => logicalId.includes('WorkerRole'))!;
  const own = { pk: { S: mailbox(roleId, worker!) }, sk: { S: COMMANDS_KEY } };
  await expect(
    reference.callAs(worker!, 'dynamodb', 'GetItem', { TableName: reference.tokens, Key: own }),
  ).resolves.toEqual({});
  const [volume] = reference.world.region.volumes();
  expect(volume!.encryptionKey).toMatch(/^arn:aws:kms:/);
  const attach = { InstanceId: reference.instancesOf('Manager')[0], VolumeId: volume!.volumeId, Device: '/dev/xvdf' };
  const join = reference.world.region.functions().find(({ logicalId }) => logicalId.includes('NodeJoin'))!;
  const { credentials } = reference.world.functions.of(join.logicalId)[0]!.fn;
  await expect(
    reference.world.region.call({
      service: 'ec2',
      action: 'AttachVolume',
      input: attach,
      accessKeyId: credentials.accessKeyId,
    }),
  ).resolves.toMatchObject({ State: 'attaching' });
  await reference.world.clock.settle();
});
