/** A plan in the making. The rules add to it in turn; each sees what those before it have set in motion. */
import type { NodeRole } from '../../protocol/body';
import type { Membership } from '../../protocol/cluster';
import type { Command } from '../../protocol/commands';
import { MAX_ORDERS, type Order, type Orders } from '../../protocol/orders';
import type { LAUNCH_HOOK, TERMINATE_HOOK } from '../../protocol/hooks';
import type { Announcement } from '../shared/announce';
import type { Observation } from './observation';

/** How long a command is valid. An agent refuses it afterwards, so a later one may replace it. */
export const COMMAND_MS = 60_000;

export type Effect = { instanceId: string; reason: string } & (
  | { kind: 'attach-volume'; volumeId: string; device: string }
  /** Continue the launch hook, then tell the stack. */
  | { kind: 'admit'; group: string; stackId?: string; logicalId?: string }
  | { kind: 'abandon'; group: string }
  | { kind: 'extend-hook'; group: string; hook: typeof LAUNCH_HOOK | typeof TERMINATE_HOOK }
  /**
   * Complete the terminate hook, with a tombstone before it. `tells`: nothing of one that goes with its whole stack, or
   * before there was a swarm. `late`: past its deadline.
   */
  | { kind: 'let-go'; group: string; role: NodeRole; event?: 'nodeLeft' | 'nodeLost'; late?: true }
  /** Call it unhealthy: its group terminates it and launches another. */
  | { kind: 'replace' }
  /** Through its group, which begins its terminate hook and launches another. */
  | { kind: 'terminate' }
  | { kind: 'suspend-launch'; group: string }
  /** Launches at once, where an instance is missing. */
  | { kind: 'resume-launch'; group: string }
);

export interface Plan {
  /** The membership record as it is to be; the very object observed when nothing changes. */
  membership: Membership;
  /** What to write into mailboxes: a command, or null to erase one. */
  commands: { instanceId: string; role: NodeRole; command: Command | null; reason: string }[];
  /** Whose mailbox is to hold which orders, or none any more. */
  orders: ({ instanceId: string } & Orders)[];
  effects: Effect[];
  /** Nothing to do about it here, but somebody should know. */
  alarms: { instanceId: string; reason: string }[];
  /** For whoever listens; what the effects tell by themselves comes on top. */
  announcements: Announcement[];
}

type CommandOfManagers = Extract<Command, { kind: NonNullable<Membership['managerChange']>['kind'] }>;

export class Draft {
  readonly membership: Membership;
  readonly effects: Effect[] = [];
  readonly alarms: Plan['alarms'] = [];
  readonly announcements: Announcement[] = [];
  private readonly ordered: Order[] = [];
  /** One for each mailbox: a later one takes the place of an earlier one. */
  private readonly commands = new Map<string, Plan['commands'][number]>();

  constructor(
    readonly observed: Observation,
    readonly newId: () => string,
  ) {
    this.membership = structuredClone(observed.membership);
  }

  get commandCount(): number {
    return this.commands.size;
  }

  setCommand(instanceId: string, role: NodeRole, command: Command | null, reason: string): void {
    this.commands.set(instanceId, { instanceId, role, command, reason });
  }

  /** What every command begins with. */
  commandFor(instanceId: string, reason: string) {
    return { id: this.newId(), instanceId, expiresAt: this.observed.now + COMMAND_MS, reason };
  }

  /** The one change of managers in flight from now on: of this seat. */
  changeManagers(seat: number, command: CommandOfManagers): void {
    const { kind, id: commandId, instanceId, expiresAt } = command;
    this.endManagerChange('Another command takes its place.');
    this.membership.managerChange = {
      kind,
      seat,
      instanceId,
      commandId,
      expiresAt,
      ...('nodeId' in command && { nodeId: command.nodeId }),
    };
    this.setCommand(instanceId, 'manager', command, command.reason);
  }

  /** No change of managers is in flight any more. What its command says, a token perhaps, goes from the mailbox. */
  endManagerChange(reason: string): void {
    const { managerChange } = this.membership;
    if (!managerChange) return;
    this.membership.managerChange = null;
    this.setCommand(managerChange.instanceId, 'manager', null, reason);
  }

  /** For the leader, about another node. False when it has to wait, since as many are open as may be. */
  order(order: Order): boolean {
    if (this.ordered.length >= MAX_ORDERS) return false;
    this.ordered.push(order);
    return true;
  }

  /** The whole list goes to whoever leads now, and nobody else keeps one. */
  private settleOrders(): Plan['orders'] {
    const before = this.membership.orders;
    const leader = this.observed.leader?.instanceId;
    const orders = [...this.ordered].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
    const rotation = this.membership.rotation?.asked?.id;
    this.membership.orders =
      leader !== undefined && (orders.length > 0 || rotation !== undefined)
        ? { instanceId: leader, orders, ...(rotation !== undefined && { rotation }) }
        : null;
    const after = this.membership.orders;
    if (JSON.stringify(before) === JSON.stringify(after)) return [];
    return [
      ...(before && before.instanceId !== after?.instanceId ? [{ instanceId: before.instanceId, orders: [] }] : []),
      ...(after ? [after] : []),
    ];
  }

  plan(): Plan {
    const orders = this.settleOrders();
    const changed = JSON.stringify(this.membership) !== JSON.stringify(this.observed.membership);
    return {
      membership: changed ? this.membership : this.observed.membership,
      commands: [...this.commands.values()],
      orders,
      effects: this.effects,
      alarms: this.alarms,
      announcements: this.announcements,
    };
  }
}
