import { s3Permissions } from '../../../../rehearsal/aws/s3/permissions';
import { needed, type Needs } from '../permissions';

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
test.each<Needs>([['HeadObject', { Bucket: 'b', Key: 'k/l' }, ['s3:GetObject arn:aws:s3:::b/k/l']]])(
  '%s of %j needs %j',
  (action, input, expected) => {
    expect(needed(s3Permissions, action, input)).toEqual(expected);
  },
);
