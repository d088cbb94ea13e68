/** Resource types of SQS and EventBridge. */
import { AwsError } from '../../core/types';
import type { ResourceTypes, Services } from '../resource';

export function messagingTypes({ sqs, events, iam }: Services): ResourceTypes {
  return {
    'AWS::SQS::Queue': {
      properties: [
        'DelaySeconds',
        'KmsDataKeyReusePeriodSeconds',
        'KmsMasterKeyId',
        'MaximumMessageSize',
        'MessageRetentionPeriod',
        'QueueName',
        'ReceiveMessageWaitTimeSeconds',
        'RedriveAllowPolicy',
        'RedrivePolicy',
        'SqsManagedSseEnabled',
        'Tags',
        'VisibilityTimeout',
      ],
      create({ properties, physicalName }) {
        const redrive = properties.RedrivePolicy;
        if (redrive && !sqs.byArn(redrive.deadLetterTargetArn)) {
          throw new AwsError(
            'InvalidParameterValue',
            `Value ${JSON.stringify(redrive)} for parameter RedrivePolicy is invalid. Reason: Dead letter ` +
              'target does not exist.',
          );
        }
        const seconds = (name: string) => (properties[name] === undefined ? undefined : Number(properties[name]));
        const queue = sqs.createQueue(properties.QueueName ?? physicalName(80), {
          visibilityTimeout: seconds('VisibilityTimeout'),
          delay: seconds('DelaySeconds'),
          retention: seconds('MessageRetentionPeriod'),
          redrive: redrive && {
            deadLetterTargetArn: redrive.deadLetterTargetArn,
            maxReceiveCount: Number(redrive.maxReceiveCount),
          },
        });
        return { id: sqs.url(queue), attributes: { Arn: queue.arn, QueueName: queue.name, QueueUrl: sqs.url(queue) } };
      },
      delete: (url) => sqs.deleteQueue(url.slice(url.lastIndexOf('/') + 1)),
    },
    'AWS::SQS::QueuePolicy': {
      properties: ['PolicyDocument', 'Queues'],
      create({ logicalId, properties }) {
        for (const url of properties.Queues)
          iam.putResourcePolicy(sqs.byUrl(url).arn, logicalId, properties.PolicyDocument);
        return { id: logicalId };
      },
      delete(_, properties) {
        for (const url of properties.Queues) iam.deleteResourcePolicy(sqs.byUrl(url).arn);
      },
    },
    'AWS::Events::Rule': {
      properties: [
        'Description',
        'EventBusName',
        'EventPattern',
        'Name',
        'ScheduleExpression',
        'State',
        'Tags',
        'Targets',
      ],
      create({ properties, physicalName }) {
        if (properties.EventBusName !== undefined && properties.EventBusName !== 'default')
          throw new Error(`The emulation has the default event bus only, not '${properties.EventBusName}'.`);
        const rule = events.putRule({
          name: properties.Name ?? physicalName(64),
          schedule: properties.ScheduleExpression,
          pattern: properties.EventPattern,
          enabled: (properties.State ?? 'ENABLED') !== 'DISABLED',
          targets: (properties.Targets ?? []).map((target: Record<string, any>) => {
            const unknown = Object.keys(target).filter(
              (key) => !['Arn', 'Id', 'Input', 'DeadLetterConfig', 'RetryPolicy'].includes(key),
            );
            if (unknown.length > 0)
              throw new Error(
                `The emulation does not know ${unknown.join(', ')} of a rule's target. It knows Arn, Id, ` +
                  'Input, DeadLetterConfig, RetryPolicy.',
              );
            if (!sqs.byArn(target.Arn))
              throw new Error(`The emulation sends events to queues, not to '${target.Arn}'.`);
            return { id: target.Id, arn: target.Arn, input: target.Input };
          }),
        });
        return { id: rule.name, attributes: { Arn: rule.arn } };
      },
      delete: (name) => events.deleteRule(name),
    },
  };
}
