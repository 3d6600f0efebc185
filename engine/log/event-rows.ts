/**
 * Turns events into rows (FORMAT.md, section 4). LogWriter and VerifyingSink differ only in what they do with a row.
 */
import type { DeviceReport } from '../devices/device.ts';
import { assert } from './assert.ts';
import { ByteWriter, bytesOfHex, highOf, highOfBigint, lowOf, lowOfBigint, textOf, utf8Cut } from './bytes.ts';
import type { EventSink } from './event-sink.ts';
import {
  ACCESS_REP, ACCESS_STRING, ACCESS_WRITE, CONTROL_ACTIONS, CONTROLLERS, CR_ACCESSES, END_REASONS, EXIT_REASONS, INTERRUPT_PHASES, MARK_SOURCES,
} from './events.ts';
import type { ControlAction, DigestComponents, EndReason, ExitEvent, FirstWrites, InputEvent, LogEvent, MarkSource } from './events.ts';
import type { Position } from './position.ts';
import {
  SHAPE_COUNTS, SHAPE_DIGEST, SHAPE_DIRTY, SHAPE_END, SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO,
  SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE, SHAPE_EXIT_PLAIN, SHAPE_FIRST_WRITES, SHAPE_IDLE, SHAPE_INPUT_CONSOLE, SHAPE_INPUT_CONTROL, SHAPE_INPUT_ENTROPY, SHAPE_INPUT_LINE, SHAPE_INPUT_MEMORY,
  SHAPE_INPUT_NET, SHAPE_INPUT_REGISTER, SHAPE_INPUT_STALL, SHAPE_INPUT_TIMER_SHIFT, SHAPE_INPUT_WALL_CLOCK,
  SHAPE_INTERRUPT, SHAPE_MARK, SHAPE_NET_RX, SHAPE_NET_TX, SHAPE_TIMER_ARM, SHAPE_TIMER_FIRE, SHAPE_UART_RX, SHAPE_UART_TX, SHAPE_VIRTIO_COMPLETE,
  SHAPE_VIRTIO_REQUEST,
} from './shapes.ts';

/** Longest name, mark or detail, bytes of UTF-8; longer ones are cut. */
export const STRING_BYTES_MAX = 255;
const EMPTY = new Uint8Array(0);

/** Longest payload of one record, for a log with such blocks. */
export function payloadBytesMax(blockBytes: number): number {
  return blockBytes >>> 2;
}

/** A name as a log holds it: cut if it is too long, well-formed. */
export function storedName(name: string): string {
  const stored = textOf(utf8Cut(name, STRING_BYTES_MAX));
  assert(stored !== undefined, 'utf8Cut cuts between characters');
  return stored;
}

export abstract class EventRows implements EventSink {
  records: number;
  timeOffsetNs: number;
  private readonly chunk: ByteWriter;

  constructor(blockBytes: number, records: number, timeOffsetNs: number) {
    this.chunk = new ByteWriter(payloadBytesMax(blockBytes));
    this.records = records;
    this.timeOffsetNs = timeOffsetNs;
  }

  /** Called before intern() for a record with such a payload: now is the time to go to the next block. */
  protected abstract makeRoom(payloadBytes: number): void;
  /** Index of a name among the strings of the block. */
  protected abstract intern(name: string): number;
  protected abstract row(
    position: Position, shape: number, f0: number, f1: number, f2: number, f3: number, ripLo: number, ripHi: number, addressLo: number, addressHi: number,
    valueLo: number, valueHi: number, aux: number, payload: Uint8Array,
  ): void;
  abstract flush(): void;

  inputConsole(position: Position, port: string, bytes: Uint8Array): void {
    this.bytesRows(position, SHAPE_INPUT_CONSOLE, port, bytes, 0);
  }

  inputNet(position: Position, port: string, frame: Uint8Array): void {
    this.bytesRows(position, SHAPE_INPUT_NET, port, frame, 0);
  }

  inputEntropy(position: Position, port: string, bytes: Uint8Array): void {
    this.bytesRows(position, SHAPE_INPUT_ENTROPY, port, bytes, 0);
  }

  inputWallClock(position: Position, nsLo: number, nsHi: number): void {
    this.row(position, SHAPE_INPUT_WALL_CLOCK, 0, 0, 0, 0, 0, 0, 0, 0, nsLo >>> 0, nsHi >>> 0, 0, EMPTY);
    this.records++;
  }

  inputControl(position: Position, action: ControlAction): void {
    this.row(position, SHAPE_INPUT_CONTROL, codeOf(CONTROL_ACTIONS, action), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EMPTY);
    this.records++;
  }

  inputRegister(position: Position, register: string, valueLo: number, valueHi: number): void {
    this.makeRoom(0);
    this.row(position, SHAPE_INPUT_REGISTER, this.intern(register), 0, 0, 0, 0, 0, 0, 0, valueLo >>> 0, valueHi >>> 0, 0, EMPTY);
    this.records++;
  }

  inputMemory(position: Position, address: number, bytes: Uint8Array): void {
    const chunkMax = this.chunk.bytes.length;
    let start = 0;
    do {
      const part = bytes.subarray(start, start + chunkMax);
      this.makeRoom(part.length);
      this.row(position, SHAPE_INPUT_MEMORY, 0, 0, 0, 0, 0, 0, lowOf(address + start), highOf(address + start), 0, 0, 0, part);
      this.records++;
      start += part.length;
    } while (start < bytes.length);
  }

  inputTimerShift(position: Position, timer: string, ns: number): void {
    assert(Number.isSafeInteger(ns), 'not a time');
    this.makeRoom(0);
    this.row(position, SHAPE_INPUT_TIMER_SHIFT, this.intern(timer), 0, 0, 0, 0, 0, 0, 0, lowOf(ns), highOf(ns), 0, EMPTY);
    this.records++;
  }

  inputLine(position: Position, line: number, asserted: boolean): void {
    this.row(position, SHAPE_INPUT_LINE, line, asserted ? 1 : 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EMPTY);
    this.records++;
  }

  inputStall(position: Position, ns: number): void {
    assert(Number.isSafeInteger(ns) && ns >= 0, 'not a stretch of time');
    this.row(position, SHAPE_INPUT_STALL, 0, 0, 0, 0, 0, 0, 0, 0, lowOf(ns), highOf(ns), 0, EMPTY);
    this.records++;
  }

  exitIo(position: Position, ripLo: number, ripHi: number, port: number, size: number, flags: number, value: number, costNs: number): void {
    assert(isAccessSize(size), 'no such access size');
    this.row(position, SHAPE_EXIT_IO, port, size | flags, costNs, 0, ripLo >>> 0, ripHi >>> 0, 0, 0, value >>> 0, 0, 0, EMPTY);
    this.records++;
    this.timeOffsetNs += costNs;
  }

  exitMmio(position: Position, ripLo: number, ripHi: number, address: number, size: number, flags: number, valueLo: number, valueHi: number, costNs: number): void {
    assert(isAccessSize(size), 'no such access size');
    this.row(position, SHAPE_EXIT_MMIO, 0, size | flags, costNs, 0, ripLo >>> 0, ripHi >>> 0, lowOf(address), highOf(address), valueLo >>> 0, valueHi >>> 0, 0, EMPTY);
    this.records++;
    this.timeOffsetNs += costNs;
  }

  exitMsr(position: Position, ripLo: number, ripHi: number, index: number, write: boolean, valueLo: number, valueHi: number): void {
    this.row(position, SHAPE_EXIT_MSR, index >>> 0, write ? 1 : 0, 0, 0, ripLo >>> 0, ripHi >>> 0, 0, 0, valueLo >>> 0, valueHi >>> 0, 0, EMPTY);
    this.records++;
  }

  exitCpuid(position: Position, ripLo: number, ripHi: number, leaf: number, subleaf: number): void {
    this.row(position, SHAPE_EXIT_CPUID, 0, 0, 0, 0, ripLo >>> 0, ripHi >>> 0, 0, 0, leaf >>> 0, subleaf >>> 0, 0, EMPTY);
    this.records++;
  }

  exitCr(position: Position, ripLo: number, ripHi: number, cr: number, access: number, gpr: number, valueLo: number, valueHi: number): void {
    assert(access < CR_ACCESSES.length, 'no such access to a control register');
    this.row(position, SHAPE_EXIT_CR, cr, access, gpr, 0, ripLo >>> 0, ripHi >>> 0, 0, 0, valueLo >>> 0, valueHi >>> 0, 0, EMPTY);
    this.records++;
  }

  exitDr(position: Position, ripLo: number, ripHi: number, dr: number, write: boolean, gpr: number, valueLo: number, valueHi: number): void {
    this.row(position, SHAPE_EXIT_DR, dr, write ? 1 : 0, gpr, 0, ripLo >>> 0, ripHi >>> 0, 0, 0, valueLo >>> 0, valueHi >>> 0, 0, EMPTY);
    this.records++;
  }

  exitException(position: Position, ripLo: number, ripHi: number, vector: number, errorCode: number, addressLo: number, addressHi: number): void {
    const hasError = errorCode >= 0;
    this.row(position, SHAPE_EXIT_EXCEPTION, vector, hasError ? 1 : 0, hasError ? errorCode : 0, 0, ripLo >>> 0, ripHi >>> 0, addressLo >>> 0, addressHi >>> 0, 0, 0, 0, EMPTY);
    this.records++;
  }

  exitPageTable(position: Position, ripLo: number, ripHi: number, level: number, address: number, valueLo: number, valueHi: number): void {
    assert(level >= 1 && level <= 4, 'no such level of page tables');
    this.row(position, SHAPE_EXIT_PAGE_TABLE, level, 0, 0, 0, ripLo >>> 0, ripHi >>> 0, 0, 0, valueLo >>> 0, valueHi >>> 0, address >>> 0, EMPTY);
    this.records++;
  }

  exit(position: Position, ripLo: number, ripHi: number, reason: number, qualificationLo: number, qualificationHi: number): void {
    assert(!hasOwnShape(reason), 'this exit reason has a method of its own');
    this.row(position, SHAPE_EXIT_PLAIN, reason, 0, 0, 0, ripLo >>> 0, ripHi >>> 0, 0, 0, qualificationLo >>> 0, qualificationHi >>> 0, 0, EMPTY);
    this.records++;
  }

  interrupt(position: Position, phase: number, controller: number, vector: number, line: number): void {
    assert(phase < INTERRUPT_PHASES.length && controller < CONTROLLERS.length, 'no such phase or controller');
    this.row(position, SHAPE_INTERRUPT, phase, vector + 1, line + 1, controller, 0, 0, 0, 0, 0, 0, 0, EMPTY);
    this.records++;
  }

  device(position: Position, report: DeviceReport): void {
    switch (report.kind) {
      case 'uart-tx':
        this.row(position, SHAPE_UART_TX, report.port, 0, 0, 0, 0, 0, 0, 0, report.byte, 0, 0, EMPTY);
        break;
      case 'uart-rx':
        this.row(position, SHAPE_UART_RX, report.port, 0, 0, 0, 0, 0, 0, 0, report.byte, 0, 0, EMPTY);
        break;
      case 'timer-arm': {
        // Relative, because a periodic timer then has the same value for ever.
        const fromNowNs = report.atNs - (position + this.timeOffsetNs);
        this.makeRoom(0);
        this.row(position, SHAPE_TIMER_ARM, this.intern(report.timer), 0, 0, 0, 0, 0, 0, 0, lowOf(fromNowNs), highOf(fromNowNs), 0, EMPTY);
        break;
      }
      case 'timer-fire':
        this.makeRoom(0);
        this.row(position, SHAPE_TIMER_FIRE, this.intern(report.timer), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EMPTY);
        break;
      case 'virtio-request':
        this.makeRoom(0);
        this.row(position, SHAPE_VIRTIO_REQUEST, this.intern(report.device), report.queue, report.type, report.bytes, 0, 0, 0, 0,
          lowOf(report.sector), highOf(report.sector), report.head, EMPTY);
        break;
      case 'virtio-complete':
        this.makeRoom(0);
        this.row(position, SHAPE_VIRTIO_COMPLETE, this.intern(report.device), report.queue, report.status, report.bytes, 0, 0, 0, 0, report.head, 0, 0, EMPTY);
        break;
      case 'net-tx':
        this.makeRoom(0);
        this.row(position, SHAPE_NET_TX, this.intern(report.device), 0, 0, 0, 0, 0, 0, 0, report.bytes, 0, 0, EMPTY);
        break;
      case 'net-rx':
        this.makeRoom(0);
        this.row(position, SHAPE_NET_RX, this.intern(report.device), 0, 0, 0, 0, 0, 0, 0, report.bytes, 0, 0, EMPTY);
        break;
      default:
        report satisfies never;
    }
    this.records++;
  }

  idle(position: Position, ns: number): void {
    assert(Number.isSafeInteger(ns) && ns >= 0, 'not a time');
    this.row(position, SHAPE_IDLE, 0, 0, 0, 0, 0, 0, 0, 0, lowOf(ns), highOf(ns), 0, EMPTY);
    this.records++;
    this.timeOffsetNs += ns;
  }

  dirty(position: Position, epoch: number, pages: Uint32Array, firstWrites?: FirstWrites): void {
    if (firstWrites === undefined) this.dirtyRows(position, epoch, pages, 0);
    else this.firstWriteRows(position, epoch, firstWrites, 0);
  }

  private firstWriteRows(position: Position, epoch: number, { page, position: at, timeOffsetNs, isZero }: FirstWrites, more: number): void {
    const chunk = this.chunk;
    const capacity = chunk.bytes.length;
    let i = 0;
    do {
      chunk.length = 0;
      let atBefore = position as number;
      let offsetBefore = 0;
      let pageBefore = 0;
      // An entry takes at most 8 + 8 + 5 bytes.
      for (let first = i; i < page.length && chunk.length + 21 <= capacity; i++) {
        const delta = i === first ? atBefore - at[i] : at[i] - atBefore;
        const offsetDelta = timeOffsetNs[i] - offsetBefore;
        assert(delta >= 0 && delta * 4 + 3 <= Number.MAX_SAFE_INTEGER && offsetDelta >= 0, 'first writes must be in order, and before the end of their epoch');
        chunk.varint(delta * 4 + isZero[i] * 2 + (offsetDelta > 0 ? 1 : 0));
        if (offsetDelta > 0) chunk.varint(offsetDelta);
        chunk.zigzag64(page[i], 0, pageBefore, 0);
        atBefore = at[i];
        offsetBefore = timeOffsetNs[i];
        pageBefore = page[i];
      }
      this.makeRoom(chunk.length);
      this.row(position, SHAPE_FIRST_WRITES, 0, i < page.length ? 1 : more, 0, 0, 0, 0, 0, 0, lowOf(epoch), highOf(epoch), 0, chunk.bytes.subarray(0, chunk.length));
      this.records++;
    } while (i < page.length);
  }

  /** more: 1 if the next event goes on with this set, too. */
  private dirtyRows(position: Position, epoch: number, pages: Uint32Array, more: number): void {
    const chunk = this.chunk;
    const capacity = chunk.bytes.length;
    let i = 0;
    do {
      chunk.length = 0;
      let pageAfter = 0;
      // A run takes at most 5 + 5 bytes.
      while (i < pages.length && chunk.length + 10 <= capacity) {
        const first = pages[i];
        assert(i === 0 || first > pages[i - 1], 'dirty pages must ascend');
        let end = i + 1;
        while (end < pages.length && pages[end] === first + (end - i)) end++;
        const length = end - i;
        chunk.varint((first - pageAfter) * 2 + (length > 1 ? 1 : 0));
        if (length > 1) chunk.varint(length - 2);
        pageAfter = first + length;
        i = end;
      }
      this.makeRoom(chunk.length);
      this.row(position, SHAPE_DIRTY, 0, i < pages.length ? 1 : more, 0, 0, 0, 0, 0, 0, lowOf(epoch), highOf(epoch), 0, chunk.bytes.subarray(0, chunk.length));
      this.records++;
    } while (i < pages.length);
  }

  counts(position: Position, kernelInstructions: number, systemCalls: number): void {
    assert(Number.isSafeInteger(kernelInstructions) && kernelInstructions >= 0, 'not a number of instructions');
    this.row(position, SHAPE_COUNTS, 0, 0, 0, 0, 0, 0, 0, 0, lowOf(kernelInstructions), highOf(kernelInstructions), systemCalls >>> 0, EMPTY);
    this.records++;
  }

  digest(position: Position, digest: string, components: DigestComponents = {}): void {
    const chunk = this.chunk;
    chunk.length = 0;
    chunk.raw(digestBytes(digest));
    let mask = 0;
    for (const [bit, component] of [components.cpu, components.ram, components.devices].entries()) {
      if (component === undefined) continue;
      mask |= 1 << bit;
      chunk.raw(digestBytes(component));
    }
    this.makeRoom(chunk.length);
    this.row(position, SHAPE_DIGEST, mask, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, chunk.bytes.subarray(0, chunk.length));
    this.records++;
  }

  mark(position: Position, name: string, source: MarkSource): void {
    this.makeRoom(0);
    this.row(position, SHAPE_MARK, this.intern(name), codeOf(MARK_SOURCES, source), 0, 0, 0, 0, 0, 0, 0, 0, 0, EMPTY);
    this.records++;
  }

  end(position: Position, reason: EndReason, detail: string, digest?: string): void {
    const chunk = this.chunk;
    chunk.length = 0;
    chunk.u8(digest === undefined ? 0 : 1);
    if (digest !== undefined) chunk.raw(digestBytes(digest));
    chunk.raw(utf8Cut(detail, STRING_BYTES_MAX));
    this.makeRoom(chunk.length);
    this.row(position, SHAPE_END, codeOf(END_REASONS, reason), 0, 0, 0, 0, 0, 0, 0, lowOf(this.records), highOf(this.records), 0, chunk.bytes.subarray(0, chunk.length));
    this.records++;
  }

  append(event: LogEvent): void {
    const at = event.position;
    switch (event.kind) {
      case 'input':
        return this.appendInput(event);
      case 'exit':
        return this.appendExit(event);
      case 'interrupt':
        return this.interrupt(at, codeOf(INTERRUPT_PHASES, event.phase), codeOf(CONTROLLERS, event.controller), event.vector ?? -1, event.line ?? -1);
      case 'device':
        return this.device(at, event.report);
      case 'idle':
        return this.idle(at, event.ns);
      case 'dirty':
        if (event.firstWrites !== undefined) return this.firstWriteRows(at, event.epoch, event.firstWrites, event.more ? 1 : 0);
        return this.dirtyRows(at, event.epoch, event.pages, event.more ? 1 : 0);
      case 'counts':
        return this.counts(at, event.kernelInstructions, event.systemCalls);
      case 'digest':
        return this.digest(at, event.digest, event.components);
      case 'mark':
        return this.mark(at, event.name, event.source);
      case 'end':
        return this.end(at, event.reason, event.detail, event.digest);
      default:
        event satisfies never;
    }
  }

  private appendInput({ position, input }: InputEvent): void {
    switch (input.kind) {
      case 'console':
        return this.bytesRows(position, SHAPE_INPUT_CONSOLE, input.port, input.bytes, input.more ? 1 : 0);
      case 'net':
        return this.bytesRows(position, SHAPE_INPUT_NET, input.port, input.bytes, input.more ? 1 : 0);
      case 'entropy':
        return this.bytesRows(position, SHAPE_INPUT_ENTROPY, input.port, input.bytes, input.more ? 1 : 0);
      case 'wall-clock':
        return this.inputWallClock(position, lowOfBigint(input.ns), highOfBigint(input.ns));
      case 'control':
        return this.inputControl(position, input.action);
      case 'register':
        return this.inputRegister(position, input.register, lowOfBigint(input.value), highOfBigint(input.value));
      case 'memory':
        return this.inputMemory(position, input.address, input.bytes);
      case 'timer-shift':
        return this.inputTimerShift(position, input.timer, input.ns);
      case 'line':
        return this.inputLine(position, input.line, input.asserted);
      case 'stall':
        return this.inputStall(position, input.ns);
      default:
        input satisfies never;
    }
  }

  private appendExit({ position, reason, rip, detail }: ExitEvent): void {
    const lo = lowOfBigint(rip);
    const hi = highOfBigint(rip);
    assert(isReasonOf(reason, detail), `exit reason ${reason} does not go with ${detail.kind}`);
    switch (detail.kind) {
      case 'io': {
        const flags = (detail.write ? ACCESS_WRITE : 0) | (detail.string ? ACCESS_STRING : 0) | (detail.rep ? ACCESS_REP : 0);
        return this.exitIo(position, lo, hi, detail.port, detail.size, flags, detail.value, detail.costNs);
      }
      case 'mmio':
        return this.exitMmio(position, lo, hi, detail.address, detail.size, detail.write ? ACCESS_WRITE : 0, lowOfBigint(detail.value), highOfBigint(detail.value), detail.costNs);
      case 'msr':
        return this.exitMsr(position, lo, hi, detail.index, detail.write, lowOfBigint(detail.value), highOfBigint(detail.value));
      case 'cpuid':
        return this.exitCpuid(position, lo, hi, detail.leaf, detail.subleaf);
      case 'cr':
        return this.exitCr(position, lo, hi, detail.cr, codeOf(CR_ACCESSES, detail.access), detail.gpr, lowOfBigint(detail.value), highOfBigint(detail.value));
      case 'dr':
        return this.exitDr(position, lo, hi, detail.dr, detail.write, detail.gpr, lowOfBigint(detail.value), highOfBigint(detail.value));
      case 'exception':
        return this.exitException(position, lo, hi, detail.vector, detail.errorCode ?? -1, lowOfBigint(detail.address), highOfBigint(detail.address));
      case 'page-table':
        return this.exitPageTable(position, lo, hi, detail.level, detail.address, lowOfBigint(detail.value), highOfBigint(detail.value));
      case 'plain':
        return this.exit(position, lo, hi, reason, lowOfBigint(detail.qualification), highOfBigint(detail.qualification));
      default:
        detail satisfies never;
    }
  }

  /** more: 1 if the next event goes on with these bytes, too. */
  private bytesRows(position: Position, shape: number, port: string, bytes: Uint8Array, more: number): void {
    const chunkMax = this.chunk.bytes.length;
    let start = 0;
    do {
      const end = Math.min(start + chunkMax, bytes.length);
      this.makeRoom(end - start);
      this.row(position, shape, this.intern(port), end < bytes.length ? 1 : more, 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes.subarray(start, end));
      this.records++;
      start = end;
    } while (start < bytes.length);
  }
}

/** Reasons that never use SHAPE_EXIT_PLAIN. */
export function hasOwnShape(reason: number): boolean {
  return reason === 0 || reason === 10 || (reason >= 28 && reason <= 32) || reason === 49 || reason === EXIT_REASONS.pageTableWrite;
}

function isAccessSize(size: number): boolean {
  return size === 1 || size === 2 || size === 4 || size === 8;
}

function codeOf<T extends string>(names: readonly T[], name: T): number {
  const code = names.indexOf(name);
  assert(code >= 0, `unknown name: ${name}`);
  return code;
}

function digestBytes(digest: string): Uint8Array {
  const bytes = bytesOfHex(digest);
  assert(bytes.length === 16, `not a digest: ${digest}`);
  return bytes;
}

function isReasonOf(reason: number, detail: ExitEvent['detail']): boolean {
  switch (detail.kind) {
    case 'io':
      return reason === EXIT_REASONS.io;
    case 'mmio':
      return reason === EXIT_REASONS.mmio;
    case 'msr':
      return reason === (detail.write ? EXIT_REASONS.wrmsr : EXIT_REASONS.rdmsr);
    case 'cpuid':
      return reason === EXIT_REASONS.cpuid;
    case 'cr':
      return reason === EXIT_REASONS.cr;
    case 'dr':
      return reason === EXIT_REASONS.dr;
    case 'exception':
      return reason === EXIT_REASONS.exception;
    case 'page-table':
      return reason === EXIT_REASONS.pageTableWrite;
    case 'plain':
      return true;
  }
}
