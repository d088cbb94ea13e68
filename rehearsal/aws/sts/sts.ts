/** STS, which tells callers their identity. iam/iam.ts creates sessions. */
import type { Context } from '../core/context';
import type { Principal, Service } from '../core/types';

export class Sts implements Service {
  constructor(private readonly context: Context) {}

  async call(action: string, _input: Record<string, any>, principal: Principal): Promise<Record<string, any>> {
    if (action !== 'GetCallerIdentity')
      throw new Error(`The emulation does not know the action '${action}' of STS. It knows GetCallerIdentity.`);
    return { UserId: principal.userId, Account: this.context.accountId, Arn: principal.arn };
  }
}

/**
 * The project has no SDK client for STS. These are the shapes of its one emulated action, in the form of the SDK's
 * schemas. https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
 */
export const STS_SCHEMAS = {
  GetCallerIdentity$: [
    9,
    'com.amazonaws.sts',
    'GetCallerIdentity',
    0,
    [3, 'com.amazonaws.sts', 'GetCallerIdentityRequest', 0, [], []],
    [3, 'com.amazonaws.sts', 'GetCallerIdentityResponse', 0, ['UserId', 'Account', 'Arn'], [0, 0, 0]],
  ],
};
