/**
 * Two services behind a load balancer: one has a listener that is declared here; the other publishes a followed port.
 */
import { App, Stack } from 'aws-cdk-lib';
import { SwarmCluster } from 'cdk-docker-swarm';

const app = new App();
const stack = new Stack(app, 'PublicWeb');
const cluster = new SwarmCluster(stack, 'Swarm');
const web = cluster.addWorkers('Web', { minCapacity: 2, maxCapacity: 10, labels: { tier: 'web' } });
const loadBalancer = cluster.addLoadBalancer('Public', {
  listeners: [{ port: 80, targetPort: 8080 }],
  followPublishedPorts: { from: 8081, to: 8099 },
  nodes: [web],
});
loadBalancer.addAlarms();

export { app };
