/**
 * Systems Manager parameters: those of the template, and public ones that a template may read (Amazon Linux images, the
 * version of CDK's bootstrap stack). Image ids are invented and derived from their parameter, so that an image's
 * architecture is known.
 */
import { createHash } from 'node:crypto';
import { AwsError } from '../core/types';

/** https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-ami.html */
const IMAGE_PARAMETER = /^\/aws\/service\/ami-amazon-linux-latest\/al2023-ami-[a-z0-9.-]+-(x86_64|arm64)$/;
/** https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html : newer than any construct requires. */
const BOOTSTRAP_PARAMETER = /^\/cdk-bootstrap\/[a-z0-9]+\/version$/;

export class Ssm {
  private readonly parameters = new Map<string, string>();
  private readonly images = new Map<string, 'x86_64' | 'arm64'>();

  put(name: string, value: string): void {
    this.parameters.set(name, value);
  }

  delete(name: string): void {
    this.parameters.delete(name);
  }

  /** @throws AwsError ParameterNotFound */
  get(name: string): string {
    const known = this.parameters.get(name);
    if (known !== undefined) return known;
    const image = IMAGE_PARAMETER.exec(name);
    if (image) {
      const id = `ami-${createHash('sha256').update(name).digest('hex').slice(0, 17)}`;
      this.images.set(id, image[1] as 'x86_64' | 'arm64');
      return id;
    }
    if (BOOTSTRAP_PARAMETER.test(name)) return '30';
    throw new AwsError('ParameterNotFound', `Parameter ${name} not found.`);
  }

  /** Undefined for an image that is not from a public parameter. */
  architectureOf(imageId: string): 'x86_64' | 'arm64' | undefined {
    return this.images.get(imageId);
  }
}
