/**
 * Runs cases on the engine's CPU core: a 64-bit machine at CPL 3 (32-bit cases in compatibility mode) with page tables for
 * the windows and nothing else. Every exception ends a case before it is delivered, so no interrupt table is needed.
 */
import { readFileSync } from 'node:fs';
import { Core, type CoreHandlers } from '../../engine/cpu/core.ts';
import * as L from '../../engine/cpu/layout.ts';
import { attachJit } from '../../engine/jit/jit.ts';
import { TIMEOUT, type Case, type MemoryRun, type Outcome } from './case.ts';
import { baseImage, FS_BASE, GS_BASE, SELECTORS, WINDOWS, type Window } from './layout.ts';
import { repositoryPath } from './paths.ts';

const RAM_BYTES = 0x100000;
const PML4 = 0x1000;
const PDPT = 0x2000;
const PAGE_DIRECTORY = 0x3000;
const PAGE_TABLE = 0x4000;
const WINDOWS_PHYSICAL = 0x10000;
const REGION = 0x10000000;
/** A supervisor page with the GDT and a TSS whose I/O bitmap is beyond its limit. */
const TABLES = 0x101ff000;
const TABLES_PHYSICAL = 0x5000;
const GDT_LIMIT = 0x7f;
const TSS_OFFSET = 0x100;
const TSS_LIMIT = 0x67;

const PRESENT = 0x1;
const WRITABLE = 0x2;
const USER = 0x4;
const ACCESSED_DIRTY = 0x60;
const NO_EXECUTE_HIGH = 0x80000000;

/** More than the longest REP of a case. */
const INSTRUCTIONS_MAX = 100_000;
const ENDED = Symbol('ended');

interface MappedWindow extends Window {
  readonly physical: number;
  /** Contents before the case's own bytes. */
  readonly base: Uint8Array;
  /** Contents before the case. */
  readonly before: Uint8Array;
  readonly live: Uint8Array;
}

export class EngineRunner {
  readonly core: Core;
  private readonly windows: readonly MappedWindow[];
  private mode: 64 | 32 = 64;
  private vector = 0;
  private error = 0;
  private cr2 = 0n;
  /** Instructions that the last case retired. */
  retired = 0;

  constructor(module: WebAssembly.Module) {
    const unexpected = (): never => {
      throw new Error('a case reached a device');
    };
    const handlers: CoreHandlers = {
      ioRead: unexpected, ioWrite: unexpected, mmioRead: unexpected, mmioWrite: unexpected, acknowledge: unexpected, cpuid: unexpected,
      rdmsr: unexpected, wrmsr: unexpected, readTpr: unexpected, writeTpr: unexpected,
      exitEvent: (reason, info) => {
        if (reason !== L.REASON_EXCEPTION) unexpected();
        this.vector = info & 0xff;
        this.error = (info & 0x100) === 0 ? 0 : this.core.number(L.MAILBOX + 8);
        this.cr2 = this.core.big(L.MAILBOX);
        throw ENDED;
      },
    };
    const core = new Core(module, RAM_BYTES, handlers);
    this.core = core;
    attachJit(core);
    let physical = WINDOWS_PHYSICAL;
    this.windows = WINDOWS.map((window) => {
      const base = baseImage(window);
      const live = core.u8.subarray(L.RAM + physical, L.RAM + physical + window.size);
      const mapped = { ...window, physical, base, before: base.slice(), live };
      physical += window.size;
      return mapped;
    });
    for (const window of this.windows) core.writePhysical(window.physical, window.base);
    this.mapWindows();
    this.writeTables();

    // SDM vol. 3A 2.5: PE MP NE AM WP PG; PAE and the SSE bits; LME LMA NXE SCE
    core.setBig(L.CR0, 0x80050033n);
    core.setBig(L.CR3, BigInt(PML4));
    core.setBig(L.CR4, 0x6a0n);
    core.setBig(L.EFER, 0xd01n);
    core.u32[L.CPL >>> 2] = 3;
    core.u16[L.FCW >>> 1] = 0x37f;
    core.u32[L.MXCSR >>> 2] = 0x1f80;
    for (const s of [L.ES, L.SS, L.DS]) this.setSegment(s, SELECTORS.data, 0xc0f3, 0xffffffff, 0n);
    this.setSegment(L.FS, 0, 0x10000, 0, FS_BASE);
    this.setSegment(L.GS, 0, 0x10000, 0, GS_BASE);
    this.setSegment(L.TR, 0x40, 0x8b, TSS_LIMIT, BigInt(TABLES + TSS_OFFSET));
    this.setSegment(L.LDTR, 0, 0x10000, 0, 0n);
    core.setBig(L.GDTR_BASE, BigInt(TABLES));
    core.u32[L.GDTR_LIMIT >>> 2] = GDT_LIMIT;
    core.exports.setFlags(2n);
    this.setMode(64);
    core.exports.tlbFlushAll();
  }

  private mapWindows(): void {
    const { core } = this;
    const entry = (table: number, index: number, low: number, high = 0, user = USER): void => {
      const at = (L.RAM + table + index * 8) >>> 2;
      core.u32[at] = low | PRESENT | user | ACCESSED_DIRTY;
      core.u32[at + 1] = high;
    };
    entry(PML4, 0, PDPT | WRITABLE);
    entry(PDPT, 0, PAGE_DIRECTORY | WRITABLE);
    entry(PAGE_DIRECTORY, REGION >>> 21, PAGE_TABLE | WRITABLE);
    entry(PAGE_TABLE, (TABLES >>> 12) & 511, TABLES_PHYSICAL, NO_EXECUTE_HIGH, 0);
    for (const window of this.windows) {
      for (let at = 0; at < window.size; at += 4096) {
        entry(PAGE_TABLE, ((window.address + at) >>> 12) & 511, (window.physical + at) | (window.writable ? WRITABLE : 0), window.executable ? 0 : NO_EXECUTE_HIGH);
      }
    }
  }

  /** What cases load: the flat segments of CPL 3, at the selectors of Linux. */
  private writeTables(): void {
    const { core } = this;
    const at = L.RAM + TABLES_PHYSICAL;
    core.setBig(at + (SELECTORS.cs32 & ~7), 0x00cffb000000ffffn);
    core.setBig(at + (SELECTORS.data & ~7), 0x00cff3000000ffffn);
    core.setBig(at + (SELECTORS.cs64 & ~7), 0x00affb000000ffffn);
    core.u16[(at + TSS_OFFSET + 0x66) >>> 1] = TSS_LIMIT + 1;
  }

  private setSegment(index: number, selector: number, attr: number, limit: number, base: bigint): void {
    const at = L.SEGS + index * L.SEG_SIZE;
    this.core.u16[at >>> 1] = selector;
    this.core.u32[(at + L.SEG_ATTR) >>> 2] = attr;
    this.core.u32[(at + L.SEG_LIMIT) >>> 2] = limit;
    this.core.setBig(at + L.SEG_BASE, base);
  }

  private setMode(mode: 64 | 32): void {
    this.mode = mode;
    this.setSegment(L.CS, mode === 64 ? SELECTORS.cs64 : SELECTORS.cs32, mode === 64 ? 0xa0fb : 0xc0fb, 0xffffffff, 0n);
    this.core.exports.updateMode();
  }

  private windowOf(address: number, length: number): MappedWindow {
    const window = this.windows.find((w) => address >= w.address && address + length <= w.address + w.size);
    if (window === undefined) throw new Error(`no window holds ${length} bytes at ${address.toString(16)}`);
    return window;
  }

  private place(address: number, bytes: Uint8Array): void {
    const window = this.windowOf(address, bytes.length);
    const offset = address - window.address;
    window.before.set(bytes, offset);
    if (window.executable) this.core.writePhysical(window.physical + offset, bytes);
    else window.live.set(bytes, offset);
  }

  /** `single`: stop after every instruction (and every iteration of a REP) and go on, as a debugger would. */
  run(c: Case, single = false): Outcome {
    const { core } = this;
    if (c.mode !== this.mode) this.setMode(c.mode);
    for (const m of c.memory) this.place(m.address, m.bytes);
    this.place(c.address, c.code);
    const state = new BigUint64Array(core.memory.buffer, L.REGS, 16);
    state.set(c.registers);
    core.setNumber(L.RIP, c.address);
    core.exports.setFlags(BigInt(c.flags));
    for (const at of [L.INTR_SHADOW, L.HALTED, L.ISOLATE, L.DEBUG_PENDING, L.BLOCK, L.EXIT]) core.u32[at >>> 2] = 0;
    core.setNumber(L.ICOUNT, 0);
    this.vector = TIMEOUT;
    this.error = 0;
    this.cr2 = 0n;
    this.runUntilException(single);

    this.retired = core.number(L.ICOUNT);
    const rip = core.big(L.RIP);
    // Software interrupts go through a gate that is not there: #GP with the vector in its error code.
    if (this.vector === 13 && this.error === 3 * 8 + 2) this.vector = 3;
    const overflow = this.vector === 13 && this.error === 4 * 8 + 2;
    if (overflow) this.vector = 4;
    const softwareInterrupt = overflow || this.vector === 3;
    const outcome: Outcome = {
      vector: this.vector,
      error: softwareInterrupt ? 0 : this.error,
      cr2: this.vector === 14 ? this.cr2 : 0n,
      // A trap's return address is the next instruction.
      rip: overflow ? BigInt(c.address + c.code.length) : rip,
      registers: state.slice(),
      flags: Number(core.exports.getFlags()),
      memory: this.collect(),
    };
    for (const m of c.memory) this.restore(m.address, m.bytes.length);
    this.restore(c.address, c.code.length);
    return outcome;
  }

  private runUntilException(single: boolean): void {
    const { core } = this;
    try {
      for (let i = 0; i < INSTRUCTIONS_MAX; i += single ? 1 : INSTRUCTIONS_MAX) {
        core.setNumber(L.LIMIT, single ? core.number(L.ICOUNT) + 1 : INSTRUCTIONS_MAX);
        core.run();
      }
    } catch (thrown) {
      if (thrown !== ENDED) throw thrown;
    }
  }

  private restore(address: number, length: number): void {
    const window = this.windowOf(address, length);
    const offset = address - window.address;
    this.place(address, window.base.subarray(offset, offset + length));
  }

  /** Runs of changed bytes; puts them back. */
  private collect(): MemoryRun[] {
    const runs: MemoryRun[] = [];
    for (const { address, size, live, before, writable } of this.windows) {
      if (!writable || Buffer.compare(live, before) === 0) continue;
      for (let i = 0; i < size; i++) {
        if (live[i] === before[i]) continue;
        const from = i;
        while (i < size && live[i] !== before[i]) i++;
        runs.push({ address: address + from, bytes: live.slice(from, i) });
        live.set(before.subarray(from, i), from);
      }
    }
    return runs;
  }
}

/** The compiled core: dist/engine/cpu/core.wasm, or the file that CHRONOVISOR_CORE names. */
export function loadCore(): WebAssembly.Module {
  const path = process.env['CHRONOVISOR_CORE'] ?? repositoryPath('dist/engine/cpu/core.wasm');
  return new WebAssembly.Module(readFileSync(path));
}

