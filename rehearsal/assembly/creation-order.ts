/** The order in which CloudFormation creates a stack's nodes, read from the dependencies in its template. */
import { ROLE_TAG, SEAT_TAG } from '../../protocol/tags';
import type { Resource, Template } from './synth';

export interface OrderedGroup {
  logicalId: string;
  role: string;
  seat?: string;
  instances: number;
  /** Logical ids of the groups that this one directly waits for. */
  after: string[];
  /** How many resources that launch no instances are created before it. */
  resourcesBefore: number;
  /** The group's own `launch` and `terminate` hooks, as text. */
  hooks: string[];
  /** The signals that CloudFormation waits for before the group is complete, as text. */
  signals: string;
}

/** Every resource that a resource refers to: `DependsOn`, `Ref`, `Fn::GetAtt`, `Fn::Sub`. */
export function dependencies(resource: Resource, template: Template): Set<string> {
  const found = new Set<string>([resource.DependsOn ?? []].flat());
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (typeof value !== 'object' || value === null) return;
    for (const [name, argument] of Object.entries(value)) {
      if (name === 'Ref' && typeof argument === 'string') found.add(argument);
      else if (name === 'Fn::GetAtt') found.add(String([argument].flat()[0]).split('.')[0]!);
      else if (name === 'Fn::Sub')
        for (const [, inner] of String([argument].flat()[0]).matchAll(/\$\{([^!}.]+)[^}]*\}/g)) found.add(inner!);
      visit(argument);
    }
  };
  visit(resource.Properties);
  return new Set([...found].filter((id) => id in template.Resources));
}

/** @throws Error naming the resources of a circular dependency */
export function creationOrder(template: Template): OrderedGroup[] {
  const before = new Map<string, Set<string>>();
  const path: string[] = [];
  const visit = (id: string): Set<string> => {
    const known = before.get(id);
    if (known !== undefined) return known;
    if (path.includes(id))
      throw new Error(
        `These resources depend on each other in a circle: ${[...path.slice(path.indexOf(id)), id].join(' -> ')}`,
      );
    path.push(id);
    const all = new Set<string>();
    for (const dependency of dependencies(template.Resources[id]!, template)) {
      all.add(dependency);
      for (const further of visit(dependency)) all.add(further);
    }
    path.pop();
    before.set(id, all);
    return all;
  };
  const isGroup = (id: string) => template.Resources[id]!.Type === 'AWS::AutoScaling::AutoScalingGroup';
  const groups = Object.keys(template.Resources).filter(isGroup);
  const groupsBefore = (id: string) => [...visit(id)].filter(isGroup).length;
  return groups
    .map((logicalId) => {
      const resource = template.Resources[logicalId]!;
      const properties = resource.Properties ?? {};
      const tags = Object.fromEntries(
        ((properties.Tags ?? []) as { Key: string; Value: unknown }[]).map(({ Key, Value }) => [Key, Value]),
      );
      const earlier = [...visit(logicalId)];
      const earlierGroups = earlier.filter(isGroup);
      const signal = resource.CreationPolicy?.ResourceSignal;
      return {
        logicalId,
        role: typeof tags[ROLE_TAG] === 'string' ? tags[ROLE_TAG] : 'no member of the swarm',
        ...(typeof tags[SEAT_TAG] === 'string' ? { seat: tags[SEAT_TAG] } : {}),
        instances: Number(properties.DesiredCapacity ?? properties.MinSize ?? 0),
        after: earlierGroups.filter(
          (group) => !earlierGroups.some((other) => other !== group && visit(other).has(group)),
        ),
        resourcesBefore: earlier.length - earlierGroups.length,
        hooks: ((properties.LifecycleHookSpecificationList ?? []) as Record<string, unknown>[]).map(describeHook),
        signals:
          signal === undefined
            ? 'waits for no signal'
            : `waits for ${signal.Count ?? 1} success signal(s), at most ${signal.Timeout ?? 'PT5M'}`,
      };
    })
    .sort((a, b) => groupsBefore(a.logicalId) - groupsBefore(b.logicalId) || (a.logicalId < b.logicalId ? -1 : 1));
}

function describeHook(hook: Record<string, unknown>): string {
  const kind = String(hook.LifecycleTransition).endsWith('LAUNCHING') ? 'launch' : 'terminate';
  return `${kind} hook of ${String(hook.HeartbeatTimeout ?? 3600)} s, then ${String(hook.DefaultResult ?? 'ABANDON')}`;
}

export function renderCreationOrder(template: Template): string[] {
  const order = creationOrder(template);
  const names = new Map(
    order.map((group) => [group.logicalId, group.seat === undefined ? group.logicalId : `seat ${group.seat}`]),
  );
  return order.flatMap((group, index) => [
    `${index + 1}. ${names.get(group.logicalId)} (${group.role}, ${group.instances} instance${group.instances === 1 ? '' : 's'}): after ${[
      `${group.resourcesBefore} other resources`,
      ...group.after.map((id) => names.get(id)!),
    ].join(', ')}`,
    `   ${[group.signals, ...group.hooks].join('; ')}`,
  ]);
}
