/**
 * The split virtqueue, device side (virtio 1.2, section 2.7).
 *
 *     driver                                         device
 *     descriptor table  <- what is where
 *     available ring    <- head, head, ...   idx -> pop()    follows the chain, gives its segments
 *     used ring                              idx <- push()   head and how many bytes were written
 *
 * The rings are guest memory and may hold anything. A ring that breaks the specification gives a value of kind
 * 'malformed', never an exception and never an endless loop; the transport then asks for a reset.
 */

import type { GuestMemory, SavedState } from '../device.ts';
import { AVAIL_F_NO_INTERRUPT, DESC_BYTES, DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE } from './registers.ts';
import { savedBoolean, savedNumber, savedNumbers } from './saved.ts';

/** One contiguous piece of a buffer in guest memory, checked to lie in it. Length in bytes, not zero. */
export interface Segment {
  readonly paddr: number;
  readonly length: number;
}

/** A buffer that the driver made available: what the device reads, then what it writes. */
export interface DescriptorChain {
  readonly kind: 'chain';
  /** Index of the first descriptor: the buffer's name in the used ring. */
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

export type PopResult =
  | DescriptorChain
  | { readonly kind: 'empty' }
  | { readonly kind: 'malformed'; readonly reason: string };

/** Largest number of descriptors of one chain with an indirect table; QEMU's VIRTQUEUE_MAX_SIZE. */
export const CHAIN_DESCRIPTORS_MAX = 1024;

const EMPTY = { kind: 'empty' } as const;

function malformed(reason: string): PopResult {
  return { kind: 'malformed', reason };
}

export class SplitVirtqueue {
  readonly sizeMax: number;
  /** Number of descriptors the driver chose: a power of two, at most sizeMax. */
  size: number;
  ready = false;
  /** Guest-physical addresses as low and high words, as the driver wrote them. */
  readonly descWords: [number, number] = [0, 0];
  readonly driverWords: [number, number] = [0, 0];
  readonly deviceWords: [number, number] = [0, 0];
  /** VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX were negotiated. */
  indirect = false;
  eventIndex = false;

  private readonly memory: GuestMemory;
  /** Next entry of the available ring to take, mod 2^16. */
  private availNext = 0;
  /** Our copy of used.idx, mod 2^16; the guest's copy is never read. */
  private usedNext = 0;
  /** With event idx: used.idx when the last interrupt was decided, if one was. */
  private usedSignalled = 0;
  private usedSignalledValid = false;
  // Derived from the words when the queue becomes ready.
  private desc = 0;
  private avail = 0;
  private used = 0;

  constructor(memory: GuestMemory, sizeMax: number) {
    this.memory = memory;
    this.sizeMax = sizeMax;
    this.size = sizeMax;
  }

  reset(): void {
    this.size = this.sizeMax;
    this.ready = false;
    this.descWords.fill(0);
    this.driverWords.fill(0);
    this.deviceWords.fill(0);
    this.indirect = false;
    this.eventIndex = false;
    this.rewind();
  }

  /** Makes the queue ready. Gives the reason if size or addresses are not what section 2.7 allows. */
  start(): string | undefined {
    const { size } = this;
    if (size === 0 || size > this.sizeMax || (size & (size - 1)) !== 0) return `queue size ${size}`;
    const reason = this.locate();
    if (reason !== undefined) return reason;
    this.rewind();
    this.ready = true;
    return undefined;
  }

  stop(): void {
    this.ready = false;
    this.rewind();
  }

  /** Takes the next available buffer. */
  pop(): PopResult {
    const { memory, size } = this;
    const waiting = (memory.read16(this.avail + 2) - this.availNext) & 0xffff;
    if (waiting === 0) return EMPTY;
    if (waiting > size) return malformed(`available index is ${waiting} ahead of a queue of ${size}`);
    const head = memory.read16(this.avail + 4 + 2 * (this.availNext % size));
    if (head >= size) return malformed(`descriptor ${head} of ${size}`);
    const result = this.follow(head);
    if (result.kind === 'chain') {
      this.availNext = (this.availNext + 1) & 0xffff;
      // Asks for a notification when the driver goes past what was taken (2.7.10).
      if (this.eventIndex) memory.write16(this.used + 4 + 8 * size, this.availNext);
    }
    return result;
  }

  /** Gives back the buffer that pop() took last, as if it had not been taken. */
  unpop(): void {
    this.availNext = (this.availNext - 1) & 0xffff;
    if (this.eventIndex) this.memory.write16(this.used + 4 + 8 * this.size, this.availNext);
  }

  /** Returns a buffer to the driver; length is the number of bytes written to it (2.7.8). */
  push(head: number, length: number): void {
    const { memory, used } = this;
    const entry = used + 4 + 8 * (this.usedNext % this.size);
    memory.write32(entry, head);
    memory.write32(entry + 4, length);
    this.usedNext = (this.usedNext + 1) & 0xffff;
    memory.write16(used + 2, this.usedNext);
  }

  /** Whether the driver wants an interrupt for what was pushed since the last call (2.7.7.2, 2.7.10). */
  takeInterruptWanted(): boolean {
    const { memory, avail } = this;
    if (!this.eventIndex) return (memory.read16(avail) & AVAIL_F_NO_INTERRUPT) === 0;
    const old = this.usedSignalled;
    const wasValid = this.usedSignalledValid;
    this.usedSignalled = this.usedNext;
    this.usedSignalledValid = true;
    if (!wasValid) return true;
    const event = memory.read16(avail + 4 + 2 * this.size);
    return ((this.usedNext - event - 1) & 0xffff) < ((this.usedNext - old) & 0xffff);
  }

  save(): SavedState {
    return {
      size: this.size,
      ready: this.ready,
      descWords: [...this.descWords],
      driverWords: [...this.driverWords],
      deviceWords: [...this.deviceWords],
      indirect: this.indirect,
      eventIndex: this.eventIndex,
      availNext: this.availNext,
      usedNext: this.usedNext,
      usedSignalled: this.usedSignalled,
      usedSignalledValid: this.usedSignalledValid,
    };
  }

  restore(state: SavedState): void {
    this.size = savedNumber(state, 'size');
    this.ready = savedBoolean(state, 'ready');
    for (const field of ['descWords', 'driverWords', 'deviceWords'] as const) {
      const [low = 0, high = 0] = savedNumbers(state, field);
      this[field][0] = low;
      this[field][1] = high;
    }
    this.indirect = savedBoolean(state, 'indirect');
    this.eventIndex = savedBoolean(state, 'eventIndex');
    this.availNext = savedNumber(state, 'availNext');
    this.usedNext = savedNumber(state, 'usedNext');
    this.usedSignalled = savedNumber(state, 'usedSignalled');
    this.usedSignalledValid = savedBoolean(state, 'usedSignalledValid');
    if (this.ready) {
      const reason = this.locate();
      if (reason !== undefined) throw new Error(`virtqueue: restored into a machine where it cannot be: ${reason}`);
    }
  }

  private rewind(): void {
    this.availNext = 0;
    this.usedNext = 0;
    this.usedSignalled = 0;
    this.usedSignalledValid = false;
  }

  /** Finds the three rings; alignments and sizes from the table in 2.7. */
  private locate(): string | undefined {
    const { memory, size } = this;
    const desc = joinAddress(this.descWords[0], this.descWords[1]);
    const avail = joinAddress(this.driverWords[0], this.driverWords[1]);
    const used = joinAddress(this.deviceWords[0], this.deviceWords[1]);
    if (desc === undefined || desc % 16 !== 0 || !memory.contains(desc, DESC_BYTES * size)) return 'descriptor table address';
    if (avail === undefined || avail % 2 !== 0 || !memory.contains(avail, 6 + 2 * size)) return 'available ring address';
    if (used === undefined || used % 4 !== 0 || !memory.contains(used, 6 + 8 * size)) return 'used ring address';
    this.desc = desc;
    this.avail = avail;
    this.used = used;
    return undefined;
  }

  private follow(head: number): PopResult {
    const { memory } = this;
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.desc;
    let tableSize = this.size;
    let index = head;
    let inIndirect = false;
    // Each table may be walked once, so a loop shows as more steps than entries.
    for (let steps = 0; ; ) {
      if (index >= tableSize) return malformed(`descriptor ${index} of ${tableSize}`);
      if (++steps > tableSize) return malformed('descriptor chain loops');
      const entry = table + DESC_BYTES * index;
      const length = memory.read32(entry + 8);
      const flags = memory.read16(entry + 12);
      const paddr = joinAddress(memory.read32(entry), memory.read32(entry + 4));
      if ((flags & DESC_F_INDIRECT) !== 0) {
        if (!this.indirect) return malformed('indirect descriptor without the feature');
        if (inIndirect) return malformed('indirect descriptor in an indirect table');
        if ((flags & DESC_F_NEXT) !== 0) return malformed('indirect descriptor with a next one');
        if (length === 0 || length % DESC_BYTES !== 0) return malformed(`indirect table of ${length} bytes`);
        if (length / DESC_BYTES > CHAIN_DESCRIPTORS_MAX) return malformed('indirect table too long');
        if (paddr === undefined || !memory.contains(paddr, length)) return malformed('indirect table outside memory');
        inIndirect = true;
        table = paddr;
        tableSize = length / DESC_BYTES;
        index = 0;
        steps = 0;
        continue;
      }
      const isWritable = (flags & DESC_F_WRITE) !== 0;
      if (!isWritable && writable.length > 0) return malformed('readable descriptor after a writable one');
      if (length > 0) {
        if (paddr === undefined || !memory.contains(paddr, length)) return malformed('buffer outside memory');
        (isWritable ? writable : readable).push({ paddr, length });
      }
      if ((flags & DESC_F_NEXT) === 0) return { kind: 'chain', head, readable, writable };
      index = memory.read16(entry + 14);
    }
  }
}

/** A 64-bit address from its words, or undefined when it is beyond 2^53 and so beyond any memory of ours. */
function joinAddress(low: number, high: number): number | undefined {
  return high > 0x1f_ffff ? undefined : high * 0x1_0000_0000 + low;
}

/** Bytes in a list of segments. */
export function segmentsLength(segments: readonly Segment[]): number {
  let length = 0;
  for (const segment of segments) length += segment.length;
  return length;
}

/** Copies up to `length` bytes, from `offset` on, out of guest memory. */
export function gather(memory: GuestMemory, segments: readonly Segment[], offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, segmentsLength(segments) - offset)));
  let skip = offset;
  let done = 0;
  for (const { paddr, length: segmentLength } of segments) {
    if (done === bytes.length) break;
    if (skip >= segmentLength) {
      skip -= segmentLength;
      continue;
    }
    const count = Math.min(segmentLength - skip, bytes.length - done);
    bytes.set(memory.view(paddr + skip, count), done);
    done += count;
    skip = 0;
  }
  return bytes;
}

/** Copies bytes into guest memory from `offset` of the segments on; gives how many found room. */
export function scatter(memory: GuestMemory, segments: readonly Segment[], offset: number, bytes: Uint8Array): number {
  let skip = offset;
  let done = 0;
  for (const { paddr, length: segmentLength } of segments) {
    if (done === bytes.length) break;
    if (skip >= segmentLength) {
      skip -= segmentLength;
      continue;
    }
    const count = Math.min(segmentLength - skip, bytes.length - done);
    memory.write(paddr + skip, bytes.subarray(done, done + count));
    done += count;
    skip = 0;
  }
  return done;
}

/** A chain that a device holds on to, as saved state. */
export function saveChain(chain: DescriptorChain): SavedState {
  const flatten = (segments: readonly Segment[]) => segments.flatMap(({ paddr, length }) => [paddr, length]);
  return { head: chain.head, readable: flatten(chain.readable), writable: flatten(chain.writable) };
}

export function restoreChain(state: SavedState): DescriptorChain {
  const segments = (field: string) => {
    const numbers = savedNumbers(state, field);
    return Array.from({ length: numbers.length / 2 }, (_, i) => ({ paddr: numbers[2 * i], length: numbers[2 * i + 1] }));
  };
  return { kind: 'chain', head: savedNumber(state, 'head'), readable: segments('readable'), writable: segments('writable') };
}
