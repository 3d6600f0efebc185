/**
 * Which blocks are compiled together: those that are reached from a hot one by direct jumps and calls, in its page and others, and have been run.
 *
 * A *place* is an address relative to the virtual page of the hot block. Places decide which block a direct jump leads to; in the page that is certain,
 * in another page it holds as long as no mapping changes.
 */
import type { Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';
import * as O from '../cpu/ops.ts';
import { BASE_PAGE, BASE_ZERO } from './effects.ts';

/** A decoded block of the interpreter that becomes part of a function. */
export interface RegionBlock {
  /** Address of its header. */
  readonly address: number;
  /** Place of its page, and of its first instruction. */
  readonly page: number;
  readonly place: number;
  readonly instructions: number;
  /** Addresses of its micro-ops. */
  readonly first: number;
  readonly last: number;
  /** Places where it may go on without an indirect branch, and where it comes back to after a call. */
  readonly successors: readonly number[];
  /** Of an indirect jump or call through a pointer that is always the same place: where that leads now, from the block's page. */
  readonly guess: number | undefined;
  /** Whether the function can be entered here; all other blocks are only jumped to from earlier ones of the region. */
  isEntry: boolean;
}

export interface RegionLimits {
  readonly blocks: number;
  readonly microOps: number;
  /** Times a block must have been interpreted to be taken along. */
  readonly heat: number;
}

const MODE_64 = 1;

/** What the compiler needs to know of a block, in a region around this virtual page; undefined if it stays with the interpreter. */
export function readBlock(core: Core, address: number, page: number, virtualPage: bigint): RegionBlock | undefined {
  const { u8, u16, u32, i32 } = core;
  const paddr = u32[(address + L.BLOCK_PADDR) >>> 2];
  const bytes = u16[(address + L.BLOCK_BYTES) >>> 1];
  const instructions = u16[(address + L.BLOCK_COUNT) >>> 1];
  const mode = u32[(address + L.BLOCK_MODE) >>> 2];
  if (mode === 0xffffffff || (mode & MODE_64) === 0 || (paddr & 0xfff) + bytes > 4096) return undefined;
  if (instructions === 1 && core.exports.runsAlone(paddr)) return undefined;
  const first = address + L.BLOCK_HEADER;
  let p = first;
  for (;; p += O.OP_BYTES) {
    const op = u16[p >>> 1];
    const aux = u32[(p + 20) >>> 2];
    if (op === O.OP_OBSERVE) return undefined;
    let successors: number[] | undefined;
    let guess: number | undefined;
    if (op === O.OP_END) successors = [aux];
    else if (op >= O.JO && op <= O.JG) successors = [aux, aux + i32[(p + 12) >>> 2]];
    else if (op === O.JMP) successors = [aux + i32[(p + 12) >>> 2]];
    // The place it returns to is no successor, but belongs to the same loop.
    else if (op === O.CALL64) successors = [aux + i32[(p + 12) >>> 2], aux];
    else if (op === O.CALL_R64) successors = [u16[(p + 16) >>> 1] + u8[p + 18]];
    else if (op === O.CALL_M64 || op === O.JMP_M64) {
      const pointer = pointerAt(core, p, page, virtualPage);
      guess = pointer === undefined ? undefined : pointer - page;
      successors = guess === undefined ? [] : [guess];
      if (op === O.CALL_M64) successors.push(u16[(p + 16) >>> 1] + u8[p + 18]);
    }
    else if (op === O.OP_HELP_END) successors = [u16[(p + 16) >>> 1] + u8[p + 18]];
    else if (op === O.OP_HELP_JUMP || op === O.RET64 || op === O.RET64_I || op === O.JMP_R64) successors = [];
    if (successors !== undefined) return { address, page, place: page + (paddr & 0xfff), instructions, first, last: p, successors: successors.map((offset) => page + offset), guess, isEntry: false };
  }
}

/** What a function keeps in the core's memory: layout.ts, JIT_MEMORY. */
export interface RegionMemory {
  /** Address of a page's cell, by its place. */
  readonly cells: ReadonlyMap<number, number>;
  readonly table: number;
  /** Of the table, a power of two. */
  readonly entries: number;
  /** An address is looked up at its place and that shifted right by so much, exclusive or. */
  readonly shift: number;
}

/** Bytes for the cells and the table of a region. */
export function memoryBytes(blocks: readonly RegionBlock[]): number {
  // In order of place, so of page, too.
  let pages = 0;
  for (let i = 0; i < blocks.length; i++) if (i === 0 || blocks[i].page !== blocks[i - 1].page) pages++;
  return pages * L.CELL_BYTES + tableEntries(blocks) * L.TARGET_BYTES;
}
/** Where in a table a place is. */
function slotOf(place: number, shift: number, entries: number): number {
  return (place ^ (place >>> shift)) & (entries - 1);
}
/** With which most places that can be entered are found: two in one slot are one that is not. */
function bestShift(blocks: readonly RegionBlock[], entries: number): number {
  let best = { shift: 0, found: 0 };
  for (let shift = 1; shift <= 16; shift++) {
    const slots = new Set<number>();
    let count = 0;
    for (const { place, isEntry } of blocks) {
      if (!isEntry) continue;
      count++;
      slots.add(slotOf(place, shift, entries));
    }
    if (slots.size > best.found) best = { shift, found: slots.size };
    if (slots.size === count) break;
  }
  return best.shift;
}
function tableEntries(blocks: readonly RegionBlock[]): number {
  return 2 << Math.ceil(Math.log2(blocks.length));
}

/** Lays them out at an address. */
export function layOutMemory(core: Core, blocks: readonly RegionBlock[], at: number): RegionMemory {
  const { u8, u16, u32, u64 } = core;
  const cells = new Map<number, number>();
  const entries = tableEntries(blocks);
  const shift = bestShift(blocks, entries);
  const bytes = memoryBytes(blocks);
  u8.fill(0, at, at + bytes);
  const table = at + bytes - entries * L.TARGET_BYTES;
  // A place that no block has: the middle of the address space.
  for (let e = table; e < at + bytes; e += L.TARGET_BYTES) u64[e >>> 3] = 1n << 62n;
  blocks.forEach(({ address, page, place, isEntry }, i) => {
    let cell = cells.get(page);
    if (cell === undefined) {
      cell = at + cells.size * L.CELL_BYTES;
      cells.set(page, cell);
      u32[(cell + L.CELL_FRAME) >>> 2] = u32[(address + L.BLOCK_PADDR) >>> 2] >>> 12;
    }
    if (!isEntry) return;
    const entry = table + slotOf(place, shift, entries) * L.TARGET_BYTES;
    u64[entry >>> 3] = BigInt.asUintN(64, BigInt(place));
    u16[(entry + L.TARGET_BLOCK) >>> 1] = i;
    u32[(entry + L.TARGET_CELL) >>> 2] = cell;
  });
  return { cells, table, entries, shift };
}

/**
 * The region around a hot block at this virtual page, in order of place; empty if that cannot be compiled. isWayIn: the block is in another function already, and what is missing is
 * a way into that: the region ends where a function can be entered, or most code would be compiled five times.
 */
export function regionAround(core: Core, seed: number, virtualPage: bigint, limits: RegionLimits, isWayIn: boolean): RegionBlock[] {
  const start = readBlock(core, seed, 0, virtualPage);
  if (start === undefined) return [];
  const found = new Map<number, RegionBlock>([[start.place, start]]);
  const frames = new Map([[0, core.u32[(seed + L.BLOCK_PADDR) >>> 2] >>> 12]]);
  const queue = [start];
  let microOps = (start.last - start.first) / O.OP_BYTES + 1;
  for (let block = queue.shift(); block !== undefined; block = queue.shift()) {
    for (const place of block.successors) {
      if (found.has(place)) continue;
      const page = Math.floor(place / 4096) * 4096;
      let frame = frames.get(page);
      if (frame === undefined) frames.set(page, (frame = frameAt(core, virtualPage + BigInt(page))));
      const address = frame < 0 ? 0 : core.exports.blockAt(frame * 4096 + place - page);
      if (address === 0 || core.u32[(address + L.BLOCK_HEAT) >>> 2] < limits.heat) continue;
      if (isWayIn && core.u32[(address + L.BLOCK_COMPILED) >>> 2] > 1) continue;
      const next = readBlock(core, address, page, virtualPage);
      if (next === undefined) continue;
      const size = (next.last - next.first) / O.OP_BYTES + 1;
      if (found.size >= limits.blocks || microOps + size > limits.microOps) continue;
      microOps += size;
      found.set(place, next);
      queue.push(next);
    }
  }
  const blocks = [...found.values()].sort((a, b) => a.place - b.place);
  markEntries(core, blocks, start);
  return blocks;
}

/**
 * Entries are the seed, targets of jumps back and of calls, and where calls, indirect ones and helpers that end a block come back to. The fewer there are, the fewer
 * places have all that leads there to agree on where each local is, which is what the optimising compiler's time and the moves in its code go into.
 */
function markEntries(core: Core, blocks: readonly RegionBlock[], seed: RegionBlock): void {
  const numbers = new Map(blocks.map(({ place }, i) => [place, i]));
  seed.isEntry = true;
  blocks.forEach(({ last, successors }, i) => {
    const op = core.u16[last >>> 1];
    const isCall = op === O.CALL64 || op === O.CALL_R64 || op === O.CALL_M64 || op === O.OP_HELP_END;
    for (const place of successors) {
      const k = numbers.get(place);
      if (k !== undefined && (isCall || k < i)) blocks[k].isEntry = true;
    }
  });
}

/** The page frame at a virtual page, -1 if there is none in RAM. */
function frameAt(core: Core, page: bigint): number {
  const physical = BigInt.asUintN(64, core.exports.inspectAddress(BigInt.asIntN(64, page)));
  return physical < BigInt(core.ramBytes) ? Number(physical >> 12n) : -1;
}

/**
 * Where the pointer that a micro-op jumps or calls through leads now, as a place, if the pointer itself is always at the same address: so dynamically linked functions are reached. Undefined
 * if it is not mapped or leads far away.
 */
function pointerAt(core: Core, p: number, page: number, virtualPage: bigint): number | undefined {
  const { u8, i32, u64 } = core;
  if (u8[p + 5] !== BASE_ZERO || u8[p + 7] < L.SEG_FLAT * 8 || (u8[p + 4] !== BASE_PAGE && u8[p + 4] !== BASE_ZERO)) return undefined;
  const distance = BigInt(i32[(p + 8) >>> 2]);
  const address = BigInt.asUintN(64, u8[p + 4] === BASE_PAGE ? virtualPage + BigInt(page) + distance : distance);
  const frame = frameAt(core, address & ~0xfffn);
  // One that is not aligned is rare.
  if (frame < 0 || (address & 7n) !== 0n) return undefined;
  const place = BigInt.asIntN(64, u64[(L.RAM + frame * 4096 + Number(address & 0xfffn)) >>> 3] - virtualPage);
  return place >= -(1n << 30n) && place < 1n << 30n ? Number(place) : undefined;
}
