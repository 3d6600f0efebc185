/**
 * Guest memory by virtual address, as the VMM reaches for what a hypercall names: through the guest's own tables, with the rights that the guest has there. A and D bits stay as they are.
 */
import type { Core } from '../../cpu/core.ts';
import { RAM } from '../../cpu/layout.ts';
import { PAGE_BYTES } from './page-types.ts';

const PRESENT_USER = 5;
const WRITE = 2;

/** Physical address, or -1. `root`: frame of the level-4 table, which is a validated one. */
function translate(core: Core, root: number, va: bigint, isWrite: boolean): number {
  if (!isCanonical(va)) return -1;
  const low = Number(va & 0xffffffffn);
  const high = Number((va >> 32n) & 0xffffn);
  const { u32 } = core;
  let table = root;
  for (let level = 4; ; level--) {
    const index = level === 4 ? high >>> 7 : level === 3 ? ((high & 0x7f) << 2) | (low >>> 30) : level === 2 ? (low >>> 21) & 511 : (low >>> 12) & 511;
    const at = (RAM + table * PAGE_BYTES + index * 8) >>> 2;
    const entry = u32[at];
    if ((entry & PRESENT_USER) !== PRESENT_USER || (isWrite && (entry & WRITE) === 0)) return -1;
    table = (entry >>> 12) + (u32[at + 1] & 0xff) * 0x100000;
    if (level === 1) return table * PAGE_BYTES + (low & 0xfff);
  }
}

export function isCanonical(va: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, va)) === va;
}

/** A copy of `length` bytes; undefined if any of them is out of reach. */
export function readGuest(core: Core, root: number, va: bigint, length: number): Uint8Array | undefined {
  const out = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const paddr = translate(core, root, BigInt.asUintN(64, va + BigInt(done)), false);
    if (paddr < 0) return undefined;
    const count = Math.min(length - done, PAGE_BYTES - (paddr % PAGE_BYTES));
    out.set(core.u8.subarray(RAM + paddr, RAM + paddr + count), done);
    done += count;
  }
  return out;
}

/** All bytes or none. */
export function writeGuest(core: Core, root: number, va: bigint, bytes: Uint8Array): boolean {
  const parts: { paddr: number; from: number; to: number }[] = [];
  for (let done = 0; done < bytes.length; ) {
    const paddr = translate(core, root, BigInt.asUintN(64, va + BigInt(done)), true);
    if (paddr < 0) return false;
    const count = Math.min(bytes.length - done, PAGE_BYTES - (paddr % PAGE_BYTES));
    parts.push({ paddr, from: done, to: done + count });
    done += count;
  }
  for (const { paddr, from, to } of parts) core.writePhysical(paddr, bytes.subarray(from, to));
  return true;
}
