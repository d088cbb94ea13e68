/** Resource types of SQS. */
import type { ResourceTypes } from '../core/resource';
import { AwsError } from '../core/types';
import type { Iam } from '../iam/iam';
import type { Sqs } from './sqs';

export function sqsTypes({ sqs, iam }: { sqs: Sqs; iam: Iam }): ResourceTypes {
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
  };
}
