/**
 * The events of a log as objects: for people, tools and tests. Programs that read many use EventBatch (typed arrays) instead, and
 * programs that write many use the plain methods of EventSink.
 *
 * 64-bit values (rip, linear addresses, register values) are bigint; everything else is a number.
 */
import type { DeviceReport } from '../devices/device.ts';
import type { Position } from './position.ts';

/** Number of each kind in the file; FORMAT.md, section 4. */
export const KIND_NAMES = [undefined, 'input', 'exit', 'interrupt', 'device', 'idle', 'dirty', 'digest', 'mark', 'end', 'counts'] as const;
export type LogKind = Exclude<(typeof KIND_NAMES)[number], undefined>;
export const LOG_KINDS = KIND_NAMES.filter((name): name is LogKind => name !== undefined);

export const KIND_INPUT = 1;
export const KIND_EXIT = 2;
export const KIND_INTERRUPT = 3;
export const KIND_DEVICE = 4;
export const KIND_IDLE = 5;
export const KIND_DIRTY = 6;
export const KIND_DIGEST = 7;
export const KIND_MARK = 8;
export const KIND_END = 9;
export const KIND_COUNTS = 10;

/** The number of a kind. */
export function kindCode(kind: LogKind): number {
  return KIND_NAMES.indexOf(kind);
}

/** Records by kind. */
export type KindCounts = Readonly<Record<LogKind, number>>;

/** Codes are the places in these lists; FORMAT.md, section 4. Append only. */
export const CONTROL_ACTIONS = ['power-button', 'reset', 'pause', 'resume'] as const;
export type ControlAction = (typeof CONTROL_ACTIONS)[number];
export const INTERRUPT_PHASES = ['raised', 'injected', 'acknowledged', 'eoi'] as const;
export type InterruptPhase = (typeof INTERRUPT_PHASES)[number];
export const CONTROLLERS = ['pic', 'ioapic', 'lapic', 'event-channel'] as const;
export type Controller = (typeof CONTROLLERS)[number];
export const CR_ACCESSES = ['mov-to', 'mov-from', 'clts', 'lmsw'] as const;
export type CrAccess = (typeof CR_ACCESSES)[number];
export const MARK_SOURCES = ['guest', 'user', 'tool'] as const;
export type MarkSource = (typeof MARK_SOURCES)[number];
export const END_REASONS = ['shutdown', 'reset', 'limit', 'user', 'error', 'truncated', 'triple-fault', 'debug-exit', 'halted'] as const;
export type EndReason = (typeof END_REASONS)[number];

/** The same codes as numbers, for the hot path. */
export const PHASE_RAISED = 0;
export const PHASE_INJECTED = 1;
export const PHASE_ACKNOWLEDGED = 2;
export const PHASE_EOI = 3;
export const CONTROLLER_PIC = 0;
export const CONTROLLER_IOAPIC = 1;
export const CONTROLLER_LAPIC = 2;
export const CR_MOV_TO = 0;
export const CR_MOV_FROM = 1;
export const CR_CLTS = 2;
export const CR_LMSW = 3;

/** Flags of an I/O or MMIO access. */
export const ACCESS_WRITE = 0x10;
export const ACCESS_STRING = 0x20;
export const ACCESS_REP = 0x40;

/** Basic exit reasons: Intel SDM, volume 3, appendix C ("VMX Basic Exit Reasons"); ours begin at 0x100. */
export const EXIT_REASONS = {
  exception: 0,
  externalInterrupt: 1,
  tripleFault: 2,
  cpuid: 10,
  hlt: 12,
  invd: 13,
  invlpg: 14,
  rdpmc: 15,
  rdtsc: 16,
  vmcall: 18,
  cr: 28,
  dr: 29,
  io: 30,
  rdmsr: 31,
  wrmsr: 32,
  mwait: 36,
  monitor: 39,
  pause: 40,
  gdtrIdtr: 46,
  ldtrTr: 47,
  eptViolation: 48,
  mmio: 49,
  rdtscp: 51,
  wbinvd: 54,
  xsetbv: 55,
  /** Not Intel's: the guest stores to one of its page tables. What it is to a hypervisor depends on the technique (nothing, #PF, EPT violation, hypercall). */
  pageTableWrite: 0x100,
  /** Not Intel's: SYSCALL of a program, which the hypervisor of a paravirtual guest hands to its kernel; the qualification is RAX. */
  paravirtualSystemCall: 0x101,
} as const;

/**
 * Not Intel's: a hypercall of a paravirtual guest (engine/guests/pv-abi.h); its number, 0 to 63, is added. The qualification: operations of mmu_update and mmuext_op, and from bit 16 on how many tables they
 * validated (until revision 3 of the machine, of mmuext_op alone, how many of them pin a table); of multicall the operations of its mmu_updates, and from revision 4 on, if it is of hypercalls without
 * events, from bit 16 on the tables that all of it validated; the operation of sched_op and event_channel_op; else 0.
 */
export const HYPERCALL_REASON = 0x200;
export const HYPERCALLS = 64;

export type InputDetail =
  | { readonly kind: 'console'; readonly port: string; readonly bytes: Uint8Array; readonly more: boolean }
  | { readonly kind: 'net'; readonly port: string; readonly bytes: Uint8Array; readonly more: boolean }
  | { readonly kind: 'entropy'; readonly port: string; readonly bytes: Uint8Array; readonly more: boolean }
  /** ns since 1970-01-01 UTC */
  | { readonly kind: 'wall-clock'; readonly ns: bigint }
  | { readonly kind: 'control'; readonly action: ControlAction }
  /** What a branch changes; FORMAT.md, section 4. */
  | { readonly kind: 'register'; readonly register: string; readonly value: bigint }
  /** address is guest-physical */
  | { readonly kind: 'memory'; readonly address: number; readonly bytes: Uint8Array }
  | { readonly kind: 'timer-shift'; readonly timer: string; readonly ns: number }
  | { readonly kind: 'line'; readonly line: number; readonly asserted: boolean }
  | { readonly kind: 'stall'; readonly ns: number };

export type ExitDetail =
  /** size in bytes; costNs is what the access adds to the time offset */
  | { readonly kind: 'io'; readonly port: number; readonly size: number; readonly write: boolean; readonly string: boolean; readonly rep: boolean; readonly value: number; readonly costNs: number }
  /** address is guest-physical */
  | { readonly kind: 'mmio'; readonly address: number; readonly size: number; readonly write: boolean; readonly value: bigint; readonly costNs: number }
  | { readonly kind: 'msr'; readonly index: number; readonly write: boolean; readonly value: bigint }
  | { readonly kind: 'cpuid'; readonly leaf: number; readonly subleaf: number }
  | { readonly kind: 'cr'; readonly cr: number; readonly access: CrAccess; readonly gpr: number; readonly value: bigint }
  | { readonly kind: 'dr'; readonly dr: number; readonly write: boolean; readonly gpr: number; readonly value: bigint }
  /** address is CR2 of a page fault, DR6 bits of a debug exception, else 0 */
  | { readonly kind: 'exception'; readonly vector: number; readonly errorCode: number | undefined; readonly address: bigint }
  /** level: 1 for the table whose entries map 4 KiB pages, to 4; address of the entry, guest-physical; value: the whole new entry */
  | { readonly kind: 'page-table'; readonly level: number; readonly address: number; readonly value: bigint }
  /** Every other reason: HLT, INVLPG (qualification is the linear address), VMCALL, PAUSE, ... */
  | { readonly kind: 'plain'; readonly qualification: bigint };

export interface InputEvent {
  readonly kind: 'input';
  /** Where the guest could see it first. */
  readonly position: Position;
  readonly input: InputDetail;
}

export interface ExitEvent {
  readonly kind: 'exit';
  readonly position: Position;
  /** Intel's basic exit reason. */
  readonly reason: number;
  readonly rip: bigint;
  readonly detail: ExitDetail;
}

export interface InterruptEvent {
  readonly kind: 'interrupt';
  readonly position: Position;
  readonly phase: InterruptPhase;
  readonly controller: Controller;
  readonly vector: number | undefined;
  readonly line: number | undefined;
}

export interface DeviceEvent {
  readonly kind: 'device';
  readonly position: Position;
  readonly report: DeviceReport;
}

/** Virtual time passes without instructions. */
export interface IdleEvent {
  readonly kind: 'idle';
  readonly position: Position;
  readonly ns: number;
}

/** Pages written in an epoch, ascending page frame numbers. */
export interface DirtyEvent {
  readonly kind: 'dirty';
  readonly position: Position;
  readonly epoch: number;
  readonly pages: Uint32Array;
  /** Of logs with `firstWrites` in their options; of the same pages. */
  readonly firstWrites?: FirstWrites;
  /** The next event goes on with this set; with first writes it is the later ones. */
  readonly more: boolean;
}

/** Columns, in the order of position, time offset, page. */
export interface FirstWrites {
  readonly page: Uint32Array;
  /** Of the instruction that made the page dirty; for what a device did between two, that of the next one. */
  readonly position: Float64Array;
  /** At that write: virtual ns = position + timeOffsetNs. */
  readonly timeOffsetNs: Float64Array;
  /** 1: at the end of the epoch the page is all zeros. */
  readonly isZero: Uint8Array;
}

/** What the CPU has counted since reset. */
export interface CountsEvent {
  readonly kind: 'counts';
  readonly position: Position;
  /** Instructions retired at privilege 0 to 2. */
  readonly kernelInstructions: number;
  /** SYSCALL, SYSENTER, INT n from privilege 3; modulo 2^32. */
  readonly systemCalls: number;
}

export interface DigestComponents {
  readonly cpu?: string;
  readonly ram?: string;
  readonly devices?: string;
}

/** Digests are 128 bits, 32 lower-case hex digits. */
export interface DigestEvent {
  readonly kind: 'digest';
  readonly position: Position;
  readonly digest: string;
  readonly components: DigestComponents;
}

export interface MarkEvent {
  readonly kind: 'mark';
  readonly position: Position;
  readonly name: string;
  readonly source: MarkSource;
}

export interface EndTotals {
  /** Records before the end. */
  readonly records: number;
  readonly virtualNs: number;
}

export interface EndEvent {
  readonly kind: 'end';
  readonly position: Position;
  readonly reason: EndReason;
  readonly detail: string;
  readonly digest?: string;
  /** Present in what was read. Writers compute it. */
  readonly totals?: EndTotals;
}

export type LogEvent = InputEvent | ExitEvent | InterruptEvent | DeviceEvent | IdleEvent | DirtyEvent | CountsEvent | DigestEvent | MarkEvent | EndEvent;

/** One line for people: `@123 exit io {...}`. Not a format; may change. */
export function describeEvent(event: LogEvent): string {
  const { kind, position, ...rest } = event;
  const text = JSON.stringify(rest, (_, value: unknown) => {
    if (typeof value === 'bigint') return `0x${value.toString(16)}`;
    if (value instanceof Uint8Array || value instanceof Uint32Array) {
      return value.length > 32 ? `${Array.from(value.subarray(0, 32)).join(' ')} ... (${value.length})` : Array.from(value).join(' ');
    }
    return value;
  });
  return `@${position} ${kind} ${text}`;
}
