/**
 * Makes a new log of what can be replayed of a damaged one, and counts what is lost: FORMAT.md, section 9.
 */
import { blockBytesOf, kindCountsOf, recordsOf } from './block.ts';
import type { BlockEntry } from './block.ts';
import { LOG_KINDS } from './events.ts';
import type { KindCounts } from './events.ts';
import type { LogError } from './errors.ts';
import type { Position } from './position.ts';
import type { ByteSink, ByteSource } from './storage.ts';
import { survey } from './survey.ts';
import type { Stretch } from './survey.ts';
import { LogAppender, LogWriter } from './writer.ts';

export interface Tally {
  readonly blocks: number;
  readonly bytes: number;
  readonly records: number;
  readonly byKind: KindCounts;
}

export interface LostTally extends Tally {
  /** False if some bytes of blocks are lost of which neither header nor index tell what they held: then records and byKind are at least so many. */
  readonly isExact: boolean;
  /** Bytes of such blocks. */
  readonly unknownBytes: number;
}

export interface RecoveryReport {
  /** What is wrong with the source; empty if nothing is. */
  readonly problems: readonly LogError[];
  /** Copied to the new log. */
  readonly kept: Tally;
  /** Position of the last event kept. */
  readonly lastPosition: Position;
  /** Damaged or cut off. */
  readonly lost: LostTally;
  /** Intact, but after the damage: a replay cannot reach them. */
  readonly unusable: Tally;
  /** The source ends inside a block or inside the footer. */
  readonly isTorn: boolean;
  /** The source has an intact footer. */
  readonly wasClosed: boolean;
  /** An end event with reason truncated was appended. */
  readonly isTruncated: boolean;
}

/**
 * source is only read. sink receives a whole new log, closed. Throws LogError, before anything is written, if the header of the source cannot be used,
 * or if a newer program wrote it: what is not known is not damaged.
 */
export function recover(source: ByteSource, sink: ByteSink): RecoveryReport {
  const { parsed, stretches, footer, problems, isTorn } = survey(source);
  const newer = problems.find((problem) => problem.code === 'LOG_UNKNOWN_BLOCK' || problem.code === 'LOG_UNKNOWN_RECORD');
  if (newer !== undefined) throw newer;
  const firstDamage = stretches.findIndex((stretch) => stretch.kind === 'damaged');
  const kept = stretches.slice(0, firstDamage < 0 ? stretches.length : firstDamage).filter(isIntact);
  const after = firstDamage < 0 ? [] : stretches.slice(firstDamage);
  const keptEntries = kept.map((stretch) => stretch.entry);

  const appender = new LogAppender(sink);
  appender.raw(source.read(0, parsed.endOffset));
  for (const { entry } of kept) appender.copy(entry, source.read(entry.offset, blockBytesOf(entry)));
  const last = kept.at(-1);
  const lastPosition = (last?.entry.lastPosition ?? 0) as Position;
  const keptTally = tallyOf(keptEntries);
  const state = { records: keptTally.records, timeOffsetNs: last?.endTimeOffsetNs ?? 0, position: lastPosition };
  const writer = new LogWriter(appender, parsed.header, state);
  const isTruncated = !kept.some((stretch) => stretch.hasEnd);
  if (isTruncated) writer.end(lastPosition, 'truncated', problems[0]?.detail ?? 'the log was not closed');
  writer.close();

  return {
    problems, kept: keptTally, lastPosition, lost: lostOf(after), unusable: tallyOf(after.filter(isIntact).map((stretch) => stretch.entry)), isTorn, wasClosed: footer.kind === 'intact', isTruncated,
  };
}

function isIntact(stretch: Stretch): stretch is Stretch & { kind: 'intact' } {
  return stretch.kind === 'intact';
}

function tallyOf(entries: readonly BlockEntry[]): Tally {
  return {
    blocks: entries.length,
    bytes: entries.reduce((sum, entry) => sum + blockBytesOf(entry), 0),
    records: entries.reduce((sum, entry) => sum + recordsOf(entry), 0),
    byKind: kindCountsOf(entries),
  };
}

function lostOf(stretches: readonly Stretch[]): LostTally {
  const damaged = stretches.filter((stretch) => stretch.kind === 'damaged');
  const known = damaged.map((stretch) => stretch.entry).filter((entry) => entry !== undefined);
  const unknownBytes = damaged.reduce((sum, stretch) => sum + (stretch.entry === undefined ? stretch.length : 0), 0);
  return {
    ...tallyOf(known),
    blocks: damaged.length,
    bytes: damaged.reduce((sum, stretch) => sum + stretch.length, 0),
    isExact: unknownBytes === 0,
    unknownBytes,
  };
}

/** The report as lines for people. */
export function describeRecovery(report: RecoveryReport): string[] {
  const { kept, lost, unusable } = report;
  const lines = report.problems.map((problem) => `${problem.code} at byte ${problem.offset}, ${problem.length} bytes: ${problem.detail}`);
  lines.push(`kept: ${describeTally(kept)}, up to @${report.lastPosition}`);
  if (lost.blocks > 0) lines.push(`lost: ${lost.isExact ? '' : 'at least '}${describeTally(lost)}${lost.isExact ? '' : `; ${lost.unknownBytes} bytes cannot be counted`}`);
  if (unusable.blocks > 0) lines.push(`unusable, because a replay cannot pass the damage: ${describeTally(unusable)}`);
  if (report.isTruncated) lines.push('an end event with reason truncated was added');
  return lines;
}

function describeTally(tally: Tally): string {
  const kinds = LOG_KINDS.filter((kind) => tally.byKind[kind] > 0).map((kind) => `${kind} ${tally.byKind[kind]}`);
  return `${tally.records} records (${kinds.join(', ') || 'none'}) in ${tally.blocks} blocks, ${tally.bytes} bytes`;
}
