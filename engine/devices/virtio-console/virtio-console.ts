/** A virtio console with one port (virtio 1.2, section 5.3). Output leaves at once; input waits for the guest's buffers. */

import type { SavedState } from '../device.ts';
import { VirtioMmioDevice, type VirtioMmioOptions } from '../virtio/mmio.ts';
import { DEVICE_CONSOLE } from '../virtio/registers.ts';
import { savedBytes, savedNumber } from '../virtio/saved.ts';
import { gather, scatter, segmentsLength } from '../virtio/virtqueue.ts';
import {
  CONFIG_BYTES, CONFIG_COLUMNS, CONFIG_EMERGENCY_WRITE, CONFIG_MAX_PORTS, CONFIG_ROWS, F_EMERGENCY_WRITE, F_SIZE,
  QUEUE_RECEIVE, QUEUE_TRANSMIT,
} from './registers.ts';

/** Characters. */
export interface ConsoleSize {
  readonly columns: number;
  readonly rows: number;
}

export interface VirtioConsoleOptions extends VirtioMmioOptions {
  /** Bytes the guest wrote, one call for each buffer. The array is the callee's to keep. */
  readonly output: (bytes: Uint8Array) => void;
  /** With a size, VIRTIO_CONSOLE_F_SIZE is offered. */
  readonly size?: ConsoleSize;
}

/** Bytes of input that wait for the guest at most; receive() takes no more. */
export const INPUT_BYTES_MAX = 64 * 1024;
const QUEUE_SIZE_MAX = 64;

export class VirtioConsole extends VirtioMmioDevice {
  private readonly output: (bytes: Uint8Array) => void;
  private readonly initialSize: ConsoleSize;

  // ---- saved ----
  private size: ConsoleSize;
  private input: Uint8Array = new Uint8Array(0);

  constructor(options: VirtioConsoleOptions) {
    super(options, {
      name: 'virtio-console',
      deviceId: DEVICE_CONSOLE,
      features: (1 << F_EMERGENCY_WRITE) | (options.size !== undefined ? 1 << F_SIZE : 0),
      queueSizesMax: [QUEUE_SIZE_MAX, QUEUE_SIZE_MAX],
    });
    this.output = options.output;
    this.initialSize = options.size ?? { columns: 0, rows: 0 };
    this.size = this.initialSize;
  }

  /** Input for the guest. Gives how many bytes were taken; the rest is the caller's to offer again. */
  receive(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, INPUT_BYTES_MAX - this.input.length);
    const joined = new Uint8Array(this.input.length + count);
    joined.set(this.input);
    joined.set(bytes.subarray(0, count), this.input.length);
    this.input = joined;
    this.deliver();
    return count;
  }

  /** The person's window changed. */
  resize(size: ConsoleSize): void {
    this.size = size;
    this.configChanged();
  }

  protected configSpace(): Uint8Array {
    const bytes = new Uint8Array(CONFIG_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint16(CONFIG_COLUMNS, this.size.columns, true);
    view.setUint16(CONFIG_ROWS, this.size.rows, true);
    view.setUint32(CONFIG_MAX_PORTS, 1, true);
    return bytes;
  }

  /** emerg_wr: one character without any queue, also before the driver is ready (5.3.5). */
  protected override writeConfig(offset: number, _size: number, value: number): void {
    if (offset === CONFIG_EMERGENCY_WRITE) this.output(Uint8Array.of(value & 0xff));
  }

  protected queueNotified(queue: number): void {
    if (queue === QUEUE_RECEIVE) this.deliver();
    else this.transmit();
  }

  private transmit(): void {
    for (let left = this.queueSize(QUEUE_TRANSMIT); left > 0; left--) {
      const chain = this.take(QUEUE_TRANSMIT);
      if (chain === undefined) return;
      const bytes = gather(this.memory, chain.readable, 0, Infinity);
      this.reportRequest(QUEUE_TRANSMIT, chain.head, bytes.length);
      if (bytes.length > 0) this.output(bytes);
      this.complete(QUEUE_TRANSMIT, chain.head, 0);
    }
  }

  private deliver(): void {
    for (let left = this.queueSize(QUEUE_RECEIVE); left > 0 && this.input.length > 0; left--) {
      const chain = this.take(QUEUE_RECEIVE);
      if (chain === undefined) return;
      this.reportRequest(QUEUE_RECEIVE, chain.head, segmentsLength(chain.writable));
      const count = scatter(this.memory, chain.writable, 0, this.input);
      this.input = this.input.slice(count);
      this.complete(QUEUE_RECEIVE, chain.head, count);
    }
  }

  private reportRequest(queue: number, head: number, bytes: number): void {
    this.report({ kind: 'virtio-request', device: this.name, queue, head, type: 0, sector: 0, bytes });
  }

  private complete(queue: number, head: number, bytes: number): void {
    this.report({ kind: 'virtio-complete', device: this.name, queue, head, status: 0, bytes });
    this.give(queue, head, bytes);
  }

  protected dropInFlight(): void {}

  protected powerOn(): void {
    this.size = this.initialSize;
    this.input = new Uint8Array(0);
  }

  protected saveFunction(): SavedState {
    return { columns: this.size.columns, rows: this.size.rows, input: this.input.slice() };
  }

  protected restoreFunction(state: SavedState): void {
    this.size = { columns: savedNumber(state, 'columns'), rows: savedNumber(state, 'rows') };
    this.input = savedBytes(state, 'input').slice();
  }
}
