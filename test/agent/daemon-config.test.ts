import { daemonConfig } from '../../agent/daemon-config';
import type { AgentConfig } from '../../protocol/environment';

const identity = {
  instanceId: 'i-0123456789abcdef0',
  address: '10.0.0.9',
  zone: 'eu-west-1a',
  instanceType: 't4g.small',
  lifecycle: 'spot',
};
const config = (daemon: Record<string, unknown>): AgentConfig => ({
  cluster: 'c',
  role: 'worker',
  roleId: 'AROAEXAMPLE',
  region: 'eu-west-1',
  tokenTable: 't',
  reportTable: 'r',
  logGroup: 'l',
  labels: { tier: 'web' },
  daemon,
});

describe('daemon.json', () => {
  it('says what the node is, and rotates logs', () => {
    expect(daemonConfig(config({}), identity)).toEqual({
      'log-driver': 'json-file',
      'log-opts': { 'max-size': '10m', 'max-file': '3' },
      labels: [
        'tier=web',
        'aws.instance-id=i-0123456789abcdef0',
        'aws.availability-zone=eu-west-1a',
        'aws.instance-type=t4g.small',
        'aws.lifecycle=spot',
      ],
    });
  });

  it('keeps the rotation when only its size is given', () => {
    expect(daemonConfig(config({ 'log-opts': { 'max-size': '1g' } }), identity)).toMatchObject({
      'log-driver': 'json-file',
      'log-opts': { 'max-size': '1g' },
    });
  });

  it("leaves another log driver's options alone: it would refuse ours and the engine would not start", () => {
    const written = daemonConfig(config({ 'log-driver': 'awslogs' }), identity);
    expect(written).toMatchObject({ 'log-driver': 'awslogs' });
    expect(written).not.toHaveProperty('log-opts');
  });
});
