/** Launch templates and their versions. */
import type { Context } from '../core/context';
import { AwsError } from '../core/types';

/** One version of a template: its name and its `LaunchTemplateData`. */
export interface LaunchTemplate {
  id: string;
  name: string;
  version: number;
  data: Record<string, any>;
}

export interface LaunchTemplateReference {
  LaunchTemplateId?: string;
  LaunchTemplateName?: string;
  /** A number, `$Latest` or `$Default`. */
  Version?: string;
}

export class LaunchTemplates {
  /** All versions by template id, oldest first. */
  private readonly templates = new Map<string, LaunchTemplate[]>();

  constructor(private readonly context: Context) {}

  ids(): string[] {
    return [...this.templates.keys()];
  }

  create(name: string, data: Record<string, any>): LaunchTemplate {
    const template = { id: this.context.id('lt'), name, version: 1, data };
    this.templates.set(template.id, [template]);
    return template;
  }

  /**
   * Adds a version; the first stays the default:
   * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/manage-launch-template-versions.html
   */
  addVersion(id: string, data: Record<string, any>): LaunchTemplate {
    const versions = this.versions({ LaunchTemplateId: id });
    const next = { ...versions[0]!, version: versions.length + 1, data };
    versions.push(next);
    return next;
  }

  delete(id: string): void {
    this.templates.delete(id);
  }

  get(reference: LaunchTemplateReference): LaunchTemplate {
    const versions = this.versions(reference);
    const { Version: version = '$Default' } = reference;
    const template =
      version === '$Latest' ? versions.at(-1) : versions[version === '$Default' ? 0 : Number(version) - 1];
    if (!template)
      throw new AwsError(
        'InvalidLaunchTemplateId.VersionNotFound',
        `Could not find launch template version ${version} for launch template ${versions[0]!.id}`,
      );
    return template;
  }

  private versions({ LaunchTemplateId: id, LaunchTemplateName: name }: LaunchTemplateReference): LaunchTemplate[] {
    const versions = [...this.templates.values()].find(
      ([first]) => first!.id === id || (name !== undefined && first!.name === name),
    );
    if (!versions)
      throw new AwsError(
        'InvalidLaunchTemplateId.NotFoundException',
        `The specified launch template, with template ID ${id ?? name}, does not exist.`,
      );
    return versions;
  }
}
