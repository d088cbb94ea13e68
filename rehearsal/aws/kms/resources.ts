/** Resource types of KMS. A key only has its policy; nothing is encrypted. */
import type { Context } from '../core/context';
import type { ResourceTypes } from '../core/resource';
import type { Iam } from '../iam/iam';

export function kmsTypes({ iam, context }: { iam: Iam; context: Context }): ResourceTypes {
  return {
    'AWS::KMS::Key': {
      properties: [
        'Description',
        'EnableKeyRotation',
        'Enabled',
        'KeyPolicy',
        'KeySpec',
        'KeyUsage',
        'MultiRegion',
        'PendingWindowInDays',
        'RotationPeriodInDays',
        'Tags',
      ],
      create({ logicalId, properties }) {
        const id = context.clock.uuid();
        const arn = context.arn('kms', `key/${id}`);
        // Without a policy the key has the default one, like a key from outside the template.
        if (properties.KeyPolicy !== undefined) iam.putResourcePolicy(arn, logicalId, properties.KeyPolicy);
        return { id, attributes: { Arn: arn, KeyId: id } };
      },
      delete: (id) => iam.deleteResourcePolicy(context.arn('kms', `key/${id}`)),
    },
    'AWS::KMS::Alias': {
      properties: ['AliasName', 'TargetKeyId'],
      create: ({ properties }) => ({ id: properties.AliasName }),
    },
  };
}
