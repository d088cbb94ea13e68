/** Synthesises the example with this repository's source in place of the package; compares it with services.yml. */
import { Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { app } from '../../examples/public-web/app';

jest.mock('cdk-docker-swarm', () => jest.requireActual('../../lib'), { virtual: true });

const { services } = parse(readFileSync(join(__dirname, '../../examples/public-web/services.yml'), 'utf8'), {
  merge: true,
}) as { services: Record<string, { ports: string[] }> };
const published = Object.values(services).flatMap(({ ports }) => ports.map((port) => Number(port.split(':')[0])));

test('the example declares a listener for one service, and follows the port of the other', () => {
  const template = Template.fromStack(app.node.findChild('PublicWeb') as Stack);
  template.resourceCountIs('AWS::ElasticLoadBalancingV2::Listener', 1);
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', { Port: 80, Protocol: 'TCP' });
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', { Port: published[0] });
  template.hasResourceProperties('Custom::SwarmFollowedPorts', { DeclaredPorts: [80] });
  const [from, to] = JSON.stringify(template.toJSON())
    .match(/\\+"from\\+":(\d+),\\+"to\\+":(\d+)/)!
    .slice(1)
    .map(Number) as [number, number];
  expect(published).toHaveLength(2);
  expect(published[1]).toBeGreaterThanOrEqual(from);
  expect(published[1]).toBeLessThanOrEqual(to);
  template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'PortsNotFollowed' });
});
