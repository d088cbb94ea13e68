/** Between the framework's tokens, whose values are known only at deployment, and the pure checks of `lib/core/`. */
import { Token, type Stack } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** The value, or undefined when it or a part of it is known only at deployment. */
export function known<T>(value: T): T | undefined {
  return Token.isUnresolved(value) ? undefined : value;
}

/** Undefined instead of an error: imported VPCs and subnets throw on attributes that their import did not include. */
export function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The bytes of a text that are known at synth. What a deployment fills in for its tokens is not counted. */
export function knownBytes(stack: Stack, text: string): number {
  const literals = (value: unknown): string => {
    if (typeof value === 'string') return value;
    if (Array.isArray(value)) return value.map(literals).join('');
    if (value !== null && typeof value === 'object' && 'Fn::Join' in value)
      return literals((value['Fn::Join'] as unknown[])[1]);
    return '';
  };
  return Buffer.byteLength(literals(stack.resolve(text)));
}

/** Synth reports the problems of all constructs together, in one error. @param check returns one sentence for each */
export function checkAtSynth(construct: IConstruct, check: () => string[]): void {
  construct.node.addValidation({ validate: check });
}
