/** What a projection reported, added up: exits by reason and handler, direct costs by kind. Bounded by the number of reasons. */
import { DIRECT_HALT_POLL, DIRECT_KINDS, HANDLER_CLASSES, type Cycles, type RegimeSink } from '../../regimes/regime.ts';
import { reasonName } from '../../regimes/reasons.ts';

export interface CycleRange {
  readonly low: number;
  readonly typical: number;
  readonly high: number;
}

export interface ReasonRow extends CycleRange {
  readonly reason: number;
  readonly name: string;
  readonly handler: string;
  readonly count: number;
}
export interface DirectRow extends CycleRange {
  readonly kind: string;
  readonly count: number;
}

/** Columns: count, low, typical, high. */
const COLUMNS = 4;
/** A power of two. */
const CACHE = 16;

export interface SavedLedger {
  readonly keys: readonly number[];
  readonly sums: readonly number[];
  readonly direct: readonly number[];
  readonly haltPollNs: number;
}

export class Ledger implements RegimeSink {
  exits = 0;
  /** Host time spent polling, ns. */
  haltPollNs = 0;
  private readonly rows = new Map<number, number>();
  private keys: number[] = [];
  private sums: number[] = [];
  private readonly directSums = new Float64Array(DIRECT_KINDS.length * COLUMNS);
  /** By the low bits of a key: the key that was used last, and where its sums are. */
  private readonly cachedKey = new Int32Array(CACHE).fill(-1);
  private readonly cachedBase = new Int32Array(CACHE);

  exit(row: number, reason: number, qualification: number, handler: number, cycles: Cycles): void {
    this.exitTimes(row, reason, qualification, handler, cycles, 1);
  }

  exitTimes(_row: number, reason: number, _qualification: number, handler: number, { low, typical, high }: Cycles, count: number): void {
    const key = reason * 16 + handler;
    const slot = (key ^ (key >>> 4)) & (CACHE - 1);
    const base = key === this.cachedKey[slot] ? this.cachedBase[slot] : this.baseOf(key);
    const { sums } = this;
    this.exits += count;
    sums[base] += count;
    sums[base + 1] += low * count;
    sums[base + 2] += typical * count;
    sums[base + 3] += high * count;
  }

  direct(_row: number, kind: number, count: number, { low, typical, high }: Cycles): void {
    if (kind === DIRECT_HALT_POLL) {
      this.haltPollNs += count;
      return;
    }
    const base = kind * COLUMNS;
    const { directSums } = this;
    directSums[base] += count;
    directSums[base + 1] += low * count;
    directSums[base + 2] += typical * count;
    directSums[base + 3] += high * count;
  }

  private baseOf(key: number): number {
    let base = this.rows.get(key);
    if (base === undefined) {
      base = this.sums.length;
      this.rows.set(key, base);
      this.keys.push(key);
      this.sums.push(0, 0, 0, 0);
    }
    const slot = (key ^ (key >>> 4)) & (CACHE - 1);
    this.cachedKey[slot] = key;
    this.cachedBase[slot] = base;
    return base;
  }

  /** Dearest first; those of one cost by count, reason and handler. */
  reasons(): ReasonRow[] {
    return this.keys
      .map((key, i): readonly [key: number, at: number] => [key, i * COLUMNS])
      .sort(([a], [b]) => a - b)
      .map(([key, at]): ReasonRow => {
        const reason = Math.floor(key / 16);
        const [count, low, typical, high] = this.sums.slice(at, at + COLUMNS);
        return { reason, name: reasonName(reason), handler: HANDLER_CLASSES[key % 16], count, low, typical, high };
      })
      .sort((a, b) => b.typical - a.typical || b.count - a.count);
  }

  directs(): DirectRow[] {
    return DIRECT_KINDS.map((kind, i): DirectRow => {
      const [count, low, typical, high] = this.directSums.subarray(i * COLUMNS, (i + 1) * COLUMNS);
      return { kind, count, low, typical, high };
    })
      .filter(({ count }) => count > 0)
      .sort((a, b) => b.typical - a.typical);
  }

  /** All cycles, of exits and direct ones. */
  cycles(): CycleRange {
    let [low, typical, high] = [0, 0, 0];
    for (let i = 0; i < this.sums.length; i += COLUMNS) {
      low += this.sums[i + 1];
      typical += this.sums[i + 2];
      high += this.sums[i + 3];
    }
    for (let i = 0; i < this.directSums.length; i += COLUMNS) {
      low += this.directSums[i + 1];
      typical += this.directSums[i + 2];
      high += this.directSums[i + 3];
    }
    return { low, typical, high };
  }

  add(other: Ledger): void {
    other.keys.forEach((key, i) => {
      const base = this.baseOf(key);
      for (let column = 0; column < COLUMNS; column++) this.sums[base + column] += other.sums[i * COLUMNS + column];
    });
    other.directSums.forEach((value, i) => (this.directSums[i] += value));
    this.exits += other.exits;
    this.haltPollNs += other.haltPollNs;
  }

  save(): SavedLedger {
    return { keys: [...this.keys], sums: [...this.sums], direct: Array.from(this.directSums), haltPollNs: this.haltPollNs };
  }

  static restore(saved: SavedLedger): Ledger {
    const ledger = new Ledger();
    ledger.keys = [...saved.keys];
    ledger.sums = [...saved.sums];
    saved.keys.forEach((key, i) => ledger.rows.set(key, i * COLUMNS));
    ledger.directSums.set(saved.direct);
    ledger.haltPollNs = saved.haltPollNs;
    for (let i = 0; i < ledger.sums.length; i += COLUMNS) ledger.exits += ledger.sums[i];
    return ledger;
  }
}
