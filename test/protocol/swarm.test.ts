import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import {
  CHUNK_CHARACTERS,
  decodeSwarmReport,
  encodeSwarmReport,
  type SwarmNode,
  type SwarmReport,
} from '../../protocol/swarm';

/** An identifier of 25 characters of base 36, from a number. */
const id = (n: number) =>
  BigInt(`0x${createHash('sha256').update(String(n)).digest('hex')}`)
    .toString(36)
    .slice(0, 25);

function report(nodes: number): SwarmReport {
  const list = Array.from({ length: nodes }, (_, n): SwarmNode => ({
    id: id(n),
    hostname: `ip-10-0-${n >> 8}-${n & 255}`,
    role: n < 3 ? 'manager' : 'worker',
    availability: 'active',
    state: 'ready',
    instanceId: `i-${createHash('sha256').update(`instance ${n}`).digest('hex').slice(0, 17)}`,
    address: `10.0.${n >> 8}.${n & 255}`,
    ...(n < 3 && { manager: { leader: n === 0, reachability: 'reachable' as const, address: `10.0.0.${n}:2377` } }),
  }));
  return { swarmId: id(-1), epoch: 42, nodes: list };
}

describe('the swarm report', () => {
  it.each([0, 1, 5, 1000])('of %i nodes fits one item and comes back whole', (nodes) => {
    const chunks = encodeSwarmReport(report(nodes));
    expect(chunks).toHaveLength(1);
    expect(decodeSwarmReport(chunks as never)).toEqual({ ok: true, value: report(nodes) });
  });

  it('of 20,000 nodes is cut into chunks that fit an item, and comes back whole', () => {
    const chunks = encodeSwarmReport(report(20_000));
    expect(chunks.length).toBeGreaterThan(1);
    for (const chunk of chunks) expect(chunk.body.length).toBeLessThanOrEqual(CHUNK_CHARACTERS);
    expect(decodeSwarmReport(chunks as never)).toEqual({ ok: true, value: report(20_000) });
  });

  it('ignores the left-overs of a longer, older report', () => {
    const chunks = [...encodeSwarmReport(report(5)), { v: 1, epoch: 41, chunks: 2, body: 'old' }];
    expect(decodeSwarmReport(chunks as never)).toMatchObject({ ok: true });
  });

  it('is not read while it is half written', () => {
    const chunks = encodeSwarmReport(report(20_000));
    expect(decodeSwarmReport(chunks.slice(0, 1) as never)).toEqual({ ok: false, refusal: 'missing' });
    const mixed = [chunks[0], { ...chunks[1], epoch: 41 }, ...chunks.slice(2)];
    expect(decodeSwarmReport(mixed as never)).toEqual({ ok: false, refusal: 'missing' });
  });

  it('of a few kilobytes that inflates to millions of entries is refused within the memory of a function', () => {
    const script = `
      const { decodeSwarmReport } = require('./protocol/swarm');
      const list = '{"swarmId":"' + 'a'.repeat(25) + '","epoch":1,"nodes":[' + '0,'.repeat(3_900_000) + '0]}';
      const body = require('node:zlib').deflateRawSync(list).toString('base64');
      console.log(body.length < 20_000, decodeSwarmReport([{ v: 1, epoch: 1, chunks: 1, body }]).refusal);`;
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--max-old-space-size=160', '--import', 'tsx', '-e', script],
      { cwd: resolve(__dirname, '../..'), encoding: 'utf8' },
    );
    expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: 'true schema', stderr: '' });
  });

  it.each([
    ['nothing', [], 'missing'],
    ['another version', [{ ...encodeSwarmReport(report(1))[0], v: 9 }], 'version'],
    ['no compressed text', [{ v: 1, epoch: 1, chunks: 1, body: 'not deflated' }], 'syntax'],
    ['more chunks than a report may have', [{ v: 1, epoch: 1, chunks: 1e9, body: '' }], 'schema'],
    ['a body that is no text', [{ v: 1, epoch: 1, chunks: 1, body: 7 }], 'size'],
    [
      'a bomb that inflates to 64 MB',
      [{ v: 1, epoch: 1, chunks: 1, body: deflateRawSync(Buffer.alloc(64 * 1024 * 1024)).toString('base64') }],
      'syntax',
    ],
    ['an epoch that its items do not carry', [{ ...encodeSwarmReport(report(1))[0], epoch: 43 }], 'schema'],
    [
      'a list that is none',
      [{ v: 1, epoch: 1, chunks: 1, body: deflateRawSync('{"nodes":1}').toString('base64') }],
      'schema',
    ],
  ] as const)('is refused without an exception: %s', (_, items, refusal) => {
    expect(decodeSwarmReport(items as never)).toEqual({ ok: false, refusal });
  });
});
