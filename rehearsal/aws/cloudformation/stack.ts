/** A stack and its resources, as the engine keeps them. */
import type { CreatedResource } from '../core/resource';
import type { Signals } from './signals';
import type { Scope, TemplateReader, TemplateResource } from './template';

type Phase = 'IN_PROGRESS' | 'COMPLETE' | 'FAILED' | 'SKIPPED';
export type ResourceStatus = `CREATE_${Phase}` | `DELETE_${Phase}` | `UPDATE_${Phase}`;
/**
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html#cfn-console-view-stack-data-resources-status-codes
 */
export type StackStatus =
  | `${'CREATE' | 'DELETE' | 'ROLLBACK' | 'UPDATE' | 'UPDATE_ROLLBACK'}_${Phase}`
  | `${'UPDATE' | 'UPDATE_ROLLBACK'}_COMPLETE_CLEANUP_IN_PROGRESS`;

export interface StackResource {
  logicalId: string;
  type: string;
  definition: TemplateResource;
  status: ResourceStatus | undefined;
  reason: string | undefined;
  /** The resolved properties, once its creation has begun. */
  properties: Record<string, any>;
  created: CreatedResource | undefined;
  signals: Signals | undefined;
}

export interface Stack {
  name: string;
  id: string;
  reader: TemplateReader;
  scope: Scope;
  status: StackStatus;
  reason: string | undefined;
  createdAt: number;
  resources: Map<string, StackResource>;
  dependencies: Map<string, Set<string>>;
  outputs: Record<string, string>;
}
