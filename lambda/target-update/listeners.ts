/** Makes, changes and takes away what a load balancer has for followed ports. Everything may be repeated: what is so already is no error. What fails is tried again by the next look. */
import { AuthorizeSecurityGroupIngressCommand, RevokeSecurityGroupIngressCommand, type EC2Client, type IpPermission } from '@aws-sdk/client-ec2';
import {
  AddTagsCommand,
  CreateListenerCommand,
  CreateTargetGroupCommand,
  DeleteListenerCommand,
  DeleteTargetGroupCommand,
  ModifyListenerCommand,
  ModifyTargetGroupAttributesCommand,
  ModifyTargetGroupCommand,
  type ElasticLoadBalancingV2Client,
  type Tag,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { FOLLOWED_TAG, MADE, type Following, type Peer } from '../../protocol/following';
import { CLUSTER_TAG } from '../../protocol/tags';
import { SERVED_BY_TAG } from '../../protocol/targets';
import { describeError, type Log } from '../log';
import { isRight, type Followed, type FollowPlan, type Removal, type Rule, type Step } from './follow';

/** Of one round: the lease is renewed between two. Each has six requests at most. */
const MOST_STEPS = 5;
const MOST_REMOVED = 20;
/** What is so already. */
const THERE_ALREADY = /^InvalidPermission\.Duplicate$/;
const GONE_ALREADY = /^(ListenerNotFound|TargetGroupNotFound|InvalidSecurityGroupRuleId\.NotFound|InvalidGroup\.NotFound)(Exception)?$/;
/** What no further try changes before a person does something. */
const REFUSALS = /^(CertificateNotFound|UnsupportedCertificate|InvalidCertificate|TooMany\w+|IncompatibleProtocols|InvalidConfigurationRequest|RulesPerSecurityGroupLimitExceeded|SSLPolicyNotFound|ValidationError)(Exception)?$/;

export interface Maker {
  log: Log;
  cluster: string;
  ec2: EC2Client;
  elasticLoadBalancing: ElasticLoadBalancingV2Client;
}

/** @returns whether anything was changed, and what AWS refused */
export async function carryOutFollowing(by: Maker, there: Followed, { steps, atOnce, later }: FollowPlan): Promise<{ changed: boolean; refused: Following['refused'] }> {
  const removedAtOnce = await remove(by, there, atOnce);
  const refused: Following['refused'] = [];
  const made = await Promise.all(
    steps.slice(0, MOST_STEPS).map((step) => {
      const about = { loadBalancer: there.arn, port: step.wanted.port };
      const onRefused = (reason: string) => void refused.push({ ...about, reason: `Port ${about.port} was refused: ${reason}`.slice(0, 500) });
      return attempt(by, 'Made what a published port needs.', about, () => make(by, there, step), onRefused);
    }),
  );
  const changed = removedAtOnce || made.includes(true);
  // What is new comes first, and is served before anything else goes.
  return { changed: changed || (await remove(by, there, later)), refused };
}

async function remove(by: Maker, { securityGroupId: GroupId }: Followed, { listeners, rules, groups }: Removal): Promise<boolean> {
  const { elasticLoadBalancing, ec2 } = by;
  const removed: boolean[] = [];
  for (const ListenerArn of listeners.slice(0, MOST_REMOVED)) removed.push(await attempt(by, 'Removed the listener of a published port.', { listener: ListenerArn }, () => elasticLoadBalancing.send(new DeleteListenerCommand({ ListenerArn }))));
  const SecurityGroupRuleIds = rules.slice(0, MOST_REMOVED);
  if (SecurityGroupRuleIds.length > 0) removed.push(await attempt(by, 'Closed published ports.', { securityGroup: GroupId, rules: SecurityGroupRuleIds.length }, () => ec2.send(new RevokeSecurityGroupIngressCommand({ GroupId, SecurityGroupRuleIds }))));
  for (const TargetGroupArn of groups.slice(0, MOST_REMOVED)) removed.push(await attempt(by, 'Removed the target group of a published port.', { targetGroup: TargetGroupArn }, () => elasticLoadBalancing.send(new DeleteTargetGroupCommand({ TargetGroupArn }))));
  return removed.includes(true);
}

async function attempt(by: Maker, done: string, fields: Record<string, string | number>, work: () => Promise<unknown>, onRefused?: (reason: string) => void): Promise<boolean> {
  try {
    await work();
    by.log('info', done, fields);
    return true;
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (GONE_ALREADY.test(name)) return false;
    by.log('warn', 'A request about a published port failed. It is tried again at the next look.', { ...fields, error: describeError(error) });
    if (REFUSALS.test(name)) onRefused?.(describeError(error));
    return false;
  }
}

/** The listener comes last: whoever connects finds somebody behind it. */
async function make(by: Maker, there: Followed, step: Step): Promise<void> {
  const groupArn = await finishedGroup(by, there, step);
  for (const rule of step.missingRules) await open(by, there, rule);
  await putListener(by, there, step, groupArn);
}

async function finishedGroup({ elasticLoadBalancing, cluster }: Maker, { follows }: Followed, { wanted: { port, group: wanted }, group }: Step): Promise<string> {
  if (group?.digest === wanted.digest) return group.arn;
  const { healthCheck, attributes, servedBy } = wanted.settings;
  const groupArn = group?.arn ?? (await createGroup());
  if (group) await elasticLoadBalancing.send(new ModifyTargetGroupCommand({ TargetGroupArn: groupArn, ...healthCheck }));
  await elasticLoadBalancing.send(new ModifyTargetGroupAttributesCommand({ TargetGroupArn: groupArn, Attributes: attributes }));
  // By the digest it is known to be finished.
  await elasticLoadBalancing.send(new AddTagsCommand({ ResourceArns: [groupArn], Tags: tagList({ [SERVED_BY_TAG]: servedBy, [FOLLOWED_TAG]: wanted.digest }) }));
  return groupArn;

  async function createGroup(): Promise<string> {
    const { TargetGroups } = await elasticLoadBalancing.send(
      new CreateTargetGroupCommand({ Name: wanted.name, Protocol: wanted.protocol, Port: port, VpcId: follows!.vpcId, TargetType: 'instance', ...healthCheck, Tags: tagList({ [CLUSTER_TAG]: cluster, [SERVED_BY_TAG]: servedBy, [FOLLOWED_TAG]: MADE }) }),
    );
    return TargetGroups![0]!.TargetGroupArn!;
  }
}

async function open({ ec2 }: Maker, { securityGroupId: GroupId }: Followed, { transport, port, peer, description }: Rule): Promise<void> {
  try {
    await ec2.send(new AuthorizeSecurityGroupIngressCommand({ GroupId, IpPermissions: [{ IpProtocol: transport, FromPort: port, ToPort: port, ...peersOf(peer, description) }] }));
  } catch (error) {
    if (!(error instanceof Error && THERE_ALREADY.test(error.name))) throw error;
  }
}

function peersOf(peer: Peer, Description: string): Partial<IpPermission> {
  if ('cidrIp' in peer) return { IpRanges: [{ CidrIp: peer.cidrIp, Description }] };
  if ('cidrIpv6' in peer) return { Ipv6Ranges: [{ CidrIpv6: peer.cidrIpv6, Description }] };
  if ('sourcePrefixListId' in peer) return { PrefixListIds: [{ PrefixListId: peer.sourcePrefixListId, Description }] };
  return { UserIdGroupPairs: [{ GroupId: peer.sourceSecurityGroupId, Description }] };
}

async function putListener({ elasticLoadBalancing, cluster }: Maker, { arn }: Followed, { wanted, listener }: Step, TargetGroupArn: string): Promise<void> {
  const { protocol: Protocol, port: Port, certificate, sslPolicy: SslPolicy } = wanted;
  const settings = { Protocol, DefaultActions: [{ Type: 'forward' as const, TargetGroupArn }], ...(certificate !== undefined && { Certificates: [{ CertificateArn: certificate }], SslPolicy }) };
  if (!listener) await elasticLoadBalancing.send(new CreateListenerCommand({ LoadBalancerArn: arn, Port, ...settings, Tags: tagList({ [CLUSTER_TAG]: cluster, [FOLLOWED_TAG]: MADE }) }));
  else if (!isRight(listener, wanted, TargetGroupArn)) await elasticLoadBalancing.send(new ModifyListenerCommand({ ListenerArn: listener.arn, ...settings }));
}

const tagList = (tags: Record<string, string>): Tag[] => Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
