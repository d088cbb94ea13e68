/**
 * The reference app: a swarm with the defaults. Context `managers` (1, 3, 5 or 7; 3) and `workers` (2; with 0 there is
 * no group of them) say how large; with `spot` workers are spot instances; `volumeGenerations` gives seats other
 * volumes; with `listener`, the JSON of a `SwarmListener`, there is a load balancer, with `follow`, the JSON of
 * `followPublishedPorts`, it follows what services publish, and with `nodes` (`all`, `managers` or `workers`; `all`) it
 * says which nodes stand behind it.
 */
import { App, Stack } from 'aws-cdk-lib';
import { SwarmCluster } from '../lib';

const app = new App();
/** Given on the command line, context is text: `cdk synth -c managers=5`. */
const fromContext = (key: string, otherwise: number) => Number(app.node.tryGetContext(key) ?? otherwise);
const parsed = (key: string) => {
  const value: unknown = app.node.tryGetContext(key);
  return typeof value === 'string' ? JSON.parse(value) : value;
};

const stack = new Stack(app, 'DockerSwarm');
const cluster = new SwarmCluster(stack, 'Swarm', {
  managers: { count: fromContext('managers', 3), volumeGenerations: parsed('volumeGenerations') },
});
const workers = fromContext('workers', 2);
if (workers !== 0)
  cluster.addWorkers('Workers', {
    minCapacity: workers,
    maxCapacity: workers,
    ...(app.node.tryGetContext('spot') && { spot: {} }),
  });
const listener = parsed('listener');
const followPublishedPorts = parsed('follow');
if (listener !== undefined || followPublishedPorts !== undefined)
  cluster.addLoadBalancer('Public', {
    listeners: listener === undefined ? [] : [listener],
    followPublishedPorts,
    nodes: app.node.tryGetContext('nodes'),
  });
