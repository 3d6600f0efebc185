/**
 * An 82093AA I/O APIC with the EOI register of its successors (version 0x20). Source: Intel 82093AA datasheet (290566).
 *
 * Edge-triggered: a rising line sends a message; while the pin is masked it is lost (datasheet 3.2.4, interrupt mask).
 * Level-triggered: an asserted line sends one message and sets remote IRR; when the end of that interrupt is broadcast
 * and the line is still asserted, it sends again. Polarity is stored and means nothing: a line knows asserted from not.
 */
import { allOnes } from '../byte-port.ts';
import type { InterruptLine, MmioDevice, SavedState } from '../device.ts';
import { restoreState, saveState } from '../saved-state.ts';
import * as r from './registers.ts';

/** `deliveryMode` is bits 10:8 of the entry: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT (the vector comes from the PIC). */
export type DeliverMessage = (vector: number, level: boolean, deliveryMode: number, destination: number, logical: boolean) => void;

export interface IoapicOptions {
  readonly deliver: DeliverMessage;
  /** `acceptsExtInt` changed. */
  readonly onExtIntChange?: (accepts: boolean) => void;
  /** 0xfec00000 unless given. */
  readonly mmioBase?: number;
  /** ID at power-on, 0 unless given. */
  readonly id?: number;
}

type IoapicState = {
  select: number;
  /** Bits 27:24. */
  id: number;
  low: number[];
  high: number[];
  /** Levels of the pins, a bit each. */
  lines: number;
  extInt: boolean;
};

export class Ioapic implements MmioDevice {
  readonly name = 'ioapic';
  readonly mmioBase: number;
  readonly mmioLength = r.IOAPIC_BYTES;
  private readonly options: IoapicOptions;
  private state: IoapicState;

  constructor(options: IoapicOptions) {
    this.options = options;
    this.mmioBase = options.mmioBase ?? r.IOAPIC_BASE;
    this.state = this.stateAtPowerOn();
  }

  line(pin: number): InterruptLine {
    if (!Number.isInteger(pin) || pin < 0 || pin >= r.PIN_COUNT) throw new RangeError(`no I/O APIC pin ${pin}`);
    return { set: (asserted) => this.setLine(pin, asserted) };
  }

  /** Pin 0 passes the PIC's INTR on: unmasked in ExtINT mode (virtual wire through the I/O APIC). */
  get acceptsExtInt(): boolean {
    return this.state.extInt;
  }

  /** The local APIC's broadcast at the end of a level-triggered interrupt. */
  endOfInterrupt(vector: number): void {
    const { low } = this.state;
    for (let pin = 0; pin < r.PIN_COUNT; pin++) {
      if ((low[pin] & r.ENTRY_VECTOR) !== vector || (low[pin] & r.ENTRY_REMOTE_IRR) === 0) continue;
      low[pin] &= ~r.ENTRY_REMOTE_IRR;
      this.sendLevel(pin);
    }
  }

  reset(): void {
    const { extInt } = this.state;
    this.state = this.stateAtPowerOn();
    if (extInt) this.options.onExtIntChange?.(false);
  }

  save(): SavedState {
    return saveState(this.state);
  }

  restore(state: SavedState): void {
    this.state = restoreState(this.stateAtPowerOn(), state, this.name);
  }

  /** The registers are 32 bits wide; a narrower read takes the low part. */
  readMmio(offset: number, size: number): number {
    if (offset === r.SELECT) return this.state.select;
    if (offset === r.WINDOW) return (this.readWindow() & allOnes(size)) >>> 0;
    return allOnes(size);
  }

  /** A narrower write zero-extends: Linux writes 4 bytes always. */
  writeMmio(offset: number, _size: number, value: number): void {
    if (offset === r.SELECT) this.state.select = value & 0xff;
    else if (offset === r.WINDOW) this.writeWindow(value);
    else if (offset === r.END_OF_INTERRUPT) this.endOfInterrupt(value & 0xff);
  }

  private stateAtPowerOn(): IoapicState {
    return {
      select: 0,
      id: ((this.options.id ?? 0) << 24) & r.ID_MASK,
      low: new Array(r.PIN_COUNT).fill(r.ENTRY_MASKED),
      high: new Array(r.PIN_COUNT).fill(0),
      lines: 0,
      extInt: false,
    };
  }

  private readWindow(): number {
    const { select, id, low, high } = this.state;
    if (select === r.ID || select === r.ARBITRATION) return id;
    if (select === r.VERSION) return r.VERSION_VALUE;
    const pin = (select - r.REDIRECTION) >> 1;
    if (select < r.REDIRECTION || pin >= r.PIN_COUNT) return 0xffffffff;
    return (select & 1) === 0 ? low[pin] : high[pin];
  }

  private writeWindow(value: number): void {
    const { state } = this;
    const { select } = state;
    if (select === r.ID) state.id = value & r.ID_MASK;
    const pin = (select - r.REDIRECTION) >> 1;
    if (select < r.REDIRECTION || pin >= r.PIN_COUNT) return;
    if ((select & 1) !== 0) {
      state.high[pin] = (value & r.ENTRY_DESTINATION) >>> 0;
      return;
    }
    let entry = (value & r.ENTRY_WRITABLE) | (state.low[pin] & r.ENTRY_REMOTE_IRR);
    // Linux clears a stuck remote IRR by a turn through edge mode (io_apic.c, __eoi_ioapic_pin).
    if ((entry & r.ENTRY_LEVEL) === 0) entry &= ~r.ENTRY_REMOTE_IRR;
    state.low[pin] = entry;
    this.updateExtInt();
    this.sendLevel(pin);
  }

  private updateExtInt(): void {
    const { state } = this;
    const extInt = (state.low[0] & r.ENTRY_MASKED) === 0 && deliveryMode(state.low[0]) === r.DELIVERY_EXTINT;
    if (extInt === state.extInt) return;
    state.extInt = extInt;
    this.options.onExtIntChange?.(extInt);
  }

  private setLine(pin: number, asserted: boolean): void {
    const { state } = this;
    const bit = 1 << pin;
    if (((state.lines & bit) !== 0) === asserted) return;
    if (!asserted) {
      state.lines &= ~bit;
      return;
    }
    state.lines |= bit;
    const entry = state.low[pin];
    if ((entry & r.ENTRY_LEVEL) !== 0) this.sendLevel(pin);
    else if ((entry & r.ENTRY_MASKED) === 0) this.send(pin, false);
  }

  private sendLevel(pin: number): void {
    const { state } = this;
    const entry = state.low[pin];
    const isReady = (entry & (r.ENTRY_LEVEL | r.ENTRY_MASKED | r.ENTRY_REMOTE_IRR)) === r.ENTRY_LEVEL;
    if (!isReady || (state.lines & (1 << pin)) === 0) return;
    const mode = deliveryMode(entry);
    const level = mode === r.DELIVERY_FIXED || mode === r.DELIVERY_LOWEST; // the others are always edges (datasheet 3.2.4)
    if (level) state.low[pin] |= r.ENTRY_REMOTE_IRR;
    this.send(pin, level);
  }

  private send(pin: number, level: boolean): void {
    const low = this.state.low[pin];
    this.options.deliver(low & r.ENTRY_VECTOR, level, deliveryMode(low), this.state.high[pin] >>> 24, (low & r.ENTRY_LOGICAL) !== 0);
  }
}

function deliveryMode(entry: number): number {
  return (entry >> 8) & 7;
}
