/**
 * All policy statements, and which of them ever decided a request. A statement that no test exercises may be needless
 * or untested.
 */
import type { Policy } from './policy';

/** A statement of a policy that is or was in a template. */
export interface StatementView {
  /** Logical id of its role; absent for a resource policy. */
  role?: string;
  /** ARN of the resource, for a resource policy. */
  resource?: string;
  /** Name of the policy; `AssumeRolePolicyDocument` for a trust policy. */
  policy: string;
  sid: string | undefined;
  /** Its index in the policy, from 0. */
  index: number;
  effect: 'Allow' | 'Deny';
  /** Whether it was among the statements that allowed or explicitly denied a request. */
  exercised: boolean;
}

/** What a policy is attached to. */
export type Holder = { role: string } | { resource: string };

export class StatementRegister {
  private readonly views = new Map<string, StatementView>();

  /** Exercised statements stay exercised when a policy with the same name replaces theirs. */
  add(holder: Holder, policy: Policy): void {
    for (const { sid, index, effect } of policy.statements) {
      const key = keyOf(holder, policy.name, index);
      this.views.set(key, {
        ...holder,
        policy: policy.name,
        sid,
        index,
        effect,
        exercised: this.views.get(key)?.exercised ?? false,
      });
    }
  }

  exercise(holder: Holder, policy: Policy, index: number): void {
    const view = this.views.get(keyOf(holder, policy.name, index));
    if (view) view.exercised = true;
  }

  all(): StatementView[] {
    return [...this.views.values()].map((view) => ({ ...view }));
  }
}

function keyOf(holder: Holder, policy: string, index: number): string {
  return JSON.stringify([holder, policy, index]);
}
