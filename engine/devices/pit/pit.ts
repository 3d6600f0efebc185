/**
 * The PC's 8254 interval timer and port 0x61. Source: Intel 8254 datasheet (231164).
 *
 * Time is counted in CLK ticks since reset: tick = floor(ns * 1193182 / 10^9), exactly (../frequency.ts). A count that
 * is written at tick t is loaded at t + 1, which is the channel's `start`; count, OUT and every edge are functions of
 * `start` and the present tick, so nothing drifts, and what a read gives does not depend on earlier reads.
 *
 *     mode 0, N = 3    CLK    t   t+1  t+2  t+3  t+4
 *                      count      3    2    1    0     OUT rises at start + N
 *     mode 2, N = 3    count      3    2    1    3     OUT low for the last tick, rises at start + k * N
 *
 * OUT of channel 0 is IRQ 0. In modes 2, 4 and 5 its low pulse is one tick (838 ns) long; the line falls and rises at
 * the end of the pulse, so a period costs one timer event, not two. Reads of OUT (status byte, port 0x61) are exact.
 *
 * At power-on nothing counts, and OUT of channel 0 counts as high without having been announced to the line: programming
 * mode 2 then makes no edge before its first period ends.
 */
import { allOnes, widenByte } from '../byte-port.ts';
import type { InterruptLine, PortDevice, SavedState, Timer, TimerSource } from '../device.ts';
import { Frequency } from '../frequency.ts';
import { restoreState, saveState } from '../saved-state.ts';
import * as r from './registers.ts';

export interface PitOptions {
  readonly timers: TimerSource;
  /** IRQ 0. */
  readonly irq: InterruptLine;
}

const NONE = -1;
const CHANNEL_COUNT = 3;

/** One channel. All of it is saved. Ticks are since reset. */
type Channel = {
  mode: number;
  access: number;
  bcd: boolean;
  gate: boolean;
  /** A count was loaded (or will be at `start`) and the sequence of the mode is under way. */
  running: boolean;
  /** Tick at which the running sequence began; modes 2 and 3: of a period, possibly a virtual one (see writeCount). */
  start: number;
  /** The count of the running sequence: 1 to 65536 (10000 in BCD). */
  count: number;
  /** Modes 2 and 3: tick at which `next` is loaded, at the end of the current (half) period; NONE. */
  nextLoad: number;
  nextStart: number;
  /** The count register, as last written: what a trigger or reload takes. NONE before the first write. */
  next: number;
  /** Modes 0 and 4 with the gate low: ticks since `start` when it went low. NONE while counting. */
  paused: number;
  /** What the counter shows while nothing runs. */
  idleCount: number;
  /** Low byte of a two-byte write that is half done; NONE. */
  lowByte: number;
  /** The next read of a two-byte access gives the high byte. */
  readHigh: boolean;
  /** Latched count, status byte; NONE. */
  latchedCount: number;
  latchedStatus: number;
};

type PitState = {
  channels: [Channel, Channel, Channel];
  /** Writable bits of port 0x61. */
  control: number;
  /** Edges of channel 0 up to this tick have been put on the line. */
  announced: number;
  /** What channel 0 last put on the line. */
  line: boolean;
  /** Tick for which the timer is armed; NONE. */
  armed: number;
};

function channelAtPowerOn(gate: boolean): Channel {
  return {
    mode: r.MODE_SQUARE,
    access: r.ACCESS_BOTH,
    bcd: false,
    gate,
    running: false,
    start: 0,
    count: 65536,
    nextLoad: NONE,
    nextStart: 0,
    next: NONE,
    paused: NONE,
    idleCount: 0,
    lowByte: NONE,
    readHigh: false,
    latchedCount: NONE,
    latchedStatus: NONE,
  };
}

function stateAtPowerOn(): PitState {
  return {
    channels: [channelAtPowerOn(true), channelAtPowerOn(true), channelAtPowerOn(false)],
    control: 0,
    announced: 0,
    line: true,
    armed: NONE,
  };
}

const clock = new Frequency(r.PIT_HZ);

export class Pit implements PortDevice {
  readonly name = 'pit';
  readonly ports = [
    { first: r.PORT_CHANNEL_0, count: 4 },
    { first: r.PORT_SYSTEM_CONTROL, count: 1 },
  ];
  private readonly options: PitOptions;
  private readonly timer: Timer;
  private state = stateAtPowerOn();

  constructor(options: PitOptions) {
    this.options = options;
    this.timer = options.timers.create('pit', (nowNs) => this.onTimer(nowNs));
  }

  reset(): void {
    this.state = stateAtPowerOn();
    this.timer.cancel();
    this.options.irq.set(false);
  }

  save(): SavedState {
    return saveState(this.state);
  }

  restore(state: SavedState): void {
    this.state = restoreState(stateAtPowerOn(), state, this.name);
  }

  readPort(port: number, size: number): number {
    const tick = this.tick();
    const { nextLoad } = this.state.channels[0];
    if (nextLoad !== NONE && nextLoad <= tick) {
      // The read comes before a timer that is due: the edge at the load must be announced with the old count.
      this.announce(tick);
      this.settle(tick);
    }
    if (port === r.PORT_SYSTEM_CONTROL) return widenByte(this.readSystemControl(tick), size);
    if (port < r.PORT_CHANNEL_0 || port > r.PORT_CHANNEL_2) return allOnes(size);
    const channel = this.state.channels[port - r.PORT_CHANNEL_0];
    return widenByte(readCounter(channel, tick), size);
  }

  writePort(port: number, _size: number, value: number): void {
    const byte = value & 0xff;
    const tick = this.tick();
    this.announce(tick);
    if (port === r.PORT_SYSTEM_CONTROL) this.writeSystemControl(byte, tick);
    else if (port === r.PORT_CONTROL) this.writeControl(byte, tick);
    else if (port >= r.PORT_CHANNEL_0 && port <= r.PORT_CHANNEL_2) writeCounter(this.state.channels[port - r.PORT_CHANNEL_0], byte, tick);
    this.settle(tick);
  }

  private tick(): number {
    return clock.ticksAt(this.options.timers.now());
  }

  private onTimer(nowNs: number): void {
    const tick = clock.ticksAt(nowNs);
    this.state.armed = NONE;
    this.announce(tick);
    this.settle(tick);
  }

  /** Puts channel 0's edges up to `tick` on the line. Several rising edges that were passed at once are one. */
  private announce(tick: number): void {
    const state = this.state;
    const channel = state.channels[0];
    let rose = false;
    if (channel.nextLoad !== NONE && channel.nextLoad <= tick) {
      const edge = nextRise(channel, state.announced);
      rose = edge !== NONE && edge <= channel.nextLoad;
      state.announced = channel.nextLoad;
    }
    loadDue(channel, tick);
    const edge = nextRise(channel, state.announced);
    if (rose || (edge !== NONE && edge <= tick)) {
      this.setLine(false);
      this.setLine(true);
    }
    state.announced = tick;
  }

  /** Level of the line and the timer, after channel 0 may have changed. */
  private settle(tick: number): void {
    const channel = this.state.channels[0];
    this.setLine(hasPulse(channel.mode) || outAt(channel, tick));
    const edge = hasPulse(channel.mode) ? nextRise(channel, tick) : nextChange(channel, tick);
    if (edge === this.state.armed) return;
    this.state.armed = edge;
    if (edge === NONE) this.timer.cancel();
    else this.timer.arm(clock.nsAt(edge));
  }

  private setLine(asserted: boolean): void {
    if (this.state.line === asserted) return;
    this.state.line = asserted;
    this.options.irq.set(asserted);
  }

  private readSystemControl(tick: number): number {
    const channel = this.state.channels[2];
    loadDue(channel, tick);
    let byte = this.state.control;
    if (Math.floor(tick / r.REFRESH_TICKS) % 2 !== 0) byte |= r.CONTROL_REFRESH;
    if (outAt(channel, tick)) byte |= r.CONTROL_OUT_2;
    return byte;
  }

  private writeSystemControl(byte: number, tick: number): void {
    this.state.control = byte & r.CONTROL_WRITABLE;
    setGate(this.state.channels[2], (byte & r.CONTROL_GATE_2) !== 0, tick);
  }

  private writeControl(byte: number, tick: number): void {
    const select = byte >> 6;
    if (select === r.SELECT_READ_BACK) {
      for (let index = 0; index < CHANNEL_COUNT; index++) {
        if ((byte & (2 << index)) === 0) continue;
        const channel = this.state.channels[index];
        if ((byte & r.READ_BACK_NO_COUNT) === 0) latchCount(channel, tick);
        if ((byte & r.READ_BACK_NO_STATUS) === 0) latchStatus(channel, tick);
      }
      return;
    }
    const channel = this.state.channels[select];
    const access = (byte >> 4) & 3;
    if (access === r.ACCESS_LATCH) return latchCount(channel, tick);
    loadDue(channel, tick);
    // A control word that ends a pulse in its middle makes the edge now.
    if (select === 0 && hasPulse(channel.mode) && !outAt(channel, tick)) this.setLine(false);
    channel.idleCount = countAt(channel, tick) % ((byte & 1) !== 0 ? 10000 : 65536);
    const mode = (byte >> 1) & 7;
    channel.mode = mode > r.MODE_HARDWARE_STROBE ? mode & 3 : mode; // bit 2 is don't-care in modes 2 and 3
    channel.access = access;
    channel.bcd = (byte & 1) !== 0;
    channel.running = false;
    channel.paused = NONE;
    channel.next = NONE;
    channel.nextLoad = NONE;
    channel.lowByte = NONE;
    channel.readHigh = false;
    channel.latchedCount = NONE;
    channel.latchedStatus = NONE;
  }
}

/** OUT is high but for a pulse of one tick, which ends at nextRise(). */
function hasPulse(mode: number): boolean {
  return mode === r.MODE_RATE || mode === r.MODE_SOFTWARE_STROBE || mode === r.MODE_HARDWARE_STROBE;
}

function isPeriodic(mode: number): boolean {
  return mode === r.MODE_RATE || mode === r.MODE_SQUARE;
}

/** Started by a rising gate, not by the count. */
function isTriggered(mode: number): boolean {
  return mode === r.MODE_ONE_SHOT || mode === r.MODE_HARDWARE_STROBE;
}

/** Mode 3: OUT is high for this many ticks of a period, low for the rest (datasheet, Mode 3, odd counts). */
function highTicks(count: number): number {
  return (count + 1) >> 1;
}

/** Takes over a new count of modes 2 and 3 whose time has come. Time alone decides, so reads may do it. */
function loadDue(channel: Channel, tick: number): void {
  if (channel.nextLoad === NONE || tick < channel.nextLoad) return;
  channel.start = channel.nextStart;
  channel.count = channel.next;
  channel.nextLoad = NONE;
}

/** Ticks since the count was loaded; negative before. Only of a running channel. */
function elapsedAt(channel: Channel, tick: number): number {
  return channel.paused !== NONE ? channel.paused : tick - channel.start;
}

function outAt(channel: Channel, tick: number): boolean {
  if (!channel.running) return channel.mode !== r.MODE_TERMINAL_COUNT;
  const elapsed = elapsedAt(channel, tick);
  switch (channel.mode) {
    case r.MODE_TERMINAL_COUNT:
      return elapsed >= channel.count;
    case r.MODE_ONE_SHOT:
      return elapsed < 0 || elapsed >= channel.count;
    case r.MODE_RATE:
      return elapsed < 0 || elapsed % channel.count !== channel.count - 1;
    case r.MODE_SQUARE:
      return elapsed < 0 || elapsed % channel.count < highTicks(channel.count);
    default:
      return elapsed !== channel.count;
  }
}

/** The first tick after `tick` at which OUT goes high at the end of a count; NONE. Ignores a count not yet loaded. */
function nextRise(channel: Channel, tick: number): number {
  if (!channel.running || channel.paused !== NONE) return NONE;
  const { start, count } = channel;
  if (isPeriodic(channel.mode)) {
    if (channel.mode === r.MODE_SQUARE && count === 1) return NONE; // never low
    return start + (Math.floor(Math.max(tick - start, 0) / count) + 1) * count;
  }
  const edge = hasPulse(channel.mode) ? start + count + 1 : start + count;
  return edge > tick ? edge : NONE;
}

/** The first tick after `tick` at which OUT changes, in the modes without a pulse; NONE. */
function nextChange(channel: Channel, tick: number): number {
  const rise = nextRise(channel, tick);
  if (rise === NONE) return NONE;
  let change = rise;
  if (channel.mode === r.MODE_SQUARE) {
    const fall = rise - channel.count + highTicks(channel.count);
    if (fall > tick) change = fall;
  } else if (channel.mode === r.MODE_ONE_SHOT && channel.start > tick) {
    change = channel.start;
  }
  // A half period may end in a load of another count, after which the rise comes at another time.
  return channel.nextLoad !== NONE && channel.nextLoad < change ? channel.nextLoad : change;
}

/** What the counting element shows, binary; wraps at 65536 or 10000. */
function countAt(channel: Channel, tick: number): number {
  if (!channel.running) return channel.idleCount;
  const { count } = channel;
  const modulus = channel.bcd ? 10000 : 65536;
  const elapsed = elapsedAt(channel, tick);
  if (elapsed < 0) return count % modulus; // the load is due at the next tick
  let left: number;
  if (channel.mode === r.MODE_RATE) {
    left = count - (elapsed % count);
  } else if (channel.mode === r.MODE_SQUARE) {
    const inPeriod = elapsed % count;
    const high = highTicks(count);
    left = (count & ~1) - 2 * (inPeriod < high ? inPeriod : inPeriod - high);
  } else {
    left = count - elapsed;
  }
  return ((left % modulus) + modulus) % modulus;
}

function encodeCount(channel: Channel, value: number): number {
  if (!channel.bcd) return value;
  return (Math.floor(value / 1000) << 12) | (Math.floor(value / 100) % 10 << 8) | (Math.floor(value / 10) % 10 << 4) | value % 10;
}

function decodeCount(channel: Channel, value: number): number {
  if (!channel.bcd) return value === 0 ? 65536 : value;
  const decimal = (value >> 12) * 1000 + ((value >> 8) & 15) * 100 + ((value >> 4) & 15) * 10 + (value & 15);
  return decimal === 0 ? 10000 : decimal;
}

function latchCount(channel: Channel, tick: number): void {
  if (channel.latchedCount !== NONE) return;
  loadDue(channel, tick);
  channel.latchedCount = encodeCount(channel, countAt(channel, tick));
}

function latchStatus(channel: Channel, tick: number): void {
  if (channel.latchedStatus !== NONE) return;
  loadDue(channel, tick);
  const isNull = channel.next === NONE || channel.nextLoad !== NONE || !channel.running || tick < channel.start;
  channel.latchedStatus =
    (outAt(channel, tick) ? r.STATUS_OUT : 0) |
    (isNull ? r.STATUS_NULL_COUNT : 0) |
    (channel.access << 4) |
    (channel.mode << 1) |
    (channel.bcd ? 1 : 0);
}

function readCounter(channel: Channel, tick: number): number {
  if (channel.latchedStatus !== NONE) {
    const status = channel.latchedStatus;
    channel.latchedStatus = NONE;
    return status;
  }
  loadDue(channel, tick);
  const value = channel.latchedCount !== NONE ? channel.latchedCount : encodeCount(channel, countAt(channel, tick));
  let high = channel.access === r.ACCESS_HIGH;
  let last = true;
  if (channel.access === r.ACCESS_BOTH) {
    high = channel.readHigh;
    last = high;
    channel.readHigh = !high;
  }
  if (last) channel.latchedCount = NONE;
  return high ? value >> 8 : value & 0xff;
}

function writeCounter(channel: Channel, byte: number, tick: number): void {
  if (channel.access === r.ACCESS_LOW) return writeCount(channel, byte, tick);
  if (channel.access === r.ACCESS_HIGH) return writeCount(channel, byte << 8, tick);
  if (channel.lowByte !== NONE) {
    const low = channel.lowByte;
    channel.lowByte = NONE;
    return writeCount(channel, (byte << 8) | low, tick);
  }
  channel.lowByte = byte;
  if (channel.mode === r.MODE_TERMINAL_COUNT) {
    // "Writing the first byte disables counting. OUT is set low immediately."
    channel.idleCount = countAt(channel, tick);
    channel.running = false;
  }
}

function writeCount(channel: Channel, value: number, tick: number): void {
  loadDue(channel, tick);
  const count = decodeCount(channel, value);
  channel.next = count;
  if (isTriggered(channel.mode)) return; // taken by the next trigger
  if (!isPeriodic(channel.mode)) {
    load(channel, tick);
    if (!channel.gate) channel.paused = 0;
    return;
  }
  if (!channel.running) {
    if (channel.gate) load(channel, tick);
    return;
  }
  if (tick < channel.start) {
    channel.count = count; // not loaded yet: the later write wins
    return;
  }
  // Modes 2 and 3 load a new count when the current (half) cycle ends. A half cycle that ends with OUT going low
  // continues in the middle of the new period, so that period gets a virtual start.
  const periodEnd = nextRise(channel, tick);
  const oldHigh = highTicks(channel.count);
  if (channel.mode === r.MODE_SQUARE && periodEnd !== NONE && periodEnd - channel.count + oldHigh > tick) {
    channel.nextLoad = periodEnd - channel.count + oldHigh;
    channel.nextStart = channel.nextLoad - highTicks(count);
  } else {
    channel.nextLoad = periodEnd === NONE ? tick + 1 : periodEnd;
    channel.nextStart = channel.nextLoad;
  }
}

/** The next CLK loads the count register into the counting element. */
function load(channel: Channel, tick: number): void {
  channel.running = true;
  channel.count = channel.next;
  channel.start = tick + 1;
  channel.paused = NONE;
  channel.nextLoad = NONE;
}

function setGate(channel: Channel, gate: boolean, tick: number): void {
  if (channel.gate === gate) return;
  loadDue(channel, tick);
  channel.gate = gate;
  if (isTriggered(channel.mode)) {
    if (gate && channel.next !== NONE) load(channel, tick);
  } else if (isPeriodic(channel.mode)) {
    if (gate) {
      if (channel.next !== NONE) load(channel, tick);
    } else {
      channel.idleCount = countAt(channel, tick);
      channel.running = false;
    }
  } else if (channel.running) {
    if (gate) {
      channel.start = tick + 1 - channel.paused;
      channel.paused = NONE;
    } else {
      channel.paused = Math.max(tick - channel.start, 0);
    }
  }
}
