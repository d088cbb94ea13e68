import { closeWorlds, group, role, World } from '../world';

afterEach(closeWorlds);

const statement = { Effect: 'Allow', Action: 'dynamodb:GetItem', Resource: '*' };
const policies = {
  ...role,
  Inline: {
    Type: 'AWS::IAM::Policy',
    Properties: { PolicyName: 'inline', PolicyDocument: { Statement: [statement] }, Roles: [{ Ref: 'Role' }] },
  },
  Managed: {
    Type: 'AWS::IAM::ManagedPolicy',
    Properties: { PolicyDocument: { Statement: [statement] }, Roles: [{ Ref: 'Role' }] },
  },
};

// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
test('a role has one unique id for its whole life, which templates read by GetAtt', async () => {
  const world = new World();
  const outputs = await world.create(role, { Outputs: { RoleId: { Value: { 'Fn::GetAtt': ['Role', 'RoleId'] } } } });
  expect(outputs.RoleId).toMatch(/^AROA[A-Z0-9]{17}$/);
  expect(world.region.roles()).toMatchObject([{ logicalId: 'Role', roleId: outputs.RoleId }]);
});

// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
test("an instance's requests come from its role's session, named by the instance id", async () => {
  const world = new World();
  await world.create(group());
  const { instanceId, privateIpAddress } = world.region.instances()[0]!;
  expect(world.region.instanceByAddress(privateIpAddress)!.instanceId).toBe(instanceId);
  const credentials = world.region.credentialsFor(instanceId)!;
  expect(credentials.accessKeyId).toMatch(/^ASIA[A-Z2-7]{16}$/);
  expect(world.region.credentialsFor(instanceId)).toEqual(credentials);
  const identity = await world.region.call({
    service: 'sts',
    action: 'GetCallerIdentity',
    input: {},
    accessKeyId: credentials.accessKeyId,
  });
  expect(identity).toEqual({
    UserId: `${world.region.roles()[0]!.roleId}:${instanceId}`,
    Account: '123456789012',
    Arn: `arn:aws:sts::123456789012:assumed-role/${world.physicalId('Role')}/${instanceId}`,
  });
});

test('an access key that was never handed out is refused, and so is one whose role is deleted', async () => {
  const world = new World();
  await world.create(group());
  const { accessKeyId } = world.region.credentialsFor(world.region.instances()[0]!.instanceId)!;
  await world.delete();
  const call = (key: string) =>
    world.region.call({ service: 'sts', action: 'GetCallerIdentity', input: {}, accessKeyId: key });
  await expect(call(accessKeyId)).rejects.toThrow('The security token included in the request is invalid.');
  await expect(call('AKIANOBODY')).rejects.toMatchObject({ code: 'UnrecognizedClientException', status: 403 });
});

test('a terminated instance has no credentials any more', async () => {
  const world = new World();
  await world.create(group());
  const { instanceId } = world.region.instances()[0]!;
  await world.region.killInstance(instanceId);
  expect(world.region.credentialsFor(instanceId)).toBeUndefined();
});

test('inline and managed policies of the template stay on their role, and leave it when deleted', async () => {
  const world = new World();
  await world.create(policies);
  const [kept] = world.region.roles();
  expect(kept!.policies.get('inline')!.document.Statement).toEqual([statement]);
  expect(kept!.managedPolicyArns).toEqual([world.physicalId('Managed')]);
  await world.delete();
  expect([...kept!.policies.keys()]).toEqual(['function']);
  expect(kept!.managedPolicyArns).toEqual([]);
});
