/**
 * The reference stack, with one manager and two workers, deployed in an emulated region whose join function completes
 * every hook and signals for it.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { SwarmCluster, type SwarmClusterProps } from '../../../lib';
import { MINUTE, World } from './world';

export interface Reference {
  world: World;
  tokens: string;
  reports: string;
  /** Running instances, by the logical id of their role. */
  instancesOf(role: 'Manager' | 'Worker'): string[];
  /** A call with the credentials of an instance. */
  callAs(instanceId: string, service: string, action: string, input: Record<string, any>): Promise<any>;
}

/** @param more is added to the cluster */
export async function deployReference(
  props: SwarmClusterProps | ((stack: Stack) => SwarmClusterProps) = {},
  more: (cluster: SwarmCluster) => void = () => undefined,
): Promise<Reference> {
  const outdir = mkdtempSync(join(tmpdir(), 'reference-'));
  const app = new App({ outdir, context: { 'aws:cdk:enable-asset-metadata': false } });
  const stack = new Stack(app, 'Test');
  const cluster = new SwarmCluster(stack, 'Swarm', {
    managers: { count: 1 },
    ...(typeof props === 'function' ? props(stack) : props),
  });
  cluster.addWorkers('Workers', { minCapacity: 2, maxCapacity: 2 });
  more(cluster);
  app.synth();

  const world = new World();
  completeHooks(world);
  // What a load balancer follows is not part of this: its custom resource is ready at once.
  const { otherwise } = world.functions;
  world.functions.otherwise = async (event, fn) => {
    if (!event?.ResponseURL) return otherwise(event, fn);
    world.region.put(
      event.ResponseURL,
      JSON.stringify({
        Status: 'SUCCESS',
        RequestId: event.RequestId,
        PhysicalResourceId: event.ResourceProperties.LoadBalancerArn,
      }),
    );
  };
  const creation = world.region.createStack(outdir, 'Test');
  creation.catch(() => undefined);
  await world.clock.finish(creation, 20 * MINUTE);
  const physicalId = (pattern: RegExp) =>
    world.region.stackResources('Test').find((resource) => pattern.test(`${resource.type} ${resource.logicalId}`))!
      .physicalId!;
  return {
    world,
    tokens: physicalId(/^AWS::DynamoDB::Table .*Tokens/),
    reports: physicalId(/^AWS::DynamoDB::Table .*Reports/),
    instancesOf: (role) => {
      const { name } = world.region.roles().find(({ logicalId }) => logicalId.includes(`${role}Role`))!;
      return world.region
        .instances()
        .flatMap(({ instanceId, roleName, state }) => (roleName === name && state === 'running' ? [instanceId] : []));
    },
    callAs: (instanceId, service, action, input) =>
      world.region.call({ service, action, input, accessKeyId: world.region.credentialsFor(instanceId)!.accessKeyId }),
  };
}

/** In the place of node-join: with the function's own credentials, whatever the node does. */
function completeHooks(world: World): void {
  const complete = async (event: any, { credentials }: { credentials: { accessKeyId: string } }) => {
    const call = (service: string, action: string, input: Record<string, any>) =>
      world.region.call({ service, action, input, accessKeyId: credentials.accessKeyId });
    for (const record of event.Records) {
      const message = record.body === undefined ? {} : JSON.parse(record.body);
      if (message.LifecycleHookName !== 'launch') continue;
      const group = world.region.groups().find(({ name }) => name === message.AutoScalingGroupName)!;
      await call('autoscaling', 'CompleteLifecycleAction', {
        ...message,
        InstanceId: message.EC2InstanceId,
        LifecycleActionResult: 'CONTINUE',
      });
      const { 'aws:cloudformation:stack-id': StackName, 'aws:cloudformation:logical-id': LogicalResourceId } =
        group.tags;
      await call('cloudformation', 'SignalResource', {
        StackName,
        LogicalResourceId,
        UniqueId: message.EC2InstanceId,
        Status: 'SUCCESS',
      });
    }
  };
  world.functions.otherwise = complete;
}
