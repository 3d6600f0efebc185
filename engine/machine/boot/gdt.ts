/**
 * The GDT at entry. Selectors are those of the Linux boot protocol (__BOOT_CS 0x10, __BOOT_DS 0x18, __BOOT_TSS 0x20;
 * Documentation/x86/boot.rst, "64-bit Boot Protocol"); the other protocols leave them free and get the same.
 *
 * Descriptor format: SDM vol. 3A 3.4.5, figure 3-8. Hidden parts and table come from the same rows, so they agree.
 */
import { GDT_ADDRESS, type MemoryPlan } from './memory.ts';
import type { InitialCpuState, SegmentState } from './plan.ts';

const CODE_SELECTOR = 0x10;
const DATA_SELECTOR = 0x18;
const TASK_SELECTOR = 0x20;

// Access rights in the VMX format. Code: execute/read, accessed. Data: read/write, accessed. Task: busy TSS.
const CODE_32 = 0xc09b;
const CODE_64 = 0xa09b;
const DATA_32 = 0xc093;
const TASK = 0x008b;

const FLAT_LIMIT = 0xffffffff;
/** Of a 32-bit and of a 64-bit TSS without I/O permissions (SDM vol. 3A 8.2.1, 8.7). */
const TASK_LIMIT = 0x67;

/** The segment part of the CPU state at entry; places the GDT that goes with it. */
export function flatSegments(
  memory: MemoryPlan,
  mode: InitialCpuState['mode'],
): Pick<InitialCpuState, 'segments' | 'gdtBase' | 'gdtLimit'> {
  const code: SegmentState = {
    selector: CODE_SELECTOR,
    base: 0n,
    limit: FLAT_LIMIT,
    attr: mode === 'long64' ? CODE_64 : CODE_32,
  };
  const data: SegmentState = { selector: DATA_SELECTOR, base: 0n, limit: FLAT_LIMIT, attr: DATA_32 };
  const task: SegmentState = { selector: TASK_SELECTOR, base: 0n, limit: TASK_LIMIT, attr: TASK };

  // In 64-bit mode a TSS descriptor takes two slots, the second with the high half of the base, which is zero.
  const table = new Uint8Array(6 * 8);
  const view = new DataView(table.buffer);
  for (const segment of [code, data, task]) {
    view.setBigUint64(segment.selector, descriptor(segment), true);
  }
  memory.place('the GDT', GDT_ADDRESS, table);
  return {
    segments: { cs: code, ds: data, es: data, ss: data, fs: data, gs: data, tr: task },
    gdtBase: BigInt(GDT_ADDRESS),
    gdtLimit: table.length - 1,
  };
}

/** The 8 bytes in the table for a segment register's hidden part. */
export function descriptor(segment: SegmentState): bigint {
  const base = segment.base;
  const pages = (segment.attr & 0x8000) !== 0;
  const limit = BigInt(pages ? Math.floor(segment.limit / 4096) : segment.limit);
  const rights = BigInt(segment.attr);
  return (
    (limit & 0xffffn) |
    ((base & 0xffffffn) << 16n) |
    ((rights & 0xffn) << 40n) |
    (((limit >> 16n) & 0xfn) << 48n) |
    (((rights >> 12n) & 0xfn) << 52n) |
    (((base >> 24n) & 0xffn) << 56n)
  );
}
