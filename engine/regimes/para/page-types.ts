/**
 * What each frame of the guest is used for: Xen's page types (xen/arch/x86/mm.c) for one domain. Types exclude each other, and each use is counted:
 *
 *     pin, base pointer, entry of the table above ──► table of level 1 to 4 ──► what its entries use
 *     writable entry of a level-1 table, a ring or disk request of the VMM ──► writable
 *
 * A frame becomes a table by being used as one for the first time; then all its entries are checked. So no page table is ever mapped writable, and what the CPU
 * walks names nothing but the guest's own memory. All counts follow from the roots (pins, base pointers, holds of the VMM) and from memory: only these are saved.
 */
import type { Core } from '../../cpu/core.ts';
import { PAGE_ATTR, PAGE_LEVELS, RAM } from '../../cpu/layout.ts';
import { PV_EBUSY, PV_EINVAL } from './abi.ts';

export const TYPE_NONE = 0;
/** 1 to 4: page tables of that level. */
export const TYPE_L4 = 4;
export const TYPE_WRITABLE = 5;

const ENTRIES = 512;
export const PAGE_BYTES = 4096;
const PRESENT = 1;
const WRITE = 2;
const USER = 4;
const ACCESSED_DIRTY = 0x60;
/** PS above level 1, PAT in level 1. */
const LARGE = 0x80;
const GLOBAL = 0x100;
/** Physical address bits 40 to 51, in the upper word: the CPU has 40. */
const RESERVED_HIGH = 0x000fff00;
/**
 * Entries that one hypercall may check. A guest that asks for more is refused, because the VMM would not come back for long: Xen preempts instead.
 * A level-4 table over 2 GiB in 4 KiB pages has 2^19 + 2^11.
 */
export const CHECKS_MAX = 1 << 21;

export class PageTypes {
  readonly frames: number;
  private readonly core: Core;
  private readonly types: Uint8Array;
  private readonly counts: Uint32Array;
  private readonly pins = new Set<number>();
  private checksLeft = CHECKS_MAX;
  private validatedCount = 0;

  constructor(core: Core) {
    this.core = core;
    this.frames = core.ramBytes / PAGE_BYTES;
    this.types = new Uint8Array(this.frames);
    this.counts = new Uint32Array(this.frames);
  }

  typeOf(frame: number): number {
    return this.types[frame];
  }
  countOf(frame: number): number {
    return this.counts[frame];
  }
  /** Ascending. */
  get pinned(): readonly number[] {
    return [...this.pins].sort((a, b) => a - b);
  }

  /** Frames that became tables since the start of the hypercall. */
  get validated(): number {
    return this.validatedCount;
  }

  /** At the start of each hypercall. */
  renewChecks(): void {
    this.checksLeft = CHECKS_MAX;
    this.validatedCount = 0;
  }

  /** One more use of `frame` as `type`; 0 or a negative error. */
  acquire(frame: number, type: number): number {
    if (!(frame < this.frames)) return -PV_EINVAL;
    if (this.counts[frame] > 0) {
      if (this.types[frame] !== type) return -PV_EBUSY;
      this.counts[frame]++;
      return 0;
    }
    this.types[frame] = type;
    this.counts[frame] = 1;
    const error = type === TYPE_WRITABLE ? 0 : this.validate(frame, type);
    if (error !== 0) {
      this.types[frame] = TYPE_NONE;
      this.counts[frame] = 0;
    } else if (type !== TYPE_WRITABLE) {
      this.validatedCount++;
    }
    return error;
  }

  release(frame: number): void {
    if (this.counts[frame] === 0) throw new Error(`frame ${frame} is released, but has no use`);
    if (--this.counts[frame] > 0) return;
    const type = this.types[frame];
    this.types[frame] = TYPE_NONE;
    if (type === TYPE_WRITABLE) return;
    this.drop(frame, type, ENTRIES);
    // No walk leads here any more: what is stored from now on is data. No translation is left either, as the entry above was written, or another root loaded.
    this.core.u8[PAGE_ATTR + frame] &= ~PAGE_LEVELS;
  }

  private validate(frame: number, level: number): number {
    const { u32 } = this.core;
    const base = (RAM + frame * PAGE_BYTES) >>> 2;
    for (let i = 0; i < ENTRIES; i++) {
      const low = u32[base + 2 * i];
      if ((low & PRESENT) === 0) continue;
      const high = u32[base + 2 * i + 1];
      const error = --this.checksLeft < 0 ? -PV_EBUSY : this.hold(level, low, high);
      if (error !== 0) {
        this.drop(frame, level, i);
        return error;
      }
      const legal = adjusted(level, low);
      if (legal !== low) this.write(frame * PAGE_BYTES + 8 * i, legal, high);
    }
    return 0;
  }

  /** Lets go of what the first `count` entries use. */
  private drop(frame: number, level: number, count: number): void {
    const { u32 } = this.core;
    const base = (RAM + frame * PAGE_BYTES) >>> 2;
    for (let i = 0; i < count; i++) this.letGo(level, u32[base + 2 * i], u32[base + 2 * i + 1]);
  }

  /** Takes what a present entry uses. */
  private hold(level: number, low: number, high: number): number {
    if ((high & RESERVED_HIGH) !== 0 || (low & LARGE) !== 0) return -PV_EINVAL;
    const frame = frameOf(low, high);
    if (frame >= this.frames) return -PV_EINVAL;
    if (level > 1) return this.acquire(frame, level - 1);
    return (low & WRITE) === 0 ? 0 : this.acquire(frame, TYPE_WRITABLE);
  }

  private letGo(level: number, low: number, high: number): void {
    if ((low & PRESENT) !== 0 && (level > 1 || (low & WRITE) !== 0)) this.release(frameOf(low, high));
  }

  /** A new value for the 8 bytes at `paddr`: an entry of a table, checked, or plain memory. 0 or a negative error; then nothing has changed. */
  update(paddr: number, value: bigint, preservesAccessed: boolean): number {
    const frame = Math.floor(paddr / PAGE_BYTES);
    if (paddr % 8 !== 0 || !(frame < this.frames)) return -PV_EINVAL;
    let low = Number(value & 0xffffffffn);
    const high = Number(value >> 32n);
    const level = this.types[frame];
    if (level === TYPE_NONE || level === TYPE_WRITABLE) {
      this.write(paddr, low, high);
      return 0;
    }
    const at = (RAM + paddr) >>> 2;
    const oldLow = this.core.u32[at];
    const oldHigh = this.core.u32[at + 1];
    if ((low & PRESENT) !== 0) {
      const error = --this.checksLeft < 0 ? -PV_EBUSY : this.hold(level, low, high);
      if (error !== 0) return error;
      low = adjusted(level, low);
      if (preservesAccessed && (oldLow & PRESENT) !== 0) low = (low | (oldLow & ACCESSED_DIRTY)) >>> 0;
    }
    this.write(paddr, low, high);
    this.letGo(level, oldLow, oldHigh);
    return 0;
  }

  pin(frame: number, level: number): number {
    if (this.pins.has(frame)) return -PV_EINVAL;
    const error = this.acquire(frame, level);
    if (error === 0) this.pins.add(frame);
    return error;
  }
  unpin(frame: number): number {
    if (!this.pins.delete(frame)) return -PV_EINVAL;
    this.release(frame);
    return 0;
  }

  /** Forgets everything; then acquire() and pin() as often as there are roots. */
  clear(): void {
    this.types.fill(TYPE_NONE);
    this.counts.fill(0);
    this.pins.clear();
    this.checksLeft = Infinity;
  }

  private readonly bytes = new Uint8Array(8);
  private readonly view = new DataView(this.bytes.buffer);
  private write(paddr: number, low: number, high: number): void {
    this.view.setUint32(0, low, true);
    this.view.setUint32(4, high, true);
    this.core.writePhysical(paddr, this.bytes);
  }
}

function frameOf(low: number, high: number): number {
  return (low >>> 12) + (high & 0xff) * 0x100000;
}

/** The lower word as the VMM writes it: the guest kernel runs as a user, and translations of one address space are not those of another. */
function adjusted(level: number, low: number): number {
  return ((level === 1 ? low & ~GLOBAL : low) | USER) >>> 0;
}
