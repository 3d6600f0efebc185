/**
 * The state of the machine at a position: by replay, as there are no checkpoints yet.
 *
 *     seek ──► states kept ──hit──► answer
 *                  │ miss
 *                  ▼
 *     the parked replay that is nearest before, or a new one ──► runs to a few events before ──► stops at each event, keeps its state
 *
 * So steps to neighbouring events are answered at once, in both directions.
 */
import type { MachineState } from '../engine/protocol/messages.ts';
import { Replayer } from '../engine/recording/replayer.ts';
import { describeDivergence } from '../engine/log/verify.ts';
import { readMachineState } from './machine-state.ts';
import type { Turns } from './turns.ts';

/** Events before and after the cursor whose states are kept. */
const NEIGHBOURS = 48;
const STATES_MAX = 8192;
const PARKED_BYTES_MAX = 640 * 2 ** 20;
const PARKED_MAX = 3;
const SLICE_INSTRUCTIONS = 1_000_000;

export interface Seek {
  readonly position: number;
  /** Positions of events around it, ascending. */
  readonly around: readonly number[];
  /** A newer one came. */
  isSuperseded(): boolean;
  progress(position: number): void;
}

export class StateFinder {
  private readonly newReplayer: () => Promise<Replayer>;
  private readonly turns: Turns;
  private readonly states = new Map<number, MachineState>();
  /** Least recently used first. */
  private readonly parked: Replayer[] = [];

  constructor(newReplayer: () => Promise<Replayer>, turns: Turns) {
    this.newReplayer = newReplayer;
    this.turns = turns;
  }

  static get neighbours(): number {
    return NEIGHBOURS;
  }

  /** Undefined if it was superseded. Throws what building or replaying throws. */
  async find(seek: Seek): Promise<MachineState | undefined> {
    const kept = this.states.get(seek.position);
    if (kept !== undefined) return kept;
    const before = seek.around.filter((each) => each <= seek.position);
    const replayer = await this.replayerBefore(before[0] ?? seek.position);
    for (const stop of [...before, seek.position]) {
      if (!(await this.run(replayer, stop, seek))) return undefined;
      this.keep(stop, readMachineState(replayer.machine));
    }
    return this.states.get(seek.position);
  }

  /** After the answer: the states of the events that follow. */
  async ahead(seek: Seek): Promise<void> {
    const replayer = this.parked.at(-1);
    if (replayer === undefined || replayer.position > seek.position) return;
    for (const stop of seek.around) {
      if (stop <= seek.position || this.states.has(stop)) continue;
      if (replayer.position > stop || !(await this.run(replayer, stop, seek))) return;
      this.keep(stop, readMachineState(replayer.machine));
    }
  }

  private async run(replayer: Replayer, to: number, seek: Seek): Promise<boolean> {
    while (replayer.position < to) {
      const status = replayer.step(Math.min(SLICE_INSTRUCTIONS, to - replayer.position));
      if (status.kind === 'diverged') {
        throw new Error(`the replay differs from the recording before this position (${describeDivergence(status.divergence).join('; ')}), so the state here is not known`);
      }
      if (status.kind === 'identical') return true;
      if (this.turns.isOver) {
        await this.turns.next();
        if (seek.isSuperseded()) return false;
        seek.progress(replayer.position);
      }
    }
    return true;
  }

  private async replayerBefore(position: number): Promise<Replayer> {
    let best: Replayer | undefined;
    for (const each of this.parked) if (each.position <= position && (best === undefined || each.position > best.position)) best = each;
    if (best === undefined) {
      best = await this.newReplayer();
      const bytesEach = best.machine.core.memory.buffer.byteLength;
      const most = Math.max(1, Math.min(PARKED_MAX, Math.floor(PARKED_BYTES_MAX / bytesEach)));
      while (this.parked.length >= most) this.parked.shift();
    } else this.parked.splice(this.parked.indexOf(best), 1);
    this.parked.push(best);
    return best;
  }

  private keep(position: number, state: MachineState): void {
    this.states.set(position, state);
    if (this.states.size <= STATES_MAX) return;
    for (const oldest of this.states.keys()) {
      this.states.delete(oldest);
      break;
    }
  }
}
