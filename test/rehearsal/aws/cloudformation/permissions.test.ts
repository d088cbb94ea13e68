import { cloudFormationPermissions } from '../../../../rehearsal/aws/cloudformation/permissions';
import { context, needed, type Needs } from '../permissions';

const permissions = cloudFormationPermissions({
  context,
  cloudformation: { stackArn: (name) => (['s', 'arn:s'].includes(name) ? 'arn:s' : undefined) },
});

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
test.each<Needs>([
  ['SignalResource', { StackName: 's' }, ['cloudformation:SignalResource arn:s']],
  ['SignalResource', { StackName: 'arn:s' }, ['cloudformation:SignalResource arn:s']],
  ['DescribeStacks', { StackName: 'none' }, ['cloudformation:DescribeStacks arn:aws:cloudformation:stack/none/*']],
  ['DescribeStacks', {}, ['cloudformation:DescribeStacks *']],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(permissions, action, input)).toEqual(expected);
});
