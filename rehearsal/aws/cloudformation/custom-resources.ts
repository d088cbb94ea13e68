/**
 * Custom resources, which a function of the template creates. The function gets a request with a URL, and sends its
 * answer there. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
 */
import type { Context } from '../core/context';
import type { CreatedResource, ResourceRequest, ResourceType } from '../core/resource';
import type { Lambda } from '../lambda/lambda';

/** Custom resources have their own type names; `AWS::CloudFormation::CustomResource` stands for all of them. */
export const CUSTOM_TYPE = 'AWS::CloudFormation::CustomResource';
export const isCustom = (type: string) => type.startsWith('Custom::');

interface Answer {
  Status?: string;
  Reason?: string;
  PhysicalResourceId?: string;
  RequestId?: string;
  Data?: Record<string, unknown>;
}

/**
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cloudformation-customresource.html
 * (ServiceTimeout)
 */
const LONGEST_WAIT_SECONDS = 3_600;
const PATH = '/custom-resource/';

export class CustomResources {
  /** The origin of the answer URLs. */
  origin = 'https://cloudformation-custom-resource-response-useast1.s3.us-east-1.amazonaws.com';
  /** Pending requests, by answer URL. */
  private readonly waiting = new Map<string, (answer: Answer) => void>();
  /** The existing ones by physical id, which is all that a deletion knows. */
  private readonly made = new Map<string, Pick<ResourceRequest, 'logicalId' | 'stackId'> & { type: string }>();

  constructor(private readonly services: { context: Context; lambda: Lambda }) {}

  readonly type: ResourceType = {
    properties: 'any',
    create: (request) => this.ask('Create', request),
    update: async (request) => {
      const created = await this.ask('Update', request, {
        PhysicalResourceId: request.id,
        OldResourceProperties: asTexts(request.previous),
      });
      if (created.id !== request.id)
        throw new Error(
          `The emulation does not know how to replace a custom resource (${request.logicalId}): its ` +
            'function returned another physical id.',
        );
      return created;
    },
    delete: async (id, properties) => {
      await this.ask('Delete', { ...this.made.get(id)!, properties }, { PhysicalResourceId: id });
      this.made.delete(id);
    },
  };

  /** Takes a function's answer. An answer to no pending request is ignored. */
  answer(path: string, body: string): void {
    const { origin, pathname } = new URL(path, this.origin);
    this.waiting.get(origin + pathname)?.(JSON.parse(body) as Answer);
  }

  private async ask(
    RequestType: string,
    {
      logicalId,
      stackId,
      properties,
      type,
    }: Pick<ResourceRequest, 'logicalId' | 'stackId' | 'properties'> & { type: string },
    more: object = {},
  ): Promise<CreatedResource> {
    const { context, lambda } = this.services;
    const { ServiceToken, ServiceTimeout = LONGEST_WAIT_SECONDS } = properties;
    const RequestId = context.clock.uuid();
    const ResponseURL = `${this.origin}${PATH}${RequestId}`;
    const event = {
      RequestType,
      ServiceToken,
      ResponseURL,
      StackId: stackId,
      RequestId,
      ResourceType: type,
      LogicalResourceId: logicalId,
      ResourceProperties: asTexts(properties),
      ...more,
    };
    const answered = new Promise<Answer>((resolve) => this.waiting.set(ResponseURL, resolve));
    lambda.invokeLater(ServiceToken, event);
    const answer = await context.within(Number(ServiceTimeout) * 1_000, answered);
    this.waiting.delete(ResponseURL);
    if (answer === undefined)
      throw new Error(
        'CloudFormation did not receive a response from your Custom Resource. Please check your logs for requestId [' +
          RequestId +
          '].',
      );
    if (answer.Status !== 'SUCCESS' || answer.RequestId !== RequestId || answer.PhysicalResourceId === undefined)
      throw new Error(`Received response status [FAILED] from custom resource. Message returned: ${answer.Reason}`);
    this.made.set(answer.PhysicalResourceId, { logicalId, stackId, type });
    return { id: answer.PhysicalResourceId, attributes: answer.Data };
  }
}

/** CloudFormation sends numbers and booleans as strings. */
function asTexts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asTexts);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, asTexts(member)]));
  return String(value);
}
