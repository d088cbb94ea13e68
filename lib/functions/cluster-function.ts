/** One of the functions: its code is bundled when this package is built, its role may do what is stated and no more. */
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
  /** What it may do besides writing its log. */
  readonly statements: Statement[];
}

/**
 * Without reserved concurrency: a new account has ten, and AWS refuses to reserve of them.
 * https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
export class ClusterFunction extends Construct {
  readonly function: lambda.Function;
  readonly logGroup: logs.LogGroup;

  private readonly policy: iam.PolicyDocument;

  constructor(scope: Construct, id: string, props: ClusterFunctionProps) {
    super(scope, id);
    const { timeout, memory } = FUNCTIONS[props.name];
    // Said here, so that no feature flag of an app makes another one, and so that it goes with the stack.
    this.logGroup = new logs.LogGroup(this, 'Logs', {
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.policy = toPolicyDocument([writeLogs(this.logGroup.logGroupArn), ...props.statements]);
    // Inline, so that it is there before the function and until after it.
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
    // The framework makes the function depend on its role a second time, which cfn-lint reports (W3005); its reference
    // to the role says the same.
    (this.function.node.defaultChild as lambda.CfnFunction).addDeletionOverride('DependsOn');
  }

  /** Adds to its environment. */
  tell(environment: Record<string, string>): void {
    for (const [name, value] of Object.entries(environment)) this.function.addEnvironment(name, value);
  }

  /** Allows more. */
  allow(statement: Statement): void {
    this.policy.addStatements(toPolicyStatement(statement));
  }
}
