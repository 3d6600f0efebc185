/** Questions about all of a recording, latest first or from a position on: who wrote or read there, what ran, which exits there were; and what had happened before a position. */
import * as L from '../cpu/layout.ts';
import { eventAt } from '../log/event-batch.ts';
import { type ExitEvent, type LogEvent, type LogKind, kindCode } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import { type PhysicalRange, readLinear, readRegister } from './inspect.ts';
import type { SymbolTable } from './symbols.ts';
import type { TimeTravel } from './time-travel.ts';

/** One instruction's store (or a device's) to the ranges asked for. Several accesses at one position are one write, and the first says where. */
export interface Write {
  /** Of the instruction; what it wrote is there from the next position on. */
  readonly position: number;
  /** Of the instruction; for a device or a delivery, of the one that had not begun. */
  readonly rip: bigint;
  readonly cpl: number;
  readonly by: 'instruction' | 'page walk' | 'device';
  /** Guest-physical. */
  readonly paddr: number;
  readonly size: number;
  /** The bytes of those ranges that the first access met, one range after the other. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

const STRETCH_INSTRUCTIONS = 4_000_000;
/** Of one stretch the last or first ones are kept, and the rest looked for again. */
const WRITES_MAX = 4096;
const BY: Readonly<Record<number, Write['by']>> = { [L.ACCESS_STORE]: 'instruction', [L.ACCESS_WALK]: 'page walk', [L.ACCESS_DEVICE]: 'device' };

/** Writes to the ranges by what is at positions before `before`, the latest first. Moves the cursor. Throws DivergedError. */
export function* writesBackward(travel: TimeTravel, ranges: readonly PhysicalRange[], before: number, from = 0): Generator<Write> {
  for (let end = before; end > from; ) {
    const begin = Math.max(from, end - STRETCH_INSTRUCTIONS);
    if (isUnwritten(travel, ranges, begin, end)) {
      end = begin;
      continue;
    }
    const { writes, isFull } = collect(travel, ranges, begin, end, true);
    for (const write of writes.reverse()) yield write;
    end = isFull ? writes[writes.length - 1].position : begin;
  }
}

/** Writes to the ranges by what is at `from` or later, and before `to`, in order. Moves the cursor. Throws DivergedError. */
export function* writesForward(travel: TimeTravel, ranges: readonly PhysicalRange[], from: number, to: number): Generator<Write> {
  for (let begin = from; begin < to; ) {
    const end = Math.min(to, begin + STRETCH_INSTRUCTIONS);
    if (isUnwritten(travel, ranges, begin, end)) {
      begin = end;
      continue;
    }
    const { writes, isFull } = collect(travel, ranges, begin, end, false);
    for (const write of writes) yield write;
    begin = isFull ? writes[writes.length - 1].position + 1 : end;
  }
}

/** Stretch by stretch in one direction: `collect` gives the rows of a stretch in order, and whether there were more than it took. */
function* rowsOf<Row extends { readonly position: number }>(from: number, to: number, backward: boolean, collect: (begin: number, end: number) => { readonly rows: readonly Row[]; readonly isFull: boolean }): Generator<Row> {
  for (let begin = from, end = to; begin < end; ) {
    const low = backward ? Math.max(begin, end - STRETCH_INSTRUCTIONS) : begin;
    const high = backward ? end : Math.min(end, begin + STRETCH_INSTRUCTIONS);
    const { rows, isFull } = collect(low, high);
    yield* backward ? [...rows].reverse() : rows;
    if (backward) end = isFull ? rows[0].position : low;
    else begin = isFull ? rows[rows.length - 1].position + 1 : high;
  }
}

/** A range of positions, `from` inclusive and `to` exclusive, and the direction. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly backward?: boolean;
}

/** An instruction's load (or a device's) from the ranges asked for; several at one position are one, and the first says where. */
export interface Read {
  readonly position: number;
  readonly rip: bigint;
  readonly cpl: number;
  readonly paddr: number;
  readonly size: number;
  /** The bytes of the ranges that it met. */
  readonly value: Uint8Array;
}

/** Who read the ranges. Page walks and devices are not told. Moves the cursor. Throws DivergedError. */
export function* reads(travel: TimeTravel, ranges: readonly PhysicalRange[], { from, to, backward = false }: Span): Generator<Read> {
  const { machine } = travel;
  const { core } = machine;
  const frames = framesOf(ranges);
  yield* rowsOf<Read>(from, to, backward, (begin, end) => {
    const rows: Read[] = [];
    let isFull = false;
    travel.seek(Math.max(0, begin - 1));
    for (const frame of frames) core.watchFrame(frame, L.WATCH_READ);
    machine.observe({
      access: (kind, paddr, size) => {
        if (kind !== L.ACCESS_LOAD) return false;
        const met = ranges.filter((range) => paddr < range.paddr + range.length && range.paddr < paddr + size);
        const position = machine.position();
        if (met.length === 0 || position < begin || position >= end || rows.at(-1)?.position === position) return false;
        isFull ||= keep(rows, backward);
        if (isFull && !backward) return false;
        rows.push({ position, rip: readRegister(machine, 'rip') ?? 0n, cpl: core.u32[L.CPL >>> 2], paddr, size, value: bytesOf(core.u8, met) });
        return false;
      },
    });
    try {
      travel.replayOn(end);
    } finally {
      machine.observe(undefined);
      for (const frame of frames) core.watchFrame(frame, 0);
    }
    return { rows, isFull };
  });
}

/** Makes room for one more row of a stretch: of too many, the first half goes where the last ones are wanted. True: some are left out. */
function keep(rows: unknown[], keepsLast: boolean): boolean {
  if (rows.length < WRITES_MAX * (keepsLast ? 2 : 1)) return false;
  if (keepsLast) rows.splice(0, WRITES_MAX);
  return true;
}

export interface Execution {
  readonly position: number;
  readonly rip: bigint;
  readonly cpl: number;
}

/** Where the instructions at these linear addresses began to run; REP strings once. Moves the cursor. Throws DivergedError. */
export function* execs(travel: TimeTravel, addresses: readonly bigint[], { from, to, backward = false }: Span): Generator<Execution> {
  const { machine } = travel;
  const { core } = machine;
  const wanted = new Set(addresses);
  const strings = new Set<bigint>();
  const rows = rowsOf<Execution>(from, to, backward, (begin, end) => {
    const found: Execution[] = [];
    let isFull = false;
    travel.seek(Math.max(0, begin - 1));
    core.observeCode(wanted, false);
    machine.observe({
      start: (kinds) => {
        const rip = readRegister(machine, 'rip') ?? 0n;
        const position = machine.position();
        if ((kinds & L.OBSERVE_START) === 0 || !wanted.has(rip) || position < begin || position >= end) return false;
        isFull ||= keep(found, backward);
        if (isFull && !backward) return false;
        found.push({ position, rip, cpl: core.u32[L.CPL >>> 2] });
        if (travel.isRepString(rip)) strings.add(rip);
        return false;
      },
    });
    try {
      travel.replayOn(end);
    } finally {
      machine.observe(undefined);
      core.observeCode([], false);
    }
    return { rows: found, isFull };
  });
  for (const row of rows) if (!strings.has(row.rip) || !travel.isContinuation(row.position, row.rip)) yield row;
}

export interface ExitFilter {
  /** Intel's basic exit reasons; all if absent. */
  readonly reasons?: ReadonlySet<number>;
  readonly matches?: (event: ExitEvent) => boolean;
}

/** Exits, from the log alone. */
export function* exits(reader: LogReader, { reasons, matches }: ExitFilter, { from, to, backward = false }: Span): Generator<ExitEvent> {
  for (const event of backward ? eventsBackward(reader, ['exit'], to) : reader.events({ kinds: ['exit'], from: from as Position, to: to as Position })) {
    if (event.position < from) return;
    if (event.kind === 'exit' && (reasons === undefined || reasons.has(event.reason)) && (matches?.(event) ?? true)) yield event;
  }
}

/** By the dirty sets of the log. */
function isUnwritten(travel: TimeTravel, ranges: readonly PhysicalRange[], begin: number, end: number): boolean {
  return end - begin > 1 && travel.unwrittenUntil(framesOf(ranges), begin, end) >= end;
}

function framesOf(ranges: readonly PhysicalRange[]): ReadonlySet<number> {
  const frames = new Set<number>();
  for (const { paddr, length } of ranges) for (let frame = Math.floor(paddr / 4096); frame <= Math.floor((paddr + length - 1) / 4096); frame++) frames.add(frame);
  return frames;
}

function collect(travel: TimeTravel, ranges: readonly PhysicalRange[], begin: number, end: number, keepsLast: boolean): { readonly writes: Write[]; readonly isFull: boolean } {
  const { machine } = travel;
  const { core } = machine;
  const frames = framesOf(ranges);
  const writes: (Omit<Write, 'after'> & { after: Uint8Array })[] = [];
  let met: readonly PhysicalRange[] = [];
  let isFull = false;
  const bytes = (): Uint8Array => bytesOf(core.u8, met);
  travel.seek(Math.max(0, begin - 1));
  for (const frame of frames) core.watchFrame(frame, L.WATCH_WRITE);
  machine.observe({
    access: (kind, paddr, size) => {
      if (!ranges.some((range) => paddr < range.paddr + range.length && range.paddr < paddr + size)) return false;
      const position = machine.position();
      const last = writes.at(-1);
      // Nothing has written since the last one, so what is there is what it left.
      if (last !== undefined && last.after.length === 0 && last.position !== position) last.after = bytes();
      if (position < begin || position >= end || last?.position === position) return false;
      met = ranges.filter((range) => paddr < range.paddr + range.length && range.paddr < paddr + size);
      if (writes.length >= WRITES_MAX * (keepsLast ? 2 : 1)) {
        isFull = true;
        if (!keepsLast) {
          met = [];
          return false;
        }
        writes.splice(0, WRITES_MAX);
      }
      writes.push({ position, rip: readRegister(machine, 'rip') ?? 0n, cpl: core.u32[L.CPL >>> 2], by: BY[kind] ?? 'instruction', paddr, size, before: bytes(), after: new Uint8Array(0) });
      return false;
    },
  });
  try {
    travel.replayOn(end);
  } finally {
    machine.observe(undefined);
    for (const frame of frames) core.watchFrame(frame, 0);
  }
  const last = writes.at(-1);
  if (last !== undefined && last.after.length === 0) last.after = bytes();
  return { writes, isFull };
}

function bytesOf(memory: Uint8Array, ranges: readonly PhysicalRange[]): Uint8Array {
  const out = new Uint8Array(ranges.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const { paddr, length } of ranges) {
    out.set(memory.subarray(L.RAM + paddr, L.RAM + paddr + length), at);
    at += length;
  }
  return out;
}

// ---- what the log tells ----

/** The last event before a position that matches. */
export function eventBefore(reader: LogReader, kinds: readonly LogKind[], before: number, matches: (event: LogEvent) => boolean = () => true): LogEvent | undefined {
  for (const event of eventsBackward(reader, kinds, before)) if (matches(event)) return event;
  return undefined;
}

/** Characters of a console line at most. */
const LINE_MAX = 200;

/** The last line that the serial console had printed before a position, as far as it had come; undefined: none. */
export function consoleLineBefore(reader: LogReader, before: number): { readonly text: string; readonly position: number } | undefined {
  let text = '';
  let position = 0;
  for (const event of eventsBackward(reader, ['device'], before)) {
    if (event.kind !== 'device' || event.report.kind !== 'uart-tx') continue;
    const { byte } = event.report;
    if (byte === 0x0a || byte === 0x0d) {
      if (text.trim() !== '') break;
      continue;
    }
    if (text === '') ({ position } = event);
    text = String.fromCharCode(byte) + text;
    if (text.length >= LINE_MAX) break;
  }
  return text.trim() === '' ? undefined : { text, position };
}

/** The latest first. */
export function* eventsBackward(reader: LogReader, kinds: readonly LogKind[], before: number): Generator<LogEvent> {
  const codes = kinds.map(kindCode);
  for (let block = Math.min(reader.blockIndexAt(before as Position), reader.eventBlocks.length - 1); block >= 0; block--) {
    const entry = reader.eventBlocks[block];
    if (!codes.some((code) => entry.counts[code] > 0)) continue;
    const batch = reader.batch(block);
    for (let i = batch.count - 1; i >= 0; i--) if (batch.position[i] < before && codes.includes(batch.kind[i])) yield eventAt(batch, i);
  }
}

// ---- who called ----

/** Functions of a call chain at most. */
const FRAMES_MAX = 16;

/** The code address at the cursor and those that it will return to, as far as frame pointers lead to functions that are known. */
export function callChain(travel: TimeTravel, symbols: SymbolTable): readonly bigint[] {
  const { machine } = travel;
  const rip = readRegister(machine, 'rip') ?? 0n;
  const chain = [rip];
  const word = (address: bigint): bigint | undefined => {
    const bytes = readLinear(machine, address, 8);
    return bytes.length === 8 ? new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true) : undefined;
  };
  // What a call returns to may lie behind the function, when nothing comes after the call.
  const isCode = (address: bigint | undefined): address is bigint => address !== undefined && symbols.at(address - 1n) !== undefined;
  // At its first instruction a function has not pushed a frame yet.
  const entered = symbols.at(rip)?.address === rip ? word(readRegister(machine, 'rsp') ?? 0n) : undefined;
  if (isCode(entered)) chain.push(entered);
  for (let frame = readRegister(machine, 'rbp') ?? 0n; chain.length < FRAMES_MAX; ) {
    const caller = word(frame + 8n);
    const next = word(frame);
    if (!isCode(caller)) break;
    chain.push(caller);
    if (next === undefined || next <= frame) break;
    frame = next;
  }
  return chain;
}
