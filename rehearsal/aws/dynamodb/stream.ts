/** The records of a table's stream, in the shape that functions receive. */
import type { AttributeValue as EventAttributeValue } from 'aws-lambda';
import type { Clock } from '../../../protocol/clock';
import type { StreamView, Table } from './table';
import { itemBytes, type AttributeValue, type Item } from './values';

/** A record of a Lambda event: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html */
export interface StreamRecord {
  eventID: string;
  eventName: 'INSERT' | 'MODIFY' | 'REMOVE';
  eventVersion: '1.1';
  eventSource: 'aws:dynamodb';
  awsRegion: string;
  eventSourceARN: string;
  dynamodb: {
    /** Seconds since 1970. */
    ApproximateCreationDateTime: number;
    Keys: Record<string, EventAttributeValue>;
    NewImage?: Record<string, EventAttributeValue>;
    OldImage?: Record<string, EventAttributeValue>;
    SequenceNumber: string;
    SizeBytes: number;
    StreamViewType: StreamView;
  };
}

/** @param sequence grows with every record of the account */
export function streamRecord(
  clock: Clock,
  sequence: number,
  table: Table,
  key: Item,
  before: Item | undefined,
  after: Item | undefined,
): StreamRecord {
  const view = table.definition.stream!;
  const newImage = view.startsWith('NEW') ? after : undefined;
  const oldImage = view.endsWith('OLD_IMAGES') || view === 'OLD_IMAGE' ? before : undefined;
  return {
    eventID: clock.uuid().replaceAll('-', ''),
    eventName: !before ? 'INSERT' : !after ? 'REMOVE' : 'MODIFY',
    eventVersion: '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion: table.definition.tableArn.split(':')[3] ?? '',
    eventSourceARN: table.streamArn!,
    dynamodb: {
      ApproximateCreationDateTime: Math.floor(clock.now() / 1000),
      Keys: eventImage(key),
      ...(newImage ? { NewImage: eventImage(newImage) } : {}),
      ...(oldImage ? { OldImage: eventImage(oldImage) } : {}),
      SequenceNumber: String(sequence).padStart(21, '0'),
      SizeBytes: itemBytes(key) + (newImage ? itemBytes(newImage) : 0) + (oldImage ? itemBytes(oldImage) : 0),
      StreamViewType: view,
    },
  };
}

/** https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html : binary values are Base64 strings in an event. */
function eventImage(item: Item): Record<string, EventAttributeValue> {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, eventValue(value)]));
}

function eventValue(value: AttributeValue): EventAttributeValue {
  if (value.M) return { M: eventImage(value.M) };
  if (value.L) return { L: value.L.map(eventValue) };
  if (value.B) return { B: Buffer.from(value.B).toString('base64') };
  if (value.BS) return { BS: value.BS.map((bytes) => Buffer.from(bytes).toString('base64')) };
  return { ...value } as EventAttributeValue;
}
