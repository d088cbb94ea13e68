/** Resource types of Lambda. */
import type { Context } from '../core/context';
import { onlyThese, type ResourceTypes } from '../core/resource';
import { AwsError } from '../core/types';
import type { Iam } from '../iam/iam';
import type { S3 } from '../s3/s3';
import type { Sqs } from '../sqs/sqs';
import type { Lambda } from './lambda';

/**
 * The total concurrency of a new account, all of which must stay unreserved:
 * https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
 */
const NEW_ACCOUNT_CONCURRENCY = 10;

export function lambdaTypes({
  lambda,
  iam,
  s3,
  sqs,
  context,
}: {
  lambda: Lambda;
  iam: Iam;
  s3: S3;
  sqs: Sqs;
  context: Context;
}): ResourceTypes {
  const configuration = (logicalId: string, properties: Record<string, any>) => {
    const { S3Bucket: bucket, S3Key: key } = properties.Code;
    if (bucket === undefined)
      throw new Error(
        `The emulation only runs functions whose code is an asset; ${logicalId} has ` +
          `${Object.keys(properties.Code).join(', ')}.`,
      );
    return {
      codePath: s3.folder(bucket, key),
      handler: properties.Handler,
      timeoutMs: Number(properties.Timeout ?? 3) * 1000,
      memoryMiB: Number(properties.MemorySize ?? 128),
      environment: Object.fromEntries(
        Object.entries(properties.Environment?.Variables ?? {}).map(([variable, value]) => [variable, String(value)]),
      ),
      roleName: iam.roleByArn(properties.Role).name,
    };
  };
  return {
    'AWS::Lambda::Function': {
      properties: [
        'Architectures',
        'Code',
        'DeadLetterConfig',
        'Description',
        'Environment',
        'EphemeralStorage',
        'FunctionName',
        'Handler',
        'KmsKeyArn',
        'LoggingConfig',
        'MemorySize',
        'RecursiveLoop',
        'ReservedConcurrentExecutions',
        'Role',
        'Runtime',
        'Tags',
        'Timeout',
        'TracingConfig',
      ],
      create({ logicalId, properties, physicalName }) {
        if (properties.ReservedConcurrentExecutions !== undefined) {
          throw new AwsError(
            'InvalidParameterValueException',
            `Specified ReservedConcurrentExecutions for function decreases account's ` +
              `UnreservedConcurrentExecution below its minimum value of [${NEW_ACCOUNT_CONCURRENCY}].`,
          );
        }
        const name: string = properties.FunctionName ?? physicalName(64);
        const fn = lambda.createFunction({
          logicalId,
          name,
          logGroup: properties.LoggingConfig?.LogGroup ?? `/aws/lambda/${name}`,
          ...configuration(logicalId, properties),
        });
        return { id: name, attributes: { Arn: fn.arn } };
      },
      update({ id: name, logicalId, properties, changed }) {
        onlyThese('AWS::Lambda::Function', changed, [
          'Code',
          'Description',
          'Environment',
          'Handler',
          'MemorySize',
          'Role',
          'Tags',
          'Timeout',
        ]);
        return { id: name, attributes: { Arn: lambda.updateFunction(name, configuration(logicalId, properties)).arn } };
      },
      delete: (name) => lambda.deleteFunction(name),
    },
    'AWS::Lambda::EventSourceMapping': {
      properties: [
        'BatchSize',
        'BisectBatchOnFunctionError',
        'DestinationConfig',
        'Enabled',
        'EventSourceArn',
        'FilterCriteria',
        'FunctionName',
        'FunctionResponseTypes',
        'MaximumBatchingWindowInSeconds',
        'MaximumRecordAgeInSeconds',
        'MaximumRetryAttempts',
        'ScalingConfig',
        'StartingPosition',
        'Tags',
      ],
      create({ properties }) {
        const onFailureArn: string | undefined = properties.DestinationConfig?.OnFailure?.Destination;
        if (onFailureArn !== undefined && !sqs.byArn(onFailureArn))
          throw new Error(`The emulation sends a mapping's failures to queues only, not to '${onFailureArn}'.`);
        const queue = String(properties.EventSourceArn).split(':')[2] === 'sqs';
        const id = lambda.createMapping({
          functionName: properties.FunctionName,
          eventSourceArn: properties.EventSourceArn,
          enabled: String(properties.Enabled ?? true) === 'true',
          batchSize: Number(properties.BatchSize ?? (queue ? 10 : 100)),
          batchingWindowMs: Number(properties.MaximumBatchingWindowInSeconds ?? 0) * 1000,
          filters: (properties.FilterCriteria?.Filters ?? []).map((filter: { Pattern: string }) =>
            JSON.parse(filter.Pattern),
          ),
          reportBatchItemFailures: (properties.FunctionResponseTypes ?? []).includes('ReportBatchItemFailures'),
          maximumConcurrency:
            properties.ScalingConfig?.MaximumConcurrency === undefined
              ? undefined
              : Number(properties.ScalingConfig.MaximumConcurrency),
          maximumRetryAttempts: Number(properties.MaximumRetryAttempts ?? -1),
          maximumRecordAgeMs:
            properties.MaximumRecordAgeInSeconds === undefined
              ? -1
              : Number(properties.MaximumRecordAgeInSeconds) * 1000,
          startingPosition: properties.StartingPosition,
          bisectOnError: String(properties.BisectBatchOnFunctionError ?? false) === 'true',
          onFailureArn,
        });
        return {
          id,
          attributes: { Id: id, EventSourceMappingArn: context.arn('lambda', `event-source-mapping:${id}`) },
        };
      },
      delete: (id) => lambda.deleteMapping(id),
    },
    'AWS::Lambda::Permission': {
      properties: ['Action', 'FunctionName', 'Principal', 'SourceAccount', 'SourceArn'],
      create: ({ physicalName }) => ({ id: physicalName(100) }),
    },
    'AWS::Lambda::EventInvokeConfig': {
      properties: [
        'DestinationConfig',
        'FunctionName',
        'MaximumEventAgeInSeconds',
        'MaximumRetryAttempts',
        'Qualifier',
      ],
      create: ({ physicalName }) => ({ id: physicalName(100) }),
    },
  };
}
