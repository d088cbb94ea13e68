/** A plan in the making. The rules add to it one after the other; each sees what those before it decided. */
import type { NodeRole } from '../../protocol/body';
import type { Membership } from '../../protocol/cluster';
import type { Command } from '../../protocol/commands';
import { MAX_ORDERS, type Order, type Orders } from '../../protocol/orders';
import type { LAUNCH_HOOK, TERMINATE_HOOK } from '../../protocol/hooks';
import type { Announcement } from '../shared/announce';
import type { Observation } from './observation';

/** How long a command is valid. An agent refuses it afterwards, so that a later command can replace it. */
export const COMMAND_MS = 60_000;

export type Effect = { instanceId: string; reason: string } & (
  | { kind: 'attach-volume'; volumeId: string; device: string }
  /** Complete the launch hook with CONTINUE, then signal the stack. */
  | { kind: 'admit'; group: string; stackId?: string; logicalId?: string }
  | { kind: 'abandon'; group: string }
  | { kind: 'extend-hook'; group: string; hook: typeof LAUNCH_HOOK | typeof TERMINATE_HOOK }
  /**
   * Write the tombstone, then complete the terminate hook. `event`: what to announce; nothing if the whole stack is
   * being deleted, or if there was no swarm yet. `late`: past its deadline.
   */
  | { kind: 'let-go'; group: string; role: NodeRole; event?: 'nodeLeft' | 'nodeLost'; late?: true }
  /** Mark the instance unhealthy: its group terminates it and launches another. */
  | { kind: 'replace' }
  /** Terminate it through its group, which starts the terminate hook and launches another. */
  | { kind: 'terminate' }
  | { kind: 'suspend-launch'; group: string }
  /** The group launches at once if an instance is missing. */
  | { kind: 'resume-launch'; group: string }
);

export interface Plan {
  /** The membership record to write. The observed object itself if nothing changes. */
  membership: Membership;
  /** Mailbox changes: a command to write, or null to erase one. */
  commands: { instanceId: string; role: NodeRole; command: Command | null; reason: string }[];
  /** Mailboxes whose orders change; an empty list erases them. */
  orders: ({ instanceId: string } & Orders)[];
  effects: Effect[];
  /** Problems that the functions cannot solve and a person should know of. */
  alarms: { instanceId: string; reason: string }[];
  /** Events to send, in addition to those of the effects. */
  announcements: Announcement[];
}

type CommandOfManagers = Extract<Command, { kind: NonNullable<Membership['managerChange']>['kind'] }>;

export class Draft {
  readonly membership: Membership;
  readonly effects: Effect[] = [];
  readonly alarms: Plan['alarms'] = [];
  readonly announcements: Announcement[] = [];
  private readonly ordered: Order[] = [];
  /** At most one per mailbox: a later command replaces an earlier one. */
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

  /** The fields that every command starts with. */
  commandFor(instanceId: string, reason: string) {
    return { id: this.newId(), instanceId, expiresAt: this.observed.now + COMMAND_MS, reason };
  }

  /** Makes this the one change of managers in flight. */
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

  /** Ends the change of managers in flight. Its command, which may hold a token, is erased from the mailbox. */
  endManagerChange(reason: string): void {
    const { managerChange } = this.membership;
    if (!managerChange) return;
    this.membership.managerChange = null;
    this.setCommand(managerChange.instanceId, 'manager', null, reason);
  }

  /** Orders the leader to do something about another node. False when the list is full and the order has to wait. */
  order(order: Order): boolean {
    if (this.ordered.length >= MAX_ORDERS) return false;
    this.ordered.push(order);
    return true;
  }

  /** The current leader gets the complete list; a former leader's list is erased. */
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
