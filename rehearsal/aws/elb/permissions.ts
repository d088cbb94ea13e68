/**
 * The permissions that Elastic Load Balancing's actions need. Creating something with tags also needs AddTags, on an
 * ARN that ends in a wildcard: the id is not known yet. Describe actions are checked on no resource.
 * Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html,
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/tagging-resources-during-creation.html
 */
import type { Context } from '../core/context';
import { given, requestTag, tagValue, type Permission, type Permissions } from '../iam/permission';
import type { LoadBalancers } from './elb';

export function loadBalancingPermissions({
  elb,
  context,
}: {
  elb: Pick<LoadBalancers, 'tagsOf'>;
  context: Pick<Context, 'arn'>;
}): Permissions {
  return (action, input) => {
    const on = (permission: string, resource: string, callKeys: Record<string, string[]> = {}): Permission => ({
      action: `elasticloadbalancing:${permission}`,
      resource,
      key: (key) =>
        callKeys[key] ??
        tagValue(elb.tagsOf(resource), key, 'aws:resourcetag/') ??
        tagValue(elb.tagsOf(resource), key, 'elasticloadbalancing:resourcetag/') ??
        requestTag(input, key),
    });
    const withTags = (resource: string): Permission[] =>
      input.Tags?.length ? [on('AddTags', resource, { 'elasticloadbalancing:createaction': [action] })] : [];
    switch (action) {
      case 'DescribeLoadBalancers':
      case 'DescribeListeners':
      case 'DescribeTargetGroups':
      case 'DescribeTargetGroupAttributes':
      case 'DescribeTargetHealth':
      case 'DescribeTags':
        return [on(action, '*')];
      case 'RegisterTargets':
      case 'DeregisterTargets':
      case 'ModifyTargetGroup':
      case 'ModifyTargetGroupAttributes':
      case 'DeleteTargetGroup':
        return given(input.TargetGroupArn).map((group) => on(action, group));
      case 'CreateTargetGroup':
        return given(input.Name).flatMap((name) => {
          const group = context.arn('elasticloadbalancing', `targetgroup/${name}/*`);
          return [on(action, group), ...withTags(group)];
        });
      case 'CreateListener':
        return given(input.LoadBalancerArn).flatMap((loadBalancer) => [
          on(action, loadBalancer),
          ...withTags(`${loadBalancer.replace(':loadbalancer/', ':listener/')}/*`),
        ]);
      case 'ModifyListener':
      case 'DeleteListener':
        return given(input.ListenerArn).map((listener) => on(action, listener));
      case 'AddTags':
      case 'RemoveTags':
        return given(input.ResourceArns).map((resource) => on(action, resource));
      default:
        return undefined;
    }
  };
}
