/** Events as one line for people. What a machine reads is in the log. */
import { type EventBatch, eventAt } from '../engine/log/event-batch.ts';
import { EXIT_REASONS, type ExitEvent, type InputDetail, type LogEvent } from '../engine/log/events.ts';
import type { DeviceReport } from '../engine/devices/device.ts';
import type { EventText } from '../engine/protocol/events.ts';
import { formatNs } from './format.ts';

const PORTS: readonly (readonly [first: number, last: number, name: string])[] = [
  [0x20, 0x21, 'pic'],
  [0x40, 0x43, 'pit'],
  [0x60, 0x64, 'i8042'],
  [0x70, 0x71, 'rtc'],
  [0xa0, 0xa1, 'pic'],
  [0xf4, 0xf4, 'debug exit'],
  [0xf5, 0xf5, 'mark'],
  [0x3f8, 0x3ff, 'uart0'],
];
/** SDM vol. 3A table 6-1 */
const VECTORS: Readonly<Record<number, string>> = { 0: '#DE', 1: '#DB', 2: 'NMI', 3: '#BP', 4: '#OF', 5: '#BR', 6: '#UD', 7: '#NM', 8: '#DF', 10: '#TS', 11: '#NP', 12: '#SS', 13: '#GP', 14: '#PF', 16: '#MF', 17: '#AC', 18: '#MC', 19: '#XM' };
const MSRS: Readonly<Record<number, string>> = {
  0x10: 'IA32_TIME_STAMP_COUNTER', 0x1b: 'IA32_APIC_BASE', 0x277: 'IA32_PAT', 0x6e0: 'IA32_TSC_DEADLINE', 0xc0000080: 'IA32_EFER', 0xc0000081: 'IA32_STAR', 0xc0000082: 'IA32_LSTAR',
  0xc0000084: 'IA32_FMASK', 0xc0000100: 'IA32_FS_BASE', 0xc0000101: 'IA32_GS_BASE', 0xc0000102: 'IA32_KERNEL_GS_BASE', 0xc0000103: 'IA32_TSC_AUX',
}; // prettier-ignore
const PLAIN_NAMES: Readonly<Record<number, string>> = {
  [EXIT_REASONS.hlt]: 'HLT', [EXIT_REASONS.invlpg]: 'INVLPG', [EXIT_REASONS.vmcall]: 'VMCALL', [EXIT_REASONS.pause]: 'PAUSE', [EXIT_REASONS.wbinvd]: 'WBINVD', [EXIT_REASONS.rdtsc]: 'RDTSC',
  [EXIT_REASONS.gdtrIdtr]: 'LGDT/LIDT/SGDT/SIDT', [EXIT_REASONS.ldtrTr]: 'LLDT/LTR/SLDT/STR', [EXIT_REASONS.tripleFault]: 'triple fault', [EXIT_REASONS.externalInterrupt]: 'external interrupt',
}; // prettier-ignore

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function portName(port: number): string {
  const row = PORTS.find(([first, last]) => port >= first && port <= last);
  return row === undefined ? hex(port) : `${hex(port)} (${row[2]})`;
}

function byteText(value: number): string {
  if (value >= 0x20 && value < 0x7f) return `${hex(value)} '${String.fromCharCode(value)}'`;
  return value === 0x0a ? `${hex(value)} '\\n'` : value === 0x0d ? `${hex(value)} '\\r'` : hex(value);
}

function exitText({ reason, detail }: ExitEvent): string {
  switch (detail.kind) {
    case 'io': {
      const rep = detail.rep ? 'REP ' : '';
      const suffix = detail.string ? 'S' : '';
      const value = detail.size === 1 && detail.port === 0x3f8 ? byteText(detail.value) : hex(detail.value);
      return detail.write ? `${rep}OUT${suffix} ${portName(detail.port)} ← ${value}` : `${rep}IN${suffix} ${portName(detail.port)} → ${value}`;
    }
    case 'mmio':
      return `MMIO ${detail.write ? 'write' : 'read'} ${hex(detail.address)} ${detail.write ? '←' : '→'} ${hex(detail.value)} (${detail.size} B)`;
    case 'msr':
      return `${detail.write ? 'WRMSR' : 'RDMSR'} ${MSRS[detail.index] ?? hex(detail.index)} ${detail.write ? '←' : '→'} ${hex(detail.value)}`;
    case 'cpuid':
      return `CPUID leaf ${hex(detail.leaf)} subleaf ${hex(detail.subleaf)}`;
    case 'cr':
      return detail.access === 'mov-from' ? `MOV from CR${detail.cr} → ${hex(detail.value)}` : `${detail.access === 'mov-to' ? `MOV CR${detail.cr}` : detail.access.toUpperCase()} ← ${hex(detail.value)}`;
    case 'dr':
      return `MOV ${detail.write ? '' : 'from '}DR${detail.dr} ${detail.write ? '←' : '→'} ${hex(detail.value)}`;
    case 'exception': {
      const name = VECTORS[detail.vector] ?? `vector ${hex(detail.vector)}`;
      const code = detail.errorCode === undefined ? '' : ` error ${hex(detail.errorCode)}`;
      return detail.vector === 14 ? `${name}${code} at ${hex(detail.address)}` : `${name}${code}`;
    }
    case 'page-table':
      return `page table (level ${detail.level}) entry at ${hex(detail.address)} ← ${hex(detail.value)}`;
    case 'plain': {
      const name = PLAIN_NAMES[reason] ?? `exit reason ${reason}`;
      return detail.qualification === 0n ? name : `${name} ${hex(detail.qualification)}`;
    }
    default:
      return detail satisfies never;
  }
}

function inputText(input: InputDetail): string {
  switch (input.kind) {
    case 'console':
      return `typed on ${input.port}: ${JSON.stringify(new TextDecoder().decode(input.bytes))}`;
    case 'net':
    case 'entropy':
      return `${input.kind} ${input.port}: ${input.bytes.length} bytes`;
    case 'wall-clock':
      return `wall clock ${new Date(Number(input.ns / 1_000_000n)).toISOString()}`;
    case 'control':
      return `control: ${input.action}`;
    case 'register':
      return `${input.register} set to 0x${input.value.toString(16)}`;
    case 'memory':
      return `${input.bytes.length} bytes written to physical 0x${input.address.toString(16)}`;
    case 'timer-shift':
      return `timer ${input.timer} ${input.ns < 0 ? 'early' : 'late'} by ${Math.abs(input.ns)} ns`;
    case 'line':
      return `interrupt line ${input.line} ${input.asserted ? 'raised' : 'lowered'}`;
    case 'stall':
      return `the CPU stands still for ${input.ns} ns`;
    default:
      return input satisfies never;
  }
}

function deviceText(report: DeviceReport): string {
  switch (report.kind) {
    case 'uart-tx':
      return `uart0 sends ${byteText(report.byte)}`;
    case 'uart-rx':
      return `uart0 receives ${byteText(report.byte)}`;
    case 'timer-arm':
      return `${report.timer} armed, fires at ${formatNs(report.atNs)}`;
    case 'timer-fire':
      return `${report.timer} fires`;
    case 'virtio-request':
      return `${report.device} request: queue ${report.queue}, type ${report.type}, sector ${report.sector}, ${report.bytes} bytes`;
    case 'virtio-complete':
      return `${report.device} complete: queue ${report.queue}, status ${report.status}, ${report.bytes} bytes`;
    case 'net-tx':
      return `${report.device} sends ${report.bytes} bytes`;
    case 'net-rx':
      return `${report.device} receives ${report.bytes} bytes`;
    default:
      return report satisfies never;
  }
}

export function eventText(event: LogEvent): string {
  switch (event.kind) {
    case 'input':
      return inputText(event.input);
    case 'exit':
      return exitText(event);
    case 'interrupt': {
      const vector = event.vector === undefined ? '' : ` vector ${hex(event.vector)}`;
      const line = event.line === undefined ? '' : ` IRQ ${event.line}`;
      return `${event.phase} ${event.controller}${line}${vector}`;
    }
    case 'device':
      return deviceText(event.report);
    case 'idle':
      return `idle for ${formatNs(event.ns)}`;
    case 'dirty':
      return `epoch ${event.epoch}: ${event.pages.length} pages written${event.more ? ', and more' : ''}`;
    case 'counts':
      return `${event.kernelInstructions} instructions of the kernel, ${event.systemCalls} system calls since reset`;
    case 'digest':
      return `state ${event.digest}`;
    case 'mark':
      return `${event.name} (${event.source})`;
    case 'end':
      return `${event.reason}${event.detail === '' ? '' : `: ${event.detail}`}`;
    default:
      return event satisfies never;
  }
}

/** Row i of a batch. */
export function rowText(batch: EventBatch, i: number): EventText {
  const event = eventAt(batch, i);
  return {
    row: batch.firstRecord + i,
    position: event.position,
    timeNs: event.position + batch.timeOffsetNs[i],
    kind: batch.kind[i],
    text: eventText(event),
    rip: event.kind === 'exit' ? event.rip.toString(16) : undefined,
  };
}
