/** What a replay tells of first writes, against the dirty sets that were recorded, and against itself with other epochs. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type DirtyEpoch, EpochSplitter } from '../../engine/analysis/dirty/epoch.ts';
import { powerOnPages, replayEpochs } from '../../engine/analysis/dirty/first-writes.ts';
import { TruthFold } from '../../engine/analysis/dirty/folds.ts';
import { windowCount } from '../../engine/analysis/dirty/truth.ts';
import { WritersFold } from '../../engine/analysis/dirty/writers.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../../server/store/core-module.ts';

const reader = LogReader.open(new MemorySource(readFileSync(fileURLToPath(new URL('../../traces/lab-kernel.cvlog', import.meta.url)))));
const module = loadCore();
const newReplayer = (): Replayer => new Replayer({ reader, images: { kernel: reader.image(reader.header.images[0].sha256)! }, module });
const { memoryBytes, epochInstructions } = reader.header.config;
const splitter = new EpochSplitter();
const recorded = reader.eventBlocks.flatMap((_, i) => splitter.split(reader.batch(i)));
const sorted = (pages: Uint32Array): number[] => [...pages].sort((a, b) => a - b);

describe('first writes by replay', () => {
  // All of the recording: replayed-truth.all.test.ts.
  it('are the recorded dirty sets, epoch by epoch, while reads and content are watched, too', () => {
    const epochs = [...replayEpochs(newReplayer(), { instructions: epochInstructions, reads: true, content: true, to: 2 * epochInstructions })];
    expect(epochs.length).toBe(2);
    expect(epochs.map(({ toPosition, toNs, pages }) => [toPosition, toNs, sorted(pages)])).toEqual(recorded.slice(0, 2).map(({ toPosition, toNs, pages }) => [toPosition, toNs, [...pages]]));
    expect(epochs[1].detail!.touched!.pages.length).toBeGreaterThan(epochs[1].pages.length);
    for (const { pages, detail: each, fromPosition, toPosition } of epochs) {
      expect([...each!.position].every((at, i, all) => at >= fromPosition && at <= toPosition && (i === 0 || at >= all[i - 1]))).toBe(true);
      for (let i = 0; i < pages.length; i++) {
        if (each!.content!.isZero[i] === 1) expect(each!.content!.compressedBytes[i]).toBeLessThan(100);
        expect(each!.content!.deltaBytes[i]).toBeLessThanOrEqual(4097);
      }
    }
    // Pages that were written with what they held already: a dirty log cannot tell.
    expect(epochs.some(({ detail: each }) => each!.content!.deltaBytes.includes(0))).toBe(true);
  });

  it('do not depend on the epochs: the first write of a long one is the first of the short ones in it; windows with edges are exact', () => {
    const to = 14_000_000;
    const edges = [9_456_789, 12_000_001];
    const run = (instructions: number, more: object = {}): DirtyEpoch[] => [...replayEpochs(newReplayer(), { instructions, to, ...more })];
    const long = run(4_000_000);
    const short = run(500_000);
    for (const epoch of long) {
      const first = new Map<number, number>();
      for (const each of short) {
        if (each.fromPosition < epoch.fromPosition || each.toPosition > epoch.toPosition) continue;
        for (let i = 0; i < each.pages.length; i++) if (!first.has(each.pages[i])) first.set(each.pages[i], each.detail!.position[i]);
      }
      expect(new Map(Array.from(epoch.pages, (page, i) => [page, epoch.detail!.position[i]]))).toEqual(first);
    }
    const truthOf = (epochs: readonly DirtyEpoch[]): ReturnType<TruthFold['truth']> => {
      const fold = new TruthFold({ name: 't', memoryBytes });
      for (const epoch of epochs) fold.fold(epoch);
      return fold.truth();
    };
    // A window between two edges by long epochs, by short ones, and bounded without edges.
    const cut = run(4_000_000, { edges });
    const [fromNs, toNs] = edges.map((edge) => cut.find(({ toPosition }) => toPosition === edge)!.toNs);
    const exact = windowCount(truthOf(cut), fromNs, toNs);
    expect(exact.isExact).toBe(true);
    expect(windowCount(truthOf(run(500_000, { edges })), fromNs, toNs)).toEqual(exact);
    const bounds = windowCount(truthOf(long), fromNs, toNs);
    expect(bounds.atLeast).toBeLessThanOrEqual(exact.atLeast);
    expect(bounds.atMost).toBeGreaterThanOrEqual(exact.atLeast);
    expect(exact.atLeast).toBeGreaterThan(5);

    const writers = new WritersFold();
    for (const epoch of long) writers.fold(epoch);
    const [who] = writers.finish();
    expect(who.firstWrites).toBe(long.reduce((sum, { pages }) => sum + pages.length, 0));
    for (const rows of [who.byFunction, who.bySpace, who.byRing, who.byTask]) expect(rows.reduce((sum, row) => sum + row.firstWrites, 0)).toBe(who.firstWrites);
  });

  it('knows which pages are zeros at power-on', () => {
    const { isZero } = powerOnPages(newReplayer().machine, false);
    const filled = isZero.filter((zero) => zero === 0).length;
    expect(isZero.length).toBe(memoryBytes / 4096);
    // The kernel's image, and little else.
    expect(filled).toBeGreaterThan(10);
    expect(filled).toBeLessThan(500);
  });
});
