/** When each node reached what on its way into the swarm. Only keeps and prints: who observes is formation.ts. */

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
   * @param changed told of each milestone once
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

  /** The first time counts. An instance that was never launched here is none of ours. */
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
 * One line for the head and one for each node. A milestone that was not reached is `-`; one that the role does not have
 * is empty.
 *
 * @param ids whether instance ids and addresses have columns, and columns their full names: without, the table fits a
 * terminal of 80 columns
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

/** @param textColumns how many columns from the left are texts; the others are figures, flush right */
export function renderTable(lines: string[][], textColumns: number): string[] {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines.map((line) =>
    line
      .map((cell, column) => (column < textColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}
