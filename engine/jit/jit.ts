/**
 * The second tier: hands hot regions to the translator, keeps what was made, and throws it away when the code behind it changes.
 * What is compiled when changes nothing that a guest or a log can see.
 */
import type { Compiler, Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';
import type { BlockKind, CodeProfile } from './profile.ts';
import { type RegionBlock, type RegionLimits, layOutMemory, memoryBytes, regionAround } from './region.ts';
import { IMPORTS, Translator } from './translate.ts';
import { moduleOf } from './wasm.ts';

export interface JitOptions {
  /** Times a block is interpreted before it is compiled; 1: at once. */
  readonly threshold: number;
  /** Times a block must have been interpreted to be taken along. */
  readonly memberThreshold: number;
  /** Like `threshold`, of a block around which an earlier run made a region (profile.ts), soon or late after it had been decoded. */
  readonly soonThreshold: number;
  readonly lateThreshold: number;
  /** Soon: so many instructions after at most. */
  readonly soonInstructions: number;
  /** Hot blocks that are waited for, to make one module of them. */
  readonly batch: number;
  /** Blocks and micro-ops of a region. */
  readonly blocks: number;
  readonly microOps: number;
  /** WebAssembly bytes that may be alive; beyond it all compiled code is dropped. */
  readonly codeBytes: number;
}
/**
 * threshold: compiling a region takes some 5 ms of CPU time, most of it V8's optimising compiler on another thread (measured), in which the interpreter does
 * 500,000 instructions. Compiled when it has run about as many, code costs at most twice what it would cost whoever knew how often it will run.
 * soonThreshold, lateThreshold, soonInstructions: what was hot soon will be so again, and seeing more of it costs what compiling it would save. What took longer is only hot if this run goes on as long:
 * if a run ends after the boot, compiling all that was hot in any earlier one costs a tenth more CPU time than it saves (measured).
 * memberThreshold: compiled code that meets a block which was left out goes back to the interpreter. With a third of the threshold gzip of a file, the shell loop and sort take 1.05 to 1.1 times as long, the boot 0.96.
 * blocks, microOps: the optimising compiler's time grows faster than the function (one of 54 kB took 800 ms on a busy machine); few regions reach them.
 */
const DEFAULTS: JitOptions = { threshold: 16_000, memberThreshold: 640, soonThreshold: 256, lateThreshold: 4096, soonInstructions: 400e6, batch: 8, blocks: 120, microOps: 2000, codeBytes: 48 << 20 };

/** off: interpreted only. on: hot code is compiled. eager, always: after a few times, at once; to test the compiler, not to be fast. */
export const JIT_MODES = ['off', 'on', 'eager', 'always'] as const;
export type JitMode = (typeof JIT_MODES)[number];
const MODES: Readonly<Record<JitMode, JitOptions | undefined>> = {
  off: undefined, on: DEFAULTS, eager: { ...DEFAULTS, threshold: 12, memberThreshold: 4, soonThreshold: 2, lateThreshold: 6, soonInstructions: 4000, batch: 4 },
  always: { ...DEFAULTS, threshold: 1, memberThreshold: 1, soonThreshold: 1, lateThreshold: 1, soonInstructions: 4000, batch: 1, blocks: 4 },
};

/** What the host of the engine chooses. */
let chosen: { mode: JitMode; nowMs: (() => number) | undefined; profile: CodeProfile | undefined } = { mode: 'on', nowMs: undefined, profile: undefined };
/**
 * How machines that are made from now on use the compiler. It changes speed, and nothing else. nowMs: a clock, for statistics. profile: what earlier runs learnt, which each new machine is told,
 * and to which all of them add what they learn.
 */
export function setJitMode(mode: JitMode, nowMs?: () => number, profile?: CodeProfile): void {
  chosen = { mode, nowMs, profile };
}
/** The compiler of a new core, by the chosen mode. */
export function attachJit(core: Core): Jit | undefined {
  const options = MODES[chosen.mode];
  return options === undefined ? undefined : new Jit(core, options, chosen.nowMs, chosen.profile);
}

export interface JitStatistics {
  /** Made so far, and blocks in them; some blocks are in several. */
  readonly regions: number;
  readonly blocks: number;
  readonly modules: number;
  readonly liveRegions: number;
  /** WebAssembly alive, and bytes of it made so far. */
  readonly codeBytes: number;
  readonly madeBytes: number;
  /** Regions dropped because their code changed, because memory for code was full or all decoded code went, and for a larger one with all their blocks. */
  readonly invalidated: number;
  readonly evicted: number;
  readonly replaced: number;
  /** Retired since a compiled function was entered and until it was left. */
  readonly instructions: number;
  readonly visits: number;
  /** Blocks that the profile knew when the machine was made, undefined without one, and blocks that were decoded and began hot because of it. */
  readonly known: number | undefined;
  readonly begunHot: number;
  /** Of the thread that runs the guest, in making modules; undefined without a clock. */
  readonly compileMs: number | undefined;
  /** Why nothing is compiled any more: the host's words. */
  readonly stopped: string | undefined;
}

interface Region {
  readonly blocks: readonly RegionBlock[];
  /** The block around which it was made, by the address of its header. */
  readonly seed: number;
  /** 0 until it is compiled. */
  readonly bytes: number;
}

const DEAD = 0xffff_ffff;
/** Numbers of functions have 16 bits in a block's header. */
const TABLE_MAX = 65_000;
/** Linux allows a process 65,530 mappings, and an instance has two (measured: 32,000 instances are the end). Of all cores of the process. */
const INSTANCES_MAX = 20_000;
/** Of one core: more are dropped as a whole. */
const MODULES_MAX = 5_000;

/** Instances that the garbage collector has not taken yet. */
let instances = 0;
const collected = new FinalizationRegistry<undefined>(() => instances--);

export class Jit implements Compiler {
  private readonly core: Core;
  private readonly options: JitOptions;
  private readonly nowMs: (() => number) | undefined;
  private readonly profile: CodeProfile | undefined;
  private readonly known: number | undefined;
  private readonly translator: Translator;
  private readonly imports: Record<string, unknown>;
  private readonly memoryPages: number;
  private readonly limits: RegionLimits;
  private queue: { readonly index: number; readonly blocks: readonly RegionBlock[]; readonly memory: number }[] = [];
  private readonly functions: (Region | undefined)[] = [];
  private free: number[] = [];
  /** The functions that a block is part of, by the address of its header. */
  private readonly owners = new Map<number, readonly number[]>();
  private liveBytes = 0;
  /** Made since compiled code was last dropped as a whole. */
  private modules = 0;
  private nextMemory = L.JIT_MEMORY;
  private compileMs = 0;
  /** Where decoded code ended at some positions, in order, with a profile only: what tells how old a block is. */
  private readonly ends: { readonly end: number; readonly position: number }[] = [];
  private stopped: string | undefined;
  private made = { regions: 0, blocks: 0, modules: 0, madeBytes: 0, invalidated: 0, evicted: 0, replaced: 0 };

  constructor(core: Core, options: JitOptions, nowMs?: () => number, profile?: CodeProfile) {
    this.core = core;
    this.options = options;
    this.nowMs = nowMs;
    this.profile = profile;
    this.translator = new Translator(core);
    const exports = core.exports as unknown as Record<string, unknown>;
    this.imports = { memory: core.memory };
    for (const { name } of IMPORTS) this.imports[name] = exports[name];
    this.memoryPages = core.memory.buffer.byteLength / 65_536;
    this.limits = { blocks: options.blocks, microOps: options.microOps, heat: options.memberThreshold };
    // What was compiled is hot enough to be taken along, but not so hot that it makes a region of its own at once.
    const { threshold, soonThreshold, lateThreshold } = options;
    this.known = profile?.tell(core, { soon: threshold - soonThreshold, late: threshold - lateThreshold, member: Math.min(this.limits.heat, threshold - 1) });
    core.compiler = this;
    core.u32[L.JIT_THRESHOLD >>> 2] = options.threshold;
  }

  hotBlock(block: number): void {
    const { core } = this;
    // What is decoded anew each time is no code to keep.
    if (block === L.CODE || this.stopped !== undefined || core.u32[(block + L.BLOCK_COMPILED) >>> 2] > 1) return;
    if (instances >= INSTANCES_MAX) {
      // When it is still hot after the next collection.
      core.u32[(block + L.BLOCK_HEAT) >>> 2] = 0;
      return;
    }
    // Most blocks that get hot are in a function that cannot be entered there.
    const blocks = regionAround(core, block, core.big(L.REGS + L.REG_PAGE * 8), this.limits, this.owners.has(block));
    if (blocks.length === 0) return;
    if (this.profile !== undefined) {
      const around = this.kindOf(block, this.profile);
      for (const { address } of blocks) this.profile.learn(this.keyOf(address), address === block ? around : 'member');
    }
    const bytes = memoryBytes(blocks);
    if (this.isFull(bytes)) this.dropAll();
    this.dropContained(new Map(blocks.map(({ address, isEntry }) => [address, isEntry])));
    const index = this.free.pop() ?? this.functions.length + L.JIT_TABLE_BASE;
    this.functions[index - L.JIT_TABLE_BASE] = { blocks, seed: block, bytes: 0 };
    for (const { address } of blocks) this.owners.set(address, [...(this.owners.get(address) ?? []), index]);
    this.queue.push({ index, blocks, memory: this.nextMemory });
    this.nextMemory += bytes;
    if (this.queue.length >= this.options.batch) this.flush();
  }

  /** How the next run is to meet a block that is hot now. */
  private kindOf(block: number, profile: CodeProfile): BlockKind {
    this.noteEnd();
    const { threshold, lateThreshold, soonInstructions } = this.options;
    // Decoded after the last of those positions at which it was not there.
    const decoded = this.ends.findLast(({ end }) => end <= block)?.position ?? 0;
    const instructions = this.core.number(L.ICOUNT) - decoded;
    // One that began hot would have taken longer. Of one that was hot soon the few runs it had say too little to take that back.
    const runs = profile.kindOf(this.keyOf(block)) === 'late' ? lateThreshold : threshold;
    return instructions * (threshold / runs) <= soonInstructions ? 'soon' : 'late';
  }
  private keyOf(block: number): bigint {
    return BigInt.asUintN(64, this.core.exports.codeKey(block));
  }
  private noteEnd(): void {
    const end = this.core.exports.codeEnd();
    const position = this.core.number(L.ICOUNT);
    const last = this.ends.at(-1);
    if (last === undefined || (end !== last.end && Math.abs(position - last.position) >= this.options.soonInstructions / 400)) this.ends.push({ end, position });
  }

  /** Compiles what waits. */
  flush(): void {
    const { core, queue } = this;
    if (this.profile !== undefined) this.noteEnd();
    if (queue.length === 0) return;
    this.queue = [];
    // What has changed while it waited goes.
    const regions = queue.filter(({ index, blocks }) => {
      if (this.functions[index - L.JIT_TABLE_BASE]?.blocks !== blocks) return false;
      if (blocks.every(({ address }) => core.u32[(address + L.BLOCK_MODE) >>> 2] !== DEAD)) return true;
      this.drop(index, 'invalidated');
      return false;
    });
    if (regions.length === 0) return;
    const begin = this.nowMs?.() ?? 0;
    const functions = regions.map(({ index, blocks, memory }) => this.translator.translate(blocks, index, layOutMemory(core, blocks, memory)));
    const bytes = moduleOf(IMPORTS, functions, this.memoryPages);
    const last = Math.max(...regions.map(({ index }) => index));
    if (last >= core.table.length) core.table.grow(Math.max(256, core.table.length, last + 1 - core.table.length));
    const instance = this.instantiate(bytes);
    if (instance === undefined) return;
    for (const { index } of regions) core.table.set(index, instance.exports[index] as () => bigint);
    instances++;
    collected.register(instance, undefined);
    this.modules++;
    this.made.modules++;
    this.made.madeBytes += bytes.length;
    this.liveBytes += bytes.length;
    for (const { index, blocks } of regions) {
      this.functions[index - L.JIT_TABLE_BASE] = { ...this.functions[index - L.JIT_TABLE_BASE]!, bytes: bytes.length / regions.length };
      // Blocks of an earlier function may have been taken along: they are entered where less has to be left again.
      blocks.forEach(({ address, isEntry }, i) => {
        const entry = (address + L.BLOCK_COMPILED) >>> 2;
        const other = this.functions[(core.u32[entry] >>> 16) - L.JIT_TABLE_BASE];
        if (isEntry && (other === undefined || other.blocks.length <= blocks.length)) core.u32[entry] = (index << 16) | i;
        else if (core.u32[entry] === 0) core.u32[entry] = 1;
      });
      this.made.regions++;
      this.made.blocks += blocks.length;
    }
    if (this.nowMs !== undefined) this.compileMs += this.nowMs() - begin;
  }

  /** Undefined when the host has no memory for code left: then the interpreter goes on alone. */
  private instantiate(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Instance | undefined {
    try {
      return new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: this.imports } as WebAssembly.Imports);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.stopped = error.message;
      this.core.u32[L.JIT_THRESHOLD >>> 2] = 0;
      this.dropAll();
      return undefined;
    }
  }

  dropCompiled(block: number): void {
    for (const index of this.owners.get(block) ?? []) this.drop(index, 'invalidated');
  }

  dropAllCompiled(): void {
    this.ends.length = 0;
    this.dropAll();
  }

  /** Or would be with a region that needs so many bytes of the core's memory. */
  private isFull(bytes: number): boolean {
    return this.liveBytes > this.options.codeBytes || this.modules > MODULES_MAX || this.functions.length - this.free.length > TABLE_MAX || this.nextMemory + bytes > L.JIT_MEMORY_END;
  }

  private dropAll(): void {
    this.queue = [];
    this.functions.forEach((region, i) => {
      if (region !== undefined) this.drop(i + L.JIT_TABLE_BASE, 'evicted');
    });
    this.modules = 0;
    this.nextMemory = L.JIT_MEMORY;
  }

  /** A function all of whose blocks are in a new one, and can be entered there where they can here, is not needed any more. */
  private dropContained(blocks: ReadonlyMap<number, boolean>): void {
    const others = new Set<number>();
    for (const block of blocks.keys()) for (const index of this.owners.get(block) ?? []) others.add(index);
    for (const index of others) {
      const region = this.functions[index - L.JIT_TABLE_BASE]!;
      if (!region.blocks.every(({ address, isEntry }) => (isEntry ? blocks.get(address) === true : blocks.has(address)))) continue;
      // The next run need not make it first.
      this.profile?.demote(this.keyOf(region.seed));
      this.drop(index, 'replaced');
    }
  }

  /** Its blocks are interpreted from now on, unless they are in another function, and are counted anew, unless they are about to be. */
  private drop(index: number, why: 'invalidated' | 'evicted' | 'replaced'): void {
    const { core } = this;
    const region = this.functions[index - L.JIT_TABLE_BASE]!;
    for (const { address } of region.blocks) {
      const others = this.owners.get(address)!.filter((each) => each !== index);
      if (others.length === 0) this.owners.delete(address);
      else this.owners.set(address, others);
      const entry = (address + L.BLOCK_COMPILED) >>> 2;
      // As long as any function has it, it says so: a store to it must be told.
      const made = others.filter((each) => this.functions[each - L.JIT_TABLE_BASE]!.bytes > 0);
      if (made.length === 0) core.u32[entry] = 0;
      else if (core.u32[entry] >>> 16 === index) {
        core.u32[entry] = 1;
        for (const next of made) {
          const i = this.functions[next - L.JIT_TABLE_BASE]!.blocks.findIndex((each) => each.address === address && each.isEntry);
          if (i >= 0) core.u32[entry] = (next << 16) | i;
        }
      }
      if (why !== 'replaced' && core.u32[entry] <= 1) core.u32[(address + L.BLOCK_HEAT) >>> 2] = 0;
    }
    if (region.bytes > 0) this.made[why]++;
    this.functions[index - L.JIT_TABLE_BASE] = undefined;
    this.liveBytes -= region.bytes;
    this.free.push(index);
    if (index < core.table.length) core.table.set(index, null);
  }

  statistics(): JitStatistics {
    return {
      ...this.made,
      liveRegions: this.functions.filter((each) => each !== undefined && each.bytes > 0).length,
      codeBytes: Math.round(this.liveBytes),
      instructions: this.core.number(L.JIT_RETIRED),
      visits: this.core.number(L.JIT_VISITS),
      known: this.known,
      begunHot: this.core.u32[L.PROFILE_BEGUN >>> 2],
      compileMs: this.nowMs === undefined ? undefined : this.compileMs,
      stopped: this.stopped,
    };
  }
}
