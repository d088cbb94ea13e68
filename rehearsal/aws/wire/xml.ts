/**
 * Encodes XML responses and errors of the query protocols by the SDK's schemas. Source:
 * https://smithy.io/2.0/spec/protocol-traits.html#xml-bindings
 */
import type { NormalizedSchema } from '@smithy/core/schema';
import { members, requireList, requireObject, requireScalar, unknownMember, type Place } from './scalars';

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\r': '&#xD;' };

export function element(name: string, content: string): string {
  return `<${name}>${content}</${name}>`;
}

export function text(value: string): string {
  return value.replace(/[&<>"\r]/g, (character) => entities[character]!);
}

/** The elements inside a structure. */
export function encodeMembers(schema: NormalizedSchema, output: Record<string, unknown>, place: Place): string {
  const known = members(schema);
  let xml = '';
  for (const [name, value] of Object.entries(requireObject(place, output))) {
    if (value === undefined || value === null) continue;
    const member = known.get(name);
    if (!member) throw unknownMember(place, name);
    xml += encode(member, (member.getMergedTraits().xmlName as string | undefined) ?? name, value, `${place}.${name}`);
  }
  return xml;
}

function encode(schema: NormalizedSchema, name: string, value: unknown, place: Place): string {
  if (schema.isStructSchema()) return element(name, encodeMembers(schema, requireObject(place, value), place));
  const flat = schema.getMergedTraits().xmlFlattened;
  if (schema.isListSchema()) {
    const member = schema.getValueSchema();
    const memberName = flat ? name : ((member.getMergedTraits().xmlName as string | undefined) ?? 'member');
    const list = requireList(place, value)
      .map((each) => encode(member, memberName, each, place))
      .join('');
    return flat ? list : element(name, list);
  }
  if (schema.isMapSchema()) {
    const [keySchema, valueSchema] = [schema.getKeySchema(), schema.getValueSchema()];
    const keyName = (keySchema.getMergedTraits().xmlName as string | undefined) ?? 'key';
    const valueName = (valueSchema.getMergedTraits().xmlName as string | undefined) ?? 'value';
    const entries = Object.entries(requireObject(place, value)).map(([key, each]) =>
      element(
        flat ? name : 'entry',
        element(keyName, text(key)) + encode(valueSchema, valueName, each, `${place}.${key}`),
      ),
    );
    return flat ? entries.join('') : element(name, entries.join(''));
  }
  const scalar = requireScalar(schema, place, value);
  return element(name, scalar instanceof Uint8Array ? Buffer.from(scalar).toString('base64') : text(String(scalar)));
}
