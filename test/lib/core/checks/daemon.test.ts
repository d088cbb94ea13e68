import * as v from 'valibot';
import { checkBridgeNetworks, checkDaemon } from '../../../../lib/core/checks/daemon';
import { agentConfigSchema } from '../../../../protocol/environment';

test.each(['labels', 'hosts', 'data-root'])('daemon.json key %s is refused with its reason', (key) => {
  expect(checkDaemon({ debug: true, [key]: [] })).toEqual([
    expect.stringMatching(new RegExp(`^daemon\\['${key}'\\] cannot be set: .+\\.$`)),
  ]);
});

test('the longest key of daemon.json is the longest that the agent accepts', () => {
  expect(checkDaemon({ ['k'.repeat(128)]: 1 })).toEqual([]);
  expect(v.safeParse(agentConfigSchema.entries.daemon, { ['k'.repeat(128)]: 1 }).success).toBe(true);
  expect(v.safeParse(agentConfigSchema.entries.daemon, { ['k'.repeat(129)]: 1 }).success).toBe(false);
  expect(checkDaemon({ ['k'.repeat(129)]: 1 })).toEqual([
    "The key daemon['kkkkkkkkkkkkkkkkkkkk...'] has 129 characters. Use keys of at most 128.",
  ]);
});

test('live-restore is refused unless it is off', () => {
  expect(checkDaemon({ 'live-restore': false })).toEqual([]);
  expect(checkDaemon({ 'live-restore': true })).toEqual([
    "daemon['live-restore'] is true, but swarm mode does not support it. Omit it, or set it to false.",
  ]);
});

test('the networks of bridges must not overlap the VPC or the address pools', () => {
  const daemon = {
    bip: '172.26.0.1/16',
    'default-address-pools': [{ base: '172.27.0.0/16', size: 24 }, { base: 'fd00::/48', size: 64 }, {}, null],
  };
  expect(checkBridgeNetworks(daemon, ['10.0.0.0/16'], ['100.64.0.0/10'])).toEqual([]);
  expect(checkBridgeNetworks({ 'default-address-pools': 'wrong', bip: 1 }, ['10.0.0.0/16'], [])).toEqual([]);
  expect(checkBridgeNetworks(daemon, ['172.26.0.0/15'], ['172.16.0.0/12'])).toEqual([
    "daemon['default-address-pools'] (172.27.0.0/16) overlaps the VPC's network 172.26.0.0/15, so containers could " +
      'not reach the VPC. Use a network outside it.',
    "daemon['default-address-pools'] (172.27.0.0/16) must not overlap 172.16.0.0/12, an address pool of overlay " +
      'networks.',
    "daemon['bip'] (172.26.0.1/16) overlaps the VPC's network 172.26.0.0/15, so containers could not reach the VPC. " +
      'Use a network outside it.',
    "daemon['bip'] (172.26.0.1/16) must not overlap 172.16.0.0/12, an address pool of overlay networks.",
  ]);
});
