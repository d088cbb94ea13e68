/** What HAProxy is told of the emulated load balancers. That it does so is seen in the scenarios on real engines. */
import type { LoadBalancerView, TargetView } from '../../../rehearsal/aws/elb/model';
import { configuration } from '../../../rehearsal/nodes/proxy';

const target = (instanceId: string, routed: boolean): TargetView => ({ instanceId, port: 8080, state: routed ? 'healthy' : 'unhealthy', reason: undefined, routed });
const balancer = (listeners: LoadBalancerView['listeners']): LoadBalancerView => ({ arn: 'arn', name: 'name', dnsName: 'dns', scheme: 'internet-facing', zones: [], securityGroups: [], tags: {}, listeners });
const addresses = new Map([['i-1', '10.0.0.1'], ['i-2', '10.0.0.2']]);

test('each TCP listener passes connections on to the targets that are routed to, by the addresses of their instances', () => {
  const listener = { arn: 'l', port: 80, protocol: 'TCP' as const, targetGroupArn: 't', targets: [target('i-1', true), target('i-2', false)] };
  const written = configuration([balancer([listener]), balancer([{ ...listener, port: 81, targets: [target('i-2', true)] }])], addresses, '/run/socket');
  expect(written).toContain('listen port-0-80\n  bind 127.0.1.1:80\n  balance random\n  server i-1 10.0.0.1:8080\nlisten port-1-81\n  bind 127.0.1.2:81\n  balance random\n  server i-2 10.0.0.2:8080\n');
  expect(written).not.toContain('i-2 10.0.0.2:8080\nlisten');
});

test('nothing is tried twice, and nobody’s health is checked: the emulated targets say who is sent connections', () => {
  const written = configuration([balancer([{ arn: 'l', port: 80, protocol: 'TCP', targetGroupArn: 't', targets: [target('i-1', true)] }])], addresses, '/run/socket');
  expect(written).toContain('retries 0');
  expect(written).not.toMatch(/ check|redispatch/);
});

test('a listener of another protocol is left out', () => {
  const written = configuration([balancer([{ arn: 'l', port: 53, protocol: 'UDP', targetGroupArn: 't', targets: [] }])], addresses, '/run/socket');
  expect(written).not.toMatch(/^listen/m);
});
