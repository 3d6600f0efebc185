/**
 * The pre-decoded instruction cache. A block is a run of instructions inside one page, keyed by physical address and decode
 * mode, so it survives address-space switches. Its shape never shows: any position can be the stopping point.
 *
 * Block header, 32 bytes, followed by micro-ops:
 *   +0  u32 next block of the page      +4  u32 physical address      +8  u16 bytes     +10 u16 instructions
 *   +12 u32 mode, DEAD when invalidated +16 u32 fall-through link     +20 u32 taken link +24 u32 times interpreted
 *   +28 u32 compiled function << 16 | number of the block in it
 *
 * Look-up: virtual cache (rip and mode, valid for one GENERATION, or GENERATION_GLOBAL if the page is global) -> fetch TLB -> physical hash -> decode.
 */
import {
  BLOCKS, CODE, CODE_END, RAM, RAM_SIZE, PAGE_ATTR, PAGE_CODE, PAGE_BLOCKS, PAGE_CODE_MASK, GENERATION, GENERATION_GLOBAL, MODE, RIP, BLOCK, REGS, REG_PAGE, CURSOR, BLOCK_COMPILED, STOP_AT, VIRTUAL_ENTRIES, CELL_FRAME, CELL_PAGE
} from "../layout";
import { translateFetch, fetchGeneration, guardFrame, bumpGeneration } from "./memory";
import { decodeBlock, MAX_BLOCK_BYTES, crossedPage } from "./decode";
import { MODE_64 } from "./segments";
import { raiseError } from "./exceptions";
import { hostDropCompiled, hostDropAllCompiled } from "./host";

export const HEADER: u32 = 32;
export const DEAD: u32 = 0xffffffff;
const VIRTUAL: usize = BLOCKS;
const HASH: usize = BLOCKS + 0x80000;
const HASH_ENTRIES: u32 = 131072;
/** Addresses of instructions that touched a device or their own block: they get blocks of their own. */
const ALONE: usize = BLOCKS + 0x180000;
const ALONE_ENTRIES: u32 = 4096;
/** One block that is decoded anew each time: partial runs, single steps. */
const SCRATCH: u32 = CODE;
const ARENA: u32 = CODE + 0x4000;

let arenaNext: u32 = ARENA;

export function codeReset(): void {
  memory.fill(VIRTUAL, 0, VIRTUAL_ENTRIES * 16);
  memory.fill(HASH, 0, HASH_ENTRIES * 4);
  memory.fill(ALONE, 0, ALONE_ENTRIES * 4);
  codeFlush();
}

/** Drops all decoded code. */
export function codeFlush(): void {
  hostDropAllCompiled();
  memory.fill(HASH, 0, HASH_ENTRIES * 4);
  const frames = load<u32>(RAM_SIZE) >> 12;
  memory.fill(PAGE_BLOCKS, 0, frames << 2);
  memory.fill(PAGE_CODE_MASK, 0, frames << 2);
  for (let f: u32 = 0; f < frames; f++) {
    const attr = load<u8>(PAGE_ATTR + f);
    if (attr & PAGE_CODE) store<u8>(PAGE_ATTR + f, attr & ~PAGE_CODE);
  }
  arenaNext = ARENA;
  crossings = 0;
  bumpGeneration();
}

// @ts-ignore: decorator
@inline
function hashSlot(paddr: u32, mode: u32): usize {
  const h = (paddr ^ (paddr >> 15)) * 0x9e3779b1 ^ mode;
  return HASH + <usize>((h >> 15 ^ h) & (HASH_ENTRIES - 1)) * 4;
}

// @ts-ignore: decorator
@inline
function aloneSlot(paddr: u32): usize {
  return ALONE + <usize>((paddr * 0x9e3779b1) >> 20) * 4;
}
export function runsAlone(paddr: u32): bool {
  return load<u32>(aloneSlot(paddr)) == paddr + 1;
}
/** From now on the instruction at this address is decoded into a block of its own. */
export function setAlone(paddr: u32): void {
  if (load<u32>(aloneSlot(paddr)) == paddr + 1) return;
  store<u32>(aloneSlot(paddr), paddr + 1);
  codeWrite(paddr, 1);
}

/** The block at a linear address if that was looked up before, for the mappings of now; else 0. Raises no fault. */
// @ts-ignore: decorator
@inline
export function lookUpKnown(rip: u64): u32 {
  if (isDefined(COUNT_TLB)) return 0;
  const e = VIRTUAL + ((<u32>rip ^ <u32>(rip >> 14)) & (VIRTUAL_ENTRIES - 1)) * 16;
  return load<u64>(e) == (rip ^ (<u64>load<u32>(MODE) << 52)) && holds(load<u32>(e, 12)) ? load<u32>(e, 8) : 0;
}
// @ts-ignore: decorator
@inline
function holds(generation: u32): bool {
  return generation == load<u32>(GENERATION) || generation == load<u32>(GENERATION_GLOBAL);
}
/** The block at rip in the current mode; may raise #PF or #GP for the fetch. BLOCK is 0 and RIP exact when this runs. */
// @ts-ignore: decorator
@inline
export function lookUp(rip: u64): u32 {
  const e = VIRTUAL + ((<u32>rip ^ <u32>(rip >> 14)) & (VIRTUAL_ENTRIES - 1)) * 16;
  const tag = rip ^ (<u64>load<u32>(MODE) << 52);
  if (load<u64>(e) == tag && holds(load<u32>(e, 12))) {
    if (isDefined(COUNT_TLB)) translateFetch(rip);
    return load<u32>(e, 8);
  }
  return findBlock(rip, e, tag);
}

/** The block at a physical address, in the current mode, if it is decoded; else 0. */
export function blockAt(paddr: u32): u32 {
  const mode = load<u32>(MODE);
  const known = load<u32>(hashSlot(paddr, mode));
  return known != 0 && load<u32>(known, 4) == paddr && load<u32>(known, 12) == mode ? known : 0;
}

/** For a cell of compiled code: the page of rip is where this block is, for the mappings of now. */
export function verified(cell: usize, rip: u64, block: u32): void {
  if (load<u32>(block, 4) >> 12 != load<u32>(cell, CELL_FRAME)) return;
  store<u64>(cell, rip & 0xfffffffffffff000, CELL_PAGE);
  store<u32>(cell, load<u32>(GENERATION));
}

function findBlock(rip: u64, e: usize, tag: u64): u32 {
  const block = findBlockSlow(rip, load<u32>(MODE));
  // Code outside RAM is decoded anew each time.
  if (block == SCRATCH) return block;
  store<u64>(e, tag);
  store<u32>(e, block, 8);
  // One that goes on in the next page depends on that page's translation, too.
  const isCrossing = (load<u32>(block, 4) & 4095) + load<u16>(block, 8) > 4096;
  store<u32>(e, isCrossing ? load<u32>(GENERATION) : fetchGeneration(rip), 12);
  return block;
}

function findBlockSlow(rip: u64, mode: u32): u32 {
  if ((mode & MODE_64) != 0 && <u64>((<i64>rip << 16) >> 16) != rip) raiseError(13, 0);
  const physical = translateFetch(rip);
  if (physical >= <u64>load<u32>(RAM_SIZE)) return decodeScratch(rip, 1);
  const paddr = <u32>physical;
  const slot = hashSlot(paddr, mode);
  const known = load<u32>(slot);
  if (known != 0 && load<u32>(known, 4) == paddr && load<u32>(known, 12) == mode) return known;
  if (arenaNext + HEADER + MAX_BLOCK_BYTES > <u32>CODE_END) codeFlush();
  const block = arenaNext;
  const end = decodeBlock(block, rip, paddr, mode, 0);
  // An instruction that crosses into the next page depends on that page's mapping too: it lives in the virtual cache only.
  if (crossedPage) {
    registerCode(block, paddr);
    const rest = load<u16>(block, 8) - (4096 - (paddr & 4095));
    const second = <u32>translateFetch((rip & 0xfffffffffffff000) + 4096);
    if (second < load<u32>(RAM_SIZE)) addMask(second, rest);
    arenaNext = end;
    addCrossing(block, second);
    return block;
  }
  registerCode(block, paddr);
  store<u32>(slot, block);
  arenaNext = end;
  return block;
}

/** Blocks that end in another page are found by a store to that page through this list. */
const CROSSINGS: usize = BLOCKS + 0x190000;
const CROSSINGS_MAX: u32 = 8192;
let crossings: u32 = 0;
function addCrossing(block: u32, second: u32): void {
  if (crossings == CROSSINGS_MAX) {
    // Forgetting is safe when nothing of it can be found again: all crossing blocks die together.
    for (let i: u32 = 0; i < crossings; i++) store<u32>(load<u32>(CROSSINGS + (i << 3)), DEAD, 12);
    crossings = 0;
    bumpGeneration();
  }
  store<u32>(CROSSINGS + (crossings << 3), block);
  store<u32>(CROSSINGS + (crossings << 3) + 4, second);
  crossings++;
}

function addMask(paddr: u32, bytes: u32): void {
  const frame = paddr >> 12;
  if ((load<u8>(PAGE_ATTR + frame) & PAGE_CODE) == 0) guardFrame(frame, PAGE_CODE);
  const first = (paddr & 4095) >> 7;
  let last = ((paddr & 4095) + bytes - 1) >> 7;
  if (last > 31) last = 31;
  let mask = load<u32>(PAGE_CODE_MASK + (frame << 2));
  for (let i = first; i <= last; i++) mask |= 1 << i;
  store<u32>(PAGE_CODE_MASK + (frame << 2), mask);
}

function registerCode(block: u32, paddr: u32): void {
  const frame = paddr >> 12;
  addMask(paddr, load<u16>(block, 8));
  store<u32>(block, load<u32>(PAGE_BLOCKS + (frame << 2)));
  store<u32>(PAGE_BLOCKS + (frame << 2), block);
}

/** A block of at most `instructions`, not kept. */
export function decodeScratch(rip: u64, instructions: u32): u32 {
  const mode = load<u32>(MODE);
  if ((mode & MODE_64) != 0 && <u64>((<i64>rip << 16) >> 16) != rip) raiseError(13, 0);
  const physical = translateFetch(rip);
  decodeBlock(SCRATCH, rip, <u32>physical, mode, instructions);
  store<u32>(SCRATCH, 0);
  return SCRATCH;
}

/** The block at an offset of the running page, for branches inside it. */
export function findInPage(offset: u32, from: u32): u32 {
  const paddr = (load<u32>(from, 4) & 0xfffff000) | offset;
  return paddr < load<u32>(RAM_SIZE) ? blockAt(paddr) : 0;
}

/** True when a store to these bytes changes an instruction of the running block. */
export function codeWriteHits(paddr: u32, size: u32): bool {
  const block = load<u32>(BLOCK);
  if (block == 0) return false;
  const from = load<u32>(block, 4);
  const bytes = load<u16>(block, 8);
  if (paddr < from + bytes && paddr + size > from) return true;
  // The tail of a block that crosses its page lies somewhere else: any store to code then counts.
  return (from & 4095) + bytes > 4096;
}

/** Invalidates the blocks that hold any of these bytes (inside one page). */
export function codeWrite(paddr: u32, size: u32): void {
  const frame = paddr >> 12;
  const first = (paddr & 4095) >> 7;
  const last = ((paddr + size - 1) & 4095) >> 7;
  const touched: u32 = (0xffffffff << first) & (0xffffffff >> (31 - last));
  if ((load<u32>(PAGE_CODE_MASK + (frame << 2)) & touched) == 0) return;
  let link: u32 = PAGE_BLOCKS + (frame << 2);
  let block = load<u32>(link);
  let mask: u32 = 0;
  let dropped = false;
  while (block) {
    const next = load<u32>(block);
    const from = load<u32>(block, 4);
    const bytes = load<u16>(block, 8);
    if (paddr < from + bytes && paddr + size > from) {
      const mode = load<u32>(block, 12);
      if (mode != DEAD) {
        const slot = hashSlot(from, mode);
        if (load<u32>(slot) == block) store<u32>(slot, 0);
        store<u32>(block, DEAD, 12);
        const compiled = load<u32>(block, BLOCK_COMPILED);
        if (compiled != 0) {
          hostDropCompiled(block);
          // It may be running: it is left at the end of the block.
          store<u64>(STOP_AT, 0);
        }
        dropped = true;
      }
      store<u32>(link, next);
    } else if (load<u32>(block, 12) == DEAD) {
      store<u32>(link, next);
    } else {
      let end = (from & 4095) + bytes - 1;
      if (end > 4095) end = 4095;
      for (let i = (from & 4095) >> 7; i <= end >> 7; i++) mask |= 1 << i;
      link = block;
    }
    block = next;
  }
  // Blocks of the page before that reach into this one.
  if ((paddr & 4095) < 16) {
    let kept: u32 = 0;
    for (let i: u32 = 0; i < crossings; i++) {
      const b = load<u32>(CROSSINGS + (i << 3));
      const second = load<u32>(CROSSINGS + (i << 3) + 4);
      if (second >> 12 == frame) {
        store<u32>(b, DEAD, 12);
        dropped = true;
      } else {
        store<u32>(CROSSINGS + (kept << 3), b);
        store<u32>(CROSSINGS + (kept << 3) + 4, second);
        kept++;
      }
    }
    crossings = kept;
  } else if (load<u32>(PAGE_CODE_MASK + (frame << 2)) & 1) mask |= 1;
  store<u32>(PAGE_CODE_MASK + (frame << 2), mask);
  if (mask == 0) store<u8>(PAGE_ATTR + frame, load<u8>(PAGE_ATTR + frame) & ~PAGE_CODE);
  if (dropped) bumpGeneration();
}
