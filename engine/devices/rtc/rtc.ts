/**
 * The MC146818A real-time clock with its 128 bytes of CMOS RAM, ports 0x70 and 0x71, IRQ 8.
 *
 * The time is the wall clock at power-on (an input of the machine) plus virtual time. It is computed when it is read; nothing ticks.
 *
 *     phaseNs  = virtual ns + state.phaseNs      whole seconds of it are update cycles
 *     date     = state.epochSeconds + floor(phaseNs / 10^9), in seconds since the Unix epoch
 *
 * The flags of register C are brought up to date whenever the device is touched; the timer is armed only while a flag
 * that is clear and enabled would raise IRQ 8. The update itself takes no time: UIP is up for the 244 us before it.
 * The day of the week always follows from the date; dates that do not exist are carried over (February 30 is March 1 or 2).
 * The periodic interrupt keeps step with the seconds.
 */
import { allOnes, widenByte } from '../byte-port.ts';
import type { InterruptLine, PortDevice, SavedState, Timer, TimerSource } from '../device.ts';
import { Frequency, NS_PER_SECOND } from '../frequency.ts';
import { restoreState, saveState } from '../saved-state.ts';
import * as r from './registers.ts';

export interface RtcOptions {
  readonly timers: TimerSource;
  /** IRQ 8. */
  readonly irq: InterruptLine;
  /** The wall clock at power-on (virtual time 0), ns since 1970-01-01 UTC. */
  readonly wallClockNs: bigint;
  /** Guest memory, bytes, for the CMOS bytes that tell its size. */
  readonly memoryBytes: number;
}

type RtcState = {
  index: number;
  /** Registers A to C hold their bits without UIP and IRQF. Time bytes count only while the clock is stopped. */
  cmos: Uint8Array;
  epochSeconds: number;
  phaseNs: number;
  /** The flags of register C are complete up to this phase. */
  flagsPhaseNs: number;
  /** Level of IRQ 8. */
  line: boolean;
  /** Virtual ns for which the timer is armed; NONE. */
  armedNs: number;
};

const NONE = -1;
const SECONDS_PER_DAY = 86400;
const timeBase = new Frequency(r.TIME_BASE_HZ);

export class Rtc implements PortDevice {
  readonly name = 'rtc';
  readonly ports = [{ first: r.PORT_INDEX, count: 2 }];
  private readonly options: RtcOptions;
  private readonly timer: Timer;
  private state: RtcState;

  constructor(options: RtcOptions) {
    this.options = options;
    this.timer = options.timers.create('rtc', () => this.onTimer());
    this.state = this.stateAtPowerOn();
  }

  /** The clock and its CMOS RAM as at power-on. The wall clock is that of virtual time 0, so the time of day goes on. */
  reset(): void {
    const nowNs = this.options.timers.now();
    this.state = this.stateAtPowerOn();
    this.state.flagsPhaseNs = nowNs + this.state.phaseNs;
    this.timer.cancel();
    this.options.irq.set(false);
  }

  save(): SavedState {
    return saveState(this.state);
  }

  restore(state: SavedState): void {
    this.state = restoreState(this.stateAtPowerOn(), state, this.name);
  }

  readPort(port: number, size: number): number {
    return port === r.PORT_DATA ? widenByte(this.readRegister(this.state.index), size) : allOnes(size); // the index is write-only
  }

  writePort(port: number, _size: number, value: number): void {
    if (port === r.PORT_INDEX) this.state.index = value & r.INDEX_MASK;
    else if (port === r.PORT_DATA) this.writeRegister(this.state.index, value & 0xff);
  }

  private stateAtPowerOn(): RtcState {
    const wallNs = this.options.wallClockNs;
    const billion = BigInt(NS_PER_SECOND);
    const phaseNs = Number(((wallNs % billion) + billion) % billion);
    const cmos = new Uint8Array(r.CMOS_BYTES);
    cmos[r.REGISTER_A] = r.A_AT_POWER_ON;
    cmos[r.REGISTER_B] = r.B_24_HOURS;
    const bytes = this.options.memoryBytes;
    const kib = Math.floor(bytes / 1024);
    write16(cmos, r.BASE_MEMORY, Math.min(kib, 640));
    write16(cmos, r.EXTENDED_MEMORY, Math.max(kib - 1024, 0));
    write16(cmos, r.EXTENDED_MEMORY_2, Math.max(kib - 1024, 0));
    write16(cmos, r.HIGH_MEMORY, Math.max(Math.floor((kib - 16384) / 64), 0));
    return {
      index: 0,
      cmos,
      epochSeconds: Number((wallNs - BigInt(phaseNs)) / billion),
      phaseNs,
      flagsPhaseNs: phaseNs,
      line: false,
      armedNs: NONE,
    };
  }

  private readRegister(index: number): number {
    const { cmos } = this.state;
    const phaseNs = this.phase();
    if (index === r.REGISTER_A) return cmos[index] | (this.isUpdateNear(phaseNs) ? r.A_UPDATE_IN_PROGRESS : 0);
    if (index === r.REGISTER_C) return this.takeFlags();
    if (index === r.REGISTER_D) return r.D_VALID;
    if (r.TIME_BYTES.includes(index) && this.isRunning()) return this.timeBytes(phaseNs)[index];
    return cmos[index];
  }

  private writeRegister(index: number, value: number): void {
    const { cmos } = this.state;
    this.updateFlags();
    if (index === r.REGISTER_A) this.writeRegisterA(value & ~r.A_UPDATE_IN_PROGRESS);
    else if (index === r.REGISTER_B) this.writeRegisterB(value);
    else if (index === r.REGISTER_C || index === r.REGISTER_D) return; // read-only
    else if (r.TIME_BYTES.includes(index) && this.isRunning()) {
      this.storeTime();
      cmos[index] = value;
      this.startTime();
    } else cmos[index] = value;
    this.settle();
  }

  private writeRegisterA(value: number): void {
    const { cmos } = this.state;
    const wasHeld = isDividerReset(cmos);
    this.changeRunning(() => {
      cmos[r.REGISTER_A] = value;
      if (!wasHeld || isDividerReset(cmos)) return;
      const nowNs = this.options.timers.now();
      this.state.phaseNs = (((r.DIVIDER_RELEASE_NS - nowNs) % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND;
      this.state.flagsPhaseNs = this.phase();
    });
  }

  private writeRegisterB(value: number): void {
    this.changeRunning(() => {
      // "UIE is cleared when SET goes high" (datasheet, Register B)
      this.state.cmos[r.REGISTER_B] = (value & r.B_SET) !== 0 ? value & ~r.B_UPDATE : value;
    });
  }

  /**
   * Stops and starts the clock around a change of register A or B. Bytes of a stopped clock stay as they are when the
   * data mode changes, and are read in the mode in which the clock starts; a running clock shows the same time in the new mode.
   */
  private changeRunning(change: () => void): void {
    const wasRunning = this.isRunning();
    if (wasRunning) this.storeTime();
    change();
    if (!wasRunning && this.isRunning()) this.startTime();
  }

  /** Reads and clears register C. */
  private takeFlags(): number {
    const { cmos } = this.state;
    this.updateFlags();
    const flags = cmos[r.REGISTER_C];
    const irq = (flags & cmos[r.REGISTER_B] & r.C_FLAGS) !== 0;
    cmos[r.REGISTER_C] = 0;
    this.settle();
    return irq ? flags | r.C_IRQ : flags;
  }

  private onTimer(): void {
    this.state.armedNs = NONE;
    this.updateFlags();
    this.settle();
  }

  /** Sets the flags of all that happened since they were last complete. */
  private updateFlags(): void {
    const state = this.state;
    const from = state.flagsPhaseNs;
    const to = this.phase();
    state.flagsPhaseNs = to;
    const period = periodicTicks(state.cmos);
    if (period !== 0 && Math.floor(timeBase.ticksAt(to) / period) > Math.floor(timeBase.ticksAt(from) / period)) {
      state.cmos[r.REGISTER_C] |= r.C_PERIODIC;
    }
    if (!this.isRunning()) return;
    const first = Math.floor(from / NS_PER_SECOND);
    const last = Math.floor(to / NS_PER_SECOND);
    if (last === first) return;
    state.cmos[r.REGISTER_C] |= r.C_UPDATE;
    const alarm = nextAlarm(state.cmos, state.epochSeconds + first);
    if (alarm !== undefined && alarm <= state.epochSeconds + last) state.cmos[r.REGISTER_C] |= r.C_ALARM;
  }

  /** Level of IRQ 8 and the timer, after anything may have changed. */
  private settle(): void {
    const state = this.state;
    const asserted = (state.cmos[r.REGISTER_C] & state.cmos[r.REGISTER_B] & r.C_FLAGS) !== 0;
    if (asserted !== state.line) {
      state.line = asserted;
      this.options.irq.set(asserted);
    }
    const atNs = this.nextInterruptNs();
    if (atNs === state.armedNs) return;
    state.armedNs = atNs;
    if (atNs === NONE) this.timer.cancel();
    else this.timer.arm(atNs);
  }

  /** Virtual ns at which the next flag that is clear and enabled is set; NONE. */
  private nextInterruptNs(): number {
    const { cmos, phaseNs, epochSeconds } = this.state;
    const wanted = cmos[r.REGISTER_B] & ~cmos[r.REGISTER_C] & r.C_FLAGS;
    if (wanted === 0) return NONE;
    const nowPhaseNs = this.phase();
    let at = Infinity;
    const period = periodicTicks(cmos);
    if ((wanted & r.C_PERIODIC) !== 0 && period !== 0) {
      at = timeBase.nsAt((Math.floor(timeBase.ticksAt(nowPhaseNs) / period) + 1) * period);
    }
    if (this.isRunning()) {
      const second = Math.floor(nowPhaseNs / NS_PER_SECOND);
      if ((wanted & r.C_UPDATE) !== 0) at = Math.min(at, (second + 1) * NS_PER_SECOND);
      if ((wanted & r.C_ALARM) !== 0) {
        const alarm = nextAlarm(cmos, epochSeconds + second);
        if (alarm !== undefined) at = Math.min(at, (alarm - epochSeconds) * NS_PER_SECOND);
      }
    }
    return at === Infinity ? NONE : at - phaseNs;
  }

  private phase(): number {
    return this.options.timers.now() + this.state.phaseNs;
  }

  private isRunning(): boolean {
    return (this.state.cmos[r.REGISTER_B] & r.B_SET) === 0 && !isDividerReset(this.state.cmos);
  }

  private isUpdateNear(phaseNs: number): boolean {
    return this.isRunning() && phaseNs % NS_PER_SECOND >= NS_PER_SECOND - r.UPDATE_NOTICE_NS;
  }

  /** The time bytes at a phase, in the encoding of register B, at their places. */
  private timeBytes(phaseNs: number): Uint8Array {
    const bytes = new Uint8Array(r.CMOS_BYTES);
    encodeTime(bytes, this.state.cmos[r.REGISTER_B], this.state.epochSeconds + Math.floor(phaseNs / NS_PER_SECOND));
    return bytes;
  }

  /** Puts the time into the time bytes. */
  private storeTime(): void {
    encodeTime(this.state.cmos, this.state.cmos[r.REGISTER_B], this.state.epochSeconds + Math.floor(this.phase() / NS_PER_SECOND));
  }

  /** Takes the time from the time bytes; the fraction of the second goes on. */
  private startTime(): void {
    this.state.epochSeconds = decodeTime(this.state.cmos) - Math.floor(this.phase() / NS_PER_SECOND);
  }
}

function write16(cmos: Uint8Array, index: number, value: number): void {
  const limited = Math.min(value, 0xffff);
  cmos[index] = limited & 0xff;
  cmos[index + 1] = limited >> 8;
}

function isDividerReset(cmos: Uint8Array): boolean {
  return (cmos[r.REGISTER_A] & r.A_DIVIDER_RESET) === r.A_DIVIDER_RESET;
}

/** Ticks of 32768 Hz between periodic interrupts; 0 for none (datasheet, table 5). */
function periodicTicks(cmos: Uint8Array): number {
  const rate = cmos[r.REGISTER_A] & r.A_RATE;
  if (rate === 0 || isDividerReset(cmos)) return 0;
  return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
}

function encode(registerB: number, value: number): number {
  return (registerB & r.B_BINARY) !== 0 ? value : (Math.floor(value / 10) << 4) | value % 10;
}

function decode(registerB: number, value: number): number {
  return (registerB & r.B_BINARY) !== 0 ? value : (value >> 4) * 10 + (value & 15);
}

function encodeHour(registerB: number, hour: number): number {
  if ((registerB & r.B_24_HOURS) !== 0) return encode(registerB, hour);
  return encode(registerB, hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? r.HOUR_PM : 0);
}

function decodeHour(registerB: number, value: number): number {
  if ((registerB & r.B_24_HOURS) !== 0) return decode(registerB, value);
  return (decode(registerB, value & ~r.HOUR_PM) % 12) + ((value & r.HOUR_PM) !== 0 ? 12 : 0);
}

function encodeTime(bytes: Uint8Array, registerB: number, seconds: number): void {
  const days = Math.floor(seconds / SECONDS_PER_DAY);
  const ofDay = seconds - days * SECONDS_PER_DAY;
  const date = dateOfDays(days);
  bytes[r.SECONDS] = encode(registerB, ofDay % 60);
  bytes[r.MINUTES] = encode(registerB, Math.floor(ofDay / 60) % 60);
  bytes[r.HOURS] = encodeHour(registerB, Math.floor(ofDay / 3600));
  bytes[r.DAY_OF_WEEK] = encode(registerB, ((((days + 4) % 7) + 7) % 7) + 1); // 1970-01-01 was a Thursday, day 5 of 1 to 7
  bytes[r.DAY_OF_MONTH] = encode(registerB, date.day);
  bytes[r.MONTH] = encode(registerB, date.month);
  bytes[r.YEAR] = encode(registerB, ((date.year % 100) + 100) % 100);
  bytes[r.CENTURY] = encode(registerB, Math.floor(date.year / 100));
}

/** Seconds since the Unix epoch. */
function decodeTime(cmos: Uint8Array): number {
  const registerB = cmos[r.REGISTER_B];
  const year = decode(registerB, cmos[r.CENTURY]) * 100 + decode(registerB, cmos[r.YEAR]);
  const month = Math.min(Math.max(decode(registerB, cmos[r.MONTH]), 1), 12);
  const days = daysOfDate(year, month, decode(registerB, cmos[r.DAY_OF_MONTH]));
  const hour = decodeHour(registerB, cmos[r.HOURS]);
  return days * SECONDS_PER_DAY + hour * 3600 + decode(registerB, cmos[r.MINUTES]) * 60 + decode(registerB, cmos[r.SECONDS]);
}

/** Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Years begin in March, so that the leap day is last. */
function daysOfDate(year: number, month: number, day: number): number {
  const shiftedYear = month <= 2 ? year - 1 : year;
  const era = Math.floor(shiftedYear / 400);
  const yearOfEra = shiftedYear - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

function dateOfDays(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const shifted = days + 719468;
  const era = Math.floor(shifted / 146097);
  const dayOfEra = shifted - era * 146097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}

/** The first second (since the Unix epoch) after `second` that the alarm bytes match; undefined when none ever does. */
function nextAlarm(cmos: Uint8Array, second: number): number | undefined {
  const registerB = cmos[r.REGISTER_B];
  const isAny = (index: number): boolean => (cmos[index] & r.ALARM_ANY) === r.ALARM_ANY;
  const alarmSecond = isAny(r.SECONDS_ALARM) ? NONE : decode(registerB, cmos[r.SECONDS_ALARM]);
  const alarmMinute = isAny(r.MINUTES_ALARM) ? NONE : decode(registerB, cmos[r.MINUTES_ALARM]);
  const alarmHour = isAny(r.HOURS_ALARM) ? NONE : decodeHour(registerB, cmos[r.HOURS_ALARM]);
  if (alarmSecond > 59 || alarmMinute > 59 || alarmHour > 23) return undefined;
  // Steps by the largest unit that does not match: at most 24 hours, 60 minutes and 60 seconds.
  let at = second + 1;
  for (;;) {
    const ofDay = ((at % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY;
    if (alarmHour !== NONE && Math.floor(ofDay / 3600) !== alarmHour) at += 3600 - (ofDay % 3600);
    else if (alarmMinute !== NONE && Math.floor(ofDay / 60) % 60 !== alarmMinute) at += 60 - (ofDay % 60);
    else if (alarmSecond !== NONE && ofDay % 60 !== alarmSecond) at += 1;
    else return at;
  }
}
