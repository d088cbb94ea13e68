/** The shapes of a service's requests and responses, from the SDK client that `services.ts` names. */
import { NormalizedSchema } from '@smithy/core/schema';
import type { Wire } from '../core/types';
import { SERVICES } from '../services';

export interface Operation {
  input: NormalizedSchema;
  output: NormalizedSchema;
}

/** First element of an operation, and of an error, in the SDK's schemas. */
const OPERATION = 9;
const ERROR = -3;

/** The schemas of one service. */
export class ServiceShapes {
  private static readonly loaded = new Map<string, Promise<ServiceShapes>>();

  /** @throws Error for a service that the emulation does not know */
  static of(service: string): Promise<ServiceShapes> {
    let shapes = this.loaded.get(service);
    if (!shapes) {
      const known = SERVICES.find(({ name }) => name === service)?.api?.wire;
      if (!known) {
        const names = SERVICES.filter(({ api }) => api).map(({ name }) => name);
        throw new Error(`The emulated AWS does not know the service "${service}"; it knows ${names.join(', ')}.`);
      }
      shapes = known
        .load()
        .then((module) => new ServiceShapes(service, known.protocol, known.dialect, module as Record<string, unknown>));
      this.loaded.set(service, shapes);
    }
    return shapes;
  }

  private constructor(
    readonly service: string,
    readonly protocol: Wire['protocol'],
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

  /** The shape of an error, or undefined if the service does not model it. */
  error(code: string): NormalizedSchema | undefined {
    const schema = this.schema(code);
    return schema?.[0] === ERROR ? NormalizedSchema.of(schema as never) : undefined;
  }

  private schema(name: string): unknown[] | undefined {
    const schema = Object.hasOwn(this.schemas, `${name}$`) ? this.schemas[`${name}$`] : undefined;
    return Array.isArray(schema) ? schema : undefined;
  }
}
