/** Crashes without processes: what was not synced is gone or half there, and each single write fails once. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { blockBytesOf } from '../../engine/log/block.ts';
import { LogError } from '../../engine/log/errors.ts';
import { recover } from '../../engine/log/recover.ts';
import { type ByteSink, MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { checkLog } from '../../engine/log/survey.ts';
import { EMBED_BYTES_MAX, Recorder, type RecorderStatus } from '../../engine/recording/recorder.ts';
import type { Recipe, RunImages } from '../../engine/recording/recipe.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { Reference, repair, replayPrefix } from './damage.ts';
import { FailingSink, JournalSink } from './sinks.ts';

const module = loadCore();
const kernel = new Uint8Array(readFileSync(fileURLToPath(new URL('../../engine/guests/images/lab-kernel.elf', import.meta.url))));
const embedded = { kernel };
// The same kernel, too large to be put into the log: a log of few blocks, which can be cut at every byte.
const images = { kernel: new Uint8Array(EMBED_BYTES_MAX + 1) };
images.kernel.set(kernel);
const recipe: Recipe = {
  guest: 'lab',
  commandLine: 'run="echo hello; ps"',
  protocol: 'auto',
  machine: { memoryBytes: 16 << 20, seed: '0000000000000001', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 1000 },
  epochInstructions: 20_000,
  digestInstructions: 50_000,
};
const FLUSH_EVERY = 15_000;

/** Records the lab kernel, which is typed at, with flushes between. */
function record(sink: ByteSink, from: RunImages = images): { readonly records: readonly number[]; readonly end: RecorderStatus } {
  const recorder = new Recorder({ recipe, images: from, module, log: { sink, id: 'storage', product: 'test', blockBytes: 2048 } });
  recorder.input(new TextEncoder().encode('help\nps\npoweroff\n'));
  const records: number[] = [];
  for (;;) {
    const end = recorder.step(FLUSH_EVERY, true);
    if (end.kind !== 'running') return { records, end };
    recorder.flush();
    records.push(recorder.records);
  }
}

const journal = new JournalSink();
const { records: flushed, end } = record(journal);
const reference = new Reference(journal.after(Infinity).bytes);

test('the reference is a whole log with every block that a crash can hit', () => {
  expect(end.kind).toBe('ended');
  expect(checkLog(new MemorySource(reference.bytes))).toEqual({ problems: [], isClosed: true, hasEnd: true });
  expect(reference.reader.eventBlocks.length).toBeGreaterThan(5);
  expect(flushed.length).toBeGreaterThan(5);
});

test('a crash of the host after each operation: everything that was not synced is gone', () => {
  let syncs = 0;
  let best = -1;
  for (let count = 1; count <= journal.operations.length; count++) {
    if (journal.operations[count - 1].kind === 'sync') syncs++;
    const { bytes, syncedBytes } = journal.after(count);
    if (syncedBytes === best) continue;
    best = syncedBytes;
    const repaired = repair(bytes.slice(0, syncedBytes), syncedBytes, reference);
    if (syncs === 0) expect(repaired).toBeUndefined();
    // The last sync is that of close(); those before are flushes, after which every record so far is there.
    else expect(repaired!.report.kept.records).toBe(flushed[syncs - 1] ?? reference.reader.records);
  }
  expect(syncs).toBe(flushed.length + 1);
});

/** Cuts a log in its block i at every byte, or at every step-th. All that is promised of a repair is looked at for one in 16. */
function cutBlock(whole: Reference, i: number, step: number): void {
  const entry = whole.reader.blocks[i];
  const end = entry.offset + blockBytesOf(entry);
  const lengths = new Set([entry.offset, entry.offset + 1, entry.offset + 79, entry.offset + 80, entry.offset + 81, end - 1, end]);
  for (let length = entry.offset; length < end; length += step) lengths.add(length);
  let count = 0;
  for (const length of lengths) {
    const left = whole.bytes.slice(0, length);
    const kept = count < 7 || count % 16 === 0 ? repair(left, length, whole)!.report.kept : recover(new MemorySource(left), new MemorySink()).kept;
    expect(kept.blocks, `a cut at byte ${length}`).toBe(length === end ? i + 1 : i);
    count++;
  }
  // A file system may have made the file longer, and not have written what belongs there.
  for (const length of [entry.offset, entry.offset + 1, entry.offset + 79, entry.offset + 80, entry.offset + 81, end - 1]) {
    const left = whole.bytes.slice(0, end);
    left.fill(0, length);
    if (whole.bytes.subarray(length, end).every((byte) => byte === 0)) continue;
    const { problems } = checkLog(new MemorySource(left));
    expect(problems.length, `block ${i}, zeros from ${length}`).toBeGreaterThan(0);
    expect(problems[0].offset).toBe(entry.offset);
    expect(recover(new MemorySource(left), new MemorySink()).kept.blocks).toBe(i);
  }
}

test('a cut at every byte of the last appended block, with and without zeros where the rest should be', () => {
  const { blocks } = reference.reader;
  for (const i of [0, Math.floor(blocks.length / 2), blocks.length - 2, blocks.length - 1]) cutBlock(reference, i, i >= blocks.length - 2 ? 1 : 7);
  // And of the footer.
  for (let length = blocks.at(-1)!.offset + blockBytesOf(blocks.at(-1)!); length <= reference.bytes.length; length++) {
    const repaired = repair(reference.bytes.slice(0, length), length, reference)!;
    expect(repaired.report.kept.records).toBe(reference.reader.records);
    expect(repaired.report.isTruncated).toBe(false);
  }
});

test('a cut in the blocks of an embedded image, and in the first events after it', () => {
  const sink = new JournalSink();
  record(sink, embedded);
  const whole = new Reference(sink.after(Infinity).bytes);
  const firstEvents = whole.reader.blocks.findIndex((entry) => entry === whole.reader.eventBlocks[0]);
  expect(firstEvents).toBeGreaterThan(10);
  for (const i of [0, firstEvents - 1, firstEvents]) cutBlock(whole, i, 97);
});

test('what is left after a crash replays', () => {
  const count = journal.operations.length;
  for (const part of [0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1]) {
    const { bytes } = journal.after(Math.floor(count * part));
    const repaired = repair(bytes, bytes.length, reference)!;
    replayPrefix(repaired.reader, images, module, repaired.report);
  }
});

test('each single append or sync fails once: a clear error, nothing more is written, and what there is can be read', () => {
  for (let n = 0; n < journal.operations.length; n++) {
    for (const part of n % 3 === 0 ? [0, 0.5] : [0.5]) {
      const sink = new FailingSink(n, part);
      let failure: unknown;
      try {
        record(sink);
      } catch (error) {
        failure = error;
      }
      expect(failure, `operation ${n}`).toBeInstanceOf(LogError);
      if (!(failure instanceof LogError)) return;
      expect(failure.code).toBe('LOG_WRITE_FAILED');
      expect(failure.message).toMatch(/the log could not be written \(byte \d+: (ENOSPC|EIO): .*\); free some space/);
      expect(sink.triedAgain).toBe(0);
      const left = sink.toBytes();
      expect(Buffer.compare(left, reference.bytes.subarray(0, left.length))).toBe(0);
      const repaired = repair(left, left.length, reference);
      if (repaired === undefined) expect(left.length).toBeLessThan(reference.headerEnd);
      else if (n % 7 === 0) replayPrefix(repaired.reader, images, module, repaired.report);
    }
  }
});

test('a recorder whose log failed refuses to go on as if nothing had happened', () => {
  const sink = new FailingSink(Math.floor(journal.operations.length * 0.9), 0);
  const recorder = new Recorder({ recipe, images, module, log: { sink, id: 'storage', product: 'test', blockBytes: 2048 } });
  recorder.input(new TextEncoder().encode('help\nps\npoweroff\n'));
  const run = (): void => {
    while (recorder.step(FLUSH_EVERY, true).kind === 'running') recorder.flush();
  };
  expect(run).toThrow(LogError);
  expect(run).toThrow(LogError);
  expect(() => recorder.flush()).toThrow(LogError);
  expect(() => recorder.stop('user', 'gives up')).toThrow(LogError);
  expect(sink.triedAgain).toBe(0);
});
