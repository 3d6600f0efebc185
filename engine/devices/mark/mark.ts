/**
 * The mark port, 0xf5: the guest writes the bytes of a name and then a zero, and the moment of the zero is a mark in the log.
 * It answers reads with all ones, so a guest can tell that it is not there only by its marks being missing.
 */
import { allOnes } from '../byte-port.ts';
import type { PortDevice, SavedState } from '../device.ts';
import { restoreState, saveState } from '../saved-state.ts';

export interface MarkOptions {
  readonly onMark: (name: string) => void;
}

export const PORT_MARK = 0xf5;
/** Bytes of a name; longer ones are cut. */
export const NAME_BYTES_MAX = 64;

type MarkState = { name: Uint8Array; length: number };

export class MarkPort implements PortDevice {
  readonly name = 'mark';
  readonly ports = [{ first: PORT_MARK, count: 1 }];
  private readonly options: MarkOptions;
  private state: MarkState = { name: new Uint8Array(NAME_BYTES_MAX), length: 0 };

  constructor(options: MarkOptions) {
    this.options = options;
  }

  reset(): void {
    this.state = { name: new Uint8Array(NAME_BYTES_MAX), length: 0 };
  }

  save(): SavedState {
    return saveState(this.state);
  }

  restore(state: SavedState): void {
    this.state = restoreState(this.state, state, this.name);
  }

  readPort(_port: number, size: number): number {
    return allOnes(size);
  }

  writePort(_port: number, _size: number, value: number): void {
    const byte = value & 0xff;
    if (byte !== 0) {
      if (this.state.length < NAME_BYTES_MAX) this.state.name[this.state.length++] = byte;
      return;
    }
    let text = '';
    for (let i = 0; i < this.state.length; i++) {
      const c = this.state.name[i];
      text += c >= 0x20 && c < 0x7f ? String.fromCharCode(c) : '?';
    }
    this.reset();
    if (text.length > 0) this.options.onMark(text);
  }
}
