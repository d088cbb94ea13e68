/**
 * Security group rules: stored, counted and described. They filter no traffic.
 * https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
 */
import { createHash } from 'node:crypto';
import { tagList, type Tags } from '../core/describe';
import { AwsError } from '../core/types';

type PeerKind = 'CidrIpv4' | 'CidrIpv6' | 'PrefixListId' | 'ReferencedGroupId';

/** The traffic that a rule allows, and its peer. */
export interface Permitted {
  protocol: string;
  /** -1 if the protocol has no ports, or for all ports. */
  fromPort: number;
  toPort: number;
  peer: { kind: PeerKind; value: string };
  description: string | undefined;
}

/** A rule, as other code sees it. */
export interface SecurityGroupRuleView extends Permitted {
  ruleId: string;
  groupId: string;
  egress: boolean;
  tags: Tags;
}

interface Rule extends SecurityGroupRuleView {
  /** The default rule of a new group, which allows all egress until the group gets its own egress rule. */
  preset: boolean;
}

/**
 * Per direction, and separately for IPv4 and IPv6:
 * https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
 */
const MOST_RULES = 60;
/** https://www.iana.org/assignments/protocol-numbers/protocol-numbers.xhtml ; the API names the first four. */
const PROTOCOLS: Record<string, string> = {
  '1': 'icmp',
  '6': 'tcp',
  '17': 'udp',
  '58': 'icmpv6',
  all: '-1',
  esp: '50',
  ah: '51',
};

const invalid = (message: string) => new AwsError('InvalidParameterValue', message);

export class SecurityGroupRules {
  /** In order of creation. */
  private readonly rules = new Map<string, Rule>();
  private made = 0;

  views(): SecurityGroupRuleView[] {
    return [...this.rules.values()];
  }

  /**
   * Adds the default rule of a new group. https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
   */
  allowAllOut(groupId: string): void {
    this.insert(
      groupId,
      true,
      {
        protocol: '-1',
        fromPort: -1,
        toPort: -1,
        peer: { kind: 'CidrIpv4', value: '0.0.0.0/0' },
        description: undefined,
      },
      {},
      true,
    );
  }

  /**
   * Removes the default rule of a new group when its template has egress rules.
   * Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-securitygroupegress.html
   */
  dropPreset(groupId: string): void {
    for (const rule of this.of(groupId)) if (rule.preset) this.rules.delete(rule.ruleId);
  }

  /**
   * Adds all rules or none.
   * @param ruleId the id, if there is only one rule
   * @throws AwsError in AWS's words, e.g.
   * https://github.com/terraform-aws-modules/terraform-aws-security-group/issues/351 ,
   * https://github.com/hashicorp/terraform/issues/16876 and
   * https://github.com/aws-samples/aws-cloudfront-samples/issues/53
   */
  add(
    groupId: string,
    egress: boolean,
    permitted: Permitted[],
    tags: Tags = {},
    ruleId?: string,
  ): SecurityGroupRuleView[] {
    if (new Set(permitted.map(peerOf)).size < permitted.length)
      throw invalid('The same permission must not appear multiple times');
    const there = this.of(groupId).filter((rule) => rule.egress === egress);
    for (const each of permitted) {
      if (there.some((rule) => peerOf(rule) === peerOf(each)))
        throw new AwsError('InvalidPermission.Duplicate', `the specified rule "${peerOf(each)}" already exists`);
    }
    const after = [...there, ...permitted];
    for (const counts of [countsForIpv4, countsForIpv6]) {
      if (after.filter(counts).length > MOST_RULES)
        throw new AwsError(
          'RulesPerSecurityGroupLimitExceeded',
          'The maximum number of rules per security group has been reached.',
        );
    }
    return permitted.map((each) => this.insert(groupId, egress, each, tags, false, ruleId));
  }

  /**
   * Revokes all rules or none.
   * @throws AwsError in AWS's words, e.g. https://github.com/piyushsonigra/aws_ipadd/issues/10 ; those for an id are
   * not published
   */
  revoke(
    groupId: string,
    egress: boolean,
    wanted: { ids: string[] } | { permitted: Permitted[] },
  ): SecurityGroupRuleView[] {
    const there = this.of(groupId).filter((rule) => rule.egress === egress);
    const gone =
      'ids' in wanted
        ? wanted.ids.map((id) => there.find((rule) => rule.ruleId === id) ?? noSuchRule(id))
        : wanted.permitted.map(
            (each) =>
              there.find((rule) => peerOf(rule) === peerOf(each)) ??
              fail('InvalidPermission.NotFound', 'The specified rule does not exist in this security group.'),
          );
    for (const { ruleId } of gone) this.rules.delete(ruleId);
    return gone;
  }

  /** @throws AwsError when there is no such rule */
  rule(id: string): SecurityGroupRuleView {
    return this.rules.get(id) ?? noSuchRule(id);
  }

  /** Does nothing if the rule is already gone. */
  remove(ruleId: string): void {
    this.rules.delete(ruleId);
  }

  /** Call this when the group has been deleted. */
  forget(groupId: string): void {
    for (const { ruleId } of this.of(groupId)) this.rules.delete(ruleId);
  }

  /** Whether a rule of another group refers to this one. */
  isReferenced(groupId: string): boolean {
    return [...this.rules.values()].some(
      (rule) => rule.groupId !== groupId && rule.peer.kind === 'ReferencedGroupId' && rule.peer.value === groupId,
    );
  }

  private of(groupId: string): Rule[] {
    return [...this.rules.values()].filter((rule) => rule.groupId === groupId);
  }

  private insert(
    groupId: string,
    egress: boolean,
    permitted: Permitted,
    tags: Tags,
    preset: boolean,
    ruleId = this.nextId(groupId),
  ): Rule {
    const rule = { ...permitted, ruleId, groupId, egress, tags, preset };
    this.rules.set(ruleId, rule);
    return rule;
  }

  /** Derived, not random: a rule that is created with another resource must not change other random ids. */
  private nextId(groupId: string): string {
    this.made += 1;
    return `sgr-${createHash('sha256').update(`${groupId} ${this.made}`).digest('hex').slice(0, 17)}`;
  }
}

/**
 * The rules of a request: one for each peer of each permission.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
 */
export function permittedBy(input: Record<string, any>): Permitted[] {
  if (input.IpPermissions !== undefined) return (input.IpPermissions as Record<string, any>[]).flatMap(ofPermission);
  if (input.CidrIp === undefined)
    throw new AwsError('MissingParameter', 'The request must contain the parameter ipPermissions or cidrIp');
  return ofPermission({
    IpProtocol: input.IpProtocol,
    FromPort: input.FromPort,
    ToPort: input.ToPort,
    IpRanges: [{ CidrIp: input.CidrIp }],
  });
}

function ofPermission({
  IpProtocol,
  FromPort,
  ToPort,
  IpRanges = [],
  Ipv6Ranges = [],
  PrefixListIds = [],
  UserIdGroupPairs = [],
}: Record<string, any>): Permitted[] {
  const peers = [
    ...IpRanges.map(({ CidrIp, Description }: Record<string, string>) =>
      permitted(IpProtocol, FromPort, ToPort, 'CidrIpv4', CidrIp!, Description),
    ),
    ...Ipv6Ranges.map(({ CidrIpv6, Description }: Record<string, string>) =>
      permitted(IpProtocol, FromPort, ToPort, 'CidrIpv6', CidrIpv6!, Description),
    ),
    ...PrefixListIds.map(({ PrefixListId, Description }: Record<string, string>) =>
      permitted(IpProtocol, FromPort, ToPort, 'PrefixListId', PrefixListId!, Description),
    ),
    ...UserIdGroupPairs.map(({ GroupId, Description }: Record<string, string>) =>
      permitted(IpProtocol, FromPort, ToPort, 'ReferencedGroupId', GroupId!, Description),
    ),
  ];
  if (peers.length === 0) throw invalid('Invalid value for ipPermissions: a peer must be specified');
  return peers;
}

/** The rule of a template, which has one peer. */
export function permittedByTemplate(rule: Record<string, any>, direction: 'Source' | 'Destination'): Permitted {
  const {
    CidrIp,
    CidrIpv6,
    Description,
    [`${direction}SecurityGroupId`]: group,
    [`${direction}PrefixListId`]: list,
  } = rule;
  const peers: [PeerKind, string | undefined][] = [
    ['CidrIpv4', CidrIp],
    ['CidrIpv6', CidrIpv6],
    ['ReferencedGroupId', group],
    ['PrefixListId', list],
  ];
  const [peer, ...more] = peers.filter((each): each is [PeerKind, string] => each[1] !== undefined);
  if (!peer || more.length > 0)
    throw invalid(
      `A rule of a security group needs exactly one of CidrIp, CidrIpv6, ${direction}SecurityGroupId, ` +
        `${direction}PrefixListId`,
    );
  return permitted(String(rule.IpProtocol), rule.FromPort, rule.ToPort, ...peer, Description);
}

function permitted(
  givenProtocol: string | undefined,
  from: unknown,
  to: unknown,
  kind: PeerKind,
  value: string,
  description: string | undefined,
): Permitted {
  if (givenProtocol === undefined)
    throw new AwsError('MissingParameter', 'The request must contain the parameter ipProtocol');
  const name = String(givenProtocol).toLowerCase();
  const protocol = PROTOCOLS[name] ?? name;
  if (!/^(-1|\d+|tcp|udp|icmp|icmpv6)$/.test(protocol))
    throw invalid(`Invalid value '${givenProtocol}' for IP protocol. Unknown protocol.`);
  if (kind === 'CidrIpv4' && !/^\d+(\.\d+){3}\/\d+$/.test(value)) throw invalid(`CIDR block ${value} is malformed`);
  if (kind === 'CidrIpv6' && !/^[0-9a-f:]+\/\d+$/i.test(value)) throw invalid(`CIDR block ${value} is malformed`);
  const [fromPort, toPort] = portsOf(protocol, from, to);
  return { protocol, fromPort, toPort, peer: { kind, value }, description };
}

/**
 * "Use -1 to specify all protocols [...] allows traffic on all ports, regardless of any port range you specify."
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
 */
function portsOf(protocol: string, from: unknown, to: unknown): [number, number] {
  if (protocol.startsWith('icmp')) return [Number(from ?? -1), Number(to ?? -1)];
  if (protocol !== 'tcp' && protocol !== 'udp') return [-1, -1];
  const [first, last] = [Number(from), Number(to)];
  if (!(first >= 0 && last <= 65_535 && first <= last))
    throw invalid(`Invalid value for portRange. Must specify both from and to ports with TCP/UDP.`);
  return [first, last];
}

/** The rule as errors print it. Two rules with the same text are the same. */
function peerOf({ protocol, fromPort, toPort, peer }: Permitted): string {
  const from = `peer: ${peer.value}`;
  if (protocol === '-1') return `${from}, ALL, ALLOW`;
  if (protocol === 'tcp' || protocol === 'udp')
    return `${from}, ${protocol.toUpperCase()}, from port: ${fromPort}, to port: ${toPort}, ALLOW`;
  const code = (value: number) => (value === -1 ? 'ALL' : String(value));
  return protocol.startsWith('icmp')
    ? `${from}, ${protocol.toUpperCase()}, type: ${code(fromPort)}, code: ${code(toPort)}, ALLOW`
    : `${from}, protocol: ${protocol}, ALLOW`;
}

/**
 * "A rule that references a security group or prefix list ID counts as one rule each for IPv4 and IPv6." The emulation
 * does not know the size of a prefix list and counts it once.
 */
const countsForIpv4 = ({ peer }: Permitted) => peer.kind !== 'CidrIpv6';
const countsForIpv6 = ({ peer }: Permitted) => peer.kind !== 'CidrIpv4';

function fail(code: string, message: string): never {
  throw new AwsError(code, message);
}

function noSuchRule(id: string): never {
  if (!/^sgr-[0-9a-f]+$/.test(id))
    fail('InvalidSecurityGroupRuleId.Malformed', `Invalid id: "${id}" (expecting "sgr-...")`);
  return fail('InvalidSecurityGroupRuleId.NotFound', `The security group rule ID '${id}' does not exist`);
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html */
export function ruleOutput(rule: SecurityGroupRuleView, ownerId: string, arn: string): Record<string, any> {
  const { ReferencedGroupId, ...rest } = revokedOutput(rule);
  return {
    ...rest,
    GroupOwnerId: ownerId,
    ReferencedGroupInfo: ReferencedGroupId === undefined ? undefined : { GroupId: ReferencedGroupId, UserId: ownerId },
    Tags: tagList(rule.tags),
    SecurityGroupRuleArn: arn,
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokedSecurityGroupRule.html */
export function revokedOutput({
  ruleId,
  groupId,
  egress,
  protocol,
  fromPort,
  toPort,
  peer,
  description,
}: SecurityGroupRuleView): Record<string, any> {
  return {
    SecurityGroupRuleId: ruleId,
    GroupId: groupId,
    IsEgress: egress,
    IpProtocol: protocol,
    FromPort: fromPort,
    ToPort: toPort,
    [peer.kind]: peer.value,
    Description: description,
  };
}
