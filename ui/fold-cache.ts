/** What one reading of a long log has told, kept for the next opening beside its checkpoints. */
import { ColumnsError, columnOf, decodeColumns, encodeColumns } from '../engine/protocol/columns.ts';
import type { Mark, ModeChange } from '../engine/protocol/events.ts';
import { keepCheckpoints, readCheckpoints } from './debug/checkpoint-cache.ts';
import type { FoldState } from './opened-log.ts';

/** A log with fewer records is folded again before a look into IndexedDB is over. */
export const KEPT_FROM_RECORDS = 1_000_000;
const VERSION = 2;

interface Meta {
  readonly version: number;
  readonly shift: number;
  readonly records: number;
  readonly lastPosition: number;
  readonly names: readonly string[];
  readonly marks: readonly Mark[];
  readonly pagesOfRange: number;
  readonly ranges: number;
  readonly modes: readonly ModeChange[];
}

export function encodeFold({ pyramid, marks, rings, heat, modes, consoleBytes }: FoldState): Uint8Array<ArrayBuffer> {
  const { shift, records, lastPosition, tracks } = pyramid;
  const meta: Meta = { version: VERSION, shift, records, lastPosition, names: tracks.map(({ name }) => name), marks, pagesOfRange: heat.pagesOfRange, ranges: heat.ranges, modes };
  return encodeColumns(meta, [
    ['positions', rings.positions], ['shares', rings.shares], ['calls', rings.calls], ['console', consoleBytes], ['heat positions', heat.positions], ['heat', heat.values],
    ...tracks.flatMap(({ chunks, values }, i) => [[`chunks ${i}`, chunks], [`values ${i}`, values]] as const),
  ]); // prettier-ignore
}

/** Undefined: of another version, or damaged. */
export function decodeFold(bytes: Uint8Array): FoldState | undefined {
  try {
    const decoded = decodeColumns(bytes);
    const { version, shift, records, lastPosition, names, marks, pagesOfRange, ranges, modes } = decoded.meta as Meta;
    if (version !== VERSION) return undefined;
    const values = (i: number): Uint32Array | Float64Array => {
      const column = decoded.columns.get(`values ${i}`);
      return column instanceof Float64Array ? column : columnOf(decoded, `values ${i}`, 'u32');
    };
    const tracks = names.map((name, i) => ({ name, chunks: columnOf(decoded, `chunks ${i}`, 'u32'), values: values(i) }));
    return {
      pyramid: { shift, records, lastPosition, tracks },
      marks,
      rings: { positions: columnOf(decoded, 'positions', 'f64'), shares: columnOf(decoded, 'shares', 'f64'), calls: columnOf(decoded, 'calls', 'f64') },
      heat: { positions: columnOf(decoded, 'heat positions', 'f64'), pagesOfRange, ranges, values: columnOf(decoded, 'heat', 'f64') },
      modes,
      consoleBytes: columnOf(decoded, 'console', 'u32'),
    };
  } catch (error) {
    if (error instanceof ColumnsError || error instanceof TypeError) return undefined;
    throw error;
  }
}

export const foldKey = (logId: string): string => `fold ${logId}`;

export async function readFold(logId: string): Promise<FoldState | undefined> {
  const kept = await readCheckpoints(foldKey(logId));
  return kept === undefined ? undefined : decodeFold(new Uint8Array(await kept.arrayBuffer()));
}

export function keepFold(logId: string, fold: FoldState): Promise<boolean> {
  return keepCheckpoints(foldKey(logId), new Blob([encodeFold(fold)]));
}
