/**
 * A region of decoded blocks to one WebAssembly function.
 *
 *   function (number of the block) -> how to go on: SITE_* of layout.ts
 *
 * Guest registers are locals inside a block, loaded when they are first needed; what is set is stored at once, but for a register that is set again before anybody can look. Over the
 * end of a block only the operands that flags wait for, their form and what is left of the budget are in locals: so there is little to write back on the way out, where everything that may
 * leave comes together. What leaves says which way: to the block at RIP, to the full check before a block, or *resume*: the interpreter takes over at a micro-op in the middle of a block.
 * That is what an access does whose page the software TLB does not have, and whatever is about to fault: nothing of it has been done yet, so that slow and exceptional
 * things happen in the interpreter alone. Only helpers are called from inside, between `spill` and `reload`.
 *
 * Flags are computed where they are read; the operands wait in locals (PendingFlags). From block to block FK says in which form.
 *
 * Blocks are laid out in the order of their places. A jump forward is a branch, a jump back to the block itself a loop, any other goes
 * through the table at the top, which is the entry as well. Each block takes its instructions from the budget; if they do not fit, the function is left before it. A block that only one
 * other leads to goes on with what is known at the end of that, its parent.
 */
import type { Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';
import * as O from '../cpu/ops.ts';
import { BASE_EA, BASE_PAGE, BASE_ZERO, Effects, FLAGS_KILL, FLAGS_USE, RBP, RSP, extendedFrom, isIdle, isMemoryExtension } from './effects.ts';
import { type RegionBlock, type RegionMemory } from './region.ts';
import { OPEN_MAX, Spans } from './spans.ts';
import { vectorOf } from './vector.ts';
import { Code, type Func, I32, I64, type Import, OP, V128 } from './wasm.ts';

/** Functions of the core that compiled code calls; the numbers are their place in `IMPORTS`. */
const F = { helper: 0, shiftByCl: 1, runVector: 2, multiplyOverflows: 3, settleFlags: 4, carryOf: 5 } as const;
export const IMPORTS: readonly Import[] = [
  { name: 'helper', signature: { parameters: [I32, I32], results: [] } },
  { name: 'shiftByCl', signature: { parameters: [I32, I32, I32], results: [] } },
  { name: 'runVector', signature: { parameters: [I32], results: [] } },
  { name: 'multiplyOverflows', signature: { parameters: [I64, I64], results: [I32] } },
  { name: 'settleFlags', signature: { parameters: [I64, I64, I64, I64, I64, I64, I64], results: [] } },
  { name: 'carryOf', signature: { parameters: [I64, I64, I64, I64, I64, I64], results: [I64] } },
];

/** Locals. 0 is the parameter: the block to go to. */
const NEXT = 0;
const R = 1;
const FR = 17;
const FA = 18;
/** Instructions that may be retired until STOP_AT, less than 0 when that is passed: the position is STOP_AT less this. */
const LEFT = 19;
const PAGE = 21;
/** Operands and result of the instruction that set the flags last; the carry that a later one put over it. */
const PA = 22;
const PB = 23;
const PR = 24;
const OC = 25;
const T0 = 26;
const T1 = 27;
const T2 = 28;
const ADDR = 29;
const G0 = 30;
/** How the flags follow from the locals, as in the way out (SITE_FLAGS), where that depends on the way that led here. */
const FK = 31;
/** i32 */
const ENTRY = 32;
const TR = 33;
const TW = 34;
const HOST = 35;
/** Host addresses of the first bytes of spans. */
const SPAN = 36;
const LOCALS = [[31, I64], [4 + OPEN_MAX, I32]] as const;

/**
 * How the flags follow from locals. `plain`: they are in FR and FA, as the interpreter keeps them. `passed`: FK tells. All else: from PA, PB and PR, whose
 * upper parts are zero; `over`: CF is OC. The numbers are those of settleFlags in the core.
 */
const KINDS = ['plain', 'add', 'sub', 'logic', 'inc', 'dec', 'shl', 'shr', 'sar', 'mul32', 'mul64', 'adc', 'sbb', 'passed'] as const;
interface PendingFlags {
  readonly kind: (typeof KINDS)[number];
  readonly size: number;
  /** Shifts: by how much. */
  readonly count: number;
  readonly over: boolean;
}
const PLAIN: PendingFlags = { kind: 'plain', size: 3, count: 0, over: false };
const PASSED: PendingFlags = { ...PLAIN, kind: 'passed' };

/** Where memory has a copy of a local; none of them is needed on the way out. */
const HOMES = new Map([
  ...Array.from({ length: 16 }, (_, r) => [R + r, L.REGS + r * 8] as const),
  [FR, L.FLAG_RESULT], [FA, L.FLAG_AUX], [PAGE, L.REGS + L.REG_PAGE * 8], [OC, L.JIT_FLAGS + 24],
]); // prettier-ignore
/** The operands that flags wait for are stored on the way out. */
const WAITING = new Map([[PA, L.JIT_FLAGS], [PB, L.JIT_FLAGS + 8], [PR, L.JIT_FLAGS + 16]]);
/** Memory that locals are loaded from when they are first needed in a block, by local; 0: not such a local. */
const SOURCES = Array.from({ length: TW + 1 }, (_, local) => HOMES.get(local) ?? (local === TR ? L.TLB_READ : local === TW ? L.TLB_WRITE : 0));
/** Where a local is in a set of those; TR and TW have the places of two that are none. */
const bitOf = (local: number): number => 1 << (local < 32 ? local : local - 4);

/** Code whose locals have copies in memory. */
class RegionCode extends Code {
  /** Registers that need not be stored now, bits 0 to 15. */
  unseen = 0;
  /** Locals that have what memory has. */
  loaded = 0;
  /** Of each block, loop or if that is open: what was loaded before it, if it is not run always. */
  private readonly before: (number | undefined)[] = [];

  override get(local: number): this {
    const source = SOURCES[local];
    if (!(source > 0) || (this.loaded & bitOf(local)) !== 0) return super.get(local);
    this.loaded |= bitOf(local);
    return this.i32(0).memory(local < 32 ? OP.i64Load : OP.i32Load, source).tee(local);
  }
  override set(local: number): this {
    super.set(local);
    const home = HOMES.get(local);
    if (home === undefined) return this;
    this.loaded |= bitOf(local);
    if (local < FR && ((this.unseen >>> (local - R)) & 1) !== 0) return this;
    return this.i32(0).get(local).memory(OP.i64Store, home);
  }
  /** Sets locals that memory has a copy of to that. */
  load(locals: number): void {
    for (let local = 0; local < SOURCES.length; local++) if (SOURCES[local] > 0 && (locals & ~this.loaded & bitOf(local)) !== 0) this.get(local).op(OP.drop);
  }
  /** Memory has something else now. */
  forget(local: number): void {
    this.loaded &= ~bitOf(local);
  }

  override block(type: number): this {
    this.before.push(undefined);
    return super.block(type);
  }
  override loop(): this {
    this.before.push(undefined);
    return super.loop();
  }
  override if(type?: number): this {
    this.before.push(this.loaded);
    return super.if(type);
  }
  override else(): this {
    this.loaded = this.before[this.before.length - 1]!;
    return super.else();
  }
  override end(): this {
    this.loaded = this.before.pop() ?? this.loaded;
    return super.end();
  }
}

const MASKS = [0xff, 0xffff, 0xffff_ffff] as const;
const LOADS = [OP.i64Load8U, OP.i64Load16U, OP.i64Load32U, OP.i64Load] as const;
const STORES = [OP.i64Store8, OP.i64Store16, OP.i64Store32, OP.i64Store] as const;
const PAGE_MASK = -4096;
const OPERAND = 0;
const STACK = 1;
const NOTE_LIVE = 1 << 16;

export class Translator {
  private readonly core: Core;
  private readonly effects: Effects;
  private readonly spans: Spans;
  private code = new RegionCode(0);
  private blocks: readonly RegionBlock[] = [];
  private numbers = new Map<number, number>();
  /** Locals of the registers that each block touches. */
  private readonly touched: number[] = [];
  /** What is loaded where the block that jumps to itself begins. */
  private loopLoaded = 0;
  /** For each micro-op, from where its block's begin: registers that it changes and another one does again before anybody can look (bits 0 to 15), NOTE_LIVE. */
  private notes = new Uint32Array(1024);
  private readonly firstNote: number[] = [];
  /** The number of the micro-op in the region. */
  private microOpNumber = 0;
  /** Of each block, the one that alone leads to it, with what is known there of the flags and of SSE; -1: it may be come to from several. */
  private parents: readonly number[] = [];
  private readonly inherited: { flags: PendingFlags; sseChecked: boolean; loaded: number }[] = [];
  /** Whether anybody looks at the flags that the micro-op sets. */
  private isLive = true;
  private flags: PendingFlags = PLAIN;
  private current = 0;
  private depth = 0;
  private selfLoop = false;
  private memory: RegionMemory = { cells: new Map(), table: 0, entries: 1, shift: 0 };
  private mask = 0;
  private sseChecked = false;
  /** Of a read-modify-write, what its addresses add to HOST. */
  private storeOffset = 0;

  constructor(core: Core) {
    this.core = core;
    this.effects = new Effects(core);
    this.spans = new Spans(core, this.effects);
  }

  /** The function number `index` of the core's table. */
  translate(blocks: readonly RegionBlock[], index: number, memory: RegionMemory): Func {
    this.code = new RegionCode(1 << 13);
    this.blocks = blocks;
    this.numbers = new Map(blocks.map(({ place }, i) => [place, i]));
    this.memory = memory;
    this.mask = this.core.u32[L.JIT_TLB_MASK >>> 2];
    this.analyse();
    const { code } = this;
    for (const [local, at] of [...WAITING, [FK, L.JIT_FLAGS + 32]]) code.i32(0).memory(OP.i64Load, at).set(local);
    this.reloadPosition();
    const n = blocks.length;
    code.block(I64);
    code.loop();
    if (n > 1) {
      for (let i = n - 1; i >= 0; i--) code.block(0x40);
      code.get(NEXT).op(OP.brTable);
      // The number of labels, the labels, and the default.
      const known = blocks.findIndex(({ isEntry }) => isEntry);
      code.u32(n);
      for (let i = 0; i < n; i++) code.u32(blocks[i].isEntry ? i : known);
      code.u32(known);
      code.end();
    }
    for (let i = 0; i < n; i++) {
      this.block(i);
      if (i < n - 1) code.end();
    }
    code.end();
    code.op(OP.unreachable).end();
    this.wayOut();
    return { signature: { parameters: [I32], results: [I64] }, locals: LOCALS, body: code, name: String(index) };
  }

  /** What every exit of the function does; SITE_* is on the stack. */
  private wayOut(): void {
    const { code } = this;
    code.i32(0).i32(0).memory(OP.i32Store, L.BLOCK);
    this.storePosition();
    for (const [local, at] of WAITING) code.i32(0).get(local).memory(OP.i64Store, at);
    code.end();
  }

  // ---- analysis ----

  /** What each micro-op touches, whose flags are dead at the end of it, and which registers need not be stored. */
  private analyse(): void {
    this.parents = parentsOf(this.core, this.blocks);
    this.spans.analyse(this.blocks, this.parents);
    const { effects, spans } = this;
    let count = 0;
    this.blocks.forEach(({ first, last }, i) => {
      this.firstNote[i] = count;
      const n = (last - first) / O.OP_BYTES + 1;
      if (count + n > this.notes.length) {
        const more = new Uint32Array(2 * (count + n));
        more.set(this.notes);
        this.notes = more;
      }
      // Flags are seen at the end of every block, where the function may be left: only within a block are they dead.
      let live = true;
      let again = 0;
      let used = 0;
      for (let k = n - 1; k >= 0; k--) {
        const p = first + k * O.OP_BYTES;
        const touched = effects.registers(p);
        const isSure = spans.isSure(p, count + k);
        const writes = touched >>> 16;
        used |= touched | writes;
        this.notes[count + k] = (writes & again) | (live ? NOTE_LIVE : 0);
        again = effects.isOpaque(p, isSure) ? 0 : again | writes;
        const effect = effects.flags(p, isSure);
        if (effect === FLAGS_USE) live = true;
        else if (effect === FLAGS_KILL) live = false;
      }
      this.touched[i] = (used & 0xffff) << R;
      count += n;
    });
  }

  // ---- a block ----

  private block(i: number): void {
    const { code, blocks } = this;
    const block = blocks[i];
    this.current = i;
    this.flags = PASSED;
    this.sseChecked = false;
    code.loaded = 0;
    if (this.parents[i] >= 0) ({ flags: this.flags, sseChecked: this.sseChecked, loaded: code.loaded } = this.inherited[i]);
    this.depth = 0;
    this.selfLoop = block.successors.includes(block.place) && this.core.u16[block.last >>> 1] !== O.CALL64;
    if (this.selfLoop) {
      code.load(this.touched[i] | bitOf(PAGE) | bitOf(TR) | bitOf(TW));
      this.loopLoaded = code.loaded;
      code.loop();
      this.depth++;
    }
    this.begin(block);
    let at = this.firstNote[i];
    for (let p = block.first; p <= block.last; p += O.OP_BYTES) {
      this.microOpNumber = at;
      const note = this.notes[at++];
      code.unseen = note & 0xffff;
      this.isLive = (note & NOTE_LIVE) !== 0;
      this.microOp(p);
    }
    if (this.selfLoop) {
      code.op(OP.unreachable).end();
      this.depth--;
    }
  }

  /** Raises the position by the instructions of the block, which is left before it if they do not fit. */
  private begin({ address, instructions }: RegionBlock): void {
    this.pushSite(L.SITE_BEFORE + address * 2 ** L.SITE_BLOCK);
    this.code.get(LEFT).i64(instructions).op(OP.i64Sub).tee(LEFT).i64(0).op(OP.i64LtS);
    this.leaveIf();
  }

  /** Branches to a block of the region; the code behind is not reached. */
  private jump(k: number): void {
    const { code } = this;
    if (k === this.current && this.selfLoop) {
      code.load(this.loopLoaded);
      code.br(this.depth - 1);
    } else if (k > this.current) code.br(this.depth + (k - this.current - 1));
    else {
      if (this.blocks.length > 1) code.i32(k).set(NEXT);
      code.br(this.depth + (this.blocks.length - 1 - this.current));
    }
  }

  /** Branches to the way out when what is on the stack over its SITE_* says so. */
  private leaveIf(): void {
    this.code.brIf(this.outside).op(OP.drop);
  }
  private get outside(): number {
    return this.depth + this.blocks.length - this.current;
  }
  /** Pushes SITE_*, with the flags of now. */
  private pushSite(how: number): void {
    const { code } = this;
    const { kind, size, count, over } = this.flags;
    const carry = over ? 4096 : 0;
    if (kind === 'passed') code.i64Number(how + carry * 2 ** L.SITE_FLAGS).get(FK).op(OP.i64Or);
    else code.i64Number(how + (KINDS.indexOf(kind) + size * 16 + count * 64 + carry) * 2 ** L.SITE_FLAGS);
  }
  /** Pushes SITE_*: the interpreter goes on at this micro-op, of which nothing has been done yet. */
  private pushResume(p: number): void {
    const { address, first } = this.blocks[this.current];
    this.pushSite(L.SITE_RESUME + ((p - first) / O.OP_BYTES) * 2 ** L.SITE_OP + address * 2 ** L.SITE_BLOCK);
  }

  /** Goes on at an offset of the page, which may be in another page. */
  private edge(offset: number): void {
    const { code } = this;
    const { page } = this.blocks[this.current];
    const k = this.numbers.get(page + offset);
    if (k === undefined) {
      this.leaveTo(offset, 0);
      return;
    }
    const { page: nextPage } = this.blocks[k];
    if (nextPage !== page) {
      const cell = this.memory.cells.get(nextPage)!;
      code.get(PAGE).i64(nextPage - page).op(OP.i64Add).set(T0);
      this.unlessVerified(T0, cell);
      this.depth++;
      code.i32(0).i32(cell).memory(OP.i32Store, L.JIT_CELL);
      this.leaveTo(offset, L.SITE_VERIFY);
      this.depth--;
      code.end();
    }
    if (this.parents[k] === this.current) this.inherited[k] = { flags: this.flags, sseChecked: this.sseChecked, loaded: code.loaded };
    else this.passFlags();
    if (nextPage !== page) code.get(T0).set(PAGE);
    this.jump(k);
  }

  /** Leaves to the block at an offset of the page. */
  private leaveTo(offset: number, how: number): void {
    this.pushSite(how + L.SITE_GO_ON + L.SITE_RELATIVE + (offset + 2 ** 31) * 2 ** L.SITE_OFFSET);
    this.code.br(this.outside);
  }

  /** To another block, which does not know where it is come to from. */
  private passFlags(): void {
    if (this.flags.kind === 'passed' && !this.flags.over) return;
    this.pushSite(0);
    this.code.set(FK);
  }

  /** Opens an if: the page in a local is not known to be where the cell (whose address is in HOST, or given) says, for the mappings of now. */
  private unlessVerified(page: number, cell: number | undefined): void {
    const { code } = this;
    const pushCell = (offset: number): number => {
      if (cell === undefined) code.get(HOST);
      else code.i32(0);
      return (cell ?? 0) + offset;
    };
    code.memory(OP.i32Load, pushCell(0)).i32(0).memory(OP.i32Load, L.GENERATION).op(OP.i32Ne);
    code.memory(OP.i64Load, pushCell(L.CELL_PAGE)).get(page).op(OP.i64Ne).op(OP.i32Or).if();
  }

  /** Goes on at the address in T2 if it is the one that was guessed when the region was made, and in it. */
  private goGuessed(): void {
    const { code } = this;
    const { page, guess } = this.blocks[this.current];
    if (guess === undefined || !this.numbers.has(page + guess)) return;
    code.get(T2).get(PAGE).i64(guess).op(OP.i64Add).op(OP.i64Eq).if();
    this.depth++;
    this.edge(guess);
    this.depth--;
    code.end();
  }
  /** Goes on at the address in T2: in this function if a block of it is there. */
  private goIndirect(): void {
    const { code, memory } = this;
    const { page } = this.blocks[this.current];
    code.get(T2).get(PAGE).op(OP.i64Sub);
    if (page !== 0) code.i64(page).op(OP.i64Add);
    code.tee(T0).op(OP.i32WrapI64).tee(ENTRY).get(ENTRY).i32(memory.shift).op(OP.i32ShrU).op(OP.i32Xor).i32(memory.entries - 1).op(OP.i32And).i32(4).op(OP.i32Shl).tee(ENTRY);
    code.memory(OP.i64Load, memory.table).get(T0).op(OP.i64Eq).if();
    this.depth++;
    code.get(ENTRY).memory(OP.i32Load, memory.table + L.TARGET_CELL).set(HOST);
    code.get(T2).i64(PAGE_MASK).op(OP.i64And).set(T1);
    this.unlessVerified(T1, undefined);
    this.depth++;
    code.i32(0).get(HOST).memory(OP.i32Store, L.JIT_CELL);
    code.i32(0).get(T2).memory(OP.i64Store, L.RIP);
    this.pushSite(L.SITE_GO_ON | L.SITE_VERIFY);
    code.br(this.outside);
    this.depth--;
    code.end();
    this.passFlags();
    code.get(T1).set(PAGE);
    code.get(ENTRY).memory(OP.i32Load16U, memory.table + L.TARGET_BLOCK).set(NEXT);
    code.br(this.outside - 1);
    this.depth--;
    code.end();
    code.i32(0).get(T2).memory(OP.i64Store, L.RIP);
    this.pushSite(L.SITE_GO_ON);
    code.br(this.outside);
  }

  // ---- state ----

  /** Completes what memory has, before a helper is called. */
  private spill(): void {
    this.settle();
    this.storePosition();
    this.code.i32(0).i32(this.blocks[this.current].address).memory(OP.i32Store, L.BLOCK);
  }
  /** Computes the flags, into memory. */
  private settle(): void {
    const { code, flags } = this;
    if (flags.kind === 'plain' && !flags.over) return;
    this.pushSite(0);
    for (const local of [PA, PB, PR, OC, FR, FA]) code.get(local);
    code.call(F.settleFlags);
  }
  private cursor(p: number): void {
    this.code.i32(0).i32(p).memory(OP.i32Store, L.CURSOR);
  }
  private reloadPosition(): void {
    this.code.i32(0).memory(OP.i64Load, L.STOP_AT).i32(0).memory(OP.i64Load, L.ICOUNT).op(OP.i64Sub).set(LEFT);
  }
  private storePosition(): void {
    this.code.i32(0).i32(0).memory(OP.i64Load, L.STOP_AT).get(LEFT).op(OP.i64Sub).memory(OP.i64Store, L.ICOUNT);
  }
  /** After a helper that works on memory. */
  private reload(): void {
    this.code.loaded = 0;
    this.flags = PLAIN;
    this.reloadPosition();
    this.sseChecked = false;
  }

  // ---- registers ----

  /** The register at a byte offset, zero-extended from its size. */
  private read(at: number, size: number): void {
    const { code } = this;
    code.get(R + (at >>> 3));
    if (size === 0) {
      if (at & 7) code.i64(8).op(OP.i64ShrU);
      code.i64(0xff).op(OP.i64And);
    } else if (size === 1) code.i64(0xffff).op(OP.i64And);
    else if (size === 2) code.op(OP.i32WrapI64).op(OP.i64ExtendI32U);
  }
  /** Writes the local, whose upper part is zero, into the register. */
  private write(at: number, size: number, local: number): void {
    const { code } = this;
    const r = R + (at >>> 3);
    if (size >= 2) {
      code.get(local).set(r);
      return;
    }
    if (size === 1) code.get(r).i64(-65536).op(OP.i64And).get(local).op(OP.i64Or).set(r);
    else if (at & 7) code.get(r).i64(-65281).op(OP.i64And).get(local).i64(8).op(OP.i64Shl).op(OP.i64Or).set(r);
    else code.get(r).i64(-256).op(OP.i64And).get(local).op(OP.i64Or).set(r);
  }
  /** Zero-extends what is on the stack. */
  private narrow(size: number): void {
    const { code } = this;
    if (size === 2) code.op(OP.i32WrapI64).op(OP.i64ExtendI32U);
    else if (size < 2) code.i64(MASKS[size]).op(OP.i64And);
  }
  private signed(size: number): void {
    if (size < 3) this.code.op(size === 2 ? OP.i64Extend32S : size === 1 ? OP.i64Extend16S : OP.i64Extend8S);
  }
  private immediate(p: number, size: number): void {
    const value = this.core.i32[(p + 12) >>> 2];
    if (size === 3) this.code.i64(value);
    else if (size === 2) {
      if (value >= 0) this.code.i64(value);
      else this.code.i64Wide(BigInt(value >>> 0));
    } else this.code.i64(value & MASKS[size]);
  }

  // ---- memory ----

  /** The linear address of the operand, and some bytes more. */
  private address(p: number, more = 0): void {
    const { code } = this;
    const { u8, i32 } = this.core;
    const base = u8[p + 4];
    const index = u8[p + 5];
    const seg = u8[p + 7];
    const disp = i32[(p + 8) >>> 2] + more;
    let any = false;
    const add = (): void => {
      if (any) code.op(OP.i64Add);
      any = true;
    };
    if (base === BASE_PAGE) {
      code.get(PAGE);
      add();
    } else if (base === BASE_EA) {
      code.i32(0).memory(OP.i64Load, L.REGS + BASE_EA);
      add();
    } else if (base !== BASE_ZERO) {
      code.get(R + (base >>> 3));
      add();
    }
    if (disp !== 0 || (!any && index === BASE_ZERO)) {
      if ((disp | 0) === disp) code.i64(disp);
      else code.i64Wide(BigInt(disp));
      add();
    }
    if (index !== BASE_ZERO) {
      code.get(R + (index >>> 3));
      if (u8[p + 6] !== 0) code.i64(u8[p + 6]).op(OP.i64Shl);
      add();
    }
    if (seg < L.SEG_FLAT * 8) {
      code.i32(0).memory(OP.i64Load, L.SEG_EFFECTIVE + seg);
      add();
    }
  }

  /** Leaves to the interpreter unless the TLB set whose base is in a local has the page of ADDR; ENTRY is its entry. */
  private probe(set: number, bytes: number, p: number): void {
    const { code } = this;
    this.pushResume(p);
    code.get(set).get(ADDR).op(OP.i32WrapI64).i32(8).op(OP.i32ShrU).i32(this.mask).op(OP.i32And).op(OP.i32Add).tee(ENTRY).memory(OP.i64Load, 0);
    code.get(ADDR);
    if (bytes > 1) code.i64(bytes - 1).op(OP.i64Add);
    code.i64(PAGE_MASK).op(OP.i64And).op(OP.i64Ne);
    this.leaveIf();
  }
  private host(): void {
    this.code.get(ADDR).op(OP.i32WrapI64).get(ENTRY).memory(OP.i32Load, 8).op(OP.i32Add);
  }
  /**
   * Pushes the host address of an access, or of the first byte of its span, and returns how much further it is. `push` pushes the linear address and some bytes more. Leaves to the
   * interpreter unless the TLB has the page or the span was looked up before.
   */
  private locate(p: number, which: number, set: number, bytes: number, push: (more: number) => void): number {
    const { code, spans, microOpNumber } = this;
    const span = spans.span(microOpNumber, which);
    if (span === undefined) {
      push(0);
      code.set(ADDR);
      this.probe(set, bytes, p);
      this.host();
      return 0;
    }
    const offset = spans.offset(microOpNumber, which);
    if (!spans.isOpened(microOpNumber, which)) code.get(SPAN + span.slot);
    else {
      push(-offset);
      code.set(ADDR);
      this.probe(span.stores ? TW : TR, span.high - span.low, p);
      this.host();
      if (span.uses > 1) code.tee(SPAN + span.slot);
    }
    return offset;
  }
  private locateOperand(p: number, set: number, bytes: number): number {
    return this.locate(p, OPERAND, set, bytes, (more) => this.address(p, more));
  }
  /** Of 8 bytes at a register and a distance. */
  private locateStack(p: number, set: number, register: number, distance: number): number {
    return this.locate(p, STACK, set, 8, (more) => {
      this.code.get(R + register);
      if (distance + more !== 0) this.code.i64(distance + more).op(OP.i64Add);
    });
  }
  /** Loads the operand; the value is on the stack. */
  private loadOperand(p: number, size: number): void {
    this.code.memory(LOADS[size], this.locateOperand(p, TR, 1 << size));
  }
  /** The load half of a read-modify-write of the operand; HOST is where. */
  private loadForStore(p: number, size: number): void {
    this.storeOffset = this.locateOperand(p, TW, 1 << size);
    this.code.tee(HOST).memory(LOADS[size], this.storeOffset);
  }
  private storeLoaded(size: number, local: number): void {
    this.code.get(HOST).get(local).memory(STORES[size], this.storeOffset);
  }

  // ---- flags ----

  private setFlags(kind: PendingFlags['kind'], size: number, count = 0): void {
    this.flags = { kind, size, count, over: false };
  }
  private pushResult(): void {
    const { code, flags } = this;
    if (flags.kind === 'plain') {
      code.get(FR);
      return;
    }
    if (flags.kind === 'mul32' || flags.kind === 'mul64') {
      // ZF is clear, SF and PF are those of the product.
      code.get(PR);
      this.signed(flags.size);
      code.i64(0x100).get(PR).op(OP.i64Eqz).op(OP.i32Eqz).op(OP.select);
      return;
    }
    if (flags.kind === 'add' || flags.kind === 'sub') this.pushSum();
    else code.get(PR);
    this.signed(flags.size);
  }
  /** The result of an addition or a subtraction without carry, which nobody keeps; its upper part is anything. */
  private pushSum(): void {
    this.code.get(PA).get(PB).op(this.flags.kind === 'add' ? OP.i64Add : OP.i64Sub);
  }
  /** Puts bits 0 of the locals for CF and OF where they belong. */
  private pushCarries(cf: () => void, of: () => void): void {
    const { code } = this;
    cf();
    code.tee(G0).i64(63).op(OP.i64Shl).get(G0);
    of();
    code.op(OP.i64Xor).i64(62).op(OP.i64Shl).op(OP.i64Or);
  }
  private pushAux(): void {
    const { code, flags } = this;
    this.pushAuxBelow();
    if (!flags.over) return;
    // OF stays, CF is OC.
    code.set(G0);
    code.get(G0).i64Wide(0x3fff_ffff_ffff_ffffn).op(OP.i64And).get(OC).i64(63).op(OP.i64Shl).op(OP.i64Or);
    code.get(G0).i64(63).op(OP.i64ShrU).get(G0).i64(62).op(OP.i64ShrU).op(OP.i64Xor).i64(1).op(OP.i64And).get(OC).op(OP.i64Xor).i64(62).op(OP.i64Shl).op(OP.i64Or);
  }
  private pushAuxBelow(): void {
    const { code, flags } = this;
    const { size } = flags;
    const top = (8 << size) - 1;
    switch (flags.kind) {
      case 'passed': throw new Error('the flags are not known');
      case 'plain': code.get(FA); return;
      case 'logic': code.i64(0); return;
      case 'add': case 'adc':
        if (flags.kind === 'add') this.keepSum();
        code.get(PA).get(PB).op(OP.i64And).get(PA).get(PB).op(OP.i64Or).get(PR).i64(-1).op(OP.i64Xor).op(OP.i64And).op(OP.i64Or);
        this.placeCarries(size);
        return;
      case 'sub': case 'sbb':
        if (flags.kind === 'sub') this.keepSum();
        code.get(PB).get(PR).op(OP.i64And).get(PB).get(PR).op(OP.i64Or).get(PA).i64(-1).op(OP.i64Xor).op(OP.i64And).op(OP.i64Or);
        this.placeCarries(size);
        return;
      case 'inc': case 'dec': {
        const isInc = flags.kind === 'inc';
        this.pushCarries(() => code.get(PA), () => {
          code.get(PR).i64Wide(isInc ? 1n << BigInt(top) : (1n << BigInt(top)) - 1n).op(OP.i64Eq).op(OP.i64ExtendI32U);
        });
        code.get(PR).i64(15).op(OP.i64And).i64(isInc ? 0 : 15).op(OP.i64Eq).op(OP.i64ExtendI32U).i64(3).op(OP.i64Shl).op(OP.i64Or);
        return;
      }
      case 'shl':
        this.pushCarries(
          () => code.get(PA).i64(top - flags.count + 1).op(OP.i64ShrU).i64(1).op(OP.i64And),
          () => code.get(PA).i64(top).op(OP.i64ShrU).get(PA).i64(top - 1).op(OP.i64ShrU).op(OP.i64Xor).i64(1).op(OP.i64And),
        );
        return;
      case 'shr':
        this.pushCarries(() => code.get(PA).i64(flags.count - 1).op(OP.i64ShrU).i64(1).op(OP.i64And), () => code.get(PA).i64(top).op(OP.i64ShrU));
        return;
      case 'sar':
        this.pushCarries(() => code.get(PA).i64(flags.count - 1).op(OP.i64ShrU).i64(1).op(OP.i64And), () => code.i64(0));
        return;
      case 'mul32': code.get(PA).get(PA).op(OP.i64Extend32S).op(OP.i64Ne).op(OP.i64ExtendI32U).i64(63).op(OP.i64Shl); return;
      case 'mul64': code.get(PA).get(PB).call(F.multiplyOverflows).op(OP.i64ExtendI32U).i64(63).op(OP.i64Shl); return;
    }
  }
  private keepSum(): void {
    this.pushSum();
    this.narrow(this.flags.size);
    this.code.set(PR);
  }
  /** Carries at each bit of an operation to the form of FLAG_AUX. */
  private placeCarries(size: number): void {
    const { code } = this;
    if (size === 3) {
      code.i64Wide(-0x3fff_ffff_ffff_fff8n).op(OP.i64And);
      return;
    }
    const top = 8 << size;
    code.tee(G0).i64Wide(3n << BigInt(top - 2)).op(OP.i64And).i64(64 - top).op(OP.i64Shl).get(G0).i64(8).op(OP.i64And).op(OP.i64Or);
  }
  /** Computes the flags into FR and FA. */
  private materialise(): void {
    const { code } = this;
    if (this.flags.kind === 'plain' && !this.flags.over) return;
    if (this.flags.kind === 'passed') {
      this.settle();
      code.forget(FR);
      code.forget(FA);
    } else {
      this.pushAux();
      this.pushResult();
      code.set(FR).set(FA);
    }
    this.flags = PLAIN;
  }
  /** Their form is known from here on. */
  private known(): void {
    if (this.flags.kind === 'passed') this.materialise();
  }
  /** CF as an i64, 0 or 1. */
  private pushCarry(): void {
    const { code, flags } = this;
    if (flags.over) code.get(OC);
    else if (flags.kind === 'passed') {
      // In most loops INC or DEC was the last, too, and CF is as it was.
      code.get(FK).i64((14 + 4096) * 2 ** L.SITE_FLAGS).op(OP.i64And).i64(KINDS.indexOf('inc') * 2 ** L.SITE_FLAGS).op(OP.i64Eq).if(I64).get(PA).else();
      for (const local of [FK, PA, PB, PR, OC, FA]) code.get(local);
      code.call(F.carryOf).end();
    }
    else if (flags.kind === 'logic') code.i64(0);
    else if (flags.kind === 'inc' || flags.kind === 'dec') code.get(PA);
    else if (flags.kind === 'sub') code.get(PA).get(PB).op(OP.i64LtU).op(OP.i64ExtendI32U);
    else if (flags.kind === 'add') {
      this.pushSum();
      this.narrow(flags.size);
      code.get(PA).op(OP.i64LtU).op(OP.i64ExtendI32U);
    }
    else {
      this.pushAux();
      code.i64(63).op(OP.i64ShrU);
    }
  }
  /** Condition code 0 to 15, as an i32. */
  private condition(cc: number): void {
    const { code } = this;
    if (cc >>> 1 !== 1) this.known();
    const { flags } = this;
    const { kind, size } = flags;
    const isOdd = (cc & 1) !== 0;
    const compares = kind === 'sub';
    switch (cc >>> 1) {
      case 1:
        if (compares && !flags.over) {
          code.get(PA).get(PB).op(isOdd ? OP.i64GeU : OP.i64LtU);
          return;
        }
        this.pushCarry();
        code.op(OP.i32WrapI64);
        break;
      case 2: this.pushZero(); break;
      case 3:
        if (compares && !flags.over) {
          code.get(PA).get(PB).op(isOdd ? OP.i64GtU : OP.i64LeU);
          return;
        }
        this.pushCarry();
        code.op(OP.i32WrapI64);
        this.pushZero();
        code.op(OP.i32Or);
        break;
      case 4: this.pushSign(); break;
      case 5:
        this.pushResult();
        code.op(OP.i32WrapI64).i32(0xff).op(OP.i32And).op(OP.i32Popcnt).i32(1).op(OP.i32And).i32(1).op(OP.i32Xor);
        if (kind === 'plain') code.get(FA).op(OP.i32WrapI64).i32(1).op(OP.i32ShrU).i32(1).op(OP.i32And).op(OP.i32Xor);
        break;
      case 6: case 7: {
        const orEqual = cc >>> 1 === 7;
        if (compares) {
          code.get(PA);
          this.signed(size);
          code.get(PB);
          this.signed(size);
          code.op(orEqual ? OP.i64LeS : OP.i64LtS);
        } else if (kind === 'logic') {
          code.get(PR);
          this.signed(size);
          code.i64(0).op(orEqual ? OP.i64LeS : OP.i64LtS);
        } else {
          this.pushSign();
          this.pushOverflow();
          code.op(OP.i32Xor);
          if (orEqual) {
            this.pushZero();
            code.op(OP.i32Or);
          }
        }
        break;
      }
      default: this.pushOverflow();
    }
    if (isOdd) code.op(OP.i32Eqz);
  }
  private pushZero(): void {
    const { code } = this;
    const { kind } = this.flags;
    if (kind === 'plain') code.get(FR).op(OP.i64Eqz);
    else if (kind === 'mul32' || kind === 'mul64') code.i32(0);
    else if (kind === 'sub') code.get(PA).get(PB).op(OP.i64Eq);
    else if (kind === 'add') {
      this.pushSum();
      this.narrow(this.flags.size);
      code.op(OP.i64Eqz);
    }
    else code.get(PR).op(OP.i64Eqz);
  }
  private pushSign(): void {
    const { code } = this;
    this.pushResult();
    code.i64(0).op(OP.i64LtS);
    if (this.flags.kind === 'plain') code.get(FA).op(OP.i32WrapI64).i32(1).op(OP.i32And).op(OP.i32Xor);
  }
  private pushOverflow(): void {
    const { code } = this;
    if (this.flags.kind === 'logic') {
      code.i32(0);
      return;
    }
    // OF is not touched by what only sets CF.
    this.pushAuxBelow();
    code.tee(G0).i64(63).op(OP.i64ShrU).get(G0).i64(62).op(OP.i64ShrU).op(OP.i64Xor).op(OP.i32WrapI64).i32(1).op(OP.i32And);
  }

  // ---- micro-ops ----

  private microOp(p: number): void {
    const { code } = this;
    const { u8, u16, u32, i32 } = this.core;
    const op = u16[p >>> 1];
    const dst = u8[p + 2];
    const src = u8[p + 3];
    const aux = u32[(p + 20) >>> 2];
    const imm = i32[(p + 12) >>> 2];
    if (op >= O.ADD_RR8 && op <= O.TEST_MI64) {
      this.binary(p, Math.floor((op - O.ADD_RR8) / 20), ((op - O.ADD_RR8) % 20) & ~3, op & 3);
      return;
    }
    if (op >= O.MOVZX_R8_16 && op <= O.MOVSX_M32_64) {
      this.extend(p, op, dst, src);
      return;
    }
    if (op >= O.INC_R8 && op <= O.NOT_M64) {
      this.unary(p, (op - O.INC_R8) >>> 3, op & 3, (op & 4) !== (O.INC_R8 & 4), dst);
      return;
    }
    if (op >= O.SHL_RI32 && op <= O.ROR_RI64) {
      this.shiftImmediate((op - O.SHL_RI32) >>> 1, 2 + (op & 1), dst, imm & 0xff);
      return;
    }
    if (op >= O.SHL_RC32 && op <= O.SAR_RC64) {
      this.settle();
      code.i32(op < O.SHR_RC32 ? 4 : op < O.SAR_RC32 ? 5 : 7).i32(p).i32(2 + (op & 1)).call(F.shiftByCl);
      for (const local of [R + (dst >>> 3), FR, FA]) code.forget(local);
      this.flags = PLAIN;
      return;
    }
    if (op >= O.SET_R_O && op <= O.SET_R_G) {
      this.condition(op - O.SET_R_O);
      code.op(OP.i64ExtendI32U).set(T0);
      this.write(dst, 0, T0);
      return;
    }
    if (op >= O.JO && op <= O.JG) {
      this.condition(op - O.JO);
      code.if();
      this.depth++;
      this.edge(aux + imm);
      this.depth--;
      code.end();
      this.edge(aux);
      return;
    }
    switch (op) {
      case O.OP_NOP: return;
      case O.OP_END: this.edge(aux); return;
      case O.JMP: this.edge(aux + imm); return;
      case O.OP_HELP:
        if (isIdle(aux)) return;
        this.spill();
        this.cursor(p);
        code.i32(aux).i32(p).call(F.helper);
        this.reload();
        return;
      case O.OP_HELP_END: case O.OP_HELP_JUMP:
        this.spill();
        this.cursor(p);
        code.i32(aux).i32(p).call(F.helper);
        if (op === O.OP_HELP_END) code.i32(0).get(PAGE).i64(u16[(p + 16) >>> 1] + u8[p + 18]).op(OP.i64Add).memory(OP.i64Store, L.RIP);
        code.i32(0).i32(0).memory(OP.i32Store, L.BLOCK);
        code.i64(0).op(OP.return);
        return;
      case O.OP_EA: case O.OP_SSE: case O.OP_X87: case O.OP_MMX:
        if (op === O.OP_SSE && this.inlineVector(p)) return;
        this.spill();
        this.cursor(p);
        code.i32(p).call(F.runVector);
        this.reload();
        return;
      case O.MOV_RI64_WIDE: code.i64Wide((BigInt(aux) << 32n) | BigInt(imm >>> 0)).set(R + (dst >>> 3)); return;
      case O.LEA_16: case O.LEA_32: case O.LEA_64:
        this.address(p);
        if (op !== O.LEA_64) this.narrow(op === O.LEA_32 ? 2 : 1);
        code.set(T0);
        this.write(dst, op === O.LEA_16 ? 1 : 3, T0);
        return;
      case O.PUSH_R64:
        code.get(R + (src >>> 3)).set(T0);
        this.push(p, T0);
        return;
      case O.PUSH_I64:
        code.i64(imm).set(T0);
        this.push(p, T0);
        return;
      case O.PUSH_M64:
        this.loadOperand(p, 3);
        code.set(T0);
        this.push(p, T0);
        return;
      case O.POP_R64:
        code.memory(OP.i64Load, this.locateStack(p, TR, RSP, 0)).set(T0);
        code.get(R + RSP).i64(8).op(OP.i64Add).set(R + RSP);
        code.get(T0).set(R + (dst >>> 3));
        return;
      case O.CALL64:
        code.get(PAGE).i64(aux).op(OP.i64Add).set(T0);
        this.push(p, T0);
        this.edge(aux + imm);
        return;
      case O.RET64: case O.RET64_I:
        code.memory(OP.i64Load, this.locateStack(p, TR, RSP, 0)).set(T2);
        this.checkTarget(p);
        code.get(R + RSP).i64(8 + (op === O.RET64_I ? imm : 0)).op(OP.i64Add).set(R + RSP);
        this.goIndirect();
        return;
      case O.JMP_R64:
        code.get(R + (src >>> 3)).set(T2);
        this.checkTarget(p);
        this.goIndirect();
        return;
      case O.JMP_M64:
        this.loadOperand(p, 3);
        code.set(T2);
        this.checkTarget(p);
        this.goGuessed();
        this.goIndirect();
        return;
      case O.CALL_R64: case O.CALL_M64:
        if (op === O.CALL_R64) code.get(R + (src >>> 3));
        else this.loadOperand(p, 3);
        code.set(T2);
        code.get(PAGE).i64(u16[(p + 16) >>> 1] + u8[p + 18]).op(OP.i64Add).set(T0);
        this.storeStack(p, T0);
        this.checkTarget(p);
        code.get(R + RSP).i64(8).op(OP.i64Sub).set(R + RSP);
        this.goGuessed();
        this.goIndirect();
        return;
      case O.IMUL_RR32: case O.IMUL_RM32: case O.IMUL_RRI32: case O.IMUL_RMI32: case O.IMUL_RR64: case O.IMUL_RM64: case O.IMUL_RRI64: case O.IMUL_RMI64:
        this.multiply(p, op, dst, src);
        return;
      case O.CMOV_RR32: case O.CMOV_RR64: case O.CMOV_RM32: case O.CMOV_RM64: {
        const size = op === O.CMOV_RR32 || op === O.CMOV_RM32 ? 2 : 3;
        if (op === O.CMOV_RR32 || op === O.CMOV_RR64) this.read(src, size);
        else this.loadOperand(p, size);
        this.read(dst, size);
        this.condition(aux & 0xff);
        code.op(OP.select).set(R + (dst >>> 3));
        return;
      }
      case O.CDQE: code.get(R).op(OP.i64Extend32S).set(R); return;
      case O.CWDE: code.get(R).op(OP.i64Extend16S).op(OP.i32WrapI64).op(OP.i64ExtendI32U).set(R); return;
      case O.CQO: code.get(R).i64(63).op(OP.i64ShrS).set(R + 2); return;
      case O.CDQ: code.get(R).op(OP.i32WrapI64).i32(31).op(OP.i32ShrS).op(OP.i64ExtendI32U).set(R + 2); return;
      case O.LEAVE64:
        code.memory(OP.i64Load, this.locateStack(p, TR, RBP, 0));
        code.get(R + RBP).i64(8).op(OP.i64Add).set(R + RSP);
        code.set(R + RBP);
        return;
      case O.BSWAP32: case O.BSWAP64: this.swapBytes(dst, op === O.BSWAP32 ? 2 : 3); return;
      case O.XCHG_RR32: case O.XCHG_RR64: {
        const size = op === O.XCHG_RR32 ? 2 : 3;
        this.read(dst, size);
        this.read(src, size);
        code.set(R + (dst >>> 3)).set(R + (src >>> 3));
        return;
      }
      case O.CMPXCHG_MR32: case O.CMPXCHG_MR64: this.compareExchange(p, op === O.CMPXCHG_MR32 ? 2 : 3, src); return;
      case O.XADD_MR32: case O.XADD_MR64: {
        const size = op === O.XADD_MR32 ? 2 : 3;
        this.loadForStore(p, size);
        code.set(T0);
        this.read(src, size);
        code.tee(T1).get(T0).op(OP.i64Add);
        this.narrow(size);
        code.set(T2);
        this.storeLoaded(size, T2);
        code.get(T0).set(R + (src >>> 3));
        code.get(T0).set(PA).get(T1).set(PB);
        this.setFlags('add', size);
        return;
      }
      case O.BT_RI32: case O.BT_RI64: case O.BT_RR32: case O.BT_RR64: {
        if (!this.isLive) return;
        const size = op === O.BT_RI32 || op === O.BT_RR32 ? 2 : 3;
        code.get(R + (dst >>> 3));
        if (op === O.BT_RI32 || op === O.BT_RI64) code.i64(imm & (size === 2 ? 31 : 63));
        else code.get(R + (src >>> 3)).i64(size === 2 ? 31 : 63).op(OP.i64And);
        code.op(OP.i64ShrU).i64(1).op(OP.i64And).set(OC);
        this.flags = { ...this.flags, over: true };
        return;
      }
      case O.SSE_MOVAPS_RM: case O.SSE_MOVUPS_RM: case O.SSE_MOVAPS_MR: case O.SSE_MOVUPS_MR: {
        const isLoad = op === O.SSE_MOVAPS_RM || op === O.SSE_MOVUPS_RM;
        this.checkSse(p);
        if (isLoad) code.i32(0);
        let offset = 0;
        if (op === O.SSE_MOVAPS_RM || op === O.SSE_MOVAPS_MR) {
          this.address(p);
          code.set(ADDR);
          this.leaveUnlessAligned(p);
          this.probe(isLoad ? TR : TW, 16, p);
          this.host();
        } else offset = this.locateOperand(p, isLoad ? TR : TW, 16);
        if (!isLoad) code.i32(0);
        code.simdMemory(0, isLoad ? offset : L.XMM + dst * 2).simdMemory(11, isLoad ? L.XMM + dst * 2 : offset);
        return;
      }
      default: throw new Error(`micro-op ${op} has no translation`);
    }
  }

  /** False where the core is called. */
  private inlineVector(p: number): boolean {
    const { code } = this;
    const vector = vectorOf(this.core.u8, this.core.i32, p, T0);
    if (vector === undefined) return false;
    this.checkSse(p);
    if (vector.memory !== 'none') {
      this.address(p);
      code.set(ADDR);
      if (vector.isAligned) this.leaveUnlessAligned(p);
      this.probe(vector.memory === 'load' ? TR : TW, vector.bytes, p);
    }
    vector.emit(code, () => this.host(), R);
    return true;
  }
  /** #GP unless ADDR is a multiple of 16. */
  private leaveUnlessAligned(p: number): void {
    this.pushResume(p);
    this.code.get(ADDR).op(OP.i32WrapI64).i32(15).op(OP.i32And);
    this.leaveIf();
  }

  private push(p: number, local: number): void {
    this.storeStack(p, local);
    this.code.get(R + RSP).i64(8).op(OP.i64Sub).set(R + RSP);
  }
  /** Stores a local under the stack pointer, which stays. */
  private storeStack(p: number, local: number): void {
    const offset = this.locateStack(p, TW, RSP, -8);
    this.code.get(local).memory(OP.i64Store, offset);
  }

  /** #GP unless T2 is canonical. */
  private checkTarget(p: number): void {
    this.pushResume(p);
    this.code.get(T2).i64(16).op(OP.i64Shl).i64(16).op(OP.i64ShrS).get(T2).op(OP.i64Ne);
    this.leaveIf();
  }

  private binary(p: number, family: number, form: number, size: number): void {
    const { code } = this;
    const { u8 } = this.core;
    const dst = u8[p + 2];
    const src = u8[p + 3];
    // MOV
    if (family === 8) {
      if (form === O.FORM_RR) this.read(src, size);
      else if (form === O.FORM_RI) this.immediate(p, size);
      else if (form === O.FORM_RM) this.loadOperand(p, size);
      else {
        const offset = this.locateOperand(p, TW, 1 << size);
        if (form === O.FORM_MR) this.read(src, size);
        else this.immediate(p, size);
        code.memory(STORES[size], offset);
        return;
      }
      code.set(T0);
      this.write(dst, size, T0);
      return;
    }
    const isTest = family === 9;
    const isCompare = family === 7;
    const withCarry = family === 2 || family === 3;
    const toMemory = form === O.FORM_MR || form === O.FORM_MI;
    // Operands: T0 the destination's, T1 the other.
    if (toMemory) {
      if (isTest || isCompare) this.loadOperand(p, size);
      else this.loadForStore(p, size);
      code.set(T0);
      if (form === O.FORM_MR) this.read(src, size);
      else this.immediate(p, size);
      code.set(T1);
    } else {
      if (form === O.FORM_RM) {
        this.loadOperand(p, size);
        code.set(T1);
      } else {
        // XOR and SUB of a register with itself do not depend on it.
        if (form === O.FORM_RR && dst === src && (family === 6 || family === 5) && size >= 2) {
          code.i64(0).set(R + (dst >>> 3));
          if (family === 5) code.i64(0).set(PA).i64(0).set(PB);
          else code.i64(0).set(PR);
          this.setFlags(family === 6 ? 'logic' : 'sub', size);
          return;
        }
        if (form === O.FORM_RR) this.read(src, size);
        else this.immediate(p, size);
        code.set(T1);
      }
      this.read(dst, size);
      code.set(T0);
    }
    if (withCarry) {
      this.pushCarry();
      code.set(G0);
    }
    const isLogic = family === 1 || family === 4 || family === 6 || isTest;
    // Result in T2.
    if (!isCompare) {
      code.get(T0).get(T1);
      switch (isTest ? 4 : family) {
        case 0: code.op(OP.i64Add); break;
        case 1: code.op(OP.i64Or); break;
        case 2: code.op(OP.i64Add).get(G0).op(OP.i64Add); break;
        case 3: code.op(OP.i64Sub).get(G0).op(OP.i64Sub); break;
        case 4: code.op(OP.i64And); break;
        case 6: code.op(OP.i64Xor); break;
        default: code.op(OP.i64Sub);
      }
      if (!isLogic) this.narrow(size);
      code.set(T2);
    }
    if (!isTest && !isCompare) {
      if (toMemory) this.storeLoaded(size, T2);
      else this.write(dst, size, T2);
    }
    if (!this.isLive) {
      // Nobody asks: what waits in the locals stays, and is not asked for either.
      return;
    }
    if (isLogic || withCarry) code.get(T2).set(PR);
    if (isLogic) {
      this.setFlags('logic', size);
      return;
    }
    code.get(T0).set(PA).get(T1).set(PB);
    this.setFlags(family === 0 ? 'add' : family === 2 ? 'adc' : family === 3 ? 'sbb' : 'sub', size);
  }

  private extend(p: number, op: number, dst: number, src: number): void {
    const { code } = this;
    const isSigned = op >= O.MOVSX_R8_16;
    const from = extendedFrom(op);
    const to = 1 + ((op - (isSigned ? O.MOVSX_R8_16 : O.MOVZX_R8_16)) % 3);
    if (isMemoryExtension(op)) this.loadOperand(p, from);
    else this.read(src, from);
    if (isSigned) {
      this.signed(from);
      if (to < 3) this.narrow(to);
    } else if (to === 1 && from === 2) this.narrow(1);
    code.set(T0);
    this.write(dst, to, T0);
  }

  /** INC DEC NEG NOT. */
  private unary(p: number, kind: number, size: number, inMemory: boolean, dst: number): void {
    const { code } = this;
    if (inMemory) this.loadForStore(p, size);
    else this.read(dst, size);
    code.set(T0);
    if (kind === 0) code.get(T0).i64(1).op(OP.i64Add);
    else if (kind === 1) code.get(T0).i64(1).op(OP.i64Sub);
    else if (kind === 2) code.i64(0).get(T0).op(OP.i64Sub);
    else code.get(T0).i64(-1).op(OP.i64Xor);
    this.narrow(size);
    code.set(T2);
    if (inMemory) this.storeLoaded(size, T2);
    else this.write(dst, size, T2);
    if (kind === 3 || !this.isLive) return;
    if (kind === 2) {
      code.i64(0).set(PA).get(T0).set(PB);
      this.setFlags('sub', size);
      return;
    }
    this.pushCarry();
    code.set(PA).get(T2).set(PR);
    this.setFlags(kind === 0 ? 'inc' : 'dec', size);
  }

  /** SHL SHR SAR ROL ROR by an immediate that is not 0. */
  private shiftImmediate(kind: number, size: number, dst: number, count: number): void {
    const { code } = this;
    this.read(dst, size);
    code.set(T0);
    if (kind >= 3) {
      const isLeft = kind === 3;
      // With a count of 1 OF changes too.
      if (count === 1 && this.isLive) this.materialise();
      if (size === 3) code.get(T0).i64(count).op(isLeft ? OP.i64Rotl : OP.i64Rotr);
      else code.get(T0).op(OP.i32WrapI64).i32(count).op(isLeft ? OP.i32Rotl : OP.i32Rotr).op(OP.i64ExtendI32U);
      code.set(T2);
      this.write(dst, size, T2);
      if (!this.isLive) return;
      const top = (8 << size) - 1;
      code.get(T2);
      if (!isLeft) code.i64(top).op(OP.i64ShrU);
      code.i64(1).op(OP.i64And).set(OC);
      if (count !== 1) {
        this.flags = { ...this.flags, over: true };
        return;
      }
      code.get(FA).i64Wide(0x3fff_ffff_ffff_ffffn).op(OP.i64And).get(OC).i64(63).op(OP.i64Shl).op(OP.i64Or);
      // CF xor OF: for ROL the top bit of the result, for ROR the one below it.
      code.get(T2).i64(isLeft ? top : top - 1).op(OP.i64ShrU).i64(1).op(OP.i64And).i64(62).op(OP.i64Shl).op(OP.i64Or).set(FA);
      return;
    }
    code.get(T0);
    if (kind === 2) this.signed(size);
    code.i64(count).op(kind === 0 ? OP.i64Shl : kind === 1 ? OP.i64ShrU : OP.i64ShrS);
    this.narrow(size);
    code.set(T2);
    this.write(dst, size, T2);
    if (!this.isLive) return;
    code.get(T0).set(PA).get(T2).set(PR);
    this.setFlags(kind === 0 ? 'shl' : kind === 1 ? 'shr' : 'sar', size, count);
  }

  private multiply(p: number, op: number, dst: number, src: number): void {
    const { code } = this;
    const size = op === O.IMUL_RR32 || op === O.IMUL_RM32 || op === O.IMUL_RRI32 || op === O.IMUL_RMI32 ? 2 : 3;
    const withImmediate = op >= O.IMUL_RRI32;
    if (op === O.IMUL_RM32 || op === O.IMUL_RM64 || op === O.IMUL_RMI32 || op === O.IMUL_RMI64) this.loadOperand(p, size);
    else this.read(src, size);
    code.set(T1);
    if (withImmediate) this.immediate(p, size);
    else this.read(dst, size);
    code.set(T0);
    code.get(T0);
    this.signed(size);
    code.get(T1);
    this.signed(size);
    code.op(OP.i64Mul).set(T2);
    if (size === 2) {
      code.get(T2).set(PA);
      code.get(T2);
      this.narrow(2);
      code.tee(PR).set(R + (dst >>> 3));
      this.setFlags('mul32', 2);
    } else {
      code.get(T0).set(PA).get(T1).set(PB).get(T2).tee(PR).set(R + (dst >>> 3));
      this.setFlags('mul64', 3);
    }
  }

  private swapBytes(dst: number, size: number): void {
    const { code } = this;
    this.read(dst, size);
    code.set(T0);
    const swap = (bits: number, mask: bigint): void => {
      code.get(T0).i64(bits).op(OP.i64ShrU).i64Wide(mask).op(OP.i64And).get(T0).i64Wide(mask).op(OP.i64And).i64(bits).op(OP.i64Shl).op(OP.i64Or).set(T0);
    };
    swap(8, 0x00ff_00ff_00ff_00ffn);
    if (size === 2) code.get(T0).op(OP.i32WrapI64).i32(16).op(OP.i32Rotl).op(OP.i64ExtendI32U).set(R + (dst >>> 3));
    else {
      swap(16, 0x0000_ffff_0000_ffffn);
      code.get(T0).i64(32).op(OP.i64Rotl).set(R + (dst >>> 3));
    }
  }

  private compareExchange(p: number, size: number, src: number): void {
    const { code } = this;
    this.loadForStore(p, size);
    code.set(T0);
    this.read(0, size);
    code.set(T1);
    // The destination is written either way (SDM vol. 2, CMPXCHG).
    this.read(src, size);
    code.get(T0).get(T0).get(T1).op(OP.i64Eq).op(OP.select).set(T2);
    this.storeLoaded(size, T2);
    code.get(T0).get(R).get(T0).get(T1).op(OP.i64Ne).op(OP.select).set(R);
    code.get(T1).set(PA).get(T0).set(PB);
    this.setFlags('sub', size);
  }

  /** #UD or #NM where SSE is switched off; once a block is enough between helpers. */
  private checkSse(p: number): void {
    if (this.sseChecked) return;
    this.pushResume(p);
    this.code.i32(0).memory(OP.i32Load, L.CR0).i32(12).op(OP.i32And).i32(0).memory(OP.i32Load, L.CR4).i32(0x200).op(OP.i32And).op(OP.i32Eqz).op(OP.i32Or);
    this.leaveIf();
    this.sseChecked = true;
  }
}

/** Of each block, the number of the one that alone leads to it, by one jump; -1: it can be entered, or several do. */
function parentsOf(core: Core, blocks: readonly RegionBlock[]): number[] {
  const numbers = new Map(blocks.map(({ place }, i) => [place, i]));
  const SEVERAL = -2;
  const parents: number[] = blocks.map(({ isEntry }) => (isEntry ? SEVERAL : -1));
  blocks.forEach(({ last, successors }, i) => {
    const op = core.u16[last >>> 1];
    // What a call comes back to is an entry.
    const targets = op === O.CALL64 ? successors.slice(0, 1) : successors;
    for (const place of targets) {
      const k = numbers.get(place);
      if (k !== undefined) parents[k] = parents[k] === -1 && k > i ? i : SEVERAL;
    }
  });
  return parents.map((parent) => Math.max(-1, parent));
}
