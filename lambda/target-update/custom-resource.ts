/**
 * Answers CloudFormation. Every load balancer has a custom resource in its stack that says whether it follows published
 * ports. Whatever was made for it at run time is removed before the load balancer is deleted or stops following, and a
 * declared listener finds its port free.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
 */
import * as v from 'valibot';
import { text } from '../../protocol/body';
import type { LoadBalancerSettings } from '../../protocol/following';
import { describeError } from '../../protocol/log';
import { close, reopen, type Updater } from './update';

/** Ends before the function's own timeout, which would leave CloudFormation without an answer. */
const DEADLINE_MS = 40_000;
const PAUSE_MS = 5_000;

const requestSchema = v.object({
  RequestType: v.picklist(['Create', 'Update', 'Delete']),
  ResponseURL: text(8_192),
  StackId: text(2_048),
  RequestId: text(256),
  LogicalResourceId: text(512),
  ResourceProperties: v.object({ Follows: v.optional(text(8)), LoadBalancerArn: text(512), SecurityGroupId: text(64) }),
  OldResourceProperties: v.optional(v.object({ Follows: v.optional(text(8)) })),
});
export type FollowRequest = v.InferOutput<typeof requestSchema>;

/** Sends the answer to the URL in CloudFormation's request. */
export type Respond = (url: string, body: string) => Promise<void>;

/** Undefined for any other event: those mean "look again". */
export function parseRequest(event: unknown): FollowRequest | undefined {
  const parsed = v.safeParse(requestSchema, event);
  return parsed.success ? parsed.output : undefined;
}

/**
 * The load balancer's ARN is the physical id. A different load balancer is therefore a different resource, and the old
 * one is closed.
 */
export async function answer(
  dependencies: Updater & { loadBalancers: readonly LoadBalancerSettings[] },
  respond: Respond,
  request: FollowRequest,
): Promise<void> {
  const { RequestType, ResponseURL, StackId, RequestId, LogicalResourceId, ResourceProperties, OldResourceProperties } =
    request;
  const { LoadBalancerArn: arn, SecurityGroupId: securityGroupId } = ResourceProperties;
  const { clock } = dependencies;
  const deadline = clock.now() + DEADLINE_MS;
  const settings = dependencies.loadBalancers.find((one) => one.arn === arn);
  const work = async () => {
    if (RequestType === 'Delete')
      return close(dependencies, { arn, securityGroupId }, settings !== undefined, deadline);
    if (ResourceProperties.Follows === 'true')
      return reopen(dependencies, settings ?? { arn, securityGroupId }, deadline);
    // If it never followed, there is nothing to remove.
    if (OldResourceProperties?.Follows === 'true') await close(dependencies, { arn, securityGroupId }, true, deadline);
  };
  const failure = await tried(dependencies, deadline, work, { loadBalancer: arn, request: RequestType });
  const outcome = failure === undefined ? { Status: 'SUCCESS' } : { Status: 'FAILED', Reason: failure };
  await respond(
    ResponseURL,
    JSON.stringify({ ...outcome, PhysicalResourceId: arn, StackId, RequestId, LogicalResourceId }),
  );
}

/**
 * Retries until the deadline: a deployment must not fail because of a passing problem, such as permissions that are
 * seconds old.
 * @returns why it failed for good
 */
async function tried(
  { clock, log }: Updater,
  deadline: number,
  work: () => Promise<void>,
  fields: Record<string, string>,
): Promise<string | undefined> {
  for (;;) {
    try {
      await work();
      return undefined;
    } catch (error) {
      const over = clock.now() >= deadline;
      log(over ? 'error' : 'warn', "Failed to prepare or remove a load balancer's followed ports.", {
        ...fields,
        error: describeError(error),
      });
      if (over) return describeError(error);
      await clock.sleep(PAUSE_MS);
    }
  }
}

/** Without a content type, because the URL is signed without one. */
export const respondByHttp: Respond = async (url, body) => {
  const { ok, status } = await fetch(url, {
    method: 'PUT',
    body: Buffer.from(body),
    headers: { 'content-type': '' },
    signal: AbortSignal.timeout(10_000),
  });
  if (!ok) throw new Error(`CloudFormation rejected the answer with HTTP status ${status}.`);
};
