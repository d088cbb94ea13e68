/** Synthesises small apps for the tests of the constructs. */
import { App, Stack, type StackProps } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { SwarmCluster, type SwarmClusterProps } from '../../lib';

export interface Synthesised {
  stack: Stack;
  cluster: SwarmCluster;
  template: Template;
  /** Resources of one type, by logical id. */
  of(type: string): Record<string, Resource>;
}

export interface Resource {
  Type: string;
  Properties: Record<string, any>;
  DependsOn?: string[];
  [attribute: string]: any;
}

/** A stack `Test` with a cluster `Swarm`. */
export function synthesise(
  props: SwarmClusterProps | ((stack: Stack) => SwarmClusterProps) = {},
  more: (cluster: SwarmCluster, stack: Stack) => void = () => {},
  options: { context?: Record<string, unknown>; stack?: StackProps } = {},
): Synthesised {
  const { stack, cluster } = build(props, more, options);
  const template = Template.fromStack(stack);
  return { stack, cluster, template, of: (type) => template.findResources(type) as Record<string, Resource> };
}

/** The problems that synth reports. Empty when it succeeds. */
export function problems(
  props: SwarmClusterProps | ((stack: Stack) => SwarmClusterProps),
  more: (cluster: SwarmCluster, stack: Stack) => void = () => {},
  options: { stack?: StackProps } = {},
): string[] {
  const { stack } = build(props, more, options);
  try {
    (stack.node.root as App).synth();
  } catch (error) {
    return (error as Error).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

function build(
  props: SwarmClusterProps | ((stack: Stack) => SwarmClusterProps),
  more: (cluster: SwarmCluster, stack: Stack) => void,
  options: { context?: Record<string, unknown>; stack?: StackProps },
) {
  const stack = new Stack(new App({ context: options.context }), 'Test', options.stack);
  const cluster = new SwarmCluster(stack, 'Swarm', typeof props === 'function' ? props(stack) : props);
  more(cluster, stack);
  return { stack, cluster };
}

/** Asset hashes change with every change of the agent or a function. */
export function withoutHashes(template: unknown): unknown {
  return JSON.parse(JSON.stringify(template).replaceAll(/[0-9a-f]{64}/g, 'HASH'));
}

/** A string of the template, with references written as `<...>`. */
export function textOf(value: any): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(textOf).join(' ');
  if (value['Fn::Join']) return value['Fn::Join'][1].map(textOf).join(value['Fn::Join'][0]);
  if (value['Fn::Base64']) return textOf(value['Fn::Base64']);
  if (value.Ref) return `<${value.Ref}>`;
  if (value['Fn::GetAtt']) return `<${value['Fn::GetAtt'].join('.')}>`;
  if (value['Fn::Sub']) return value['Fn::Sub'];
  throw new Error(`This helper does not know the intrinsic function ${JSON.stringify(value)}`);
}
