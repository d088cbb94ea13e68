/**
 * The emulated DynamoDB: tables, items, conditions, transactions and streams of one account in one region. Every call
 * is atomic: nothing runs between its reads and its writes, so reads are always consistent. The region checks
 * permissions. An unknown parameter or action is an Error that names it; nothing is ignored.
 * Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
 */
import { isoTime, type Clock } from '../../../protocol/clock';
import type { Condition, Path } from './ast';
import { applyUpdate, holds, project } from './evaluate';
import { parseCondition, parseProjection, parseUpdate } from './parse';
import { Placeholders } from './placeholders';
import { itemsAfter, keyCondition, refuseKeys } from './query';
import { streamRecord, type StreamRecord } from './stream';
import { Table, type StreamView, type TableDefinition } from './table';
import {
  copyItem,
  equalItems,
  itemBytes,
  MAX_ITEM_BYTES,
  validationError,
  type AttributeValue,
  type Item,
} from './values';
import { AwsError, type Principal, type Service } from '../core/types';

export type { StreamRecord, StreamView, TableDefinition };
type Input = Record<string, any>;

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html */
const MAX_BATCH_KEYS = 100;
const MAX_BATCH_BYTES = 16 * 1024 * 1024;
const MAX_TRANSACTION_ITEMS = 100;
const MAX_TRANSACTION_BYTES = 4 * 1024 * 1024;
const MAX_PAGE_BYTES = 1024 * 1024;
/**
 * https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html#DDB-TransactWriteItems-request-ClientRequestToken
 */
const REQUEST_TOKEN_MS = 10 * 60 * 1000;

/** A write whose expressions have been parsed. */
interface Prepared {
  /** @throws AwsError when its key or item does not fit the table; in a transaction, that is a cancellation reason */
  locate(): Write;
  /** The paths that an update changes. */
  updated: Path[];
}

/** A write whose item is known. From here it can only fail because of the existing item. */
interface Write {
  table: Table;
  key: Item;
  /** The item after the write, or undefined for a deletion. @throws AwsError */
  apply(before: Item | undefined): Item | undefined;
  condition?: Condition;
  /** Whether a failed condition returns the item. */
  answersItem: boolean;
}

interface Committed {
  write: Write;
  before: Item | undefined;
  after: Item | undefined;
}

export class DynamoDb implements Service {
  private readonly tables = new Map<string, Table>();
  private readonly listeners: ((tableName: string, record: StreamRecord) => void)[] = [];
  private readonly requestTokens = new Map<string, { request: string; at: number }>();
  private sequence = 0;

  constructor(private readonly clock: Clock) {}

  createTable(definition: TableDefinition): void {
    const { tableName, tableArn, stream } = definition;
    if (this.tables.has(tableName)) throw new AwsError('ResourceInUseException', `Table already exists: ${tableName}`);
    const streamArn = stream === undefined ? undefined : `${tableArn}/stream/${isoTime(this.clock.now()).slice(0, -1)}`;
    this.tables.set(tableName, new Table({ ...definition }, streamArn));
  }

  deleteTable(tableName: string): void {
    if (!this.tables.delete(tableName))
      throw resourceNotFound(`Requested resource not found: Table: ${tableName} not found`);
  }

  /** The ARN of a table's stream, or undefined when it has none. */
  streamArn(tableName: string): string | undefined {
    return this.table(tableName).streamArn;
  }

  partitionKey(tableName: string): string | undefined {
    return this.tables.get(tableName)?.keys[0]!.name;
  }

  /** ARN of the customer managed key that encrypts the table. */
  encryptionKey(tableName: string): string | undefined {
    return this.tables.get(tableName)?.definition.encryptionKey;
  }

  /** The partition that a Query reads; undefined when its parameters are invalid, which Query itself reports. */
  queriedPartition(input: Input): AttributeValue | undefined {
    try {
      const placeholders = new Placeholders(input.ExpressionAttributeNames, input.ExpressionAttributeValues, true);
      return keyCondition(
        this.table(input.TableName),
        parseCondition(input.KeyConditionExpression, placeholders, 'KeyConditionExpression'),
      ).partition;
    } catch (error) {
      if (error instanceof AwsError) return undefined;
      throw error;
    }
  }

  /**
   * Calls the listener after each committed write to a table with a stream. A write that changes nothing creates no
   * record.
   */
  onStreamRecord(listener: (tableName: string, record: StreamRecord) => void): void {
    this.listeners.push(listener);
  }

  /** Copies of all items of a table: the ground truth for tests. */
  items(tableName: string): Item[] {
    return this.table(tableName).all().map(copyItem);
  }

  tableNames(): string[] {
    return [...this.tables.keys()];
  }

  async call(action: string, input: Input, _principal: Principal): Promise<Record<string, any>> {
    switch (action) {
      case 'GetItem':
        return this.getItem(input);
      case 'PutItem':
      case 'UpdateItem':
      case 'DeleteItem':
        return this.writeItem(action, input);
      case 'Query':
        return this.query(input);
      case 'BatchGetItem':
        return this.batchGetItem(input);
      case 'TransactWriteItems':
        return this.transactWriteItems(input);
      case 'TransactGetItems':
        return this.transactGetItems(input);
      default:
        throw new Error(`The emulated DynamoDB does not know the action ${action}.`);
    }
  }

  private getItem(input: Input): Record<string, any> {
    known('GetItem', input, [
      'TableName',
      'Key',
      'ConsistentRead',
      'ProjectionExpression',
      'ExpressionAttributeNames',
      'ReturnConsumedCapacity',
    ]);
    return this.read(input);
  }

  private read(input: Input): { Item?: Item } {
    required(input, ['TableName', 'Key']);
    const table = this.table(input.TableName);
    const paths = projection(input);
    const item = table.get(table.key(input.Key));
    return item ? { Item: paths ? project(item, paths) : copyItem(item) } : {};
  }

  private writeItem(action: 'PutItem' | 'UpdateItem' | 'DeleteItem', input: Input): Record<string, any> {
    known(action, input, [
      ...writeParameters[action],
      'ReturnValues',
      'ReturnConsumedCapacity',
      'ReturnItemCollectionMetrics',
    ]);
    const returned = input.ReturnValues ?? 'NONE';
    const allowed =
      action === 'UpdateItem' ? ['NONE', 'ALL_OLD', 'UPDATED_OLD', 'ALL_NEW', 'UPDATED_NEW'] : ['NONE', 'ALL_OLD'];
    if (!allowed.includes(returned)) throw validationError('Return values set to invalid value');
    const { locate, updated } = this.prepare(action, input);
    const write = locate();
    const before = write.table.get(write.key);
    requireCondition(write, before);
    const after = write.apply(before);
    this.commit([{ write, before, after }]);
    const attributes = returned === 'NONE' ? undefined : returned.endsWith('OLD') ? before : after;
    if (!attributes) return {};
    if (!returned.startsWith('UPDATED')) return { Attributes: copyItem(attributes) };
    const changed = project(attributes, updated);
    return updated.length > 0 && Object.keys(changed).length > 0 ? { Attributes: changed } : {};
  }

  private query(input: Input): Record<string, any> {
    known('Query', input, [
      'TableName',
      'KeyConditionExpression',
      'FilterExpression',
      'ProjectionExpression',
      'ExpressionAttributeNames',
      'ExpressionAttributeValues',
      'ConsistentRead',
      'ExclusiveStartKey',
      'Limit',
      'ScanIndexForward',
      'Select',
      'ReturnConsumedCapacity',
    ]);
    required(input, ['TableName']);
    if (input.KeyConditionExpression === undefined)
      throw validationError(
        'Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.',
      );
    if (input.Limit !== undefined && input.Limit < 1) {
      throw validationError(
        `1 validation error detected: Value '${input.Limit}' at 'limit' failed to satisfy constraint: ` +
          'Member must have value greater than or equal to 1',
      );
    }
    const select =
      input.Select ?? (input.ProjectionExpression === undefined ? 'ALL_ATTRIBUTES' : 'SPECIFIC_ATTRIBUTES');
    if (!['ALL_ATTRIBUTES', 'COUNT', 'SPECIFIC_ATTRIBUTES'].includes(select))
      throw new Error(`The emulated DynamoDB does not know the Select "${select}" of Query.`);
    if ((select === 'SPECIFIC_ATTRIBUTES') !== (input.ProjectionExpression !== undefined)) {
      throw validationError(`Cannot specify the ProjectionExpression when choosing to get ${select}`);
    }
    const table = this.table(input.TableName);
    const placeholders = new Placeholders(input.ExpressionAttributeNames, input.ExpressionAttributeValues, true);
    const { partition, sort } = keyCondition(
      table,
      parseCondition(input.KeyConditionExpression, placeholders, 'KeyConditionExpression'),
    );
    const filter =
      input.FilterExpression === undefined
        ? undefined
        : parseCondition(input.FilterExpression, placeholders, 'FilterExpression');
    const paths =
      input.ProjectionExpression === undefined ? undefined : parseProjection(input.ProjectionExpression, placeholders);
    placeholders.finish();
    if (filter) refuseKeys(table, filter);

    let found = table.query(partition);
    if (sort) found = found.filter((item) => holds(sort, item));
    if (input.ScanIndexForward === false) found.reverse();
    if (input.ExclusiveStartKey !== undefined)
      found = itemsAfter(table, found, table.key(input.ExclusiveStartKey), input.ScanIndexForward === false);

    const page: Item[] = [];
    let bytes = 0;
    while (page.length < found.length && page.length < (input.Limit ?? Infinity) && bytes < MAX_PAGE_BYTES) {
      bytes += itemBytes(found[page.length]!);
      page.push(found[page.length]!);
    }
    const kept = filter ? page.filter((item) => holds(filter, item)) : page;
    const last = page.at(-1);
    // A page that ends at its limit has a LastEvaluatedKey even when nothing follows.
    const more = page.length < found.length || page.length === input.Limit;
    return {
      ...(select === 'COUNT' ? {} : { Items: kept.map((item) => (paths ? project(item, paths) : copyItem(item))) }),
      Count: kept.length,
      ScannedCount: page.length,
      ...(more && last ? { LastEvaluatedKey: copyItem(table.keyOf(last)) } : {}),
    };
  }

  private batchGetItem(input: Input): Record<string, any> {
    known('BatchGetItem', input, ['RequestItems', 'ReturnConsumedCapacity']);
    required(input, ['RequestItems']);
    const requests = Object.entries<Input>(input.RequestItems);
    const count = requests.reduce((sum, [, { Keys }]) => sum + (Keys?.length ?? 0), 0);
    if (requests.length === 0 || requests.some(([, { Keys }]) => !Keys?.length)) {
      throw validationError(
        `1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Member must ` +
          'have length greater than or equal to 1',
      );
    }
    if (count > MAX_BATCH_KEYS) throw validationError('Too many items requested for the BatchGetItem call');
    const responses: Record<string, Item[]> = {};
    const unprocessed: Record<string, Input> = {};
    let bytes = 0;
    for (const [tableName, request] of requests) {
      known('BatchGetItem', request, ['Keys', 'ConsistentRead', 'ProjectionExpression', 'ExpressionAttributeNames']);
      const table = this.table(tableName);
      const paths = projection(request);
      const keys: Item[] = request.Keys.map((key: Input) => table.key(key));
      if (new Set(keys.map((key) => table.id(key))).size < keys.length)
        throw validationError('Provided list of item keys contains duplicates');
      responses[tableName] = [];
      for (const key of keys) {
        const item = table.get(key);
        if (!item) continue;
        bytes += itemBytes(item);
        if (bytes <= MAX_BATCH_BYTES) responses[tableName].push(paths ? project(item, paths) : copyItem(item));
        else (unprocessed[tableName] ??= { ...request, Keys: [] }).Keys.push(key);
      }
    }
    return { Responses: responses, UnprocessedKeys: unprocessed };
  }

  private transactWriteItems(input: Input): Record<string, any> {
    known('TransactWriteItems', input, [
      'TransactItems',
      'ClientRequestToken',
      'ReturnConsumedCapacity',
      'ReturnItemCollectionMetrics',
    ]);
    requireTransactItems(input);
    const token = input.ClientRequestToken as string | undefined;
    const request = JSON.stringify(input.TransactItems);
    if (token !== undefined && this.repeated(token, request)) return {};

    const prepared = (input.TransactItems as Input[]).map((operation) => {
      const [kind, ...others] = Object.keys(operation).filter((key) => operation[key] !== undefined);
      if (kind === undefined || others.length > 0) {
        throw validationError('TransactItems can only contain one of Check, Put, Update or Delete');
      }
      const action = (
        { ConditionCheck: 'ConditionCheck', Put: 'PutItem', Update: 'UpdateItem', Delete: 'DeleteItem' } as const
      )[kind];
      if (!action) throw new Error(`The emulated DynamoDB does not know the operation ${kind} of TransactWriteItems.`);
      known(kind, operation[kind], writeParameters[action]);
      if (action === 'ConditionCheck') required(operation[kind], ['ConditionExpression']);
      return this.prepare(action, operation[kind]);
    });

    const writes = allOrCancelled(prepared, ({ locate }) => locate());
    requireDistinct(writes);
    const committed = allOrCancelled(writes, (write): Committed => {
      const before = write.table.get(write.key);
      requireCondition(write, before);
      return { write, before, after: write.apply(before) };
    });
    const bytes = committed.reduce((sum, { after }) => sum + (after ? itemBytes(after) : 0), 0);
    if (bytes > MAX_TRANSACTION_BYTES)
      throw validationError(
        `Member must have length less than or equal to ${MAX_TRANSACTION_BYTES} bytes: the items of the ` +
          `transaction have ${bytes} bytes`,
      );
    if (token !== undefined) this.requestTokens.set(token, { request, at: this.clock.now() });
    this.commit(committed);
    return {};
  }

  private transactGetItems(input: Input): Record<string, any> {
    known('TransactGetItems', input, ['TransactItems', 'ReturnConsumedCapacity']);
    requireTransactItems(input);
    return {
      Responses: (input.TransactItems as Input[]).map((operation) => {
        known('TransactGetItems', operation, ['Get']);
        known('Get', operation.Get, ['TableName', 'Key', 'ProjectionExpression', 'ExpressionAttributeNames']);
        return this.read(operation.Get);
      }),
    };
  }

  /** Parses one write and checks its expressions. */
  private prepare(action: 'PutItem' | 'UpdateItem' | 'DeleteItem' | 'ConditionCheck', input: Input): Prepared {
    required(input, action === 'PutItem' ? ['TableName', 'Item'] : ['TableName', 'Key']);
    const table = this.table(input.TableName);
    const hasExpression = input.ConditionExpression !== undefined || input.UpdateExpression !== undefined;
    const placeholders = new Placeholders(
      input.ExpressionAttributeNames,
      input.ExpressionAttributeValues,
      hasExpression,
    );
    const update =
      input.UpdateExpression === undefined
        ? { set: [], remove: [], add: [], delete: [] }
        : parseUpdate(input.UpdateExpression, placeholders);
    const condition =
      input.ConditionExpression === undefined ? undefined : parseCondition(input.ConditionExpression, placeholders);
    placeholders.finish();
    const updated = [...update.set, ...update.remove, ...update.add, ...update.delete].map(({ path }) => path);
    for (const { name } of table.keys) {
      if (updated.some(({ steps }) => steps[0] === name)) {
        throw validationError(
          `One or more parameter values were invalid: Cannot update attribute ${name}. This attribute is ` +
            'part of the key',
        );
      }
    }
    const onFailure = input.ReturnValuesOnConditionCheckFailure ?? 'NONE';
    if (!['NONE', 'ALL_OLD'].includes(onFailure))
      throw validationError(`ReturnValuesOnConditionCheckFailure is "${onFailure}"; it may be NONE or ALL_OLD`);
    const locate = (): Write => {
      const item = action === 'PutItem' ? table.item(input.Item) : undefined;
      if (item && itemBytes(item) > MAX_ITEM_BYTES)
        throw validationError('Item size has exceeded the maximum allowed size');
      const key = item ? table.keyOf(item) : table.key(input.Key);
      const apply = (before: Item | undefined): Item | undefined => {
        if (action === 'PutItem') return item;
        if (action === 'DeleteItem') return undefined;
        if (action === 'ConditionCheck') return before;
        const after = applyUpdate(before ?? key, update);
        if (itemBytes(after) > MAX_ITEM_BYTES)
          throw validationError('Item size to update has exceeded the maximum allowed size');
        return after;
      };
      return { table, key, apply, condition, answersItem: onFailure === 'ALL_OLD' };
    };
    return { locate, updated };
  }

  /** Commits all writes at once, then emits the stream records in order. */
  private commit(committed: Committed[]): void {
    for (const { write, after } of committed) {
      if (after) write.table.put(after);
      else write.table.delete(write.key);
    }
    for (const { write, before, after } of committed) {
      if (write.table.streamArn === undefined || (before && after ? equalItems(before, after) : before === after))
        continue;
      this.sequence += 1;
      const record = streamRecord(this.clock, this.sequence, write.table, write.key, before, after);
      for (const listener of this.listeners) listener(write.table.definition.tableName, record);
    }
  }

  private table(name: string): Table {
    const table = this.tables.get(name);
    if (!table) throw resourceNotFound('Requested resource not found');
    return table;
  }

  /** Whether this transaction was already carried out with this token. */
  private repeated(token: string, request: string): boolean {
    for (const [old, { at }] of this.requestTokens) {
      if (at > this.clock.now() - REQUEST_TOKEN_MS) break;
      this.requestTokens.delete(old);
    }
    const earlier = this.requestTokens.get(token);
    if (earlier && earlier.request !== request) {
      throw new AwsError(
        'IdempotentParameterMismatchException',
        'The request token was used before with other parameters.',
      );
    }
    return earlier !== undefined;
  }
}

const conditional = [
  'TableName',
  'ConditionExpression',
  'ExpressionAttributeNames',
  'ExpressionAttributeValues',
  'ReturnValuesOnConditionCheckFailure',
];
const writeParameters = {
  PutItem: [...conditional, 'Item'],
  UpdateItem: [...conditional, 'Key', 'UpdateExpression'],
  DeleteItem: [...conditional, 'Key'],
  ConditionCheck: [...conditional, 'Key'],
};

function known(action: string, input: Input, parameters: string[]): void {
  for (const [name, value] of Object.entries(input)) {
    if (value !== undefined && !parameters.includes(name))
      throw new Error(`The emulated DynamoDB does not know the parameter ${name} of ${action}.`);
  }
  for (const name of ['ReturnConsumedCapacity', 'ReturnItemCollectionMetrics']) {
    if ((input[name] ?? 'NONE') !== 'NONE')
      throw new Error(`The emulated DynamoDB counts no capacity: ${name} may only be NONE, and was "${input[name]}".`);
  }
}

function required(input: Input, names: string[]): void {
  for (const name of names) {
    if (input[name] !== undefined) continue;
    const member = name[0]!.toLowerCase() + name.slice(1);
    throw validationError(
      `1 validation error detected: Value null at '${member}' failed to satisfy constraint: Member must not be null`,
    );
  }
}

function requireTransactItems(input: Input): void {
  required(input, ['TransactItems']);
  const count = input.TransactItems.length;
  const bound =
    count < 1
      ? 'greater than or equal to 1'
      : count > MAX_TRANSACTION_ITEMS
        ? `less than or equal to ${MAX_TRANSACTION_ITEMS}`
        : undefined;
  if (bound)
    throw validationError(
      `1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must ` +
        `have length ${bound}`,
    );
}

function requireDistinct(writes: Write[]): void {
  const named = writes.map(({ table, key }) => `${table.definition.tableName} ${table.id(key)}`);
  if (new Set(named).size < named.length)
    throw validationError('Transaction request cannot include multiple operations on one item');
}

function requireCondition({ condition, answersItem }: Write, before: Item | undefined): void {
  if (!condition || holds(condition, before ?? {})) return;
  throw new AwsError(
    'ConditionalCheckFailedException',
    'The conditional request failed',
    400,
    answersItem && before ? { Item: copyItem(before) } : {},
  );
}

/**
 * One result for each operation of a transaction. If any fails, the cancellation has one reason per operation, in
 * request order.
 * Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
 */
function allOrCancelled<T, R>(operations: T[], attempt: (operation: T) => R): R[] {
  const results: R[] = [];
  const reasons = operations.map((operation) => {
    try {
      results.push(attempt(operation));
      return { Code: 'None' };
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      const code =
        { ConditionalCheckFailedException: 'ConditionalCheckFailed', ValidationException: 'ValidationError' }[
          error.code
        ] ?? error.code;
      return { Code: code, Message: error.message, ...error.members };
    }
  });
  if (results.length === operations.length) return results;
  const codes = reasons.map(({ Code }) => Code).join(', ');
  throw new AwsError(
    'TransactionCanceledException',
    `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`,
    400,
    {
      CancellationReasons: reasons,
    },
  );
}

function resourceNotFound(message: string): AwsError {
  return new AwsError('ResourceNotFoundException', message);
}

function projection(input: Input): Path[] | undefined {
  const placeholders = new Placeholders(
    input.ExpressionAttributeNames,
    undefined,
    input.ProjectionExpression !== undefined,
  );
  const paths =
    input.ProjectionExpression === undefined ? undefined : parseProjection(input.ProjectionExpression, placeholders);
  placeholders.finish();
  return paths;
}
