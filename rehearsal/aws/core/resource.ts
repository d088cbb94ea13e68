/** The interface between CloudFormation's engine and the resource types. */
import type { Tags } from './describe';

export interface ResourceRequest {
  logicalId: string;
  stackName: string;
  stackId: string;
  /** As the template names it. */
  type: string;
  /** With all intrinsic functions resolved. */
  properties: Record<string, any>;
  /** `<stack>-<logical id>-<random>`, truncated to the service's limit. */
  physicalName(maxLength: number): string;
  /** The template's tags and CloudFormation's own. */
  tags: Tags;
}

/** An update in place. Changes that would replace the resource are refused. */
export interface UpdateRequest extends ResourceRequest {
  /** The id of the existing resource. */
  id: string;
  /** Names of the properties that differ. */
  changed: string[];
  /** The resolved properties before the update. */
  previous: Record<string, any>;
  /** The UpdatePolicy in the template. */
  updatePolicy: Record<string, any> | undefined;
  /** @param timeout ISO 8601. @throws Error when too few success signals came in time */
  awaitSignals(count: number, timeout: string): Promise<void>;
}

export interface CreatedResource {
  /** What `Ref` gives. */
  id: string;
  /** What `Fn::GetAtt` gives. */
  attributes?: Record<string, unknown>;
}

export interface ResourceType {
  /**
   * Every property that the emulation implements, or knows to have no effect here. Any other property in a template is
   * an error.
   */
  properties: string[] | 'any';
  create(request: ResourceRequest): CreatedResource | Promise<CreatedResource>;
  /** Absent if no update is supported. */
  update?(request: UpdateRequest): CreatedResource | Promise<CreatedResource>;
  /** Absent if there is nothing to do. Must accept an id that is already gone. */
  delete?(id: string, properties: Record<string, any>): void | Promise<void>;
}

export type ResourceTypes = Record<string, ResourceType>;

/** @throws Error when any other property changes: the emulation does not know how, or AWS would replace the resource */
export function onlyThese(type: string, changed: string[], known: string[]): void {
  const others = changed.filter((name) => !known.includes(name));
  if (others.length > 0)
    throw new Error(
      `The emulation does not know how to change ${others.join(', ')} of ${type}. It knows ${known.join(', ')}.`,
    );
}
