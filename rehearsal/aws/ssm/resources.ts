/** Resource types of Systems Manager. */
import type { ResourceTypes } from '../core/resource';
import type { Ssm } from './ssm';

export function ssmTypes({ ssm }: { ssm: Ssm }): ResourceTypes {
  return {
    'AWS::SSM::Parameter': {
      properties: ['AllowedPattern', 'DataType', 'Description', 'Name', 'Tags', 'Tier', 'Type', 'Value'],
      create({ properties, physicalName }) {
        const name: string = properties.Name ?? physicalName(512);
        ssm.put(name, String(properties.Value));
        return { id: name, attributes: { Type: properties.Type, Value: String(properties.Value) } };
      },
      delete: (name) => ssm.delete(name),
    },
  };
}
