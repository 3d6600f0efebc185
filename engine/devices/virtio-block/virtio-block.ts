/**
 * A virtio disk (virtio 1.2, section 5.2): a raw image under a copy-on-write overlay.
 *
 * A request is taken when the guest notifies, and done as a whole - data, status, used ring, interrupt - when its virtual
 * latency is over. Requests overlap in their seek but share one wire, so they complete in the order they came:
 *
 *     completion = max(taken + seek, completion of the one before) + bytes / bandwidth
 */

import type { SavedState, Timer, TimerSource } from '../device.ts';
import { VirtioMmioDevice, type VirtioMmioOptions } from '../virtio/mmio.ts';
import { DEVICE_BLOCK } from '../virtio/registers.ts';
import { savedNumber, savedState, savedStates } from '../virtio/saved.ts';
import { gather, restoreChain, saveChain, scatter, segmentsLength, type DescriptorChain } from '../virtio/virtqueue.ts';
import { CopyOnWriteImage, type BlockBacking } from './image.ts';
import {
  CONFIG_BLOCK_SIZE, CONFIG_BYTES, CONFIG_CAPACITY, CONFIG_DISCARD_ALIGNMENT, CONFIG_MAX_DISCARD_RANGES,
  CONFIG_MAX_DISCARD_SECTORS, CONFIG_MAX_WRITE_ZEROES_RANGES, CONFIG_MAX_WRITE_ZEROES_SECTORS, CONFIG_SEG_MAX,
  CONFIG_WRITE_ZEROES_MAY_UNMAP, F_BLOCK_SIZE, F_DISCARD, F_FLUSH, F_READ_ONLY, F_SEG_MAX, F_WRITE_ZEROES,
  HEADER_BYTES, ID_BYTES, RANGE_BYTES, REQUEST_DISCARD, REQUEST_FLUSH, REQUEST_GET_ID, REQUEST_IN, REQUEST_OUT,
  REQUEST_WRITE_ZEROES, SECTOR_BYTES, STATUS_IO_ERROR, STATUS_OK, STATUS_UNSUPPORTED,
} from './registers.ts';

export { type BlockBacking } from './image.ts';

export interface VirtioBlockOptions extends VirtioMmioOptions {
  readonly timers: TimerSource;
  /** The base image. Its last partial sector, if any, is filled with zeros. */
  readonly backing: BlockBacking;
  readonly readOnly?: boolean;
  /** Bytes of a logical block: a power of two from 512 to 4096; 512 unless told. */
  readonly blockSize?: number;
  /** What GET_ID answers (/sys/block/vda/serial); at most 20 ASCII characters. */
  readonly serial?: string;
  /** Virtual ns before the data of a request moves; 100 us unless told. */
  readonly seekNs?: number;
  /** Bytes each virtual second; 10^9 unless told. */
  readonly bytesPerSecond?: number;
}

interface Request {
  readonly chain: DescriptorChain;
  readonly type: number;
  readonly sector: number;
  readonly completesAtNs: number;
}

interface Outcome {
  readonly status: number;
  /** Bytes of data that went into the guest's buffer, without the status byte. */
  readonly written: number;
}

const QUEUE_REQUEST = 0;
const QUEUE_SIZE_MAX = 256;
/** Limits of one DISCARD or WRITE_ZEROES request: 32 MiB a range. */
const RANGE_SECTORS_MAX = 65_536;
const RANGES_MAX = 16;
const IO_ERROR: Outcome = { status: STATUS_IO_ERROR, written: 0 };
const UNSUPPORTED: Outcome = { status: STATUS_UNSUPPORTED, written: 0 };

export class VirtioBlock extends VirtioMmioDevice {
  private readonly timers: TimerSource;
  private readonly timer: Timer;
  private readonly readOnly: boolean;
  private readonly blockSize: number;
  private readonly serial: string;
  private readonly seekNs: number;
  private readonly bytesPerSecond: number;
  /** Sectors. */
  private readonly capacity: number;

  // ---- saved ----
  private readonly image: CopyOnWriteImage;
  /** In order of completion; never more than the queue has descriptors. */
  private inFlight: Request[] = [];

  constructor(options: VirtioBlockOptions) {
    const readOnly = options.readOnly ?? false;
    super(options, {
      name: 'virtio-block',
      deviceId: DEVICE_BLOCK,
      features:
        (1 << F_SEG_MAX) | (1 << F_BLOCK_SIZE) | (1 << F_FLUSH) |
        (readOnly ? 1 << F_READ_ONLY : (1 << F_DISCARD) | (1 << F_WRITE_ZEROES)),
      queueSizesMax: [QUEUE_SIZE_MAX],
    });
    this.readOnly = readOnly;
    this.blockSize = options.blockSize ?? 512;
    if (![512, 1024, 2048, 4096].includes(this.blockSize)) throw new RangeError(`${this.name}: block size ${this.blockSize}`);
    this.serial = options.serial ?? 'chronovisor';
    this.seekNs = options.seekNs ?? 100_000;
    this.bytesPerSecond = options.bytesPerSecond ?? 1_000_000_000;
    this.image = new CopyOnWriteImage(options.backing);
    this.capacity = Math.ceil(options.backing.byteLength / SECTOR_BYTES);
    this.timers = options.timers;
    this.timer = options.timers.create(`${this.name}.completion`, (nowNs) => this.completeUntil(nowNs));
  }

  /** Length of the merged image, bytes: the base image, up to a whole sector. */
  get byteLength(): number {
    return this.capacity * SECTOR_BYTES;
  }

  /** The image as the guest left it. */
  readMerged(offset: number, length: number): Uint8Array {
    if (offset < 0 || offset + length > this.byteLength) throw new RangeError(`${this.name}: ${length} bytes at ${offset} of ${this.byteLength}`);
    return this.image.read(offset, length);
  }

  get overlayPageCount(): number {
    return this.image.overlayPageCount;
  }

  /** Back to the base image. reset() does not do this: a disk keeps its data over power-off. */
  discardOverlay(): void {
    this.image.discardOverlay();
  }

  protected configSpace(): Uint8Array {
    const bytes = new Uint8Array(CONFIG_BYTES);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(CONFIG_CAPACITY, BigInt(this.capacity), true);
    view.setUint32(CONFIG_SEG_MAX, QUEUE_SIZE_MAX - 2, true);
    view.setUint32(CONFIG_BLOCK_SIZE, this.blockSize, true);
    if (!this.readOnly) {
      view.setUint32(CONFIG_MAX_DISCARD_SECTORS, RANGE_SECTORS_MAX, true);
      view.setUint32(CONFIG_MAX_DISCARD_RANGES, RANGES_MAX, true);
      view.setUint32(CONFIG_DISCARD_ALIGNMENT, this.blockSize / SECTOR_BYTES, true);
      view.setUint32(CONFIG_MAX_WRITE_ZEROES_SECTORS, RANGE_SECTORS_MAX, true);
      view.setUint32(CONFIG_MAX_WRITE_ZEROES_RANGES, RANGES_MAX, true);
      view.setUint8(CONFIG_WRITE_ZEROES_MAY_UNMAP, 1);
    }
    return bytes;
  }

  protected queueNotified(): void {
    for (let left = this.queueSize(QUEUE_REQUEST); left > 0; left--) {
      const chain = this.take(QUEUE_REQUEST);
      if (chain === undefined) return;
      // A head that is made available again while in flight would grow this list without bound.
      if (this.inFlight.length >= this.queueSize(QUEUE_REQUEST)) return this.needsReset('more requests than descriptors');
      const header = gather(this.memory, chain.readable, 0, HEADER_BYTES);
      const writable = segmentsLength(chain.writable);
      if (header.length < HEADER_BYTES || writable < 1) return this.needsReset('a request without header or status');
      const view = new DataView(header.buffer);
      const type = view.getUint32(0, true);
      // A sector beyond 2^53 is beyond any disk, so its exact value does not matter.
      const sector = Math.min(view.getUint32(12, true) * 0x1_0000_0000 + view.getUint32(8, true), Number.MAX_SAFE_INTEGER);
      const bytes = segmentsLength(chain.readable) - HEADER_BYTES + writable - 1;
      this.report({ kind: 'virtio-request', device: this.name, queue: QUEUE_REQUEST, head: chain.head, type, sector, bytes });
      const before = this.inFlight.at(-1)?.completesAtNs ?? 0;
      const transferNs = Math.ceil((this.bytesMoved(type, bytes) * 1e9) / this.bytesPerSecond);
      const completesAtNs = Math.max(this.timers.now() + this.seekNs, before) + transferNs;
      this.inFlight.push({ chain, type, sector, completesAtNs });
      if (this.inFlight.length === 1) this.timer.arm(completesAtNs);
    }
  }

  /** Bytes that pass the wire. Ranges to zero are named, not sent. */
  private bytesMoved(type: number, bytes: number): number {
    return type === REQUEST_IN || type === REQUEST_OUT ? bytes : 0;
  }

  private completeUntil(nowNs: number): void {
    while (this.inFlight.length > 0 && this.inFlight[0].completesAtNs <= nowNs) {
      const [request] = this.inFlight;
      this.inFlight.shift();
      const { chain } = request;
      const { status, written } = this.perform(request);
      scatter(this.memory, chain.writable, segmentsLength(chain.writable) - 1, Uint8Array.of(status));
      this.report({ kind: 'virtio-complete', device: this.name, queue: QUEUE_REQUEST, head: chain.head, status, bytes: written + 1 });
      this.give(QUEUE_REQUEST, chain.head, written + 1);
    }
    if (this.inFlight.length > 0) this.timer.arm(this.inFlight[0].completesAtNs);
  }

  private perform({ chain, type, sector }: Request): Outcome {
    switch (type) {
      case REQUEST_IN: {
        const length = segmentsLength(chain.writable) - 1;
        if (!this.holds(sector, length)) return IO_ERROR;
        scatter(this.memory, chain.writable, 0, this.image.read(sector * SECTOR_BYTES, length));
        return { status: STATUS_OK, written: length };
      }
      case REQUEST_OUT: {
        const length = segmentsLength(chain.readable) - HEADER_BYTES;
        if (this.readOnly || !this.holds(sector, length)) return IO_ERROR;
        this.image.write(sector * SECTOR_BYTES, gather(this.memory, chain.readable, HEADER_BYTES, length));
        return { status: STATUS_OK, written: 0 };
      }
      // All writes that completed are in the overlay, and there is no cache before it.
      case REQUEST_FLUSH:
        return { status: STATUS_OK, written: 0 };
      case REQUEST_GET_ID: {
        const id = new Uint8Array(ID_BYTES);
        for (let i = 0; i < Math.min(ID_BYTES, this.serial.length); i++) id[i] = this.serial.charCodeAt(i) & 0x7f;
        const length = Math.min(ID_BYTES, segmentsLength(chain.writable) - 1);
        return { status: STATUS_OK, written: scatter(this.memory, chain.writable, 0, id.subarray(0, length)) };
      }
      case REQUEST_DISCARD:
        return this.hasFeature(F_DISCARD) ? this.zeroRanges(chain) : UNSUPPORTED;
      case REQUEST_WRITE_ZEROES:
        return this.hasFeature(F_WRITE_ZEROES) ? this.zeroRanges(chain) : UNSUPPORTED;
      default:
        return UNSUPPORTED;
    }
  }

  /** DISCARD leaves contents to the device (5.2.6.2); zeros are the deterministic choice, so both types do the same. */
  private zeroRanges(chain: DescriptorChain): Outcome {
    const length = segmentsLength(chain.readable) - HEADER_BYTES;
    if (length === 0 || length % RANGE_BYTES !== 0 || length / RANGE_BYTES > RANGES_MAX) return IO_ERROR;
    const view = new DataView(gather(this.memory, chain.readable, HEADER_BYTES, length).buffer);
    const ranges: { sector: number; sectors: number }[] = [];
    for (let at = 0; at < length; at += RANGE_BYTES) {
      const sector = view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
      const sectors = view.getUint32(at + 8, true);
      // Flag bits other than unmap are reserved, and must be refused (5.2.6.2).
      if ((view.getUint32(at + 12, true) & ~1) !== 0) return UNSUPPORTED;
      if (sectors > RANGE_SECTORS_MAX || !this.holds(sector, sectors * SECTOR_BYTES)) return IO_ERROR;
      ranges.push({ sector, sectors });
    }
    for (const { sector, sectors } of ranges) this.image.zero(sector * SECTOR_BYTES, sectors * SECTOR_BYTES);
    return { status: STATUS_OK, written: 0 };
  }

  private holds(sector: number, length: number): boolean {
    return length % SECTOR_BYTES === 0 && sector + length / SECTOR_BYTES <= this.capacity;
  }

  protected dropInFlight(): void {
    this.inFlight = [];
    this.timer.cancel();
  }

  protected powerOn(): void {}

  protected saveFunction(): SavedState {
    return {
      overlay: this.image.save(),
      inFlight: this.inFlight.map(({ chain, type, sector, completesAtNs }) => ({ chain: saveChain(chain), type, sector, completesAtNs })),
    };
  }

  protected restoreFunction(state: SavedState): void {
    this.image.restore(savedState(state, 'overlay'));
    this.inFlight = savedStates(state, 'inFlight').map((request) => ({
      chain: restoreChain(savedState(request, 'chain')),
      type: savedNumber(request, 'type'),
      sector: savedNumber(request, 'sector'),
      completesAtNs: savedNumber(request, 'completesAtNs'),
    }));
  }
}
