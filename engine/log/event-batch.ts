/**
 * The records of one block as a structure of arrays, and one of them as an object. What a projection over many events reads.
 *
 * Row i has its own position, time offset, value, aux and payload; the rest is in the site table: `sites.ripLo[batch.site[i]]`. What the
 * fields of a shape mean: FORMAT.md, section 4.
 */
import { ByteReader, bigintOf, hexOf, numberOf, signedNumberOf, textOf } from './bytes.ts';
import { LogError } from './errors.ts';
import {
  ACCESS_REP, ACCESS_STRING, ACCESS_WRITE, CONTROL_ACTIONS, CONTROLLERS, CR_ACCESSES, END_REASONS, EXIT_REASONS, INTERRUPT_PHASES, MARK_SOURCES,
} from './events.ts';
import type { DigestComponents, ExitDetail, FirstWrites, InputDetail, LogEvent } from './events.ts';
import type { DeviceReport } from '../devices/device.ts';
import type { Position } from './position.ts';
import {
  ACCESS_SIZE_MASK, SHAPE_COUNTS, SHAPE_DIGEST, SHAPE_DIRTY, SHAPE_END, SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO,
  SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE, SHAPE_EXIT_PLAIN, SHAPE_FIRST_WRITES, SHAPE_IDLE, SHAPE_INPUT_CONSOLE, SHAPE_INPUT_CONTROL, SHAPE_INPUT_ENTROPY, SHAPE_INPUT_LINE, SHAPE_INPUT_MEMORY,
  SHAPE_INPUT_NET, SHAPE_INPUT_REGISTER, SHAPE_INPUT_STALL, SHAPE_INPUT_TIMER_SHIFT, SHAPE_INPUT_WALL_CLOCK,
  SHAPE_INTERRUPT, SHAPE_MARK, SHAPE_NET_RX, SHAPE_NET_TX, SHAPE_TIMER_ARM, SHAPE_TIMER_FIRE, SHAPE_UART_RX, SHAPE_UART_TX, SHAPE_VIRTIO_COMPLETE,
  SHAPE_VIRTIO_REQUEST,
} from './shapes.ts';

/** The static part of rows, as columns. */
export interface SiteTable {
  readonly count: number;
  readonly shape: Uint8Array;
  readonly f0: Uint32Array;
  readonly f1: Uint32Array;
  readonly f2: Uint32Array;
  readonly f3: Uint32Array;
  readonly ripLo: Uint32Array;
  readonly ripHi: Uint32Array;
  readonly addressLo: Uint32Array;
  readonly addressHi: Uint32Array;
}

export interface EventBatch {
  readonly count: number;
  /** Index in the log of row 0. */
  readonly firstRecord: number;
  /** Where the block lies in the file, for error messages. */
  readonly fileOffset: number;
  readonly position: Float64Array;
  /** Before the row takes effect, ns. */
  readonly timeOffsetNs: Float64Array;
  /** KIND_* */
  readonly kind: Uint8Array;
  /** Row of `sites`. */
  readonly site: Uint16Array;
  readonly valueLo: Uint32Array;
  readonly valueHi: Uint32Array;
  readonly aux: Uint32Array;
  /** Into `bytes`. */
  readonly payloadStart: Uint32Array;
  readonly payloadLength: Uint32Array;
  readonly bytes: Uint8Array;
  readonly sites: SiteTable;
  /** f0 of shapes with a name is an index into these. */
  readonly strings: readonly string[];
  /** After the last row, ns. */
  readonly endTimeOffsetNs: number;
}

/** Row i as an object. A code that is not known is an error: nothing of a run is skipped in silence. */
export function eventAt(batch: EventBatch, i: number): LogEvent {
  const { sites } = batch;
  const site = batch.site[i];
  const position = batch.position[i] as Position;
  const rip = (): bigint => bigintOf(sites.ripLo[site], sites.ripHi[site]);
  const exit = (reason: number, detail: ExitDetail): LogEvent => ({ kind: 'exit', position, reason, rip: rip(), detail });
  const device = (report: DeviceReport): LogEvent => ({ kind: 'device', position, report });
  const input = (detail: InputDetail): LogEvent => ({ kind: 'input', position, input: detail });
  const unknown = (what: string): never => {
    throw new LogError('LOG_UNKNOWN_RECORD', batch.fileOffset, 0, `record ${batch.firstRecord + i} at @${position}: ${what}`);
  };
  const nameOf = <T extends string>(names: readonly T[], code: number): T => names[code] ?? unknown(`code ${code} is not one of ${names.join(', ')}`);

  const f0 = sites.f0[site];
  const f1 = sites.f1[site];
  const f2 = sites.f2[site];
  const f3 = sites.f3[site];
  const lo = batch.valueLo[i];
  const hi = batch.valueHi[i];
  const payload = (): Uint8Array => batch.bytes.subarray(batch.payloadStart[i], batch.payloadStart[i] + batch.payloadLength[i]);
  const text = (): string => batch.strings[f0];

  switch (sites.shape[site]) {
    case SHAPE_INPUT_CONSOLE:
      return input({ kind: 'console', port: text(), bytes: payload().slice(), more: f1 !== 0 });
    case SHAPE_INPUT_NET:
      return input({ kind: 'net', port: text(), bytes: payload().slice(), more: f1 !== 0 });
    case SHAPE_INPUT_ENTROPY:
      return input({ kind: 'entropy', port: text(), bytes: payload().slice(), more: f1 !== 0 });
    case SHAPE_INPUT_WALL_CLOCK:
      return input({ kind: 'wall-clock', ns: bigintOf(lo, hi) });
    case SHAPE_INPUT_CONTROL:
      return input({ kind: 'control', action: nameOf(CONTROL_ACTIONS, f0) });
    case SHAPE_INPUT_REGISTER:
      return input({ kind: 'register', register: text(), value: bigintOf(lo, hi) });
    case SHAPE_INPUT_MEMORY:
      return input({ kind: 'memory', address: numberOf(sites.addressLo[site], sites.addressHi[site]), bytes: payload().slice() });
    case SHAPE_INPUT_TIMER_SHIFT:
      return input({ kind: 'timer-shift', timer: text(), ns: signedNumberOf(lo, hi) });
    case SHAPE_INPUT_LINE:
      return input({ kind: 'line', line: f0, asserted: f1 !== 0 });
    case SHAPE_INPUT_STALL:
      return input({ kind: 'stall', ns: numberOf(lo, hi) });
    case SHAPE_EXIT_IO:
      return exit(EXIT_REASONS.io, {
        kind: 'io', port: f0, size: f1 & ACCESS_SIZE_MASK, write: (f1 & ACCESS_WRITE) !== 0, string: (f1 & ACCESS_STRING) !== 0, rep: (f1 & ACCESS_REP) !== 0, value: lo, costNs: f2,
      });
    case SHAPE_EXIT_MMIO:
      return exit(EXIT_REASONS.mmio, {
        kind: 'mmio', address: numberOf(sites.addressLo[site], sites.addressHi[site]), size: f1 & ACCESS_SIZE_MASK, write: (f1 & ACCESS_WRITE) !== 0, value: bigintOf(lo, hi), costNs: f2,
      });
    case SHAPE_EXIT_MSR:
      return exit(f1 !== 0 ? EXIT_REASONS.wrmsr : EXIT_REASONS.rdmsr, { kind: 'msr', index: f0, write: f1 !== 0, value: bigintOf(lo, hi) });
    case SHAPE_EXIT_CPUID:
      return exit(EXIT_REASONS.cpuid, { kind: 'cpuid', leaf: lo, subleaf: hi });
    case SHAPE_EXIT_CR:
      return exit(EXIT_REASONS.cr, { kind: 'cr', cr: f0, access: nameOf(CR_ACCESSES, f1), gpr: f2, value: bigintOf(lo, hi) });
    case SHAPE_EXIT_DR:
      return exit(EXIT_REASONS.dr, { kind: 'dr', dr: f0, write: f1 !== 0, gpr: f2, value: bigintOf(lo, hi) });
    case SHAPE_EXIT_EXCEPTION:
      return exit(EXIT_REASONS.exception, {
        kind: 'exception', vector: f0, errorCode: f1 !== 0 ? f2 : undefined, address: bigintOf(sites.addressLo[site], sites.addressHi[site]),
      });
    case SHAPE_EXIT_PAGE_TABLE:
      return exit(EXIT_REASONS.pageTableWrite, { kind: 'page-table', level: f0, address: batch.aux[i], value: bigintOf(lo, hi) });
    case SHAPE_EXIT_PLAIN:
      return exit(f0, { kind: 'plain', qualification: bigintOf(lo, hi) });
    case SHAPE_INTERRUPT:
      return {
        kind: 'interrupt', position, phase: nameOf(INTERRUPT_PHASES, f0), controller: nameOf(CONTROLLERS, f3), vector: f1 === 0 ? undefined : f1 - 1, line: f2 === 0 ? undefined : f2 - 1,
      };
    case SHAPE_UART_TX:
      return device({ kind: 'uart-tx', port: f0, byte: lo });
    case SHAPE_UART_RX:
      return device({ kind: 'uart-rx', port: f0, byte: lo });
    case SHAPE_TIMER_ARM:
      return device({ kind: 'timer-arm', timer: text(), atNs: position + batch.timeOffsetNs[i] + signedNumberOf(lo, hi) });
    case SHAPE_TIMER_FIRE:
      return device({ kind: 'timer-fire', timer: text() });
    case SHAPE_VIRTIO_REQUEST:
      return device({ kind: 'virtio-request', device: text(), queue: f1, head: batch.aux[i], type: f2, sector: numberOf(lo, hi), bytes: f3 });
    case SHAPE_VIRTIO_COMPLETE:
      return device({ kind: 'virtio-complete', device: text(), queue: f1, head: lo, status: f2, bytes: f3 });
    case SHAPE_NET_TX:
      return device({ kind: 'net-tx', device: text(), bytes: lo });
    case SHAPE_NET_RX:
      return device({ kind: 'net-rx', device: text(), bytes: lo });
    case SHAPE_IDLE:
      return { kind: 'idle', position, ns: numberOf(lo, hi) };
    case SHAPE_DIRTY:
      return { kind: 'dirty', position, epoch: numberOf(lo, hi), pages: pagesOf(payload(), batch.fileOffset), more: f1 !== 0 };
    case SHAPE_FIRST_WRITES: {
      const firstWrites = firstWritesOf(payload(), position, batch.fileOffset);
      return { kind: 'dirty', position, epoch: numberOf(lo, hi), pages: firstWrites.page.slice().sort(), firstWrites, more: f1 !== 0 };
    }
    case SHAPE_COUNTS:
      return { kind: 'counts', position, kernelInstructions: numberOf(lo, hi), systemCalls: batch.aux[i] };
    case SHAPE_DIGEST: {
      const bytes = payload();
      let at = 16;
      const next = (bit: number): string | undefined => (f0 & (1 << bit) ? hexOf(bytes.subarray(at, (at += 16))) : undefined);
      const cpu = next(0);
      const ram = next(1);
      const devices = next(2);
      if (f0 > 7) unknown(`digest components ${f0}`);
      if (at !== bytes.length) unknown(`a digest of ${bytes.length} bytes`);
      const components: DigestComponents = { ...(cpu !== undefined && { cpu }), ...(ram !== undefined && { ram }), ...(devices !== undefined && { devices }) };
      return { kind: 'digest', position, digest: hexOf(bytes.subarray(0, 16)), components };
    }
    case SHAPE_MARK:
      return { kind: 'mark', position, name: text(), source: nameOf(MARK_SOURCES, f1) };
    case SHAPE_END: {
      const bytes = payload();
      const hasDigest = bytes[0] === 1;
      const detail = textOf(bytes.subarray(hasDigest ? 17 : 1)) ?? unknown('the detail of the end is not UTF-8');
      const totals = { records: numberOf(lo, hi), virtualNs: position + batch.timeOffsetNs[i] };
      return { kind: 'end', position, reason: nameOf(END_REASONS, f0), detail, ...(hasDigest && { digest: hexOf(bytes.subarray(1, 17)) }), totals };
    }
    default:
      return unknown(`shape ${sites.shape[site]}`);
  }
}

function pagesOf(payload: Uint8Array, fileOffset: number): Uint32Array {
  // Two passes: the first counts, because a run of a few bytes may be half a million pages.
  let count = 0;
  const counter = new ByteReader(payload, fileOffset);
  while (!counter.done) count += counter.varint() % 2 === 1 ? counter.varintU32() + 2 : 1;
  if (count > 0x0100_0000) counter.fail('a dirty set is larger than any memory');
  const pages = new Uint32Array(count);
  const reader = new ByteReader(payload, fileOffset);
  let page = 0;
  let at = 0;
  while (!reader.done) {
    const code = reader.varint();
    page += Math.floor(code / 2);
    const length = code % 2 === 1 ? reader.varintU32() + 2 : 1;
    for (let i = 0; i < length; i++) pages[at++] = page++;
  }
  return pages;
}

function firstWritesOf(payload: Uint8Array, endPosition: number, fileOffset: number): FirstWrites {
  const page: number[] = [];
  const position: number[] = [];
  const timeOffsetNs: number[] = [];
  const isZero: number[] = [];
  const reader = new ByteReader(payload, fileOffset);
  let at = endPosition;
  let offset = 0;
  let pageBefore = 0;
  while (!reader.done) {
    const code = reader.varint();
    const delta = Math.floor(code / 4);
    at += page.length === 0 ? -delta : delta;
    if (at < 0 || at > endPosition) reader.fail('a first write that is not in its epoch');
    if (code % 2 === 1) offset += reader.varint();
    reader.zigzag64(pageBefore, 0);
    if (reader.hi !== 0) reader.fail('a page that no memory has');
    pageBefore = reader.lo;
    page.push(pageBefore);
    position.push(at);
    timeOffsetNs.push(offset);
    isZero.push(code % 4 >= 2 ? 1 : 0);
  }
  if (!Number.isSafeInteger(offset)) reader.fail('a number is not a safe integer');
  return { page: Uint32Array.from(page), position: Float64Array.from(position), timeOffsetNs: Float64Array.from(timeOffsetNs), isZero: Uint8Array.from(isZero) };
}
