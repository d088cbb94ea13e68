/**
 * The raft fence: commits a counter and the id of an action to labels of the swarm. Only a leader with a quorum can
 * commit, and Docker refuses a stale version. Whatever follows the fence is therefore not the work of a leader that was
 * deposed before it.
 */
import type { Clock } from '../protocol/clock';
import { FENCE_COMMAND_LABEL, FENCE_COUNTER_LABEL } from '../protocol/labels';
import { isOutOfSequence, type Engine } from './engine';

/** Pause between two attempts to commit. */
const PAUSE_MS = 50;

/**
 * If somebody else changes the swarm at the same moment (Docker itself does while it creates a swarm), the version is
 * read again.
 */
export async function commitFence(engine: Engine, clock: Clock, id: string, attempts = 5): Promise<void> {
  const { version, labels } = await engine.swarm();
  const counter = Number(labels[FENCE_COUNTER_LABEL] ?? 0) + 1;
  try {
    await engine.labelSwarm(version, { [FENCE_COUNTER_LABEL]: String(counter), [FENCE_COMMAND_LABEL]: id });
  } catch (error) {
    if (attempts === 1 || !isOutOfSequence(error)) throw error;
    await clock.sleep(PAUSE_MS);
    await commitFence(engine, clock, id, attempts - 1);
  }
}
