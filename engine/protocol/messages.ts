/**
 * The one typed set of messages between a door and the engine. Today: a page and its worker.
 *
 *     page ── open ──► worker      page ── record ──► worker
 *          ◄─ opened ──                 ◄─ live ───── (many)
 *          ◄─ events ── (many)          ── input ───►
 *          ◄─ loaded ──                 ◄─ recorded ──
 *
 *     page ── seek, walk ──► worker     page ── stack, hits, origin ──► worker     in the order of their coming; a seek or a walk
 *          ◄─ progress ── (many)             ◄─ progress ── (many)                 interrupts what is about the moment before
 *          ◄─ moment, walked ──              ◄─ stack, hits, origin ──
 *
 * Every request has a number that its replies repeat. A reply whose kind is in FinalReply is the last one. Seek, filter and window are
 * superseded by the next of their kind: the older one is answered by `superseded`, as is what is cancelled. Typed arrays are transferred, not copied.
 */
import type { EndReason } from '../log/events.ts';
import type { Look, Moment, OriginAsked, OriginLink, PagePoint, PointAsked, StackFrame, SymbolsView, WalkDirection, WalkEnd, WalkUnit } from './moment.ts';
import type { LogSummary } from './summary.ts';

/** Where the worker finds a log. */
export type LogPlace =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** All that decides a recording, but the images. */
export interface RecordSettings {
  readonly guest: string;
  readonly commandLine: string;
  readonly memoryBytes: number;
  /** 16 hex digits. */
  readonly seed: string;
  /** ns since 1970-01-01 UTC, decimal. */
  readonly wallClockNs: string;
  readonly logId: string;
  readonly product: string;
}

export type Request =
  /** imageUrl: what an image's SHA-256 is put behind when the log does not hold it. */
  | { readonly kind: 'open'; readonly id: number; readonly log: LogPlace; readonly imageUrl: string | undefined }
  /** An image that the log names and does not hold. */
  | { readonly kind: 'image'; readonly id: number; readonly bytes: Uint8Array }
  /** Texts of the rows with these record numbers. */
  | { readonly kind: 'rows'; readonly id: number; readonly rows: Uint32Array }
  /** kinds: bit KIND_* of each kind wanted. text: words that must (or, after a minus, must not) occur. */
  | { readonly kind: 'filter'; readonly id: number; readonly kinds: number; readonly text: string }
  /** The machine at a position, as far as it is looked at. */
  | { readonly kind: 'seek'; readonly id: number; readonly position: number; readonly look: Look }
  /** From the position on, to where it stops. */
  | { readonly kind: 'walk'; readonly id: number; readonly from: number; readonly unit: WalkUnit; readonly direction: WalkDirection; readonly points: readonly PagePoint[]; readonly look: Look }
  /** A point as a person gives it, made at a position. */
  | { readonly kind: 'point'; readonly id: number; readonly position: number; readonly asked: PointAsked }
  /** Who called, at the position. */
  | { readonly kind: 'stack'; readonly id: number; readonly position: number }
  /** Where the point is met in all of the recording: batches as they are found. */
  | { readonly kind: 'hits'; readonly id: number; readonly point: PagePoint }
  /** What wrote the value that is there at the position, and what made that, ... */
  | { readonly kind: 'origin'; readonly id: number; readonly position: number; readonly asked: OriginAsked }
  /** Counts by bucket of positions, for the timeline. */
  | { readonly kind: 'window'; readonly id: number; readonly from: number; readonly to: number; readonly buckets: number }
  /** Ends request `target`. No reply but its own. */
  | { readonly kind: 'cancel'; readonly id: number; readonly target: number }
  /** Replays all of it and compares. */
  | { readonly kind: 'verify'; readonly id: number }
  | { readonly kind: 'record'; readonly id: number; readonly settings: RecordSettings; readonly kernel: Uint8Array }
  /** To the console of the run that is recorded. No reply. */
  | { readonly kind: 'input'; readonly id: number; readonly bytes: Uint8Array }
  /** Ends the run that is recorded. No reply but `recorded`. */
  | { readonly kind: 'stop'; readonly id: number };

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

export interface Mark {
  readonly row: number;
  readonly position: number;
  readonly name: string;
}

export interface RingShares {
  /** Ascending; the last is the end of the last stretch. */
  readonly positions: Float64Array;
  /** 0 to 1, one fewer than positions. */
  readonly shares: Float64Array;
}

/** Registers by group, in the order of the manual; values are hex digits of the register's width. */
export interface MachineState {
  readonly position: number;
  readonly groups: readonly { readonly name: string; readonly registers: readonly (readonly [name: string, value: string])[] }[];
  readonly halted: boolean;
  readonly cpl: number;
}

export type VerifyOutcome =
  /** complete: false for a log that was cut off. */
  | { readonly kind: 'identical'; readonly position: number; readonly records: number; readonly digest: string; readonly complete: boolean }
  | { readonly kind: 'diverged'; readonly position: number; readonly row: number; readonly expected: string; readonly actual: string };

export interface Failure {
  readonly message: string;
  /** What to do next. */
  readonly advice: string;
  /** SHA-256 of images that are missing. */
  readonly missingImages?: readonly string[];
}

export type Reply =
  | { readonly kind: 'opened'; readonly id: number; readonly summary: LogSummary }
  /** Columns of the records from `first` on. */
  | { readonly kind: 'events'; readonly id: number; readonly first: number; readonly positions: Float64Array; readonly kinds: Uint8Array }
  /** Bytes that the guest sent to its console, and the records that sent them. */
  | { readonly kind: 'console'; readonly id: number; readonly rows: Uint32Array; readonly bytes: Uint8Array }
  /** rings: the share of instructions at privilege 0 to 2 from one of these positions to the next; empty for logs without such counts. */
  | { readonly kind: 'loaded'; readonly id: number; readonly marks: readonly Mark[]; readonly rings: RingShares }
  | { readonly kind: 'image-taken'; readonly id: number; readonly name: string }
  | { readonly kind: 'rows'; readonly id: number; readonly texts: readonly EventText[] }
  /** More records that match; `scanned` of all were looked at. */
  | { readonly kind: 'matches'; readonly id: number; readonly rows: Uint32Array; readonly scanned: number }
  | { readonly kind: 'filtered'; readonly id: number }
  | { readonly kind: 'superseded'; readonly id: number }
  | { readonly kind: 'progress'; readonly id: number; readonly position: number; readonly of: number }
  | { readonly kind: 'moment'; readonly id: number; readonly moment: Moment }
  | { readonly kind: 'walked'; readonly id: number; readonly end: WalkEnd; readonly moment: Moment }
  | { readonly kind: 'point'; readonly id: number; readonly point: PagePoint }
  | { readonly kind: 'stack'; readonly id: number; readonly frames: readonly StackFrame[] }
  /** Found up to `scanned`, ascending; `isFull`: there are more than are told. */
  | { readonly kind: 'hits'; readonly id: number; readonly positions: Float64Array; readonly scanned: number }
  | { readonly kind: 'all-hits'; readonly id: number; readonly isFull: boolean }
  | { readonly kind: 'origin-link'; readonly id: number; readonly link: OriginLink }
  | { readonly kind: 'origin'; readonly id: number }
  /** Names of the guest's code are known now. Once, in reply to `open`, after `loaded`. */
  | { readonly kind: 'symbols'; readonly id: number; readonly symbols: SymbolsView }
  /** Buckets of 2^shift instructions from first x 2^shift on; columns by track. */
  | { readonly kind: 'window'; readonly id: number; readonly shift: number; readonly first: number; readonly count: number; readonly names: readonly string[]; readonly columns: readonly Float64Array[] }
  | { readonly kind: 'verified'; readonly id: number; readonly outcome: VerifyOutcome }
  /** Of the run that is recorded. */
  | { readonly kind: 'live'; readonly id: number; readonly position: number; readonly logBytes: number; readonly idle: boolean; readonly console: Uint8Array }
  | { readonly kind: 'recorded'; readonly id: number; readonly bytes: Uint8Array; readonly summary: LogSummary; readonly reason: EndReason; readonly detail: string }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure };

export type FinalReply = Extract<Reply, { kind: (typeof FINAL_KINDS)[number] }>;

const FINAL_KINDS = [
  'symbols', 'image-taken', 'rows', 'filtered', 'superseded', 'moment', 'walked', 'point', 'stack', 'all-hits', 'origin', 'window', 'verified', 'recorded', 'failed',
] as const; // prettier-ignore
const FINAL: ReadonlySet<Reply['kind']> = new Set<FinalReply['kind']>(FINAL_KINDS);

export function isFinal(reply: Reply): reply is FinalReply {
  return FINAL.has(reply.kind);
}
