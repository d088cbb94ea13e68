/**
 * The instance metadata service of the emulated EC2, version 2 only: one listener for all instances, which it
 * recognises by their source address. Unknown paths return 404, as on EC2. Sources:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html ,
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-metadata.html (paths)
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { isoTime, systemClock, type Clock } from '../../../protocol/clock';
import type { Credentials } from '../core/types';

/** What the service tells an instance about itself. */
export interface InstanceMetadata {
  instanceId: string;
  privateIpAddress: string;
  availabilityZone: string;
  region: string;
  instanceType: string;
  instanceLifeCycle: 'on-demand' | 'spot';
  /**
   * Not served: EC2 serves tags only if the launch template enables it,
   * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
   */
  tags: Record<string, string>;
  roleName: string;
  credentials: Credentials;
  /** Absent outside Auto Scaling. */
  targetLifecycleState?: string;
  /** When EC2 will reclaim a spot instance, in milliseconds since 1970. Absent without a notice. */
  terminatedAt?: number;
  /** Decoded: the text of the script. */
  userData: string;
  /** @default 123456789012 */
  accountId?: string;
}

/**
 * The maximum lifetime of a token. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
 */
const MAX_TOKEN_SECONDS = 6 * 60 * 60;
const CREDENTIALS_MS = 6 * 60 * 60 * 1000;

interface Reply {
  status: number;
  body: string;
  type?: string;
  headers?: Record<string, string>;
}

/** @param view returns the instance with a source address; undefined makes every request fail with an explanation */
export function imdsHandler(
  view: (ip: string) => InstanceMetadata | undefined,
  clock: Clock = systemClock,
): RequestListener {
  const tokens = new Map<string, { instanceId: string; expiresAt: number }>();

  const issueToken = (request: IncomingMessage, instanceId: string): Reply => {
    if (request.headers['x-forwarded-for'] !== undefined)
      return { status: 403, body: 'Forbidden: the request came through a proxy.' };
    const given = request.headers['x-aws-ec2-metadata-token-ttl-seconds'];
    const seconds = Number(given);
    if (given === undefined || !Number.isInteger(seconds) || seconds < 1 || seconds > MAX_TOKEN_SECONDS) {
      return {
        status: 400,
        body: `Bad Request: x-aws-ec2-metadata-token-ttl-seconds must be from 1 to ${MAX_TOKEN_SECONDS}.`,
      };
    }
    for (const [token, { expiresAt }] of tokens) if (expiresAt <= clock.now()) tokens.delete(token);
    const token = Buffer.from(clock.uuid()).toString('base64');
    tokens.set(token, { instanceId, expiresAt: clock.now() + seconds * 1000 });
    return { status: 200, body: token, headers: { 'x-aws-ec2-metadata-token-ttl-seconds': String(seconds) } };
  };

  const authorized = (request: IncomingMessage, instanceId: string): boolean => {
    const token = tokens.get(String(request.headers['x-aws-ec2-metadata-token'] ?? ''));
    return token !== undefined && token.instanceId === instanceId && token.expiresAt > clock.now();
  };

  return (request, response) => {
    const ip = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    const path = (request.url ?? '').split('?')[0]!;
    const instance = view(ip);
    if (!instance)
      return send(response, { status: 500, body: `No instance of the emulated EC2 has the address ${ip}.` });
    if (path === '/latest/api/token') {
      return send(
        response,
        request.method === 'PUT'
          ? issueToken(request, instance.instanceId)
          : { status: 405, body: 'Method Not Allowed' },
      );
    }
    if (request.method !== 'GET') return send(response, { status: 405, body: 'Method Not Allowed' });
    if (!authorized(request, instance.instanceId)) return send(response, { status: 401, body: 'Unauthorized' });
    const found = documents(instance, clock.now())[path.replace(/(security-credentials)\/$/, '$1')];
    send(response, found?.() ?? { status: 404, body: 'Not Found' });
  };
}

/** The document at each path; undefined if there is none. */
function documents(instance: InstanceMetadata, now: number): Record<string, (() => Reply | undefined) | undefined> {
  const accountId = instance.accountId ?? '123456789012';
  const metadata: Record<string, () => Reply | undefined> = {
    'instance-id': () => plain(instance.instanceId),
    'local-ipv4': () => plain(instance.privateIpAddress),
    'placement/availability-zone': () => plain(instance.availabilityZone),
    'placement/region': () => plain(instance.region),
    'instance-type': () => plain(instance.instanceType),
    'instance-life-cycle': () => plain(instance.instanceLifeCycle),
    'iam/info': () =>
      json({
        Code: 'Success',
        LastUpdated: isoTime(now),
        InstanceProfileArn: `arn:aws:iam::${accountId}:instance-profile/${instance.roleName}`,
        InstanceProfileId: 'AIPAEXAMPLE',
      }),
    'iam/security-credentials': () => plain(instance.roleName),
    [`iam/security-credentials/${instance.roleName}`]: () =>
      json({
        Code: 'Success',
        LastUpdated: isoTime(now),
        Type: 'AWS-HMAC',
        AccessKeyId: instance.credentials.accessKeyId,
        SecretAccessKey: instance.credentials.secretAccessKey,
        Token: instance.credentials.sessionToken,
        Expiration: isoTime(now + CREDENTIALS_MS),
      }),
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
    'spot/instance-action': () =>
      instance.terminatedAt === undefined
        ? undefined
        : json({ action: 'terminate', time: isoTime(instance.terminatedAt).replace(/\.\d+/, '') }),
    'autoscaling/target-lifecycle-state': () =>
      instance.targetLifecycleState === undefined ? undefined : plain(instance.targetLifecycleState),
  };
  return {
    ...Object.fromEntries(Object.entries(metadata).map(([path, document]) => [`/latest/meta-data/${path}`, document])),
    '/latest/dynamic/instance-identity/document': () =>
      json({
        accountId,
        availabilityZone: instance.availabilityZone,
        instanceId: instance.instanceId,
        instanceType: instance.instanceType,
        privateIp: instance.privateIpAddress,
        region: instance.region,
        version: '2017-09-30',
      }),
    '/latest/user-data': () =>
      instance.userData === '' ? undefined : { status: 200, body: instance.userData, type: 'application/octet-stream' },
  };
}

function plain(body: string): Reply {
  return { status: 200, body };
}

function json(document: Record<string, unknown>): Reply {
  return { status: 200, body: JSON.stringify(document, null, 2) };
}

function send(response: ServerResponse, { status, body, type = 'text/plain', headers }: Reply): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}
