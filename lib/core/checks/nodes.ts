/** Checks of what managers and workers have in common: instance types, image, volumes, labels, user data. */
import { RESERVED_LABEL_PREFIXES } from '../../../protocol/labels';
import { USER_DATA_LIMIT, VOLUME_SIZE_BOUNDS, type Architecture } from '../defaults';
import { checkWholeNumber } from '../whole-number';

/** @param image the architecture of the machine image; undefined when its name does not reveal it */
export function checkInstanceTypes(types: (string | undefined)[], image: Architecture | undefined): string[] {
  if (types.length === 0) return ['instanceTypes is empty. Name at least one instance type, or omit it.'];
  const known = types.filter((type) => type !== undefined);
  const invalid = known
    .filter((type) => architectureOf(type) === undefined)
    .map((type) => `'${type}' is not an instance type. Use one such as 't4g.small'.`);
  const valid = known
    .flatMap((type) => ({ type, architecture: architectureOf(type) }))
    .filter(({ architecture }) => architecture !== undefined);
  const first = valid[0];
  if (first === undefined) return invalid;
  const mixed = valid
    .filter(({ architecture }) => architecture !== first.architecture)
    .map(
      ({ type, architecture }) =>
        `Instance type ${type} is ${architecture}, but ${first.type} is ${first.architecture}: one image cannot run ` +
        'on both. Use types of one architecture, or make two groups.',
    );
  const mismatches =
    image === undefined
      ? []
      : valid
          .filter(({ architecture }) => architecture !== image)
          .map(
            ({ type, architecture }) =>
              `Instance type ${type} is ${architecture}, but the machine image is for ${image}. Use an image for ` +
              `${architecture}, or ${image} instance types.`,
          );
  return [...invalid, ...mixed, ...mismatches];
}

/** @param imageGiven whether the user chose the machine image */
export function checkImageCanBeChosen(types: (string | undefined)[], imageGiven: boolean): string[] {
  return imageGiven || types.length === 0 || types.some((type) => type !== undefined)
    ? []
    : [
        'The instance type is known only at deployment, so no machine image can be chosen for its architecture. Set ' +
          '`machineImage`, or use an instance type that is known at synth.',
      ];
}

/**
 * The architecture of an EC2 instance type, or undefined when the text is not one. In a name such as `c7gn.large` the
 * letters after the generation begin with the processor's: `g` is Graviton. Source:
 * https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
 */
export function architectureOf(instanceType: string): Architecture | undefined {
  const match = /^([a-z]+)(?:-\d+[a-z]+)?(\d*)([a-z]*)(?:-[a-z0-9]+)*\.([a-z0-9]+(?:-[a-z0-9]+)*)$/.exec(instanceType);
  if (!match) return undefined;
  const [, family, generation, options] = match;
  // The first Graviton has no `g`: https://aws.amazon.com/ec2/instance-types/a1/
  return options!.startsWith('g') || (family === 'a' && generation === '1') ? 'arm64' : 'x86_64';
}

/** The architecture of an image, where its name (such as the path of an SSM parameter) reveals it. */
export function architectureOfImage(name: string): Architecture | undefined {
  if (/arm64|aarch64/.test(name)) return 'arm64';
  return /x86_64|amd64/.test(name) ? 'x86_64' : undefined;
}

/** @param size in GiB */
export function checkVolumeSize(name: string, size: number | undefined): string[] {
  return checkWholeNumber(`${name} in GiB`, size, VOLUME_SIZE_BOUNDS);
}

/** Checks engine labels. @param labels a value that is known only at deployment is undefined */
export function checkLabels(labels: Record<string, string | undefined>): string[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const problems: string[] = [];
    const prefix = RESERVED_LABEL_PREFIXES.find((reserved) => key.startsWith(reserved));
    // What a placement constraint can name: https://docs.docker.com/reference/cli/docker/service/create/#constraint
    if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/.test(key)) {
      problems.push(
        `Label '${key}' cannot be used in placement constraints. Use a key of at most 128 letters, digits, '.', '-' ` +
          `and '_' that begins with a letter or '_'.`,
      );
    } else if (prefix !== undefined) {
      problems.push(
        `Label '${key}' begins with '${prefix}', which is reserved (${RESERVED_LABEL_PREFIXES.join(' ')}). Use ` +
          'another key.',
      );
    }
    const hasControlCharacters = value !== undefined && /[\u0000-\u001f\u007f]/.test(value);
    if (value !== undefined && (value.length > 256 || hasControlCharacters)) {
      problems.push(
        `The value of label '${key}' must be at most 256 printable characters. It has ${value.length}` +
          `${hasControlCharacters ? ', some of them control characters' : ''}.`,
      );
    }
    return problems;
  });
}

/** @param bytes of the script, without what a deployment fills in */
export function checkUserDataSize(bytes: number): string[] {
  return bytes <= USER_DATA_LIMIT
    ? []
    : [
        `The user data has ${bytes} bytes, but EC2 accepts at most ${USER_DATA_LIMIT}. Shorten \`extraUserData\`: ` +
          'let it fetch a longer script from S3, or build an image.',
      ];
}

/**
 * @param group path of the group's stack
 * @param lifecycle path of the stack of its NodeLifecycle
 */
export function checkSameStack(group: string, lifecycle: string): string[] {
  return group === lifecycle
    ? []
    : [
        `The group is in the stack ${group}, but its NodeLifecycle is in ${lifecycle}. node-join signals ` +
          'CloudFormation for its own stack only, so the group could never be created. Make the group in the stack ' +
          'of its NodeLifecycle.',
      ];
}
