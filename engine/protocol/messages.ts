/**
 * The messages between a page and the worker that has the machine. What is in the log without a machine: events.ts.
 *
 *     page ── open ──► worker      page ── record ──► worker
 *          ◄─ opened ──                 ◄─ live ───── (many)
 *          ◄─ symbols ──                ── input ───►
 *                                       ◄─ recorded ──
 *
 *     page ── seek, walk ──► worker     page ── stack, hits, origin ──► worker     in the order of their coming; a seek or a walk
 *          ◄─ progress ── (many)             ◄─ progress ── (many)                 interrupts what is about the moment before
 *          ◄─ moment, walked ──              ◄─ stack, hits, origin ──
 *
 * Every request has a number that its replies repeat. A reply whose kind is in FinalReply is the last one. A seek is superseded
 * by the next: the older one is answered by `superseded`, as is what is cancelled. Typed arrays are transferred, not copied.
 */
import type { EndReason } from '../log/events.ts';
import type { Look, Moment, OriginAsked, OriginLink, PagePoint, PointAsked, StackFrame, SymbolsView, TaskSpans, WalkDirection, WalkEnd, WalkUnit } from './moment.ts';
import type { LogSummary } from './summary.ts';

/** Where the worker finds a log. */
export type LogFile =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A file, or what a browser keeps: read by and by. */
  | { readonly kind: 'blob'; readonly blob: Blob };

/** parents: those that it goes on from, in any order. */
export type LogPlace = LogFile | { readonly kind: 'chain'; readonly log: LogFile; readonly parents: readonly LogFile[] };

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
  /** ms since 1970-01-01 UTC. */
  readonly startedMs: number;
  /** Of RECORDED_REGIMES. */
  readonly regime: string;
  /** An input script; empty: somebody types. */
  readonly script: string;
}

export type Request =
  /** imageUrl: what an image's SHA-256 is put behind when the log does not hold it. */
  | { readonly kind: 'open'; readonly id: number; readonly log: LogPlace; readonly imageUrl: string | undefined }
  /** An image that the log names and does not hold. */
  | { readonly kind: 'image'; readonly id: number; readonly bytes: Uint8Array }
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
  /** Which task runs when. isKept: only if it was found out earlier. */
  | { readonly kind: 'tasks'; readonly id: number; readonly isKept: boolean }
  /** Ends request `target`. No reply but its own. */
  | { readonly kind: 'cancel'; readonly id: number; readonly target: number }
  /** Replays all of it and compares. */
  | { readonly kind: 'verify'; readonly id: number }
  | { readonly kind: 'record'; readonly id: number; readonly settings: RecordSettings; readonly kernel: Uint8Array; readonly initrd: Uint8Array | undefined }
  /** To the console of the run that is recorded. No reply. */
  | { readonly kind: 'input'; readonly id: number; readonly bytes: Uint8Array }
  /** Ends the run that is recorded. No reply but `recorded`. */
  | { readonly kind: 'stop'; readonly id: number };

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
  /** Identity of the log that this one goes on from, and that was not handed in. */
  readonly missingParent?: string;
}

export type Reply =
  | { readonly kind: 'opened'; readonly id: number; readonly summary: LogSummary }
  | { readonly kind: 'image-taken'; readonly id: number; readonly name: string }
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
  /** Undefined: it is not known. */
  | { readonly kind: 'tasks'; readonly id: number; readonly spans: TaskSpans | undefined }
  /** Names of the guest's code are known now. Once, in reply to `open`, after the first moment. */
  | { readonly kind: 'symbols'; readonly id: number; readonly symbols: SymbolsView }
  | { readonly kind: 'verified'; readonly id: number; readonly outcome: VerifyOutcome }
  /** Of the run that is recorded. keptBytes: of its log, that would survive the page; undefined: the browser keeps nothing of it. */
  | { readonly kind: 'live'; readonly id: number; readonly position: number; readonly logBytes: number; readonly keptBytes: number | undefined; readonly idle: boolean; readonly console: Uint8Array }
  | { readonly kind: 'recorded'; readonly id: number; readonly bytes: Uint8Array; readonly summary: LogSummary; readonly reason: EndReason; readonly detail: string }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure };

export type FinalReply = Extract<Reply, { kind: (typeof FINAL_KINDS)[number] }>;

const FINAL_KINDS = [
  'symbols', 'image-taken', 'superseded', 'moment', 'walked', 'point', 'stack', 'all-hits', 'origin', 'tasks', 'verified', 'recorded', 'failed',
] as const; // prettier-ignore
const FINAL: ReadonlySet<Reply['kind']> = new Set<FinalReply['kind']>(FINAL_KINDS);

export function isFinal(reply: Reply): reply is FinalReply {
  return FINAL.has(reply.kind);
}
