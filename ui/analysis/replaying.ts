/** A replay that something is folded from, in turns of the worker. */
import { DivergedError } from '../../engine/debug/time-travel.ts';
import type { Divergence } from '../../engine/log/verify.ts';
import type { Replayer } from '../../engine/recording/replayer.ts';
import type { Turns } from '../turns.ts';

/** last: where the recording ends. Throws DivergedError. */
export async function replayInTurns(steps: Generator<Replayer, Divergence | undefined, void>, last: number, turns: Turns, progress: (share: number) => void): Promise<void> {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) {
      if (value !== undefined) throw new DivergedError(value);
      return;
    }
    progress(Math.min(1, value.position / Math.max(1, last)));
    await turns.next();
  }
}
