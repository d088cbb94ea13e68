/**
 * One JSON line a decision, on standard output, where Lambda, or systemd for the agent, picks it up. What is logged
 * never holds a record's contents.
 */
import { isoTime, type Clock } from './clock';

export type Level = 'info' | 'warn' | 'error';
export type Log = (
  level: Level,
  message: string,
  fields?: Record<string, string | number | boolean | undefined>,
) => void;

export function jsonLog(
  clock: Clock,
  write: (line: string) => void = (line) => void process.stdout.write(`${line}\n`),
): Log {
  return (level, message, fields = {}) =>
    write(JSON.stringify({ time: isoTime(clock.now()), level, message, ...fields }));
}

/**
 * Name and message of an AWS error: AWS repeats request parameters there, and none of ours is secret but a token, which
 * is never a parameter by itself.
 */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 500) : 'unknown';
}
