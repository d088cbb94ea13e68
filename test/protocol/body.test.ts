import * as v from 'valibot';
import { codec, PROTOCOL_VERSION } from '../../protocol/body';
import { commandsCodec } from '../../protocol/commands';
import { reportCodec, type Report } from '../../protocol/report';

const small = codec(v.object({ name: v.string() }), 64);

describe('a record in a table item', () => {
  it('comes back as it was written', () => {
    const item = small.encode({ name: 'ümlaut' });
    expect(item.v).toBe(PROTOCOL_VERSION);
    expect(small.decode(item)).toEqual({ ok: true, value: { name: 'ümlaut' } });
  });

  it.each([
    ['an absent item', undefined, 'missing'],
    ['another version', { v: 2, body: '{"name":"a"}' }, 'version'],
    ['no version', { body: '{"name":"a"}' }, 'version'],
    ['a body that is no text', { v: 1, body: { name: 'a' } }, 'size'],
    ['a body over the bound', { v: 1, body: JSON.stringify({ name: 'a'.repeat(64) }) }, 'size'],
    [
      'a body over the bound in bytes, not in characters',
      { v: 1, body: JSON.stringify({ name: '€'.repeat(25) }) },
      'size',
    ],
    ['text that is no JSON', { v: 1, body: '{' }, 'syntax'],
    ['a wrong type', { v: 1, body: '{"name":1}' }, 'schema'],
  ] as const)('is refused without an exception: %s', (_, item, refusal) => {
    expect(small.decode(item as Record<string, unknown> | undefined)).toEqual({ ok: false, refusal });
  });

  it('that does not fit its schema is refused by an error that does not repeat it', () => {
    const write = () => small.encode({ name: ['a secret'] as never });
    expect(write).toThrow('A record does not fit its schema at name.');
    expect(write).toThrow(expect.not.objectContaining({ issues: expect.anything() }));
    expect(write).not.toThrow('secret');
  });

  it('is never written over its own bound', () => {
    expect(() => small.encode({ name: 'a'.repeat(64) })).toThrow('exceeds its limit of 64 bytes');
  });

  it('drops what the schema does not know, so a poisoned member cannot travel on', () => {
    expect(small.decode({ v: 1, body: '{"name":"a","__proto__":{"admin":true},"extra":1}' })).toEqual({
      ok: true,
      value: { name: 'a' },
    });
  });
});

describe('a report', () => {
  const report: Report = { instanceId: 'i-0123456789abcdef0', role: 'worker', address: '10.0.0.9' };

  it.each([
    ['an instance id that is none', { instanceId: 'i-xyz' }],
    ['an address that is none', { address: '10.0.0.999' }],
    ['an unknown role', { role: 'observer' }],
    ['a seat out of range', { role: 'manager', seat: 7 }],
    ['a token of another form', { tokens: { manager: 'SWMTKN', worker: 'SWMTKN' } }],
    ['an unknown engine state', { swarm: { state: 'dancing', controlAvailable: false } }],
    ['a sentence without end', { lastCommand: { id: 'a', outcome: 'failed', error: 'x'.repeat(501) } }],
  ])('is refused: %s', (_, poison) => {
    expect(reportCodec.decode({ v: 1, body: JSON.stringify({ ...report, ...poison }) })).toEqual({
      ok: false,
      refusal: 'schema',
    });
  });
});

describe('a command', () => {
  it('of a kind this version does not know is refused, not guessed', () => {
    const body = JSON.stringify({
      command: { kind: 'explode', id: 'a', instanceId: 'i-0123456789abcdef0', expiresAt: 1, reason: 'because' },
    });
    expect(commandsCodec.decode({ v: 1, body })).toEqual({ ok: false, refusal: 'schema' });
  });
});
