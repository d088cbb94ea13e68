/** Turns the statements of `lib/core/statements.ts`, which are data, into the framework's classes. */
import { Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { Place, Statement } from '../core/statements';

export function toPolicyStatement(
  { sid, actions, resources, conditions }: Statement,
  principals?: iam.IPrincipal[],
): iam.PolicyStatement {
  return new iam.PolicyStatement({
    sid,
    actions,
    resources,
    ...(conditions && { conditions }),
    ...(principals && { principals }),
  });
}

export function toPolicyDocument(statements: Statement[]): iam.PolicyDocument {
  // Not minimised: the template has the same statements whatever feature flags the app sets.
  return new iam.PolicyDocument({
    statements: statements.map((statement) => toPolicyStatement(statement)),
    minimize: false,
  });
}

/** Partition, region, account and id of a construct's stack. */
export function placeOf(scope: Construct): Place {
  const { partition, region, account, stackId } = Stack.of(scope);
  return { partition, region, account, stackId };
}
