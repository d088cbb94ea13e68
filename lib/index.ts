/** The public API of the package. */
export { LeaderTokenPublisher, type LeaderTokenPublisherProps } from './lifecycle/leader-token-publisher';
export {
  type FollowedPorts,
  type LoadBalancerOptions,
  type SwarmHealthCheck,
  type SwarmListener,
  type SwarmTargets,
} from './traffic/load-balancer-options';
export { SwarmLoadBalancer, type SwarmLoadBalancerProps } from './traffic/swarm-load-balancer';
export {
  LoadBalancerAlarms,
  type LoadBalancerAlarmOptions,
  type LoadBalancerAlarmsProps,
} from './observability/load-balancer-alarms';
export { ManagerGroup, type ManagerGroupProps, type ManagerProps, type Seat } from './nodes/manager-group';
export { type NodeProps } from './nodes/node-launch-template';
export {
  NodeLifecycle,
  type NodeLifecycleProps,
  type OnSwarmEventOptions,
  type SwarmEvent,
} from './lifecycle/node-lifecycle';
export { NodeRole, type NodeRoleProps } from './lifecycle/node-role';
export { SwarmAlarms, type AlarmOptions, type SwarmAlarmsProps, type SwarmMetric } from './observability/swarm-alarms';
export { SwarmCluster, type SwarmClusterProps } from './cluster/swarm-cluster';
export { SwarmNetwork, type SwarmNetworkProps } from './network/swarm-network';
export { TargetUpdater, type TargetUpdaterProps } from './traffic/target-updater';
export { TokenTable, type TokenTableProps } from './lifecycle/token-table';
export { WorkerGroup, type SpotOptions, type WorkerGroupProps, type WorkerProps } from './nodes/worker-group';
