/**
 * The domain builder: a kernel image to memory, page tables and registers at the entry of the guest. The layout:
 *
 *     0x0 ... kernel (its physical addresses) ... free │ boot page tables │ block ring │ console ring │ shared info │ start info │ end of the first GiB, or of RAM
 *                                                       └ free_end
 *
 * pv-abi.h says what the guest may rely on.
 */
import { BootError } from '../../machine/boot/errors.ts';
import { parseElf } from '../../machine/boot/elf.ts';
import { MemoryPlan } from '../../machine/boot/memory.ts';
import { placeSegments } from '../../machine/boot/load-elf.ts';
import type { BootPlan, SegmentState } from '../../machine/boot/plan.ts';
import {
  PV_CS_USER, PV_NOTE_ENTRY, PV_NOTE_VIRT_BASE, PV_SS, SHARED_MASK, SHARED_UPCALL_MASK, START_BASEPTR, START_BLOCK, START_COMMAND_LINE, START_COMMAND_LINE_BYTES, START_CONSOLE, START_FREE_END, START_MAGIC,
  START_PAGES, START_SECTORS, START_SHARED_INFO, START_TSC_HZ,
} from './abi.ts';
import { PAGE_BYTES } from './page-types.ts';

/** Frames that the VMM knows from the start. */
export interface Domain {
  readonly sharedInfo: number;
  readonly console: number;
  /** Undefined without a disk. */
  readonly block: number | undefined;
  readonly root: number;
  readonly plan: BootPlan;
}

const NOTE_NAME = 'Chronovisor';
const MAPPED_MAX = 2 ** 30;
const TABLE_SPAN = 512;
const ENTRY = 0x27; // present, writable, user, accessed
const READ_ONLY = 0x25;
const NO_EXECUTE = 1n << 63n;
const PF_EXECUTE = 1;
const DATA_SEGMENT: SegmentState = { selector: 0, base: 0n, limit: 0xffffffff, attr: 0x10000 };
/** 64-bit code and data of DPL 3; the selectors are Xen's, and there is no table behind them. */
const CODE_ATTR = 0xa0fb;
const STACK_ATTR = 0xc0f3;

export interface DomainOptions {
  readonly memoryBytes: number;
  readonly commandLine: string;
  /** Of the disk, bytes; undefined if there is none. */
  readonly diskBytes: number | undefined;
  /** What messages call the image. */
  readonly kernelName: string;
}

/** Throws BootError. */
export function buildDomain(kernel: Uint8Array, options: DomainOptions): Domain {
  const name = options.kernelName;
  const elf = parseElf(kernel, name);
  const note = (type: number): bigint | undefined => {
    const found = elf.notes.find((one) => one.name === NOTE_NAME && one.type === type);
    return found?.description.length === 8 ? new DataView(found.description.buffer, found.description.byteOffset, 8).getBigUint64(0, true) : undefined;
  };
  const entry = note(PV_NOTE_ENTRY);
  const virtBase = note(PV_NOTE_VIRT_BASE);
  if (entry === undefined || virtBase === undefined) {
    throw new BootError('kernel-not-paravirtual', { image: name, why: `it has no ELF note of the name ${NOTE_NAME} with its ${entry === undefined ? 'entry' : 'virtual base'}` });
  }
  const mapped = Math.min(options.memoryBytes, MAPPED_MAX);
  const inTable = virtBase % BigInt(MAPPED_MAX);
  if (inTable !== 0n || virtBase >> 47n !== 0x1ffffn) throw new BootError('elf-malformed', { image: name, what: `its virtual base 0x${virtBase.toString(16)} is not a multiple of 1 GiB in the upper half` });

  let next = mapped / PAGE_BYTES;
  const startInfo = --next;
  const sharedInfo = --next;
  const consoleFrame = --next;
  const block = options.diskBytes === undefined ? undefined : --next;
  const level1 = Math.ceil(mapped / PAGE_BYTES / TABLE_SPAN);
  const tables = level1 + 3;
  next -= tables;
  const freeEnd = next * PAGE_BYTES;
  const root = next;
  const level3 = next + 1;
  const level2 = next + 2;
  const firstLevel1 = next + 3;

  const bytes = new Uint8Array(tables * PAGE_BYTES);
  const view = new DataView(bytes.buffer);
  const put = (table: number, index: number, frame: number, flags: number, rights = 0n): void => view.setBigUint64((table - next) * PAGE_BYTES + index * 8, (BigInt(frame) << 12n) | BigInt(flags) | rights, true);
  put(root, Number((virtBase >> 39n) & 511n), level3, ENTRY);
  put(level3, Number((virtBase >> 30n) & 511n), level2, ENTRY);
  for (let i = 0; i < level1; i++) put(level2, i, firstLevel1 + i, ENTRY);
  const code = elf.loads.filter(({ flags }) => (flags & PF_EXECUTE) !== 0).map(({ paddr, memorySize }) => ({ first: Math.floor(Number(paddr) / PAGE_BYTES), end: Math.ceil((Number(paddr) + memorySize) / PAGE_BYTES) }));
  for (let frame = 0; frame < mapped / PAGE_BYTES; frame++) {
    const isTable = frame >= next && frame < next + tables;
    const isCode = code.some(({ first, end }) => frame >= first && frame < end);
    put(firstLevel1 + Math.floor(frame / TABLE_SPAN), frame % TABLE_SPAN, frame, isTable ? READ_ONLY : ENTRY, isCode ? 0n : NO_EXECUTE);
  }

  const info = new Uint8Array(PAGE_BYTES);
  const infoView = new DataView(info.buffer);
  const set = (offset: number, value: number | bigint): void => infoView.setBigUint64(offset, BigInt(value), true);
  set(0, START_MAGIC);
  set(START_PAGES, mapped / PAGE_BYTES);
  set(START_FREE_END, freeEnd);
  set(START_SHARED_INFO, sharedInfo);
  set(START_CONSOLE, consoleFrame);
  set(START_BLOCK, block ?? 0);
  set(START_SECTORS, Math.ceil((options.diskBytes ?? 0) / 512));
  set(START_BASEPTR, root);
  set(START_TSC_HZ, 1_000_000_000);
  const text = new TextEncoder().encode(options.commandLine);
  if (text.length >= START_COMMAND_LINE_BYTES) throw new BootError('command-line-too-long', { image: name, length: text.length, limit: START_COMMAND_LINE_BYTES - 1 });
  info.set(text, START_COMMAND_LINE);

  const shared = new Uint8Array(PAGE_BYTES);
  shared[SHARED_UPCALL_MASK] = 1;
  shared.fill(0xff, SHARED_MASK, SHARED_MASK + 8);

  const memory = new MemoryPlan(options.memoryBytes);
  memory.place('the boot page tables', root * PAGE_BYTES, bytes);
  memory.place('the start info', startInfo * PAGE_BYTES, info);
  memory.place('the shared info', sharedInfo * PAGE_BYTES, shared);
  placeSegments(memory, elf);

  const codeSegment: SegmentState = { selector: PV_CS_USER, base: 0n, limit: 0xffffffff, attr: CODE_ATTR };
  const stack: SegmentState = { selector: PV_SS, base: 0n, limit: 0xffffffff, attr: STACK_ATTR };
  return {
    sharedInfo, console: consoleFrame, block, root,
    plan: {
      protocol: 'pv',
      loads: memory.loads(),
      cpu: {
        mode: 'long64',
        rip: entry,
        rsp: 0n,
        registers: { rsi: virtBase + BigInt(startInfo * PAGE_BYTES) },
        rflags: 0x202n,
        cr0: 0x80010033n, // PG WP NE ET MP PE
        cr3: BigInt(root * PAGE_BYTES),
        cr4: 0x620n, // PAE OSFXSR OSXMMEXCPT
        efer: 0xd00n, // LME LMA NXE; SCE is off, so that SYSCALL comes to the VMM
        segments: { cs: codeSegment, ss: stack, ds: DATA_SEGMENT, es: DATA_SEGMENT, fs: DATA_SEGMENT, gs: DATA_SEGMENT, tr: { selector: 0, base: 0n, limit: 0, attr: 0x8b } },
        gdtBase: 0n,
        gdtLimit: 0,
      },
      notes: [`paravirtual entry at 0x${entry.toString(16)}`],
    },
  };
}
