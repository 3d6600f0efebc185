/** Epochs of a run: which pages were written in each. From a log they are sets; from a replay they have first-write times and, on request, much more. */
import { type DirtyEvent, KIND_DIRTY, KIND_END, KIND_INPUT } from '../../log/events.ts';
import { type EventBatch, eventAt } from '../../log/event-batch.ts';

export interface DirtyEpoch {
  /** As the log numbers them, from 0; a replay numbers its own. */
  readonly epoch: number;
  readonly fromPosition: number;
  /** Instructions from here on belong to the next one. */
  readonly toPosition: number;
  /** Virtual ns since reset. */
  readonly fromNs: number;
  readonly toNs: number;
  /** Each once: in the order of their first writes, where these are known (`detail`), else ascending. */
  readonly pages: Uint32Array;
  /** Of a replay, or of a log that was recorded with first writes. */
  readonly detail?: EpochDetail | undefined;
}

/** Columns parallel to `pages`. A replay has all but `isZero`, which is in `content`; a log has that and the times. */
export interface EpochDetail {
  /** Position and virtual ns of the first write. */
  readonly position: Float64Array;
  readonly atNs: Float64Array;
  /** 1: all zeros at the end of the epoch. */
  readonly isZero?: Uint8Array | undefined;
  readonly who?: EpochWriters | undefined;
  readonly content?: EpochContent | undefined;
  /** Pages read in the epoch, each once. */
  readonly reads?: Uint32Array | undefined;
  /** Pages first read (or written) in the epoch, in that order, with virtual ns. */
  readonly touched?: { readonly pages: Uint32Array; readonly atNs: Float64Array } | undefined;
}

export interface EpochWriters {
  /** Of the first write: ACCESS_STORE, ACCESS_WALK or ACCESS_DEVICE of cpu/layout.ts. */
  readonly kind: Uint8Array;
  readonly ripLo: Uint32Array;
  readonly ripHi: Uint32Array;
  readonly cpl: Uint8Array;
  /** CR3 without its low bits: which address space. */
  readonly space: Float64Array;
  /** What ran, if somebody could name it. */
  readonly task?: readonly string[] | undefined;
}

/** Of the pages at the end of the epoch. */
export interface EpochContent {
  /** 1: all zeros. */
  readonly isZero: Uint8Array;
  /** XBZRLE code against the page at the begin of the epoch; 0: no byte is another. */
  readonly deltaBytes: Uint16Array;
  /** LZ4, at most 4096. */
  readonly compressedBytes: Uint16Array;
}

export interface RunTotals {
  /** Virtual ns up to which the log tells of the run. */
  readonly endNs: number;
  readonly instructions: number;
  readonly isEnded: boolean;
  /** Inputs from outside: virtual ns, and bytes up to and with each. */
  readonly inputNs: readonly number[];
  readonly inputBytes: readonly number[];
}

export interface EpochSplitterState {
  readonly epoch: number;
  readonly fromPosition: number;
  readonly fromNs: number;
  readonly partial: readonly DirtyEvent[];
  readonly totals: RunTotals;
}

/** Position, virtual ns, a number: what an input needs in a log beside its bytes. */
const INPUT_OVERHEAD_BYTES = 16;

/** From batches of any size to epochs. */
export class EpochSplitter {
  private fromPosition = 0;
  private fromNs = 0;
  private epoch = 0;
  private partial: DirtyEvent[] = [];
  private endNs = 0;
  private instructions = 0;
  private isEnded = false;
  private inputNs: number[] = [];
  private inputBytes: number[] = [];

  /** The epochs that end in a batch. Throws LogError. */
  split(batch: EventBatch): DirtyEpoch[] {
    const found: DirtyEpoch[] = [];
    for (let i = 0; i < batch.count; i++) {
      const kind = batch.kind[i];
      if (kind === KIND_INPUT) {
        this.inputNs.push(batch.position[i] + batch.timeOffsetNs[i]);
        this.inputBytes.push((this.inputBytes.at(-1) ?? 0) + INPUT_OVERHEAD_BYTES + batch.payloadLength[i]);
      }
      if (kind === KIND_END) this.isEnded = true;
      if (kind !== KIND_DIRTY) continue;
      const event = eventAt(batch, i);
      if (event.kind !== 'dirty') continue;
      this.partial.push(event);
      if (event.more) continue;
      const toPosition = event.position as number;
      const toNs = toPosition + batch.timeOffsetNs[i];
      found.push({ epoch: event.epoch, fromPosition: this.fromPosition, toPosition, fromNs: this.fromNs, toNs, ...pagesOf(this.partial) });
      this.partial = [];
      this.epoch = event.epoch + 1;
      this.fromPosition = toPosition;
      this.fromNs = toNs;
    }
    if (batch.count > 0) {
      this.instructions = batch.position[batch.count - 1];
      this.endNs = this.instructions + batch.endTimeOffsetNs;
    }
    return found;
  }

  totals(): RunTotals {
    return { endNs: this.endNs, instructions: this.instructions, isEnded: this.isEnded, inputNs: this.inputNs.slice(), inputBytes: this.inputBytes.slice() };
  }
  save(): EpochSplitterState {
    return { epoch: this.epoch, fromPosition: this.fromPosition, fromNs: this.fromNs, partial: [...this.partial], totals: this.totals() };
  }
  restore({ epoch, fromPosition, fromNs, partial, totals }: EpochSplitterState): void {
    this.epoch = epoch;
    this.fromPosition = fromPosition;
    this.fromNs = fromNs;
    this.partial = [...partial];
    this.endNs = totals.endNs;
    this.instructions = totals.instructions;
    this.isEnded = totals.isEnded;
    this.inputNs = [...totals.inputNs];
    this.inputBytes = [...totals.inputBytes];
  }
}

/** Of the records of one set. */
function pagesOf(parts: readonly DirtyEvent[]): Pick<DirtyEpoch, 'pages' | 'detail'> {
  const firstWrites = parts.flatMap(({ firstWrites: each }) => each ?? []);
  if (firstWrites.length < parts.length) return { pages: joined(parts.map(({ pages }) => pages)) };
  const whole = <T extends 'position' | 'timeOffsetNs' | 'isZero'>(column: T): number[] => firstWrites.flatMap((each) => [...each[column]]);
  const position = Float64Array.from(whole('position'));
  const offsets = whole('timeOffsetNs');
  return { pages: joined(firstWrites.map(({ page }) => page)), detail: { position, atNs: position.map((at, i) => at + offsets[i]), isZero: Uint8Array.from(whole('isZero')) } };
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  if (parts.length === 1) return parts[0];
  const out = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
