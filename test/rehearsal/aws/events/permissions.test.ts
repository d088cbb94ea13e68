import { eventsPermissions } from '../../../../rehearsal/aws/events/permissions';
import { context, needed, type Needs } from '../permissions';

const permissions = eventsPermissions({ context });

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
test.each<Needs>([
  [
    'PutEvents',
    { Entries: [{ Source: 's' }, { Source: 't', EventBusName: 'b' }] },
    ['events:PutEvents arn:aws:events:event-bus/default', 'events:PutEvents arn:aws:events:event-bus/b'],
  ],
  ['PutRule', {}, undefined],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(permissions, action, input)).toEqual(expected);
});
