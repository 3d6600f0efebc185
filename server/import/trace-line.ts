/**
 * One line of `perf script`, `trace-cmd report` or the kernel's own trace file, taken apart.
 *
 *     CPU 5/KVM-2137779 [010] d.... 798115.331413: kvm_msr: msr_write 6e0 = 0x81cba98c958c9      ftrace: three to five flags, or none
 *     dirty_log_test-29003 [001] 184503.384328: kvm_entry:            vcpu 1                     trace-cmd report
 *     kb64 17107 [000]  2724.148915:  kvm:kvm_pio: pio_read at 0x1234 size 1 count 1 val 0x0     perf script: the thread is a column of its own
 *
 * Layouts: Linux include/trace/events/kvm.h and arch/x86/kvm/trace.h of 5.x to 6.18; libtraceevent plugins/plugin_kvm.c.
 */

export interface TraceLine {
  readonly comm: string;
  readonly thread: number;
  readonly cpu: number;
  /** Undefined where the trace was printed without times. */
  readonly ns: number | undefined;
  /** Without `kvm:`. */
  readonly event: string;
  readonly detail: string;
  readonly layout: 'perf script' | 'trace-cmd report' | 'ftrace';
}

/** Thread names hold blanks, dashes and brackets: what counts is the last number before the bracket of the CPU. */
const LINE = /^\s*(\S.*?)(?:-(\d{1,10})|\s+(?:\d{1,10}\/)?(\d{1,10}))\s+(?:\(\s*[\d-]+\)\s+)?\[(\d{1,5})\]\s+(?:([^\s:]{3,8})\s+)?(?:(\d{1,10})\.(\d{1,9}):\s+)?(?:([a-z][a-z0-9_]*):)?([A-Za-z_][A-Za-z0-9_]*):(?:\s+(.*))?$/;

export function parseTraceLine(text: string): TraceLine | undefined {
  const match = LINE.exec(text);
  if (match === null) return undefined;
  const [, comm, dashed, column, cpu, flags, seconds, fraction, system, event, detail] = match;
  return {
    comm,
    thread: Number(dashed ?? column),
    cpu: Number(cpu),
    ns: seconds === undefined ? undefined : Number(seconds) * 1e9 + Number(fraction.padEnd(9, '0')),
    event,
    detail: (detail ?? '').trim(),
    layout: system !== undefined ? 'perf script' : flags === undefined ? 'trace-cmd report' : 'ftrace',
  };
}

export interface ExitDetail {
  readonly vcpu: number | undefined;
  readonly reason: string;
  /** Entry failed (bit 31 of the reason). */
  readonly isFailedEntry: boolean;
  readonly rip: bigint;
  readonly info1: bigint | undefined;
  readonly generation: 'old' | 'transitional' | 'long' | 'requests' | 'short' | 'arm64';
}

const NUMBER = '(?:0x)?([0-9a-f]{1,16})';
const EXIT = new RegExp(`^(?:vcpu (\\d{1,5}) )?(?:\\[?)reason (\\S[^\\n]{0,60}?)( FAILED_VMENTRY)? rip ${NUMBER}(?:,? info ${NUMBER} ${NUMBER}| info1 ${NUMBER} info2 ${NUMBER}(.*))?$`);
const EXIT_ARM = /^([A-Z_]{2,20}): (?:HSR|ESR)_EC: 0x[0-9a-f]{1,8} \(([A-Za-z0-9_]{1,20})\), PC: 0x([0-9a-f]{1,16})$/;

export function parseExit(detail: string): ExitDetail | undefined {
  const match = EXIT.exec(detail);
  if (match !== null) {
    const [, vcpu, reason, failed, rip, oldInfo, , longInfo, , rest] = match;
    const info = oldInfo ?? longInfo;
    return {
      vcpu: vcpu === undefined ? undefined : Number(vcpu),
      reason: reason.trim(),
      isFailedEntry: failed !== undefined,
      rip: BigInt(`0x${rip}`),
      info1: info === undefined ? undefined : BigInt(`0x${info}`),
      generation: longInfo !== undefined ? (rest.includes('requests') ? 'requests' : 'long') : oldInfo !== undefined ? (vcpu === undefined ? 'old' : 'transitional') : 'short',
    };
  }
  const arm = EXIT_ARM.exec(detail);
  if (arm === null) return undefined;
  return { vcpu: undefined, reason: arm[1] === 'TRAP' ? arm[2] : arm[1], isFailedEntry: false, rip: BigInt(`0x${arm[3]}`), info1: undefined, generation: 'arm64' };
}

/** `vcpu 1`, `vcpu 1, rip 0x..., ...`; arm64: `PC: 0x...`. */
export function parseEntry(detail: string): { readonly vcpu: number | undefined } | undefined {
  const match = /^(?:vcpu (\d{1,5})\b|PC: 0x[0-9a-f]{1,16}$)/.exec(detail);
  return match === null ? undefined : { vcpu: match[1] === undefined ? undefined : Number(match[1]) };
}

export type AccessDetail =
  | { readonly kind: 'port'; readonly write: boolean; readonly port: number }
  | { readonly kind: 'msr'; readonly write: boolean; readonly index: number }
  | { readonly kind: 'gpa'; readonly write: boolean; readonly address: bigint };

/** kvm_pio, kvm_msr, kvm_mmio, kvm_fast_mmio. */
export function parseAccess(event: string, detail: string): AccessDetail | undefined {
  switch (event) {
    case 'kvm_pio': {
      const match = /^pio_(read|write) at (?:0x)?([0-9a-f]{1,4}) /.exec(detail);
      return match === null ? undefined : { kind: 'port', write: match[1] === 'write', port: parseInt(match[2], 16) };
    }
    case 'kvm_msr': {
      const match = /^msr_(read|write) (?:0x)?([0-9a-f]{1,8}) = /.exec(detail);
      return match === null ? undefined : { kind: 'msr', write: match[1] === 'write', index: parseInt(match[2], 16) };
    }
    case 'kvm_mmio': {
      const match = /^mmio (read|write|unsatisfied-read) len \d{1,9} gpa (?:0x)?([0-9a-f]{1,16})\b/.exec(detail);
      return match === null ? undefined : { kind: 'gpa', write: match[1] === 'write', address: BigInt(`0x${match[2]}`) };
    }
    case 'kvm_fast_mmio': {
      const match = /^fast mmio at gpa (?:0x)?([0-9a-f]{1,16})$/.exec(detail);
      return match === null ? undefined : { kind: 'gpa', write: true, address: BigInt(`0x${match[1]}`) };
    }
    default:
      return undefined;
  }
}
