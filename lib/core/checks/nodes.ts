/** Checks of what managers and workers have in common: instance types, image, volumes, labels, user data. */
import { RESERVED_LABEL_PREFIXES } from '../../../protocol/labels';
import { USER_DATA_LIMIT, VOLUME_SIZE_BOUNDS, type Architecture } from '../defaults';

/** @param image what the machine image is made for */
export function checkInstanceTypes(types: (string | undefined)[], image: Architecture | undefined): string[] {
  if (types.length === 0) return ['No instance type was given. Give at least one, or leave `instanceTypes` out.'];
  const known = types.filter((type) => type !== undefined);
  const broken = known
    .filter((type) => architectureOf(type) === undefined)
    .map((type) => `'${type}' is no instance type. Give one such as 't4g.small'.`);
  const ofType = known
    .flatMap((type) => ({ type, architecture: architectureOf(type) }))
    .filter(({ architecture }) => architecture !== undefined);
  const first = ofType[0];
  if (first === undefined) return broken;
  const others = ofType
    .filter(({ architecture }) => architecture !== first.architecture)
    .map(
      ({ type, architecture }) =>
        `Instance type ${type} is ${architecture}, but ${first.type} is ${first.architecture}: one image ` +
        'cannot serve both. Give types of one architecture, or make two groups.',
    );
  const mismatches =
    image === undefined
      ? []
      : ofType
          .filter(({ architecture }) => architecture !== image)
          .map(
            ({ type, architecture }) =>
              `Instance type ${type} is ${architecture}, but the machine image is made for ${image}. Give ` +
              `an image for ${architecture}, or instance types of ${image}.`,
          );
  return [...broken, ...others, ...mismatches];
}

/** @param imageGiven whether the user chose the machine image */
export function checkImageCanBeChosen(types: (string | undefined)[], imageGiven: boolean): string[] {
  return imageGiven || types.length === 0 || types.some((type) => type !== undefined)
    ? []
    : [
        'The instance type is known only at deployment, so no machine image can be chosen for its ' +
          'architecture. Give `machineImage`, or an instance type that is known at synth.',
      ];
}

/**
 * The architecture of an EC2 instance type, or undefined when the text is none. In a name such as `c7gn.large` the
 * letters after the generation begin with the processor's: `g` is Graviton. Source:
 * https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
 */
export function architectureOf(instanceType: string): Architecture | undefined {
  const match = /^([a-z]+)(?:-\d+[a-z]+)?(\d*)([a-z]*)(?:-[a-z0-9]+)*\.([a-z0-9]+(?:-[a-z0-9]+)*)$/.exec(instanceType);
  if (!match) return undefined;
  const [, family, generation, options] = match;
  // The very first Graviton: https://aws.amazon.com/ec2/instance-types/a1/
  return options!.startsWith('g') || (family === 'a' && generation === '1') ? 'arm64' : 'x86_64';
}

/** What an image is made for, as far as its name tells: an SSM parameter's path, or nothing. */
export function architectureOfImage(name: string): Architecture | undefined {
  if (/arm64|aarch64/.test(name)) return 'arm64';
  return /x86_64|amd64/.test(name) ? 'x86_64' : undefined;
}

/** GiB. */
export function checkVolumeSize(name: string, size: number | undefined): string[] {
  const { min, max } = VOLUME_SIZE_BOUNDS;
  return size === undefined || (Number.isInteger(size) && size >= min && size <= max)
    ? []
    : [`${name} is ${size} GiB. Give a whole number of GiB from ${min} to ${max}.`];
}

/** Engine labels. @param labels values that are not known yet are undefined */
export function checkLabels(labels: Record<string, string | undefined>): string[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const problems: string[] = [];
    const prefix = RESERVED_LABEL_PREFIXES.find((reserved) => key.startsWith(reserved));
    // What a placement constraint can name: https://docs.docker.com/reference/cli/docker/service/create/#constraint
    if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/.test(key)) {
      problems.push(
        `Label '${key}' cannot be used in placement constraints. Give a key of at most 128 letters, ` +
          `digits, '.', '-' and '_' that begins with a letter or '_'.`,
      );
    } else if (prefix !== undefined) {
      problems.push(
        `Label '${key}' begins with '${prefix}', which is reserved (${RESERVED_LABEL_PREFIXES.join(' ')}). ` +
          'Give another key.',
      );
    }
    if (value !== undefined && (value.length > 256 || /[\u0000-\u001f\u007f]/.test(value))) {
      problems.push(
        `Label '${key}' has a value of ${value.length} ` +
          `characters${value.length > 256 ? '' : ', some of them control characters'}. Give at most 256, all ` +
          'printable.',
      );
    }
    return problems;
  });
}

/** @param bytes of the script, as far as it is known */
export function checkUserDataSize(bytes: number): string[] {
  return bytes <= USER_DATA_LIMIT
    ? []
    : [
        `The user data has ${bytes} bytes, but EC2 takes at most ${USER_DATA_LIMIT}. Give fewer lines of ` +
          'extraUserData: let them fetch a longer script from S3, or build an image.',
      ];
}

/** @param group path of the group's stack; `lifecycle`: of its lifecycle's */
export function checkSameStack(group: string, lifecycle: string): string[] {
  return group === lifecycle
    ? []
    : [
        `The group is in the stack ${group}, but its NodeLifecycle is in ${lifecycle}: node-join signals ` +
          'CloudFormation for its own stack only, so the group could never be created. ' +
          'Make the group in the stack of the lifecycle.',
      ];
}
