/**
 * The emulated DynamoDB, behaviour by behaviour. Pages are below https://docs.aws.amazon.com/amazondynamodb/latest/ ;
 * each group or test names its own.
 */
import type { Clock } from '../../../../protocol/clock';
import { DynamoDb, type StreamRecord } from '../../../../rehearsal/aws/dynamodb/dynamodb';
import { AwsError, type Principal } from '../../../../rehearsal/aws/core/types';

const principal: Principal = {
  accessKeyId: 'AKID',
  role: 'Role',
  arn: 'arn:aws:sts::123456789012:assumed-role/role/session',
  userId: 'AROA:session',
};
let now = Number(0);
const clock = { now: () => now, uuid: () => '00000000-0000-4000-8000-000000000000' } as Clock;

let db: DynamoDb;
beforeEach(() => {
  now = 1_767_323_045_678;
  db = new DynamoDb(clock);
  db.createTable({
    tableName: 't',
    tableArn: 'arn:aws:dynamodb:eu-central-1:123456789012:table/t',
    partitionKey: 'pk',
    sortKey: 'sk',
  });
});

const call = (action: string, input: Record<string, unknown>) =>
  db.call(action, { TableName: 't', ...input }, principal);
const transact = (TransactItems: unknown[], ClientRequestToken?: string) =>
  db.call('TransactWriteItems', { TransactItems, ClientRequestToken }, principal);
const key = (pk: string, sk = '0') => ({ pk: { S: pk }, sk: { S: sk } });
const put = (attributes: Record<string, unknown> = {}, pk = 'a', sk = '0') =>
  call('PutItem', { Item: { ...key(pk, sk), ...attributes } });
const get = async (pk = 'a', sk = '0') => (await call('GetItem', { Key: key(pk, sk) })).Item;
const update = (UpdateExpression: string, values?: Record<string, unknown>, more: Record<string, unknown> = {}) =>
  call('UpdateItem', { Key: key('a'), UpdateExpression, ExpressionAttributeValues: values, ...more });
const failure = async (promise: Promise<unknown>): Promise<AwsError> => {
  const error = await promise.then(
    () => new Error('It did not fail.'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AwsError)) throw error;
  return error;
};
const invalid = async (promise: Promise<unknown>, message: string) => {
  const { code, message: given } = await failure(promise);
  expect(code).toBe('ValidationException');
  expect(given).toContain(message);
};

describe('Items and keys', () => {
  // APIReference/API_GetItem.html
  test('GetItem answers no Item when there is none', async () => {
    expect(await call('GetItem', { Key: key('none') })).toEqual({});
  });

  test('what is stored and what is answered share nothing with the caller', async () => {
    const list = { L: [{ S: 'x' }] };
    await put({ list });
    list.L[0]!.S = 'changed';
    const given = await get();
    given.list.L[0].S = 'changed, too';
    expect((await get()).list).toEqual({ L: [{ S: 'x' }] });
  });

  // APIReference/API_PutItem.html
  test('PutItem replaces the whole item and answers the old one on request', async () => {
    await put({ x: { N: '1' } });
    expect(await call('PutItem', { Item: { ...key('a'), y: { N: '2' } }, ReturnValues: 'ALL_OLD' })).toEqual({
      Attributes: { ...key('a'), x: { N: '1' } },
    });
    expect(await get()).toEqual({ ...key('a'), y: { N: '2' } });
  });

  // APIReference/API_DeleteItem.html
  test('DeleteItem may be repeated, and answers the old item on request', async () => {
    await put({ x: { N: '1' } });
    expect(await call('DeleteItem', { Key: key('a'), ReturnValues: 'ALL_OLD' })).toEqual({
      Attributes: { ...key('a'), x: { N: '1' } },
    });
    expect(await call('DeleteItem', { Key: key('a'), ReturnValues: 'ALL_OLD' })).toEqual({});
    expect(db.items('t')).toEqual([]);
  });

  // APIReference/API_GetItem.html#API_GetItem_Errors
  test('an unknown table is ResourceNotFoundException', async () => {
    expect((await failure(db.call('GetItem', { TableName: 'other', Key: key('a') }, principal))).code).toBe(
      'ResourceNotFoundException',
    );
    db.deleteTable('t');
    expect((await failure(put())).code).toBe('ResourceNotFoundException');
  });

  // developerguide/HowItWorks.CoreComponents.html#HowItWorks.CoreComponents.PrimaryKey
  test.each([
    ['a missing sort key', { pk: { S: 'a' } }],
    ['a further attribute', { ...key('a'), x: { S: 'x' } }],
    ['a key of another type', { pk: { S: 'a' }, sk: { N: '1' } }],
  ])('%s does not match the schema', async (_, Key) => {
    await invalid(call('GetItem', { Key }), 'The provided key element does not match the schema');
  });

  test('an item without its key, with a key of another type, or an empty key is refused', async () => {
    await invalid(call('PutItem', { Item: { pk: { S: 'a' } } }), 'Missing the key sk in the item');
    await invalid(
      call('PutItem', { Item: { pk: { S: 'a' }, sk: { N: '1' } } }),
      'Type mismatch for key sk expected: S actual: N',
    );
    await invalid(put({}, ''), 'cannot contain an empty string value. Key: pk');
  });

  // developerguide/Constraints.html#limits-partition-sort-keys
  test('a partition key may have 2,048 bytes and a sort key 1,024', async () => {
    await put({}, 'ä'.repeat(1024), 's'.repeat(1024));
    await invalid(put({}, `${'ä'.repeat(1024)}x`), 'exceeded the maximum size limit of 2048 bytes');
    await invalid(put({}, 'a', 's'.repeat(1025)), 'exceeded the maximum size limit of 1024 bytes');
  });

  // developerguide/Constraints.html#limits-items
  test('an item may have 400 KB, names included', async () => {
    const room = 400 * 1024 - 'pk'.length - 'a'.length - 'sk'.length - '0'.length - 'data'.length;
    await put({ data: { S: 'x'.repeat(room) } });
    await invalid(put({ data: { S: 'x'.repeat(room + 1) } }), 'Item size has exceeded the maximum allowed size');
    await invalid(
      update('SET y = :y', { ':y': { S: '' } }),
      'Item size to update has exceeded the maximum allowed size',
    );
  });

  // developerguide/HowItWorks.NamingRulesDataTypes.html
  test.each([
    ['no type', {}, 'must contain exactly one of the supported datatypes'],
    ['two types', { S: 'a', N: '1' }, 'more than one datatypes set'],
    ['an empty set', { SS: [] }, 'set  may not be empty'],
    ['a set with doubles', { NS: ['1', '1.0'] }, 'contains duplicates'],
    ['a null that is not true', { NULL: false }, 'must have the value of true'],
    ['a number that is none', { N: '1x' }, 'cannot be converted to a numeric value: 1x'],
    ['39 digits', { N: '1'.repeat(39) }, 'more than 38 significant digits'],
    ['too large a number', { N: '1E126' }, 'Number overflow'],
    ['too small a number', { N: '1E-131' }, 'Number underflow'],
  ])('a value of %s is refused', async (_, x, message) => {
    await invalid(put({ x }), message);
  });

  // APIReference/CommonErrors.html
  test('a value whose JSON type is not that of its data type is SerializationException', async () => {
    expect((await failure(put({ x: { S: 5 } }))).code).toBe('SerializationException');
    expect((await failure(put({ x: { N: 5 } }))).code).toBe('SerializationException');
    expect((await failure(put({ x: { L: { S: 'x' } } }))).code).toBe('SerializationException');
  });

  test('a value may be nested 32 levels deep', async () => {
    const nested = (levels: number): Record<string, unknown> =>
      levels === 1 ? { S: 'x' } : { L: [nested(levels - 1)] };
    await put({ x: nested(32) });
    await invalid(put({ x: nested(33) }), 'Nesting Levels have exceeded supported limits');
  });

  // developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number : leading and trailing zeroes are
  // trimmed
  test.each([
    ['007', '7'],
    ['1.500', '1.5'],
    ['-0.0', '0'],
    ['1E3', '1000'],
    ['12.5e-3', '0.0125'],
    ['12345678901234567890123456789012345678', '12345678901234567890123456789012345678'],
  ])('the number %s is kept as %s', async (given, kept) => {
    await put({ n: { N: given } });
    expect((await get()).n).toEqual({ N: kept });
  });

  test('what the emulation does not know is an error that names it', async () => {
    await expect(call('Scan', {})).rejects.toThrow('does not know the action Scan');
    await expect(call('GetItem', { Key: key('a'), AttributesToGet: ['x'] })).rejects.toThrow(
      'does not know the parameter AttributesToGet of GetItem',
    );
    await expect(call('PutItem', { Item: key('a'), Expected: {} })).rejects.toThrow(
      'does not know the parameter Expected of PutItem',
    );
    await expect(call('Query', { KeyConditionExpression: 'pk = :p', IndexName: 'i' })).rejects.toThrow(
      'does not know the parameter IndexName of Query',
    );
    await expect(call('GetItem', { Key: key('a'), ReturnConsumedCapacity: 'TOTAL' })).rejects.toThrow(
      'counts no capacity',
    );
  });
});

describe('Conditions (developerguide/Expressions.OperatorsAndFunctions.html)', () => {
  const item = {
    s: { S: 'hello' },
    n: { N: '10' },
    b: { B: Uint8Array.of(1, 2, 3) },
    t: { BOOL: true },
    nil: { NULL: true },
    ss: { SS: ['x', 'y'] },
    ns: { NS: ['1', '2'] },
    l: { L: [{ S: 'first' }, { M: { deep: { N: '5' } } }] },
    m: { M: { inside: { S: 'v' }, xs: { L: [{ N: '1' }] } } },
  };
  const values: Record<string, unknown> = {
    ':hello': { S: 'hello' },
    ':hel': { S: 'hel' },
    ':ell': { S: 'ell' },
    ':z': { S: 'z' },
    ':x': { S: 'x' },
    ':v': { S: 'v' },
    ':first': { S: 'first' },
    ':n9': { N: '9' },
    ':n10': { N: '10.0' },
    ':n11': { N: '11' },
    ':n5': { N: '5' },
    ':n1': { N: '1' },
    ':n2': { N: '2' },
    ':n3': { N: '3' },
    ':true': { BOOL: true },
    ':null': { NULL: true },
    ':b12': { B: Uint8Array.of(1, 2) },
    ':S': { S: 'S' },
    ':N': { S: 'N' },
    ':yx': { SS: ['y', 'x'] },
  };
  const used = (expression: string) =>
    Object.fromEntries(Object.entries(values).filter(([name]) => new RegExp(`${name}\\b`).test(expression)));

  test.each([
    ['s = :hello', true],
    ['s = :z', false],
    ['s <> :z', true],
    ['n = :n10', true],
    ['n > :n9', true],
    ['n >= :n10', true],
    ['n < :n9', false],
    ['n <= :n9', false],
    ['s > :n9', false],
    ['ss = :yx', true],
    [':hello = s', true],
    ['absent = :z', false],
    ['absent <> :z', true],
    ['absent < :z', false],
    ['n BETWEEN :n9 AND :n11', true],
    ['n between :n9 and :n9', false],
    ['s IN (:z, :hello)', true],
    ['s in (:z)', false],
    ['attribute_exists(s)', true],
    ['attribute_exists(m.inside)', true],
    ['attribute_exists(m.elsewhere)', false],
    ['attribute_exists(l[1].deep)', true],
    ['attribute_exists(l[2])', false],
    ['attribute_not_exists(absent)', true],
    ['attribute_not_exists(s)', false],
    ['attribute_type(s, :S)', true],
    ['attribute_type(s, :N)', false],
    ['attribute_type(absent, :S)', false],
    ['begins_with(s, :hel)', true],
    ['begins_with(s, :ell)', false],
    ['begins_with(b, :b12)', true],
    ['contains(s, :ell)', true],
    ['contains(s, :z)', false],
    ['contains(ss, :x)', true],
    ['contains(ns, :n2)', true],
    ['contains(ns, :n3)', false],
    ['contains(l, :first)', true],
    ['contains(l, :x)', false],
    ['size(s) = :n5', true],
    ['size(b) = :n3', true],
    ['size(ss) = :n2', true],
    ['size(l) = :n2', true],
    ['size(m) = :n2', true],
    ['size(n) = :n2', false],
    ['m.inside = :v', true],
    ['m.xs[0] = :n1', true],
    ['l[1].deep > :n3', true],
    ['t = :true AND nil = :null', true],
    ['s = :z OR n = :n10', true],
    ['NOT s = :z', true],
    ['NOT (s = :hello OR s = :z)', false],
    // AND binds closer than OR, NOT closer than AND
    ['s = :hello OR s = :z AND n = :n9', true],
    ['(s = :hello OR s = :z) AND n = :n9', false],
    ['NOT s = :z AND n = :n10', true],
    ['((s = :hello))', true],
  ])('%s is %s', async (ConditionExpression, expected) => {
    await put(item);
    const outcome = await call('DeleteItem', {
      Key: key('a'),
      ConditionExpression,
      ExpressionAttributeValues: Object.keys(used(ConditionExpression)).length ? used(ConditionExpression) : undefined,
    }).then(
      () => true,
      (error: AwsError) => (error.code === 'ConditionalCheckFailedException' ? false : error.message),
    );
    expect(outcome).toBe(expected);
    expect(db.items('t')).toHaveLength(expected ? 0 : 1);
  });

  test.each([
    ['s = :v AND', {}, 'Syntax error; token: "<EOF>"'],
    ['s == :v', {}, 'Syntax error; token: "="'],
    ['s = :v s', {}, 'Syntax error; token: "s"'],
    ['s', {}, 'Syntax error'],
    ['s % :v', {}, 'Syntax error; token: "%"'],
    ['explode(s, :v)', {}, 'Invalid function name; function: explode'],
    ['if_not_exists(s, :v)', {}, 'The function is not allowed in a condition expression; function: if_not_exists'],
    ['attribute_type(s, :v)', {}, 'Invalid attribute type name found; type: v'],
    [
      'begins_with(s, :v)',
      { ':v': { N: '1' } },
      'Incorrect operand type for operator or function; operator or function: begins_with, operand type: N',
    ],
    ['s < :v', { ':v': { BOOL: true } }, 'operator or function: <, operand type: BOOL'],
    ['s BETWEEN :v AND :w', { ':w': { S: 'a' } }, 'requires upper bound to be greater than or equal to lower bound'],
    ['s BETWEEN :v AND :w', { ':w': { N: '1' } }, 'requires same data type for lower and upper bounds'],
    ['s = :v AND x = :w', {}, 'An expression attribute value used in expression is not defined; attribute value: :w'],
    ['#s = :v', {}, 'An expression attribute name used in the document path is not defined; attribute name: #s'],
    ['', {}, 'The expression can not be empty'],
    [`s = :v${' OR s = :v'.repeat(500)}`, {}, 'Expression size has exceeded the maximum allowed size'],
    [`s IN (${Array.from({ length: 101 }, () => ':v').join(',')})`, {}, 'too many operands'],
    [Array.from({ length: 302 }, () => 's=:v').join(' OR '), {}, 'too many operators'],
  ])('%s is refused', async (ConditionExpression, more, message) => {
    await invalid(
      call('PutItem', {
        Item: key('a'),
        ConditionExpression,
        ExpressionAttributeValues: { ':v': { S: 'v' }, ...more },
      }),
      message,
    );
  });

  // developerguide/ReservedWords.html
  test.each(['name', 'Status', 'ttl', 'role', 'VALUE', 'leader.state'])(
    'the reserved word in %s needs a placeholder',
    async (path) => {
      await invalid(
        call('PutItem', { Item: key('a'), ConditionExpression: `attribute_exists(${path})` }),
        'Attribute name is a reserved keyword; reserved keyword:',
      );
    },
  );

  // developerguide/Expressions.ExpressionAttributeNames.html
  test('placeholders stand for one name each, dots included', async () => {
    await put({ 'a.b': { N: '1' }, name: { N: '2' } });
    const ExpressionAttributeNames = { '#dotted': 'a.b', '#name': 'name' };
    await call('DeleteItem', { Key: key('a'), ConditionExpression: '#dotted < #name', ExpressionAttributeNames });
    expect(db.items('t')).toEqual([]);
  });

  test('placeholders that are not used, or used without an expression, are refused', async () => {
    const given = (more: Record<string, unknown>) => call('PutItem', { Item: key('a'), ...more });
    await invalid(
      given({ ConditionExpression: 'attribute_exists(x)', ExpressionAttributeValues: { ':u': { S: 'x' } } }),
      'Value provided in ExpressionAttributeValues unused in expressions: keys: {:u}',
    );
    await invalid(
      given({ ConditionExpression: 'attribute_exists(x)', ExpressionAttributeNames: { '#u': 'x' } }),
      'Value provided in ExpressionAttributeNames unused in expressions: keys: {#u}',
    );
    await invalid(
      given({ ExpressionAttributeNames: { '#u': 'x' } }),
      'ExpressionAttributeNames can only be specified when using expressions',
    );
    await invalid(
      given({ ExpressionAttributeValues: { ':u': { S: 'x' } } }),
      'ExpressionAttributeValues can only be specified when using expressions',
    );
    await invalid(
      given({ ConditionExpression: 'attribute_exists(x)', ExpressionAttributeValues: {} }),
      'ExpressionAttributeValues must not be empty',
    );
    await invalid(
      given({ ConditionExpression: 'attribute_exists(x)', ExpressionAttributeNames: { u: 'x' } }),
      'contains invalid key',
    );
  });

  // APIReference/API_PutItem.html#DDB-PutItem-request-ReturnValuesOnConditionCheckFailure
  test('a failed condition changes nothing, and answers the item only on request', async () => {
    await put({ n: { N: '1' } });
    const attempt = { Item: { ...key('a'), n: { N: '2' } }, ConditionExpression: 'attribute_not_exists(pk)' };
    expect(await failure(call('PutItem', attempt))).toMatchObject({
      code: 'ConditionalCheckFailedException',
      message: 'The conditional request failed',
      members: {},
    });
    expect(
      (await failure(call('PutItem', { ...attempt, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' }))).members,
    ).toEqual({ Item: { ...key('a'), n: { N: '1' } } });
    expect((await get()).n).toEqual({ N: '1' });
  });

  test('a failed condition on an item that is not there answers no item', async () => {
    const attempt = update(
      'SET n = :n',
      { ':n': { N: '1' } },
      { ConditionExpression: 'attribute_exists(pk)', ReturnValuesOnConditionCheckFailure: 'ALL_OLD' },
    );
    expect(await failure(attempt)).toMatchObject({ code: 'ConditionalCheckFailedException', members: {} });
    expect(db.items('t')).toEqual([]);
  });
});

describe('Updates (developerguide/Expressions.UpdateExpressions.html)', () => {
  const attributes = async () => {
    const { pk: _pk, sk: _sk, ...rest } = await get();
    return rest;
  };

  test('UpdateItem makes the item when there is none', async () => {
    await update('SET n = :n', { ':n': { N: '1' } });
    expect(await get()).toEqual({ ...key('a'), n: { N: '1' } });
  });

  test.each<[string, Record<string, unknown>, Record<string, unknown>, Record<string, unknown>]>([
    ['SET n = n + :one', { n: { N: '9007199254740993' } }, { ':one': { N: '1' } }, { n: { N: '9007199254740994' } }],
    ['SET n = n - :v', { n: { N: '0.3' } }, { ':v': { N: '0.1' } }, { n: { N: '0.2' } }],
    ['SET n = :v - n', { n: { N: '1' } }, { ':v': { N: '0.5' } }, { n: { N: '-0.5' } }],
    ['SET x = y, y = x', { x: { N: '1' }, y: { N: '2' } }, {}, { x: { N: '2' }, y: { N: '1' } }],
    ['SET n = if_not_exists(n, :z)', { n: { N: '5' } }, { ':z': { N: '0' } }, { n: { N: '5' } }],
    ['SET n = if_not_exists(n, :z) + :one', {}, { ':z': { N: '0' }, ':one': { N: '1' } }, { n: { N: '1' } }],
    [
      'SET l = list_append(l, :l)',
      { l: { L: [{ N: '1' }] } },
      { ':l': { L: [{ N: '2' }] } },
      { l: { L: [{ N: '1' }, { N: '2' }] } },
    ],
    [
      'SET l = list_append(:l, l)',
      { l: { L: [{ N: '1' }] } },
      { ':l': { L: [{ N: '2' }] } },
      { l: { L: [{ N: '2' }, { N: '1' }] } },
    ],
    [
      'SET l = list_append(if_not_exists(l, :e), :l)',
      {},
      { ':e': { L: [] }, ':l': { L: [{ N: '2' }] } },
      { l: { L: [{ N: '2' }] } },
    ],
    [
      'SET m.inside = :v, m.l[0].x = :v',
      { m: { M: { l: { L: [{ M: {} }] } } } },
      { ':v': { S: 'v' } },
      { m: { M: { inside: { S: 'v' }, l: { L: [{ M: { x: { S: 'v' } } }] } } } },
    ],
    [
      'SET l[7] = :b, l[5] = :a',
      { l: { L: [{ N: '0' }] } },
      { ':a': { N: '1' }, ':b': { N: '2' } },
      { l: { L: [{ N: '0' }, { N: '1' }, { N: '2' }] } },
    ],
    [
      'REMOVE x, m.inside, l[0], l[2]',
      {
        x: { N: '1' },
        m: { M: { inside: { N: '1' }, y: { N: '2' } } },
        l: { L: [{ N: '0' }, { N: '1' }, { N: '2' }] },
      },
      {},
      { m: { M: { y: { N: '2' } } }, l: { L: [{ N: '1' }] } },
    ],
    ['REMOVE l[0], l[1].x', { l: { L: [{ N: '0' }, { M: { x: { N: '1' } } }] } }, {}, { l: { L: [{ M: {} }] } }],
    ['REMOVE absent', { x: { N: '1' } }, {}, { x: { N: '1' } }],
    ['ADD n :v', { n: { N: '1.5' } }, { ':v': { N: '-2' } }, { n: { N: '-0.5' } }],
    ['ADD n :v', {}, { ':v': { N: '3' } }, { n: { N: '3' } }],
    ['ADD ss :v', { ss: { SS: ['a'] } }, { ':v': { SS: ['a', 'b'] } }, { ss: { SS: ['a', 'b'] } }],
    ['ADD ns :v', {}, { ':v': { NS: ['1'] } }, { ns: { NS: ['1'] } }],
    ['DELETE ss :v', { ss: { SS: ['a', 'b'] } }, { ':v': { SS: ['b', 'c'] } }, { ss: { SS: ['a'] } }],
    ['DELETE ss :v', { ss: { SS: ['a'] } }, { ':v': { SS: ['a'] } }, {}],
    ['DELETE absent :v', { x: { N: '1' } }, { ':v': { SS: ['a'] } }, { x: { N: '1' } }],
    [
      'set x = :v remove y add n :n delete ss :ss',
      { y: { N: '1' }, ss: { SS: ['a', 'b'] } },
      { ':v': { S: 'v' }, ':n': { N: '1' }, ':ss': { SS: ['a'] } },
      { x: { S: 'v' }, n: { N: '1' }, ss: { SS: ['b'] } },
    ],
  ])('%s', async (expression, before, values, after) => {
    await put(before);
    await update(expression, Object.keys(values).length > 0 ? values : undefined);
    expect(await attributes()).toEqual(after);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['SET x = y', {}, 'refers to an attribute that does not exist in the item'],
    ['SET n = s + :n', { ':n': { N: '1' } }, 'An operand in the update expression has an incorrect data type'],
    ['SET n = :s + :n', { ':n': { N: '1' }, ':s': { S: 's' } }, 'operator or function: +, operand type: S'],
    [
      'SET m.elsewhere.x = :n',
      { ':n': { N: '1' } },
      'The document path provided in the update expression is invalid for update',
    ],
    ['SET l.x = :n', { ':n': { N: '1' } }, 'The document path provided in the update expression is invalid for update'],
    ['ADD s :n', { ':n': { N: '1' } }, 'An operand in the update expression has an incorrect data type'],
    ['ADD s :s', { ':s': { S: 's' } }, 'operator or function: ADD, operand type: S'],
    ['DELETE s :n', { ':n': { N: '1' } }, 'operator or function: DELETE, operand type: N'],
    ['SET pk = :s', { ':s': { S: 's' } }, 'Cannot update attribute pk. This attribute is part of the key'],
    ['REMOVE sk', {}, 'Cannot update attribute sk. This attribute is part of the key'],
    ['SET x = :n SET y = :n', { ':n': { N: '1' } }, 'The "SET" section can only be used once in an update expression'],
    ['SET x = :n, x.y = :n', { ':n': { N: '1' } }, 'Two document paths overlap with each other'],
    ['SET x = :n REMOVE x', { ':n': { N: '1' } }, 'Two document paths overlap with each other'],
    ['SET l.x = :n, l[0] = :n', { ':n': { N: '1' } }, 'Two document paths conflict with each other'],
    ['PUT x = :n', { ':n': { N: '1' } }, 'Syntax error; token: "PUT"'],
    ['SET x = :n,', { ':n': { N: '1' } }, 'Syntax error; token: "<EOF>"'],
    ['SET x = :n + :n + :n', { ':n': { N: '1' } }, 'Syntax error; token: "+"'],
    ['SET x = size(s)', {}, 'Invalid function name; function: size'],
    ['SET count = :n', { ':n': { N: '1' } }, 'Attribute name is a reserved keyword; reserved keyword: count'],
    ['SET #absent = :n', { ':n': { N: '1' } }, 'attribute name: #absent'],
    ['REMOVE x', { ':n': { N: '1' } }, 'unused in expressions: keys: {:n}'],
  ])('%s is refused and changes nothing', async (expression, values, message) => {
    const before = { s: { S: 's' }, m: { M: {} }, l: { L: [{ N: '0' }] } };
    await put(before);
    await invalid(update(expression, Object.keys(values).length > 0 ? values : undefined), message);
    expect(await attributes()).toEqual(before);
  });

  // APIReference/API_UpdateItem.html#DDB-UpdateItem-request-UpdateExpression : ADD and DELETE only on top-level
  // attributes
  test('ADD and DELETE on a nested attribute are refused', async () => {
    await invalid(update('ADD m.n :n', { ':n': { N: '1' } }), 'ADD can only be used on top-level attributes');
    await invalid(update('DELETE m.s :s', { ':s': { SS: ['1'] } }), 'DELETE can only be used on top-level attributes');
  });

  // APIReference/API_UpdateItem.html#DDB-UpdateItem-request-ReturnValues
  test.each([
    ['NONE', {}],
    ['ALL_OLD', { Attributes: { ...key('a'), n: { N: '1' }, m: { M: { x: { N: '1' }, y: { N: '1' } } } } }],
    ['UPDATED_OLD', { Attributes: { n: { N: '1' }, m: { M: { x: { N: '1' } } } } }],
    [
      'ALL_NEW',
      { Attributes: { ...key('a'), n: { N: '2' }, m: { M: { x: { N: '2' }, y: { N: '1' } } }, fresh: { N: '2' } } },
    ],
    ['UPDATED_NEW', { Attributes: { n: { N: '2' }, m: { M: { x: { N: '2' } } }, fresh: { N: '2' } } }],
  ])('ReturnValues %s', async (ReturnValues, answered) => {
    await put({ n: { N: '1' }, m: { M: { x: { N: '1' }, y: { N: '1' } } } });
    expect(await update('SET n = :v, m.x = :v, fresh = :v', { ':v': { N: '2' } }, { ReturnValues })).toEqual(answered);
  });

  test('only UpdateItem answers new values', async () => {
    await invalid(call('PutItem', { Item: key('a'), ReturnValues: 'ALL_NEW' }), 'Return values set to invalid value');
  });

  test('UpdateItem checks its condition on the item as it was', async () => {
    await put({ n: { N: '1' } });
    await update('SET n = :new', { ':new': { N: '2' }, ':old': { N: '1' } }, { ConditionExpression: 'n = :old' });
    expect(
      (
        await failure(
          update('SET n = :new', { ':new': { N: '3' }, ':old': { N: '1' } }, { ConditionExpression: 'n = :old' }),
        )
      ).code,
    ).toBe('ConditionalCheckFailedException');
    expect((await get()).n).toEqual({ N: '2' });
  });
});

describe('Query (developerguide/Query.html)', () => {
  const query = (KeyConditionExpression: string, values: Record<string, unknown>, more: Record<string, unknown> = {}) =>
    call('Query', { KeyConditionExpression, ExpressionAttributeValues: values, ...more });
  const sorts = (output: Record<string, any>) => output.Items.map((item: Record<string, { S: string }>) => item.sk!.S);

  beforeEach(async () => {
    for (const sk of ['b#2', 'a', 'b#10', 'c', 'ä', 'b#1']) await put({ v: { S: sk } }, 'p', sk);
    await put({}, 'other', 'a');
  });

  test.each<[string, Record<string, unknown>, string[]]>([
    // strings are ordered by their UTF-8 bytes
    ['pk = :p', {}, ['a', 'b#1', 'b#10', 'b#2', 'c', 'ä']],
    ['pk = :p AND sk = :s', { ':s': { S: 'c' } }, ['c']],
    ['pk = :p AND begins_with(sk, :s)', { ':s': { S: 'b#' } }, ['b#1', 'b#10', 'b#2']],
    ['begins_with(sk, :s) AND pk = :p', { ':s': { S: 'b#1' } }, ['b#1', 'b#10']],
    ['pk = :p AND sk BETWEEN :s AND :t', { ':s': { S: 'b#10' }, ':t': { S: 'c' } }, ['b#10', 'b#2', 'c']],
    ['pk = :p AND sk > :s', { ':s': { S: 'b#2' } }, ['c', 'ä']],
    ['pk = :p AND sk <= :s', { ':s': { S: 'b#1' } }, ['a', 'b#1']],
    ['(pk = :p) AND (sk < :s)', { ':s': { S: 'b#1' } }, ['a']],
    ['pk = :none', { ':p': undefined, ':none': { S: 'none' } }, []],
  ])('%s', async (expression, values, expected) => {
    const given = Object.fromEntries(
      Object.entries({ ':p': { S: 'p' }, ...values }).filter(([, value]) => value !== undefined),
    );
    const output = await query(expression, given);
    expect(sorts(output)).toEqual(expected);
    expect(output).toMatchObject({ Count: expected.length, ScannedCount: expected.length });
    expect(output.LastEvaluatedKey).toBeUndefined();
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['sk = :p', {}, 'Query condition missed key schema element: pk'],
    ['pk > :p', {}, 'Query key condition not supported'],
    ['pk = :p AND v = :p', {}, 'Query condition missed key schema element: sk'],
    ['pk = :p OR sk = :p', {}, 'Invalid operator used in KeyConditionExpression'],
    ['pk = :p AND sk <> :p', {}, 'Invalid operator used in KeyConditionExpression'],
    ['pk = :p AND contains(sk, :p)', {}, 'Invalid operator used in KeyConditionExpression'],
    ['pk = :p AND pk = :p', {}, 'must only contain one condition per key'],
    ['pk = :p', { ':p': { N: '1' } }, 'Condition parameter type does not match schema type'],
    ['pk = :p AND sk = :q', {}, 'An expression attribute value used in expression is not defined; attribute value: :q'],
    ['pk = :p', { ':unused': { S: 'x' } }, 'unused in expressions: keys: {:unused}'],
  ])('%s is refused', async (expression, more, message) => {
    await invalid(query(expression, { ':p': { S: 'p' }, ...more }), message);
  });

  // developerguide/Query.Pagination.html
  test.each([true, false])('pages follow each other without gap or double, forward %s', async (ScanIndexForward) => {
    const seen: string[] = [];
    let ExclusiveStartKey: unknown;
    do {
      const page: Record<string, any> = await query(
        'pk = :p',
        { ':p': { S: 'p' } },
        { Limit: 4, ScanIndexForward, ExclusiveStartKey },
      );
      seen.push(...sorts(page));
      ExclusiveStartKey = page.LastEvaluatedKey;
    } while (ExclusiveStartKey);
    expect(seen).toEqual(
      ScanIndexForward ? ['a', 'b#1', 'b#10', 'b#2', 'c', 'ä'] : ['ä', 'c', 'b#2', 'b#10', 'b#1', 'a'],
    );
  });

  test('a page that was deleted meanwhile still leads to the next', async () => {
    const { LastEvaluatedKey } = await query('pk = :p', { ':p': { S: 'p' } }, { Limit: 2 });
    await call('DeleteItem', { Key: LastEvaluatedKey });
    expect(sorts(await query('pk = :p', { ':p': { S: 'p' } }, { ExclusiveStartKey: LastEvaluatedKey }))).toEqual([
      'b#10',
      'b#2',
      'c',
      'ä',
    ]);
  });

  test('a page ends at 1 MB', async () => {
    for (let n = 0; n < 4; n += 1) await put({ data: { S: 'x'.repeat(390_000) } }, 'big', String(n));
    const page = await query('pk = :p', { ':p': { S: 'big' } });
    expect(sorts(page)).toEqual(['0', '1', '2']);
    expect(page.LastEvaluatedKey).toEqual(key('big', '2'));
  });

  // developerguide/Query.FilterExpression.html
  test('a filter acts after the limit, and never on a key', async () => {
    const output = await query(
      'pk = :p',
      { ':p': { S: 'p' }, ':v': { S: 'b#10' } },
      { Limit: 3, FilterExpression: 'v = :v' },
    );
    expect(sorts(output)).toEqual(['b#10']);
    expect(output).toMatchObject({ Count: 1, ScannedCount: 3, LastEvaluatedKey: key('p', 'b#10') });
    await invalid(
      query('pk = :p', { ':p': { S: 'p' } }, { FilterExpression: 'sk = :p' }),
      'Filter Expression can only contain non-primary key attributes: Primary key attribute: sk',
    );
  });

  // APIReference/API_Query.html#DDB-Query-request-Select
  test('Select COUNT answers no items', async () => {
    expect(await query('pk = :p', { ':p': { S: 'p' } }, { Select: 'COUNT' })).toEqual({ Count: 6, ScannedCount: 6 });
  });

  test('numbers are ordered by their value, in a table whose sort key is a number', async () => {
    db.createTable({ tableName: 'n', tableArn: 'arn', partitionKey: 'pk', sortKey: 'sk', sortKeyType: 'N' });
    for (const N of ['10', '9', '-1', '1.5'])
      await db.call('PutItem', { TableName: 'n', Item: { pk: { S: 'p' }, sk: { N } } }, principal);
    const { Items } = await db.call(
      'Query',
      { TableName: 'n', KeyConditionExpression: 'pk = :p', ExpressionAttributeValues: { ':p': { S: 'p' } } },
      principal,
    );
    expect(Items.map((item: Record<string, { N: string }>) => item.sk!.N)).toEqual(['-1', '1.5', '9', '10']);
  });
});

describe('Projections (developerguide/Expressions.ProjectionExpressions.html)', () => {
  test('only the chosen paths are answered; members of a list close up', async () => {
    await put({
      x: { N: '1' },
      y: { N: '2' },
      name: { S: 'n' },
      m: { M: { x: { N: '1' }, y: { N: '2' } } },
      l: { L: [{ N: '0' }, { N: '1' }, { M: { x: { N: '2' }, y: { N: '3' } } }] },
    });
    const { Item } = await call('GetItem', {
      Key: key('a'),
      ProjectionExpression: 'x, #n, m.y, l[2].x, l[0], absent',
      ExpressionAttributeNames: { '#n': 'name' },
    });
    expect(Item).toEqual({
      x: { N: '1' },
      name: { S: 'n' },
      m: { M: { y: { N: '2' } } },
      l: { L: [{ N: '0' }, { M: { x: { N: '2' } } }] },
    });
  });

  test('overlapping paths, reserved words and unused names are refused', async () => {
    const projected = (ProjectionExpression: string, ExpressionAttributeNames?: Record<string, string>) =>
      call('GetItem', { Key: key('a'), ProjectionExpression, ExpressionAttributeNames });
    await invalid(projected('m, m.x'), 'Invalid ProjectionExpression: Two document paths overlap');
    await invalid(projected('name'), 'reserved keyword: name');
    await invalid(projected('x', { '#n': 'n' }), 'unused in expressions: keys: {#n}');
  });
});

describe('BatchGetItem (APIReference/API_BatchGetItem.html)', () => {
  const batch = (Keys: unknown[], more: Record<string, unknown> = {}) =>
    db.call('BatchGetItem', { RequestItems: { t: { Keys, ...more } } }, principal);

  test('answers the items that exist, projected', async () => {
    await put({ x: { N: '1' }, y: { N: '2' } });
    expect(await batch([key('a'), key('none')], { ProjectionExpression: 'x' })).toEqual({
      Responses: { t: [{ x: { N: '1' } }] },
      UnprocessedKeys: {},
    });
  });

  test('takes 100 keys, without doubles', async () => {
    const keys = Array.from({ length: 101 }, (_, n) => key(String(n)));
    expect((await batch(keys.slice(1))).Responses.t).toEqual([]);
    await invalid(batch(keys), 'Too many items requested for the BatchGetItem call');
    await invalid(batch([key('a'), key('a')]), 'Provided list of item keys contains duplicates');
    await invalid(batch([]), 'Member must have length greater than or equal to 1');
  });

  test('leaves what exceeds 16 MB as UnprocessedKeys, to be asked for again', async () => {
    for (let n = 0; n < 50; n += 1) await put({ data: { S: 'x'.repeat(400_000) } }, String(n));
    const { Responses, UnprocessedKeys } = await batch(
      Array.from({ length: 50 }, (_, n) => key(String(n))),
      { ConsistentRead: true },
    );
    expect(Responses.t.length).toBe(Math.floor((16 * 1024 * 1024) / 400_012));
    expect(UnprocessedKeys.t.Keys.length).toBe(50 - Responses.t.length);
    expect(UnprocessedKeys.t.ConsistentRead).toBe(true);
  });
});

describe('TransactWriteItems (APIReference/API_TransactWriteItems.html)', () => {
  const Put = (pk: string, n: string, more: Record<string, unknown> = {}) => ({
    Put: { TableName: 't', Item: { ...key(pk), n: { N: n } }, ...more },
  });

  test('all operations are carried out', async () => {
    await put({ n: { N: '1' } }, 'checked');
    await put({}, 'deleted');
    await put({ n: { N: '1' } }, 'updated');
    expect(
      await transact([
        {
          ConditionCheck: {
            TableName: 't',
            Key: key('checked'),
            ConditionExpression: 'n = :n',
            ExpressionAttributeValues: { ':n': { N: '1' } },
          },
        },
        { Delete: { TableName: 't', Key: key('deleted') } },
        {
          Update: {
            TableName: 't',
            Key: key('updated'),
            UpdateExpression: 'ADD n :n',
            ExpressionAttributeValues: { ':n': { N: '1' } },
          },
        },
        Put('put', '7'),
      ]),
    ).toEqual({});
    expect(db.items('t').map((item) => `${item.pk!.S} ${item.n!.N}`)).toEqual(['checked 1', 'updated 2', 'put 7']);
  });

  // APIReference/API_CancellationReason.html
  test('one failed condition cancels all, with a reason for each operation in the order of the request', async () => {
    await put({ n: { N: '1' } }, 'b');
    await put({ s: { S: 'x' } }, 'd');
    const error = await failure(
      transact([
        Put('a', '2'),
        {
          ConditionCheck: {
            TableName: 't',
            Key: key('b'),
            ConditionExpression: 'n > :n',
            ExpressionAttributeValues: { ':n': { N: '1' } },
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
        },
        { Delete: { TableName: 't', Key: key('c'), ConditionExpression: 'attribute_exists(pk)' } },
        {
          Update: {
            TableName: 't',
            Key: key('d'),
            UpdateExpression: 'ADD s :n',
            ExpressionAttributeValues: { ':n': { N: '1' } },
          },
        },
      ]),
    );
    expect(error).toMatchObject({
      code: 'TransactionCanceledException',
      message:
        'Transaction cancelled, please refer cancellation reasons for specific reasons [None, ' +
        'ConditionalCheckFailed, ConditionalCheckFailed, ValidationError]',
    });
    expect(error.members.CancellationReasons).toEqual([
      { Code: 'None' },
      {
        Code: 'ConditionalCheckFailed',
        Message: 'The conditional request failed',
        Item: { ...key('b'), n: { N: '1' } },
      },
      { Code: 'ConditionalCheckFailed', Message: 'The conditional request failed' },
      { Code: 'ValidationError', Message: 'An operand in the update expression has an incorrect data type' },
    ]);
    expect(db.items('t').map((item) => item.pk!.S)).toEqual(['b', 'd']);
  });

  test('a key that does not fit the table cancels with ValidationError', async () => {
    const error = await failure(transact([Put('a', '1'), { Delete: { TableName: 't', Key: { pk: { S: 'a' } } } }]));
    expect(error.members.CancellationReasons).toEqual([
      { Code: 'None' },
      { Code: 'ValidationError', Message: 'The provided key element does not match the schema' },
    ]);
    expect(db.items('t')).toEqual([]);
  });

  test('two operations on one item, none, and more than 100 are refused', async () => {
    await invalid(
      transact([Put('a', '1'), { Delete: { TableName: 't', Key: key('a') } }]),
      'Transaction request cannot include multiple operations on one item',
    );
    await invalid(transact([]), 'Member must have length greater than or equal to 1');
    await invalid(
      transact(Array.from({ length: 101 }, (_, n) => Put(String(n), '1'))),
      'Member must have length less than or equal to 100',
    );
    await transact(Array.from({ length: 100 }, (_, n) => Put(String(n), '1')));
    expect(db.items('t')).toHaveLength(100);
  });

  test('each operation has exactly one kind, and a check its condition', async () => {
    await invalid(transact([{}]), 'can only contain one of Check, Put, Update or Delete');
    await invalid(
      transact([{ ...Put('a', '1'), Delete: { TableName: 't', Key: key('b') } }]),
      'can only contain one of Check, Put, Update or Delete',
    );
    await invalid(
      transact([{ ConditionCheck: { TableName: 't', Key: key('a') } }]),
      "Value null at 'conditionExpression'",
    );
    await expect(transact([{ Scan: {} }])).rejects.toThrow('does not know the operation Scan of TransactWriteItems');
  });

  test('all items together may have 4 MB', async () => {
    const large = Array.from({ length: 11 }, (_, n) => ({
      Put: { TableName: 't', Item: { ...key(String(n)), data: { S: 'x'.repeat(390_000) } } },
    }));
    await invalid(transact(large), '4194304 bytes');
    expect(db.items('t')).toEqual([]);
  });

  // APIReference/API_TransactWriteItems.html#DDB-TransactWriteItems-request-ClientRequestToken
  test('a request token makes a repetition harmless for ten minutes, and refuses other parameters', async () => {
    const add = {
      Update: {
        TableName: 't',
        Key: key('a'),
        UpdateExpression: 'ADD n :n',
        ExpressionAttributeValues: { ':n': { N: '1' } },
      },
    };
    await transact([add], 'token');
    await transact([add], 'token');
    expect((await get()).n).toEqual({ N: '1' });
    expect((await failure(transact([Put('b', '1')], 'token'))).code).toBe('IdempotentParameterMismatchException');
    now += 10 * 60 * 1000;
    await transact([add], 'token');
    expect((await get()).n).toEqual({ N: '2' });
  });

  test('a cancelled transaction may be tried again with its token', async () => {
    const onlyOnce = Put('b', '2', { ConditionExpression: 'attribute_not_exists(pk)' });
    await put({}, 'b');
    await failure(transact([onlyOnce], 'token'));
    await call('DeleteItem', { Key: key('b') });
    await transact([onlyOnce], 'token');
    expect((await get('b')).n).toEqual({ N: '2' });
  });

  // APIReference/API_TransactGetItems.html
  test('TransactGetItems answers in the order of the request, empty for what does not exist', async () => {
    await put({ x: { N: '1' }, y: { N: '1' } });
    const Get = (pk: string, ProjectionExpression?: string) => ({
      Get: { TableName: 't', Key: key(pk), ProjectionExpression },
    });
    expect(await db.call('TransactGetItems', { TransactItems: [Get('none'), Get('a', 'x')] }, principal)).toEqual({
      Responses: [{}, { Item: { x: { N: '1' } } }],
    });
  });
});

describe('Streams (developerguide/Streams.html)', () => {
  let records: [string, StreamRecord][];
  const stream = (view: 'KEYS_ONLY' | 'NEW_IMAGE' | 'OLD_IMAGE' | 'NEW_AND_OLD_IMAGES') => {
    records = [];
    db.createTable({
      tableName: 's',
      tableArn: 'arn:aws:dynamodb:eu-central-1:123456789012:table/s',
      stream: view,
      partitionKey: 'pk',
      sortKey: 'sk',
    });
    db.onStreamRecord((tableName, record) => records.push([tableName, record]));
  };
  const on = (action: string, input: Record<string, unknown>) =>
    db.call(action, { TableName: 's', ...input }, principal);

  // https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
  test('a record has the shape of a Lambda event', async () => {
    stream('NEW_AND_OLD_IMAGES');
    await on('PutItem', { Item: { ...key('a'), b: { B: Uint8Array.of(1, 2) } } });
    expect(records).toEqual([
      [
        's',
        {
          eventID: '00000000000040008000000000000000',
          eventName: 'INSERT',
          eventVersion: '1.1',
          eventSource: 'aws:dynamodb',
          awsRegion: 'eu-central-1',
          eventSourceARN: 'arn:aws:dynamodb:eu-central-1:123456789012:table/s/stream/2026-01-02T03:04:05.678',
          dynamodb: {
            ApproximateCreationDateTime: 1_767_323_045,
            Keys: key('a'),
            NewImage: { ...key('a'), b: { B: 'AQI=' } },
            SequenceNumber: '000000000000000000001',
            SizeBytes: 15,
            StreamViewType: 'NEW_AND_OLD_IMAGES',
          },
        },
      ],
    ]);
    expect(db.streamArn('s')).toBe(records[0]![1].eventSourceARN);
    expect(db.streamArn('t')).toBeUndefined();
  });

  test.each([
    ['KEYS_ONLY', false, false],
    ['NEW_IMAGE', true, false],
    ['OLD_IMAGE', false, true],
    ['NEW_AND_OLD_IMAGES', true, true],
  ] as const)('%s carries what it says of an insertion, a change and a removal', async (view, hasNew, hasOld) => {
    stream(view);
    await on('PutItem', { Item: { ...key('a'), n: { N: '1' } } });
    await on('UpdateItem', {
      Key: key('a'),
      UpdateExpression: 'ADD n :n',
      ExpressionAttributeValues: { ':n': { N: '1' } },
    });
    await on('DeleteItem', { Key: key('a') });
    const one = { ...key('a'), n: { N: '1' } };
    const two = { ...key('a'), n: { N: '2' } };
    expect(
      records.map(([, { eventName, dynamodb }]) => [eventName, dynamodb.Keys, dynamodb.OldImage, dynamodb.NewImage]),
    ).toEqual([
      ['INSERT', key('a'), undefined, hasNew ? one : undefined],
      ['MODIFY', key('a'), hasOld ? one : undefined, hasNew ? two : undefined],
      ['REMOVE', key('a'), hasOld ? two : undefined, undefined],
    ]);
  });

  // developerguide/Streams.html : "if you perform a PutItem or UpdateItem that does not change any data, no stream
  // record is written"
  test('a write that changes nothing, or fails, makes no record', async () => {
    stream('KEYS_ONLY');
    await on('PutItem', { Item: { ...key('a'), ss: { SS: ['x', 'y'] }, n: { N: '1' } } });
    await on('PutItem', { Item: { ...key('a'), ss: { SS: ['y', 'x'] }, n: { N: '1.0' } } });
    await on('UpdateItem', {
      Key: key('a'),
      UpdateExpression: 'SET n = :n',
      ExpressionAttributeValues: { ':n': { N: '1' } },
    });
    await on('DeleteItem', { Key: key('none') });
    await failure(on('DeleteItem', { Key: key('a'), ConditionExpression: 'attribute_not_exists(pk)' }));
    expect(records).toHaveLength(1);
  });

  test('a transaction makes a record for each changed item, after all are written; a cancelled one none', async () => {
    stream('KEYS_ONLY');
    const seen: number[] = [];
    db.onStreamRecord(() => seen.push(db.items('s').length));
    await transact([
      { Put: { TableName: 's', Item: key('a') } },
      { Put: { TableName: 't', Item: key('no stream') } },
      { Put: { TableName: 's', Item: key('b') } },
    ]);
    expect(records.map(([, { dynamodb }]) => dynamodb.Keys.pk)).toEqual([{ S: 'a' }, { S: 'b' }]);
    expect(seen).toEqual([2, 2]);
    await failure(
      transact([
        { Put: { TableName: 's', Item: key('c') } },
        { Delete: { TableName: 's', Key: key('a'), ConditionExpression: 'attribute_not_exists(pk)' } },
      ]),
    );
    expect(records).toHaveLength(2);
  });
});
