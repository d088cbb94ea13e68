/** One of the cluster's functions, with its role and log group. Its code is bundled when this package is built. */
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { functionBundle } from '../core/bundles';
import { FUNCTIONS, type FunctionName } from '../core/defaults';
import { writeLogs, type Statement } from '../core/statements';
import { toPolicyDocument, toPolicyStatement } from '../framework/policy';

export interface ClusterFunctionProps {
  readonly name: FunctionName;
  readonly description: string;
  readonly environment: Record<string, string>;
  /** What the function may do besides writing its log. */
  readonly statements: Statement[];
}

/**
 * A function without reserved concurrency: AWS refuses to reserve any of the ten that a new account has.
 * https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
export class ClusterFunction extends Construct {
  readonly function: lambda.Function;
  readonly logGroup: logs.LogGroup;

  private readonly policy: iam.PolicyDocument;

  constructor(scope: Construct, id: string, props: ClusterFunctionProps) {
    super(scope, id);
    const { timeout, memory } = FUNCTIONS[props.name];
    // Explicit, so that no feature flag of the app creates another one, and so that it is deleted with the stack.
    this.logGroup = new logs.LogGroup(this, 'Logs', {
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.policy = toPolicyDocument([writeLogs(this.logGroup.logGroupArn), ...props.statements]);
    // Inline, so that the policy exists before the function and is deleted after it.
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      inlinePolicies: { Function: this.policy },
    });
    this.function = new lambda.Function(this, 'Function', {
      description: props.description,
      runtime: lambda.Runtime.NODEJS_22_X,
      architecture: lambda.Architecture.ARM_64,
      handler: 'index.handler',
      code: lambda.Code.fromAsset(functionBundle(props.name)),
      timeout: Duration.seconds(timeout),
      memorySize: memory,
      environment: props.environment,
      role,
      logGroup: this.logGroup,
    });
    // The framework adds a dependency on the role, which the reference to the role already implies: cfn-lint reports
    // that (W3005).
    (this.function.node.defaultChild as lambda.CfnFunction).addDeletionOverride('DependsOn');
  }

  /** Adds environment variables to the function. */
  addEnvironment(environment: Record<string, string>): void {
    for (const [name, value] of Object.entries(environment)) this.function.addEnvironment(name, value);
  }

  /** Adds a statement to the policy of the function's role. */
  allow(statement: Statement): void {
    this.policy.addStatements(toPolicyStatement(statement));
  }
}
