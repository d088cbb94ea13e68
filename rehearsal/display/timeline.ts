/**
 * When each node reached each milestone on its way into the swarm. Only stores and prints; run/rehearsal.ts and
 * simulation/form.ts observe.
 */

/**
 * In the order of the columns. `launched` counts from the start of the deployment, all others from the instance's
 * launch.
 */
export const MILESTONES = ['userData', 'volume', 'engine', 'command', 'joined', 'ready', 'hook'] as const;
export type Milestone = (typeof MILESTONES)[number];
export const MILESTONE_NAMES: Record<Milestone, string> = {
  userData: 'user data',
  engine: 'engine up',
  volume: 'volume',
  command: 'command',
  joined: 'joined',
  ready: 'Ready',
  hook: 'hook completed',
};

export interface NodeTimeline {
  instanceId: string;
  /** `seat 0`, or `worker 1`, in the order of their launches. */
  name: string;
  role: string;
  address: string;
  availabilityZone: string;
  /** Milliseconds from the start of the deployment to the instance's launch. */
  launched: number;
  /** Milliseconds from the instance's launch. */
  milestones: Partial<Record<Milestone, number>>;
}

export class Timeline {
  private readonly nodes = new Map<string, NodeTimeline>();

  /**
   * @param now milliseconds
   * @param changed called once for each milestone
   */
  constructor(
    private readonly now: () => number,
    private readonly changed: (node: NodeTimeline, milestone: Milestone | 'launched') => void,
  ) {
    this.started = now();
  }

  readonly started: number;

  launch(node: Pick<NodeTimeline, 'instanceId' | 'name' | 'role' | 'address' | 'availabilityZone'>): void {
    if (this.nodes.has(node.instanceId)) return;
    const timeline = { ...node, launched: this.now() - this.started, milestones: {} };
    this.nodes.set(node.instanceId, timeline);
    this.changed(timeline, 'launched');
  }

  /** Only the first time counts. Ignores instances that were not launched in this run. */
  reach(instanceId: string, milestone: Milestone): void {
    const node = this.nodes.get(instanceId);
    if (node === undefined || node.milestones[milestone] !== undefined) return;
    node.milestones[milestone] = this.now() - this.started - node.launched;
    this.changed(node, milestone);
  }

  rows(): NodeTimeline[] {
    return [...this.nodes.values()];
  }
}

export function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

/**
 * A header line, then one line for each node. A milestone that was not reached is `-`; one that the role does not have
 * is empty.
 *
 * @param ids adds instance ids and addresses, and full column names; without them the table fits 80 columns
 */
export function renderTimeline(rows: NodeTimeline[], ids = true): string[] {
  const head = [
    'node',
    ...(ids ? ['instance', 'address'] : []),
    'launched',
    ...MILESTONES.map((milestone) => (ids ? MILESTONE_NAMES[milestone] : MILESTONE_NAMES[milestone].split(' ')[0]!)),
  ];
  const body = rows.map((row) => [
    row.name,
    ...(ids ? [row.instanceId, row.address] : []),
    seconds(row.launched),
    ...MILESTONES.map((milestone) => {
      const at = row.milestones[milestone];
      if (at !== undefined) return seconds(at);
      return milestone === 'volume' && row.role !== 'manager' ? '' : '-';
    }),
  ]);
  return renderTable([head, ...body], ids ? 3 : 1);
}

/** @param textColumns how many columns from the left are text; the others are numbers, aligned right */
export function renderTable(lines: string[][], textColumns: number): string[] {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines.map((line) =>
    line
      .map((cell, column) => (column < textColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}
