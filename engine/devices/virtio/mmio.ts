/**
 * The virtio-mmio transport, version 2 (virtio 1.2, section 4.2), which every virtio device here extends.
 *
 * Life of a device (3.1.1): Status 0 -> ACKNOWLEDGE -> DRIVER -> features -> FEATURES_OK -> queues ready -> DRIVER_OK.
 * Writing 0 to Status resets it. A guest that breaks the rules of a ring gets DEVICE_NEEDS_RESET and a configuration
 * interrupt (2.1.2), and the device stays still until it is reset; `fault` then says what was wrong.
 *
 * The interrupt line follows InterruptStatus: asserted while a bit is set. It is therefore level-triggered, active high,
 * and an interrupt that comes between the driver's read and its acknowledgement is not lost.
 */

import type { GuestMemory, InterruptLine, MmioDevice, ReportSink, SavedState } from '../device.ts';
import {
  CONFIG, CONFIG_GENERATION, DEVICE_FEATURES, DEVICE_FEATURES_SEL, DEVICE_ID, DRIVER_FEATURES, DRIVER_FEATURES_SEL,
  F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1_WORD1, INTERRUPT_ACK, INTERRUPT_CONFIG_CHANGE, INTERRUPT_STATUS,
  INTERRUPT_USED_BUFFER, MAGIC, MAGIC_VALUE, QUEUE_DESC_HIGH, QUEUE_DESC_LOW, QUEUE_DEVICE_HIGH, QUEUE_DEVICE_LOW,
  QUEUE_DRIVER_HIGH, QUEUE_DRIVER_LOW, QUEUE_NOTIFY, QUEUE_NUM, QUEUE_NUM_MAX, QUEUE_READY, QUEUE_SEL, SHM_BASE_HIGH,
  SHM_BASE_LOW, SHM_LEN_HIGH, SHM_LEN_LOW, SHM_SEL, STATUS, STATUS_DRIVER_BITS, STATUS_DRIVER_OK, STATUS_FEATURES_OK,
  STATUS_NEEDS_RESET, VENDOR, VENDOR_ID, VERSION, VERSION_MODERN,
} from './registers.ts';
import { savedNumber, savedNumbers, savedState, savedStates, savedString } from './saved.ts';
import { SplitVirtqueue, type DescriptorChain } from './virtqueue.ts';

/** Where the machine puts virtio windows: the n-th at VIRTIO_MMIO_BASE + n * VIRTIO_MMIO_STRIDE. */
export const VIRTIO_MMIO_BASE = 0xd000_0000;
export const VIRTIO_MMIO_STRIDE = 0x1000;
/** Bytes of a window. */
export const VIRTIO_MMIO_LENGTH = 0x1000;
/** Interrupt of the n-th window: inputs that PIC and IOAPIC both have and that no ISA device of this machine uses. */
export const VIRTIO_IRQS: readonly number[] = [5, 6, 9, 10, 11, 12, 14, 15];

/** How a kernel without ACPI is told of the device in a slot: Linux, Documentation/admin-guide/kernel-parameters.txt, virtio_mmio.device. */
export function virtioArgument(slot: number): string {
  return `virtio_mmio.device=0x${VIRTIO_MMIO_LENGTH.toString(16)}@0x${(VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_LENGTH).toString(16)}:${VIRTIO_IRQS[slot]}`;
}

/** What every virtio device is given. */
export interface VirtioMmioOptions {
  readonly name?: string;
  readonly mmioBase: number;
  /** Bytes; 0x1000 unless told. At least 0x200. */
  readonly mmioLength?: number;
  readonly line: InterruptLine;
  readonly memory: GuestMemory;
  readonly report?: ReportSink;
  /** Offer VIRTIO_F_EVENT_IDX (true unless told). */
  readonly eventIndex?: boolean;
}

/** What makes a device this device. */
export interface VirtioIdentity {
  readonly name: string;
  /** Section 5. */
  readonly deviceId: number;
  /** Device-specific feature bits 0 to 23. */
  readonly features: number;
  /** QueueNumMax of each queue: powers of two. */
  readonly queueSizesMax: readonly number[];
}

export abstract class VirtioMmioDevice implements MmioDevice {
  readonly name: string;
  readonly mmioBase: number;
  readonly mmioLength: number;
  protected readonly memory: GuestMemory;
  protected readonly report: ReportSink;
  private readonly line: InterruptLine;
  private readonly deviceId: number;
  private readonly queues: readonly SplitVirtqueue[];
  /** Offered feature bits 0-31 and 32-63. */
  private readonly deviceFeatures: readonly [number, number];

  // ---- saved ----
  private readonly driverFeatures: [number, number] = [0, 0];
  private deviceFeaturesSel = 0;
  private driverFeaturesSel = 0;
  private queueSel = 0;
  private shmSel = 0;
  private status = 0;
  private interruptStatus = 0;
  private configGeneration = 0;
  private faultText = '';

  constructor(options: VirtioMmioOptions, identity: VirtioIdentity) {
    this.name = options.name ?? identity.name;
    this.mmioBase = options.mmioBase;
    this.mmioLength = options.mmioLength ?? VIRTIO_MMIO_LENGTH;
    this.memory = options.memory;
    this.report = options.report ?? (() => {});
    this.line = options.line;
    this.deviceId = identity.deviceId;
    this.queues = identity.queueSizesMax.map((sizeMax) => new SplitVirtqueue(options.memory, sizeMax));
    const eventIndex = options.eventIndex ?? true;
    this.deviceFeatures = [
      (identity.features | F_INDIRECT_DESC | (eventIndex ? F_EVENT_IDX : 0)) >>> 0,
      F_VERSION_1_WORD1,
    ];
  }

  // ---- what a device says of itself ----

  /** The device's configuration space (section 5.x.4) as the driver reads it now. */
  protected abstract configSpace(): Uint8Array;
  /** The driver wrote to configuration space. Most fields are read-only, and a write to them is ignored. */
  protected writeConfig(_offset: number, _size: number, _value: number): void {}
  /** The driver made buffers available in a queue; called only while running. */
  protected abstract queueNotified(queue: number): void;
  /** Forget requests in flight: the driver reset the device or stopped a queue. */
  protected abstract dropInFlight(): void;
  /** Device-specific part of reset(): also forget what came from outside. */
  protected abstract powerOn(): void;
  protected abstract saveFunction(): SavedState;
  protected abstract restoreFunction(state: SavedState): void;

  // ---- what a device may do ----

  /** Whether the driver is ready for the device to use its queues. */
  protected get running(): boolean {
    const ready = STATUS_DRIVER_OK | STATUS_FEATURES_OK;
    return (this.status & (ready | STATUS_NEEDS_RESET)) === ready;
  }

  /** Why the device needs a reset, or undefined when it does not. */
  get fault(): string | undefined {
    return (this.status & STATUS_NEEDS_RESET) === 0 ? undefined : this.faultText;
  }

  protected hasFeature(bit: number): boolean {
    return ((this.driverFeatures[0] >>> bit) & 1) === 1;
  }

  /** Takes the next available buffer of a queue, if there is one and the device is running. */
  protected take(queue: number): DescriptorChain | undefined {
    const virtqueue = this.queues[queue];
    if (!this.running || !virtqueue.ready) return undefined;
    const result = virtqueue.pop();
    switch (result.kind) {
      case 'chain':
        return result;
      case 'empty':
        return undefined;
      case 'malformed':
        this.needsReset(`queue ${queue}: ${result.reason}`);
        return undefined;
    }
  }

  /** Puts back the buffer that take() gave last. */
  protected putBack(queue: number): void {
    this.queues[queue].unpop();
  }

  /** Returns a buffer with `bytesWritten` bytes in it and interrupts the driver if it wants to be. */
  protected give(queue: number, head: number, bytesWritten: number): void {
    const virtqueue = this.queues[queue];
    if (!this.running || !virtqueue.ready) return;
    virtqueue.push(head, bytesWritten);
    if (virtqueue.takeInterruptWanted()) this.raise(INTERRUPT_USED_BUFFER);
  }

  /**
   * Number of descriptors the driver chose for a queue: the most buffers that can wait in it. A device takes no more than
   * that for one notification, or a buffer that lies over the available ring could keep it busy for ever.
   */
  protected queueSize(queue: number): number {
    return this.queues[queue].size;
  }

  /** The driver broke the protocol: stop, and tell it (2.1.2). */
  protected needsReset(reason: string): void {
    if ((this.status & STATUS_NEEDS_RESET) !== 0) return;
    this.faultText = reason;
    this.status |= STATUS_NEEDS_RESET;
    this.dropInFlight();
    if ((this.status & STATUS_DRIVER_OK) !== 0) this.raise(INTERRUPT_CONFIG_CHANGE);
  }

  /** A field of configuration space changed (2.5, 4.2.2.1). */
  protected configChanged(): void {
    this.configGeneration = (this.configGeneration + 1) >>> 0;
    if (this.running) this.raise(INTERRUPT_CONFIG_CHANGE);
  }

  private raise(bit: number): void {
    this.interruptStatus |= bit;
    this.line.set(true);
  }

  // ---- Device ----

  reset(): void {
    this.deviceReset();
    this.configGeneration = 0;
    this.powerOn();
  }

  save(): SavedState {
    return {
      driverFeatures: [...this.driverFeatures],
      deviceFeaturesSel: this.deviceFeaturesSel,
      driverFeaturesSel: this.driverFeaturesSel,
      queueSel: this.queueSel,
      shmSel: this.shmSel,
      status: this.status,
      interruptStatus: this.interruptStatus,
      configGeneration: this.configGeneration,
      fault: this.faultText,
      queues: this.queues.map((queue) => queue.save()),
      function: this.saveFunction(),
    };
  }

  /** The interrupt line is not driven: its level is part of the interrupt controller's own saved state. */
  restore(state: SavedState): void {
    const [low = 0, high = 0] = savedNumbers(state, 'driverFeatures');
    this.driverFeatures[0] = low;
    this.driverFeatures[1] = high;
    this.deviceFeaturesSel = savedNumber(state, 'deviceFeaturesSel');
    this.driverFeaturesSel = savedNumber(state, 'driverFeaturesSel');
    this.queueSel = savedNumber(state, 'queueSel');
    this.shmSel = savedNumber(state, 'shmSel');
    this.status = savedNumber(state, 'status');
    this.interruptStatus = savedNumber(state, 'interruptStatus');
    this.configGeneration = savedNumber(state, 'configGeneration');
    this.faultText = savedString(state, 'fault');
    const queues = savedStates(state, 'queues');
    if (queues.length !== this.queues.length) throw new Error(`${this.name}: saved with ${queues.length} queues`);
    this.queues.forEach((queue, i) => queue.restore(queues[i]));
    this.restoreFunction(savedState(state, 'function'));
  }

  // ---- MmioDevice ----

  /** Registers are read 32 bits wide and aligned (4.2.2.2); another width, and what is not there, reads as zero. */
  readMmio(offset: number, size: number): number {
    if (offset >= CONFIG) return this.readConfig(offset - CONFIG, size);
    if (size !== 4) return 0;
    switch (offset) {
      case MAGIC_VALUE:       return MAGIC;
      case VERSION:           return VERSION_MODERN;
      case DEVICE_ID:         return this.deviceId;
      case VENDOR_ID:         return VENDOR;
      case DEVICE_FEATURES:   return this.deviceFeatures[this.deviceFeaturesSel] ?? 0;
      case QUEUE_NUM_MAX:     return this.queues[this.queueSel]?.sizeMax ?? 0;
      case QUEUE_READY:       return this.queues[this.queueSel]?.ready === true ? 1 : 0;
      case INTERRUPT_STATUS:  return this.interruptStatus;
      case STATUS:            return this.status;
      // No shared memory region exists: length -1 says so, and the base is then -1 as well (4.2.2, SHMLenLow).
      case SHM_LEN_LOW:
      case SHM_LEN_HIGH:
      case SHM_BASE_LOW:
      case SHM_BASE_HIGH:     return 0xffff_ffff;
      case CONFIG_GENERATION: return this.configGeneration;
      default:                return 0;
    }
  }

  writeMmio(offset: number, size: number, value: number): void {
    if (offset >= CONFIG) return this.writeConfig(offset - CONFIG, size, value);
    if (size !== 4) return;
    const queue = this.queues[this.queueSel];
    // The set-up of a queue that is ready may not change (4.2.2.2).
    const idle = queue !== undefined && !queue.ready ? queue : undefined;
    switch (offset) {
      case DEVICE_FEATURES_SEL: this.deviceFeaturesSel = value; break;
      case DRIVER_FEATURES_SEL: this.driverFeaturesSel = value; break;
      case DRIVER_FEATURES:     this.writeDriverFeatures(value); break;
      case QUEUE_SEL:           this.queueSel = value; break;
      case QUEUE_NUM:           if (idle !== undefined) idle.size = value; break;
      case QUEUE_READY:         this.writeQueueReady(value); break;
      case QUEUE_NOTIFY:        if (this.running && this.queues[value]?.ready === true) this.queueNotified(value); break;
      case INTERRUPT_ACK:       this.acknowledge(value); break;
      case STATUS:              this.writeStatus(value); break;
      case QUEUE_DESC_LOW:      if (idle !== undefined) idle.descWords[0] = value; break;
      case QUEUE_DESC_HIGH:     if (idle !== undefined) idle.descWords[1] = value; break;
      case QUEUE_DRIVER_LOW:    if (idle !== undefined) idle.driverWords[0] = value; break;
      case QUEUE_DRIVER_HIGH:   if (idle !== undefined) idle.driverWords[1] = value; break;
      case QUEUE_DEVICE_LOW:    if (idle !== undefined) idle.deviceWords[0] = value; break;
      case QUEUE_DEVICE_HIGH:   if (idle !== undefined) idle.deviceWords[1] = value; break;
      case SHM_SEL:             this.shmSel = value; break;
      default:                  break;
    }
  }

  private readConfig(offset: number, size: number): number {
    const config = this.configSpace();
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (config[offset + i] ?? 0);
    return value;
  }

  private writeDriverFeatures(value: number): void {
    if ((this.status & STATUS_FEATURES_OK) !== 0) return;
    if (this.driverFeaturesSel <= 1) this.driverFeatures[this.driverFeaturesSel] = value;
    // Bits 64 and up: we offer none, so accepting one makes FEATURES_OK impossible. Linux writes zeros there.
  }

  private writeQueueReady(value: number): void {
    const queue = this.queues[this.queueSel];
    if (queue === undefined) return;
    if ((value & 1) === 0) {
      if (!queue.ready) return;
      this.dropInFlight();
      queue.stop();
    } else if (!queue.ready) {
      const reason = queue.start();
      if (reason !== undefined) this.needsReset(`queue ${this.queueSel}: bad ${reason}`);
    }
  }

  private acknowledge(bits: number): void {
    this.interruptStatus &= ~bits;
    if (this.interruptStatus === 0) this.line.set(false);
  }

  /** Status (2.1, 3.1.1): zero resets; bits are otherwise only ever added. */
  private writeStatus(value: number): void {
    if (value === 0) {
      this.deviceReset();
      return;
    }
    let added = value & STATUS_DRIVER_BITS & ~this.status;
    if ((added & STATUS_FEATURES_OK) !== 0 && !this.acceptFeatures()) added &= ~STATUS_FEATURES_OK;
    this.status |= added;
  }

  /** FEATURES_OK holds if the driver took only what was offered, and VERSION_1 (6.1: without it a device is legacy). */
  private acceptFeatures(): boolean {
    const [low, high] = this.driverFeatures;
    if ((low & ~this.deviceFeatures[0]) !== 0 || high !== F_VERSION_1_WORD1) return false;
    for (const queue of this.queues) {
      queue.indirect = (low & F_INDIRECT_DESC) !== 0;
      queue.eventIndex = (low & F_EVENT_IDX) !== 0;
    }
    return true;
  }

  private deviceReset(): void {
    this.dropInFlight();
    this.driverFeatures.fill(0);
    this.deviceFeaturesSel = 0;
    this.driverFeaturesSel = 0;
    this.queueSel = 0;
    this.shmSel = 0;
    this.status = 0;
    this.faultText = '';
    this.interruptStatus = 0;
    this.line.set(false);
    for (const queue of this.queues) queue.reset();
  }
}
