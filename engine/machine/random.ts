/** The machine's own generator for its entropy device: splitmix64 (Steele, Lea, Flood 2014), seeded by the configuration. */
import type { SavedState } from '../devices/device.ts';

const MASK = 0xffffffffffffffffn;

export class Random {
  private state: bigint;

  constructor(seed: bigint) {
    // Another sequence than RDRAND's, which starts from the seed itself.
    this.state = (seed ^ 0x6368726f6e6f7669n) & MASK;
  }

  next(): bigint {
    this.state = (this.state + 0x9e3779b97f4a7c15n) & MASK;
    let z = this.state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
    return z ^ (z >> 31n);
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array((length + 7) & ~7);
    const view = new DataView(out.buffer);
    for (let i = 0; i < length; i += 8) view.setBigUint64(i, this.next(), true);
    return out.subarray(0, length);
  }

  save(): SavedState {
    return { state: this.state.toString(16) };
  }
  restore(saved: SavedState): void {
    this.state = BigInt(`0x${saved.state as string}`);
  }
}
