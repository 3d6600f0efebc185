/**
 * The local APIC of a machine with one CPU: xAPIC, x2APIC and the timer. Source: Intel SDM vol. 3A, chapter 10.
 *
 *     deliver() / LVT / IPI ──► IRR ──► (class above PPR?) ──► output ──► acknowledge() ──► ISR ──► EOI
 *
 * The PIC's INTR pin does not pass through here: while `acceptsExtInt`, the machine interrupts the CPU when either
 * `output` or the PIC's INTR is asserted, and takes the vector from this APIC first (it has the higher priority).
 *
 * The timer runs on the bus clock. `startNs` and `phaseCount` say when a countdown began and from what; each edge of a periodic
 * timer is computed from them. It is armed in the machine only while its interrupt is unmasked.
 *
 * Left out, as no guest here asks for it: SMI, INIT and start-up messages (accepted and dropped), moving the register page (#GP).
 */
import { allOnes } from '../byte-port.ts';
import type { InterruptLine, MmioDevice, SavedState, Timer, TimerSource } from '../device.ts';
import { Frequency } from '../frequency.ts';
import { restoreState, saveState } from '../saved-state.ts';
import * as r from './registers.ts';

export interface LapicOptions {
  readonly timers: TimerSource;
  /** An interrupt that the CPU should take. Called on changes only, never from restore(). */
  readonly output: (asserted: boolean) => void;
  /** The APIC itself raised an interrupt: timer, error, local pin, IPI. Called before it is pending. */
  readonly onRaise?: (vector: number) => void;
  /** The guest ended the interrupt `vector`; when `level`, the I/O APIC must be told. */
  readonly onEoi?: (vector: number, level: boolean) => void;
  /** NMI by LINT1 (or LINT0) or IPI. */
  readonly onNmi?: () => void;
  /** `acceptsExtInt` changed. */
  readonly onExtIntChange?: (accepts: boolean) => void;
  /** The time-stamp counter; without it there is no TSC-deadline mode. */
  readonly tsc?: LapicTsc;
  /** Frequency of the timer before division, Hz; 1 GHz unless given. */
  readonly busHz?: number;
  /** The CPU has x2APIC mode. False unless given. */
  readonly x2apic?: boolean;
  /** APIC ID, 0 unless given. */
  readonly id?: number;
  /**
   * State at power-on as firmware leaves it: software-enabled, LINT0 = ExtINT, LINT1 = NMI, both unmasked (MultiProcessor
   * Specification 1.4, 3.6.2.2, virtual wire mode). True unless given; false gives the state after reset of the SDM.
   */
  readonly virtualWire?: boolean;
}

export interface LapicTsc {
  now(): bigint;
  /** The first virtual ns at which now() is at least `tsc`; Infinity when out of reach. */
  toNs(tsc: bigint): number;
}

type LapicState = {
  /** IA32_APIC_BASE[11], IA32_APIC_BASE[10]. */
  enabled: boolean;
  x2apic: boolean;
  id: number;
  tpr: number;
  ldr: number;
  dfr: number;
  svr: number;
  /** 256 bits each, in eight words. */
  isr: number[];
  tmr: number[];
  irr: number[];
  /** As read; errors collect in `errors` until ESR is written. */
  esr: number;
  errors: number;
  icrLow: number;
  icrHigh: number;
  lvt: number[];
  initialCount: number;
  divide: number;
  /** A countdown is under way (or has just ended without anybody looking). */
  running: boolean;
  /** Virtual ns at which `phaseCount` began to count down. Later periods count from `initialCount`. */
  startNs: number;
  phaseCount: number;
  /** IA32_TSC_DEADLINE, two words; 0 is disarmed. */
  deadlineLow: number;
  deadlineHigh: number;
  /** Virtual ns for which the timer is armed; NONE. */
  armedNs: number;
  /** Levels of the two pins. */
  lint0: boolean;
  lint1: boolean;
  output: boolean;
  extInt: boolean;
};

const NONE = -1;
const WORDS = 8;

export class Lapic implements MmioDevice {
  readonly name = 'lapic';
  readonly mmioBase = r.LAPIC_BASE;
  readonly mmioLength = r.LAPIC_BYTES;
  /** Pins. In ExtINT mode (the usual one) LINT0 needs no driver; in fixed and NMI mode it is what the PIC's INTR drives. */
  readonly lint0: InterruptLine;
  readonly lint1: InterruptLine;
  private readonly options: LapicOptions;
  private readonly timer: Timer;
  private readonly bus: Frequency;
  private state: LapicState;

  constructor(options: LapicOptions) {
    this.options = options;
    this.bus = new Frequency(options.busHz ?? 1_000_000_000);
    this.timer = options.timers.create('lapic', () => this.onTimer());
    this.lint0 = { set: (asserted) => this.setLint0(asserted) };
    this.lint1 = { set: (asserted) => this.setLint1(asserted) };
    this.state = this.stateAtPowerOn();
  }

  /** Level of the output. */
  get intr(): boolean {
    return this.state.output;
  }

  /** IA32_APIC_BASE[11], which CPUID.1:EDX[9] follows. */
  get enabled(): boolean {
    return this.state.enabled;
  }

  /**
   * The PIC's INTR reaches the CPU: the APIC is globally disabled (SDM 10.4.3: LINT0 is then the INTR pin), or LINT0 is
   * unmasked in ExtINT mode. Software-disabling masks LINT0 (10.4.7.2).
   */
  get acceptsExtInt(): boolean {
    return this.state.extInt;
  }

  /** Task priority, 0 to 255. */
  get tpr(): number {
    return this.state.tpr;
  }

  set tpr(value: number) {
    this.state.tpr = value & 0xff;
    this.update();
  }

  /** CR8 is bits 7:4 of the task priority (SDM 10.8.6); writing it clears the others. */
  get cr8(): number {
    return this.state.tpr >> 4;
  }

  set cr8(value: number) {
    this.tpr = (value & 15) << 4;
  }

  /** The highest vector in service; -1. */
  get inService(): number {
    return highest(this.state.isr);
  }
  /** An interrupt waits in IRR, deliverable or not. */
  get isPending(): boolean {
    return highest(this.state.irr) !== NONE;
  }
  /** The interrupt came level-triggered. */
  isLevel(vector: number): boolean {
    return hasBit(this.state.tmr, vector);
  }

  /** An interrupt message from an I/O APIC or a device (fixed or lowest priority). */
  deliver(vector: number, level: boolean): void {
    if (!this.isSoftwareEnabled()) return;
    if (vector < r.VECTOR_MIN) this.error(r.ERROR_RECEIVE_ILLEGAL_VECTOR);
    else this.accept(vector, level);
  }

  /** Whether a message is for this APIC (SDM 10.6.2). `destination` is that of the message: 8 bits from an I/O APIC. */
  matches(destination: number, logical: boolean): boolean {
    const { x2apic, id, dfr } = this.state;
    if (destination === 0xffffffff || (destination === 0xff && !(x2apic && logical))) return true;
    if (!logical) return destination === id;
    const ldr = this.ldr();
    if (x2apic) return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
    const own = ldr >>> 24;
    if (dfr >>> 28 === r.DFR_FLAT) return (destination & own) !== 0;
    return destination >> 4 === own >> 4 && (destination & own & 15) !== 0;
  }

  /** The CPU takes the interrupt: gives its vector. The spurious vector, with no in-service bit, when none is left. */
  acknowledge(): number {
    const { state } = this;
    const vector = highest(state.irr);
    if (vector === NONE || vector >> 4 <= this.ppr() >> 4) return state.svr & r.SVR_VECTOR;
    clearBit(state.irr, vector);
    setBit(state.isr, vector);
    this.update();
    return vector;
  }

  /** The relation of TSC and virtual time changed (IA32_TSC or IA32_TSC_ADJUST was written). */
  tscChanged(): void {
    this.serviceTimer();
    this.settleTimer();
  }

  reset(): void {
    const { state } = this;
    this.state = this.stateAtPowerOn();
    this.state.output = state.output;
    this.state.extInt = state.extInt;
    this.timer.cancel();
    this.update();
  }

  save(): SavedState {
    return saveState(this.state);
  }

  restore(state: SavedState): void {
    this.state = restoreState(this.stateAtPowerOn(), state, this.name);
  }

  /** Registers are 32 bits at multiples of 16; narrower reads take a part of one. */
  readMmio(offset: number, size: number): number {
    if (!this.isXapic() || (offset & 12) !== 0) return allOnes(size);
    const value = this.readRegister(offset >> 4);
    if (value === undefined) {
      this.error(r.ERROR_ILLEGAL_REGISTER);
      return 0;
    }
    return ((value >>> ((offset & 3) * 8)) & allOnes(size)) >>> 0;
  }

  /** Only aligned writes of 4 bytes have an effect (SDM 10.4.1: others are undefined). */
  writeMmio(offset: number, size: number, value: number): void {
    if (!this.isXapic() || size !== 4 || (offset & 15) !== 0) return;
    const register = offset >> 4;
    if (register === r.ICR_HIGH) this.state.icrHigh = (value & 0xff000000) >>> 0;
    else if (register === r.ICR_LOW) this.writeIcr(value, this.state.icrHigh >>> 24);
    else if (register === r.ID) this.state.id = value >>> 24;
    else if (register === r.LDR) this.state.ldr = (value & 0xff000000) >>> 0;
    else if (register === r.DFR) this.state.dfr = (value | 0x0fffffff) >>> 0;
    else if (!this.writeRegister(register, value) && this.readRegister(register) === undefined) this.error(r.ERROR_ILLEGAL_REGISTER);
  }

  /** IA32_APIC_BASE, IA32_TSC_DEADLINE and 0x800 to 0x8ff. Undefined where RDMSR raises #GP(0). */
  readMsr(index: number): bigint | undefined {
    const { state, options } = this;
    if (index === r.MSR_APIC_BASE) {
      const flags = r.BASE_BOOTSTRAP | (state.enabled ? r.BASE_ENABLE : 0) | (state.x2apic ? r.BASE_X2APIC : 0);
      return BigInt(r.LAPIC_BASE) | BigInt(flags);
    }
    if (index === r.MSR_TSC_DEADLINE) {
      if (options.tsc === undefined) return undefined;
      this.serviceTimer();
      this.settleTimer();
      return (BigInt(state.deadlineHigh) << 32n) | BigInt(state.deadlineLow);
    }
    if (!state.x2apic || index < r.MSR_X2APIC || index > r.MSR_X2APIC_LAST) return undefined;
    const register = index - r.MSR_X2APIC;
    // SDM table 10-6: no DFR, no ICR high, no APR; EOI and SELF IPI are write-only.
    if (register === r.DFR || register === r.ICR_HIGH || register === r.APR || register === r.EOI) return undefined;
    const value = this.readRegister(register);
    if (value === undefined) return undefined;
    return register === r.ICR_LOW ? (BigInt(state.icrHigh) << 32n) | BigInt(value) : BigInt(value);
  }

  /** `value` is unsigned, 64 bits. False where WRMSR raises #GP(0). */
  writeMsr(index: number, value: bigint): boolean {
    const { state } = this;
    const low = Number(value & 0xffffffffn);
    const high = Number(value >> 32n);
    if (index === r.MSR_APIC_BASE) return this.writeBase(low, high);
    if (index === r.MSR_TSC_DEADLINE) return this.writeDeadline(low, high);
    if (!state.x2apic || index < r.MSR_X2APIC || index > r.MSR_X2APIC_LAST) return false;
    const register = index - r.MSR_X2APIC;
    if (register === r.ICR_LOW) {
      if ((low & ~r.ICR_WRITABLE) !== 0) return false;
      state.icrHigh = high;
      this.writeIcr(low, high);
      return true;
    }
    if (high !== 0) return false;
    if (register === r.SELF_IPI) {
      if (low > 0xff) return false;
      this.sendFixed(low);
      return true;
    }
    if ((register === r.EOI || register === r.ESR) && low !== 0) return false;
    if ((low & ~this.writableBits(register)) !== 0) return false;
    return this.writeRegister(register, low);
  }

  private stateAtPowerOn(): LapicState {
    const { id = 0, virtualWire = true } = this.options;
    const lvt: number[] = new Array(r.LVT_COUNT).fill(r.LVT_MASKED);
    if (virtualWire) {
      lvt[r.LVT_LINT0 - r.LVT_TIMER] = r.DELIVERY_EXTINT << 8;
      lvt[r.LVT_LINT1 - r.LVT_TIMER] = r.DELIVERY_NMI << 8;
    }
    return {
      enabled: true,
      x2apic: false,
      id,
      tpr: 0,
      ldr: 0,
      dfr: r.DFR_AT_RESET,
      svr: virtualWire ? r.SVR_ENABLE | r.SVR_VECTOR : r.SVR_VECTOR,
      isr: new Array(WORDS).fill(0),
      tmr: new Array(WORDS).fill(0),
      irr: new Array(WORDS).fill(0),
      esr: 0,
      errors: 0,
      icrLow: 0,
      icrHigh: 0,
      lvt,
      initialCount: 0,
      divide: 0,
      running: false,
      startNs: 0,
      phaseCount: 0,
      deadlineLow: 0,
      deadlineHigh: 0,
      armedNs: NONE,
      lint0: false,
      lint1: false,
      output: false,
      extInt: virtualWire,
    };
  }

  private isXapic(): boolean {
    return this.state.enabled && !this.state.x2apic;
  }

  private isSoftwareEnabled(): boolean {
    return this.state.enabled && (this.state.svr & r.SVR_ENABLE) !== 0;
  }

  private lvt(register: number): number {
    return this.state.lvt[register - r.LVT_TIMER];
  }

  /** In x2APIC mode the logical ID follows from the ID (SDM 10.12.10.2). */
  private ldr(): number {
    const { x2apic, id, ldr } = this.state;
    return x2apic ? (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0 : ldr;
  }

  /** Processor priority (SDM 10.8.3.1). */
  private ppr(): number {
    const { tpr, isr } = this.state;
    const served = highest(isr);
    return served === NONE || tpr >> 4 >= served >> 4 ? tpr : served & 0xf0;
  }

  /** Arbitration priority: the highest of TPR, ISR and IRR (only P6 and older have the register; SDM 10.6.2.4). */
  private apr(): number {
    const requested = highest(this.state.irr);
    const ppr = this.ppr();
    return requested === NONE || ppr >> 4 >= requested >> 4 ? ppr : requested & 0xf0;
  }

  /** Unsigned; undefined when there is no such register. */
  private readRegister(register: number): number | undefined {
    const { state } = this;
    if (register >= r.ISR && register < r.TMR) return state.isr[register - r.ISR] >>> 0;
    if (register >= r.TMR && register < r.IRR) return state.tmr[register - r.TMR] >>> 0;
    if (register >= r.IRR && register < r.IRR + WORDS) return state.irr[register - r.IRR] >>> 0;
    if (register >= r.LVT_TIMER && register <= r.LVT_ERROR) return this.lvt(register);
    switch (register) {
      case r.ID:
        return state.x2apic ? state.id : (state.id << 24) >>> 0;
      case r.VERSION:
        return r.VERSION_VALUE;
      case r.TPR:
        return state.tpr;
      case r.APR:
        return this.apr();
      case r.PPR:
        return this.ppr();
      case r.EOI:
        return 0; // write-only
      case r.LDR:
        return this.ldr();
      case r.DFR:
        return state.dfr;
      case r.SVR:
        return state.svr;
      case r.ESR:
        return state.esr;
      case r.ICR_LOW:
        return state.icrLow;
      case r.ICR_HIGH:
        return state.icrHigh;
      case r.INITIAL_COUNT:
        return state.initialCount;
      case r.CURRENT_COUNT:
        return this.currentCount(this.options.timers.now());
      case r.DIVIDE:
        return state.divide;
      default:
        return undefined;
    }
  }

  /** Bits whose setting raises no #GP in x2APIC mode. */
  private writableBits(register: number): number {
    if (register >= r.LVT_TIMER && register <= r.LVT_ERROR) return this.lvtWritable(register) | r.LVT_REMOTE_IRR | 0x1000;
    if (register === r.TPR) return 0xff;
    if (register === r.SVR) return r.SVR_WRITABLE;
    if (register === r.DIVIDE) return r.DIVIDE_WRITABLE;
    return 0xffffffff;
  }

  private lvtWritable(register: number): number {
    const bits = r.LVT_WRITABLE[register - r.LVT_TIMER];
    return register === r.LVT_TIMER && this.options.tsc === undefined ? bits & ~r.TIMER_DEADLINE : bits;
  }

  /** The registers that both modes write in the same way. False for all others. */
  private writeRegister(register: number, value: number): boolean {
    const { state } = this;
    if (register >= r.LVT_TIMER && register <= r.LVT_ERROR) {
      this.writeLvt(register, value);
      return true;
    }
    switch (register) {
      case r.TPR:
        this.tpr = value;
        return true;
      case r.EOI:
        this.endOfInterrupt();
        return true;
      case r.SVR:
        this.writeSvr(value & r.SVR_WRITABLE);
        return true;
      case r.ESR:
        state.esr = state.errors;
        state.errors = 0;
        return true;
      case r.INITIAL_COUNT:
        this.writeInitialCount(value);
        return true;
      case r.DIVIDE:
        this.writeDivide(value & r.DIVIDE_WRITABLE);
        return true;
      default:
        return false;
    }
  }

  private writeBase(low: number, high: number): boolean {
    const { state, options } = this;
    const known = r.BASE_BOOTSTRAP | r.BASE_ENABLE | (options.x2apic === true ? r.BASE_X2APIC : 0);
    if (high !== 0 || (low & 0xfff & ~known) !== 0 || (low & 0xfffff000) >>> 0 !== r.LAPIC_BASE) return false;
    const enabled = (low & r.BASE_ENABLE) !== 0;
    const x2apic = (low & r.BASE_X2APIC) !== 0;
    // SDM 10.12.5, figure 10-27: the steps that raise #GP.
    if (x2apic && !enabled) return false;
    if (x2apic && !state.enabled) return false;
    if (!x2apic && enabled && state.x2apic) return false;
    if (!enabled && state.enabled) this.disable();
    state.enabled = enabled;
    if (x2apic && !state.x2apic) state.id = options.id ?? 0;
    state.x2apic = x2apic;
    this.update();
    return true;
  }

  /** "The local APIC returns to the state of a reset" once it is enabled again (SDM 10.4.3). */
  private disable(): void {
    const { output, extInt, lint0, lint1 } = this.state;
    this.timer.cancel();
    const lvt: number[] = new Array(r.LVT_COUNT).fill(r.LVT_MASKED);
    Object.assign(this.state, this.stateAtPowerOn(), { lvt, svr: r.SVR_VECTOR, output, extInt, lint0, lint1 });
  }

  private writeSvr(value: number): void {
    const { state } = this;
    state.svr = value;
    if ((value & r.SVR_ENABLE) === 0) {
      this.serviceTimer();
      for (let entry = 0; entry < r.LVT_COUNT; entry++) state.lvt[entry] |= r.LVT_MASKED; // SDM 10.4.7.2
      this.settleTimer();
    }
    this.update();
  }

  private writeLvt(register: number, value: number): void {
    const { state } = this;
    const old = this.lvt(register);
    let entry = (value & this.lvtWritable(register)) | (old & r.LVT_REMOTE_IRR);
    if (!this.isSoftwareEnabled()) entry |= r.LVT_MASKED;
    if (register === r.LVT_TIMER) this.serviceTimer();
    state.lvt[register - r.LVT_TIMER] = entry;
    if (register === r.LVT_TIMER) {
      const mode = entry & r.LVT_TIMER_MODE;
      const oldMode = old & r.LVT_TIMER_MODE;
      // To and from TSC-deadline the timer is disarmed (SDM 10.5.4.1).
      if (mode !== oldMode && (mode === r.TIMER_DEADLINE || oldMode === r.TIMER_DEADLINE)) this.disarm();
      this.settleTimer();
    } else if (register === r.LVT_LINT0) {
      if ((entry & r.LVT_LEVEL) === 0) state.lvt[register - r.LVT_TIMER] &= ~r.LVT_REMOTE_IRR;
      this.deliverLint0Level();
    }
    this.update();
  }

  // ---- interrupts ----

  /** An interrupt that comes from inside the APIC. */
  private deliverOwn(vector: number): void {
    if (!this.isSoftwareEnabled()) return;
    if (vector < r.VECTOR_MIN) this.error(r.ERROR_RECEIVE_ILLEGAL_VECTOR);
    else this.raise(vector, false);
  }

  private raise(vector: number, level: boolean): void {
    this.options.onRaise?.(vector);
    this.accept(vector, level);
  }

  private accept(vector: number, level: boolean): void {
    const { state } = this;
    setBit(state.irr, vector);
    if (level) setBit(state.tmr, vector);
    else clearBit(state.tmr, vector);
    this.update();
  }

  private update(): void {
    const { state } = this;
    const vector = state.enabled ? highest(state.irr) : NONE;
    const output = vector !== NONE && vector >> 4 > this.ppr() >> 4;
    if (output !== state.output) {
      state.output = output;
      this.options.output(output);
    }
    const lint0 = this.lvt(r.LVT_LINT0);
    const extInt = !state.enabled || ((lint0 & r.LVT_MASKED) === 0 && deliveryMode(lint0) === r.DELIVERY_EXTINT);
    if (extInt !== state.extInt) {
      state.extInt = extInt;
      this.options.onExtIntChange?.(extInt);
    }
  }

  /** As a write to the EOI register. */
  endOfInterrupt(): void {
    const { state } = this;
    const vector = highest(state.isr);
    if (vector === NONE) return;
    clearBit(state.isr, vector);
    const level = hasBit(state.tmr, vector);
    const lint0 = this.lvt(r.LVT_LINT0);
    if (level && (lint0 & r.LVT_REMOTE_IRR) !== 0 && (lint0 & r.LVT_VECTOR) === vector) {
      state.lvt[r.LVT_LINT0 - r.LVT_TIMER] &= ~r.LVT_REMOTE_IRR;
      this.deliverLint0Level();
    }
    this.options.onEoi?.(vector, level);
    this.update();
  }

  private error(bit: number): void {
    const { state } = this;
    state.errors |= bit;
    const entry = this.lvt(r.LVT_ERROR);
    if ((entry & r.LVT_MASKED) !== 0) return;
    const vector = entry & r.LVT_VECTOR;
    if (vector < r.VECTOR_MIN) state.errors |= r.ERROR_RECEIVE_ILLEGAL_VECTOR;
    else this.raise(vector, false);
  }

  private setLint0(asserted: boolean): void {
    const { state } = this;
    if (state.lint0 === asserted) return;
    state.lint0 = asserted;
    if (!asserted) return;
    if ((this.lvt(r.LVT_LINT0) & r.LVT_LEVEL) !== 0) this.deliverLint0Level();
    else this.deliverPin(this.lvt(r.LVT_LINT0));
  }

  private setLint1(asserted: boolean): void {
    const { state } = this;
    if (state.lint1 === asserted) return;
    state.lint1 = asserted;
    if (asserted) this.deliverPin(this.lvt(r.LVT_LINT1)); // always edge-triggered (SDM 10.5.1)
  }

  private deliverPin(entry: number): void {
    if ((entry & r.LVT_MASKED) !== 0) return;
    if (deliveryMode(entry) === r.DELIVERY_NMI) this.options.onNmi?.();
    else if (deliveryMode(entry) === r.DELIVERY_FIXED) this.deliverOwn(entry & r.LVT_VECTOR);
  }

  private deliverLint0Level(): void {
    const { state } = this;
    const entry = this.lvt(r.LVT_LINT0);
    const wanted = r.LVT_LEVEL; // unmasked, level, fixed, and not yet sent
    if (!state.lint0 || (entry & (r.LVT_LEVEL | r.LVT_MASKED | r.LVT_REMOTE_IRR)) !== wanted) return;
    if (deliveryMode(entry) !== r.DELIVERY_FIXED) return;
    const vector = entry & r.LVT_VECTOR;
    if (vector < r.VECTOR_MIN) return this.error(r.ERROR_RECEIVE_ILLEGAL_VECTOR);
    state.lvt[r.LVT_LINT0 - r.LVT_TIMER] |= r.LVT_REMOTE_IRR;
    this.raise(vector, true);
  }

  /** Sends the message of the interrupt command register (SDM 10.6.1). This CPU is the only one it can reach. */
  private writeIcr(low: number, destination: number): void {
    const { state } = this;
    state.icrLow = (low & r.ICR_WRITABLE) >>> 0;
    const shorthand = (low >>> 18) & 3;
    const reaches =
      shorthand === r.SHORTHAND_SELF ||
      shorthand === r.SHORTHAND_ALL ||
      (shorthand === r.SHORTHAND_NONE && this.matches(destination, (low & r.ICR_LOGICAL) !== 0));
    const mode = deliveryMode(low);
    if (mode === r.DELIVERY_FIXED || mode === r.DELIVERY_LOWEST) {
      if ((low & 0xff) < r.VECTOR_MIN) this.error(r.ERROR_SEND_ILLEGAL_VECTOR);
      else if (reaches) this.sendFixed(low & 0xff);
    } else if (mode === r.DELIVERY_NMI && reaches) {
      this.options.onNmi?.();
    }
  }

  private sendFixed(vector: number): void {
    if (vector < r.VECTOR_MIN) this.error(r.ERROR_SEND_ILLEGAL_VECTOR);
    else this.deliverOwn(vector);
  }

  // ---- timer ----

  private timerMode(): number {
    return this.lvt(r.LVT_TIMER) & r.LVT_TIMER_MODE;
  }

  /** Bus ticks to one count (SDM figure 10-10). */
  private divisor(): number {
    const { divide } = this.state;
    return 1 << ((((divide & 8) >> 1) | (divide & 3)) + 1 & 7);
  }

  private currentCount(nowNs: number): number {
    const { running, startNs, phaseCount, initialCount } = this.state;
    if (!running) return 0;
    const counted = Math.floor(this.bus.ticksAt(nowNs - startNs) / this.divisor());
    if (counted < phaseCount) return phaseCount - counted;
    if (this.timerMode() !== r.TIMER_PERIODIC) return 0;
    return initialCount - ((counted - phaseCount) % initialCount);
  }

  /** Virtual ns of the first end of a countdown after `nowNs`; NONE. */
  private nextEndNs(nowNs: number): number {
    const { running, startNs, phaseCount, initialCount } = this.state;
    if (!running) return NONE;
    const divisor = this.divisor();
    const firstNs = startNs + this.bus.nsAt(phaseCount * divisor);
    if (firstNs > nowNs) return firstNs;
    if (this.timerMode() !== r.TIMER_PERIODIC) return NONE;
    const counted = Math.floor(this.bus.ticksAt(nowNs - startNs) / divisor);
    const periods = Math.floor((counted - phaseCount) / initialCount) + 1;
    return startNs + this.bus.nsAt((phaseCount + periods * initialCount) * divisor);
  }

  private writeInitialCount(value: number): void {
    const { state } = this;
    if (this.timerMode() === r.TIMER_DEADLINE) return; // ignored (SDM 10.5.4.1)
    this.serviceTimer();
    state.initialCount = value >>> 0;
    state.phaseCount = state.initialCount;
    state.startNs = this.options.timers.now();
    state.running = state.initialCount !== 0;
    this.settleTimer();
  }

  /** The countdown goes on from the present count, at the new speed. */
  private writeDivide(value: number): void {
    const { state } = this;
    this.serviceTimer();
    if (value !== state.divide && state.running) {
      const nowNs = this.options.timers.now();
      state.phaseCount = this.currentCount(nowNs);
      state.startNs = nowNs;
      state.running = state.phaseCount !== 0;
    }
    state.divide = value;
    this.settleTimer();
  }

  private writeDeadline(low: number, high: number): boolean {
    const { state } = this;
    if (this.options.tsc === undefined) return false;
    if (this.timerMode() !== r.TIMER_DEADLINE) return true; // ignored
    this.serviceTimer();
    state.deadlineLow = low;
    state.deadlineHigh = high;
    this.settleTimer();
    return true;
  }

  private disarm(): void {
    const { state } = this;
    state.running = false;
    state.initialCount = 0;
    state.deadlineLow = 0;
    state.deadlineHigh = 0;
  }

  private onTimer(): void {
    this.serviceTimer();
    this.settleTimer();
  }

  /** Delivers an interrupt that is due, and notices a countdown or deadline that ended without one. */
  private serviceTimer(): void {
    const { state } = this;
    const nowNs = this.options.timers.now();
    const isDue = state.armedNs !== NONE && state.armedNs <= nowNs;
    if (isDue) {
      state.armedNs = NONE;
      this.timer.cancel();
    }
    const mode = this.timerMode();
    if (mode === r.TIMER_DEADLINE) {
      if (isDue || this.isDeadlinePast()) {
        state.deadlineLow = 0;
        state.deadlineHigh = 0;
      }
    } else if (mode !== r.TIMER_PERIODIC && state.running && this.nextEndNs(nowNs) === NONE) {
      state.running = false;
    }
    if (isDue) this.deliverOwn(this.lvt(r.LVT_TIMER) & r.LVT_VECTOR);
  }

  private isDeadlinePast(): boolean {
    const { tsc } = this.options;
    const deadline = this.deadline();
    return tsc !== undefined && deadline !== 0n && tsc.now() >= deadline;
  }

  private deadline(): bigint {
    return (BigInt(this.state.deadlineHigh) << 32n) | BigInt(this.state.deadlineLow);
  }

  /** Arms the machine's timer for the next interrupt, if it is wanted. */
  private settleTimer(): void {
    const { state } = this;
    const atNs = this.isTimerWanted() ? this.nextInterruptNs(this.options.timers.now()) : NONE;
    if (atNs === state.armedNs) return;
    state.armedNs = atNs;
    if (atNs === NONE) this.timer.cancel();
    else this.timer.arm(atNs);
  }

  private isTimerWanted(): boolean {
    return this.isSoftwareEnabled() && (this.lvt(r.LVT_TIMER) & r.LVT_MASKED) === 0;
  }

  private nextInterruptNs(nowNs: number): number {
    if (this.timerMode() !== r.TIMER_DEADLINE) return this.nextEndNs(nowNs);
    const { tsc } = this.options;
    const deadline = this.deadline();
    if (tsc === undefined || deadline === 0n) return NONE;
    const atNs = Math.max(tsc.toNs(deadline), nowNs);
    return atNs <= Number.MAX_SAFE_INTEGER ? atNs : NONE;
  }
}

function deliveryMode(entry: number): number {
  return (entry >> 8) & 7;
}

function setBit(words: number[], bit: number): void {
  words[bit >> 5] = (words[bit >> 5] | (1 << (bit & 31))) >>> 0;
}

function clearBit(words: number[], bit: number): void {
  words[bit >> 5] = (words[bit >> 5] & ~(1 << (bit & 31))) >>> 0;
}

function hasBit(words: readonly number[], bit: number): boolean {
  return (words[bit >> 5] & (1 << (bit & 31))) !== 0;
}

/** The highest bit set in 256; NONE. */
function highest(words: readonly number[]): number {
  for (let index = WORDS - 1; index >= 0; index--) {
    if (words[index] !== 0) return index * 32 + 31 - Math.clz32(words[index]);
  }
  return NONE;
}
