/** A person has invoked this function by hand, since the quorum is lost for good. */
import * as v from 'valibot';
import { recoveryRequestSchema, type RecoveryAnswer } from '../../protocol/recovery';
import { write } from '../membership/act';
import { converge, type Converger } from '../membership/converge';
import { describeError } from '../../protocol/log';
import type { Lease } from '../shared/lease';
import { askForRecovery } from '../membership/rules/recover-quorum';

/** How often, and after how long, it tries to get the lease: whoever holds it now is done within seconds. */
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
        'It must be {"recover":{"seat":<the number of the seat that goes on>}}, then what that answers ' +
          'under "toConfirm".',
      ],
    };
  const lease = await acquire(dependencies);
  if (!lease) return { refused: ['Another function is at work. Try again in a minute.'] };
  try {
    const { answer, membership } = askForRecovery(await dependencies.observe(), request.output.recover);
    if (membership && (await write(dependencies, lease, { membership, commands: [], orders: [] })) !== 'written')
      return { refused: ['Another function came first. Try again in a minute.'] };
    dependencies.log('warn', 'A person asks to go on with one manager.', {
      ...request.output.recover,
      answer: Object.keys(answer)[0],
    });
    return answer;
  } finally {
    await dependencies.lease.giveUp(lease);
    // The next look does it otherwise: what was answered holds.
    await converge(dependencies).catch((error: unknown) =>
      dependencies.log('warn', 'A look failed after a recovery was asked for.', { error: describeError(error) }),
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
