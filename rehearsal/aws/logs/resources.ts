/** Resource types of CloudWatch Logs. */
import type { Context } from '../core/context';
import type { ResourceTypes } from '../core/resource';
import type { Logs } from './logs';

export function logsTypes({ logs, context }: { logs: Logs; context: Context }): ResourceTypes {
  return {
    'AWS::Logs::LogGroup': {
      properties: ['DataProtectionPolicy', 'KmsKeyId', 'LogGroupClass', 'LogGroupName', 'RetentionInDays', 'Tags'],
      create({ properties, physicalName }) {
        const name: string = properties.LogGroupName ?? physicalName(512);
        logs.createGroup(name);
        return { id: name, attributes: { Arn: context.arn('logs', `log-group:${name}:*`) } };
      },
      delete: (name) => logs.deleteGroup(name),
    },
  };
}
