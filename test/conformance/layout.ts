/**
 * Where a case lives: the same virtual addresses on this CPU and in the engine. All below 4 GiB, so that 32-bit code reaches them;
 * nothing is mapped around them.
 */

export interface Window {
  readonly name: string;
  readonly address: number;
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
}

/** Full of int3: where a case ends. */
export const CODE: Window = { name: 'code', address: 0x10000000, size: 0x2000, writable: false, executable: true };
export const DATA: Window = { name: 'data', address: 0x10010000, size: 0x3000, writable: true, executable: false };
/** Right behind the data: stores that cross into it fault on their second half. */
export const CONSTANTS: Window = { name: 'constants', address: 0x10013000, size: 0x1000, writable: false, executable: false };
export const STACK: Window = { name: 'stack', address: 0x10020000, size: 0x2000, writable: true, executable: false };
export const WINDOWS: readonly Window[] = [CODE, DATA, CONSTANTS, STACK];

/** An address in the reserved range that nothing is mapped at. */
export const UNMAPPED = 0x10040000;

/** Bases of FS and GS in 64-bit mode: one that a displacement reaches alone, one that needs a register and wraps around 2^64. */
export const FS_BASE = 0x10008000n;
export const GS_BASE = 0x0000700012345678n;

/** Selectors as Linux gives them to a process; DS and ES are set for the sake of 32-bit code. */
export const SELECTORS = { cs64: 0x33, cs32: 0x23, data: 0x2b } as const;

export const CF = 0x1;
export const PF = 0x4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const DF = 0x400;
export const OF = 0x800;
export const ARITHMETIC = CF | PF | AF | ZF | SF | OF;
/** Bit 1 is fixed, and a user process has interrupts on. */
export const FLAGS_BASE = 0x202;

/** int3 */
export const STOP_BYTE = 0xcc;

/** What the windows hold before a case's own bytes: int3 in the code, elsewhere noise with zeros, ones and repeats in it. */
export function baseImage(window: Window): Uint8Array {
  const bytes = new Uint8Array(window.size);
  if (window === CODE) return bytes.fill(STOP_BYTE);
  let state = window.address;
  for (let i = 0; i < bytes.length; i += 8) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const kind = state >>> 28;
    for (let k = 0; k < 8; k++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      bytes[i + k] = kind === 0 ? 0 : kind === 1 ? 0xff : kind === 2 ? 0x80 : kind === 3 ? (k === 0 ? 1 : 0) : state >>> 24;
    }
  }
  return bytes;
}
