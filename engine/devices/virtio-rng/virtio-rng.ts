/** A virtio entropy source (virtio 1.2, section 5.4): one queue, no features, no configuration. */

import type { SavedState } from '../device.ts';
import { VirtioMmioDevice, type VirtioMmioOptions } from '../virtio/mmio.ts';
import { DEVICE_ENTROPY } from '../virtio/registers.ts';
import { scatter, segmentsLength } from '../virtio/virtqueue.ts';

export interface VirtioRngOptions extends VirtioMmioOptions {
  /** Gives exactly `length` bytes. Its state is saved by whoever hands it in. */
  readonly entropy: (length: number) => Uint8Array;
}

/** Bytes given for one request at most; the device may give less than the buffer holds (5.4.6.1). */
export const REQUEST_BYTES_MAX = 64 * 1024;
const QUEUE_REQUEST = 0;
const QUEUE_SIZE_MAX = 64;

export class VirtioRng extends VirtioMmioDevice {
  private readonly entropy: (length: number) => Uint8Array;

  constructor(options: VirtioRngOptions) {
    super(options, { name: 'virtio-rng', deviceId: DEVICE_ENTROPY, features: 0, queueSizesMax: [QUEUE_SIZE_MAX] });
    this.entropy = options.entropy;
  }

  protected configSpace(): Uint8Array {
    return new Uint8Array(0);
  }

  protected queueNotified(): void {
    for (let left = this.queueSize(QUEUE_REQUEST); left > 0; left--) {
      const chain = this.take(QUEUE_REQUEST);
      if (chain === undefined) return;
      const length = Math.min(segmentsLength(chain.writable), REQUEST_BYTES_MAX);
      const { name: device } = this;
      const { head } = chain;
      this.report({ kind: 'virtio-request', device, queue: QUEUE_REQUEST, head, type: 0, sector: 0, bytes: length });
      if (length > 0) scatter(this.memory, chain.writable, 0, this.entropy(length));
      this.report({ kind: 'virtio-complete', device, queue: QUEUE_REQUEST, head, status: 0, bytes: length });
      this.give(QUEUE_REQUEST, head, length);
    }
  }

  protected dropInFlight(): void {}
  protected powerOn(): void {}

  protected saveFunction(): SavedState {
    return {};
  }

  protected restoreFunction(): void {}
}
