import { stsPermissions } from '../../../../rehearsal/aws/sts/permissions';
import { needed, type Needs } from '../permissions';

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
test.each<Needs>([
  ['GetCallerIdentity', {}, []],
  ['AssumeRole', {}, undefined],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(stsPermissions, action, input)).toEqual(expected);
});
