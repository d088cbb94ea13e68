/** Checks that need no deployment: whether AWS would accept a stack's template, user data and functions. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../nodes/shell';
import { findProgram, searchPath } from '../nodes/preflight';
import type { Stack } from './synth';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html */
const TEMPLATE_BYTES = 1_000_000;
const RESOURCES = 500;
const OUTPUTS = 200;
const PARAMETERS = 200;
/** Before encoding: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html */
const USER_DATA_BYTES = 16 * 1024;

export interface Checked {
  /** One line for each check that passed. */
  passed: string[];
  /** One sentence for each check that failed. */
  failed: string[];
}

/**
 * The text of a value with intrinsic functions. Values that only a deployment knows become a `${...}` placeholder as
 * long as an AWS identifier.
 */
export function flatten(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${JSON.stringify(value)} is not text.`);
  const [[name, argument]] = Object.entries(value) as [[string, any]];
  switch (name) {
    case 'Ref':
      return placeholder(argument);
    case 'Fn::GetAtt':
      return placeholder([argument].flat().join('.'));
    case 'Fn::Join':
      return (argument[1] as unknown[]).map(flatten).join(argument[0] as string);
    case 'Fn::Sub':
      return (typeof argument === 'string' ? argument : (argument[0] as string)).replaceAll(
        /\$\{([^!}]+)\}/g,
        (_, inner: string) => placeholder(inner),
      );
    case 'Fn::Base64':
      return flatten(argument);
    case 'Fn::Select':
    case 'Fn::ImportValue':
    case 'Fn::FindInMap':
      return placeholder(name);
    default:
      throw new Error(`The function ${name} in a text is not known.`);
  }
}

function placeholder(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]/g, '-').padEnd(36, '-');
}

export async function checkStack(stack: Stack): Promise<Checked> {
  const { Resources, Outputs = {}, Parameters = {} } = stack.template;
  const passed: string[] = [];
  const failed: string[] = [];
  const bound = (what: string, value: number, limit: number) => {
    if (value <= limit) passed.push(`${what}: ${value} of at most ${limit}`);
    else failed.push(`${what}: ${value}, but AWS takes at most ${limit}.`);
  };
  bound('Template, bytes', stack.templateBytes, TEMPLATE_BYTES);
  bound('Resources', Object.keys(Resources).length, RESOURCES);
  bound('Outputs', Object.keys(Outputs).length, OUTPUTS);
  bound('Parameters', Object.keys(Parameters).length, PARAMETERS);

  for (const [id, { Type, Properties }] of Object.entries(Resources)) {
    if (Type === 'AWS::EC2::LaunchTemplate') {
      const { UserData } = (Properties?.LaunchTemplateData ?? {}) as { UserData?: unknown };
      if (UserData === undefined) continue;
      const script = flatten(UserData);
      bound(`User data of ${id}, bytes`, Buffer.byteLength(script), USER_DATA_BYTES);
      if (findProgram('bash', searchPath(process.env)) === undefined) {
        passed.push(`User data of ${id}: not checked, because this machine has no bash`);
        continue;
      }
      try {
        await run('bash', ['-n'], script);
        passed.push(`User data of ${id}: bash finds no syntax error`);
      } catch (error) {
        failed.push(`User data of ${id} has a syntax error: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (Type === 'AWS::Lambda::Function') {
      const { Code, Handler } = (Properties ?? {}) as { Code?: { S3Key?: unknown }; Handler?: string };
      const hash = /^([0-9a-f]{64})\.zip$/.exec(typeof Code?.S3Key === 'string' ? Code.S3Key : '')?.[1];
      const folder = hash === undefined ? undefined : stack.assets[hash];
      const file = folder === undefined ? undefined : join(folder, `${Handler?.split('.')[0]}.js`);
      if (file !== undefined && existsSync(file)) passed.push(`Function ${id}: its bundle is there`);
      else
        failed.push(
          `Function ${id}: its bundle ${file ?? '(no asset of this app)'} is not there. Build it with: npm run build`,
        );
    }
  }
  return { passed, failed };
}
