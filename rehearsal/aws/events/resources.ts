/** Resource types of EventBridge. */
import type { ResourceTypes } from '../core/resource';
import type { Sqs } from '../sqs/sqs';
import type { Events } from './events';

export function eventsTypes({ events, sqs }: { events: Events; sqs: Sqs }): ResourceTypes {
  return {
    'AWS::Events::Rule': {
      properties: [
        'Description',
        'EventBusName',
        'EventPattern',
        'Name',
        'ScheduleExpression',
        'State',
        'Tags',
        'Targets',
      ],
      create({ properties, physicalName }) {
        if (properties.EventBusName !== undefined && properties.EventBusName !== 'default')
          throw new Error(`The emulation has the default event bus only, not '${properties.EventBusName}'.`);
        const rule = events.putRule({
          name: properties.Name ?? physicalName(64),
          schedule: properties.ScheduleExpression,
          pattern: properties.EventPattern,
          enabled: (properties.State ?? 'ENABLED') !== 'DISABLED',
          targets: (properties.Targets ?? []).map((target: Record<string, any>) => {
            const unknown = Object.keys(target).filter(
              (key) => !['Arn', 'Id', 'Input', 'DeadLetterConfig', 'RetryPolicy'].includes(key),
            );
            if (unknown.length > 0)
              throw new Error(
                `The emulation does not know ${unknown.join(', ')} of a rule's target. It knows Arn, Id, ` +
                  'Input, DeadLetterConfig, RetryPolicy.',
              );
            if (!sqs.byArn(target.Arn))
              throw new Error(`The emulation sends events to queues, not to '${target.Arn}'.`);
            return { id: target.Id, arn: target.Arn, input: target.Input };
          }),
        });
        return { id: rule.name, attributes: { Arn: rule.arn } };
      },
      delete: (name) => events.deleteRule(name),
    },
  };
}
