/**
 * The progress line: on stderr, if that is a terminal, redrawn in place. When the guest's console is on the same terminal the line is
 * drawn only while the console is at the beginning of a line, and taken away before the guest writes.
 */
import { grouped, megabytes, virtualTime } from './format.ts';
import { monotonicMs } from './host.ts';
import type { Output } from './output.ts';

const INTERVAL_MS = 200;

export interface ProgressState {
  readonly position: number;
  readonly virtualNs: number;
  /** Undefined if there is no log. */
  readonly logBytes?: number | undefined;
  /** 0 to 1, if the end is known. */
  readonly fraction?: number | undefined;
}

export class Progress {
  private readonly err: Output;
  private readonly isShown: boolean;
  private isDrawn = false;
  private atLineStart = true;
  private lastMs = monotonicMs();
  private lastPosition = 0;
  private readonly startMs = this.lastMs;

  constructor(err: Output, isWanted: boolean) {
    this.err = err;
    this.isShown = isWanted && err.isTerminal;
  }

  /** Call before console output that goes to the same terminal. */
  beforeConsole(bytes: Uint8Array): void {
    this.clear();
    if (bytes.length > 0) this.atLineStart = bytes[bytes.length - 1] === 0x0a;
  }

  clear(): void {
    if (this.isDrawn) this.err.write('\r\x1b[K');
    this.isDrawn = false;
  }

  /** Cheap when it is not time yet. */
  update(state: ProgressState): void {
    if (!this.isShown) return;
    const now = monotonicMs();
    if (now - this.lastMs < INTERVAL_MS || !this.atLineStart) return;
    const mips = (state.position - this.lastPosition) / (now - this.lastMs) / 1e3;
    this.lastMs = now;
    this.lastPosition = state.position;
    this.err.write(`\r${this.line(state, mips)}\x1b[K`);
    this.isDrawn = true;
  }

  line(state: ProgressState, mips: number): string {
    const parts = [`@${grouped(state.position)}`, `${mips.toFixed(1)} MIPS`, `${virtualTime(state.virtualNs)} virtual`];
    if (state.logBytes !== undefined) parts.push(`log ${megabytes(state.logBytes)}`);
    if (state.fraction !== undefined) parts.unshift(`${(state.fraction * 100).toFixed(1)} %`);
    return parts.join('  ');
  }

  /** Millions of instructions a second since the beginning. */
  mips(position: number): number {
    return position / Math.max(1, monotonicMs() - this.startMs) / 1e3;
  }
}
