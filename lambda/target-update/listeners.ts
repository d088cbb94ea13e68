/**
 * Makes, changes and removes a load balancer's listeners, target groups and rules for followed ports. Every request may
 * be repeated, and the next round retries whatever failed.
 */
import {
  AuthorizeSecurityGroupIngressCommand,
  RevokeSecurityGroupIngressCommand,
  type EC2Client,
  type IpPermission,
} from '@aws-sdk/client-ec2';
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
import { describeError, type Log } from '../../protocol/log';
import { isRight, type Followed, type FollowPlan, type Removal, type Rule, type Step } from './follow';

/** Concurrent requests. Between two batches the lease is renewed. */
const AT_ONCE = 5;
/** Errors that mean: already done. */
const ALREADY_EXISTS = 'InvalidPermission.Duplicate';
const ALREADY_GONE =
  /^(ListenerNotFound|TargetGroupNotFound|InvalidSecurityGroupRuleId\.NotFound|InvalidGroup\.NotFound)(Exception)?$/;
/** Errors that no retry solves before a person acts. */
const REFUSALS =
  /^(CertificateNotFound|UnsupportedCertificate|InvalidCertificate|TooMany\w+|IncompatibleProtocols|InvalidConfigurationRequest|RulesPerSecurityGroupLimitExceeded|SSLPolicyNotFound|ValidationError|InvalidGroup(Id)?\.\w+|InvalidPrefixListI[dD]\.\w+|InvalidParameterValue)(Exception)?$/;

export interface Maker {
  log: Log;
  cluster: string;
  ec2: EC2Client;
  elasticLoadBalancing: ElasticLoadBalancingV2Client;
}

export interface Made {
  changed: boolean;
  /** What AWS refused. */
  refused: Following['refused'];
}

/** @param holdsLease whether the lease is still ours. Called between batches; if not, its new owner does the rest */
export async function carryOutFollowing(
  dependencies: Maker,
  existing: Followed,
  { steps, atOnce, later }: FollowPlan,
  holdsLease: () => Promise<boolean>,
): Promise<Made> {
  const made: Made = { changed: await remove(dependencies, existing, atOnce, holdsLease), refused: [] };
  await inTurn(steps, holdsLease, async (step) => {
    const about = { loadBalancer: existing.arn, port: step.wanted.port };
    const onRefused = (reason: string) =>
      void made.refused.push({ ...about, reason: `AWS refused port ${about.port}: ${reason}`.slice(0, 500) });
    if (
      await attempt(
        dependencies,
        'Set up a published port.',
        about,
        () => make(dependencies, existing, step),
        onRefused,
      )
    )
      made.changed = true;
  });
  // Removes nothing in the round that makes something: the new listener must be served first.
  return made.changed ? made : { ...made, changed: await remove(dependencies, existing, later, holdsLease) };
}

async function remove(
  dependencies: Maker,
  { securityGroupId: GroupId }: Followed,
  { listeners, rules, groups }: Removal,
  holdsLease: () => Promise<boolean>,
): Promise<boolean> {
  const { elasticLoadBalancing, ec2 } = dependencies;
  let changed = false;
  const each = (ids: readonly string[], done: string, work: (id: string) => Promise<unknown>) =>
    inTurn(ids, holdsLease, async (id) => {
      if (await attempt(dependencies, done, { id }, () => work(id))) changed = true;
    });
  await each(listeners, 'Removed the listener of a published port.', (ListenerArn) =>
    elasticLoadBalancing.send(new DeleteListenerCommand({ ListenerArn })),
  );
  await each(rules, 'Closed a published port.', (id) =>
    ec2.send(new RevokeSecurityGroupIngressCommand({ GroupId, SecurityGroupRuleIds: [id] })),
  );
  await each(groups, 'Removed the target group of a published port.', (TargetGroupArn) =>
    elasticLoadBalancing.send(new DeleteTargetGroupCommand({ TargetGroupArn })),
  );
  return changed;
}

async function inTurn<T>(
  all: readonly T[],
  holdsLease: () => Promise<boolean>,
  work: (one: T) => Promise<void>,
): Promise<void> {
  for (let n = 0; n < all.length; n += AT_ONCE) {
    if (n > 0 && !(await holdsLease())) return;
    await Promise.all(all.slice(n, n + AT_ONCE).map(work));
  }
}

/** @param work resolves with false if it changed nothing */
async function attempt(
  dependencies: Maker,
  done: string,
  fields: Record<string, string | number>,
  work: () => Promise<unknown>,
  onRefused?: (reason: string) => void,
): Promise<boolean> {
  try {
    if ((await work()) === false) return false;
    dependencies.log('info', done, fields);
    return true;
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    // A request to make something may need a resource that is gone, such as a client's security group.
    if (!onRefused && ALREADY_GONE.test(name)) return false;
    dependencies.log('warn', 'A request about a published port failed. The next round tries again.', {
      ...fields,
      error: describeError(error),
    });
    if (REFUSALS.test(name)) onRefused?.(describeError(error));
    return false;
  }
}

/** The listener comes last, so that it never lacks a target group or a rule. @returns whether anything was changed */
async function make(dependencies: Maker, existing: Followed, step: Step): Promise<boolean> {
  const groupArn = await finishedGroup(dependencies, existing, step);
  const opened = await open(dependencies, existing, step.missingRules);
  const put = await putListener(dependencies, existing, step, groupArn);
  return opened || put || step.group?.digest !== step.wanted.group.digest;
}

async function finishedGroup(
  { elasticLoadBalancing, cluster }: Maker,
  { follows }: Followed,
  { wanted: { port, group: wanted }, group }: Step,
): Promise<string> {
  if (group?.digest === wanted.digest) return group.arn;
  const { healthCheck, attributes, servedBy } = wanted.settings;
  const groupArn = group?.arn ?? (await createGroup());
  if (group)
    await elasticLoadBalancing.send(new ModifyTargetGroupCommand({ TargetGroupArn: groupArn, ...healthCheck }));
  await elasticLoadBalancing.send(
    new ModifyTargetGroupAttributesCommand({ TargetGroupArn: groupArn, Attributes: attributes }),
  );
  // The digest marks it as finished.
  await elasticLoadBalancing.send(
    new AddTagsCommand({
      ResourceArns: [groupArn],
      Tags: tagList({ [SERVED_BY_TAG]: servedBy, [FOLLOWED_TAG]: wanted.digest }),
    }),
  );
  return groupArn;

  async function createGroup(): Promise<string> {
    const { TargetGroups } = await elasticLoadBalancing.send(
      new CreateTargetGroupCommand({
        Name: wanted.name,
        Protocol: wanted.protocol,
        Port: port,
        VpcId: follows!.vpcId,
        TargetType: 'instance',
        ...healthCheck,
        Tags: tagList({ [CLUSTER_TAG]: cluster, [SERVED_BY_TAG]: servedBy, [FOLLOWED_TAG]: MADE }),
      }),
    );
    return TargetGroups![0]!.TargetGroupArn!;
  }
}

/**
 * Adds all rules in one request. If one of them already exists, AWS refuses the whole request, and they are added one
 * by one.
 * @returns whether any rule was added
 */
async function open({ ec2 }: Maker, { securityGroupId: GroupId }: Followed, rules: readonly Rule[]): Promise<boolean> {
  const permission = ({ transport, port, peer, description }: Rule): IpPermission => ({
    IpProtocol: transport,
    FromPort: port,
    ToPort: port,
    ...peersOf(peer, description),
  });
  const authorize = async (batch: readonly Rule[]) => {
    try {
      await ec2.send(new AuthorizeSecurityGroupIngressCommand({ GroupId, IpPermissions: batch.map(permission) }));
      return true;
    } catch (error) {
      if (!(error instanceof Error && error.name === ALREADY_EXISTS)) throw error;
      return false;
    }
  };
  if (rules.length === 0) return false;
  if (await authorize(rules)) return true;
  if (rules.length === 1) return false;
  let opened = false;
  for (const rule of rules) opened = (await authorize([rule])) || opened;
  return opened;
}

function peersOf(peer: Peer, Description: string): Partial<IpPermission> {
  if ('cidrIp' in peer) return { IpRanges: [{ CidrIp: peer.cidrIp, Description }] };
  if ('cidrIpv6' in peer) return { Ipv6Ranges: [{ CidrIpv6: peer.cidrIpv6, Description }] };
  if ('sourcePrefixListId' in peer) return { PrefixListIds: [{ PrefixListId: peer.sourcePrefixListId, Description }] };
  return {
    UserIdGroupPairs: [
      {
        GroupId: peer.sourceSecurityGroupId,
        ...(peer.sourceSecurityGroupOwnerId !== undefined && { UserId: peer.sourceSecurityGroupOwnerId }),
        Description,
      },
    ],
  };
}

/** @returns whether the listener was made or changed */
async function putListener(
  { elasticLoadBalancing, cluster }: Maker,
  { arn }: Followed,
  { wanted, listener }: Step,
  TargetGroupArn: string,
): Promise<boolean> {
  const { protocol: Protocol, port: Port, certificate, sslPolicy: SslPolicy } = wanted;
  const settings = {
    Protocol,
    DefaultActions: [{ Type: 'forward' as const, TargetGroupArn }],
    ...(certificate !== undefined && { Certificates: [{ CertificateArn: certificate }], SslPolicy }),
  };
  if (listener && isRight(listener, wanted, TargetGroupArn)) return false;
  if (!listener)
    await elasticLoadBalancing.send(
      new CreateListenerCommand({
        LoadBalancerArn: arn,
        Port,
        ...settings,
        Tags: tagList({ [CLUSTER_TAG]: cluster, [FOLLOWED_TAG]: MADE }),
      }),
    );
  else await elasticLoadBalancing.send(new ModifyListenerCommand({ ListenerArn: listener.arn, ...settings }));
  return true;
}

const tagList = (tags: Record<string, string>): Tag[] => Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
