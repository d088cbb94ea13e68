/** Load balancers, listeners and target groups in the shapes of the API. */
import { isoTime } from '../../../protocol/clock';
import type { Listener, LoadBalancer, TargetGroup } from './model';
import { MATCHER } from './settings';

/**
 * The hosted zone of Network Load Balancers in us-east-1, which the emulation uses everywhere:
 * https://docs.aws.amazon.com/general/latest/gr/elb.html
 */
export const HOSTED_ZONE = 'Z26RNL4JYFTOTI';

export function loadBalancerOutput(loadBalancer: LoadBalancer): Record<string, any> {
  return {
    LoadBalancerArn: loadBalancer.arn,
    DNSName: loadBalancer.dnsName,
    CanonicalHostedZoneId: HOSTED_ZONE,
    CreatedTime: isoTime(loadBalancer.createdAt),
    LoadBalancerName: loadBalancer.name,
    Scheme: loadBalancer.scheme,
    VpcId: loadBalancer.vpcId,
    State: { Code: 'active' },
    Type: 'network',
    AvailabilityZones: loadBalancer.subnets.map(({ zone, subnetId }) => ({
      ZoneName: zone,
      SubnetId: subnetId,
      LoadBalancerAddresses: [],
    })),
    SecurityGroups: loadBalancer.securityGroups.length > 0 ? loadBalancer.securityGroups : undefined,
    IpAddressType: loadBalancer.ipAddressType,
    EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: loadBalancer.enforcesOnPrivateLink,
  };
}

export function listenerOutput({
  arn,
  loadBalancer,
  port,
  protocol,
  targetGroup,
  certificate,
  sslPolicy,
  alpnPolicy,
}: Listener): Record<string, any> {
  return {
    ListenerArn: arn,
    LoadBalancerArn: loadBalancer.arn,
    Port: port,
    Protocol: protocol,
    Certificates: certificate === undefined ? undefined : [{ CertificateArn: certificate }],
    SslPolicy: sslPolicy,
    DefaultActions: [{ Type: 'forward', TargetGroupArn: targetGroup.arn }],
    AlpnPolicy: alpnPolicy,
  };
}

export function groupOutput(group: TargetGroup): Record<string, any> {
  const { healthCheck: settings } = group;
  return {
    TargetGroupArn: group.arn,
    TargetGroupName: group.name,
    Protocol: group.protocol,
    Port: group.port,
    VpcId: group.vpcId,
    HealthCheckProtocol: settings.protocol,
    HealthCheckPort: settings.port,
    HealthCheckEnabled: true,
    HealthCheckIntervalSeconds: settings.intervalSeconds,
    HealthCheckTimeoutSeconds: settings.timeoutSeconds,
    HealthyThresholdCount: settings.healthyThreshold,
    UnhealthyThresholdCount: settings.unhealthyThreshold,
    HealthCheckPath: settings.path,
    Matcher: settings.protocol === 'TCP' ? undefined : { HttpCode: MATCHER },
    LoadBalancerArns: [...new Set([...group.listeners].map(({ loadBalancer }) => loadBalancer.arn))],
    TargetType: 'instance',
    IpAddressType: 'ipv4',
  };
}
