/** A table: its key schema and its items. Items are in canonical form and are never changed in place. */
import { canonicalMap, compareValues, typeOf, validationError, type AttributeValue, type Item } from './values';

export type KeyType = 'S' | 'N' | 'B';
export type StreamView = 'KEYS_ONLY' | 'NEW_IMAGE' | 'OLD_IMAGE' | 'NEW_AND_OLD_IMAGES';

export interface TableDefinition {
  tableName: string;
  tableArn: string;
  /** What the stream's records contain. @default no stream */
  stream?: StreamView;
  partitionKey: string;
  sortKey?: string;
  /** @default S */
  partitionKeyType?: KeyType;
  /** @default S */
  sortKeyType?: KeyType;
  /** ARN of the customer managed key. @default DynamoDB's own key */
  encryptionKey?: string;
}

interface KeyAttribute {
  name: string;
  type: KeyType;
  /** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-partition-sort-keys */
  maxBytes: number;
}

/** The items of one partition, by the text of their sort key. */
interface Partition {
  value: AttributeValue;
  items: Map<string, Item>;
}

export class Table {
  readonly keys: KeyAttribute[];
  private readonly partitions = new Map<string, Partition>();

  constructor(
    readonly definition: TableDefinition,
    readonly streamArn: string | undefined,
  ) {
    this.keys = [{ name: definition.partitionKey, type: definition.partitionKeyType ?? 'S', maxBytes: 2048 }];
    if (definition.sortKey !== undefined)
      this.keys.push({ name: definition.sortKey, type: definition.sortKeyType ?? 'S', maxBytes: 1024 });
  }

  /** Checks the key of a request. */
  key(given: Record<string, unknown>): Item {
    const key = canonicalMap(given);
    if (
      Object.keys(key).length !== this.keys.length ||
      this.keys.some(({ name, type }) => !key[name] || typeOf(key[name]) !== type)
    ) {
      throw validationError('The provided key element does not match the schema');
    }
    this.checkKeyValues(key);
    return key;
  }

  /** Checks the item of a request. */
  item(given: Record<string, unknown>): Item {
    const item = canonicalMap(given);
    for (const { name, type } of this.keys) {
      const value = item[name];
      if (!value)
        throw validationError(`One or more parameter values were invalid: Missing the key ${name} in the item`);
      if (typeOf(value) !== type)
        throw validationError(
          `One or more parameter values were invalid: Type mismatch for key ${name} expected: ${type} ` +
            `actual: ${typeOf(value)}`,
        );
    }
    this.checkKeyValues(item);
    return item;
  }

  keyOf(item: Item): Item {
    return Object.fromEntries(this.keys.map(({ name }) => [name, item[name]!]));
  }

  /** A string that identifies an item, to compare the targets of two requests. */
  id(key: Item): string {
    return JSON.stringify(this.keys.map(({ name }) => keyText(key[name]!)));
  }

  get(key: Item): Item | undefined {
    return this.partition(key[this.keys[0]!.name]!)?.items.get(this.sortText(key));
  }

  put(item: Item): void {
    const value = item[this.keys[0]!.name]!;
    let partition = this.partition(value);
    if (!partition) this.partitions.set(keyText(value), (partition = { value, items: new Map() }));
    partition.items.set(this.sortText(item), item);
  }

  delete(key: Item): void {
    const partition = this.partition(key[this.keys[0]!.name]!);
    partition?.items.delete(this.sortText(key));
    if (partition?.items.size === 0) this.partitions.delete(keyText(partition.value));
  }

  /** The items of a partition, in sort key order. */
  query(partitionValue: AttributeValue): Item[] {
    const items = [...(this.partition(partitionValue)?.items.values() ?? [])];
    const sort = this.keys[1]?.name;
    return sort === undefined ? items : items.sort((a, b) => compareValues(a[sort]!, b[sort]!)!);
  }

  all(): Item[] {
    return [...this.partitions.values()].flatMap(({ items }) => [...items.values()]);
  }

  private partition(value: AttributeValue): Partition | undefined {
    return this.partitions.get(keyText(value));
  }

  private sortText(key: Item): string {
    const sort = this.keys[1];
    return sort ? keyText(key[sort.name]!) : '';
  }

  private checkKeyValues(item: Item): void {
    this.keys.forEach(({ name, maxBytes }, n) => {
      const content = item[name]!.S ?? item[name]!.B;
      if (content === undefined) return;
      const bytes = Buffer.byteLength(content);
      if (bytes === 0) {
        const kind = typeof content === 'string' ? 'string' : 'binary';
        throw validationError(
          'One or more parameter values are not valid. The AttributeValue for a key attribute cannot ' +
            `contain an empty ${kind} value. Key: ${name}`,
        );
      }
      if (bytes > maxBytes) {
        throw validationError(
          `One or more parameter values were invalid: Size of ${n === 0 ? 'hashkey' : 'rangekey'} has ` +
            `exceeded the maximum size limit of ${maxBytes} bytes`,
        );
      }
    });
  }
}

function keyText(value: AttributeValue): string {
  return value.S ?? value.N ?? Buffer.from(value.B!).toString('base64');
}
