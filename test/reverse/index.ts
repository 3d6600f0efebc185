/** What must hold of the index of every case. Each function throws with what does not. */
import fc from 'fast-check';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { RestoreError } from '../../engine/machine/snapshot.ts';
import { CheckpointError } from '../../engine/recording/checkpoint-errors.ts';
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import { IndexFile, writeIndex } from '../../engine/recording/index-file.ts';
import { Indexer, indexStep } from '../../engine/recording/indexer.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { Case } from '../determinism/cases.ts';
import { core, identical, open, record } from '../determinism/runs.ts';

export interface IndexDraw {
  readonly spacing: number;
  readonly bytesMax: number;
  readonly slice: number;
  /** Places to damage, 0 to 1, and the bit. */
  readonly flips: readonly (readonly [number, number])[];
  readonly cut: number;
}
const part = fc.noBias(fc.nat(999_999)).map((n) => n / 1_000_000);
export const indexDraws: fc.Arbitrary<IndexDraw> = fc.record({
  spacing: fc.constantFrom(2_000, 30_000, 200_000),
  bytesMax: fc.constantFrom(20_000, 100_000, 1 << 28),
  slice: fc.constantFrom(1, 700, 1_000_000),
  flips: fc.array(fc.tuple(part, fc.nat(7)), { minLength: 6, maxLength: 6 }),
  cut: part,
});

/** At most so many checkpoints of an index are gone back to. */
const OPENED_MAX = 5;

export function anIndexLeadsToTheSameRun(one: Case, draw: IndexDraw): void {
  const recording = record(one);
  const reader = open(recording.bytes);
  const replayer = new Replayer({ reader, images: one.images, module: core() });
  const powerOn = copyCheckpoint(replayer.machine, replayer.save());
  const indexer = new Indexer({ powerOn, spacing: draw.spacing, bytesMax: draw.bytesMax });
  let status = indexStep(replayer, indexer, draw.slice);
  for (let i = 0; status.kind === 'running'; i++) status = indexStep(replayer, indexer, i < 300 ? draw.slice : 1_000_000);
  if (identical(status, 'the replay that was indexed').digest !== recording.end.digest) throw new Error('taking checkpoints changed the end');
  const { store } = indexer;
  if (store.checkpoints.length > 2 && store.bytes > draw.bytesMax) throw new Error(`${store.bytes} bytes of checkpoints, ${draw.bytesMax} are allowed`);

  const sink = new MemorySink();
  const written = writeIndex(sink, reader, store);
  const bytes = sink.toBytes();
  if (written !== bytes.length) throw new Error(`${written} bytes are said to be written, ${bytes.length} are`);
  const index = IndexFile.open(new MemorySource(bytes), reader);
  index.check();
  if (index.checkpoints.length !== store.checkpoints.length) throw new Error(`${index.checkpoints.length} checkpoints of ${store.checkpoints.length} came back`);
  const stride = Math.ceil(index.checkpoints.length / OPENED_MAX);
  for (let n = index.checkpoints.length - 1; n >= 0; n -= stride) {
    const fromFile = index.open(n);
    if (n % 2 === 0) replayer.restore(fromFile);
    else replayer.restore(store.open(n));
    const { position, records } = index.checkpoints[n];
    if (replayer.position !== position || replayer.records !== records) throw new Error(`checkpoint ${n} is of @${position}, record ${records}; restored was @${replayer.position}, record ${replayer.records}`);
    const end = identical(replayer.run(), `from checkpoint ${n} of ${index.checkpoints.length}`);
    if (end.digest !== recording.end.digest) throw new Error(`from checkpoint ${n}: ended with ${end.digest}, recorded was ${recording.end.digest}`);
  }
  for (const [place, bit] of draw.flips) isDamageFound(bytes, Math.floor(place * bytes.length), bit, reader);
  isRefused(() => IndexFile.open(new MemorySource(bytes.slice(0, Math.floor(draw.cut * bytes.length))), reader), 'a cut-off index');
}

function isDamageFound(bytes: Uint8Array, offset: number, bit: number, reader: ReturnType<typeof open>): void {
  const damaged = bytes.slice();
  damaged[offset] ^= 1 << bit;
  isRefused(() => {
    const index = IndexFile.open(new MemorySource(damaged), reader);
    index.check();
  }, `an index with bit ${bit} of byte ${offset} flipped`);
}

function isRefused(open: () => void, what: string): void {
  try {
    open();
  } catch (error) {
    if (error instanceof CheckpointError || error instanceof RestoreError) return;
    throw new Error(`${what} was refused by ${error instanceof Error ? error.stack : String(error)}`, { cause: error });
  }
  throw new Error(`${what} was taken for a sound one`);
}

/** The index of one recording is not taken for that of another. */
export function aForeignIndexIsRefused(one: Case, other: Case): void {
  const a = open(record(one).bytes);
  const recorded = record(other);
  const b = open(recorded.bytes);
  const replayer = new Replayer({ reader: b, images: other.images, module: core() });
  const indexer = new Indexer({ powerOn: copyCheckpoint(replayer.machine, replayer.save()), spacing: 10_000 });
  while (indexStep(replayer, indexer, 100_000).kind === 'running');
  const sink = new MemorySink();
  writeIndex(sink, b, indexer.store);
  isRefused(() => IndexFile.open(new MemorySource(sink.toBytes()), a), 'the index of another log');
}
