/**
 * Counts the request units that DynamoDB charges for the reads and writes of a simulated cluster, from the sizes of the
 * real items. Source:
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html#read-write-units
 */
import { itemBytes, type Item } from '../rehearsal/aws/dynamodb/values';
import type { EmulatedRegion } from '../rehearsal/aws/region';
import { PARTITION_KEY, SORT_KEY } from '../protocol/keys';
import type { Call, RefusedCall } from '../rehearsal/simulation/cluster/aws-link';

const READ_BYTES = 4 * 1024;
const WRITE_BYTES = 1024;
/** An eventually consistent read counts half, a transaction twice. */
const EVENTUAL = 0.5;
const TRANSACTIONAL = 2;

type Input = Record<string, any>;

export class TableUnits {
  reads = 0;
  writes = 0;
  /** Bytes of each item after its last write. */
  private readonly sizes = new Map<string, number>();

  constructor(private readonly region: EmulatedRegion) {}

  carriedOut({ action, input, output }: Call): void {
    switch (action) {
      case 'GetItem':
        this.reads += readUnits(bytesOf(output.Item), input);
        break;
      case 'Query':
        this.reads += readUnits(
          (output.Items as Item[]).reduce((sum, item) => sum + itemBytes(item), 0),
          input,
        );
        break;
      case 'BatchGetItem':
        this.reads += Object.entries(input.RequestItems as Input).reduce(
          (sum, [table, request]) => sum + batchUnits(request, output.Responses[table]),
          0,
        );
        break;
      default:
        for (const { table, key, factor } of written(action, input)) void this.wrote(table, key, factor);
    }
  }

  /**
   * AWS charges for a write whose condition fails, too:
   * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
   */
  refused({ action, input, error }: RefusedCall): void {
    if (!/ConditionalCheckFailed|TransactionCanceled/.test(error.code)) return;
    for (const { table, key, factor } of written(action, input))
      this.writes += factor * blocks(this.sizes.get(nameOf(table, key)) ?? 0, WRITE_BYTES);
  }

  /**
   * Counts the larger of the item before and after the write. The emulator answers at once, so it sees the item after.
   */
  private async wrote(table: string, key: Item, factor: number): Promise<void> {
    const { accessKeyId } = this.region.operator;
    const { Item } = await this.region.call({
      service: 'dynamodb',
      action: 'GetItem',
      input: { TableName: table, Key: key },
      accessKeyId,
    });
    const name = nameOf(table, key);
    const after = bytesOf(Item);
    this.writes += factor * blocks(Math.max(this.sizes.get(name) ?? 0, after), WRITE_BYTES);
    this.sizes.set(name, after);
  }
}

function batchUnits(request: Input, found: Item[]): number {
  const missing = request.Keys.length - found.length;
  return [...found.map(itemBytes), ...Array<number>(missing).fill(0)].reduce(
    (sum, bytes) => sum + readUnits(bytes, request),
    0,
  );
}

function readUnits(bytes: number, { ConsistentRead }: Input): number {
  return blocks(bytes, READ_BYTES) * (ConsistentRead === true ? 1 : EVENTUAL);
}

/** Zero bytes count as one block. */
function blocks(bytes: number, size: number): number {
  return Math.max(1, Math.ceil(bytes / size));
}

/** The items that a request writes. A condition check in a transaction counts as a write. */
function written(action: string, input: Input): { table: string; key: Item; factor: number }[] {
  if (action !== 'TransactWriteItems') return [{ table: input.TableName, key: keyOf(input), factor: 1 }];
  return (input.TransactItems as Input[]).map((operation) => {
    const [write] = Object.values(operation) as [Input];
    return { table: write.TableName, key: keyOf(write), factor: TRANSACTIONAL };
  });
}

function keyOf({ Key, Item }: Input): Item {
  const item = (Key ?? Item) as Item;
  return { [PARTITION_KEY]: item[PARTITION_KEY]!, [SORT_KEY]: item[SORT_KEY]! };
}

function nameOf(table: string, key: Item): string {
  return `${table} ${key[PARTITION_KEY]!.S} ${key[SORT_KEY]!.S}`;
}

function bytesOf(item: Item | undefined): number {
  return item ? itemBytes(item) : 0;
}
