/** What the engine and the resource types of the emulated CloudFormation know of each other. */
import type { Tags } from './describe';

export interface ResourceRequest {
  logicalId: string;
  stackName: string;
  stackId: string;
  /** As the template names it. */
  type: string;
  /** Resolved. */
  properties: Record<string, any>;
  /** `<stack>-<logical id>-<random>`, cut to what the service allows. */
  physicalName(maxLength: number): string;
  /** The tags of the template and those of CloudFormation itself. */
  tags: Tags;
}

/** The resource stays the same one; what would replace it is refused. */
export interface UpdateRequest extends ResourceRequest {
  /** Of the resource as it is. */
  id: string;
  /** Names of the properties that differ. */
  changed: string[];
  /** Resolved, as they were. */
  previous: Record<string, any>;
  /** As the template has it. */
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
   * Every property that is acted upon or known to make no difference in the emulation. Another one in a template is an
   * error.
   */
  properties: string[] | 'any';
  create(request: ResourceRequest): CreatedResource | Promise<CreatedResource>;
  /** Absent where no change is known. */
  update?(request: UpdateRequest): CreatedResource | Promise<CreatedResource>;
  /** Absent where nothing is to be done. Must bear being called for what is already gone. */
  delete?(id: string, properties: Record<string, any>): void | Promise<void>;
}

export type ResourceTypes = Record<string, ResourceType>;

/** @throws Error when anything else is to be changed: that is not known here, or would make another resource of it. */
export function onlyThese(type: string, changed: string[], known: string[]): void {
  const others = changed.filter((name) => !known.includes(name));
  if (others.length > 0)
    throw new Error(
      `The emulation does not know how to change ${others.join(', ')} of ${type}. It knows ${known.join(', ')}.`,
    );
}
