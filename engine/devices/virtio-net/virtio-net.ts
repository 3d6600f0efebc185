/**
 * A virtio network card (virtio 1.2, section 5.1): one queue pair, no offloads, no merged buffers. Frames are whole
 * Ethernet frames without checksum. What the guest sends goes to the backend; what the backend has comes by receive().
 */

import type { SavedState } from '../device.ts';
import { VirtioMmioDevice, type VirtioMmioOptions } from '../virtio/mmio.ts';
import { DEVICE_NET } from '../virtio/registers.ts';
import { savedBytesList, savedNumber } from '../virtio/saved.ts';
import { gather, scatter, segmentsLength } from '../virtio/virtqueue.ts';
import {
  CONFIG_BYTES, CONFIG_MAC, CONFIG_MTU, F_MAC, F_MTU, HEADER_BYTES, HEADER_NUM_BUFFERS, QUEUE_RECEIVE, QUEUE_TRANSMIT,
} from './registers.ts';

/** Where frames go. The frame is the callee's to keep. */
export interface NetworkBackend {
  transmit(frame: Uint8Array): void;
}

export interface VirtioNetOptions extends VirtioMmioOptions {
  /** Six bytes; 52:54:00:12:34:56 unless told (locally administered, QEMU's first). */
  readonly mac?: Uint8Array;
  /** Bytes of payload of a frame, at least 68; with it VIRTIO_NET_F_MTU is offered. */
  readonly mtu?: number;
  readonly backend: NetworkBackend;
}

/** Bytes of the longest frame either way; longer ones are dropped. */
export const FRAME_BYTES_MAX = 65_550;
/** Frames that wait for the guest's buffers at most; more are dropped, as a full card drops them. */
export const PENDING_FRAMES_MAX = 256;
const QUEUE_SIZE_MAX = 256;
const DEFAULT_MAC = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);

export class VirtioNet extends VirtioMmioDevice {
  private readonly backend: NetworkBackend;
  private readonly mac: Uint8Array;
  private readonly mtu: number | undefined;

  // ---- saved ----
  private pending: Uint8Array[] = [];
  /** Frames lost since power-on: too long, no driver, no room, or a buffer too small. */
  private framesDropped = 0;

  constructor(options: VirtioNetOptions) {
    super(options, {
      name: 'virtio-net',
      deviceId: DEVICE_NET,
      features: (1 << F_MAC) | (options.mtu !== undefined ? 1 << F_MTU : 0),
      queueSizesMax: [QUEUE_SIZE_MAX, QUEUE_SIZE_MAX],
    });
    this.backend = options.backend;
    this.mac = (options.mac ?? DEFAULT_MAC).slice();
    if (this.mac.length !== 6) throw new RangeError(`${this.name}: a MAC address has 6 bytes, not ${this.mac.length}`);
    this.mtu = options.mtu;
  }

  /** A frame from the backend. Gives whether it was kept for the guest. */
  receive(frame: Uint8Array): boolean {
    if (!this.running || frame.length > FRAME_BYTES_MAX || this.pending.length >= PENDING_FRAMES_MAX) {
      this.framesDropped++;
      return false;
    }
    this.pending.push(frame.slice());
    this.deliver();
    return true;
  }

  get dropped(): number {
    return this.framesDropped;
  }

  protected configSpace(): Uint8Array {
    const bytes = new Uint8Array(CONFIG_BYTES);
    bytes.set(this.mac, CONFIG_MAC);
    if (this.mtu !== undefined) new DataView(bytes.buffer).setUint16(CONFIG_MTU, this.mtu, true);
    return bytes;
  }

  protected queueNotified(queue: number): void {
    if (queue === QUEUE_RECEIVE) this.deliver();
    else this.transmit();
  }

  private transmit(): void {
    for (let left = this.queueSize(QUEUE_TRANSMIT); left > 0; left--) {
      const chain = this.take(QUEUE_TRANSMIT);
      if (chain === undefined) return;
      const { head, readable } = chain;
      const length = segmentsLength(readable) - HEADER_BYTES;
      if (length < 0) return this.needsReset(`queue ${QUEUE_TRANSMIT}: a frame without its header`);
      const { name: device } = this;
      this.report({ kind: 'virtio-request', device, queue: QUEUE_TRANSMIT, head, type: 0, sector: 0, bytes: length });
      // The buffer is returned first, so that a backend which answers at once meets a consistent queue.
      const frame = length <= FRAME_BYTES_MAX ? gather(this.memory, readable, HEADER_BYTES, length) : undefined;
      this.report({ kind: 'virtio-complete', device, queue: QUEUE_TRANSMIT, head, status: 0, bytes: 0 });
      this.give(QUEUE_TRANSMIT, head, 0);
      if (frame === undefined) {
        this.framesDropped++;
      } else {
        this.report({ kind: 'net-tx', device, bytes: length });
        this.backend.transmit(frame);
      }
    }
  }

  private deliver(): void {
    while (this.pending.length > 0) {
      const chain = this.take(QUEUE_RECEIVE);
      if (chain === undefined) return;
      const [frame] = this.pending;
      this.pending.shift();
      const { head, writable } = chain;
      const length = HEADER_BYTES + frame.length;
      if (segmentsLength(writable) < length) {
        // Without merged buffers a frame has one buffer (5.1.6.4); the small one is kept for the next frame.
        this.framesDropped++;
        this.putBack(QUEUE_RECEIVE);
        continue;
      }
      const { name: device } = this;
      this.report({ kind: 'virtio-request', device, queue: QUEUE_RECEIVE, head, type: 0, sector: 0, bytes: segmentsLength(writable) });
      const header = new Uint8Array(HEADER_BYTES);
      header[HEADER_NUM_BUFFERS] = 1;
      scatter(this.memory, writable, 0, header);
      scatter(this.memory, writable, HEADER_BYTES, frame);
      this.report({ kind: 'net-rx', device, bytes: frame.length });
      this.report({ kind: 'virtio-complete', device, queue: QUEUE_RECEIVE, head, status: 0, bytes: length });
      this.give(QUEUE_RECEIVE, head, length);
    }
  }

  protected dropInFlight(): void {
    this.pending = [];
  }

  protected powerOn(): void {
    this.framesDropped = 0;
  }

  protected saveFunction(): SavedState {
    return { pending: [...this.pending], framesDropped: this.framesDropped };
  }

  protected restoreFunction(state: SavedState): void {
    this.pending = savedBytesList(state, 'pending');
    this.framesDropped = savedNumber(state, 'framesDropped');
  }
}
