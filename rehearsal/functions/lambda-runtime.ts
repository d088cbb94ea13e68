/**
 * The process in which a function of the template runs: loads the bundle once, then handles one event at a time, as
 * Lambda's runtime does. Events and results use the IPC channel of function-processes.ts; log lines go to standard
 * output. The parent enforces time limits.
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html, nodejs-context.html there
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { systemClock } from '../../protocol/clock';

export interface Invocation {
  id: string;
  event: unknown;
  timeoutMs: number;
}
export type Outcome =
  { id: string; result: unknown } | { id: string; error: { name: string; message: string; stack?: string } };

type Handler = (event: unknown, context: Record<string, unknown>) => unknown;

function loadHandler(codePath: string, handler: string): Handler {
  const [file, name] = handler.split('.');
  // Resolved at run time: esbuild must not bundle it into this program.
  const loaded = createRequire(__filename)(join(codePath, file!)) as Record<string, unknown>;
  const found = loaded[name!];
  if (typeof found !== 'function')
    throw new Error(
      `${join(codePath, file!)}.js exports no function "${name}", which the template's handler "${handler}" names.`,
    );
  if (found.length > 2)
    throw new Error(
      `The handler "${handler}" takes a callback; the emulation supports only handlers that return a promise.`,
    );
  return found as Handler;
}

let handler: Handler;
try {
  const [codePath, handlerName] = process.argv.slice(2);
  handler = loadHandler(codePath!, handlerName!);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

async function handle({ id, event, timeoutMs }: Invocation): Promise<Outcome> {
  const deadline = systemClock.now() + timeoutMs;
  const context = {
    awsRequestId: id,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: '$LATEST',
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    getRemainingTimeInMillis: () => deadline - systemClock.now(),
  };
  try {
    return { id, result: await handler(event, context) };
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    // Lambda also writes it to the function's log.
    process.stderr.write(`${JSON.stringify({ errorType: name, errorMessage: message, stack: stack?.split('\n') })}\n`);
    return { id, error: { name, message, ...(stack === undefined ? {} : { stack }) } };
  }
}

process.on('message', (invocation: Invocation) => void handle(invocation).then((outcome) => process.send!(outcome)));
process.on('disconnect', () => process.exit(0));
