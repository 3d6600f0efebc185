/**
 * The other side of a virtio device, for tests: guest memory, a clock moved by hand, an interrupt line that remembers,
 * and a driver that negotiates and builds rings as a guest would.
 */

import type {
  DeviceReport, GuestMemory, InterruptLine, MmioDevice, SavedState, SavedValue, Timer, TimerSource,
} from '../device.ts';
import {
  DESC_BYTES, DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, DEVICE_FEATURES, DEVICE_FEATURES_SEL, DRIVER_FEATURES,
  DRIVER_FEATURES_SEL, INTERRUPT_ACK, INTERRUPT_STATUS, QUEUE_DESC_HIGH, QUEUE_DESC_LOW, QUEUE_DEVICE_HIGH,
  QUEUE_DEVICE_LOW, QUEUE_DRIVER_HIGH, QUEUE_DRIVER_LOW, QUEUE_NOTIFY, QUEUE_NUM, QUEUE_READY, QUEUE_SEL, STATUS,
  STATUS_ACKNOWLEDGE, STATUS_DRIVER, STATUS_DRIVER_OK, STATUS_FEATURES_OK,
} from './registers.ts';
import { savedBytes, savedNumber, savedNumbers, savedState, savedStates } from './saved.ts';

/** Guest RAM from address 0, all of the interface, with its own bounds checks. */
export class FakeMemory implements GuestMemory {
  readonly bytes: Uint8Array;
  private readonly data: DataView;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.data = new DataView(this.bytes.buffer);
  }

  contains(paddr: number, length: number): boolean {
    return Number.isSafeInteger(paddr) && paddr >= 0 && length >= 0 && paddr + length <= this.bytes.length;
  }

  view(paddr: number, length: number): Uint8Array {
    this.check(paddr, length);
    return this.bytes.subarray(paddr, paddr + length);
  }

  read16(paddr: number): number {
    this.check(paddr, 2);
    return this.data.getUint16(paddr, true);
  }

  read32(paddr: number): number {
    this.check(paddr, 4);
    return this.data.getUint32(paddr, true);
  }

  read64(paddr: number): number {
    this.check(paddr, 8);
    const value = Number(this.data.getBigUint64(paddr, true));
    if (!Number.isSafeInteger(value)) throw new RangeError(`64-bit value at ${paddr} is not a safe integer`);
    return value;
  }

  write(paddr: number, bytes: Uint8Array): void {
    this.check(paddr, bytes.length);
    this.bytes.set(bytes, paddr);
  }

  write16(paddr: number, value: number): void {
    this.check(paddr, 2);
    this.data.setUint16(paddr, value, true);
  }

  write32(paddr: number, value: number): void {
    this.check(paddr, 4);
    this.data.setUint32(paddr, value, true);
  }

  write64(paddr: number, value: number): void {
    this.check(paddr, 8);
    this.data.setBigUint64(paddr, BigInt(value), true);
  }

  private check(paddr: number, length: number): void {
    if (!this.contains(paddr, length)) throw new RangeError(`guest memory: ${length} bytes at ${paddr}`);
  }
}

interface ManualTimer {
  readonly name: string;
  readonly onFire: (nowNs: number) => void;
  /** -1 when not armed. */
  atNs: number;
}

/** Virtual time that moves when a test says so; timers fire in order of time, then of creation. */
export class ManualTimers implements TimerSource {
  private nowNs = 0;
  private readonly timers: ManualTimer[] = [];

  now(): number {
    return this.nowNs;
  }

  create(name: string, onFire: (nowNs: number) => void): Timer {
    const timer: ManualTimer = { name, onFire, atNs: -1 };
    this.timers.push(timer);
    return {
      arm: (atNs) => {
        timer.atNs = Math.max(atNs, this.nowNs);
      },
      cancel: () => {
        timer.atNs = -1;
      },
    };
  }

  /** Names of the armed timers. */
  get armed(): readonly string[] {
    return this.timers.filter(({ atNs }) => atNs >= 0).map(({ name }) => name);
  }

  advance(ns: number): void {
    const until = this.nowNs + ns;
    for (;;) {
      let next: ManualTimer | undefined;
      for (const timer of this.timers) {
        if (timer.atNs >= 0 && timer.atNs <= until && (next === undefined || timer.atNs < next.atNs)) next = timer;
      }
      if (next === undefined) break;
      this.nowNs = next.atNs;
      next.atNs = -1;
      next.onFire(this.nowNs);
    }
    this.nowNs = until;
  }

  save(): SavedState {
    return { nowNs: this.nowNs, armed: this.timers.map(({ atNs }) => atNs) };
  }

  restore(state: SavedState): void {
    this.nowNs = savedNumber(state, 'nowNs');
    savedNumbers(state, 'armed').forEach((atNs, i) => {
      this.timers[i].atNs = atNs;
    });
  }
}

/** An interrupt line that counts its rising edges. */
export class FakeLine implements InterruptLine {
  asserted = false;
  rises = 0;

  set(asserted: boolean): void {
    if (asserted && !this.asserted) this.rises++;
    this.asserted = asserted;
  }
}

/** Writes of the initialization sequence (3.1.1). Gives the value of Status at the end. */
export function initialize(device: MmioDevice, queues: readonly QueueDriver[], features?: { low: number; high: number }): number {
  const write = (offset: number, value: number) => device.writeMmio(offset, 4, value >>> 0);
  write(STATUS, 0);
  write(STATUS, STATUS_ACKNOWLEDGE);
  write(STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
  for (const word of [0, 1]) {
    write(DEVICE_FEATURES_SEL, word);
    const offered = device.readMmio(DEVICE_FEATURES, 4);
    write(DRIVER_FEATURES_SEL, word);
    write(DRIVER_FEATURES, features === undefined ? offered : word === 0 ? features.low : features.high);
  }
  write(STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
  for (const queue of queues) queue.setUp();
  write(STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
  return device.readMmio(STATUS, 4);
}

/** Reads InterruptStatus and acknowledges what it saw, as Linux' vm_interrupt does. */
export function acknowledgeInterrupts(device: MmioDevice): number {
  const bits = device.readMmio(INTERRUPT_STATUS, 4);
  device.writeMmio(INTERRUPT_ACK, 4, bits);
  return bits;
}

/** A piece of a buffer: bytes for the device to read, or a number of bytes for it to write. */
export type Piece = Uint8Array | number;

export interface UsedBuffer {
  readonly head: number;
  /** Bytes that the device says it wrote. */
  readonly length: number;
  /** The device-writable pieces, joined, as they are now. */
  readonly data: Uint8Array;
}

/** Bytes of guest memory a QueueDriver uses from its base. */
export const QUEUE_AREA_BYTES = 0x20000;

/**
 * The driver's side of one queue of at most 64 descriptors. In its area: descriptors at 0, available ring at 0x400, used
 * ring at 0x600, and for each descriptor an indirect table of 16 entries from 0x1000; buffers come from 0x8000 on, in turn.
 */
export class QueueDriver {
  readonly size: number;
  private readonly device: MmioDevice;
  private readonly memory: GuestMemory;
  private readonly queue: number;
  private readonly base: number;

  // ---- saved ----
  private free: number[];
  private availIndex = 0;
  private usedIndex = 0;
  private nextBuffer = 0;
  private outstanding = new Map<number, { readonly descriptors: readonly number[]; readonly writable: readonly number[] }>();

  constructor(device: MmioDevice, memory: GuestMemory, queue: number, base: number, size: number) {
    this.device = device;
    this.memory = memory;
    this.queue = queue;
    this.base = base;
    this.size = size;
    this.free = Array.from({ length: size }, (_, i) => i);
  }

  get descriptors(): number {
    return this.base;
  }

  get available(): number {
    return this.base + 0x400;
  }

  get used(): number {
    return this.base + 0x600;
  }

  get freeCount(): number {
    return this.free.length;
  }

  /** Chooses the size, clears the rings, gives their addresses, and makes the queue ready. */
  setUp(): void {
    this.memory.write(this.base, new Uint8Array(QUEUE_AREA_BYTES));
    this.free = Array.from({ length: this.size }, (_, i) => i);
    this.availIndex = 0;
    this.usedIndex = 0;
    this.nextBuffer = 0;
    this.outstanding.clear();
    const write = (offset: number, value: number) => this.device.writeMmio(offset, 4, value);
    write(QUEUE_SEL, this.queue);
    write(QUEUE_NUM, this.size);
    write(QUEUE_DESC_LOW, this.descriptors);
    write(QUEUE_DESC_HIGH, 0);
    write(QUEUE_DRIVER_LOW, this.available);
    write(QUEUE_DRIVER_HIGH, 0);
    write(QUEUE_DEVICE_LOW, this.used);
    write(QUEUE_DEVICE_HIGH, 0);
    write(QUEUE_READY, 1);
  }

  /** Makes a buffer available; gives its head, or undefined when there are not enough descriptors. */
  add(pieces: readonly Piece[], options: { readonly indirect?: boolean } = {}): number | undefined {
    const indirect = options.indirect ?? false;
    const need = indirect ? 1 : pieces.length;
    if (need === 0 || this.free.length < need || pieces.length > 16) return undefined;
    const descriptors = this.free.splice(0, need);
    const writable: number[] = [];
    const table = indirect ? this.base + 0x1000 + descriptors[0] * 16 * DESC_BYTES : this.descriptors;
    pieces.forEach((piece, i) => {
      const isWritable = typeof piece === 'number';
      const length = isWritable ? piece : piece.length;
      const paddr = this.allocate(length);
      if (isWritable) writable.push(paddr, length);
      else this.memory.write(paddr, piece);
      const last = i === pieces.length - 1;
      const flags = (isWritable ? DESC_F_WRITE : 0) | (last ? 0 : DESC_F_NEXT);
      const index = indirect ? i : descriptors[i];
      this.writeDescriptor(table, index, paddr, length, flags, last ? 0 : indirect ? i + 1 : descriptors[i + 1]);
    });
    const [head] = descriptors;
    if (indirect) this.writeDescriptor(this.descriptors, head, table, pieces.length * DESC_BYTES, DESC_F_INDIRECT, 0);
    this.outstanding.set(head, { descriptors, writable });
    this.offer(head);
    return head;
  }

  /** Puts a head into the available ring, whatever it is. */
  offer(head: number): void {
    this.memory.write16(this.available + 4 + 2 * (this.availIndex % this.size), head);
    this.availIndex = (this.availIndex + 1) & 0xffff;
    this.memory.write16(this.available + 2, this.availIndex);
  }

  writeDescriptor(table: number, index: number, paddr: number, length: number, flags: number, next: number): void {
    const at = table + DESC_BYTES * index;
    this.memory.write64(at, paddr);
    this.memory.write32(at + 8, length);
    this.memory.write16(at + 12, flags);
    this.memory.write16(at + 14, next);
  }

  kick(): void {
    this.device.writeMmio(QUEUE_NOTIFY, 4, this.queue);
  }

  /** avail.flags (2.7.6): 1 asks for no interrupts. */
  setAvailableFlags(flags: number): void {
    this.memory.write16(this.available, flags);
  }

  /** used_event: with event idx, the device interrupts when its index passes this one. */
  setUsedEvent(index: number): void {
    this.memory.write16(this.available + 4 + 2 * this.size, index);
  }

  /** avail_event: with event idx, the driver notifies when its index passes this one. */
  availEvent(): number {
    return this.memory.read16(this.used + 4 + 8 * this.size);
  }

  /** Takes what the device returned since the last call. */
  reap(): UsedBuffer[] {
    const result: UsedBuffer[] = [];
    while (this.usedIndex !== this.memory.read16(this.used + 2)) {
      const entry = this.used + 4 + 8 * (this.usedIndex % this.size);
      const head = this.memory.read32(entry);
      const length = this.memory.read32(entry + 4);
      this.usedIndex = (this.usedIndex + 1) & 0xffff;
      const buffer = this.outstanding.get(head);
      if (buffer === undefined) throw new Error(`queue ${this.queue}: the device returned ${head}, which it does not have`);
      this.outstanding.delete(head);
      this.free.push(...buffer.descriptors);
      const parts: number[] = [];
      for (let i = 0; i < buffer.writable.length; i += 2) {
        parts.push(...this.memory.view(buffer.writable[i], buffer.writable[i + 1]));
      }
      result.push({ head, length, data: Uint8Array.from(parts) });
    }
    return result;
  }

  save(): SavedState {
    return {
      free: [...this.free],
      availIndex: this.availIndex,
      usedIndex: this.usedIndex,
      nextBuffer: this.nextBuffer,
      outstanding: [...this.outstanding].map(([head, { descriptors, writable }]) => ({
        head, descriptors: [...descriptors], writable: [...writable],
      })),
    };
  }

  restore(state: SavedState): void {
    this.free = savedNumbers(state, 'free');
    this.availIndex = savedNumber(state, 'availIndex');
    this.usedIndex = savedNumber(state, 'usedIndex');
    this.nextBuffer = savedNumber(state, 'nextBuffer');
    this.outstanding = new Map(
      savedStates(state, 'outstanding').map((entry) => [
        savedNumber(entry, 'head'),
        { descriptors: savedNumbers(entry, 'descriptors'), writable: savedNumbers(entry, 'writable') },
      ]),
    );
  }

  /** Buffers are handed out in a ring; tests keep few enough in flight that none is overwritten. */
  private allocate(length: number): number {
    const first = 0x8000;
    const room = QUEUE_AREA_BYTES - first;
    if (length > room) throw new RangeError(`buffer of ${length} bytes`);
    if (this.nextBuffer + length > room) this.nextBuffer = 0;
    const paddr = this.base + first + this.nextBuffer;
    // An odd distance, so that buffers are not aligned by accident.
    this.nextBuffer += length + 3;
    return paddr;
  }
}

/** A device with all that surrounds it, which takes operations: what the save and restore test runs. */
export abstract class VirtioWorld<Operation> {
  readonly memory: FakeMemory;
  readonly timers = new ManualTimers();
  readonly line = new FakeLine();
  /** What happened, as seen from outside, in order. */
  readonly story: string[] = [];
  readonly report = (report: DeviceReport) => {
    this.story.push(JSON.stringify(report));
  };

  constructor(memoryLength: number) {
    this.memory = new FakeMemory(memoryLength);
  }

  abstract readonly device: MmioDevice;
  abstract readonly queues: readonly QueueDriver[];
  /** Whatever else has state. */
  protected saveRest(): SavedState {
    return {};
  }
  protected restoreRest(_state: SavedState): void {}
  abstract apply(operation: Operation): void;

  save(): SavedState {
    return {
      memory: this.memory.bytes.slice(),
      timers: this.timers.save(),
      line: { asserted: this.line.asserted ? 1 : 0, rises: this.line.rises },
      device: this.device.save(),
      queues: this.queues.map((queue) => queue.save()),
      rest: this.saveRest(),
    };
  }

  restore(state: SavedState): void {
    this.memory.bytes.set(savedBytes(state, 'memory'));
    this.timers.restore(savedState(state, 'timers'));
    const line = savedState(state, 'line');
    this.line.asserted = savedNumber(line, 'asserted') === 1;
    this.line.rises = savedNumber(line, 'rises');
    this.device.restore(savedState(state, 'device'));
    const queues = savedStates(state, 'queues');
    this.queues.forEach((queue, i) => queue.restore(queues[i]));
    this.restoreRest(savedState(state, 'rest'));
  }
}

/**
 * Runs operations on one world; runs them on another, which is saved after `cut` of them and restored into a fresh one
 * that goes on. Gives both ends, and the state at the cut before and after, each of which a test expects to be equal.
 */
export function runWithAndWithoutRestore<Operation>(
  create: () => VirtioWorld<Operation>,
  operations: readonly Operation[],
  cut: number,
): { readonly straight: unknown; readonly restored: unknown; readonly saved: unknown; readonly savedAgain: unknown } {
  const straight = create();
  for (const operation of operations) straight.apply(operation);

  const first = create();
  for (const operation of operations.slice(0, cut)) first.apply(operation);
  const shared = first.save();
  const saved = summarize(shared);
  const told = first.story.length;
  const second = create();
  second.story.length = 0;
  second.restore(shared);
  const savedAgain = summarize(second.save());
  // The one that was saved goes on too, and may not disturb what it handed out.
  for (const operation of operations.slice(cut)) first.apply(operation);
  const undisturbed = summarize(shared);
  for (const operation of operations.slice(cut)) second.apply(operation);
  return {
    straight: { state: summarize(straight.save()), story: straight.story },
    restored: { state: summarize(second.save()), story: [...first.story.slice(0, told), ...second.story] },
    saved: [saved, saved],
    savedAgain: [savedAgain, undisturbed],
  };
}

/** A copy for comparison, in which long byte arrays are their length and a hash: toEqual() is slow on them. */
function summarize(value: SavedValue): unknown {
  if (value instanceof Uint8Array) {
    if (value.length <= 32) return value.slice();
    const copy = new Uint8Array(Math.ceil(value.length / 4) * 4);
    copy.set(value);
    let hash = 0x811c9dc5; // FNV-1a, by words
    for (const word of new Uint32Array(copy.buffer)) hash = Math.imul(hash ^ word, 0x01000193) ^ (hash >>> 15);
    return `${value.length} bytes, hash ${hash >>> 0}`;
  }
  if (typeof value !== 'object') return value;
  if (isList(value)) return value.map(summarize);
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, summarize(inner)]));
}

function isList(value: SavedValue): value is readonly SavedValue[] {
  return Array.isArray(value);
}
