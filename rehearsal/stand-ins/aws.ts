/**
 * Stand-in for the AWS CLI as user data uses it: `aws s3 cp`, `aws logs create-log-stream`, `aws logs put-log-events`.
 * It calls the emulated AWS with credentials from the instance's metadata service. It computes no signatures: the
 * emulated AWS reads only the access key and the service. Fails on every command and option that it does not know.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { request, type IncomingHttpHeaders } from 'node:http';
import { parseArgs } from 'node:util';

const METADATA = 'http://169.254.169.254';

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

function ask(method: string, url: string, headers: Record<string, string>, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request(
      url,
      { method, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts) }),
        );
        answer.on('error', reject);
      },
    );
    asking.on('error', reject);
    asking.end(body);
  });
}

function checked(answer: Answer, what: string): Buffer {
  if (answer.status !== 200)
    throw new Error(`${what}: HTTP ${answer.status}: ${answer.body.toString('utf8').slice(0, 500)}`);
  return answer.body;
}

/** Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html */
async function credentials(): Promise<{ AccessKeyId: string; Token: string }> {
  const token = checked(
    await ask('PUT', `${METADATA}/latest/api/token`, { 'X-aws-ec2-metadata-token-ttl-seconds': '60' }),
    'Instance metadata token',
  ).toString();
  const path = `${METADATA}/latest/meta-data/iam/security-credentials/`;
  const headers = { 'X-aws-ec2-metadata-token': token };
  const role = checked(await ask('GET', path, headers), 'Name of the instance role')
    .toString()
    .trim();
  return JSON.parse(checked(await ask('GET', path + role, headers), 'Credentials of the instance role').toString());
}

async function call(
  service: string,
  region: string,
  method: string,
  path: string,
  headers: Record<string, string>,
  body = '',
): Promise<Answer> {
  const endpoint = process.env.AWS_ENDPOINT_URL;
  if (endpoint === undefined)
    throw new Error('AWS_ENDPOINT_URL is not set: this stand-in only calls the emulated AWS.');
  const { AccessKeyId, Token } = await credentials();
  const authorization =
    `AWS4-HMAC-SHA256 Credential=${AccessKeyId}/20000101/${region}/${service}/aws4_request, ` +
    `SignedHeaders=host, Signature=${'0'.repeat(64)}`;
  return ask(
    method,
    endpoint + path,
    { ...headers, authorization, 'x-amz-date': '20000101T000000Z', 'x-amz-security-token': Token },
    body,
  );
}

const logs = (action: string, region: string, body: string) =>
  call(
    'logs',
    region,
    'POST',
    '/',
    { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `Logs_20140328.${action}` },
    body,
  );

/** `timestamp=1,message=text`, a JSON list, or `file://` with that JSON in it. */
function logEvents(values: string[]): unknown {
  const text = values.join(' ');
  if (text.startsWith('file://')) return JSON.parse(readFileSync(text.slice('file://'.length), 'utf8'));
  if (text.startsWith('[')) return JSON.parse(text);
  return values.map((value) => {
    const match = /^timestamp=(\d+),message=(.*)$/s.exec(value);
    if (!match)
      throw new Error(`The log event "${value}" must be timestamp=N,message=TEXT, a JSON list, or file://PATH.`);
    return { timestamp: Number(match[1]), message: match[2] };
  });
}

function options<const N extends string>(
  args: string[],
  names: readonly N[],
): { values: Record<N, string>; positionals: string[] } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  });
  for (const name of names) if (values[name] === undefined) throw new Error(`the option --${name} is missing`);
  return { values: values as Record<N, string>, positionals };
}

async function main([service, action, ...args]: string[]): Promise<void> {
  switch (`${service} ${action}`) {
    case 's3 cp': {
      const { values, positionals } = options(
        args.filter((arg) => arg !== '--only-show-errors' && arg !== '--no-progress'),
        ['region'],
      );
      const [from, to, ...more] = positionals;
      const source = /^s3:\/\/([^/]+)\/(.+)$/.exec(from ?? '');
      if (!source || to === undefined || to.startsWith('s3://') || more.length > 0)
        throw new Error('knows only `aws s3 cp s3://BUCKET/KEY FILE`');
      writeFileSync(
        to,
        checked(await call('s3', values.region, 'GET', `/${source[1]}/${source[2]}`, {}), `Download of ${from}`),
      );
      return;
    }
    case 'logs create-log-stream': {
      const { values } = options(args, ['region', 'log-group-name', 'log-stream-name']);
      checked(
        await logs(
          'CreateLogStream',
          values.region,
          JSON.stringify({ logGroupName: values['log-group-name'], logStreamName: values['log-stream-name'] }),
        ),
        'CreateLogStream',
      );
      return;
    }
    case 'logs put-log-events': {
      const { values, positionals } = options(args, ['region', 'log-group-name', 'log-stream-name', 'log-events']);
      const body = {
        logGroupName: values['log-group-name'],
        logStreamName: values['log-stream-name'],
        logEvents: logEvents([values['log-events'], ...positionals]),
      };
      process.stdout.write(
        `${checked(await logs('PutLogEvents', values.region, JSON.stringify(body)), 'PutLogEvents').toString()}\n`,
      );
      return;
    }
    default:
      throw new Error(
        `knows only \`s3 cp\`, \`logs create-log-stream\` and \`logs put-log-events\`, not \`${service} ${action}\``,
      );
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(
    `aws stand-in: ${error instanceof Error ? error.message : String(error)} (called with: ` +
      `${process.argv.slice(2).join(' ')})\n`,
  );
  process.exitCode = 64;
});
