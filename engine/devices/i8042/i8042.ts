/**
 * The keyboard controller with no keyboard, no mouse and no interrupt: what a kernel needs to find nothing and to reset the machine, and port 0x92
 * (fast A20 and reset), which is there even when the controller is not.
 *
 * Commands take no time: the input buffer is never full, so that Linux's kb_wait ends at once. Every command that has an
 * answer gets one, because Linux waits half a second for one that does not come. Bytes for the keyboard vanish.
 */
import { allOnes, widenByte } from '../byte-port.ts';
import type { PortDevice, SavedState } from '../device.ts';
import { restoreState, saveState } from '../saved-state.ts';
import * as r from './registers.ts';

export interface I8042Options {
  /** The guest pulled the CPU's reset line. */
  readonly onReset: () => void;
  /** The A20 gate changed. Enabled at power-on. */
  readonly onA20?: (enabled: boolean) => void;
  /** False: ports 0x60 and 0x64 read 0xff and do nothing. True unless given. */
  readonly present?: boolean;
}

type I8042State = {
  outputFull: boolean;
  output: number;
  systemFlag: boolean;
  lastWasCommand: boolean;
  /** The command whose data byte is expected, or NO_COMMAND. */
  pending: number;
  ram: Uint8Array;
  outputPort: number;
  controlA: number;
};

function stateAtPowerOn(): I8042State {
  const ram = new Uint8Array(32);
  ram[0] = r.CONFIG_TRANSLATE | r.CONFIG_AUX_DISABLED;
  return {
    outputFull: false,
    output: 0,
    systemFlag: false,
    lastWasCommand: false,
    pending: r.NO_COMMAND,
    ram,
    outputPort: r.OUTPUT_AT_POWER_ON,
    controlA: r.CONTROL_A_A20,
  };
}

export class I8042 implements PortDevice {
  readonly name = 'i8042';
  readonly ports = [
    { first: r.PORT_DATA, count: 1 },
    { first: r.PORT_COMMAND, count: 1 },
    { first: r.PORT_SYSTEM_CONTROL_A, count: 1 },
  ];
  private readonly options: I8042Options;
  private readonly present: boolean;
  private state = stateAtPowerOn();

  constructor(options: I8042Options) {
    this.options = options;
    this.present = options.present ?? true;
  }

  reset(): void {
    const hadA20 = this.a20;
    this.state = stateAtPowerOn();
    if (!hadA20) this.options.onA20?.(true);
  }

  save(): SavedState {
    return saveState(this.state);
  }

  restore(state: SavedState): void {
    this.state = restoreState(stateAtPowerOn(), state, this.name);
  }

  /** The A20 gate: enabled by the controller or by port 0x92. */
  get a20(): boolean {
    return (this.state.outputPort & r.OUTPUT_A20) !== 0 || (this.state.controlA & r.CONTROL_A_A20) !== 0;
  }

  readPort(port: number, size: number): number {
    if (port === r.PORT_SYSTEM_CONTROL_A) return widenByte(this.state.controlA, size);
    if (!this.present) return allOnes(size);
    if (port === r.PORT_COMMAND) return widenByte(this.status(), size);
    if (port !== r.PORT_DATA) return allOnes(size);
    this.state.outputFull = false;
    return widenByte(this.state.output, size);
  }

  writePort(port: number, _size: number, value: number): void {
    const byte = value & 0xff;
    if (port === r.PORT_SYSTEM_CONTROL_A) this.writeControlA(byte);
    else if (!this.present) return;
    else if (port === r.PORT_COMMAND) this.writeCommand(byte);
    else if (port === r.PORT_DATA) this.writeData(byte);
  }

  private status(): number {
    const { outputFull, systemFlag, lastWasCommand } = this.state;
    return (
      r.STATUS_UNLOCKED |
      (outputFull ? r.STATUS_OUTPUT_FULL : 0) |
      (systemFlag ? r.STATUS_SYSTEM : 0) |
      (lastWasCommand ? r.STATUS_COMMAND : 0)
    );
  }

  private writeControlA(byte: number): void {
    const state = this.state;
    const resets = (byte & ~state.controlA & r.CONTROL_A_RESET) !== 0;
    this.changeA20(() => (state.controlA = byte & (r.CONTROL_A_RESET | r.CONTROL_A_A20)));
    if (resets) this.options.onReset();
  }

  private writeOutputPort(byte: number): void {
    this.changeA20(() => (this.state.outputPort = byte));
    if ((byte & r.OUTPUT_NOT_RESET) === 0) this.options.onReset();
  }

  private changeA20(change: () => void): void {
    const before = this.a20;
    change();
    if (this.a20 !== before) this.options.onA20?.(this.a20);
  }

  private answer(byte: number): void {
    this.state.output = byte;
    this.state.outputFull = true;
  }

  private writeCommand(byte: number): void {
    const state = this.state;
    state.lastWasCommand = true;
    state.pending = r.NO_COMMAND;
    if (byte >= r.PULSE) {
      if ((byte & r.OUTPUT_NOT_RESET) === 0) this.options.onReset();
      return;
    }
    if (byte >= r.READ_RAM && byte <= r.READ_RAM_LAST) return this.answer(state.ram[byte & 31]);
    if (byte >= r.WRITE_RAM && byte <= r.WRITE_RAM_LAST) {
      state.pending = byte;
      return;
    }
    switch (byte) {
      case r.DISABLE_AUX:
        state.ram[0] |= r.CONFIG_AUX_DISABLED;
        break;
      case r.ENABLE_AUX:
        state.ram[0] &= ~r.CONFIG_AUX_DISABLED;
        break;
      case r.TEST_AUX:
        return this.answer(r.AUX_TEST_FAILED);
      case r.SELF_TEST:
        state.systemFlag = true;
        return this.answer(r.SELF_TEST_PASSED);
      case r.TEST_KEYBOARD:
        return this.answer(r.KEYBOARD_TEST_PASSED);
      case r.DISABLE_KEYBOARD:
        state.ram[0] |= r.CONFIG_KEYBOARD_DISABLED;
        break;
      case r.ENABLE_KEYBOARD:
        state.ram[0] &= ~r.CONFIG_KEYBOARD_DISABLED;
        break;
      case r.READ_INPUT_PORT:
        return this.answer(r.INPUT_PORT);
      case r.READ_OUTPUT_PORT:
        return this.answer(state.outputPort);
      case r.WRITE_OUTPUT_PORT:
      case r.WRITE_KEYBOARD_BUFFER:
      case r.WRITE_AUX_BUFFER:
      case r.WRITE_AUX:
        state.pending = byte;
        break;
      case r.DISABLE_A20:
        this.writeOutputPort(state.outputPort & ~r.OUTPUT_A20);
        break;
      case r.ENABLE_A20:
        this.writeOutputPort(state.outputPort | r.OUTPUT_A20);
        break;
      default:
        break; // not a command of this controller
    }
  }

  private writeData(byte: number): void {
    const state = this.state;
    const command = state.pending;
    state.lastWasCommand = false;
    state.pending = r.NO_COMMAND;
    if (command >= r.WRITE_RAM && command <= r.WRITE_RAM_LAST) {
      state.ram[command & 31] = byte;
      if (command === r.WRITE_RAM) state.systemFlag = (byte & r.CONFIG_SYSTEM) !== 0;
    } else if (command === r.WRITE_OUTPUT_PORT) {
      this.writeOutputPort(byte);
    } else if (command === r.WRITE_KEYBOARD_BUFFER || command === r.WRITE_AUX_BUFFER) {
      // The byte comes back without the mark of an auxiliary device, by which Linux sees at once that there is none.
      this.answer(byte);
    }
  }
}
