/**
 * The messages between a page and the worker that reads its log: what can be told without a machine. A page holds only what it shows.
 *
 *     page ── open ──► worker     page ── fold ──► worker          page ── rows, at, row, beside, console, window ──► worker
 *          ◄─ opened ──                ◄─ folding ── (many)              ◄─ ... ──
 *                                      ◄─ folded ──
 *
 * Before `folded` everything is answered from the blocks that it needs; windows of many events only as far as the log was folded. Every request has a number that its replies
 * repeat. A filter, a console and a window are superseded by the next of their kind. Typed arrays are transferred, not copied.
 */
import type { Failure, LogPlace } from './messages.ts';
import type { LogSummary } from './summary.ts';

export type LogRequest =
  /** at: the position that is shown first; undefined: the end. */
  | { readonly kind: 'open'; readonly id: number; readonly log: LogPlace; readonly at: number | undefined }
  /** Reads all of it once, for windows, marks and shares; or takes what an earlier time has kept. */
  | { readonly kind: 'fold'; readonly id: number }
  /** Those that the filter shows, from the one with number `first` on. */
  | { readonly kind: 'rows'; readonly id: number; readonly first: number; readonly count: number }
  /** The last record at the position or before it. */
  | { readonly kind: 'at'; readonly id: number; readonly position: number }
  /** The record with this number in the log. */
  | { readonly kind: 'row'; readonly id: number; readonly row: number }
  /** The nearest record after (1) or before (-1) `row` that is of one of these kinds (bit KIND_*). */
  | { readonly kind: 'beside'; readonly id: number; readonly row: number; readonly direction: 1 | -1; readonly kinds: number }
  /** What `rows` shows. kinds: bit KIND_* of each kind wanted. text: words that must (or, after a minus, must not) occur. Undefined: all. */
  | { readonly kind: 'filter'; readonly id: number; readonly wanted: { readonly kinds: number; readonly text: string } | undefined }
  /** The console around the record with this number. */
  | { readonly kind: 'console'; readonly id: number; readonly row: number }
  /** Counts by bucket of positions. tracks: names, or beginnings of names that end in `*`. use: what it supersedes. */
  | { readonly kind: 'window'; readonly id: number; readonly use: string; readonly from: number; readonly to: number; readonly buckets: number; readonly tracks: readonly string[] }
  /** Interrupts between two positions; none if there are too many to be told apart. */
  | { readonly kind: 'interrupts'; readonly id: number; readonly from: number; readonly to: number }
  /** What a regime or platform costs over the whole run. */
  | { readonly kind: 'costs'; readonly id: number; readonly regime: string }
  /** Ends request `target`. No reply but its own. */
  | { readonly kind: 'cancel'; readonly id: number; readonly target: number };

export interface EventText {
  readonly row: number;
  readonly position: number;
  /** Virtual time. */
  readonly timeNs: number;
  /** KIND_* */
  readonly kind: number;
  readonly text: string;
  /** Hex, without 0x; absent where an event has none. */
  readonly rip: string | undefined;
}

/** The rows around a position, which a page shows first. */
export interface NearRows {
  /** The last one at the position or before it; 0 if there is none. */
  readonly row: number;
  /** Of `texts`, a multiple of ROWS_TOGETHER. */
  readonly first: number;
  readonly texts: readonly EventText[];
}
/** Rows that are asked for and answered together. */
export const ROWS_TOGETHER = 64;

export interface Mark {
  readonly row: number;
  readonly position: number;
  readonly name: string;
}

/** From what the CPU counted; empty for logs without such counts. */
export interface RingShares {
  /** Ascending; the last is the end of the last stretch. */
  readonly positions: Float64Array;
  /** Of instructions at privilege 0 to 2 among all, 0 to 1; one fewer than positions. */
  readonly shares: Float64Array;
  /** System calls for each 1000 instructions. */
  readonly calls: Float64Array;
}

/** Pages that the guest writes, by stretch of positions and range of addresses. */
export interface DirtyHeat {
  /** Ascending; the last is the end of the last stretch. */
  readonly positions: Float64Array;
  readonly pagesOfRange: number;
  /** From address 0 on. */
  readonly ranges: number;
  /** Pages written in an epoch, the mean over those of the stretch; `ranges` for each stretch. */
  readonly values: Float64Array;
}

/** A write of CR0 or EFER, the lower 32 bits; 'protected': PE is set, the rest stays. */
export interface ModeChange {
  readonly position: number;
  readonly cr0: number | 'protected' | undefined;
  readonly efer: number | undefined;
}

/** A part of what the guest sent to its console. */
export interface ConsolePart {
  /** Number of the first of these bytes; undefined as long as nobody has counted those before. */
  readonly first: number | undefined;
  /** The records that sent them. */
  readonly rows: Uint32Array;
  readonly bytes: Uint8Array;
  /** Records for which this is the part to be shown: others ask again. */
  readonly from: number;
  readonly to: number;
  /** In all of the recording; undefined as long as nobody has counted them. */
  readonly total: number | undefined;
}

export interface InterruptArrow {
  /** Where its line was raised. */
  readonly from: number;
  /** Where the CPU took it. */
  readonly to: number;
  /** Where its handler said that it is over; undefined: not seen. */
  readonly until: number | undefined;
  readonly vector: number;
  readonly line: number | undefined;
}

export interface RegimeCosts {
  readonly regime: string;
  /** Buckets of 2^shift instructions. */
  readonly shift: number;
  /** By bucket. */
  readonly cycles: Float64Array;
}

export type LogReply =
  /** console: around the row that is shown first; undefined: it takes longer, and is to be asked for. */
  | { readonly kind: 'opened'; readonly id: number; readonly summary: LogSummary; readonly near: NearRows; readonly console: ConsolePart | undefined }
  /** `records` of all are folded. */
  | { readonly kind: 'folding'; readonly id: number; readonly records: number }
  | { readonly kind: 'folded'; readonly id: number; readonly marks: readonly Mark[]; readonly rings: RingShares; readonly heat: DirtyHeat; readonly modes: readonly ModeChange[]; readonly regimes: readonly { readonly id: string; readonly title: string }[] }
  | { readonly kind: 'rows'; readonly id: number; readonly first: number; readonly texts: readonly EventText[] }
  /** index: how many before it are shown. text: undefined if there is none. */
  | { readonly kind: 'record'; readonly id: number; readonly text: EventText | undefined; readonly index: number; readonly isShown: boolean }
  /** So many records answer the filter among those looked at; `scanned` of all were. */
  | { readonly kind: 'matching'; readonly id: number; readonly shown: number; readonly scanned: number }
  | { readonly kind: 'filtered'; readonly id: number; readonly shown: number }
  | { readonly kind: 'console'; readonly id: number; readonly part: ConsolePart }
  /** Buckets of 2^shift instructions from first x 2^shift on; columns by track. */
  | { readonly kind: 'window'; readonly id: number; readonly shift: number; readonly first: number; readonly count: number; readonly names: readonly string[]; readonly columns: readonly Float64Array[] }
  | { readonly kind: 'interrupts'; readonly id: number; readonly arrows: readonly InterruptArrow[] }
  | { readonly kind: 'costs'; readonly id: number; readonly costs: RegimeCosts }
  | { readonly kind: 'superseded'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure };

export type LogEnd = Exclude<LogReply, { kind: 'folding' | 'matching' }>;

export function isLogEnd(reply: LogReply): reply is LogEnd {
  return reply.kind !== 'folding' && reply.kind !== 'matching';
}
