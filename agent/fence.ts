/**
 * The raft fence: a counter and the id of what is done under it, committed to labels of the swarm. Only a leader with a
 * quorum can commit, and a stale version is refused, so what comes after it cannot be the work of a leader that was
 * deposed before.
 */
import type { Clock } from '../protocol/clock';
import { FENCE_COMMAND_LABEL, FENCE_COUNTER_LABEL } from '../protocol/labels';
import { isOutOfSequence, type Engine } from './engine';

/** Between two tries to commit the fence. */
const PAUSE_MS = 50;

/**
 * Whoever else changes the swarm at the same moment (Docker itself does while a swarm is made) comes first; then the
 * version is read anew.
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
