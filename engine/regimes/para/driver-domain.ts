/**
 * The other ends of the shared rings: what Xen has in a driver domain. A console, whose bytes leave the machine, and a disk with the latency and the overlay of the machine's own
 * virtio disk, so that runs can be compared. The rings are the guest's memory: nothing in them is believed, and what the backend must know it keeps itself.
 */
import type { Core } from '../../cpu/core.ts';
import { RAM } from '../../cpu/layout.ts';
import type { ReportSink, SavedState, Timer, TimerSource } from '../../devices/device.ts';
import { type BlockBacking, CopyOnWriteImage } from '../../devices/virtio-block/image.ts';
import { savedNumber, savedNumbers, savedState, savedStates, savedString } from '../../devices/virtio/saved.ts';
import {
  BLOCK_ENTRIES, BLOCK_ENTRY_BYTES, BLOCK_ERROR, BLOCK_ID, BLOCK_OKAY, BLOCK_OPERATION, BLOCK_READ, BLOCK_REQ_PROD, BLOCK_RING, BLOCK_RSP_OPERATION, BLOCK_RSP_PROD, BLOCK_RSP_STATUS,
  BLOCK_SECTOR, BLOCK_SEGMENT, BLOCK_SEGMENTS, BLOCK_SEGMENTS_MAX, BLOCK_WRITE, CONSOLE_IN, CONSOLE_IN_BYTES, CONSOLE_IN_CONS, CONSOLE_IN_PROD, CONSOLE_OUT, CONSOLE_OUT_BYTES,
  CONSOLE_OUT_CONS, CONSOLE_OUT_PROD,
} from './abi.ts';
import { PAGE_BYTES, TYPE_WRITABLE, type PageTypes } from './page-types.ts';

const SECTOR_BYTES = 512;
const SECTORS_A_FRAME = PAGE_BYTES / SECTOR_BYTES;
/** As VirtioBlock, unless told otherwise. */
const SEEK_NS = 100_000;
const BYTES_PER_SECOND = 1_000_000_000;
/** Port of the console in the log's UART events: no I/O port. */
export const CONSOLE_LOG_PORT = 0;

export class ConsoleBackend {
  private readonly core: Core;
  private readonly page: number;
  private readonly report: ReportSink;
  private readonly output: (byte: number) => void;
  // ---- saved ----
  private inProduced = 0;
  private outConsumed = 0;

  constructor(core: Core, frame: number, report: ReportSink, output: (byte: number) => void) {
    this.core = core;
    this.page = frame * PAGE_BYTES;
    this.report = report;
    this.output = output;
  }

  /** The guest has sent an event: takes what it wrote. */
  drain(): void {
    const { u8 } = this.core;
    const produced = load32(this.core, this.page + CONSOLE_OUT_PROD);
    // More than fits: the guest has overtaken itself, and the last bytes are what is left.
    if ((produced - this.outConsumed) >>> 0 > CONSOLE_OUT_BYTES) this.outConsumed = (produced - CONSOLE_OUT_BYTES) >>> 0;
    while (this.outConsumed !== produced) {
      const byte = u8[RAM + this.page + CONSOLE_OUT + (this.outConsumed % CONSOLE_OUT_BYTES)];
      this.outConsumed = (this.outConsumed + 1) >>> 0;
      this.report({ kind: 'uart-tx', port: CONSOLE_LOG_PORT, byte });
      this.output(byte);
    }
    store32(this.core, this.page + CONSOLE_OUT_CONS, this.outConsumed);
  }

  get space(): number {
    const used = (this.inProduced - load32(this.core, this.page + CONSOLE_IN_CONS)) >>> 0;
    return used > CONSOLE_IN_BYTES ? 0 : CONSOLE_IN_BYTES - used;
  }

  receive(bytes: Uint8Array): void {
    if (bytes.length > this.space) throw new Error('the console ring refused bytes that it had room for');
    for (const byte of bytes) {
      this.core.writePhysical(this.page + CONSOLE_IN + (this.inProduced % CONSOLE_IN_BYTES), Uint8Array.of(byte));
      this.inProduced = (this.inProduced + 1) >>> 0;
      this.report({ kind: 'uart-rx', port: CONSOLE_LOG_PORT, byte });
    }
    store32(this.core, this.page + CONSOLE_IN_PROD, this.inProduced);
  }

  save(): SavedState {
    return { inProduced: this.inProduced, outConsumed: this.outConsumed };
  }
  restore(state: SavedState): void {
    this.inProduced = savedNumber(state, 'inProduced');
    this.outConsumed = savedNumber(state, 'outConsumed');
  }
}

/** A piece of a request: sectors `first` to `last` of a frame. */
interface Segment {
  readonly frame: number;
  readonly first: number;
  readonly last: number;
}
interface Request {
  readonly operation: number;
  /** 16 hex digits */
  readonly id: string;
  readonly sector: number;
  /** Empty if it was refused. */
  readonly segments: readonly Segment[];
  readonly completesAtNs: number;
}

export interface BlockBackendOptions {
  readonly core: Core;
  /** Of the ring. */
  readonly frame: number;
  readonly types: PageTypes;
  readonly timers: TimerSource;
  readonly backing: BlockBacking;
  readonly report: ReportSink;
  /** The guest shall look at the ring. */
  readonly notify: () => void;
}

export class BlockBackend {
  static readonly device = 'pv-block';
  private readonly options: BlockBackendOptions;
  private readonly page: number;
  private readonly timer: Timer;
  private readonly sectors: number;
  // ---- saved ----
  private readonly image: CopyOnWriteImage;
  private consumed = 0;
  private answered = 0;
  private inFlight: Request[] = [];

  constructor(options: BlockBackendOptions) {
    this.options = options;
    this.page = options.frame * PAGE_BYTES;
    this.sectors = Math.ceil(options.backing.byteLength / SECTOR_BYTES);
    this.image = new CopyOnWriteImage(options.backing);
    this.timer = options.timers.create(`${BlockBackend.device}.completion`, (nowNs) => this.completeUntil(nowNs));
  }

  /** The guest has sent an event: takes the requests. A ring with more of them than it has entries is not looked at. */
  take(): void {
    const { core, report, timers } = this.options;
    const produced = load32(core, this.page + BLOCK_REQ_PROD);
    if ((produced - this.answered) >>> 0 > BLOCK_ENTRIES) return;
    while (this.consumed !== produced) {
      const at = this.page + BLOCK_RING + (this.consumed % BLOCK_ENTRIES) * BLOCK_ENTRY_BYTES;
      const entry = new DataView(core.readPhysical(at, BLOCK_ENTRY_BYTES).buffer);
      const operation = entry.getUint8(BLOCK_OPERATION);
      const sector = Number(entry.getBigUint64(BLOCK_SECTOR, true));
      const segments = this.hold(entry, operation, sector);
      const bytes = segments.reduce((sum, { first, last }) => sum + (last - first + 1) * SECTOR_BYTES, 0);
      const id = entry.getBigUint64(BLOCK_ID, true).toString(16).padStart(16, '0');
      report({ kind: 'virtio-request', device: BlockBackend.device, queue: 0, head: this.consumed % BLOCK_ENTRIES, type: operation, sector: Math.min(sector, Number.MAX_SAFE_INTEGER), bytes });
      const before = this.inFlight.at(-1)?.completesAtNs ?? 0;
      const completesAtNs = Math.max(timers.now() + SEEK_NS, before) + Math.ceil((bytes * 1e9) / BYTES_PER_SECOND);
      this.inFlight.push({ operation, id, sector: Math.min(sector, Number.MAX_SAFE_INTEGER), segments, completesAtNs });
      this.consumed = (this.consumed + 1) >>> 0;
      if (this.inFlight.length === 1) this.timer.arm(completesAtNs);
    }
  }

  /** The segments of a sound request, their frames held; none if it is not. */
  private hold(entry: DataView, operation: number, sector: number): Segment[] {
    const count = entry.getUint8(BLOCK_SEGMENTS);
    if ((operation !== BLOCK_READ && operation !== BLOCK_WRITE) || count === 0 || count > BLOCK_SEGMENTS_MAX) return [];
    const segments: Segment[] = [];
    let length = 0;
    for (let i = 0; i < count; i++) {
      const at = BLOCK_SEGMENT + 8 * i;
      const segment = { frame: entry.getUint32(at, true), first: entry.getUint8(at + 4), last: entry.getUint8(at + 5) };
      length += segment.last - segment.first + 1;
      const isSound = segment.first <= segment.last && segment.last < SECTORS_A_FRAME && sector + length <= this.sectors;
      if (isSound && this.options.types.acquire(segment.frame, TYPE_WRITABLE) === 0) segments.push(segment);
      else {
        for (const { frame } of segments) this.options.types.release(frame);
        return [];
      }
    }
    return segments;
  }

  private completeUntil(nowNs: number): void {
    const { core, report, notify } = this.options;
    while (this.inFlight.length > 0 && this.inFlight[0].completesAtNs <= nowNs) {
      const request = this.inFlight.shift()!;
      const bytes = this.perform(request);
      const slot = this.answered % BLOCK_ENTRIES;
      const status = request.segments.length === 0 ? BLOCK_ERROR : BLOCK_OKAY;
      report({ kind: 'virtio-complete', device: BlockBackend.device, queue: 0, head: slot, status: status & 0xff, bytes });
      const response = new Uint8Array(16);
      const view = new DataView(response.buffer);
      view.setBigUint64(0, BigInt(`0x${request.id}`), true);
      view.setUint8(BLOCK_RSP_OPERATION, request.operation);
      view.setInt16(BLOCK_RSP_STATUS, status, true);
      core.writePhysical(this.page + BLOCK_RING + slot * BLOCK_ENTRY_BYTES, response);
      this.answered = (this.answered + 1) >>> 0;
      store32(core, this.page + BLOCK_RSP_PROD, this.answered);
      notify();
    }
    if (this.inFlight.length > 0) this.timer.arm(this.inFlight[0].completesAtNs);
  }

  /** Moves the data and lets the frames go; the bytes moved. */
  private perform({ operation, sector, segments }: Request): number {
    const { core, types } = this.options;
    let at = sector * SECTOR_BYTES;
    for (const { frame, first, last } of segments) {
      const paddr = frame * PAGE_BYTES + first * SECTOR_BYTES;
      const length = (last - first + 1) * SECTOR_BYTES;
      if (operation === BLOCK_READ) core.writePhysical(paddr, this.image.read(at, length));
      else this.image.write(at, core.readPhysical(paddr, length));
      types.release(frame);
      at += length;
    }
    return at - sector * SECTOR_BYTES;
  }

  /** Frames that requests hold, one for each use. */
  get heldFrames(): readonly number[] {
    return this.inFlight.flatMap(({ segments }) => segments.map(({ frame }) => frame));
  }

  save(): SavedState {
    return {
      consumed: this.consumed,
      answered: this.answered,
      overlay: this.image.save(),
      inFlight: this.inFlight.map(({ segments, ...request }) => ({ ...request, segments: segments.flatMap(({ frame, first, last }) => [frame, first, last]) })),
    };
  }
  restore(state: SavedState): void {
    this.consumed = savedNumber(state, 'consumed');
    this.answered = savedNumber(state, 'answered');
    this.image.restore(savedState(state, 'overlay'));
    this.inFlight = savedStates(state, 'inFlight').map((request) => {
      const numbers = savedNumbers(request, 'segments');
      const segments: Segment[] = [];
      for (let i = 0; i < numbers.length; i += 3) segments.push({ frame: numbers[i], first: numbers[i + 1], last: numbers[i + 2] });
      return { operation: savedNumber(request, 'operation'), id: savedString(request, 'id'), sector: savedNumber(request, 'sector'), segments, completesAtNs: savedNumber(request, 'completesAtNs') };
    });
  }
}

function load32(core: Core, paddr: number): number {
  return core.u32[(RAM + paddr) >>> 2];
}
function store32(core: Core, paddr: number, value: number): void {
  core.writePhysical(paddr, Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24));
}
