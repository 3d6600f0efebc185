/**
 * The complete state of a machine as plain data, and back. What is a cache (TLB, decoded code, page hashes) is not in it: restored into
 * any machine of the same configuration, the state goes on exactly as the machine went on from which it was taken.
 *
 * RAM is not copied here. A state names each page by the hash that the core keeps for it, and whoever keeps states keeps the bytes. Restoring
 * writes the pages only whose hash differs, so going back a little is cheap, and what was decoded of other pages stays.
 */
import type { Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';
import type { SavedState } from '../devices/device.ts';
import type { FirstWrites } from '../log/events.ts';

export const PAGE_BYTES = 4096;
const PAGE_SHIFT = 12;

/** All but RAM. */
export interface MachineState {
  /** Registers in canonical form: see CPU_PARTS. */
  readonly cpu: Uint8Array;
  readonly devices: SavedState;
  /** Frames dirtied in this epoch, ascending. */
  readonly dirtyFrames: Uint32Array;
  /** Their first writes, if the configuration wants them. What is zero is not part of the state: it is known when the epoch ends. */
  readonly firstWrites?: Pick<FirstWrites, 'page' | 'position' | 'timeOffsetNs'>;
  /** Frames that are page tables, ascending, and of which levels (PAGE_LEVELS). */
  readonly tableFrames: Uint32Array;
  readonly tableLevels: Uint8Array;
  /** Set once the guest has ended. */
  readonly ended: { readonly reason: string; readonly detail: string } | undefined;
}

/** The bytes of RAM that belong to a state. */
export interface RamPages {
  /** Two words a frame, low and high: the hash of the page as the core computes it; 0 for a page of zeros. */
  readonly hashes: Uint32Array;
  /** The 4096 bytes of a frame whose hash is not 0. They are not changed. */
  read(frame: number): Uint8Array;
  /**
   * The same bytes into the RAM of a core, for all of these frames, in whatever order is cheapest. The caller tells the core's caches, and checks the hashes: bytes
   * that are not those of the hash may be placed. After a throw any of these frames may hold anything.
   */
  place?(frames: Uint32Array, core: Core): void;
}

/** Address and length of all that is CPU state; RFLAGS follows as 8 bytes, its lazy part resolved. Bytes between fields are zero. */
export const CPU_PARTS = [
  [L.REGS, 128], [L.RIP, 8], [L.ICOUNT, 8], [L.TIME_OFFSET, 8], [L.INTR, 8], [L.CPL, 8], [L.DEBUG_PENDING, 4], [L.SEGS, 8 * L.SEG_SIZE],
  [L.GDTR_BASE, 32], [L.CR0, 0x30], [L.DR0, 0x30], [L.MSR_STAR, 0x88], [L.FCW, 0x24], [L.FPR, 128], [L.XMM, 256],
] as const; // prettier-ignore
/** Of these the digest is made. */
export const CPU_DIGEST_BYTES = CPU_PARTS.reduce((sum, [, length]) => sum + length, 8);
/** With the counts of Core.counts(): u64 instructions of the kernel, u64 system calls. */
export const CPU_BYTES = CPU_DIGEST_BYTES + 16;

export function saveCpu(core: Core): Uint8Array {
  const out = new Uint8Array(CPU_BYTES);
  let at = 0;
  for (const [from, length] of CPU_PARTS) {
    out.set(core.u8.subarray(from, from + length), at);
    at += length;
  }
  const view = new DataView(out.buffer);
  view.setBigUint64(at, core.exports.getFlags(), true);
  const { kernelInstructions, systemCalls } = core.counts();
  view.setBigUint64(at + 8, BigInt(kernelInstructions), true);
  view.setBigUint64(at + 16, BigInt(systemCalls), true);
  return out;
}

/** The position that a saved CPU is at. */
export function positionOfCpu(cpu: Uint8Array): number {
  let at = 0;
  for (const [from, length] of CPU_PARTS) {
    if (from === L.ICOUNT) return Number(new DataView(cpu.buffer, cpu.byteOffset).getBigUint64(at, true));
    at += length;
  }
  throw new Error('the CPU state has no position');
}

/** Between runs only. The caller restores RAM as well. */
export function restoreCpu(core: Core, cpu: Uint8Array): void {
  if (cpu.length !== CPU_BYTES) throw new RangeError(`a CPU state of ${cpu.length} bytes: this version has ${CPU_BYTES}`);
  core.exports.resetDelivery();
  let at = 0;
  for (const [from, length] of CPU_PARTS) {
    core.u8.set(cpu.subarray(at, at + length), from);
    at += length;
  }
  for (const transient of [L.BLOCK, L.CURSOR, L.EXIT, L.ISOLATE]) core.u32[transient >>> 2] = 0;
  const view = new DataView(cpu.buffer, cpu.byteOffset);
  core.exports.setFlags(view.getBigUint64(at, true));
  core.exports.updateMode();
  core.setCounts({ kernelInstructions: Number(view.getBigUint64(at + 8, true)), systemCalls: Number(view.getBigUint64(at + 16, true)) });
  core.requestCheck();
}

/** Hashes of all pages, as RamPages has them; a copy. */
export function pageHashes(core: Core): Uint32Array {
  return pageHashView(core).slice();
}
/** The same without a copy: valid until the machine runs. */
export function pageHashView(core: Core): Uint32Array {
  core.exports.hashDirtyPages();
  return core.u32.subarray(L.PAGE_HASH >>> 2, (L.PAGE_HASH >>> 2) + (core.ramBytes >>> PAGE_SHIFT) * 2);
}

/** One for all calls: a host may take long to notice that a large array is not used any more. */
let foundFrames = new Uint32Array(0);

/** Frames whose page differs from what `hashes` names, ascending; with undefined, those that are not all zeros. */
export function changedFrames(core: Core, hashes: Uint32Array | undefined): Uint32Array {
  core.exports.hashDirtyPages();
  const frames = core.ramBytes >>> PAGE_SHIFT;
  if (hashes !== undefined && hashes.length !== frames * 2) throw new RangeError(`hashes of ${hashes.length / 2} pages for a memory of ${frames}`);
  const { u32 } = core;
  const base = L.PAGE_HASH >>> 2;
  if (foundFrames.length < frames) foundFrames = new Uint32Array(frames);
  const found = foundFrames;
  let count = 0;
  for (let frame = 0; frame < frames; frame++) {
    const lo = hashes === undefined ? 0 : hashes[frame * 2];
    const hi = hashes === undefined ? 0 : hashes[frame * 2 + 1];
    if (u32[base + frame * 2] !== lo || u32[base + frame * 2 + 1] !== hi) found[count++] = frame;
  }
  return found.slice(0, count);
}

/** A view of a page of RAM, or of so many one after the other, valid until the machine runs. */
export function pageView(core: Core, frame: number, count = 1): Uint8Array {
  const at = L.RAM + frame * PAGE_BYTES;
  return core.u8.subarray(at, at + count * PAGE_BYTES);
}

export function isZeroPage(page: Uint8Array): boolean {
  const words = new Uint32Array(page.buffer, page.byteOffset, PAGE_BYTES / 4);
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

export function saveDirty(core: Core): Uint32Array {
  const count = core.u32[L.DIRTY_COUNT >>> 2];
  return core.u32.slice(L.DIRTY_LIST >>> 2, (L.DIRTY_LIST >>> 2) + count).sort();
}

const TWO_32 = 4294967296;

/** Of the frames dirtied in this epoch, in the order of position, time offset and page; zero as of the last hashes. */
export function saveFirstWrites(core: Core): FirstWrites {
  const { u32 } = core;
  const count = u32[L.DIRTY_COUNT >>> 2];
  const notes = (L.RAM + core.ramBytes) >>> 2;
  const words = L.FIRST_WRITE_BYTES >>> 2;
  const wide = (i: number, word: number): number => u32[notes + i * words + word] + u32[notes + i * words + word + 1] * TWO_32;
  const frame = (i: number): number => u32[(L.DIRTY_LIST >>> 2) + i];
  const order = Uint32Array.from({ length: count }, (_, i) => i).sort((a, b) => wide(a, 0) - wide(b, 0) || wide(a, 2) - wide(b, 2) || frame(a) - frame(b));
  const hash = L.PAGE_HASH >>> 2;
  return {
    page: order.map(frame),
    position: Float64Array.from(order, (i) => wide(i, 0)),
    timeOffsetNs: Float64Array.from(order, (i) => wide(i, 2)),
    isZero: Uint8Array.from(order, (i) => (u32[hash + frame(i) * 2] === 0 && u32[hash + frame(i) * 2 + 1] === 0 ? 1 : 0)),
  };
}

/** Between runs: the epoch that runs has these dirty frames, and no others. */
export function restoreDirty(core: Core, { dirtyFrames, firstWrites }: Pick<MachineState, 'dirtyFrames' | 'firstWrites'>): void {
  const { u8, u32 } = core;
  core.exports.newEpoch();
  const frames = firstWrites?.page ?? dirtyFrames;
  const notes = L.RAM + core.ramBytes;
  frames.forEach((frame, i) => {
    u32[(L.DIRTY_LIST >>> 2) + i] = frame;
    u8[L.PAGE_DIRTY + frame] = 1;
    if (firstWrites === undefined) return;
    core.setNumber(notes + i * L.FIRST_WRITE_BYTES, firstWrites.position[i]);
    core.setNumber(notes + i * L.FIRST_WRITE_BYTES + 8, firstWrites.timeOffsetNs[i]);
  });
  u32[L.DIRTY_COUNT >>> 2] = frames.length;
}

export function saveTables(core: Core): { readonly tableFrames: Uint32Array; readonly tableLevels: Uint8Array } {
  const frames = core.ramBytes >>> PAGE_SHIFT;
  const found: number[] = [];
  const { u8 } = core;
  for (let frame = 0; frame < frames; frame++) if (u8[L.PAGE_ATTR + frame] & L.PAGE_LEVELS) found.push(frame);
  return { tableFrames: Uint32Array.from(found), tableLevels: Uint8Array.from(found, (frame) => u8[L.PAGE_ATTR + frame] & L.PAGE_LEVELS) };
}

/** A page that was read back is not the one that the state names. */
export class RestoreError extends Error {
  override readonly name = 'RestoreError';
}

const ZEROS = new Uint8Array(PAGE_BYTES);

/** See RamPages.place. */
export function placePages(pages: RamPages, frames: Uint32Array, core: Core): void {
  if (pages.place !== undefined) pages.place(frames, core);
  else for (const frame of frames) core.u8.set(pages.read(frame), L.RAM + frame * PAGE_BYTES);
}

/**
 * RAM and what the core keeps for it. Every page that was written is checked against its hash: throws RestoreError, and the machine
 * must be restored again before it may run.
 */
export function restoreRam(core: Core, pages: RamPages, state: Pick<MachineState, 'dirtyFrames' | 'firstWrites' | 'tableFrames' | 'tableLevels'>): void {
  const { u8, u32 } = core;
  const frames = core.ramBytes >>> PAGE_SHIFT;
  core.exports.tlbReset();
  for (let frame = 0; frame < frames; frame++) u8[L.PAGE_ATTR + frame] &= ~L.PAGE_LEVELS;
  const changed = changedFrames(core, pages.hashes);
  // An observer is not told: nothing of the guest stores here.
  const watching = u32[L.WATCHING >>> 2];
  u32[L.WATCHING >>> 2] = 0;
  try {
    const isZero = (frame: number): boolean => pages.hashes[frame * 2] === 0 && pages.hashes[frame * 2 + 1] === 0;
    for (const frame of changed) {
      if (isZero(frame)) core.writePhysical(frame * PAGE_BYTES, ZEROS);
      else core.exports.deviceWrite(frame * PAGE_BYTES, PAGE_BYTES);
    }
    placePages(pages, changed.filter((frame) => !isZero(frame)), core); // prettier-ignore
  } finally {
    u32[L.WATCHING >>> 2] = watching;
  }
  core.exports.hashDirtyPages();
  const base = L.PAGE_HASH >>> 2;
  for (const frame of changed) {
    if (u32[base + frame * 2] !== pages.hashes[frame * 2] || u32[base + frame * 2 + 1] !== pages.hashes[frame * 2 + 1]) {
      throw new RestoreError(`the page of frame ${frame} is not the one that was saved`);
    }
  }
  restoreDirty(core, state);
  state.tableFrames.forEach((frame, i) => {
    u8[L.PAGE_ATTR + frame] |= state.tableLevels[i];
  });
  core.exports.tlbReset();
}
