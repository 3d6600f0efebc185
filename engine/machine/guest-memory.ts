/** RAM as devices see it (DMA): bounds are checked, and stores tell the CPU's caches and the dirty set. */
import type { Core } from '../cpu/core.ts';
import { RAM } from '../cpu/layout.ts';
import type { GuestMemory } from '../devices/device.ts';

export class CoreMemory implements GuestMemory {
  private readonly core: Core;
  private readonly onAccess: (paddr: number, length: number) => void;
  private readonly data: DataView;
  private readonly scratch = new Uint8Array(8);
  private readonly scratchView = new DataView(this.scratch.buffer);

  /** `onAccess` is told before each read and each write. */
  constructor(core: Core, onAccess: (paddr: number, length: number) => void = () => {}) {
    this.core = core;
    this.onAccess = onAccess;
    this.data = new DataView(core.memory.buffer, RAM, core.ramBytes);
  }

  contains(paddr: number, length: number): boolean {
    return paddr >= 0 && length >= 0 && paddr + length <= this.core.ramBytes;
  }
  private check(paddr: number, length: number): void {
    if (!this.contains(paddr, length)) throw new RangeError(`${length} bytes at 0x${paddr.toString(16)} are outside guest memory`);
    this.onAccess(paddr, length);
  }
  view(paddr: number, length: number): Uint8Array {
    this.check(paddr, length);
    return this.core.u8.subarray(RAM + paddr, RAM + paddr + length);
  }
  read16(paddr: number): number {
    this.check(paddr, 2);
    return this.data.getUint16(paddr, true);
  }
  read32(paddr: number): number {
    this.check(paddr, 4);
    return this.data.getUint32(paddr, true);
  }
  read64(paddr: number): number {
    this.check(paddr, 8);
    const value = this.data.getUint32(paddr, true) + this.data.getUint32(paddr + 4, true) * 4294967296;
    if (!Number.isSafeInteger(value)) throw new RangeError(`the 64-bit value at 0x${paddr.toString(16)} is above 2^53`);
    return value;
  }
  write(paddr: number, bytes: Uint8Array): void {
    this.check(paddr, bytes.length);
    this.core.writePhysical(paddr, bytes);
  }
  write16(paddr: number, value: number): void {
    this.scratchView.setUint16(0, value, true);
    this.write(paddr, this.scratch.subarray(0, 2));
  }
  write32(paddr: number, value: number): void {
    this.scratchView.setUint32(0, value, true);
    this.write(paddr, this.scratch.subarray(0, 4));
  }
  write64(paddr: number, value: number): void {
    this.scratchView.setUint32(0, value % 4294967296, true);
    this.scratchView.setUint32(4, Math.floor(value / 4294967296), true);
    this.write(paddr, this.scratch);
  }
}
