/** MSRs that hold what was last written. */
import type { SavedState } from '../devices/device.ts';

export class StoredMsrs {
  private readonly atPowerOn: ReadonlyMap<number, bigint>;
  private readonly values: Map<number, bigint>;

  /** Indices with their values at power-on. */
  constructor(atPowerOn: ReadonlyMap<number, bigint>) {
    this.atPowerOn = atPowerOn;
    this.values = new Map(atPowerOn);
  }

  has(index: number): boolean {
    return this.values.has(index);
  }
  get(index: number): bigint | undefined {
    return this.values.get(index);
  }
  /** False where there is no such MSR. */
  set(index: number, value: bigint): boolean {
    if (!this.values.has(index)) return false;
    this.values.set(index, value);
    return true;
  }

  reset(): void {
    for (const [index, value] of this.atPowerOn) this.values.set(index, value);
  }
  /** Index to value, both in hex digits; those that are 0 are left out. */
  save(): SavedState {
    const state: Record<string, string> = {};
    for (const [index, value] of this.values) if (value !== 0n) state[index.toString(16)] = value.toString(16);
    return state;
  }
  restore(state: SavedState): void {
    for (const index of this.values.keys()) {
      const value = state[index.toString(16)];
      this.values.set(index, typeof value === 'string' ? BigInt(`0x${value}`) : 0n);
    }
  }
}
