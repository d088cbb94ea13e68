/** The smallest app: three managers in three zones, and two to ten workers. Copy this folder to start. */
import { App, Stack } from 'aws-cdk-lib';
import { SwarmCluster } from 'cdk-docker-swarm';

const app = new App();
const stack = new Stack(app, 'MinimalSwarm');
const cluster = new SwarmCluster(stack, 'Swarm');
cluster.addWorkers('Web', { minCapacity: 2, maxCapacity: 10, labels: { tier: 'web' } });

export { app };
