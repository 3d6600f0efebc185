/** The PAUSEs of one slice of a replay, with the number of records that were made before each. Grows to the longest slice, and is used again. */
import type { PauseBatch } from '../../regimes/regime.ts';

export class PauseList implements PauseBatch {
  count = 0;
  virtualNs = new Float64Array(1024);
  cpl = new Uint8Array(1024);
  records = new Float64Array(1024);

  add(records: number, virtualNs: number, cpl: number): void {
    if (this.count === this.cpl.length) this.grow();
    this.records[this.count] = records;
    this.virtualNs[this.count] = virtualNs;
    this.cpl[this.count++] = cpl;
  }

  clear(): void {
    this.count = 0;
  }

  private grow(): void {
    const length = this.count * 2;
    const [virtualNs, cpl, records] = [new Float64Array(length), new Uint8Array(length), new Float64Array(length)];
    virtualNs.set(this.virtualNs);
    cpl.set(this.cpl);
    records.set(this.records);
    Object.assign(this, { virtualNs, cpl, records });
  }

  /** The first PAUSE from `from` on before which other records were made than before that one. */
  endOfRun(from: number): number {
    const { records, count } = this;
    let end = from + 1;
    while (end < count && records[end] === records[from]) end++;
    return end;
  }
}
