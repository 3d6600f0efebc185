/**
 * Hyper-V's interface as far as a guest without VMBus uses it: hypercall page, reference time, APIC registers and end of interrupt by MSR and assist page, synthetic timers
 * in direct mode, frequencies, crash registers. Interface: Hypervisor Top Level Functional Specification 6.0b (chapters 2, 3, 10, 12, appendices A and F),
 * Linux 6.1 arch/x86/include/asm/hyperv-tlfs.h; answers where the specification leaves a choice: arch/x86/kvm/hyperv.c.
 *
 * Not offered: SynIC and with it message-mode timers, VMBus, TLB flushes and IPIs by hypercall (there is one vCPU), and the invariant-TSC bit, so that Linux keeps time by the
 * reference TSC page, as it does under KVM's and QEMU's usual Hyper-V options.
 */
import type { CpuidRow } from '../../cpu/model.ts';
import type { SavedState, Timer } from '../../devices/device.ts';
import { restoreState, saveState } from '../../devices/saved-state.ts';
import { StoredMsrs } from '../stored-msrs.ts';
import { EoiAssist } from './eoi-assist.ts';
import { APIC_EOI, APIC_ICR_HIGH, APIC_ICR_LOW, APIC_TPR, type HypercallRegisters, type Paravirt, type ParavirtApic, type ParavirtOptions, RCX, bits, signature } from './paravirt.ts';

const LEAF_FIRST = 0x4000_0000;
const LEAF_MAX = 0x4000_0006;
const LEAVES_LAST = 0x4000_00ff;

// Leaf 4000_0003h: EAX, what the partition may access; EDX, features
const ACCESS_TIME_REF_COUNT = 1, ACCESS_SYNTHETIC_TIMERS = 3, ACCESS_APIC_MSRS = 4, ACCESS_HYPERCALL_MSRS = 5, ACCESS_VP_INDEX = 6, ACCESS_RESET = 7, ACCESS_REFERENCE_TSC = 9, ACCESS_FREQUENCIES = 11;
const FEATURE_FREQUENCIES = 8, FEATURE_CRASH = 10, FEATURE_DIRECT_TIMERS = 19;
// Leaf 4000_0004h, EAX: recommendations
const HINT_APIC_MSRS = 3, HINT_RELAXED_TIMING = 5;
/** Leaf 4000_0004h, EBX: never tell the hypervisor of a long spin. */
const SPIN_RETRIES_NEVER = 0xffff_ffff;
/** Leaf 4000_0002h: build 14393 of version 10.0 (Windows Server 2016), as KVM and QEMU say. */
const BUILD = 14_393;
const VERSION = 0x000a_0000;

export const MSR_GUEST_OS_ID = 0x4000_0000;
export const MSR_HYPERCALL = 0x4000_0001;
export const MSR_VP_INDEX = 0x4000_0002;
export const MSR_RESET = 0x4000_0003;
export const MSR_TIME_REF_COUNT = 0x4000_0020;
export const MSR_REFERENCE_TSC = 0x4000_0021;
export const MSR_TSC_FREQUENCY = 0x4000_0022;
export const MSR_APIC_FREQUENCY = 0x4000_0023;
export const MSR_EOI = 0x4000_0070;
export const MSR_ICR = 0x4000_0071;
export const MSR_TPR = 0x4000_0072;
export const MSR_VP_ASSIST_PAGE = 0x4000_0073;
export const MSR_STIMER0_CONFIG = 0x4000_00b0;
export const MSR_STIMER0_COUNT = 0x4000_00b1;
export const MSR_CRASH_P0 = 0x4000_0100;
export const MSR_CRASH_CTL = 0x4000_0105;
const MSRS_FIRST = 0x4000_0000;
const MSRS_LAST = 0x4000_01ff;

const PAGE_BYTES = 4096;
/** Of the MSRs that name a page: bit 0 enables it, bits 12 and up are its address. */
const MSR_ENABLED = 1n;
const PAGE_OF_MSR = 0xffff_ffff_ffff_f000n;

/** VMMCALL; RET: the processor is AMD's. */
const HYPERCALL_CODE = Uint8Array.of(0x0f, 0x01, 0xd9, 0xc3);
const CALL_CODE = 0xffffn;
const CALL_NOTIFY_LONG_SPIN_WAIT = 8n;
const STATUS_INVALID_HYPERCALL_CODE = 2n;

/** Of the TSC and of the local APIC's timer. */
const FREQUENCY_HZ = 1_000_000_000n;
/** Reference time counts 100 ns: ((TSC * scale) >> 64) + offset. */
const REFERENCE_NS = 100;
const TSC_SCALE = (1n << 64n) / 100n;
const SEQUENCE_INVALID = 0;

export const STIMERS = 4;
const TIMER_ENABLE = 1n, TIMER_PERIODIC = 2n, TIMER_AUTO_ENABLE = 8n, TIMER_DIRECT = 0x1000n, TIMER_SINT = 0xf_0000n;
/** Bits 63 of MSR_CRASH_CTL: the guest has filled in the parameters. */
const CRASH_NOTIFY = 1n << 63n;
const CRASH_PARAMETERS = 5;
const NONE = -1;

type HyperVState = {
  /** Of the reference TSC page; SEQUENCE_INVALID while there is none. */
  tscSequence: number;
  /** 100 ns, signed, decimal. */
  tscOffset: string;
  /** Reference time at which each timer expires; NONE. */
  expiries: number[];
};

export class HyperVParavirt implements Paravirt {
  readonly name = 'hyperv';
  readonly eoi: EoiAssist | undefined;
  private readonly options: ParavirtOptions;
  private readonly apic: ParavirtApic | undefined;
  private readonly msrs: StoredMsrs;
  private readonly timers: readonly Timer[];
  private state = atPowerOn();

  constructor(options: ParavirtOptions) {
    this.options = options;
    const { apic, memory, timers } = options;
    this.apic = apic;
    this.eoi = apic === undefined ? undefined : new EoiAssist(memory, apic);
    this.timers = apic === undefined ? [] : Array.from({ length: STIMERS }, (_, i) => timers.create(`hv-stimer${i}`, () => this.timerFired(i)));
    const indices = [MSR_GUEST_OS_ID, MSR_HYPERCALL, MSR_REFERENCE_TSC, MSR_VP_ASSIST_PAGE];
    for (let i = 0; i < this.timers.length; i++) indices.push(MSR_STIMER0_CONFIG + i * 2, MSR_STIMER0_COUNT + i * 2);
    for (let i = 0; i < CRASH_PARAMETERS; i++) indices.push(MSR_CRASH_P0 + i);
    this.msrs = new StoredMsrs(new Map(indices.map((index) => [index, 0n])));
  }

  cpuid(leaf: number): CpuidRow | undefined {
    if (leaf < LEAF_FIRST || leaf > LEAVES_LAST) return undefined;
    const hasApic = this.apic !== undefined;
    switch (leaf - LEAF_FIRST) {
      case 0:
        return [LEAF_MAX, signature('Micr'), signature('osof'), signature('t Hv')];
      case 1:
        return [signature('Hv#1'), 0, 0, 0];
      case 2:
        return [BUILD, VERSION, 0, 0];
      case 3: {
        const access = bits(ACCESS_TIME_REF_COUNT, ACCESS_HYPERCALL_MSRS, ACCESS_VP_INDEX, ACCESS_RESET, ACCESS_REFERENCE_TSC, ACCESS_FREQUENCIES);
        const features = bits(FEATURE_FREQUENCIES, FEATURE_CRASH);
        if (!hasApic) return [access, 0, 0, features];
        return [(access | bits(ACCESS_SYNTHETIC_TIMERS, ACCESS_APIC_MSRS)) >>> 0, 0, 0, (features | bits(FEATURE_DIRECT_TIMERS)) >>> 0];
      }
      case 4:
        return [hasApic ? bits(HINT_APIC_MSRS, HINT_RELAXED_TIMING) : bits(HINT_RELAXED_TIMING), SPIN_RETRIES_NEVER, 0, 0];
      case 5:
        // virtual processors, logical processors, interrupt vectors for remapping
        return [1, 1, 0, 0];
      default:
        // Leaf 6: no feature of the hardware is said to be used.
        return [0, 0, 0, 0];
    }
  }

  ownsMsr(index: number): boolean {
    return index >= MSRS_FIRST && index <= MSRS_LAST;
  }

  readMsr(index: number): bigint | undefined {
    const { apic } = this;
    switch (index) {
      case MSR_VP_INDEX:
      case MSR_RESET:
        return 0n;
      case MSR_TIME_REF_COUNT:
        return this.referenceTime();
      case MSR_TSC_FREQUENCY:
      case MSR_APIC_FREQUENCY:
        return FREQUENCY_HZ;
      case MSR_ICR:
        return apic === undefined ? undefined : (BigInt(apic.readRegister(APIC_ICR_HIGH)) << 32n) | BigInt(apic.readRegister(APIC_ICR_LOW));
      case MSR_TPR:
        return apic === undefined ? undefined : BigInt(apic.readRegister(APIC_TPR));
      case MSR_CRASH_CTL:
        return CRASH_NOTIFY;
      default:
        return this.msrs.get(index);
    }
  }

  writeMsr(index: number, value: bigint): boolean {
    switch (index) {
      case MSR_GUEST_OS_ID:
        this.msrs.set(index, value);
        // Without an identity there are no hypercalls (TLFS 3.13).
        if (value === 0n) this.msrs.set(MSR_HYPERCALL, this.msrs.get(MSR_HYPERCALL)! & ~MSR_ENABLED);
        return true;
      case MSR_HYPERCALL:
        return this.writeHypercallPage(value);
      case MSR_RESET:
        if (value === 1n) this.options.onReset?.();
        return true;
      case MSR_REFERENCE_TSC:
        this.msrs.set(index, value);
        this.writeReferenceTsc();
        return true;
      case MSR_EOI:
        return this.writeApic(APIC_EOI, 0);
      case MSR_ICR:
        return this.writeApic(APIC_ICR_HIGH, Number(value >> 32n)) && this.writeApic(APIC_ICR_LOW, Number(value & 0xffff_ffffn));
      case MSR_TPR:
        return value <= 0xffn && this.writeApic(APIC_TPR, Number(value));
      case MSR_VP_ASSIST_PAGE:
        return this.writeAssistPage(value);
      case MSR_CRASH_CTL:
        // The exit has the value; what the guest does after a crash is its own affair.
        return true;
      default:
        if (index >= MSR_STIMER0_CONFIG && index < MSR_STIMER0_CONFIG + this.timers.length * 2) return this.writeTimer(index, value);
        return index >= MSR_CRASH_P0 && this.msrs.set(index, value);
    }
  }

  // ---- pages shared with the guest ----

  /** Where the page that an MSR names is; undefined outside memory. */
  private page(msr: bigint): number | undefined {
    const paddr = msr & PAGE_OF_MSR;
    return paddr <= 0xffff_ffffn && this.options.memory.contains(Number(paddr), PAGE_BYTES) ? Number(paddr) : undefined;
  }

  private writeHypercallPage(value: bigint): boolean {
    if (this.msrs.get(MSR_GUEST_OS_ID) === 0n) return true;
    if ((value & MSR_ENABLED) !== 0n) {
      const at = this.page(value);
      if (at === undefined) return false;
      this.options.memory.write(at, HYPERCALL_CODE);
    }
    return this.msrs.set(MSR_HYPERCALL, value);
  }

  /** u32 sequence (0: use the MSR), u32 reserved, u64 scale, s64 offset. Reference time goes on where it was. */
  private writeReferenceTsc(): void {
    const { state } = this;
    const { memory, tsc } = this.options;
    const now = this.referenceTime();
    const msr = this.msrs.get(MSR_REFERENCE_TSC)!;
    const at = (msr & MSR_ENABLED) === 0n ? undefined : this.page(msr);
    if (at === undefined) {
      state.tscSequence = SEQUENCE_INVALID;
      return;
    }
    const offset = now - scaled(tsc.now());
    const old = memory.read32(at);
    memory.write32(at, SEQUENCE_INVALID);
    const body = new Uint8Array(16);
    const view = new DataView(body.buffer);
    view.setBigUint64(0, TSC_SCALE, true);
    view.setBigInt64(8, offset, true);
    memory.write(at + 8, body);
    state.tscOffset = String(BigInt.asIntN(64, offset));
    state.tscSequence = old >= 0xffff_fffe ? 1 : old + 1;
    memory.write32(at, state.tscSequence);
  }

  private writeAssistPage(value: bigint): boolean {
    const at = this.page(value);
    const isEnabled = (value & MSR_ENABLED) !== 0n;
    if (isEnabled && at === undefined) return false;
    this.msrs.set(MSR_VP_ASSIST_PAGE, value);
    this.eoi?.disable();
    if (!isEnabled) return true;
    this.options.memory.write32(at!, 0);
    this.eoi?.enable(at!);
    return true;
  }

  private writeApic(offset: number, value: number): boolean {
    const { apic, eoi } = this;
    if (apic === undefined) return false;
    eoi!.settle();
    apic.writeRegister(offset, value);
    eoi!.offer();
    return true;
  }

  // ---- time ----

  /** 100 ns since power-on, as a guest computes it from the page if it has one. */
  private referenceTime(): bigint {
    const { tscSequence, tscOffset } = this.state;
    const { tsc, timers } = this.options;
    return tscSequence === SEQUENCE_INVALID ? BigInt(Math.floor(timers.now() / REFERENCE_NS)) : BigInt.asUintN(64, scaled(tsc.now()) + BigInt(tscOffset));
  }

  /** The first virtual ns at which reference time is at least `time`; Infinity when out of reach. */
  private nsOf(time: number): number {
    const { tscSequence, tscOffset } = this.state;
    const { tsc, timers } = this.options;
    if (tscSequence === SEQUENCE_INVALID) return time * REFERENCE_NS;
    const first = (((BigInt(time) - BigInt(tscOffset)) << 64n) + TSC_SCALE - 1n) / TSC_SCALE;
    // A TSC tick is a ns.
    const ns = timers.now() + Number(first - tsc.now());
    return Number.isSafeInteger(ns) ? ns : Infinity;
  }

  /** IA32_TSC was written: `tsc.now()` is the new one, and the page is of the old. */
  tscChanged(): void {
    const { state } = this;
    if (state.tscSequence !== SEQUENCE_INVALID) {
      // From the clock that the write does not touch.
      state.tscSequence = SEQUENCE_INVALID;
      this.writeReferenceTsc();
    }
    state.expiries.forEach((expiry, i) => {
      if (expiry !== NONE) this.arm(i);
    });
  }

  // ---- synthetic timers ----

  private config(timer: number): bigint {
    return this.msrs.get(MSR_STIMER0_CONFIG + timer * 2)!;
  }
  private setConfig(timer: number, value: bigint): void {
    this.msrs.set(MSR_STIMER0_CONFIG + timer * 2, value);
  }

  private writeTimer(index: number, value: bigint): boolean {
    const timer = (index - MSR_STIMER0_CONFIG) >> 1;
    if ((index & 1) === 0) {
      // A message needs a synthetic interrupt source, and there is no SynIC; without either, the timer stays off (TLFS 12.4).
      const isMessage = (value & TIMER_DIRECT) === 0n;
      if (isMessage && (value & TIMER_SINT) !== 0n) return false;
      this.setConfig(timer, isMessage ? value & ~TIMER_ENABLE : value);
    } else {
      this.msrs.set(index, value);
      const config = this.config(timer);
      if (value === 0n) this.setConfig(timer, config & ~TIMER_ENABLE);
      else if ((config & TIMER_AUTO_ENABLE) !== 0n) this.setConfig(timer, (config & TIMER_DIRECT) === 0n ? config : config | TIMER_ENABLE);
    }
    this.startTimer(timer);
    return true;
  }

  private startTimer(timer: number): void {
    const { state } = this;
    this.timers[timer].cancel();
    state.expiries[timer] = NONE;
    const config = this.config(timer);
    const count = Number(this.msrs.get(MSR_STIMER0_COUNT + timer * 2));
    if ((config & TIMER_ENABLE) === 0n || count === 0) return;
    const now = Number(this.referenceTime());
    // One-shot: the count is the time of expiry. Periodic: it is the period.
    const expiry = (config & TIMER_PERIODIC) === 0n ? count : now + count;
    // Beyond 28 years there is no expiry.
    if (!Number.isSafeInteger(expiry * REFERENCE_NS)) return;
    state.expiries[timer] = expiry;
    if (expiry <= now) this.expire(timer, now);
    else this.arm(timer);
  }

  private arm(timer: number): void {
    const atNs = this.nsOf(this.state.expiries[timer]);
    if (atNs === Infinity) this.timers[timer].cancel();
    else this.timers[timer].arm(Math.max(atNs, this.options.timers.now()));
  }

  private timerFired(timer: number): void {
    const now = Number(this.referenceTime());
    if (this.state.expiries[timer] > now) this.arm(timer);
    else this.expire(timer, now);
  }

  private expire(timer: number, now: number): void {
    const { state } = this;
    const config = this.config(timer);
    if ((config & TIMER_PERIODIC) === 0n) {
      this.setConfig(timer, config & ~TIMER_ENABLE);
      state.expiries[timer] = NONE;
    } else {
      const period = Number(this.msrs.get(MSR_STIMER0_COUNT + timer * 2));
      // Periods that went by unseen are not made up for.
      state.expiries[timer] = now + period - ((now - state.expiries[timer]) % period);
      this.arm(timer);
    }
    this.apic!.deliver(Number((config >> 4n) & 0xffn), false);
  }

  // ---- hypercalls ----

  hypercall(caller: HypercallRegisters): bigint | undefined {
    if (caller.privilege !== 0 || (this.msrs.get(MSR_HYPERCALL)! & MSR_ENABLED) === 0n) return undefined;
    const input = caller.is64 ? caller.register(RCX) : BigInt.asUintN(32, caller.register(RCX));
    return (input & CALL_CODE) === CALL_NOTIFY_LONG_SPIN_WAIT ? 0n : STATUS_INVALID_HYPERCALL_CODE;
  }

  // ---- state ----

  reset(): void {
    for (const timer of this.timers) timer.cancel();
    this.msrs.reset();
    this.eoi?.reset();
    this.state = atPowerOn();
  }
  save(): SavedState {
    return { ...saveState(this.state), msrs: this.msrs.save(), ...(this.eoi !== undefined && { eoi: this.eoi.save() }) };
  }
  restore(saved: SavedState): void {
    const { msrs, eoi, ...state } = saved;
    this.state = restoreState(atPowerOn(), state, this.name);
    this.msrs.restore(msrs as SavedState);
    this.eoi?.restore(eoi as SavedState);
  }
}

function atPowerOn(): HyperVState {
  return { tscSequence: SEQUENCE_INVALID, tscOffset: '0', expiries: new Array<number>(STIMERS).fill(NONE) };
}

/** TSC ticks to 100 ns. */
function scaled(tsc: bigint): bigint {
  return (tsc * TSC_SCALE) >> 64n;
}
