/** What an expression sees of a machine, and which bytes of memory it saw: those of its values and those of the page tables on the way. */
import * as L from '../cpu/layout.ts';
import type { Machine } from '../machine/machine.ts';
import { readRegister, translate } from './inspect.ts';

/** Told of each range of RAM that a value depends on. */
export type Touch = (paddr: number, length: number) => void;

const CR0_PG = 0x8000_0000;
const CR4_PAE = 0x20;
const EFER_LMA = 0x400;
/** Nodes of a list at most: more is a ring, or no list. */
export const LIST_NODES_MAX = 65_536;

/** Looks only. Valid for one state: forget() when the machine has moved. */
export class ExpressionView {
  readonly machine: Machine;
  position = 0;
  private readonly touch: Touch | undefined;
  private readonly touchesTables: boolean;
  /** Linear page number to the physical address of its frame; -1: not mapped to RAM. */
  private readonly pages = new Map<number, number>();

  /** touchesTables: the entries of page tables are told, too. */
  constructor(machine: Machine, touch?: Touch, touchesTables = true) {
    this.machine = machine;
    this.touch = touch;
    this.touchesTables = touchesTables;
    this.position = machine.position();
  }

  /** The machine has moved. */
  forget(): void {
    this.pages.clear();
    this.position = this.machine.position();
  }

  register(name: string): bigint {
    return name === 'position' ? BigInt(this.position) : (readRegister(this.machine, name) ?? 0n);
  }

  /** Little-endian, 1 to 8 bytes; undefined if a byte of it is not mapped to RAM. */
  read(address: bigint, bytes: number, isPhysical: boolean): bigint | undefined {
    const { core } = this.machine;
    let value = 0n;
    const at = BigInt.asUintN(64, address);
    const inPage = 4096 - Number(at & 0xfffn);
    for (let done = 0; done < bytes; ) {
      const part = done === 0 ? Math.min(bytes, inPage) : bytes - done;
      const paddr = isPhysical ? (at + BigInt(done) < BigInt(core.ramBytes) ? Number(at) + done : -1) : this.page(BigInt.asUintN(64, at + BigInt(done)));
      if (paddr < 0 || paddr + part > core.ramBytes) return undefined;
      this.touch?.(paddr, part);
      for (let i = 0; i < part; i++) value |= BigInt(core.u8[L.RAM + paddr + i]) << BigInt((done + i) * 8);
      done += part;
    }
    return value;
  }

  /** Nodes of a linked list: `pointer` leads to the first, the 8 bytes at `offset` of each to the next; 0 ends it. Undefined: it leads to unmapped memory. */
  list(pointer: bigint, offset: bigint): number | undefined {
    let node = BigInt.asUintN(64, pointer);
    let nodes = 0;
    while (node !== 0n && nodes < LIST_NODES_MAX) {
      nodes++;
      const at = BigInt.asUintN(64, node + offset);
      const paddr = (at & 7n) === 0n ? this.page(at) : -1;
      if (paddr < 0) {
        const next = this.read(at, 8, false);
        if (next === undefined) return undefined;
        node = next;
        continue;
      }
      this.touch?.(paddr, 8);
      node = this.machine.core.u64[(L.RAM + paddr) >>> 3];
    }
    return nodes;
  }

  /** Physical address of a linear one; -1 if it is not mapped to RAM. */
  private page(address: bigint): number {
    const key = Number(address >> 12n);
    let frame = this.pages.get(key);
    if (frame === undefined) {
      const physical = translate(this.machine, address & ~0xfffn);
      frame = physical === undefined || physical + 4096 > this.machine.core.ramBytes ? -1 : physical;
      this.pages.set(key, frame);
      if (this.touch !== undefined && this.touchesTables) touchTables(this.machine, address, this.touch);
    }
    return frame < 0 ? -1 : frame + Number(address & 0xfffn);
  }
}

/** The entries of the page tables that a linear address is translated by: Intel SDM, volume 3, chapter 4. What lies in registers (PAE's PDPTEs) is not told. */
function touchTables(machine: Machine, address: bigint, touch: Touch): void {
  const { core } = machine;
  const cr0 = core.u32[L.CR0 >>> 2];
  if ((cr0 & CR0_PG) === 0) return;
  const isLong = (core.u32[L.EFER >>> 2] & EFER_LMA) !== 0;
  const isPae = isLong || (core.u32[L.CR4 >>> 2] & CR4_PAE) !== 0;
  const shifts = isLong ? [39n, 30n, 21n, 12n] : isPae ? [21n, 12n] : [22n, 12n];
  const bytes = isPae ? 8 : 4;
  let table: bigint;
  if (isPae && !isLong) table = core.big(L.PDPTE + Number((address >> 30n) & 3n) * 8);
  else table = core.big(L.CR3) | 1n;
  for (const shift of shifts) {
    if ((table & 1n) === 0n) return;
    const index = (address >> shift) & (isPae ? 511n : 1023n);
    const at = Number((table & 0x000f_ffff_ffff_f000n) + index * BigInt(bytes));
    if (at + bytes > core.ramBytes) return;
    touch(at, bytes);
    const entry = isPae ? core.u64[(L.RAM + at) >>> 3] : BigInt(core.u32[(L.RAM + at) >>> 2]);
    // A large page ends the walk; at the level of PML4 the bit is reserved.
    if ((entry & 0x80n) !== 0n && shift !== 39n) return;
    table = entry;
  }
}
