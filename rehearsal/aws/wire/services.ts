/**
 * Which protocol each service speaks, and the shapes of its requests and answers: those of the SDK's own clients, so
 * that no shape is written down twice.
 * Sources: https://smithy.io/2.0/aws/protocols/index.html ,
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
 */
import { NormalizedSchema } from '@smithy/core/schema';

export type Protocol = 'json' | 'query' | 'ec2' | 's3';

interface WireService {
  protocol: Protocol;
  /** Namespace of the XML answers, or the version of the JSON protocol. */
  dialect: string;
  load(): Promise<unknown>;
}

/** By the name that stands in the credential scope of a signature. */
const services: Record<string, WireService> = {
  dynamodb: { protocol: 'json', dialect: '1.0', load: () => import('@aws-sdk/client-dynamodb') },
  sqs: { protocol: 'json', dialect: '1.0', load: () => import('@aws-sdk/client-sqs') },
  events: { protocol: 'json', dialect: '1.1', load: () => import('@aws-sdk/client-eventbridge') },
  logs: { protocol: 'json', dialect: '1.1', load: () => import('@aws-sdk/client-cloudwatch-logs') },
  autoscaling: {
    protocol: 'query',
    dialect: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
    load: () => import('@aws-sdk/client-auto-scaling'),
  },
  cloudformation: {
    protocol: 'query',
    dialect: 'http://cloudformation.amazonaws.com/doc/2010-05-15/',
    load: () => import('@aws-sdk/client-cloudformation'),
  },
  elasticloadbalancing: {
    protocol: 'query',
    dialect: 'http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/',
    load: () => import('@aws-sdk/client-elastic-load-balancing-v2'),
  },
  ec2: {
    protocol: 'ec2',
    dialect: 'http://ec2.amazonaws.com/doc/2016-11-15/',
    load: () => import('@aws-sdk/client-ec2'),
  },
  s3: { protocol: 's3', dialect: 'http://s3.amazonaws.com/doc/2006-03-01/', load: () => import('@aws-sdk/client-s3') },
  // No client of STS is among the project's packages; the shapes are those of its one action here, in the form of the
  // SDK's schemas.
  sts: {
    protocol: 'query',
    dialect: 'https://sts.amazonaws.com/doc/2011-06-15/',
    load: async () => ({
      GetCallerIdentity$: [
        9,
        'com.amazonaws.sts',
        'GetCallerIdentity',
        0,
        [3, 'com.amazonaws.sts', 'GetCallerIdentityRequest', 0, [], []],
        [3, 'com.amazonaws.sts', 'GetCallerIdentityResponse', 0, ['UserId', 'Account', 'Arn'], [0, 0, 0]],
      ],
    }),
  },
};

export interface Operation {
  input: NormalizedSchema;
  output: NormalizedSchema;
}

/** First element of an operation, and of an error, in the SDK's schemas. */
const OPERATION = 9;
const ERROR = -3;

/** One service, ready to read and write. */
export class ServiceShapes {
  private static readonly loaded = new Map<string, Promise<ServiceShapes>>();

  /** @throws Error for a service that the emulation does not know */
  static of(service: string): Promise<ServiceShapes> {
    let shapes = this.loaded.get(service);
    if (!shapes) {
      const known = Object.hasOwn(services, service) ? services[service] : undefined;
      if (!known)
        throw new Error(
          `The emulated AWS does not know the service "${service}"; it knows ${Object.keys(services).join(', ')}.`,
        );
      shapes = known
        .load()
        .then((module) => new ServiceShapes(service, known.protocol, known.dialect, module as Record<string, unknown>));
      this.loaded.set(service, shapes);
    }
    return shapes;
  }

  private constructor(
    readonly service: string,
    readonly protocol: Protocol,
    readonly dialect: string,
    private readonly schemas: Record<string, unknown>,
  ) {}

  /** @throws Error for an action that the service does not have */
  operation(action: string): Operation {
    const schema = this.schema(action);
    if (schema?.[0] !== OPERATION)
      throw new Error(`The emulated AWS does not know the action "${action}" of ${this.service}.`);
    return { input: NormalizedSchema.of(schema[4] as never), output: NormalizedSchema.of(schema[5] as never) };
  }

  /** The shape of an error, or undefined when the service does not model it. */
  error(code: string): NormalizedSchema | undefined {
    const schema = this.schema(code);
    return schema?.[0] === ERROR ? NormalizedSchema.of(schema as never) : undefined;
  }

  private schema(name: string): unknown[] | undefined {
    const schema = Object.hasOwn(this.schemas, `${name}$`) ? this.schemas[`${name}$`] : undefined;
    return Array.isArray(schema) ? schema : undefined;
  }
}
