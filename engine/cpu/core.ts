/**
 * The compiled interpreter with a TypeScript face: one instance is one CPU with its RAM. It knows no device; the machine
 * hands in what happens at ports, device memory, MSRs and CPUID.
 *
 * The interpreter leaves a fault by a host exception: a helper calls `unwind`, which throws, the WebAssembly frames
 * are gone, and run() here lets the core deliver the exception before it goes on.
 */
import * as L from './layout.ts';

/** What the core calls. Values wider than 32 bits are in the mailbox (see mailboxLow). */
export interface CoreHandlers {
  ioRead(port: number, size: number): number;
  ioWrite(port: number, size: number, value: number): void;
  mmioRead(paddr: number, size: number): void;
  mmioWrite(paddr: number, size: number): void;
  /** An architectural event other than port and memory access; REASON_* of the layout. */
  exitEvent(reason: number, info: number): void;
  /** The vector to deliver, or -1. */
  acknowledge(): number;
  cpuid(leaf: number, subleaf: number): void;
  /** 0: no such MSR. */
  rdmsr(index: number): number;
  wrmsr(index: number): number;
  readTpr(): number;
  writeTpr(value: number): void;
  /** An observed instruction is about to run (OBSERVE_*); true stops the run before it. Asked again for the same start when the instruction is run anew. */
  observe?(kinds: number): boolean;
  /** A watched frame is about to be accessed (ACCESS_LOAD to ACCESS_DEVICE). */
  observeAccess?(kind: number, paddr: number, size: number): void;
}

/** What a TLB would see, from a core that was built to tell (COUNT_TLB in assembly/memory.ts). Pages are linear addresses / 4096, in two halves. */
export interface TlbListener {
  /** kind: TLB_FETCH, TLB_USER and TLB_GLOBAL of the layout, and the logarithm of the page's size above TLB_SHIFT. Hits of the page that was used last in its set may be left out. */
  access(pageLow: number, pageHigh: number, kind: number): void;
  /** what: TLB_FLUSH_* of the layout. */
  flush(what: number, pageLow: number, pageHigh: number): void;
}

/** Who compiles hot code (engine/jit). */
export interface Compiler {
  /** The block whose header is at this address has been interpreted JIT_THRESHOLD times. */
  hotBlock(block: number): void;
  /** The code of a compiled block has changed. What it is part of may be running. */
  dropCompiled(block: number): void;
  /** All decoded code goes. None of it is running. */
  dropAllCompiled(): void;
}

export interface CoreCounts {
  /** Retired at privilege 0 to 2. */
  readonly kernelInstructions: number;
  readonly systemCalls: number;
}

interface CoreExports {
  run(): number;
  fault(): number;
  resetDelivery(): void;
  tlbReset(): void;
  tlbFlushAll(): void;
  tlbSelect(): void;
  codeReset(): void;
  codeFlush(): void;
  updateMode(): void;
  deviceWrite(paddr: number, length: number): void;
  inspectAddress(va: bigint): bigint;
  getFlags(): bigint;
  setFlags(value: bigint): void;
  hashDirtyPages(): bigint;
  hashBytes(address: number, length: number, seed: bigint): bigint;
  newEpoch(): void;
  pagesReset(): void;
  unpackPage(offset: number, length: number, frame: number): number;
  setWatch(frame: number, watch: number): void;
  blockAt(paddr: number): number;
  runsAlone(paddr: number): number;
  codeKey(block: number): bigint;
  codeEnd(): number;
}

const UNWIND = Object.freeze({ unwind: true });
const WASM_PAGE = 65536;
const TWO_32 = 4294967296;

export class Core {
  readonly memory: WebAssembly.Memory;
  readonly ramBytes: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  readonly exports: CoreExports;
  /** Told by the counting build of the core only. Changes nothing. */
  tlb: TlbListener | undefined;
  /** The same, of each PAUSE and the privilege at which it runs (0 to 3). */
  pauses: ((cpl: number) => void) | undefined;
  /** The functions that the run loop calls by number. */
  readonly table: WebAssembly.Table;
  compiler: Compiler | undefined;

  /** ramBytes: a multiple of 4096, at most 2 GiB. RAM is zero, registers are not set up: call reset(), then set the state. */
  constructor(module: WebAssembly.Module, ramBytes: number, handlers: CoreHandlers) {
    if (ramBytes % 4096 !== 0 || ramBytes <= 0 || ramBytes > 2 ** 31) throw new RangeError(`guest memory of ${ramBytes} bytes: must be a multiple of 4096 up to 2 GiB`);
    const pages = Math.ceil((L.RAM + ramBytes + (ramBytes / 4096) * L.FIRST_WRITE_BYTES) / WASM_PAGE);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.ramBytes = ramBytes;
    const buffer = this.memory.buffer;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.table = new WebAssembly.Table({ initial: L.JIT_TABLE_BASE, element: 'anyfunc' });
    const env = {
      memory: this.memory,
      table: this.table,
      hotBlock: (block: number) => {
        // Compiled code tells no listener.
        if (this.tlb === undefined && this.pauses === undefined) this.compiler?.hotBlock(block);
      },
      dropCompiled: (block: number) => this.compiler?.dropCompiled(block),
      dropAllCompiled: () => this.compiler?.dropAllCompiled(),
      abort: (): never => {
        throw new Error('the interpreter stopped on an assertion');
      },
      unwind: (): never => {
        throw UNWIND;
      },
      ...{
        ioRead: (port: number, size: number) => handlers.ioRead(port, size),
        ioWrite: (port: number, size: number, value: number) => handlers.ioWrite(port, size, value >>> 0),
        mmioRead: (paddr: number, size: number) => handlers.mmioRead(paddr >>> 0, size),
        mmioWrite: (paddr: number, size: number) => handlers.mmioWrite(paddr >>> 0, size),
        exitEvent: (reason: number, info: number) => handlers.exitEvent(reason, info >>> 0),
        acknowledge: () => handlers.acknowledge(),
        cpuid: (leaf: number, subleaf: number) => handlers.cpuid(leaf >>> 0, subleaf >>> 0),
        rdmsr: (index: number) => handlers.rdmsr(index >>> 0),
        wrmsr: (index: number) => handlers.wrmsr(index >>> 0),
        readTpr: () => handlers.readTpr(),
        writeTpr: (value: number) => handlers.writeTpr(value),
        observe: (kinds: number) => (handlers.observe?.(kinds) === true ? 1 : 0),
        pause: (cpl: number) => this.pauses?.(cpl),
        tlbAccess: (pageLow: number, pageHigh: number, kind: number) => this.tlb?.access(pageLow >>> 0, pageHigh >>> 0, kind),
        tlbFlush: (what: number, pageLow: number, pageHigh: number) => this.tlb?.flush(what, pageLow >>> 0, pageHigh >>> 0),
        observeAccess: (kind: number, paddr: number, size: number) => handlers.observeAccess?.(kind, paddr >>> 0, size),
      },
    };
    this.exports = new WebAssembly.Instance(module, { env }).exports as unknown as CoreExports;
    this.reset();
  }

  /** Empties every cache and zeroes the CPU state; RAM stays, its page hashes start as for zeros. */
  reset(): void {
    this.u8.fill(0, L.STATE_BEGIN, L.STATE_END);
    this.u8.fill(0, L.PAGE_WATCH, L.OBSERVED_OFFSETS + 4096);
    this.u32[L.RAM_SIZE >>> 2] = this.ramBytes;
    this.u32[L.GENERATION >>> 2] = 1;
    this.exports.resetDelivery();
    this.exports.pagesReset();
    this.exports.tlbReset();
    this.exports.codeReset();
    this.exports.tlbSelect();
  }

  /** Runs until the limit, HLT, shutdown or a request; EXIT_* of the layout. */
  run(): number {
    let faulted = false;
    for (;;) {
      try {
        if (faulted) {
          faulted = false;
          const why = this.exports.fault();
          if (why !== 0) return why;
        }
        return this.exports.run();
      } catch (thrown) {
        if (thrown !== UNWIND) throw thrown;
        faulted = true;
      }
    }
  }

  /** Unsigned 64-bit state as a number; it must be a safe integer. */
  number(address: number): number {
    return this.u32[address >>> 2] + this.u32[(address >>> 2) + 1] * TWO_32;
  }
  setNumber(address: number, value: number): void {
    this.u32[address >>> 2] = value % TWO_32;
    this.u32[(address >>> 2) + 1] = Math.floor(value / TWO_32);
  }
  big(address: number): bigint {
    return this.u64[address >>> 3];
  }
  setBig(address: number, value: bigint): void {
    this.u64[address >>> 3] = value;
  }

  /** Instructions retired before the one that is running (or, between runs, all). */
  position(): number {
    const total = this.number(L.ICOUNT);
    const block = this.u32[L.BLOCK >>> 2];
    if (block === 0) return total;
    return total - this.u16[(block + 10) >>> 1] + this.u8[this.u32[L.CURSOR >>> 2] + 19];
  }
  /** What the CPU counts beside instructions: see layout.ts. */
  counts(): CoreCounts {
    const kernel = this.number(L.KERNEL_INSTRUCTIONS);
    const isUser = this.u32[L.CPL >>> 2] === 3;
    return { kernelInstructions: isUser ? kernel : kernel + this.position() - this.number(L.KERNEL_SINCE), systemCalls: this.number(L.SYSTEM_CALLS) };
  }
  /** The inverse, for a state that is restored. Between runs only. */
  setCounts({ kernelInstructions, systemCalls }: CoreCounts): void {
    this.setNumber(L.KERNEL_INSTRUCTIONS, kernelInstructions);
    this.setNumber(L.KERNEL_SINCE, this.position());
    this.setNumber(L.SYSTEM_CALLS, systemCalls);
  }
  /** Address of the instruction that is running, low and high word. */
  ripLow(): number {
    const block = this.u32[L.BLOCK >>> 2];
    if (block === 0) return this.u32[L.RIP >>> 2];
    return (this.u32[(L.REGS + L.REG_PAGE * 8) >>> 2] + this.u16[(this.u32[L.CURSOR >>> 2] + 16) >>> 1]) >>> 0;
  }
  ripHigh(): number {
    const block = this.u32[L.BLOCK >>> 2];
    return this.u32[((block === 0 ? L.RIP : L.REGS + L.REG_PAGE * 8) >>> 2) + 1];
  }

  /**
   * Chooses which instructions are observed: those at the linear addresses (any of them with the same offset in its page is told: the caller
   * compares), and calls and returns. Between runs only; drops the decoded code. Neither guest nor log can see it.
   */
  observeCode(addresses: Iterable<bigint>, calls: boolean): void {
    this.u8.fill(0, L.OBSERVED_OFFSETS, L.OBSERVED_OFFSETS + 4096);
    for (const address of addresses) this.u8[L.OBSERVED_OFFSETS + Number(address & 0xfffn)] = 1;
    this.u32[L.OBSERVE_CALLS >>> 2] = calls ? 1 : 0;
    this.exports.codeFlush();
  }

  /** Watches a page frame of RAM: WATCH_READ | WATCH_WRITE, 0 for none. Between runs only. Neither guest nor log can see it. */
  watchFrame(frame: number, watch: number): void {
    if (!(frame >= 0 && frame < this.ramBytes / 4096)) throw new RangeError(`there is no page frame ${frame} in ${this.ramBytes} bytes of RAM`);
    this.exports.setWatch(frame, watch);
  }

  /** Makes the core come back to the full check at the next block boundary. */
  requestCheck(): void {
    this.u32[L.STOP_AT >>> 2] = 0;
    this.u32[(L.STOP_AT >>> 2) + 1] = 0;
  }

  /** A copy of guest-physical memory. */
  readPhysical(paddr: number, length: number): Uint8Array {
    return this.u8.slice(L.RAM + paddr, L.RAM + paddr + length);
  }
  /** Places bytes in RAM from outside the CPU: caches and the dirty set are told. */
  writePhysical(paddr: number, bytes: Uint8Array): void {
    if (paddr < 0 || paddr + bytes.length > this.ramBytes) throw new RangeError(`physical write of ${bytes.length} bytes at 0x${paddr.toString(16)} is outside memory`);
    if (bytes.length === 0) return;
    this.exports.deviceWrite(paddr, bytes.length);
    this.u8.set(bytes, L.RAM + paddr);
  }
}
