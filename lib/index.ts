/** What the package exports. */
export { LeaderTokenPublisher, type LeaderTokenPublisherProps } from './leader-token-publisher';
export { SwarmLoadBalancer, type FollowedPorts, type LoadBalancerOptions, type SwarmHealthCheck, type SwarmListener, type SwarmLoadBalancerProps, type SwarmTargets } from './load-balancer';
export { LoadBalancerAlarms, type LoadBalancerAlarmOptions, type LoadBalancerAlarmsProps } from './load-balancer-alarms';
export { ManagerGroup, type ManagerGroupProps, type ManagerProps, type Seat } from './manager-group';
export { type NodeProps } from './node-launch-template';
export { NodeLifecycle, type NodeLifecycleProps, type OnSwarmEventOptions, type SwarmEvent } from './node-lifecycle';
export { NodeRole, type NodeRoleProps } from './node-role';
export { SwarmAlarms, type AlarmOptions, type SwarmAlarmsProps, type SwarmMetric } from './swarm-alarms';
export { SwarmCluster, type SwarmClusterProps } from './swarm-cluster';
export { SwarmNetwork, type SwarmNetworkProps } from './swarm-network';
export { TargetUpdater, type TargetUpdaterProps } from './target-updater';
export { TokenTable, type TokenTableProps } from './token-table';
export { WorkerGroup, type SpotOptions, type WorkerGroupProps, type WorkerProps } from './worker-group';
