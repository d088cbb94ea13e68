/** Reads a cloud assembly (the folder that `cdk synth` writes): a stack's template and its assets. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Template } from './template';

export interface Asset {
  bucket: string;
  key: string;
  path: string;
  packaging: 'file' | 'zip';
}

interface Manifest {
  artifacts: Record<
    string,
    { type: string; properties?: { templateFile?: string; stackName?: string; file?: string }; dependencies?: string[] }
  >;
}

/** @throws Error naming the assembly's stacks when this one is missing */
export function readAssembly(
  folder: string,
  stackName: string,
  region: string,
  accountId: string,
): { template: Template; assets: Asset[] } {
  const { artifacts } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as Manifest;
  const stacks = Object.entries(artifacts).filter(([, artifact]) => artifact.type === 'aws:cloudformation:stack');
  const nameOf = ([id, artifact]: (typeof stacks)[number]) => artifact.properties?.stackName ?? id;
  const stack = stacks.find((candidate) => nameOf(candidate) === stackName);
  if (!stack)
    throw new Error(
      `The assembly ${resolve(folder)} has no stack '${stackName}'. It has ${stacks.map(nameOf).join(', ') || 'none'}.`,
    );
  const template = JSON.parse(readFileSync(join(folder, stack[1].properties!.templateFile!), 'utf8')) as Template;
  const fill = (text: string) =>
    text
      .replaceAll('${AWS::AccountId}', accountId)
      .replaceAll('${AWS::Region}', region)
      .replaceAll('${AWS::Partition}', 'aws');
  const assets = (stack[1].dependencies ?? [])
    .map((id) => artifacts[id])
    .filter((artifact) => artifact?.type === 'cdk:asset-manifest')
    .flatMap((artifact) => {
      const { files = {} } = JSON.parse(readFileSync(join(folder, artifact!.properties!.file!), 'utf8')) as {
        files?: Record<
          string,
          {
            source: { path: string; packaging: 'file' | 'zip' };
            destinations: Record<string, { bucketName: string; objectKey: string }>;
          }
        >;
      };
      return Object.values(files).flatMap(({ source, destinations }) =>
        Object.values(destinations).map(({ bucketName, objectKey }) => ({
          bucket: fill(bucketName),
          key: fill(objectKey),
          path: resolve(folder, source.path),
          packaging: source.packaging,
        })),
      );
    });
  return { template, assets };
}
