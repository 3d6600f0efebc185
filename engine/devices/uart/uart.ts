/**
 * A 16550A serial port with a peer that is always connected and ready. Source: PC16550D datasheet (TL/C/8652).
 *
 * Transmission takes no time: a byte written to THR has left at once, and THR, FIFO and shift register are empty again, as QEMU
 * does in effect. The THRE interrupt behaves as if the byte had been on the way for an instant: it is cleared by the
 * write and raised again, which makes a new edge. As Linux (8250_port.c, THRE test) and all known parts have it, the
 * interrupt is raised also when its enable bit goes from 0 to 1 while THR is empty; it is cleared by an IIR read that
 * reports it.
 */
import { allOnes, widenByte } from '../byte-port.ts';
import type { ByteSink, InterruptLine, PortDevice, ReportSink, SavedState, Timer, TimerSource } from '../device.ts';
import { NS_PER_SECOND } from '../frequency.ts';
import { restoreState, saveState } from '../saved-state.ts';
import * as r from './registers.ts';

export interface UartOptions {
  readonly timers: TimerSource;
  readonly irq: InterruptLine;
  /** Bytes that the guest sends. */
  readonly transmit: ByteSink;
  readonly report?: ReportSink;
  /** First of eight ports; 0x3f8 unless given. */
  readonly base?: number;
  /** 'uart' unless given; two UARTs in one machine need two names. */
  readonly name?: string;
}

type UartState = {
  ier: number;
  lcr: number;
  mcr: number;
  /** Overrun error; the other error bits cannot happen. */
  overrun: boolean;
  /** Modem inputs (bits 7:4) and their deltas (3:0). */
  msr: number;
  scratch: number;
  divisor: number;
  fifoEnabled: boolean;
  trigger: number;
  /** Ring of received bytes: `fifoCount` bytes from `fifoFirst`. Without the FIFO at most one. */
  fifo: Uint8Array;
  fifoFirst: number;
  fifoCount: number;
  transmitInterrupt: boolean;
  timeoutInterrupt: boolean;
  timeoutArmed: boolean;
  /** Level of the interrupt line. */
  line: boolean;
};

const CONNECTED = r.MSR_CTS | r.MSR_DSR | r.MSR_DCD;

function stateAtPowerOn(): UartState {
  return {
    ier: 0,
    lcr: 0,
    mcr: 0,
    overrun: false,
    msr: CONNECTED,
    scratch: 0,
    divisor: r.DIVISOR_AT_POWER_ON,
    fifoEnabled: false,
    trigger: 1,
    fifo: new Uint8Array(r.FIFO_BYTES),
    fifoFirst: 0,
    fifoCount: 0,
    transmitInterrupt: false,
    timeoutInterrupt: false,
    timeoutArmed: false,
    line: false,
  };
}

export class Uart implements PortDevice {
  readonly name: string;
  readonly ports: readonly { readonly first: number; readonly count: number }[];
  private readonly base: number;
  private readonly options: UartOptions;
  private readonly timer: Timer;
  private state = stateAtPowerOn();

  constructor(options: UartOptions) {
    this.options = options;
    this.name = options.name ?? 'uart';
    this.base = options.base ?? 0x3f8;
    this.ports = [{ first: this.base, count: r.PORT_COUNT }];
    this.timer = options.timers.create(this.name, () => this.onTimeout());
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

  /** How many bytes receive() takes now. None in loopback mode, which disconnects the input. */
  get receiveSpace(): number {
    if ((this.state.mcr & r.MCR_LOOPBACK) !== 0) return 0;
    return this.fifoSize() - this.state.fifoCount;
  }

  /** A byte from outside. False when there is no space: offer it again later. */
  receive(byte: number): boolean {
    if (this.receiveSpace === 0) return false;
    this.options.report?.({ kind: 'uart-rx', port: this.base, byte: byte & 0xff });
    this.pushReceived(byte & 0xff);
    this.update();
    return true;
  }

  readPort(port: number, size: number): number {
    const offset = port - this.base;
    return offset >= 0 && offset < r.PORT_COUNT ? widenByte(this.readRegister(offset), size) : allOnes(size);
  }

  writePort(port: number, _size: number, value: number): void {
    this.writeRegister(port - this.base, value & 0xff);
    this.update();
  }

  private readRegister(offset: number): number {
    const state = this.state;
    const divisorAccess = (state.lcr & r.LCR_DIVISOR) !== 0;
    switch (offset) {
      case r.RECEIVE_TRANSMIT:
        return divisorAccess ? state.divisor & 0xff : this.popReceived();
      case r.INTERRUPT_ENABLE:
        return divisorAccess ? state.divisor >> 8 : state.ier;
      case r.INTERRUPT_ID:
        return this.readInterruptId();
      case r.LINE_CONTROL:
        return state.lcr;
      case r.MODEM_CONTROL:
        return state.mcr;
      case r.LINE_STATUS: {
        const status = this.lineStatus();
        state.overrun = false;
        this.update();
        return status;
      }
      case r.MODEM_STATUS: {
        const status = state.msr;
        state.msr &= ~r.MSR_DELTAS;
        this.update();
        return status;
      }
      default:
        return state.scratch;
    }
  }

  private writeRegister(offset: number, byte: number): void {
    const state = this.state;
    const divisorAccess = (state.lcr & r.LCR_DIVISOR) !== 0;
    switch (offset) {
      case r.RECEIVE_TRANSMIT:
        if (divisorAccess) state.divisor = (state.divisor & 0xff00) | byte;
        else this.transmit(byte);
        break;
      case r.INTERRUPT_ENABLE:
        if (divisorAccess) state.divisor = (byte << 8) | (state.divisor & 0xff);
        else this.writeInterruptEnable(byte & r.IER_MASK);
        break;
      case r.FIFO_CONTROL:
        this.writeFifoControl(byte);
        break;
      case r.LINE_CONTROL:
        state.lcr = byte;
        break;
      case r.MODEM_CONTROL:
        this.writeModemControl(byte & r.MCR_MASK);
        break;
      case r.SCRATCH:
        state.scratch = byte;
        break;
      default:
        break; // LSR and MSR are read-only
    }
  }

  private transmit(byte: number): void {
    const state = this.state;
    state.transmitInterrupt = false;
    this.update();
    if ((state.mcr & r.MCR_LOOPBACK) !== 0) {
      this.pushReceived(byte);
    } else {
      this.options.report?.({ kind: 'uart-tx', port: this.base, byte });
      this.options.transmit(byte);
    }
    state.transmitInterrupt = true;
  }

  private writeInterruptEnable(value: number): void {
    const state = this.state;
    const enabled = value & ~state.ier;
    state.ier = value;
    if ((enabled & r.IER_TRANSMIT_EMPTY) !== 0) state.transmitInterrupt = true;
    if ((enabled & r.IER_RECEIVED) !== 0) this.startTimeout();
  }

  private writeFifoControl(byte: number): void {
    const state = this.state;
    const enable = (byte & r.FCR_ENABLE) !== 0;
    // A change of the mode clears the FIFOs; the other bits count only with the enable bit (datasheet 8.4).
    if (enable !== state.fifoEnabled || (enable && (byte & r.FCR_CLEAR_RECEIVE) !== 0)) {
      state.fifoCount = 0;
      state.fifoFirst = 0;
      state.timeoutInterrupt = false;
    }
    state.fifoEnabled = enable;
    state.trigger = enable ? r.FIFO_TRIGGERS[byte >> 6] : 1;
    this.startTimeout();
  }

  private writeModemControl(value: number): void {
    const state = this.state;
    state.mcr = value;
    let lines = CONNECTED;
    if ((value & r.MCR_LOOPBACK) !== 0) {
      lines =
        ((value & r.MCR_RTS) !== 0 ? r.MSR_CTS : 0) |
        ((value & r.MCR_DTR) !== 0 ? r.MSR_DSR : 0) |
        ((value & r.MCR_OUT1) !== 0 ? r.MSR_RI : 0) |
        ((value & r.MCR_OUT2) !== 0 ? r.MSR_DCD : 0);
    }
    const changed = (state.msr ^ lines) & r.MSR_LINES;
    let deltas = changed >> 4;
    if ((lines & r.MSR_RI) !== 0) deltas &= ~r.MSR_RI_TRAILING;
    state.msr = lines | (state.msr & r.MSR_DELTAS) | deltas;
  }

  private lineStatus(): number {
    const { fifoCount, overrun } = this.state;
    return r.LSR_TRANSMIT_EMPTY | r.LSR_TRANSMITTER_IDLE | (fifoCount > 0 ? r.LSR_DATA_READY : 0) | (overrun ? r.LSR_OVERRUN : 0);
  }

  private readInterruptId(): number {
    const state = this.state;
    const pending = this.pendingInterrupt();
    if (pending === r.IIR_TRANSMIT_EMPTY) {
      state.transmitInterrupt = false;
      this.update();
    }
    return pending | (state.fifoEnabled ? r.IIR_FIFO : 0);
  }

  /** By priority (datasheet, table 4). */
  private pendingInterrupt(): number {
    const { ier, overrun, msr, fifoCount, trigger, timeoutInterrupt, transmitInterrupt } = this.state;
    if ((ier & r.IER_LINE_STATUS) !== 0 && overrun) return r.IIR_LINE_STATUS;
    if ((ier & r.IER_RECEIVED) !== 0 && fifoCount >= trigger) return r.IIR_RECEIVED;
    if ((ier & r.IER_RECEIVED) !== 0 && timeoutInterrupt) return r.IIR_TIMEOUT;
    if ((ier & r.IER_TRANSMIT_EMPTY) !== 0 && transmitInterrupt) return r.IIR_TRANSMIT_EMPTY;
    if ((ier & r.IER_MODEM_STATUS) !== 0 && (msr & r.MSR_DELTAS) !== 0) return r.IIR_MODEM_STATUS;
    return r.IIR_NONE;
  }

  private update(): void {
    const state = this.state;
    // Loopback forces the OUT2 pin inactive, whatever its bit says (datasheet 8.7).
    const connected = (state.mcr & (r.MCR_OUT2 | r.MCR_LOOPBACK)) === r.MCR_OUT2;
    const asserted = connected && this.pendingInterrupt() !== r.IIR_NONE;
    if (asserted === state.line) return;
    state.line = asserted;
    this.options.irq.set(asserted);
  }

  private fifoSize(): number {
    return this.state.fifoEnabled ? r.FIFO_BYTES : 1;
  }

  private pushReceived(byte: number): void {
    const state = this.state;
    if (state.fifoCount === this.fifoSize()) {
      // "The character in the shift register is overwritten, but it is not transferred to the FIFO"; without a FIFO, RBR is.
      state.overrun = true;
      if (!state.fifoEnabled) state.fifo[state.fifoFirst] = byte;
      return;
    }
    state.fifo[(state.fifoFirst + state.fifoCount) % r.FIFO_BYTES] = byte;
    state.fifoCount++;
    this.startTimeout();
  }

  /** The oldest byte; zero when there is none. */
  private popReceived(): number {
    const state = this.state;
    if (state.fifoCount === 0) return 0;
    const byte = state.fifo[state.fifoFirst];
    state.fifoFirst = (state.fifoFirst + 1) % r.FIFO_BYTES;
    state.fifoCount--;
    state.timeoutInterrupt = false;
    this.startTimeout();
    this.update();
    return byte;
  }

  /**
   * (Re)starts the character timeout, where it can matter: bytes below the trigger level wait, and the guest wants to
   * know. Otherwise stops it.
   */
  private startTimeout(): void {
    const state = this.state;
    const waiting = state.fifoEnabled && state.fifoCount > 0 && state.fifoCount < state.trigger;
    if (waiting && (state.ier & r.IER_RECEIVED) !== 0 && !state.timeoutInterrupt) {
      state.timeoutArmed = true;
      this.timer.arm(this.options.timers.now() + r.TIMEOUT_CHARACTERS * this.characterNs());
    } else if (state.timeoutArmed) {
      state.timeoutArmed = false;
      this.timer.cancel();
    }
  }

  private onTimeout(): void {
    const state = this.state;
    state.timeoutArmed = false;
    state.timeoutInterrupt = state.fifoEnabled && state.fifoCount > 0;
    this.update();
  }

  /** Time of one character on the line, ns: start bit, data, parity, stop bits. */
  private characterNs(): number {
    const { lcr, divisor } = this.state;
    const bits = 1 + 5 + (lcr & 3) + ((lcr & r.LCR_PARITY) !== 0 ? 1 : 0) + ((lcr & r.LCR_STOP_BITS) !== 0 ? 2 : 1);
    return Math.ceil((bits * (divisor === 0 ? 65536 : divisor) * NS_PER_SECOND) / r.BAUD_BASE_HZ);
  }
}
