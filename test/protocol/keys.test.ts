import { mailbox, parseMailbox } from '../../protocol/keys';

describe('a mailbox', () => {
  it('names a role and an instance, and is read back', () => {
    expect(parseMailbox(mailbox('AROAEXAMPLE', 'i-0123456789abcdef0'))).toEqual({
      roleId: 'AROAEXAMPLE',
      instanceId: 'i-0123456789abcdef0',
    });
  });

  it.each([
    '',
    'cluster',
    'AROAEXAMPLE',
    'AROAEXAMPLE:session',
    ':i-0123456789abcdef0',
    'AROA:i-0123456789abcdef0:more',
  ])('is nothing like %p', (key) => {
    expect(parseMailbox(key)).toBeUndefined();
  });
});
