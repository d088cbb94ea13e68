/** An app whose nodes fail while they boot, for start.test.ts. */
import { App, Stack } from 'aws-cdk-lib';
import { SwarmCluster } from '../../lib';

new SwarmCluster(new Stack(new App(), 'Failing'), 'Swarm', {
  managers: { count: 1 },
  extraUserData: ['echo this line is wrong', 'exit 7'],
});
