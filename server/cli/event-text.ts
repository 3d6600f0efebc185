/** Events as lines and CSV rows: names for what the log has as numbers. */
import type { DeviceReport } from '../../engine/devices/device.ts';
import { HYPERCALLS, HYPERCALL_REASON, type ExitDetail, type LogEvent } from '../../engine/log/events.ts';
import { REASON_NAMES } from '../../engine/log/reason-words.ts';
import { reasonName as techniqueReasonName } from '../../engine/regimes/reasons.ts';

export function reasonName(reason: number): string {
  if (reason >= HYPERCALL_REASON && reason < HYPERCALL_REASON + HYPERCALLS) return techniqueReasonName(reason);
  return REASON_NAMES.get(reason) ?? `reason-${reason}`;
}

/** One event, taken apart into columns; those that it has not are ''. */
export interface EventRow {
  /** What happened: `io`, `raised`, `uart-tx`, `console`, ... */
  readonly name: string;
  readonly rip: string;
  /** Port, address, register, vector, line, timer or device. */
  readonly target: string;
  readonly size: string;
  readonly access: string;
  readonly value: string;
  readonly detail: string;
}

export const CSV_COLUMNS = ['index', 'position', 'virtual_ns', 'kind', 'name', 'rip', 'target', 'size', 'access', 'value', 'detail'] as const;

const EMPTY: EventRow = { name: '', rip: '', target: '', size: '', access: '', value: '', detail: '' };
const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

export function rowOf(event: LogEvent): EventRow {
  switch (event.kind) {
    case 'exit':
      return { ...EMPTY, ...exitRow(event.detail), name: reasonName(event.reason), rip: hex(event.rip) };
    case 'input': {
      const { input } = event;
      switch (input.kind) {
        case 'wall-clock':
          return { ...EMPTY, name: input.kind, value: String(input.ns) };
        case 'control':
          return { ...EMPTY, name: input.kind, detail: input.action };
        case 'register':
          return { ...EMPTY, name: input.kind, target: input.register, access: 'write', value: hex(input.value) };
        case 'memory':
          return { ...EMPTY, name: input.kind, target: hex(input.address), access: 'write', size: String(input.bytes.length), detail: bytesText(input.bytes) };
        case 'timer-shift':
          return { ...EMPTY, name: input.kind, target: input.timer, value: String(input.ns) };
        case 'line':
          return { ...EMPTY, name: input.kind, target: `line ${input.line}`, value: input.asserted ? '1' : '0' };
        case 'stall':
          return { ...EMPTY, name: input.kind, value: String(input.ns) };
        default:
          return { ...EMPTY, name: input.kind, target: input.port, size: String(input.bytes.length), detail: printable(input.bytes) };
      }
    }
    case 'interrupt': {
      const where = [event.vector === undefined ? '' : `vector ${event.vector}`, event.line === undefined ? '' : `line ${event.line}`].filter((text) => text !== '').join(' ');
      return { ...EMPTY, name: event.phase, target: event.controller, detail: where };
    }
    case 'device':
      return { ...EMPTY, ...deviceRow(event.report), name: event.report.kind };
    case 'idle':
      return { ...EMPTY, name: 'idle', value: String(event.ns) };
    case 'dirty':
      return { ...EMPTY, name: 'dirty', size: String(event.pages.length), value: String(event.epoch), detail: pageRanges(event.pages) };
    case 'counts':
      return { ...EMPTY, name: 'counts', detail: `kernel ${event.kernelInstructions} instructions, ${event.systemCalls} system calls` };
    case 'digest':
      return { ...EMPTY, name: 'digest', value: event.digest, detail: Object.entries(event.components).map(([name, digest]) => `${name} ${digest}`).join(' ') };
    case 'mark':
      return { ...EMPTY, name: 'mark', target: event.source, detail: event.name };
    case 'end':
      return { ...EMPTY, name: event.reason, value: event.digest ?? '', detail: event.detail };
  }
}

function exitRow(detail: ExitDetail): Partial<EventRow> {
  switch (detail.kind) {
    case 'io':
      return { target: hex(detail.port), size: String(detail.size), access: detail.write ? 'write' : 'read', value: hex(detail.value), detail: [detail.rep ? 'rep' : '', detail.string ? 'string' : ''].filter((text) => text !== '').join(' ') };
    case 'mmio':
      return { target: hex(detail.address), size: String(detail.size), access: detail.write ? 'write' : 'read', value: hex(detail.value) };
    case 'msr':
      return { target: hex(detail.index), access: detail.write ? 'write' : 'read', value: hex(detail.value) };
    case 'cpuid':
      return { target: hex(detail.leaf), detail: `subleaf ${detail.subleaf}` };
    case 'cr':
      return { target: `cr${detail.cr}`, access: detail.access, value: hex(detail.value) };
    case 'dr':
      return { target: `dr${detail.dr}`, access: detail.write ? 'write' : 'read', value: hex(detail.value) };
    case 'exception':
      return { target: `vector ${detail.vector}`, value: detail.errorCode === undefined ? '' : hex(detail.errorCode), detail: detail.address === 0n ? '' : `address ${hex(detail.address)}` };
    case 'page-table':
      return { target: hex(detail.address), access: 'write', value: hex(detail.value), detail: `level ${detail.level}` };
    case 'plain':
      return { value: detail.qualification === 0n ? '' : hex(detail.qualification) };
  }
}

function deviceRow(report: DeviceReport): Partial<EventRow> {
  switch (report.kind) {
    case 'uart-tx':
    case 'uart-rx':
      return { target: hex(report.port), value: hex(report.byte), detail: printable(Uint8Array.of(report.byte)) };
    case 'timer-arm':
      return { target: report.timer, value: String(report.atNs) };
    case 'timer-fire':
      return { target: report.timer };
    case 'virtio-request':
      return { target: report.device, size: String(report.bytes), value: String(report.sector), detail: `queue ${report.queue} head ${report.head} type ${report.type}` };
    case 'virtio-complete':
      return { target: report.device, size: String(report.bytes), value: String(report.status), detail: `queue ${report.queue} head ${report.head}` };
    case 'net-tx':
    case 'net-rx':
      return { target: report.device, size: String(report.bytes) };
  }
}

/** One line for people. */
export function lineOf(event: LogEvent): string {
  const row = rowOf(event);
  const parts = [row.name, row.target, row.access, row.size === '' ? '' : `${row.size} ${event.kind === 'dirty' ? 'page' : 'byte'}${row.size === '1' ? '' : 's'}`, row.value === '' ? '' : `= ${row.value}`, row.detail];
  const text = parts.filter((part) => part !== '').join(' ');
  return `${`@${event.position}`.padEnd(13)} ${event.kind.padEnd(9)} ${text}${row.rip === '' ? '' : `  rip ${row.rip}`}`;
}

export function csvOf(index: number, virtualNs: number, event: LogEvent): string {
  const { name, rip, target, size, access, value, detail } = rowOf(event);
  return [String(index), String(event.position), String(virtualNs), event.kind, name, rip, target, size, access, value, detail].map(csvField).join(',');
}

function bytesText(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join(' ') + (bytes.length > 16 ? ' ...' : '');
}

/** RFC 4180. */
function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function printable(bytes: Uint8Array): string {
  return JSON.stringify(String.fromCharCode(...bytes.subarray(0, 256))) + (bytes.length > 256 ? ` ... (${bytes.length} bytes)` : '');
}

/** `1-3 7 9-10`, cut when it is long. */
export function pageRanges(pages: Uint32Array, rangesMax = 8): string {
  const ranges: string[] = [];
  for (let i = 0; i < pages.length; ) {
    let last = i;
    while (last + 1 < pages.length && pages[last + 1] === pages[last] + 1) last++;
    if (ranges.length === rangesMax) return `${ranges.join(' ')} ...`;
    ranges.push(last === i ? hex(pages[i]) : `${hex(pages[i])}-${hex(pages[last])}`);
    i = last + 1;
  }
  return ranges.join(' ');
}
