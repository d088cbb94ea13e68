/**
 * The reference app: a swarm with the defaults. Context values change it; on the command line they are strings
 * (`cdk synth -c managers=5`).
 *
 * - `managers`: 1, 3, 5 or 7; 3 by default.
 * - `workers`: the number of workers, 2 by default. With 0 there is no worker group.
 * - `spot`: if set, the workers are spot instances.
 * - `volumeGenerations`: JSON of `ManagerProps.volumeGenerations`.
 * - `listener`: JSON of a `SwarmListener`. Adds a load balancer with this listener.
 * - `follow`: JSON of `LoadBalancerOptions.followPublishedPorts`. Adds a load balancer that follows published ports.
 * - `nodes`: the nodes behind the load balancer: `all` (the default), `managers` or `workers`.
 */
import { App, Stack } from 'aws-cdk-lib';
import { SwarmCluster } from '../lib';

const app = new App();
const numberFromContext = (key: string, defaultValue: number) => Number(app.node.tryGetContext(key) ?? defaultValue);
const jsonFromContext = (key: string) => {
  const value: unknown = app.node.tryGetContext(key);
  return typeof value === 'string' ? JSON.parse(value) : value;
};

const stack = new Stack(app, 'DockerSwarm');
const cluster = new SwarmCluster(stack, 'Swarm', {
  managers: { count: numberFromContext('managers', 3), volumeGenerations: jsonFromContext('volumeGenerations') },
});
const workers = numberFromContext('workers', 2);
if (workers !== 0)
  cluster.addWorkers('Workers', {
    minCapacity: workers,
    maxCapacity: workers,
    ...(app.node.tryGetContext('spot') && { spot: {} }),
  });
const listener = jsonFromContext('listener');
const followPublishedPorts = jsonFromContext('follow');
if (listener !== undefined || followPublishedPorts !== undefined)
  cluster.addLoadBalancer('Public', {
    listeners: listener === undefined ? [] : [listener],
    followPublishedPorts,
    nodes: app.node.tryGetContext('nodes'),
  });
