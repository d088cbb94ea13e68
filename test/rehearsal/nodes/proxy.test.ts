/**
 * What HAProxy is told of the emulated load balancers, and that it hears each change. How it serves is seen in the
 * scenarios on real engines.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../protocol/clock';
import type { LoadBalancerView, TargetView } from '../../../rehearsal/aws/elb/model';
import type { EmulatedRegion } from '../../../rehearsal/aws/region';
import { configuration, RealProxy } from '../../../rehearsal/nodes/proxy';
import { findProgram } from '../../../rehearsal/nodes/preflight';

const target = (instanceId: string, routed: boolean): TargetView => ({
  instanceId,
  port: 8080,
  state: routed ? 'healthy' : 'unhealthy',
  reason: undefined,
  routed,
});
const balancer = (listeners: LoadBalancerView['listeners']): LoadBalancerView => ({
  arn: 'arn',
  name: 'name',
  dnsName: 'dns',
  scheme: 'internet-facing',
  zones: [],
  securityGroups: [],
  tags: {},
  listeners,
});
const addresses = new Map([
  ['i-1', '10.0.0.1'],
  ['i-2', '10.0.0.2'],
]);

test(
  'each TCP listener passes connections on to the targets that are routed to, by the addresses of their ' + 'instances',
  () => {
    const listener = {
      arn: 'l',
      port: 80,
      protocol: 'TCP' as const,
      targetGroupArn: 't',
      targets: [target('i-1', true), target('i-2', false)],
    };
    const written = configuration(
      [balancer([listener]), balancer([{ ...listener, port: 81, targets: [target('i-2', true)] }])],
      addresses,
      '/run/socket',
    );
    expect(written).toContain(
      'listen port-0-80\n  bind 127.0.1.1:80\n  balance random\n  server i-1 10.0.0.1:8080\nlisten ' +
        'port-1-81\n  bind 127.0.1.2:81\n  balance random\n  server i-2 10.0.0.2:8080\n',
    );
    expect(written).not.toContain('i-2 10.0.0.2:8080\nlisten');
  },
);

test('nothing is tried twice, and nobody’s health is checked: the emulated targets say who gets connections', () => {
  const written = configuration(
    [balancer([{ arn: 'l', port: 80, protocol: 'TCP', targetGroupArn: 't', targets: [target('i-1', true)] }])],
    addresses,
    '/run/socket',
  );
  expect(written).toContain('retries 0');
  expect(written).not.toMatch(/ check|redispatch/);
});

test('a listener of another protocol is left out', () => {
  const written = configuration(
    [balancer([{ arn: 'l', port: 53, protocol: 'UDP', targetGroupArn: 't', targets: [] }])],
    addresses,
    '/run/socket',
  );
  expect(written).not.toMatch(/^listen/m);
});

const haproxy = findProgram('haproxy', process.env.PATH ?? '');
if (haproxy === undefined)
  process.stderr.write(
    'SKIPPED: whether HAProxy hears each change needs haproxy. On Debian: apt-get install haproxy\n',
  );

(haproxy === undefined ? test.skip : test)(
  'a change that comes while HAProxy starts, or is at work on the last one, is served',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'proxy-'));
    // It takes as long as on a machine that is busy.
    const program = join(folder, 'haproxy');
    writeFileSync(program, `#!/bin/sh\nsleep 0.5\nexec ${haproxy} "$@"\n`);
    chmodSync(program, 0o755);
    const server = createServer((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\n'));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const at: TargetView = { ...target('i-1', true), port };
    const balancers = [balancer([])];
    const told: ((event: { source: string }) => void)[] = [];
    const region = {
      instances: () => [{ instanceId: 'i-1', privateIpAddress: '127.0.0.1' }],
      loadBalancers: () => balancers,
      onEvent: (listener: (event: { source: string }) => void) => told.push(listener),
    };
    const proxy = new RealProxy(region as unknown as EmulatedRegion, systemClock, folder, program);
    try {
      // The last of many changes counts: the listener has had no target before.
      for (let change = 0; change < 40; change++) {
        balancers[0] = balancer([
          {
            arn: 'l',
            port,
            protocol: 'TCP',
            targetGroupArn: 't',
            targets: change < 39 ? [target('i-1', true)].slice(change % 2) : [at],
          },
        ]);
        for (const tell of told) tell({ source: 'elb' });
        await systemClock.sleep(25);
      }
      const answered = async () =>
        (await fetch(proxy.url(port), { signal: AbortSignal.timeout(1_000) }).catch(() => undefined))?.status;
      for (let tries = 0; tries < 100 && (await answered()) !== 200; tries++) await systemClock.sleep(50);
      expect(await answered()).toBe(200);
      await proxy.end();
      expect(() => proxy.url(port)).toThrow('HAProxy has ended');
    } finally {
      await proxy.end();
      server.close();
      rmSync(folder, { recursive: true });
    }
  },
  30_000,
);
