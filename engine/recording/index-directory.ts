/**
 * What an index says of its checkpoints and pages: columns of numbers, which are read at once and used where they lie (README.md has the layout; little-endian,
 * as all hosts of WebAssembly are). Twins: encodeDirectory and decodeDirectory.
 */
import { CheckpointError } from './checkpoint-errors.ts';

export interface IndexDirectory {
  // A row for each checkpoint; the first is power-on.
  readonly positions: Float64Array;
  readonly records: Float64Array;
  /** One after its last change, and its last page of state. */
  readonly changesEnd: Uint32Array;
  readonly statePagesEnd: Uint32Array;
  /** Bytes and CRC of its state, packed. */
  readonly stateBytes: Uint32Array;
  readonly stateCrcs: Uint32Array;
  // A row for each change against the checkpoint before (against zeros, for power-on); frames ascend within a checkpoint.
  readonly frames: Uint32Array;
  /** Number of the page; anything for a page of zeros. */
  readonly pages: Uint32Array;
  /** Two words, low and high, as RamPages has them. */
  readonly hashes: Uint32Array;
  /** Numbers of pages, in the order in which states refer to them. */
  readonly statePages: Uint32Array;
  // A row for each page.
  readonly pageCrcs: Uint32Array;
  readonly pageBytes: Uint16Array;
}

const COUNTS_BYTES = 16;
const CHECKPOINT_BYTES = 32;
const CHANGE_BYTES = 16;

/** Checkpoints, changes, pages of states, pages. */
type Counts = readonly [number, number, number, number];

function bytesOf([checkpoints, changes, statePages, pages]: Counts): number {
  return COUNTS_BYTES + checkpoints * CHECKPOINT_BYTES + changes * CHANGE_BYTES + statePages * 4 + pages * 6;
}

/** Empty columns over `bytes`, whose length is bytesOf(counts). */
function columnsOver(buffer: ArrayBuffer, [checkpoints, changes, statePages, pages]: Counts): IndexDirectory {
  let at = COUNTS_BYTES;
  const doubles = (count: number): Float64Array => new Float64Array(buffer, (at += count * 8) - count * 8, count);
  const words = (count: number): Uint32Array => new Uint32Array(buffer, (at += count * 4) - count * 4, count);
  return {
    positions: doubles(checkpoints), records: doubles(checkpoints), changesEnd: words(checkpoints), statePagesEnd: words(checkpoints), stateBytes: words(checkpoints), stateCrcs: words(checkpoints),
    frames: words(changes), pages: words(changes), hashes: words(changes * 2), statePages: words(statePages), pageCrcs: words(pages), pageBytes: new Uint16Array(buffer, at, pages),
  }; // prettier-ignore
}

/** `fill` writes the columns. */
export function encodeDirectory(counts: Counts, fill: (columns: IndexDirectory) => void): Uint8Array {
  const buffer = new ArrayBuffer(bytesOf(counts));
  new Uint32Array(buffer, 0, 4).set(counts);
  fill(columnsOver(buffer, counts));
  return new Uint8Array(buffer);
}

/** ramFrames: of the machine. Throws CheckpointError for what no encodeDirectory makes. */
export function decodeDirectory(bytes: Uint8Array, ramFrames: number): IndexDirectory {
  const damaged = (detail: string): CheckpointError => new CheckpointError('damaged', `the directory ${detail}`);
  if (bytes.length < COUNTS_BYTES) throw damaged(`has ${bytes.length} bytes`);
  const isWhole = bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  const buffer = (isWhole ? bytes : bytes.slice()).buffer as ArrayBuffer;
  const [checkpoints, changes, statePages, pages] = new Uint32Array(buffer, 0, 4);
  const counts: Counts = [checkpoints, changes, statePages, pages];
  if (checkpoints === 0 || bytesOf(counts) !== bytes.length) throw damaged(`of ${bytes.length} bytes says that it has ${checkpoints} checkpoints, ${changes} changes and ${pages} pages`);
  const columns = columnsOver(buffer, counts);
  const isAscending = (ends: Uint32Array, end: number): boolean => ends.every((each, i) => each >= (i === 0 ? 0 : ends[i - 1])) && ends[ends.length - 1] === end;
  if (!isAscending(columns.changesEnd, changes) || !isAscending(columns.statePagesEnd, statePages)) throw damaged('does not say which change is of which checkpoint');
  const { frames, hashes } = columns;
  for (let i = 0; i < changes; i++) {
    if (frames[i] >= ramFrames) throw damaged(`names frame ${frames[i]} of ${ramFrames}`);
    if (columns.pages[i] >= pages && (hashes[i * 2] !== 0 || hashes[i * 2 + 1] !== 0)) throw damaged(`names page ${columns.pages[i]} of ${pages}`);
  }
  for (const page of columns.statePages) if (page >= pages) throw damaged(`names page ${page} of ${pages}`);
  for (const length of columns.pageBytes) if (length === 0 || length > 4096) throw damaged(`has a page of ${length} bytes`);
  return columns;
}
