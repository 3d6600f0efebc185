/** A guest that reacts to being migrated: the branch in which it does is a recording, and what it writes there is what is sent. */
import { describe, expect, it } from 'vitest';
import { powerOnPages, replayEpochs } from '../../engine/analysis/dirty/first-writes.ts';
import { TruthFold } from '../../engine/analysis/dirty/folds.ts';
import type { DirtyTruth } from '../../engine/analysis/dirty/truth.ts';
import { type ClosedLoopOutcome, simulateBranch } from '../../engine/analysis/migration/closed-loop.ts';
import { type MigrationPolicy, type SimulationOptions, namedPolicies } from '../../engine/analysis/migration/policy.ts';
import { simulate } from '../../engine/analysis/migration/simulate.ts';
import { openChain, placeInChain } from '../../engine/recording/chain.ts';
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import { Branch } from '../../engine/recording/branch.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { CrashSink, type LiveGuest, openBytes, startGuest, writerGuest } from './live-guests.ts';
import { replayed } from './live-sides.ts';

/** 256 pages in turn, one each 4,000 instructions: 250,000 a second of its time. */
const WRITER = writerGuest({ memoryMib: 4, setPages: 256, pagesPerTick: 1, tickInstructions: 4000, order: 'scattered' });
const RECORDED = 10_000_000;
const START = 1_000_000;
/** The guest's clock against the wall's: 750 pages a second of the wall. */
const SPEED = 0.003;

interface Recorded {
  readonly bytes: Uint8Array;
  readonly truth: DirtyTruth;
}
function record(live: LiveGuest): Recorded {
  const { recorder, sink } = startGuest(live, 'parent');
  while (recorder.position < RECORDED) recorder.step(RECORDED - recorder.position, true);
  recorder.stop('limit', 'long enough');
  const bytes = sink.toBytes();
  const replayer = new Replayer({ reader: openBytes(bytes), images: live.images, module: loadCore() });
  const fold = new TruthFold({ name: 'writer', memoryBytes: live.recipe.machine.memoryBytes, powerOn: powerOnPages(replayer.machine, true) });
  for (const epoch of replayEpochs(replayer, { instructions: 20_000, content: true, reads: true })) fold.fold(epoch);
  return { bytes, truth: fold.truth() };
}
const { bytes, truth } = record(WRITER);

interface Run extends ClosedLoopOutcome {
  readonly digest: string;
  readonly branch: Branch;
  readonly log: Uint8Array;
}
function closed(policy: MigrationPolicy, bytesPerSecond: number, more: SimulationOptions = {}): Run {
  const reader = openBytes(bytes);
  const replayer = new Replayer({ reader, images: WRITER.images, module: loadCore() });
  replayer.step(START);
  const state = replayer.save();
  const place = placeInChain(openChain(reader, () => undefined), state.records);
  const sink = new CrashSink();
  const branch = new Branch({
    recipe: replayer.recipe, images: WRITER.images, module: loadCore(), parent: reader, records: state.records, changes: [], inputs: 'keep', inputsBy: 'time', outlivesParent: true,
    start: { parent: place.reader.header, records: place.records, at: copyCheckpoint(replayer.machine, state) }, log: { sink, id: 'branch', product: 'test' },
  }); // prettier-ignore
  const run = simulateBranch(truth, policy, { bytesPerSecond }, optionsOf(more), branch);
  return { ...run, digest: branch.stop('limit', 'over').digest, branch, log: sink.toBytes() };
}
const optionsOf = (more: SimulationOptions): SimulationOptions => ({ startNs: START, virtualPerWall: SPEED, timeLimitNs: 20e9, repeatFromNs: START, ...more });
const policy = (name: string, downtimeMs: number): MigrationPolicy => namedPolicies(downtimeMs, 0).get(name)!;

describe('a closed loop', () => {
  it('a guest that nothing holds up does what the recording says, page by page', () => {
    const open = simulate(truth, policy('qemu-7.2', 30), { bytesPerSecond: 10e6 }, optionsOf({}));
    const { outcome, stalledNs, branch, log, digest } = closed(policy('qemu-7.2', 30), 10e6);
    expect(stalledNs).toBe(0);
    expect(branch.parting).toBeUndefined();
    expect(outcome).toMatchObject({ exactness: 'closed loop', converges: true, ram: { ...open.ram }, downtimeMs: open.downtimeMs, totalTimeMs: open.totalTimeMs });
    expect(replayed([bytes, log], WRITER)).toBe(digest);
  });

  it('auto-converge: the guest sleeps, its branch replays, and twice is the same', () => {
    // 750 pages a second are written, 487 are sent.
    const [open, never] = ['auto-converge', 'qemu-7.2'].map((name) => simulate(truth, policy(name, 30), { bytesPerSecond: 2e6 }, optionsOf({})));
    const one = closed(policy('auto-converge', 30), 2e6);
    const { outcome, stalledNs, branch } = one;
    expect(never.converges).toBe(false);
    expect([open.converges, open.exactness]).toEqual([true, 'approximate']);
    expect(outcome.converges).toBe(true);
    expect(outcome.cpuThrottlePercentage).toBeGreaterThanOrEqual(40);
    // What it slept is what the throttle took: the shares of the rounds, give or take a slice of each.
    const took = outcome.rounds.reduce((sum, { ms, throttlePercent }) => sum + (ms * 1e6 * SPEED * throttlePercent) / 100, 0);
    expect(stalledNs / took).toBeGreaterThan(0.9);
    expect(stalledNs / took).toBeLessThan(1.1);
    expect(branch.parting).toBeDefined();
    // A guest that only computes is as slow as the approximation has it.
    expect(outcome.ram.normal / open.ram.normal).toBeGreaterThan(0.9);
    expect(outcome.ram.normal / open.ram.normal).toBeLessThan(1.1);
    expect(replayed([bytes, one.log], WRITER)).toBe(one.digest);
    const again = closed(policy('auto-converge', 30), 2e6);
    expect([again.outcome, again.digest]).toEqual([outcome, one.digest]);
  });

  it('post-copy: the guest waits for pages, and its branch replays', () => {
    const { outcome, stalledNs, log, digest } = closed(policy('post-copy', 30), 2e6);
    expect(outcome.ram.postcopyRequests).toBeGreaterThan(10);
    expect(outcome.ram.normal + outcome.ram.duplicate).toBe(1024);
    expect(stalledNs / (outcome.postcopyBlocktimeMs * 1e6 * SPEED)).toBeCloseTo(1, 2);
    expect(replayed([bytes, log], WRITER)).toBe(digest);
  });

  it('the dirty log costs what it is said to cost: a stall for each first write after a sync', () => {
    const free = closed(policy('qemu-7.2', 30), 10e6);
    const { outcome, stalledNs, log, digest } = closed(policy('qemu-7.2', 30), 10e6, { loggingCostNs: 2000 });
    const firstWrites = outcome.rounds.reduce((sum, { dirtied }) => sum + dirtied, 0);
    expect(firstWrites).toBeGreaterThan(100);
    expect(stalledNs / 2000).toBeGreaterThanOrEqual(firstWrites);
    expect(stalledNs / 2000).toBeLessThanOrEqual(firstWrites + 2 * outcome.rounds.length);
    expect(outcome.ram.normal).toBeLessThanOrEqual(free.outcome.ram.normal);
    expect(replayed([bytes, log], WRITER)).toBe(digest);
  });

  it('XBZRLE takes the bytes from the guest: a counter in each page is a few bytes', () => {
    const { outcome } = closed(policy('xbzrle', 30), 2e6);
    expect(outcome.converges).toBe(true);
    const { pages, bytes: coded } = outcome.xbzrleCache!;
    expect(pages).toBeGreaterThan(100);
    expect(coded / pages).toBeLessThan(30);
  });
});
