/** Resource types of Elastic Load Balancing, for Network Load Balancers. */
import { tagMap, type Tags } from '../core/describe';
import type { LoadBalancerOptions, LoadBalancers } from './elb';
import type { Listener, LoadBalancer, TargetGroup } from './model';
import { HOSTED_ZONE } from './output';
import { HEALTH_CHECK_MEMBERS } from './settings';
import {
  onlyThese,
  type CreatedResource,
  type ResourceRequest,
  type ResourceTypes,
  type UpdateRequest,
} from '../core/resource';

const LOAD_BALANCER_CHANGES = [
  'SecurityGroups',
  'EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic',
  'LoadBalancerAttributes',
  'Tags',
];
const TARGET_GROUP_CHANGES = [...HEALTH_CHECK_MEMBERS, 'TargetGroupAttributes', 'Tags'];
const LISTENER_CHANGES = ['AlpnPolicy', 'Certificates', 'DefaultActions', 'Port', 'Protocol', 'SslPolicy'];

export function loadBalancingTypes({ elb }: { elb: LoadBalancers }): ResourceTypes {
  return {
    'AWS::ElasticLoadBalancingV2::LoadBalancer': {
      properties: ['Name', 'Type', 'Scheme', 'IpAddressType', 'Subnets', 'SubnetMappings', ...LOAD_BALANCER_CHANGES],
      create(request) {
        const { properties, physicalName } = request;
        const {
          Type = 'application',
          Scheme = 'internet-facing',
          IpAddressType = 'ipv4',
          Subnets,
          SubnetMappings = [],
        } = properties;
        if (Type !== 'network')
          throw new Error(`The emulation does not know load balancers of the type '${Type}'. It knows network.`);
        return loadBalancer(
          elb.createLoadBalancer({
            ...changeable(request),
            name: properties.Name ?? physicalName(32),
            scheme: Scheme,
            ipAddressType: IpAddressType,
            subnetIds: Subnets ?? SubnetMappings.map(({ SubnetId }: Record<string, string>) => SubnetId),
          }),
        );
      },
      update(request) {
        onlyThese('AWS::ElasticLoadBalancingV2::LoadBalancer', request.changed, LOAD_BALANCER_CHANGES);
        return loadBalancer(
          elb.changeLoadBalancer(request.id, {
            ...changeable(request),
            tags: changedTags(request, elb.tagsOf(request.id)),
          }),
        );
      },
      delete: (arn) => elb.deleteLoadBalancer(arn),
    },
    'AWS::ElasticLoadBalancingV2::TargetGroup': {
      properties: ['Name', 'Port', 'Protocol', 'VpcId', 'TargetType', 'IpAddressType', ...TARGET_GROUP_CHANGES],
      create({ properties, physicalName, tags }) {
        const { TargetGroupAttributes, Tags: _, ...settings } = properties;
        return targetGroup(
          elb.createTargetGroup(
            { ...settings, ...numbers(settings), Name: settings.Name ?? physicalName(32) },
            { tags, attributes: TargetGroupAttributes ?? [] },
          ),
        );
      },
      update(request) {
        const { id, properties, changed } = request;
        onlyThese('AWS::ElasticLoadBalancingV2::TargetGroup', changed, TARGET_GROUP_CHANGES);
        const group = elb.resetTargetGroup(
          id,
          { ...properties, ...numbers(properties) },
          properties.TargetGroupAttributes ?? [],
        );
        elb.setTags(id, changedTags(request, elb.tagsOf(id)));
        return targetGroup(group);
      },
      delete: (arn) => elb.deleteTargetGroup(arn),
    },
    'AWS::ElasticLoadBalancingV2::Listener': {
      properties: ['LoadBalancerArn', ...LISTENER_CHANGES],
      create({ properties, tags }) {
        return listener(elb.createListener({ ...properties, ...numbers(properties) }, { tags }));
      },
      update({ id, properties, changed }) {
        onlyThese('AWS::ElasticLoadBalancingV2::Listener', changed, LISTENER_CHANGES);
        const { LoadBalancerArn: _, ...settings } = properties;
        return listener(elb.modifyListener({ ...settings, ...numbers(settings), ListenerArn: id }));
      },
      delete: (arn) => elb.deleteListener(arn),
    },
    'AWS::ElasticLoadBalancingV2::ListenerCertificate': {
      properties: ['ListenerArn', 'Certificates'],
      create({ properties, physicalName }) {
        elb.setMoreCertificates(properties.ListenerArn, properties.Certificates);
        return { id: physicalName(100) };
      },
      update({ id, properties, changed }) {
        onlyThese('AWS::ElasticLoadBalancingV2::ListenerCertificate', changed, ['Certificates']);
        elb.setMoreCertificates(properties.ListenerArn, properties.Certificates);
        return { id };
      },
      delete: (_, properties) => elb.clearMoreCertificates(properties.ListenerArn),
    },
  };
}

/**
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-elasticloadbalancingv2-loadbalancer.html
 */
function changeable({
  properties,
  tags,
}: ResourceRequest): Pick<LoadBalancerOptions, 'securityGroups' | 'enforcesOnPrivateLink' | 'attributes' | 'tags'> {
  return {
    securityGroups: properties.SecurityGroups ?? [],
    enforcesOnPrivateLink: properties.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic,
    attributes: properties.LoadBalancerAttributes ?? [],
    tags,
  };
}

/** The new tags; tags from outside the template stay. */
function changedTags({ previous, tags }: UpdateRequest, present: Tags = {}): Tags {
  const before = tagMap(previous.Tags);
  return { ...Object.fromEntries(Object.entries(present).filter(([key]) => !(key in before))), ...tags };
}

function loadBalancer({ arn, name, dnsName }: LoadBalancer): CreatedResource {
  return {
    id: arn,
    attributes: {
      LoadBalancerArn: arn,
      LoadBalancerName: name,
      LoadBalancerFullName: fullName(arn, 'loadbalancer/'),
      DNSName: dnsName,
      CanonicalHostedZoneID: HOSTED_ZONE,
    },
  };
}

/**
 * `LoadBalancerArns` is evaluated on access:
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-elasticloadbalancingv2-targetgroup.html
 */
function targetGroup(group: TargetGroup): CreatedResource {
  return {
    id: group.arn,
    attributes: {
      TargetGroupArn: group.arn,
      TargetGroupName: group.name,
      TargetGroupFullName: fullName(group.arn, ''),
      get LoadBalancerArns() {
        return [...new Set([...group.listeners].map((each) => each.loadBalancer.arn))];
      },
    },
  };
}

function listener({ arn }: Listener): CreatedResource {
  return { id: arn, attributes: { ListenerArn: arn } };
}

/** `net/name/id` or `targetgroup/name/id`, as in the dimensions of metrics. */
function fullName(arn: string, without: string): string {
  return arn.split(':').slice(5).join(':').slice(without.length);
}

/** Templates may write numbers and booleans as strings. */
function numbers(properties: Record<string, any>): Record<string, any> {
  const names = [
    'Port',
    'HealthCheckIntervalSeconds',
    'HealthCheckTimeoutSeconds',
    'HealthyThresholdCount',
    'UnhealthyThresholdCount',
  ];
  return {
    ...Object.fromEntries(
      names.filter((name) => properties[name] !== undefined).map((name) => [name, Number(properties[name])]),
    ),
    ...(properties.HealthCheckEnabled !== undefined && {
      HealthCheckEnabled: String(properties.HealthCheckEnabled) === 'true',
    }),
  };
}
