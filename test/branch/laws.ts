/** What must hold of branches of every case. Each function throws with what does not. */
import fc from 'fast-check';
import type { LogReader } from '../../engine/log/reader.ts';
import { MemorySink } from '../../engine/log/storage.ts';
import { checkLog } from '../../engine/log/survey.ts';
import { compareLogs, describeDivergence } from '../../engine/log/verify.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { Branch, type PlacedChange } from '../../engine/recording/branch.ts';
import { type RecordingChain, openChain, placeInChain } from '../../engine/recording/chain.ts';
import type { Change } from '../../engine/recording/change.ts';
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { Case } from '../determinism/cases.ts';
import { core, identical, open, record } from '../determinism/runs.ts';

/** A chain that was made here: the bytes of all its logs. */
export interface Made {
  readonly logs: readonly Uint8Array[];
  readonly chain: RecordingChain;
  readonly digest: string;
  readonly parting: string | undefined;
}

export interface BranchDraw {
  /** Where, of 2^20 of the run. */
  readonly at: number;
  /** Where, of 2^20 of what is left, each change comes. */
  readonly changes: readonly { readonly after: number; readonly change: ChangeDraw }[];
  readonly typed: string;
  readonly inputs: 'keep' | 'none';
  readonly slices: readonly number[];
  /** The machine is taken over, not restored into a new one. */
  readonly takesOver: boolean;
}

/** A register's value is text, because a draw is printed as JSON. */
type ChangeDraw = Exclude<Change, { kind: 'register' }> | { readonly kind: 'register'; readonly register: string; readonly value: string };
const changeOf = (draw: ChangeDraw): Change => (draw.kind === 'register' ? { ...draw, value: BigInt(draw.value) } : draw);
const change: fc.Arbitrary<ChangeDraw> = fc.oneof(
  fc.record({ kind: fc.constant('register' as const), register: fc.constantFrom('rax', 'rbx', 'rcx', 'rdx', 'rsi', 'r8', 'r15', 'cr2'), value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(String) }),
  fc.record({ kind: fc.constant('register' as const), register: fc.constantFrom('rip', 'rsp', 'fs.base', 'gs.base', 'kernel_gs_base', 'cr3'), value: fc.nat(0x3ff).map((page) => String(page * 4096)) }),
  fc.record({ kind: fc.constant('register' as const), register: fc.constant('rflags'), value: fc.constantFrom('0', '2', String(0x202), String(0x246), String(0x247ed7)) }),
  fc.record({ kind: fc.constant('memory' as const), address: fc.integer({ min: 0, max: 0xff_0000 }), bytes: fc.uint8Array({ maxLength: 9000 }) }),
  fc.record({ kind: fc.constant('timer-shift' as const), timer: fc.constantFrom('pit', 'rtc'), ns: fc.oneof(fc.integer({ min: -100_000, max: 5_000_000 }), fc.constant(-1e12)) }),
  fc.record({ kind: fc.constant('line' as const), line: fc.nat(15).filter((line) => line !== 2), asserted: fc.boolean() }),
  fc.record({ kind: fc.constant('stall' as const), ns: fc.oneof(fc.nat(1000), fc.nat(50_000_000)) }),
);

const slices = fc.array(fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1000, max: 100_000 })), { minLength: 1, maxLength: 4 }).map((list) => [...list, 300_000]);
const common = { at: fc.nat((1 << 20) - 1), slices, takesOver: fc.boolean() };
export const unchangedDraws: fc.Arbitrary<BranchDraw> = fc.record({ ...common, changes: fc.constant([]), typed: fc.constant(''), inputs: fc.constant('keep' as const) });
export const changedDraws: fc.Arbitrary<BranchDraw> = fc.record({
  ...common,
  changes: fc.array(fc.record({ after: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat((1 << 20) - 1) }), change }), { minLength: 1, maxLength: 4 }),
  typed: fc.constantFrom('', '', 'ps\n'),
  inputs: fc.constantFrom('keep' as const, 'none' as const),
});

/** Identities of logs differ. */
let serial = 0;
const STEPS_MAX = 400;
/** Of a branch, more than its parent has: it may have a device exit for each iteration of a REP. */
const RECORDS_MAX = 60_000;

export function rootOf(one: Case): Made | undefined {
  const recording = record(one);
  return { logs: [recording.bytes], chain: chainOf([recording.bytes]), digest: recording.end.digest, parting: undefined };
}

/** The last of the logs with its ancestors, by their identities. */
export function chainOf(logs: readonly Uint8Array[]): RecordingChain {
  const readers = logs.map(open);
  return openChain(readers[readers.length - 1], ({ logId }) => readers.find(({ header }) => header.id === logId));
}

/** Undefined where there is nothing to branch from: the guest has ended there. */
export function branch(one: Case, made: Made, draw: BranchDraw): Made | undefined {
  const { chain } = made;
  const { reader } = chain;
  const at = Math.floor((reader.lastPosition * draw.at) / (1 << 20));
  const replayer = new Replayer({ reader, images: one.images, module: core() });
  if (replayer.step(at).kind !== 'running') return undefined;
  const state = replayer.save();
  const place = placeInChain(chain, state.records);
  const sink = new MemorySink();
  const changes: PlacedChange[] = draw.changes
    .filter(({ change: each }) => each.kind !== 'timer-shift' || replayer.machine.scheduler.names.includes(each.timer))
    .map(({ after, change: each }) => ({ position: at + Math.floor(((reader.lastPosition - at) * after) / (1 << 20)), change: changeOf(each) }));
  const run = new Branch({
    recipe: replayer.recipe,
    images: one.images,
    module: core(),
    parent: reader,
    records: state.records,
    start: { parent: place.reader.header, records: place.records, at: draw.takesOver ? { machine: replayer.machine, session: state.session } : copyCheckpoint(replayer.machine, state) },
    changes,
    typed: Uint8Array.from(draw.typed, (c) => c.charCodeAt(0)),
    inputs: draw.inputs,
    log: { sink, id: `branch ${serial++}`, product: 'test' },
  });
  const limit = reader.lastPosition + 50_000;
  const recordsMax = chain.readers.reduce((sum, each) => sum + each.records, RECORDS_MAX);
  let digest: string | undefined;
  for (let step = 0; digest === undefined; step++) {
    const status = run.step(Math.min(draw.slices[step % draw.slices.length], Math.max(0, limit - run.position)));
    if (status.kind === 'ended') ({ digest } = status);
    else if (status.kind === 'waiting') ({ digest } = run.stop('user', 'it waits'));
    else if (run.position >= limit || step > STEPS_MAX || run.recorder.records > recordsMax) ({ digest } = run.stop('limit', 'long enough'));
  }
  const logs = [...made.logs.slice(0, chain.readers.indexOf(place.reader) + 1), sink.toBytes()];
  const { problems } = checkLog(new MemorySource(sink.toBytes()));
  if (problems.length > 0) throw new Error(`the log of the branch is not sound: ${problems[0].message}`);
  return { logs, chain: chainOf(logs), digest, parting: run.parting && describeDivergence(run.parting).join('\n') };
}

/** Replays the whole chain: every record and the digest at the end. */
export function replaysIdentically(one: Case, made: Made, what: string): void {
  const { reader } = made.chain;
  const status = identical(new Replayer({ reader, images: one.images, module: core() }).run(), what);
  if (status.digest !== made.digest || !status.complete) throw new Error(`${what}: ended with ${status.digest}, recorded was ${made.digest}`);
}

function sameRecords(a: LogReader, b: LogReader, what: string): void {
  const divergence = compareLogs(a, b);
  if (divergence !== undefined) throw new Error(`${what}: ${describeDivergence(divergence).join('\n')}`);
}

/** A branch without a change is the rest of its parent: the same records, the same digests, whatever its depth. */
export function anUnchangedBranchIsTheRest(one: Case, draws: readonly BranchDraw[]): void {
  let made = rootOf(one)!;
  const root = made.chain.reader;
  for (const draw of draws) {
    const next = branch(one, made, draw);
    if (next === undefined) return;
    if (next.parting !== undefined) throw new Error(`a branch without a change parted from its parent: ${next.parting}`);
    sameRecords(root, next.chain.reader, 'an unchanged branch');
    if (next.digest !== made.digest) throw new Error(`an unchanged branch ended with ${next.digest}, its parent with ${made.digest}`);
    made = next;
  }
  replaysIdentically(one, made, 'a chain of unchanged branches');
}

/** Whatever is changed, where and how often: the chain replays, and a walk through it, across the seams, is that of a replay. */
export function aChangedBranchReplays(one: Case, draws: readonly BranchDraw[], places: readonly number[]): void {
  let made = rootOf(one)!;
  for (const draw of draws) {
    const next = branch(one, made, draw);
    if (next === undefined) continue;
    made = next;
    replaysIdentically(one, made, `a branch at depth ${made.logs.length - 1}`);
  }
  const { reader } = made.chain;
  const travel = new TimeTravel({ reader, images: one.images, module: core(), spacing: 20_000 });
  const straight = new Replayer({ reader, images: one.images, module: core() });
  // @0 is power-on, before what a branch changes there.
  const wanted = places.map((each) => 1 + Math.floor((reader.lastPosition * each) / (1 << 20)));
  const digests = new Map<number, string>();
  for (const at of wanted.toSorted((a, b) => a - b)) {
    // The last position is the end of the log, with all that still happened there (engine/debug/README.md, decision 1).
    if (at >= reader.lastPosition) digests.set(at, made.digest);
    else if (straight.step(at - straight.position).kind === 'running') digests.set(at, straight.machine.digest().digest);
  }
  for (const at of wanted) {
    travel.seek(at);
    const expected = digests.get(at);
    if (expected !== undefined && travel.machine.digest().digest !== expected) throw new Error(`a seek to @${at} led to another state than a replay`);
  }
}
