/** First writes that were recorded: what a replay finds, what single steps find, and what comes out of a checkpoint. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DirtyEpoch, EpochSplitter } from '../../engine/analysis/dirty/epoch.ts';
import { replayEpochs } from '../../engine/analysis/dirty/first-writes.ts';
import { TruthFold } from '../../engine/analysis/dirty/folds.ts';
import { pageHashes, pageView } from '../../engine/machine/snapshot.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../engine/recording/checkpoint-codec.ts';
import type { Recipe } from '../../engine/recording/recipe.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { type Case, labCases, tinyCases } from '../determinism/cases.ts';
import { assertProperty, core, identical, open, record, replay } from '../determinism/runs.ts';

const DRAWS = 10;
const FILE = 'test/migration/recorded-truth.test.ts';

function withFirstWrites(one: Case, epochInstructions: number): Case {
  const recipe: Recipe = { ...one.recipe, epochInstructions, machine: { ...one.recipe.machine, firstWrites: true } };
  return { ...one, recipe };
}

function epochsOf(bytes: Uint8Array): DirtyEpoch[] {
  const reader = open(bytes);
  const splitter = new EpochSplitter();
  return reader.eventBlocks.flatMap((_, i) => splitter.split(reader.batch(i)));
}

type Rows = readonly (readonly [page: number, position: number, ns: number, isZero: number | undefined])[];
function rowsOf({ pages, detail }: DirtyEpoch): Rows {
  const isZero = detail!.isZero ?? detail!.content?.isZero;
  return Array.from(pages, (page, i) => [page, detail!.position[i], detail!.atNs[i], isZero?.[i]] as const).sort((a, b) => a[0] - b[0]);
}

/** By replay with a probe, in epochs that end where those of the log do. */
function isWhatAReplaySays(one: Case, bytes: Uint8Array): void {
  const recorded = epochsOf(bytes);
  const replayer = new Replayer({ reader: open(bytes), images: one.images, module: core() });
  const edges = recorded.map(({ toPosition }) => toPosition);
  const replayed = [...replayEpochs(replayer, { instructions: Number.MAX_SAFE_INTEGER, edges, content: true })];
  // Epochs in which nothing was written are not all told: the one after an edge at the very end is empty, and ends there, too.
  const told = (epochs: readonly DirtyEpoch[]): unknown => epochs.filter(({ pages }) => pages.length > 0).map((epoch) => [epoch.toPosition, rowsOf(epoch)]);
  expect(told(replayed)).toEqual(told(recorded));
}

/** The same run with a dirty set after each instruction: sets alone, no positions, tell when a page was written first. */
function isWhatSingleStepsSay(one: Case, recorded: readonly DirtyEpoch[]): void {
  const single: Case = { ...one, recipe: { ...one.recipe, epochInstructions: 1, machine: { ...one.recipe.machine, firstWrites: false } } };
  const steps = epochsOf(record(single).bytes);
  let at = 0;
  for (const epoch of recorded) {
    const first = new Map<number, number>();
    for (; at < steps.length && steps[at].toPosition <= epoch.toPosition; at++) for (const page of steps[at].pages) if (!first.has(page)) first.set(page, steps[at].fromPosition);
    const found = new Map(rowsOf(epoch).map(([page, position]) => [page, position]));
    expect([...found.keys()].sort((a, b) => a - b)).toEqual([...first.keys()].sort((a, b) => a - b));
    // What a device does right before a set is taken is placed at the set's end.
    for (const [page, position] of found) if (position !== first.get(page)! + 1) expect([page, position]).toEqual([page, first.get(page)]);
  }
}

function goesOnFromACheckpoint(one: Case, bytes: Uint8Array, part: number): void {
  const replayer = new Replayer({ reader: open(bytes), images: one.images, module: core() });
  replayer.step(Math.floor((open(bytes).lastPosition as number) * part));
  const { core: cpu } = replayer.machine;
  const encoded = encodeCheckpoint(replayer.save());
  const hashes = pageHashes(cpu);
  const frames = new Map(Array.from({ length: hashes.length / 2 }, (_, frame) => frame).flatMap((frame) => (hashes[frame * 2] === 0 && hashes[frame * 2 + 1] === 0 ? [] : [[frame, pageView(cpu, frame).slice()] as const])));
  const state = decodeCheckpoint(encoded.bytes, (n) => encoded.pages[n]);
  const other = new Replayer({ reader: open(bytes), images: one.images, module: core(), from: { state, pages: { hashes, read: (frame) => frames.get(frame)! } } });
  identical(other.run(), 'from a checkpoint');
}

const part = fc.noBias(fc.nat(999)).map((n) => n / 1000);

test('tiny guests: recorded, replayed and single-stepped first writes are the same', () => {
  let pages = 0;
  assertProperty(FILE, fc.property(tinyCases(2_500), fc.integer({ min: 1, max: 1_000 }), part, fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 4 }), (drawn, epoch, place, slices) => {
    const one = withFirstWrites(drawn, epoch);
    const { bytes } = record(one);
    identical(replay(bytes, one.images, slices), 'the recording');
    isWhatAReplaySays(one, bytes);
    isWhatSingleStepsSay(one, epochsOf(bytes));
    goesOnFromACheckpoint(one, bytes, place);
    pages += epochsOf(bytes).reduce((sum, each) => sum + each.pages.length, 0);
  }), DRAWS, 800 * DRAWS);
  expect(pages).toBeGreaterThan(5);
});

test('the lab kernel: recorded and replayed first writes are the same, and the log is the same without them', () => {
  assertProperty(FILE, fc.property(labCases(300_000), fc.integer({ min: 5_000, max: 200_000 }), part, (drawn, epoch, place) => {
    const one = withFirstWrites(drawn, epoch);
    const { bytes, end } = record(one);
    isWhatAReplaySays(one, bytes);
    goesOnFromACheckpoint(one, bytes, place);
    const plain = record({ ...one, recipe: { ...one.recipe, machine: { ...one.recipe.machine, firstWrites: false } } });
    expect(plain.end).toEqual(end);
    const sets = epochsOf(plain.bytes);
    expect(epochsOf(bytes).map(({ pages, ...rest }) => [rest.toNs, [...pages].sort((a, b) => a - b)])).toEqual(sets.map(({ pages, toNs }) => [toNs, [...pages]]));
    const fold = new TruthFold({ name: 't', memoryBytes: one.recipe.machine.memoryBytes });
    for (const each of epochsOf(bytes)) fold.fold(each);
    expect(fold.truth().times).toBe('first write');
  }), Math.ceil(DRAWS / 3), 800 * DRAWS);
});
