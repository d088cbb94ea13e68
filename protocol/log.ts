/**
 * One JSON line for each decision, on standard output, which Lambda collects, or systemd for the agent. Logs never
 * contain the contents of a record.
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
 * Name and message of an AWS error. AWS repeats request parameters in its messages; that is safe, because our only
 * secrets are tokens, and a token is never a parameter by itself.
 */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 500) : 'unknown';
}
