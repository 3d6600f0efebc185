/**
 * Ports that a guest uses to talk to its tester: 0xf4 ends the run (the process code is (value << 1) | 1, which the
 * caller makes of the value), 0xe9 is a console without a protocol, 0x80 takes POST codes, and Linux's io_delay.
 */
import { allOnes, widenByte } from '../byte-port.ts';
import type { ByteSink, PortDevice, SavedState } from '../device.ts';
import { restoreState } from '../saved-state.ts';
import * as r from './registers.ts';

export interface DebugExitOptions {
  /** The guest ends the run; `value` is as wide as its write. */
  readonly onExit: (value: number) => void;
  /** Bytes for the debug console; dropped unless given. */
  readonly console?: ByteSink;
}

export class DebugExit implements PortDevice {
  readonly name = 'debug-exit';
  readonly ports = [
    { first: r.PORT_EXIT, count: r.PORT_EXIT_COUNT },
    { first: r.PORT_CONSOLE, count: 1 },
    { first: r.PORT_POST, count: 1 },
  ];
  private readonly options: DebugExitOptions;

  constructor(options: DebugExitOptions) {
    this.options = options;
  }

  /** There is no state. */
  reset(): void {}

  save(): SavedState {
    return {};
  }

  restore(state: SavedState): void {
    restoreState({}, state, this.name);
  }

  readPort(port: number, size: number): number {
    if (port === r.PORT_CONSOLE) return widenByte(r.CONSOLE_PRESENT, size);
    if (port >= r.PORT_EXIT && port < r.PORT_EXIT + r.PORT_EXIT_COUNT) return 0;
    return allOnes(size);
  }

  writePort(port: number, _size: number, value: number): void {
    if (port === r.PORT_CONSOLE) this.options.console?.(value & 0xff);
    else if (port >= r.PORT_EXIT && port < r.PORT_EXIT + r.PORT_EXIT_COUNT) this.options.onExit(value);
  }
}
