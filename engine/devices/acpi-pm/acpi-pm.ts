/**
 * Power-off and reset for a guest that has ACPI. Sleep status is always zero: its one bit, WAK_STS, is set on waking, and
 * this machine has no state to wake from.
 */

import { allOnes, widenByte } from '../byte-port.ts';
import type { PortDevice, SavedState } from '../device.ts';
import { restoreState, saveState } from '../saved-state.ts';
import {
  ACPI_PM_PORT, PORT_COUNT, RESET, RESET_VALUE, SLEEP_CONTROL, SLEEP_ENABLE, SLEEP_STATUS, SLEEP_TYPE_MASK,
  SLEEP_TYPE_S5, SLEEP_TYPE_SHIFT,
} from './registers.ts';

export interface AcpiPmOptions {
  readonly name?: string;
  readonly firstPort?: number;
  /** The guest entered S5. */
  readonly onPowerOff: () => void;
  /** The guest wrote the reset register. */
  readonly onReset: () => void;
}

export class AcpiPm implements PortDevice {
  readonly name: string;
  readonly ports: readonly { readonly first: number; readonly count: number }[];
  private readonly firstPort: number;
  private readonly onPowerOff: () => void;
  private readonly onReset: () => void;

  // ---- saved ----
  private state = { sleepControl: 0 };

  constructor(options: AcpiPmOptions) {
    this.name = options.name ?? 'acpi-pm';
    this.firstPort = options.firstPort ?? ACPI_PM_PORT;
    this.ports = [{ first: this.firstPort, count: PORT_COUNT }];
    this.onPowerOff = options.onPowerOff;
    this.onReset = options.onReset;
  }

  reset(): void {
    this.state.sleepControl = 0;
  }

  save(): SavedState {
    return saveState(this.state);
  }

  restore(state: SavedState): void {
    this.state = restoreState(this.state, state, this.name);
  }

  readPort(port: number, size: number): number {
    switch (port - this.firstPort) {
      case SLEEP_CONTROL: return widenByte(this.state.sleepControl, size);
      case SLEEP_STATUS:  return widenByte(0, size);
      default:            return allOnes(size);
    }
  }

  writePort(port: number, _size: number, value: number): void {
    switch (port - this.firstPort) {
      case SLEEP_CONTROL:
        this.state.sleepControl = value & SLEEP_TYPE_MASK;
        if ((value & SLEEP_ENABLE) !== 0 && (value & SLEEP_TYPE_MASK) >> SLEEP_TYPE_SHIFT === SLEEP_TYPE_S5) this.onPowerOff();
        break;
      case RESET:
        if ((value & 0xff) === RESET_VALUE) this.onReset();
        break;
      default:
        break;
    }
  }
}
