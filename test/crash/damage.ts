/** Logs that a crash left behind: what is left of them, and whether it is all that it should be. */
import { blockBytesOf, recordsOf } from '../../engine/log/block.ts';
import { LogError } from '../../engine/log/errors.ts';
import { LOG_KINDS, kindCode } from '../../engine/log/events.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { type RecoveryReport, recover } from '../../engine/log/recover.ts';
import { type ByteSource, MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { type LogCheck, checkLog } from '../../engine/log/survey.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { Replayer } from '../../engine/recording/replayer.ts';

export interface Repaired {
  readonly check: LogCheck;
  readonly report: RecoveryReport;
  readonly reader: LogReader;
}

function sourceOf(bytes: Uint8Array): ByteSource {
  return new MemorySource(bytes);
}

/** The log as it would be if its writer had not died, to compare with. */
export class Reference {
  readonly bytes: Uint8Array;
  readonly reader: LogReader;
  readonly headerEnd: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.reader = LogReader.open(sourceOf(bytes));
    this.headerEnd = this.reader.blocks[0].offset;
  }

  /** Blocks that are whole in the first `length` bytes. */
  blocksIn(length: number): number {
    return this.reader.blocks.filter((entry) => entry.offset + blockBytesOf(entry) <= length).length;
  }
  /** Records in the first `blocks` blocks. */
  recordsIn(blocks: number): number {
    return this.reader.blocks.slice(0, blocks).reduce((sum, entry) => sum + recordsOf(entry), 0);
  }
}

/**
 * Repairs what is left and holds it against the reference: `left` begins as the reference does, up to `good` bytes. Returns undefined if not
 * even the header was written. Throws with what is wrong.
 */
export function repair(left: Uint8Array, good: number, reference: Reference): Repaired | undefined {
  const before = left.slice();
  const check = checkLog(sourceOf(left));
  const sink = new MemorySink();
  let report: RecoveryReport;
  try {
    report = recover(sourceOf(left), sink);
  } catch (error) {
    if (error instanceof LogError && good < reference.headerEnd && (error.code === 'LOG_HEADER_DAMAGED' || error.code === 'LOG_NOT_A_LOG') && sink.length === 0) return undefined;
    throw error;
  }
  expectThat(Buffer.compare(before, left) === 0, 'the original was changed');
  const repaired = sink.toBytes();
  expectThat(checkLog(sourceOf(repaired)).problems.length === 0, 'the repaired log has problems of its own');
  const reader = LogReader.open(sourceOf(repaired));
  expectThat(reader.isClosed && reader.hasEnd, 'the repaired log is not closed, or has no end');

  const whole = reference.blocksIn(good);
  const isComplete = good === reference.bytes.length && left.length === good;
  expectThat(isComplete === (check.problems.length === 0 && check.isClosed), `check says ${check.problems.map(({ code }) => code).join() || 'nothing'} of ${good} of ${reference.bytes.length} bytes`);
  expectThat(report.kept.blocks === whole, `${report.kept.blocks} blocks were kept of ${whole} whole ones`);
  const records = reference.recordsIn(whole);
  expectThat(report.kept.records === records, `${report.kept.records} records were kept of ${records}`);
  expectThat(reader.records === records + (report.isTruncated ? 1 : 0), `the repaired log has ${reader.records} records`);
  const wholeEnd = whole === 0 ? reference.headerEnd : reference.reader.blocks[whole - 1].offset + blockBytesOf(reference.reader.blocks[whole - 1]);
  expectThat(Buffer.compare(repaired.subarray(0, wholeEnd), reference.bytes.subarray(0, wholeEnd)) === 0, 'the whole blocks are not in the repaired log as they were');

  // By kind: what was kept, and what the header of the torn block says was in it.
  const byKind = (from: number, to: number): Record<string, number> =>
    Object.fromEntries(LOG_KINDS.map((kind) => [kind, reference.reader.blocks.slice(from, to).reduce((sum, entry) => sum + entry.counts[kindCode(kind)], 0)]));
  for (const kind of LOG_KINDS) expectThat(report.kept.byKind[kind] === byKind(0, whole)[kind], `kept ${report.kept.byKind[kind]} records of kind ${kind}`);
  const torn = reference.reader.blocks.at(whole);
  const headerIsThere = torn !== undefined && good >= torn.offset + 80;
  if (headerIsThere && report.lost.blocks > 0) {
    expectThat(report.lost.isExact, 'the loss is not exact although the header of the torn block is there');
    for (const kind of LOG_KINDS) expectThat(report.lost.byKind[kind] === byKind(whole, whole + 1)[kind], `lost ${report.lost.byKind[kind]} records of kind ${kind}, not ${byKind(whole, whole + 1)[kind]}`);
  } else {
    expectThat(report.lost.records === 0, `${report.lost.records} records are reported as lost`);
    // Bytes of which nothing is known.
    const rest = torn === undefined ? 0 : good - (whole === 0 ? reference.headerEnd : torn.offset);
    expectThat(rest === 0 || !report.lost.isExact || report.lost.blocks === 0, 'the loss is exact although nobody can know');
  }
  expectThat(report.unusable.blocks === 0, 'blocks after the end are reported as unusable');
  return { check, report, reader };
}

export function replayPrefix(reader: LogReader, images: RunImages, module: WebAssembly.Module, report: RecoveryReport): void {
  const status = new Replayer({ reader, images, module }).run();
  expectThat(status.kind === 'identical', status.kind === 'diverged' ? describeDivergence(status.divergence).join('\n') : '');
  if (status.kind !== 'identical') return;
  expectThat(status.complete === !report.isTruncated, `the replay says complete: ${status.complete}`);
  expectThat(status.position <= report.lastPosition + 1, `the replay ended at @${status.position}, after the last event at @${report.lastPosition}`);
}

export function expectThat(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new Error(problem);
}
