/**
 * Retries writes that conflict with another transaction on the same item. DynamoDB rejects them at once, and the SDK
 * does not retry them.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
 */
import { TransactionCanceledException, TransactionConflictException } from '@aws-sdk/client-dynamodb';
import type { Clock } from '../../protocol/clock';

const ATTEMPTS = 6;
const PAUSE_MS = 40;

/** Retries with growing random pauses while the write conflicts with another transaction. */
export async function retryConflicts<T>(clock: Clock, write: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write();
    } catch (error) {
      if (!isConflict(error) || attempt === ATTEMPTS) throw error;
      await clock.sleep(clock.random() * PAUSE_MS * 2 ** attempt);
    }
  }
}

function isConflict(error: unknown): boolean {
  if (error instanceof TransactionConflictException) return true;
  return (
    error instanceof TransactionCanceledException &&
    (error.CancellationReasons ?? []).some(({ Code }) => Code === 'TransactionConflict')
  );
}
