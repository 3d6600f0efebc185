/** Which faults are drawn, and what they happen to. */
import { randomOf } from '../../engine/log/testing.ts';
import type { Fault, Victim } from './live-fault.ts';
import { type LiveGuest, writerGuest } from './live-guests.ts';
import type { Shape } from './live-sides.ts';

const WRITER = writerGuest({ memoryMib: 3, setPages: 64, pagesPerTick: 2, tickInstructions: 4000, order: 'scattered' });
/** Its log has something to come back to after a crash. */
export const FAULT_GUEST: LiveGuest = { ...WRITER, recipe: { ...WRITER.recipe, epochInstructions: 20_000 } };
export const FAULT_AT = 200_000;
export const FAULT_SHAPE: Shape = { policy: 'precopy', downtimeLimitMs: 20, bytesPerSecond: 10e6, speed: 0.002 };

/** The dirty set of the running epoch goes with the state; the rest of the memory comes later. */
export const FAULT_SHAPE_POSTCOPY: Shape = { policy: 'postcopy', downtimeLimitMs: 20, bytesPerSecond: Infinity, speed: 1 };

const VICTIMS: readonly Victim[] = ['source', 'destination', 'link'];
const WRITES = 5;

/** Half of them at a byte of the link up to `bytesMax`, half at one of the records. */
export function drawFaults(count: number, bytesMax: number, seed: number): readonly Fault[] {
  const below = randomOf(seed);
  return Array.from({ length: count }, (_, i): Fault => {
    const victim = VICTIMS[below(VICTIMS.length)];
    if (i % 2 === 0) return { victim, at: { bytes: below(bytesMax) } };
    return { victim, at: { write: 1 + below(WRITES), moment: below(2) === 0 ? 'before' : 'after' } };
  });
}
