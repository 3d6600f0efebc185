/**
 * Messages between a page that analyses a recording and its worker. One log is open; questions come one after the other.
 *
 *     page ── open ──► worker      page ── compare, profile, dirt, migrate, table, bisect, diff ──► worker
 *          ◄─ opened ──                 ◄─ progress, cell ── (many)
 *                                       ◄─ the answer, or failed ──
 *
 * Every request has a number that its replies repeat. A question is given up by ending the worker: what computes does not listen.
 */
import type { ComparisonReport } from '../analysis/comparison/report.ts';
import type { CurvePoint, HeatMap } from '../analysis/dirty/folds.ts';
import type { ExitProfile } from '../analysis/exit-profile/profile.ts';
import type { Prediction } from '../analysis/migration/predict.ts';
import type { TableCell } from '../analysis/migration/table.ts';
import type { Failure, LogPlace } from './messages.ts';
import type { TLBS } from '../regimes/costs/tlbs.ts';
import type { TlbCounts } from '../regimes/tlb-model.ts';
import type { LogSummary } from './summary.ts';

export interface CompareAsked {
  /** Of techniques and platforms. */
  readonly regimes: readonly string[];
  /** Undefined: the default of each. */
  readonly cpu: string | undefined;
  readonly cyclesPerInstruction: number;
  readonly guestKpti: boolean;
  /** A replay needs the images. Another word is that of the TLBs (engine/regimes/costs/tlbs.ts) that misses are counted with in a replay. */
  readonly from: 'log' | 'replay' | (typeof TLBS)[number]['id'];
}

export interface CompareAnswer {
  readonly report: ComparisonReport;
  /** Undefined: misses were not counted. */
  readonly tlb: (TlbCounts & { readonly title: string; readonly source: string }) | undefined;
}

export interface MigrateAsked {
  readonly policy: string;
  readonly bytesPerSecond: number;
  readonly downtimeLimitMs: number;
  /** Virtual ns. */
  readonly startNs: number;
}

export interface TableAsked extends Pick<MigrateAsked, 'policy' | 'startNs'> {
  readonly bytesPerSecond: readonly number[];
  readonly downtimeLimitMs: readonly number[];
}

/** What is looked for. Places as in engine/debug/places.ts. */
export interface BisectAsked {
  readonly question: 'when' | 'stays' | 'console' | 'store' | 'panic';
  /** An expression, a text of the console, or `ADDRESS[,BYTES]`. */
  readonly text: string;
  readonly from: string;
  readonly to: string;
}

export type BisectAnswer =
  /** A sentence. */
  | { readonly kind: 'none'; readonly message: string }
  | {
      readonly kind: 'found';
      readonly title: string;
      /** The first position where it is so. */
      readonly position: number;
      readonly method: string;
      /** Who did it (`isEffect`), or is about to run there. */
      readonly instruction: { readonly position: number; readonly isEffect: boolean; readonly code: string; readonly assembly: string; readonly source: string | undefined; readonly ring: number };
      /** Functions, innermost first. */
      readonly calls: readonly string[];
      readonly task: string | undefined;
      /** To the same memory, the last one first. */
      readonly stores: readonly { readonly position: number; readonly text: string }[];
      /** What the log tells of the time before. */
      readonly before: readonly { readonly name: string; readonly position: number; readonly text: string }[];
      /** Name and hexadecimal value, before the instruction ran. */
      readonly registers: readonly (readonly [name: string, value: string])[];
    };

export interface DiffRow {
  readonly index: number;
  readonly a: DiffEvent | undefined;
  readonly b: DiffEvent | undefined;
  readonly isSame: boolean;
}
export interface DiffEvent {
  readonly position: number;
  /** KIND_* */
  readonly kind: number;
  readonly text: string;
}

/** What one of the two machines is about to execute where they part. */
export interface DiffSide {
  readonly code: string;
  readonly assembly: string;
  readonly before: string | undefined;
  readonly events: readonly string[];
}

export interface DiffAnswer {
  readonly other: LogSummary;
  /** Fields of the headers that differ. */
  readonly headers: readonly { readonly field: string; readonly a: string; readonly b: string }[];
  /** Undefined: the events are the same. */
  readonly divergence: { readonly index: number; readonly position: number } | undefined;
  /** Events around the first that differs, or the last ones. */
  readonly rows: readonly DiffRow[];
  /** Undefined: nothing was replayed; `problem` says why. */
  readonly state:
    | {
        readonly kind: 'different';
        readonly from: number;
        readonly position: number;
        readonly cause: string;
        readonly a: DiffSide;
        readonly b: DiffSide;
        readonly registers: readonly { readonly name: string; readonly a: string; readonly b: string }[];
        /** Page frames whose content differs, at most as many as are shown. */
        readonly pages: readonly { readonly page: number; readonly address: number; readonly a: number; readonly b: number; readonly bytes: number }[];
        readonly pageCount: number;
      }
    | { readonly kind: 'same'; readonly position: number }
    | undefined;
  readonly problem: Failure | undefined;
}

export interface DirtAnswer {
  readonly from: 'log' | 'replay';
  readonly pages: number;
  readonly beginNs: number;
  readonly endNs: number;
  readonly busyShare: number;
  /** Distinct pages that were written at all, and first writes in all. */
  readonly pagesWritten: number;
  readonly firstWrites: number;
  readonly curve: readonly CurvePoint[];
  readonly heat: HeatMap;
  /** Virtual ns. */
  readonly marks: readonly { readonly name: string; readonly atNs: number }[];
  /** What is not known. A sentence each. */
  readonly notes: readonly string[];
}

export type AnalysisRequest =
  /** imageUrl: what an image's SHA-256 is put behind when the log does not hold it. */
  | { readonly kind: 'open'; readonly id: number; readonly log: LogPlace; readonly imageUrl: string | undefined }
  | { readonly kind: 'image'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'compare'; readonly id: number; readonly asked: CompareAsked }
  /** regime: undefined counts architectural events. A replay has call stacks and tasks, too. */
  | { readonly kind: 'profile'; readonly id: number; readonly regime: string | undefined; readonly from: 'log' | 'replay' }
  | { readonly kind: 'dirt'; readonly id: number; readonly from: DirtAnswer['from'] }
  | { readonly kind: 'migrate'; readonly id: number; readonly asked: MigrateAsked }
  | { readonly kind: 'table'; readonly id: number; readonly asked: TableAsked }
  | { readonly kind: 'bisect'; readonly id: number; readonly asked: BisectAsked }
  | { readonly kind: 'diff'; readonly id: number; readonly other: LogPlace };

export type AnalysisReply =
  | { readonly kind: 'opened'; readonly id: number; readonly summary: LogSummary; readonly marks: readonly { readonly name: string; readonly position: number }[] }
  | { readonly kind: 'image-taken'; readonly id: number; readonly name: string }
  /** share: 0 to 1; undefined while it is not known how much there is. */
  | { readonly kind: 'progress'; readonly id: number; readonly what: string; readonly share: number | undefined }
  | { readonly kind: 'compared'; readonly id: number; readonly answer: CompareAnswer }
  | { readonly kind: 'profiled'; readonly id: number; readonly profile: ExitProfile; readonly problem: string | undefined }
  | { readonly kind: 'dirt'; readonly id: number; readonly dirt: DirtAnswer }
  | { readonly kind: 'migrated'; readonly id: number; readonly prediction: Prediction }
  | { readonly kind: 'cell'; readonly id: number; readonly cell: TableCell }
  | { readonly kind: 'table'; readonly id: number }
  | { readonly kind: 'bisected'; readonly id: number; readonly answer: BisectAnswer }
  | { readonly kind: 'diffed'; readonly id: number; readonly answer: DiffAnswer }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure };

export type AnalysisEnd = Exclude<AnalysisReply, { kind: 'progress' | 'cell' }>;

export function isAnalysisEnd(reply: AnalysisReply): reply is AnalysisEnd {
  return reply.kind !== 'progress' && reply.kind !== 'cell';
}
