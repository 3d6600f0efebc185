/** Questions about all of a recording: who wrote there, latest first or from a position on; and what had happened before a position. */
import * as L from '../cpu/layout.ts';
import { eventAt } from '../log/event-batch.ts';
import { type LogEvent, type LogKind, kindCode } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import { replayEach } from './bisect-scan.ts';
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

/** By the dirty sets of the log. */
function isUnwritten(travel: TimeTravel, ranges: readonly PhysicalRange[], begin: number, end: number): boolean {
  return end - begin > 1 && travel['unwrittenUntil'](framesOf(ranges), begin, end) >= end;
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
    replayEach(travel, end);
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

function* eventsBackward(reader: LogReader, kinds: readonly LogKind[], before: number): Generator<LogEvent> {
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
