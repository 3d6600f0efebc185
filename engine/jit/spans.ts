/**
 * Which accesses to memory share a look-up in the software TLB.
 *
 * A *span* is a run of bytes at constant distances from one address, all of it looked up where the first access to it is, and in one page there: what comes later is a plain load or
 * store, which cannot leave the function, needs no address and keeps neither registers nor flags alive. Pushes and pops of a prologue are one span, so are the fields of a record.
 * A span that does not lie in one page leaves to the interpreter at its first access, as a page that is not in the TLB does.
 *
 * It holds as long as nothing runs that changes translations: helpers of the core end all spans, and so does the end of a block, unless the next one is entered from nowhere else (its *parent* is
 * this one). If it stores anywhere, it is looked up among the pages that may be written, which may be read, too.
 */
import type { Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';
import * as O from '../cpu/ops.ts';
import { ACCESS_BYTES, ACCESS_STORES, BASE_EA, BASE_PAGE, BASE_ZERO, type Effects, RBP, RSP } from './effects.ts';
import type { RegionBlock } from './region.ts';

/** Bytes of a span at most: a longer one is in two pages more often, and then interpreted. */
const SPAN_BYTES = 128;
/** Spans that can be open at a time. */
export const OPEN_MAX = 8;

export interface Span {
  /** Of the address: segment register or FLAT, what base and index register hold (numbers of values), shift of the index. */
  readonly segment: number;
  readonly base: number;
  readonly index: number;
  readonly shift: number;
  /** Of its bytes, from what base and index are together; `high` is behind the last. */
  low: number;
  high: number;
  stores: boolean;
  /** Accesses. */
  uses: number;
  /** Which of the open ones: while it is, no other has this number. */
  readonly slot: number;
  /** The block that opened it. */
  readonly block: number;
}

const FLAT = 0xff;
/** Numbers of values that are no register's. */
const ZERO = 0;
const PAGE = 1;
const FIRST_VALUE = 2;

/** What is known at a place: registers are values plus distances. */
class Known {
  readonly values = new Int32Array(16);
  readonly distances = new Float64Array(16);
  readonly open: (Span | undefined)[] = Array.from({ length: OPEN_MAX });
  next = 0;

  copy(other: Known): void {
    this.values.set(other.values);
    this.distances.set(other.distances);
    for (let i = 0; i < OPEN_MAX; i++) this.open[i] = other.open[i];
    this.next = other.next;
  }
}

export class Spans {
  private readonly core: Core;
  private readonly effects: Effects;
  /** By number of access: the span, where in it, and whether it is the one that is looked up. */
  private of: (Span | undefined)[] = [];
  private at = new Float64Array(2048);
  private opens = new Uint8Array(2048);
  private readonly known = new Known();
  /** For the ends of blocks. */
  private readonly spare: Known[] = [];
  private nextValue = FIRST_VALUE;
  private block = 0;
  private place = 0;

  constructor(core: Core, effects: Effects) {
    this.core = core;
    this.effects = effects;
  }

  /** parents: of each block, the number of the one before it (in the list, too) that alone leads to it; -1: there is none. */
  analyse(blocks: readonly RegionBlock[], parents: readonly number[]): void {
    this.of = [];
    this.nextValue = FIRST_VALUE;
    const isParent = new Set(parents);
    const ends = new Map<number, Known>();
    let spare = 0;
    let number = 0;
    blocks.forEach(({ first, last, page }, i) => {
      this.block = i;
      this.place = page;
      const before = ends.get(parents[i]);
      if (before !== undefined) this.known.copy(before);
      else this.forget();
      for (let p = first; p <= last; p += O.OP_BYTES) this.microOp(p, number++);
      if (!isParent.has(i)) return;
      const end = (this.spare[spare++] ??= new Known());
      end.copy(this.known);
      ends.set(i, end);
    });
  }

  /** The span of an access, if it is in one: of a micro-op (its number in the region), the operand (0) or the stack (1). */
  span(microOp: number, which: number): Span | undefined {
    return this.of[2 * microOp + which];
  }
  /** Where in its span an access is. */
  offset(microOp: number, which: number): number {
    return this.at[2 * microOp + which] - this.of[2 * microOp + which]!.low;
  }
  /** Whether it is looked up there. */
  isOpened(microOp: number, which: number): boolean {
    return this.opens[2 * microOp + which] !== 0;
  }
  /** Whether none of the accesses of a micro-op leaves. */
  isSure(p: number, microOp: number): boolean {
    const isLater = (which: number): boolean => this.of[2 * microOp + which] !== undefined && !this.isOpened(microOp, which);
    return (this.effects.operandAccess(p) === 0 || isLater(0)) && (this.effects.stackAccess(p) === undefined || isLater(1));
  }

  private forget(): void {
    const { values, distances, open } = this.known;
    for (let r = 0; r < 16; r++) values[r] = this.nextValue++;
    distances.fill(0);
    open.fill(undefined);
  }

  private microOp(p: number, number: number): void {
    const { core, effects, known } = this;
    const { values, distances } = known;
    const { u8, u16, i32 } = core;
    if (2 * number + 2 > this.at.length) {
      const at = new Float64Array(2 * this.at.length);
      at.set(this.at);
      this.at = at;
      const opens = new Uint8Array(2 * this.opens.length);
      opens.set(this.opens);
      this.opens = opens;
    }
    const operand = effects.operandAccess(p);
    if (operand !== 0) this.operand(p, 2 * number, operand);
    const stack = effects.stackAccess(p);
    if (stack !== undefined) {
      const { register, stores } = stack;
      this.access(2 * number + 1, FLAT, values[register], ZERO, 0, distances[register] - (stores ? 8 : 0), 8, stores);
    }
    if (effects.isCall(p)) {
      this.forget();
      return;
    }
    const writes = effects.registers(p) >>> 16;
    if (writes === 0) return;
    const op = u16[p >>> 1];
    const dst = u8[p + 2] >>> 3;
    const src = u8[p + 3] >>> 3;
    const base = u8[p + 4];
    const distance = i32[(p + 8) >>> 2];
    switch (op) {
      case O.ADD_RI64: distances[dst] += i32[(p + 12) >>> 2]; return;
      case O.SUB_RI64: distances[dst] -= i32[(p + 12) >>> 2]; return;
      case O.INC_R64: distances[dst]++; return;
      case O.DEC_R64: distances[dst]--; return;
      case O.MOV_RR64:
        values[dst] = values[src];
        distances[dst] = distances[src];
        return;
      case O.LEA_64:
        if (u8[p + 5] !== BASE_ZERO || u8[p + 7] < L.SEG_FLAT * 8 || base >= 16 * 8) break;
        values[dst] = values[base >>> 3];
        distances[dst] = distances[base >>> 3] + distance;
        return;
      case O.LEAVE64:
        values[RSP] = values[RBP];
        distances[RSP] = distances[RBP] + 8;
        this.isNew(RBP);
        return;
      case O.POP_R64:
        distances[RSP] += 8;
        this.isNew(dst);
        return;
      default:
        if (stack !== undefined) {
          distances[RSP] += stack.stores ? -8 : 8;
          return;
        }
    }
    for (let r = 0; r < 16; r++) if (((writes >>> r) & 1) !== 0) this.isNew(r);
  }
  private isNew(register: number): void {
    this.known.values[register] = this.nextValue++;
    this.known.distances[register] = 0;
  }

  private operand(p: number, number: number, access: number): void {
    const { u8, i32 } = this.core;
    const { values, distances } = this.known;
    const base = u8[p + 4];
    const index = u8[p + 5];
    const shift = u8[p + 6];
    if (base === BASE_EA) return;
    let value = ZERO;
    let distance = i32[(p + 8) >>> 2];
    if (base === BASE_PAGE) {
      value = PAGE;
      distance += this.place;
    } else if (base !== BASE_ZERO) {
      value = values[base >>> 3];
      distance += distances[base >>> 3];
    }
    let indexed = ZERO;
    if (index !== BASE_ZERO) {
      indexed = values[index >>> 3];
      distance += distances[index >>> 3] * 2 ** shift;
    }
    const segment = u8[p + 7];
    this.access(number, segment < L.SEG_FLAT * 8 ? segment : FLAT, value, indexed, indexed === ZERO ? 0 : shift, distance, access & ACCESS_BYTES, (access & ACCESS_STORES) !== 0);
  }

  private access(number: number, segment: number, base: number, index: number, shift: number, from: number, bytes: number, stores: boolean): void {
    const { known, block } = this;
    const to = from + bytes;
    this.at[number] = from;
    for (const span of known.open) {
      if (span === undefined || span.base !== base || span.index !== index || span.shift !== shift || span.segment !== segment) continue;
      // What was looked up in a block before may be left to go another way: it is not looked up for this one.
      if (span.block !== block && (from < span.low || to > span.high || (stores && !span.stores))) continue;
      const low = Math.min(span.low, from);
      const high = Math.max(span.high, to);
      if (high - low > SPAN_BYTES) continue;
      span.low = low;
      span.high = high;
      span.stores ||= stores;
      span.uses++;
      this.of[number] = span;
      this.opens[number] = 0;
      return;
    }
    const slot = known.next;
    known.next = (slot + 1) % OPEN_MAX;
    const span: Span = { segment, base, index, shift, low: from, high: to, stores, uses: 1, slot, block };
    known.open[slot] = span;
    this.of[number] = span;
    this.opens[number] = 1;
  }
}
