/**
 * The emulated AWS on a socket: decodes requests of SDK clients into the SDK's shapes, passes them to the region, and
 * encodes the responses as AWS does. Service and caller come from the credential scope of the signature. Signatures are
 * not verified; the region checks permissions. Anything unknown is an error that names it.
 * Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html (scope),
 * https://smithy.io/2.0/aws/protocols/index.html
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AwsError } from '../core/types';
import { decodeJson, encodeJson } from './json';
import { decodeQuery } from './query';
import { decodeS3, encodeS3, s3Action } from './s3';
import { ServiceShapes } from './shapes';
import { element, encodeMembers, text } from './xml';

/** The maximum size of a request body. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** Longer than clients keep an idle connection, so that clients close it and never use a closed one. */
const KEEP_ALIVE_MS = 10 * 60 * 1000;

export interface AwsCall {
  /**
   * As in the credential scope of the signature: `dynamodb`, `sqs`, `logs`, `autoscaling`, `cloudformation`, `ec2`,
   * `elasticloadbalancing`, `s3`, `sts`.
   */
  service: string;
  action: string;
  /** In the shape of the SDK's command input; timestamps are strings. */
  input: Record<string, any>;
  accessKeyId: string;
}

export interface AwsBackend {
  /** Answers in the shape of the SDK's command output; timestamps are ISO strings. @throws AwsError as AWS would */
  call(call: AwsCall): Promise<Record<string, any>>;
  /** Takes an unsigned PUT to a URL that was handed out before. */
  put?(path: string, body: string): void;
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string | Uint8Array;
}

/**
 * Serves until closed.
 * @param options.port 0 for any free one
 */
export async function serveAws(
  backend: AwsBackend,
  options: { host: string; port: number },
): Promise<{ url: string; close(): Promise<void> }> {
  let requests = 0;
  const server = createServer(async (request, response) => {
    requests += 1;
    const requestId = `00000000-0000-0000-0000-${String(requests).padStart(12, '0')}`;
    let body: string | undefined;
    try {
      body = await readBody(request);
    } catch {
      // The client has disconnected, so there is nobody to answer.
      response.destroy();
      return;
    }
    send(response, await answer(backend, request, body, requestId), requestId);
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(response: ServerResponse, { status, headers, body }: Answer, requestId: string): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'x-amzn-requestid': requestId, 'content-length': bytes.length, ...headers });
  response.end(bytes);
}

async function answer(
  backend: AwsBackend,
  request: IncomingMessage,
  body: string | undefined,
  requestId: string,
): Promise<Answer> {
  let shapes: ServiceShapes | undefined;
  try {
    try {
      if (body === undefined)
        throw new AwsError(
          'RequestEntityTooLarge',
          `The body of a request may have at most ${MAX_BODY_BYTES} bytes.`,
          413,
        );
      if (request.method === 'PUT' && request.headers.authorization === undefined && backend.put) {
        backend.put(request.url ?? '/', body);
        return { status: 200, headers: {}, body: '' };
      }
      const { service, accessKeyId } = credentialScope(request);
      shapes = await ServiceShapes.of(service);
      const { action, input } = decode(shapes, request, body);
      const output = await backend.call({ service, action, input, accessKeyId });
      return encode(shapes, action, output, requestId);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      return encodeError(shapes, error, requestId);
    }
  } catch (error) {
    console.error(`The emulated AWS failed on ${request.method} ${request.url}:`, error);
    return encodeError(
      shapes,
      new AwsError('InternalFailure', error instanceof Error ? error.message : String(error), 500),
      requestId,
    );
  }
}

/**
 * The whole body, or undefined if it is too large. The rest is then read and discarded, so that the client gets its
 * answer.
 */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
    else chunks.length = 0;
  }
  return bytes <= MAX_BODY_BYTES ? Buffer.concat(chunks).toString('utf8') : undefined;
}

/**
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html : `Credential=<access
 * key>/<date>/<region>/<service>/aws4_request`
 */
function credentialScope({ headers }: IncomingMessage): { service: string; accessKeyId: string } {
  const scope = /^AWS4-HMAC-SHA256 .*?Credential=([^/,\s]+)\/\d{8}\/[^/,\s]+\/([^/,\s]+)\/aws4_request/.exec(
    headers.authorization ?? '',
  );
  if (!scope)
    throw new AwsError(
      'MissingAuthenticationToken',
      'The request has no Authorization header of Signature Version 4.',
      403,
    );
  return { accessKeyId: scope[1]!, service: scope[2]! };
}

function decode(
  shapes: ServiceShapes,
  request: IncomingMessage,
  body: string,
): { action: string; input: Record<string, unknown> } {
  const { service, protocol } = shapes;
  const { headers } = request;
  const encoding = headers['content-encoding'];
  if (encoding !== undefined)
    throw new Error(`The emulated AWS does not know the content encoding "${encoding}" of a request to ${service}.`);
  if (protocol === 's3') {
    const s3Request = { method: request.method ?? '', url: new URL(request.url ?? '/', 'http://host'), headers };
    const action = s3Action(s3Request);
    return { action, input: decodeS3(shapes.operation(action).input, s3Request, action) };
  }
  const spoken = protocol === 'json' ? `application/x-amz-json-${shapes.dialect}` : 'application/x-www-form-urlencoded';
  const asked = headers['content-type']?.split(';')[0];
  if (asked !== spoken) {
    throw new Error(
      `The emulated AWS speaks ${spoken} for ${service}, and was asked in ` +
        `"${headers['smithy-protocol'] ?? asked ?? 'no content type'}".`,
    );
  }
  if (protocol === 'json') {
    const action = String(headers['x-amz-target'] ?? '')
      .split('.')
      .at(-1)!;
    return { action, input: decodeJson(shapes.operation(action).input, body, action) };
  }
  const fields = new URLSearchParams(body);
  const action = fields.get('Action') ?? '';
  const parameters = [...fields].filter(([name]) => name !== 'Action' && name !== 'Version');
  return { action, input: decodeQuery(shapes.operation(action).input, parameters, protocol === 'ec2', action) };
}

function encode(shapes: ServiceShapes, action: string, output: Record<string, unknown>, requestId: string): Answer {
  const { protocol, dialect } = shapes;
  const { output: schema } = shapes.operation(action);
  if (protocol === 's3') {
    const { headers, body } = encodeS3(schema, output, action);
    return { status: headers['content-range'] === undefined ? 200 : 206, headers, body };
  }
  if (protocol === 'json') {
    return {
      status: 200,
      headers: { 'content-type': `application/x-amz-json-${dialect}` },
      body: JSON.stringify(encodeJson(schema, output, action)),
    };
  }
  const content = schema.isUnitSchema() ? '' : encodeMembers(schema, output, action);
  const inner =
    protocol === 'ec2'
      ? element('requestId', requestId) + content
      : (schema.isUnitSchema() ? '' : element(`${action}Result`, content)) +
        element('ResponseMetadata', element('RequestId', requestId));
  return xml(200, `<${action}Response xmlns="${dialect}">${inner}</${action}Response>`);
}

function encodeError(shapes: ServiceShapes | undefined, error: AwsError, requestId: string): Answer {
  const { code, message, status, members } = error;
  const schema = shapes?.error(code);
  const fault = status < 500 ? 'Sender' : 'Receiver';
  // The query protocol's error code may differ from the name of the error's shape.
  const queryCode = (schema?.getMergedTraits().awsQueryError as [string, number] | undefined)?.[0] ?? code;
  switch (shapes?.protocol) {
    case 'json':
    case undefined: {
      const body = {
        ...(schema ? encodeJson(schema, members, code) : members),
        __type: schema?.getName(true) ?? code,
        message,
      };
      return {
        status,
        headers: {
          'content-type': `application/x-amz-json-${shapes?.dialect ?? '1.0'}`,
          ...(shapes?.service === 'sqs' ? { 'x-amzn-query-error': `${queryCode};${fault}` } : {}),
        },
        body: JSON.stringify(body),
      };
    }
    case 'query':
      return xml(
        status,
        `<ErrorResponse xmlns="${shapes.dialect}">${element(
          'Error',
          element('Type', fault) + element('Code', text(queryCode)) + element('Message', text(message)),
        )}${element('RequestId', requestId)}</ErrorResponse>`,
      );
    case 'ec2':
      return xml(
        status,
        element(
          'Response',
          element('Errors', element('Error', element('Code', text(code)) + element('Message', text(message)))) +
            element('RequestID', requestId),
        ),
      );
    case 's3':
      return xml(
        status,
        element(
          'Error',
          element('Code', text(code)) + element('Message', text(message)) + element('RequestId', requestId),
        ),
      );
  }
}

function xml(status: number, body: string): Answer {
  return { status, headers: { 'content-type': 'text/xml' }, body: `<?xml version="1.0" encoding="UTF-8"?>\n${body}` };
}
