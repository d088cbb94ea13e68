/** Live progress: a redrawn table in a terminal, plain lines elsewhere. */
import { MILESTONE_NAMES, renderTimeline, seconds, type Milestone, type NodeTimeline } from './timeline';

export interface Screen {
  isTTY?: boolean;
  columns?: number;
  rows?: number;
  write(text: string): unknown;
}

export class Progress {
  private drawn = 0;

  constructor(private readonly screen: Screen) {}

  /** A line that stays. */
  line(text: string): void {
    this.erase();
    this.screen.write(`${text}\n`);
  }

  milestone(node: NodeTimeline, milestone: Milestone | 'launched', rows: NodeTimeline[], atMs: number): void {
    if (!this.screen.isTTY) {
      const name =
        milestone === 'launched'
          ? `launched (${node.instanceId}, ${node.address}, ${node.availabilityZone})`
          : MILESTONE_NAMES[milestone];
      this.screen.write(`${seconds(atMs).padStart(6)} s  ${node.name}: ${name}\n`);
      return;
    }
    this.erase();
    // Longer lines would wrap, and the next redraw would miss them.
    const lines = renderTimeline(rows, false).map((line) => line.slice(0, (this.screen.columns ?? 80) - 1));
    // Lines that have scrolled off the screen cannot be redrawn, so only the last nodes that fit are shown.
    const room = (this.screen.rows ?? 24) - 1;
    const shown = lines.length > room ? [lines[0]!, ...lines.slice(1 - room)] : lines;
    this.screen.write(shown.map((line) => `${line}\n`).join(''));
    this.drawn = shown.length;
  }

  /** Erases the table, so that the next output takes its place. */
  erase(): void {
    // Up N lines, then clear to the end: https://en.wikipedia.org/wiki/ANSI_escape_code#CSI_sequences
    if (this.drawn > 0) this.screen.write(`\u001b[${this.drawn}A\u001b[J`);
    this.drawn = 0;
  }
}
