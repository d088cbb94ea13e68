/** Resource types of Route 53. Records exist but are not resolved. */
import type { Context } from '../core/context';
import type { ResourceTypes } from '../core/resource';

export function route53Types({ context }: { context: Context }): ResourceTypes {
  return {
    'AWS::Route53::RecordSet': {
      properties: [
        'AliasTarget',
        'Comment',
        'HostedZoneId',
        'HostedZoneName',
        'Name',
        'ResourceRecords',
        'TTL',
        'Type',
      ],
      create({ properties }) {
        context.emit('cloudformation', 'record', properties.Name, { type: properties.Type });
        return { id: properties.Name };
      },
    },
  };
}
