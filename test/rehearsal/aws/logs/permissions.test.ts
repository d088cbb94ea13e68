import { logsPermissions } from '../../../../rehearsal/aws/logs/permissions';
import { context, needed, type Needs } from '../permissions';

const permissions = logsPermissions({ context });

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
test.each<Needs>([
  [
    'PutLogEvents',
    { logGroupName: '/g', logStreamName: 'a/b' },
    ['logs:PutLogEvents arn:aws:logs:log-group:/g:log-stream:a/b'],
  ],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(permissions, action, input)).toEqual(expected);
});
