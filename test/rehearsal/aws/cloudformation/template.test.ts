import { TemplateReader, type Scope, type Template } from '../../../../rehearsal/aws/cloudformation/template';

// Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html

const scope: Scope = {
  parameters: { 'AWS::Region': 'eu-west-1', 'AWS::AccountId': '123456789012', Size: 'large', List: ['a', 'b'] },
  zones: ['eu-west-1a', 'eu-west-1b', 'eu-west-1c'],
  ssmParameter: (name) => `value of ${name}`,
  ref: (id) => `ref-${id}`,
  attribute: (id, name) => (name === 'List' ? ['x', 'y'] : `${id}.${name}`),
};

const reader = (template: Partial<Template> = {}) => new TemplateReader({ Resources: {}, ...template });
const resolve = (value: unknown, template: Partial<Template> = {}) => reader(template).resolve(value, scope);

test.each<[string, unknown, unknown]>([
  ['Ref of a resource', { Ref: 'Thing' }, 'ref-Thing'],
  ['Ref of a parameter', { Ref: 'Size' }, 'large'],
  ['Ref of a pseudo parameter', { Ref: 'AWS::Region' }, 'eu-west-1'],
  ['Fn::GetAtt as a list', { 'Fn::GetAtt': ['Thing', 'Arn'] }, 'Thing.Arn'],
  ['Fn::GetAtt as a text', { 'Fn::GetAtt': 'Thing.Outputs.Name' }, 'Thing.Outputs.Name'],
  [
    'Fn::Sub',
    { 'Fn::Sub': '${AWS::Region}/${Thing}/${Thing.Arn}/${!Literal}' },
    'eu-west-1/ref-Thing/Thing.Arn/${Literal}',
  ],
  ['Fn::Sub with variables', { 'Fn::Sub': ['${a}-${Size}', { a: { Ref: 'Thing' } }] }, 'ref-Thing-large'],
  ['Fn::Join', { 'Fn::Join': ['-', ['a', { Ref: 'Thing' }, 3]] }, 'a-ref-Thing-3'],
  ['Fn::Join of a list that a function gives', { 'Fn::Join': [',', { 'Fn::GetAtt': ['Thing', 'List'] }] }, 'x,y'],
  ['Fn::Select', { 'Fn::Select': [1, { 'Fn::GetAZs': '' }] }, 'eu-west-1b'],
  ['Fn::Split', { 'Fn::Select': ['2', { 'Fn::Split': [':', 'a:b:c'] }] }, 'c'],
  ['Fn::GetAZs', { 'Fn::GetAZs': { Ref: 'AWS::Region' } }, ['eu-west-1a', 'eu-west-1b', 'eu-west-1c']],
  [
    'Fn::Base64',
    { 'Fn::Base64': { 'Fn::Sub': 'region ${AWS::Region}' } },
    Buffer.from('region eu-west-1').toString('base64'),
  ],
  ['a dynamic reference to a parameter', 'image {{resolve:ssm:/path/to:1}}', 'image value of /path/to'],
  ['functions inside lists and objects', { a: [{ b: { Ref: 'Thing' } }] }, { a: [{ b: 'ref-Thing' }] }],
  [
    'AWS::NoValue, which leaves the property out',
    { a: 1, b: { Ref: 'AWS::NoValue' }, c: [{ Ref: 'AWS::NoValue' }, 2] },
    { a: 1, c: [2] },
  ],
])('%s is resolved', (_, value, expected) => {
  expect(resolve(value)).toEqual(expected);
});

test('a policy statement with a Condition stays as it is', () => {
  const statement = { Effect: 'Allow', Condition: { StringEquals: { 'aws:userid': '${aws:userid}' } } };
  expect(resolve(statement)).toEqual(statement);
});

test('Fn::FindInMap finds by keys that are functions themselves', () => {
  const Mappings = { Sizes: { 'eu-west-1': { large: 5 } } };
  expect(resolve({ 'Fn::FindInMap': ['Sizes', { Ref: 'AWS::Region' }, 'large'] }, { Mappings })).toBe(5);
  expect(() => resolve({ 'Fn::FindInMap': ['Sizes', 'mars', 'large'] }, { Mappings })).toThrow(
    'Unable to get mapping for Sizes::mars::large',
  );
});

// Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-conditions.html
test('conditions are made of Equals, And, Or, Not and other conditions, and decide Fn::If', () => {
  const Conditions = {
    Large: { 'Fn::Equals': [{ Ref: 'Size' }, 'large'] },
    Here: { 'Fn::Equals': [{ Ref: 'AWS::Region' }, 'eu-west-1'] },
    Both: { 'Fn::And': [{ Condition: 'Large' }, { Condition: 'Here' }] },
    Neither: { 'Fn::Not': [{ 'Fn::Or': [{ Condition: 'Large' }, { Condition: 'Here' }] }] },
  };
  expect(resolve({ 'Fn::If': ['Both', 'yes', 'no'] }, { Conditions })).toBe('yes');
  expect(resolve({ a: { 'Fn::If': ['Neither', 'yes', { Ref: 'AWS::NoValue' }] } }, { Conditions })).toEqual({});
  expect(() => resolve({ 'Fn::If': ['Missing', 1, 2] }, { Conditions })).toThrow(
    'Unresolved condition dependency Missing',
  );
});

test('what the emulation does not know is an error that names it', () => {
  expect(() => resolve({ 'Fn::Transform': {} })).toThrow("'Fn::Transform'");
  expect(() => resolve('{{resolve:secretsmanager:x}}')).toThrow("'secretsmanager'");
  expect(() => resolve({ 'Fn::Select': [5, ['a']] })).toThrow('Fn::Select cannot select nonexistent value at index 5');
  expect(() => reader({ Transform: 'AWS::Serverless' } as Partial<Template>)).toThrow("'Transform'");
});

// Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html
test('dependencies come from Ref, GetAtt, Sub and DependsOn, and from the branch of an Fn::If that counts', () => {
  const type = 'AWS::X::Y';
  const template = reader({
    Conditions: { No: { 'Fn::Equals': ['a', 'b'] } },
    Resources: {
      A: { Type: type },
      B: { Type: type, Properties: { a: { Ref: 'A' } } },
      C: {
        Type: type,
        Properties: { a: { 'Fn::GetAtt': ['B', 'Arn'] }, b: { 'Fn::Sub': ['${A} ${x}', { x: { Ref: 'B' } }] } },
      },
      D: { Type: type, DependsOn: ['C'], Properties: { a: { 'Fn::If': ['No', { Ref: 'Absent' }, { Ref: 'A' }] } } },
      Absent: { Type: type, Condition: 'No' },
    },
  });
  const found = Object.fromEntries([...template.dependencies(scope)].map(([id, needs]) => [id, [...needs].sort()]));
  expect(found).toEqual({ A: [], B: ['A'], C: ['A', 'B'], D: ['A', 'C'] });
});

test('a circle of dependencies, a missing resource and a missing DependsOn are refused by name', () => {
  const type = 'AWS::X::Y';
  const graph = (Resources: Template['Resources']) => () => reader({ Resources }).dependencies(scope);
  expect(
    graph({ A: { Type: type, DependsOn: 'B' }, B: { Type: type, Properties: { a: { Ref: 'A' } } }, C: { Type: type } }),
  ).toThrow('Circular dependency between resources: [A, B]');
  expect(graph({ A: { Type: type, Properties: { a: { Ref: 'Ghost' } } } })).toThrow(
    'Unresolved resource dependencies [Ghost]',
  );
  expect(graph({ A: { Type: type, DependsOn: 'Ghost' } })).toThrow('Unresolved resource dependencies [Ghost]');
});
