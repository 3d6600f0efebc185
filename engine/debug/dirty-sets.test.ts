/** What dirty sets rule out: never a position at which a frame may have been written, by a model that looks at every set. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { position as at } from '../log/position.ts';
import { openLog, writeLog } from '../log/testing.ts';
import { DirtySets } from './dirty-sets.ts';

const LENGTH = 100;
/** Of each epoch its frames. */
const logs = fc.record({
  epochs: fc.array(fc.uniqueArray(fc.nat(5), { maxLength: 2 }), { minLength: 1, maxLength: 40 }),
  /** Each frame in a record of its own, which the next one goes on from. */
  isSplit: fc.boolean(),
  blockRecords: fc.constantFrom(1, 3, 1000),
  bytesMax: fc.constantFrom(0, 24, 1 << 20),
});

/** May one of the frames be written at a position, by an instruction or by a device? */
function mayBeWritten(epochs: readonly (readonly number[])[], frames: ReadonlySet<number>, position: number): boolean {
  const sets = [Math.floor(position / LENGTH), ...(position % LENGTH === 0 && position > 0 ? [position / LENGTH - 1] : [])];
  // After the last set nobody knows.
  return sets.some((epoch) => epochs[epoch] === undefined || epochs[epoch].some((frame) => frames.has(frame)));
}

/** Where it may have been, in [from, to). */
function writtenIn(epochs: readonly (readonly number[])[], frames: ReadonlySet<number>, from: number, to: number): readonly number[] {
  const found: number[] = [];
  for (let position = from; position < to; position++) if (mayBeWritten(epochs, frames, position)) found.push(position);
  return found;
}

test('only what no set has is ruled out, and all that no set has', () => {
  fc.assert(
    fc.property(logs, fc.nat(5), fc.nat(), fc.nat(), ({ epochs, isSplit, blockRecords, bytesMax }, frame, a, b) => {
      let records = 0;
      const bytes = writeLog((writer) => epochs.forEach((frames, epoch) => {
        const sorted = [...frames].sort((x, y) => x - y);
        const parts = isSplit && sorted.length > 0 ? sorted.map((frame) => [frame]) : [sorted];
        parts.forEach((pages, i) => {
          writer.append({ kind: 'dirty', position: at((epoch + 1) * LENGTH), epoch, pages: Uint32Array.from(pages), more: i < parts.length - 1 });
          if (++records % blockRecords === 0) writer.flush();
        });
      }));
      const sets = new DirtySets(openLog(bytes), bytesMax);
      const frames = new Set([frame]);
      const end = epochs.length * LENGTH;
      const [from, to] = [a % (end + 2), b % (end + 2)].sort((x, y) => x - y);
      if (from === to) return;

      const since = sets.unwrittenSince(frames, from, to);
      expect(since).toBeGreaterThanOrEqual(from);
      expect(since).toBeLessThanOrEqual(to);
      expect(writtenIn(epochs, frames, since, to)).toEqual([]);
      if (since > from) expect(mayBeWritten(epochs, frames, since - 1)).toBe(true);

      const until = sets.unwrittenUntil(frames, from - 1, to);
      expect(writtenIn(epochs, frames, from, until)).toEqual([]);
      // A set counts as a whole: what it leaves out ends with an epoch.
      if (until < to) expect([...Array(LENGTH + 1).keys()].some((more) => mayBeWritten(epochs, frames, Math.max(from, until) + more))).toBe(true);
    }),
    { numRuns: 400 },
  );
});
