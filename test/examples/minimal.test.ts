/** Synthesises the example with this repository's source in place of the package. */
import { Template } from 'aws-cdk-lib/assertions';
import { Stack } from 'aws-cdk-lib';
import { app } from '../../examples/minimal/app';

jest.mock('cdk-docker-swarm', () => jest.requireActual('../../lib'), { virtual: true });

test('the minimal example has three managers and a group of two to ten labelled workers', () => {
  const template = Template.fromStack(app.node.findChild('MinimalSwarm') as Stack);
  template.resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 4);
  template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', { MinSize: '2', MaxSize: '10' });
  expect(JSON.stringify(template.toJSON())).toContain('\\"tier\\": \\"web\\"');
});
