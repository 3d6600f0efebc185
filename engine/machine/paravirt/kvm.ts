/**
 * KVM's paravirtual interface: clock, end of interrupt, steal time, poll control, hypercalls. Interface: Linux 6.1 Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst,
 * arch/x86/include/uapi/asm/kvm_para.h, asm/pvclock-abi.h; answers: arch/x86/kvm/x86.c, lapic.c.
 *
 * The host is one that does nothing else, with a TSC of 1 GHz that never stops: steal time is 0, and the clock page holds for ever once it is
 * written (KVM's master clock). It is written anew when the guest registers it or writes IA32_TSC.
 */
import type { CpuidRow } from '../../cpu/model.ts';
import type { SavedState } from '../../devices/device.ts';
import { StoredMsrs } from '../stored-msrs.ts';
import { EoiAssist } from './eoi-assist.ts';
import {
  APIC_ID, APIC_SVR, type HypercallRegisters, type Paravirt, type ParavirtOptions, RAX, RBX, RCX, RDX, RSI, SVR_ENABLE, bits, signature,
} from './paravirt.ts';

export const KVM_SIGNATURE = 0x4000_0000;
export const KVM_FEATURES = 0x4000_0001;
const LEAVES_LAST = 0x4000_00ff;

// Bits of KVM_FEATURES, EAX
const FEATURE_NOP_IO_DELAY = 1;
const FEATURE_CLOCKSOURCE2 = 3;
const FEATURE_STEAL_TIME = 5;
const FEATURE_PV_EOI = 6;
const FEATURE_PV_UNHALT = 7;
const FEATURE_PV_SEND_IPI = 11;
const FEATURE_POLL_CONTROL = 12;
const FEATURE_CLOCKSOURCE_STABLE = 24;

export const MSR_WALL_CLOCK_NEW = 0x4b56_4d00;
export const MSR_SYSTEM_TIME_NEW = 0x4b56_4d01;
export const MSR_STEAL_TIME = 0x4b56_4d03;
export const MSR_PV_EOI_EN = 0x4b56_4d04;
export const MSR_POLL_CONTROL = 0x4b56_4d05;
const MSRS_FIRST = 0x4b56_4d00;
const MSRS_LAST = 0x4b56_4dff;
const MSR_ENABLED = 1n;

const WALL_CLOCK_BYTES = 12;
const CLOCK_BYTES = 32;
const STEAL_TIME_BYTES = 64;
/** Of MSR_STEAL_TIME: bits 1 to 5 are reserved, the address is a multiple of 64. */
const STEAL_RESERVED = 0x3en;
/** pvclock: ns = (TSC ticks << shift) * multiplier >> 32. At 1 GHz a tick is a ns; this is how KVM writes 1 (kvm_get_time_scale). */
const TSC_TO_NS_MULTIPLIER = 0x8000_0000;
const TSC_SHIFT = 1;
const CLOCK_TSC_STABLE = 1;

export const HC_VAPIC_POLL_IRQ = 1n;
export const HC_KICK_CPU = 5n;
export const HC_CLOCK_PAIRING = 9n;
export const HC_SEND_IPI = 10n;
const EPERM = 1n, EINVAL = 22n, EOPNOTSUPP = 95n, ENOSYS = 1000n;

// The interrupt command of HC_SEND_IPI, as the low word of ICR (SDM vol. 3A figure 10-12)
const ICR_VECTOR = 0xffn, ICR_MODE = 0x700n, ICR_LOWEST = 0x100n, ICR_LOGICAL = 0x800n, ICR_ASSERT = 0x4000n, ICR_LEVEL = 0x8000n, ICR_SHORTHAND = 0xc0000n;

export class KvmParavirt implements Paravirt {
  readonly name = 'kvm';
  readonly eoi: EoiAssist | undefined;
  private readonly options: ParavirtOptions;
  private readonly features: number;
  private readonly msrs: StoredMsrs;

  constructor(options: ParavirtOptions) {
    this.options = options;
    const { apic, memory } = options;
    this.eoi = apic === undefined ? undefined : new EoiAssist(memory, apic);
    const always = bits(FEATURE_NOP_IO_DELAY, FEATURE_CLOCKSOURCE2, FEATURE_STEAL_TIME, FEATURE_POLL_CONTROL, FEATURE_CLOCKSOURCE_STABLE);
    this.features = apic === undefined ? always : (always | bits(FEATURE_PV_EOI, FEATURE_PV_UNHALT, FEATURE_PV_SEND_IPI)) >>> 0;
    const indices: (readonly [number, bigint])[] = [[MSR_WALL_CLOCK_NEW, 0n], [MSR_SYSTEM_TIME_NEW, 0n], [MSR_STEAL_TIME, 0n], [MSR_POLL_CONTROL, 1n]];
    if (apic !== undefined) indices.push([MSR_PV_EOI_EN, 0n]);
    this.msrs = new StoredMsrs(new Map(indices));
  }

  cpuid(leaf: number): CpuidRow | undefined {
    if (leaf < KVM_SIGNATURE || leaf > LEAVES_LAST) return undefined;
    if (leaf === KVM_SIGNATURE) return [KVM_FEATURES, signature('KVMK'), signature('VMKV'), signature('M\0\0\0')];
    // EDX, hints: a vCPU may be scheduled out (KVM_HINTS_REALTIME is clear).
    return leaf === KVM_FEATURES ? [this.features, 0, 0, 0] : [0, 0, 0, 0];
  }

  ownsMsr(index: number): boolean {
    return index >= MSRS_FIRST && index <= MSRS_LAST;
  }
  readMsr(index: number): bigint | undefined {
    return this.msrs.get(index);
  }

  writeMsr(index: number, value: bigint): boolean {
    switch (index) {
      case MSR_WALL_CLOCK_NEW:
        this.msrs.set(index, value);
        this.writeWallClock(value);
        return true;
      case MSR_SYSTEM_TIME_NEW:
        this.msrs.set(index, value);
        this.writeClock();
        return true;
      case MSR_STEAL_TIME:
        if ((value & STEAL_RESERVED) !== 0n) return false;
        this.msrs.set(index, value);
        this.writeStealTime(value);
        return true;
      case MSR_PV_EOI_EN:
        return this.writeEoiEnable(value);
      case MSR_POLL_CONTROL:
        // The host of this machine does not poll; what a host that does saves is the projection's to say (regimes/hw.ts).
        return value <= 1n && this.msrs.set(index, value);
      default:
        return false;
    }
  }

  // ---- pages shared with the guest ----

  /** `paddr` as a number if the guest has memory there. KVM lets what points elsewhere be. */
  private place(paddr: bigint, length: number): number | undefined {
    const at = Number(paddr);
    return paddr <= 0xffff_ffffn && this.options.memory.contains(at, length) ? at : undefined;
  }

  /** struct pvclock_wall_clock: u32 version, odd while it is written; u32 s and u32 ns since 1970 at which the clock of the guest was 0. */
  private writeWallClock(paddr: bigint): void {
    const { memory, wallClockNs } = this.options;
    const at = paddr === 0n ? undefined : this.place(paddr, WALL_CLOCK_BYTES);
    if (at === undefined) return;
    const version = beingWritten(memory.read32(at));
    memory.write32(at, version);
    memory.write32(at + 4, Number(BigInt.asUintN(32, wallClockNs / 1_000_000_000n)));
    memory.write32(at + 8, Number(wallClockNs % 1_000_000_000n));
    memory.write32(at, (version + 1) >>> 0);
  }

  /** struct pvclock_vcpu_time_info: u32 version, u32 pad, u64 tsc_timestamp, u64 system_time (ns), u32 tsc_to_system_mul, s8 tsc_shift, u8 flags, u8 pad[2]. */
  private writeClock(): void {
    const { memory, tsc, timers } = this.options;
    const msr = this.msrs.get(MSR_SYSTEM_TIME_NEW)!;
    const at = (msr & MSR_ENABLED) === 0n ? undefined : this.place(msr & ~MSR_ENABLED, CLOCK_BYTES);
    if (at === undefined) return;
    const version = beingWritten(memory.read32(at));
    const body = new Uint8Array(CLOCK_BYTES - 4);
    const view = new DataView(body.buffer);
    view.setBigUint64(4, tsc.now(), true);
    view.setBigUint64(12, BigInt(timers.now()), true);
    view.setUint32(20, TSC_TO_NS_MULTIPLIER, true);
    view.setInt8(24, TSC_SHIFT);
    view.setUint8(25, CLOCK_TSC_STABLE);
    memory.write32(at, version);
    memory.write(at + 4, body);
    memory.write32(at, (version + 1) >>> 0);
  }

  /** struct kvm_steal_time: u64 steal (ns), u32 version, u32 flags, u8 preempted, padding. Nothing is ever stolen: it is written once. */
  private writeStealTime(msr: bigint): void {
    const { memory } = this.options;
    const at = (msr & MSR_ENABLED) === 0n ? undefined : this.place(msr & ~MSR_ENABLED, STEAL_TIME_BYTES);
    if (at === undefined) return;
    memory.write(at + 16, Uint8Array.of(0));
    const version = memory.read32(at + 8);
    memory.write32(at + 8, (version + (version & 1) + 2) >>> 0);
  }

  private writeEoiEnable(value: bigint): boolean {
    const { eoi } = this;
    if (eoi === undefined) return false;
    const paddr = value & ~MSR_ENABLED;
    const at = this.place(paddr, 1);
    if ((paddr & 3n) !== 0n || ((value & MSR_ENABLED) !== 0n && at === undefined)) return false;
    this.msrs.set(MSR_PV_EOI_EN, value);
    eoi.disable();
    if ((value & MSR_ENABLED) !== 0n) eoi.enable(at!);
    return true;
  }

  tscChanged(): void {
    this.writeClock();
  }

  // ---- hypercalls ----

  hypercall(caller: HypercallRegisters): bigint {
    const { is64 } = caller;
    const read = (register: number): bigint => (is64 ? caller.register(register) : BigInt.asUintN(32, caller.register(register)));
    const result = caller.privilege !== 0 ? -EPERM : this.call(read(RAX), [read(RBX), read(RCX), read(RDX), read(RSI)], is64);
    return BigInt.asUintN(is64 ? 64 : 32, result);
  }

  private call(number: bigint, [a0, a1, a2, a3]: readonly bigint[], is64: boolean): bigint {
    const { apic } = this.options;
    switch (number) {
      case HC_VAPIC_POLL_IRQ:
        return 0n;
      case HC_KICK_CPU:
        // Wakes a vCPU that halted. The only one is the caller, which runs; an APIC ID that no vCPU has wakes none, and KVM does not complain.
        return apic === undefined ? -ENOSYS : 0n;
      case HC_CLOCK_PAIRING:
        // The host's clock is not read through its TSC while the guest looks: as KVM answers then.
        return -EOPNOTSUPP;
      case HC_SEND_IPI:
        return apic === undefined ? -ENOSYS : this.sendIpi(a0, a1, a2, a3, is64);
      default:
        return -ENOSYS;
    }
  }

  /** `low` and `high` are a set of APIC IDs from `first` on. The number of vCPUs that took the interrupt. */
  private sendIpi(low: bigint, high: bigint, first: bigint, icr: bigint, is64: boolean): bigint {
    const apic = this.options.apic!;
    if ((icr & (ICR_LOGICAL | ICR_SHORTHAND)) !== 0n) return -EINVAL;
    const set = is64 ? low | (high << 64n) : low | (high << 32n);
    const bit = BigInt(apic.readRegister(APIC_ID) >>> 24) - BigInt.asUintN(32, first);
    if (bit < 0n || ((set >> bit) & 1n) === 0n) return 0n;
    const mode = icr & ICR_MODE;
    const isLevel = (icr & ICR_LEVEL) !== 0n;
    // This machine has no NMI, SMI or INIT.
    if ((mode !== 0n && mode !== ICR_LOWEST) || (isLevel && (icr & ICR_ASSERT) === 0n)) return 0n;
    if ((apic.readRegister(APIC_SVR) & SVR_ENABLE) === 0) return 0n;
    apic.deliver(Number(icr & ICR_VECTOR), isLevel);
    return 1n;
  }

  // ---- state ----

  reset(): void {
    this.msrs.reset();
    this.eoi?.reset();
  }
  save(): SavedState {
    return { msrs: this.msrs.save(), ...(this.eoi !== undefined && { eoi: this.eoi.save() }) };
  }
  restore(state: SavedState): void {
    this.msrs.restore(state.msrs as SavedState);
    this.eoi?.restore(state.eoi as SavedState);
  }
}

/** The odd version after `version`: a reader of a shared page waits while it is odd, and reads again when it has changed. */
function beingWritten(version: number): number {
  return ((version + 1) | 1) >>> 0;
}
