/** Handles the request that a person sends to this function when the quorum is lost for good. */
import * as v from 'valibot';
import { recoveryRequestSchema, type RecoveryAnswer } from '../../protocol/recovery';
import { write } from '../membership/act';
import { converge, type Converger } from '../membership/converge';
import { describeError } from '../../protocol/log';
import type { Lease } from '../shared/lease';
import { askForRecovery } from '../membership/rules/recover-quorum';

/** Attempts to get the lease, and the pause between them. Whoever holds it is done within seconds. */
const ATTEMPTS = 15;
const PAUSE_MS = 2_000;

export function isRequest(event: unknown): boolean {
  return typeof event === 'object' && event !== null && 'recover' in event;
}

export async function recover(dependencies: Converger, event: unknown): Promise<RecoveryAnswer> {
  const request = v.safeParse(recoveryRequestSchema, event);
  if (!request.success)
    return {
      refused: [
        'First send {"recover":{"seat":<number of the seat that survives>}}, then what the answer contains under ' +
          '"toConfirm".',
      ],
    };
  const lease = await acquire(dependencies);
  if (!lease) return { refused: ['Another function holds the lease. Try again in a minute.'] };
  try {
    const { answer, membership } = askForRecovery(await dependencies.observe(), request.output.recover);
    if (membership && (await write(dependencies, lease, { membership, commands: [], orders: [] })) !== 'written')
      return { refused: ['Another function took the lease in the meantime. Try again in a minute.'] };
    dependencies.log('warn', 'A person requested the recovery of the quorum.', {
      ...request.output.recover,
      answer: Object.keys(answer)[0],
    });
    return answer;
  } finally {
    await dependencies.lease.giveUp(lease);
    // The next invocation makes up for a failure here: the answer stands.
    await converge(dependencies).catch((error: unknown) =>
      dependencies.log('warn', 'The round after a recovery request failed. The next invocation continues.', {
        error: describeError(error),
      }),
    );
  }
}

async function acquire({ lease, clock }: Converger): Promise<Lease | undefined> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const got = await lease.acquireOrAsk();
    if (got) return got;
    await clock.sleep(PAUSE_MS);
  }
  return undefined;
}
