/**
 * The pre-decoded instruction cache. A block is a run of instructions inside one page, keyed by physical address and decode
 * mode, so it survives address-space switches. Its shape never shows: any position can be the stopping point.
 *
 * Block header, 32 bytes, followed by micro-ops:
 *   +0  u32 next block of the page      +4  u32 physical address      +8  u16 bytes     +10 u16 instructions
 *   +12 u32 mode, DEAD when invalidated +16 u32 fall-through link     +20 u32 taken link +24 u32 times interpreted (PROFILE: or more)
 *   +28 u32 compiled function << 16 | number of the block in it
 *
 * Before the header of a block that is one instruction in two pages: u64 physical address of the second page.
 *
 * Look-up: virtual cache (rip and mode, valid for one GENERATION, or GENERATION_GLOBAL if the page is global) -> fetch TLB -> physical hash -> decode.
 * The hash has all that is decoded (open addressing, linear probing): a block that could not be found again would be decoded, counted and compiled again.
 * Dead blocks stay in their slots, where they match nothing, until another takes the slot or all is dropped.
 */
import {
  BLOCKS, CODE, CODE_END, RAM, RAM_SIZE, PAGE_ATTR, PAGE_CODE, PAGE_BLOCKS, PAGE_CODE_MASK, GENERATION, GENERATION_GLOBAL, MODE, RIP, BLOCK, REGS, REG_PAGE, CURSOR, BLOCK_COMPILED, STOP_AT, VIRTUAL_ENTRIES, CELL_FRAME, CELL_PAGE,
  BLOCK_HEAT, PROFILE, PROFILE_SLOTS, PROFILE_PROBES, PROFILE_LEFT, PROFILE_BITS, PROFILE_HEATS, PROFILE_BEGUN
} from "../layout";
import { translateFetch, fetchGeneration, guardFrame, bumpGeneration } from "./memory";
import { decodeBlock, MAX_BLOCK_BYTES, crossedPage } from "./decode";
import { MODE_64 } from "./segments";
import { raiseError } from "./exceptions";
import { hostDropCompiled, hostDropAllCompiled } from "./host";

export const HEADER: u32 = 32;
const CROSSING_BYTES: u32 = 8;
/** Bytes of the longest instruction. */
const LONGEST: u32 = 15;
export const DEAD: u32 = 0xffffffff;
const VIRTUAL: usize = BLOCKS;
const HASH: usize = BLOCKS + 0x80000;
const HASH_ENTRIES: u32 = 262144;
/** Slots in use at which all decoded code is dropped, so that probing stays short and ends. */
const HASH_FULL: u32 = HASH_ENTRIES / 4 * 3;
/** Addresses of instructions that touched a device or their own block: they get blocks of their own. */
const ALONE: usize = BLOCKS + 0x180000;
const ALONE_ENTRIES: u32 = 4096;
/** One block that is decoded anew each time: partial runs, single steps. */
const SCRATCH: u32 = CODE;
const ARENA: u32 = CODE + 0x4000;

let arenaNext: u32 = ARENA;
let slotsUsed: u32 = 0;

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
  slotsUsed = 0;
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
function nextSlot(slot: usize): usize {
  return HASH + (slot + 4 - HASH & HASH_ENTRIES * 4 - 1);
}
// @ts-ignore: decorator
@inline
function isCrossing(block: u32): bool {
  return (load<u32>(block, 4) & 4095) + load<u16>(block, 8) > 4096;
}
/** Makes a block findable, in place of a dead one if one is on the way. */
function insert(block: u32, paddr: u32, mode: u32): void {
  let slot = hashSlot(paddr, mode);
  let there = load<u32>(slot);
  while (there != 0 && load<u32>(there, 12) != DEAD) {
    slot = nextSlot(slot);
    there = load<u32>(slot);
  }
  if (there == 0) slotsUsed++;
  store<u32>(slot, block);
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

/** The block at a physical address, in the current mode, if it is decoded and in one page; else 0. */
export function blockAt(paddr: u32): u32 {
  const mode = load<u32>(MODE);
  let slot = hashSlot(paddr, mode);
  let known = load<u32>(slot);
  while (known != 0) {
    if (load<u32>(known, 4) == paddr && load<u32>(known, 12) == mode) return isCrossing(known) ? 0 : known;
    slot = nextSlot(slot);
    known = load<u32>(slot);
  }
  return 0;
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
  store<u32>(e, isCrossing(block) ? load<u32>(GENERATION) : fetchGeneration(rip), 12);
  return block;
}

function findBlockSlow(rip: u64, mode: u32): u32 {
  if ((mode & MODE_64) != 0 && <u64>((<i64>rip << 16) >> 16) != rip) raiseError(13, 0);
  const physical = translateFetch(rip);
  if (physical >= <u64>load<u32>(RAM_SIZE)) return decodeScratch(rip, 1);
  const paddr = <u32>physical;
  let slot = hashSlot(paddr, mode);
  let known = load<u32>(slot);
  while (known != 0) {
    // An instruction that reaches into the next page is the same one only if that page is where it was.
    if (load<u32>(known, 4) == paddr && load<u32>(known, 12) == mode && (!isCrossing(known) || load<u64>(known - CROSSING_BYTES) == translateFetch(pageAfter(rip)))) return known;
    slot = nextSlot(slot);
    known = load<u32>(slot);
  }
  if (arenaNext + CROSSING_BYTES + HEADER + MAX_BLOCK_BYTES > <u32>CODE_END || slotsUsed >= HASH_FULL) codeFlush();
  const block = arenaNext + ((paddr & 4095) + LONGEST > 4096 ? CROSSING_BYTES : 0);
  arenaNext = decodeBlock(block, rip, paddr, mode, 0);
  registerCode(block, paddr);
  if (crossedPage) {
    const second = translateFetch(pageAfter(rip));
    // What is outside RAM is read again each time the look-up by address is lost.
    if (second >= <u64>load<u32>(RAM_SIZE)) return block;
    store<u64>(block - CROSSING_BYTES, second);
    addMask(<u32>second, load<u16>(block, 8) - (4096 - (paddr & 4095)));
    addCrossing(block, <u32>second);
  } else if (load<u32>(PROFILE_HEATS) != 0) beginHot(block);
  insert(block, paddr, mode);
  return block;
}

/**
 * What the code of a block in one page is known by from one run to the next, wherever that page is: a hash of its bytes and of where in the page they are. Never 0, and 0 in the lowest PROFILE_BITS.
 * Two blocks with one key cost speed at most.
 */
export function codeKey(block: u32): u64 {
  const paddr = load<u32>(block, 4);
  let left = <u32>load<u16>(block, 8);
  let at: usize = RAM + paddr;
  let hash: u64 = ((paddr & 4095) << 12 | left) + 1;
  for (; left >= 8; left -= 8, at += 8) hash = mix(hash ^ load<u64>(at));
  let rest: u64 = 0;
  for (; left != 0; left--, at++) rest = rest << 8 | load<u8>(at);
  return mix(hash ^ rest) & ~<u64>((1 << PROFILE_BITS) - 1) | 1 << PROFILE_BITS;
}
// @ts-ignore: decorator
@inline
function mix(value: u64): u64 {
  // The finaliser of SplitMix64, one round: each bit of the input reaches the upper half.
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  return value ^ value >> 27;
}

/** Where the next block will be decoded: those below it were before, in this order, since all were dropped. */
export function codeEnd(): u32 {
  return arenaNext;
}

/** A block that an earlier run compiled need not prove itself again; but code that is replaced again and again does. */
function beginHot(block: u32): void {
  const key = codeKey(block);
  let slot = <u32>(key >> 48) & (PROFILE_SLOTS - 1);
  for (let i: u32 = 0; i < <u32>PROFILE_PROBES; i++) {
    const entry = PROFILE + (<usize>slot << 3);
    const there = load<u64>(entry);
    if (there == 0) return;
    if ((there ^ key) >> PROFILE_BITS == 0) {
      if ((<u32>there & (1 << PROFILE_BITS) - 1) >> PROFILE_LEFT == 0) return;
      store<u64>(entry, there - (1 << PROFILE_LEFT));
      store<u32>(block, load<u32>(PROFILE_HEATS + ((<usize>there & (1 << PROFILE_LEFT) - 1) << 2)), BLOCK_HEAT);
      store<u32>(PROFILE_BEGUN, load<u32>(PROFILE_BEGUN) + 1);
      return;
    }
    slot = slot + 1 & (PROFILE_SLOTS - 1);
  }
}
// @ts-ignore: decorator
@inline
function pageAfter(rip: u64): u64 {
  return (rip & 0xfffffffffffff000) + 4096;
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
