import { sqsPermissions } from '../../../../rehearsal/aws/sqs/permissions';
import { context, needed, type Needs } from '../permissions';

const permissions = sqsPermissions({ context });

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
test.each<Needs>([
  ['SendMessage', { QueueUrl: 'http://127.0.0.1:4566/123456789012/q' }, ['sqs:SendMessage arn:aws:sqs:q']],
  ['GetQueueUrl', { QueueName: 'q' }, ['sqs:GetQueueUrl arn:aws:sqs:q']],
  ['ListQueues', {}, undefined],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(permissions, action, input)).toEqual(expected);
});
