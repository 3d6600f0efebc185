/** Counts by instruction address, bounded: an open-addressed table of typed arrays, so that a look-up makes no number object. When it is full it begins anew. */

/** Addresses kept. */
export const SITES_MAX = 65_536;

export class SiteCounts {
  private lo = new Uint32Array(64);
  /** Bits 32 to 51 of the address. */
  private hi = new Uint32Array(64);
  /** 0: the slot is free. */
  private counts = new Uint32Array(64);
  private size = 0;
  /** How often it has begun anew. */
  generation = 0;

  /** The slot of an address: its own, or the free one where it would go. */
  slotOf(lo: number, hi: number): number {
    const mask = this.counts.length - 1;
    const high = hi & 0xf_ffff;
    for (let slot = hashOf(lo, high) & mask; ; slot = (slot + 1) & mask) {
      if (this.counts[slot] === 0 || (this.lo[slot] === lo && this.hi[slot] === high)) return slot;
    }
  }

  /** 0 for an address that was never counted. */
  at(slot: number): number {
    return this.counts[slot];
  }

  /** Counts once at a slot of slotOf(lo, hi). */
  add(slot: number, lo: number, hi: number): void {
    if (this.counts[slot]++ > 0) return;
    if (this.size >= SITES_MAX) {
      this.clear();
      this.counts[(slot = this.slotOf(lo, hi))] = 1;
    }
    this.lo[slot] = lo;
    this.hi[slot] = hi & 0xf_ffff;
    if (++this.size * 2 > this.counts.length) this.grow();
  }

  /** Addresses below 2^52 and their counts. */
  entries(): (readonly [address: number, count: number])[] {
    const found: [number, number][] = [];
    this.counts.forEach((count, slot) => {
      if (count > 0) found.push([this.hi[slot] * 2 ** 32 + this.lo[slot], count]);
    });
    return found;
  }

  restore(entries: readonly (readonly [address: number, count: number])[]): void {
    this.clear();
    for (const [address, count] of entries) {
      const [lo, hi] = [address >>> 0, Math.floor(address / 2 ** 32)];
      this.add(this.slotOf(lo, hi), lo, hi);
      this.counts[this.slotOf(lo, hi)] = count;
    }
  }

  private clear(): void {
    this.counts.fill(0);
    this.size = 0;
    this.generation++;
  }

  private grow(): void {
    const { lo, hi, counts } = this;
    this.lo = new Uint32Array(lo.length * 2);
    this.hi = new Uint32Array(lo.length * 2);
    this.counts = new Uint32Array(lo.length * 2);
    counts.forEach((count, from) => {
      if (count === 0) return;
      const slot = this.slotOf(lo[from], hi[from]);
      this.lo[slot] = lo[from];
      this.hi[slot] = hi[from];
      this.counts[slot] = count;
    });
  }
}

function hashOf(lo: number, hi: number): number {
  const hash = Math.imul(lo ^ Math.imul(hi, 0x85eb_ca6b), 0x9e37_79b1);
  return (hash ^ (hash >>> 15)) >>> 0;
}
