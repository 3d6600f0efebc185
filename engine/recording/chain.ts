/**
 * A run that is kept in several logs: a branch, or a run that went on elsewhere (a live migration). Each log but the root names its parent and how
 * many of the parent's records come before it (FORMAT.md, section 1.1). openChain() makes one LogReader of them:
 *
 *     root    ███████████████▒▒▒▒▒▒▒▒▒        ▒ what the parent did after the branch: not part of the child's run
 *     child                 └██████▒▒▒▒
 *     grandchild                   └███████
 *     reader  ███████████████ ██████ ███████  a log like any other: positions, time offsets and record numbers go through
 *
 * So Replayer, TimeTravel, VerifyingSink and every projection take a chain without knowing. To write the next log of a chain: RecorderOptions.from.
 */
import type { BlockEntry } from '../log/block.ts';
import { canonicalJson } from '../log/canonical-json.ts';
import type { EventBatch } from '../log/event-batch.ts';
import { KIND_END } from '../log/events.ts';
import type { LogHeader, LogParent } from '../log/header.ts';
import type { Position } from '../log/position.ts';
import { LogReader } from '../log/reader.ts';
import type { ByteSource } from '../log/storage.ts';

export interface RecordingChain {
  /** Root first; the last is the log that was asked for. A log that is no branch is a chain of one. */
  readonly readers: readonly LogReader[];
  /** Where each log begins: readers[i] goes on where readers[i - 1] has made the records before it. */
  readonly links: readonly ChainLink[];
  /** The run from power-on to the end of the last log, as one log. Its header is the last log's, without the parent; its records are numbered through. */
  readonly reader: LogReader;
}

export interface ChainLink {
  /** 0 for the root. */
  readonly position: Position;
  /** Number, in the chain, of the first record of this log. */
  readonly firstRecord: number;
}

/** Why the parent of a log cannot be used: it is not there, is not the one that is meant, or the logs name each other in a circle. */
export type ChainProblem = 'parent-missing' | 'parent-wrong' | 'parent-circle';

export class ChainError extends Error {
  override readonly name = 'ChainError';
  readonly code: ChainProblem;
  /** The parent that is meant. */
  readonly parent: LogParent;

  constructor(code: ChainProblem, parent: LogParent, message: string) {
    super(message);
    this.code = code;
    this.parent = parent;
  }
}

/** Logs in a chain at most. */
export const CHAIN_LOGS_MAX = 10_000;

/** Finds the log with an identity: `findParent(parent)` is asked for each log of the chain that has one. Throws ChainError, LogError. */
export function openChain(reader: LogReader, findParent: (parent: LogParent) => LogReader | undefined): RecordingChain {
  const readers = [reader];
  const ids = new Set([reader.header.id]);
  for (let child = reader; child.header.parent !== undefined; child = readers[0]) {
    const { parent } = child.header;
    if (ids.has(parent.logId) || readers.length >= CHAIN_LOGS_MAX) throw new ChainError('parent-circle', parent, `the log ${child.header.id} is its own ancestor: it cannot be replayed`);
    const found = findParent(parent);
    if (found === undefined) throw new ChainError('parent-missing', parent, `the log goes on from @${parent.position} of the log ${parent.logId}, which was not found`);
    if (found.header.id !== parent.logId) throw new ChainError('parent-wrong', parent, `the log goes on from the log ${parent.logId}; this one is ${found.header.id}`);
    ids.add(parent.logId);
    readers.unshift(found);
  }
  if (readers.length === 1) return { readers, links: [{ position: 0 as Position, firstRecord: 0 }], reader };
  const links: ChainLink[] = [{ position: 0 as Position, firstRecord: 0 }];
  for (let i = 1; i < readers.length; i++) {
    const parent = readers[i].header.parent!;
    const problem = linkProblem(readers[i - 1], readers[i]);
    if (problem !== undefined) throw new ChainError('parent-wrong', parent, `the log ${readers[i].header.id} does not go on from @${parent.position} of ${parent.logId}: ${problem}`);
    links.push({ position: parent.position, firstRecord: links[i - 1].firstRecord + parent.records! });
  }
  return { readers, links, reader: new ChainReader(readers, links) };
}

/** The log of a chain that holds what happens next at a moment, and the number there of the record that comes next. A branch from there has that log as its parent. */
export function placeInChain({ readers, links }: RecordingChain, records: number): { readonly reader: LogReader; readonly records: number } {
  // At a seam the older log will do: it has made all records before.
  let i = 0;
  while (i + 1 < links.length && records > links[i + 1].firstRecord) i++;
  return { reader: readers[i], records: records - links[i].firstRecord };
}

/** Fields of the header that a branch has from its parent. */
export function inherited({ blockBytes, quirks, wallClockNs, config, images }: LogHeader): Pick<LogHeader, 'blockBytes' | 'quirks' | 'wallClockNs' | 'config' | 'images'> {
  return { blockBytes, quirks, wallClockNs, config, images };
}

function linkProblem(parent: LogReader, child: LogReader): string | undefined {
  const { position, records } = child.header.parent!;
  if (records === undefined) return 'its header does not say how many records come before';
  const ofChild = inherited(child.header);
  const ofParent = inherited(parent.header);
  for (const field of ['blockBytes', 'quirks', 'wallClockNs', 'config', 'images'] as const) {
    if (canonicalJson(plain(ofChild[field])) !== canonicalJson(plain(ofParent[field]))) return `${field} of the two headers differ`;
  }
  if (records > parent.records - (parent.hasEnd ? 1 : 0)) return `it comes after record ${records}, and the parent has ${parent.records}`;
  if (parent.header.parent !== undefined && position < parent.header.parent.position) return `the parent itself begins at @${parent.header.parent.position}`;
  const before = records === 0 ? undefined : placeOfRecord(parent, records - 1);
  const next = records === parent.records ? undefined : placeOfRecord(parent, records);
  if (before !== undefined && before.position > position) return `the record before it is at @${before.position}`;
  if (next !== undefined && next.position < position) return `the record after it is at @${next.position}`;
  const first = child.eventBlocks.at(0);
  if (first === undefined) return undefined;
  if (first.firstPosition < position) return `its first record is at @${first.firstPosition}`;
  const timeOffsetNs = next?.timeOffsetNs ?? before?.afterNs;
  if (timeOffsetNs !== undefined && timeOffsetNs !== first.timeOffsetNs) return `its time offset is ${first.timeOffsetNs}, the parent's is ${timeOffsetNs}`;
  return undefined;
}

/** Where a record is, and the time offset before it and after it. */
function placeOfRecord(reader: LogReader, record: number): { readonly position: number; readonly timeOffsetNs: number; readonly afterNs: number } {
  const block = reader.eventBlocks.findLastIndex(({ firstRecord }) => firstRecord <= record);
  const batch = reader.batch(block);
  const row = record - batch.firstRecord;
  return { position: batch.position[row], timeOffsetNs: batch.timeOffsetNs[row], afterNs: row + 1 < batch.count ? batch.timeOffsetNs[row + 1] : batch.endTimeOffsetNs };
}

function plain(value: unknown): Parameters<typeof canonicalJson>[0] {
  return JSON.parse(JSON.stringify(value)) as Parameters<typeof canonicalJson>[0];
}

interface Origin {
  readonly reader: LogReader;
  readonly entry: BlockEntry;
  /** Number of the event block in its own log; -1 for other blocks. */
  readonly index: number;
  /** To be added to its record numbers. */
  readonly shift: number;
  /** Rows of it that belong to the chain. */
  readonly rows: number;
}

class ChainReader extends LogReader {
  private readonly logs: readonly LogReader[];
  private readonly origins: ReadonlyMap<BlockEntry, Origin>;

  constructor(readers: readonly LogReader[], links: readonly ChainLink[]) {
    const origins = new Map<BlockEntry, Origin>();
    readers.forEach((reader, i) => {
      const shift = links[i].firstRecord;
      const cut = i + 1 < links.length ? links[i + 1].firstRecord - shift : Infinity;
      let index = 0;
      for (const entry of reader.blocks) {
        const count = entry.counts.reduce((sum, each) => sum + each, 0);
        const own = count > 0 ? index++ : -1;
        if (entry.firstRecord >= cut) continue;
        const rows = Math.min(count, cut - entry.firstRecord);
        const kept = rows === count ? entry : cutEntry(entry, reader.batch(own), rows);
        origins.set({ ...kept, firstRecord: entry.firstRecord + shift }, { reader, entry, index: own, shift, rows });
      }
    });
    const last = readers[readers.length - 1];
    const { parent: _, ...header } = last.header;
    super(NO_SOURCE, { header, major: last.version.major, minor: last.version.minor, endOffset: 0 }, last.isClosed, [...origins.keys()]);
    this.logs = readers;
    this.origins = origins;
  }

  override batch(i: number): EventBatch {
    const { reader, index, shift, rows } = this.origin(this.eventBlocks[i]);
    const batch = reader.batch(index);
    if (shift === 0 && rows === batch.count) return batch;
    const own = { ...batch, firstRecord: batch.firstRecord + shift, count: rows, endTimeOffsetNs: rows === batch.count ? batch.endTimeOffsetNs : batch.timeOffsetNs[rows] };
    const end = rows - 1;
    if (shift === 0 || batch.kind[end] !== KIND_END) return own;
    // The end says how many records come before it.
    const valueLo = batch.valueLo.slice();
    const valueHi = batch.valueHi.slice();
    const records = valueLo[end] + valueHi[end] * 2 ** 32 + shift;
    valueLo[end] = records >>> 0;
    valueHi[end] = Math.floor(records / 2 ** 32);
    return { ...own, valueLo, valueHi };
  }

  override passingBatch(i: number): EventBatch {
    return this.batch(i);
  }

  override image(sha256: string): Uint8Array | undefined {
    for (const log of this.logs) {
      const bytes = log.image(sha256);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** Of a block that the chain has a part of: all of it. */
  override payload(entry: BlockEntry): Uint8Array {
    const { reader, entry: own } = this.origin(entry);
    return reader.payload(own);
  }

  private origin(entry: BlockEntry | undefined): Origin {
    const origin = entry === undefined ? undefined : this.origins.get(entry);
    if (origin === undefined) throw new RangeError('no such block in the chain');
    return origin;
  }
}

function cutEntry(entry: BlockEntry, batch: EventBatch, rows: number): BlockEntry {
  const counts = new Uint16Array(entry.counts.length);
  for (let row = 0; row < rows; row++) counts[batch.kind[row]]++;
  if (counts[KIND_END] > 0) throw new RangeError('a branch after the end of its parent');
  return { ...entry, counts, lastPosition: batch.position[rows - 1] };
}

const NO_SOURCE: ByteSource = {
  length: 0,
  read: () => {
    throw new Error('a chain has no bytes of its own');
  },
};
