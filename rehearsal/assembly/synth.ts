/** Synthesises the app that `cdk.json` names, as the CDK CLI does, but without the CLI and without credentials. */
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inGroups } from '../nodes/cgroups';

export interface Stack {
  name: string;
  /** Folder of the cloud assembly. */
  assembly: string;
  template: Template;
  templateBytes: number;
  /** The folders and files of the stack's assets, by asset hash. */
  assets: Record<string, string>;
}

export interface Template {
  Resources: Record<string, Resource>;
  Outputs?: Record<string, unknown>;
  Parameters?: Record<string, unknown>;
}

export interface Resource {
  Type: string;
  Properties?: Record<string, unknown>;
  DependsOn?: string | string[];
  CreationPolicy?: { ResourceSignal?: { Count?: number; Timeout?: string } };
  [attribute: string]: unknown;
}

function readJson(file: string): Record<string, any> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, any>;
  } catch (error) {
    throw new Error(`${file} cannot be read as JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * Runs the app of `folder`.
 *
 * @param context overrides the values of `cdk.json` and `cdk.context.json`
 * @param groups control groups for the app's processes; none without root
 * @param started receives the process, so that it can be stopped
 * @throws Error with the app's output when it fails
 */
export async function synthesise(
  folder: string,
  out: string,
  context: Record<string, unknown>,
  groups: string[],
  started: (app: ChildProcess) => void,
): Promise<void> {
  const file = join(folder, 'cdk.json');
  if (!existsSync(file))
    throw new Error(`There is no cdk.json in ${folder}. Run the command in the folder of a CDK app.`);
  const { app, context: fileContext } = readJson(file);
  if (typeof app !== 'string' || app.trim() === '')
    throw new Error(`${file} has no "app": the command that synthesises the app.`);
  const saved = join(folder, 'cdk.context.json');
  const all = { ...(existsSync(saved) ? readJson(saved) : {}), ...(fileContext as object | undefined), ...context };
  const [program, ...args] = inGroups(groups, ['/bin/sh', '-c', app]);
  const child = spawn(program!, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: dirname(out), CDK_OUTDIR: out, CDK_CONTEXT_JSON: JSON.stringify(all) },
  });
  started(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (said += part));
  const code = await new Promise((resolve) => child.once('close', (status, signal) => resolve(signal ?? status)));
  if (code !== 0)
    throw new Error(`The app does not synthesise (\`${app}\` ended with ${String(code)}):\n${said.trim()}`);
}

/** Copies an assembly to `out` and changes its template. */
export function changeAssembly(
  folder: string,
  stackName: string,
  out: string,
  change: (template: Template) => Template,
): void {
  cpSync(folder, out, { recursive: true });
  const file = join(out, `${stackName}.template.json`);
  writeFileSync(file, JSON.stringify(change(readJson(file) as Template)));
}

/** The only stack of an assembly. @throws Error when it has none or several */
export function readStack(assembly: string): Stack {
  const { artifacts } = readJson(join(assembly, 'manifest.json')) as {
    artifacts: Record<string, { type: string; properties?: Record<string, any> }>;
  };
  const stacks = Object.entries(artifacts).filter(([, { type }]) => type === 'aws:cloudformation:stack');
  if (stacks.length !== 1) {
    const names = stacks.map(([name]) => name).join(', ') || 'none';
    throw new Error(
      `The rehearsal forms an app with exactly one stack; this one has: ${names}. Name an app with one ` +
        'stack in cdk.json.',
    );
  }
  const [id, { properties }] = stacks[0]!;
  const templateFile = join(assembly, String(properties?.templateFile));
  const assets: Record<string, string> = {};
  for (const { type, properties: asset } of Object.values(artifacts)) {
    if (type !== 'cdk:asset-manifest') continue;
    const { files } = readJson(join(assembly, String(asset?.file))) as {
      files?: Record<string, { source: { path?: string } }>;
    };
    for (const [hash, { source }] of Object.entries(files ?? {}))
      if (source.path !== undefined) assets[hash] = join(assembly, source.path);
  }
  return {
    name: String(properties?.stackName ?? id),
    assembly,
    template: readJson(templateFile) as Template,
    templateBytes: readFileSync(templateFile).length,
    assets,
  };
}
