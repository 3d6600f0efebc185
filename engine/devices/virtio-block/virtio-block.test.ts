import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CONFIG } from '../virtio/registers.ts';
import { acknowledgeInterrupts, initialize, QUEUE_AREA_BYTES, QueueDriver, runWithAndWithoutRestore, VirtioWorld, type Piece } from '../virtio/testing.ts';
import { CopyOnWriteImage, PAGE_BYTES, type BlockBacking } from './image.ts';
import { VirtioBlock, type VirtioBlockOptions } from './virtio-block.ts';

const IMAGE_BYTES = 5 * PAGE_BYTES + 700;

/** A read-only image of a known pattern, which fails on what a backing need not accept. */
function pattern(byteLength = IMAGE_BYTES): BlockBacking {
  return {
    byteLength,
    read: (offset, length) => {
      if (offset < 0 || length < 0 || offset + length > byteLength) throw new RangeError(`read ${length} at ${offset}`);
      return Uint8Array.from({ length }, (_, i) => ((offset + i) * 7 + ((offset + i) >> 8)) & 0xff);
    },
  };
}

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, type, true);
  new DataView(bytes.buffer).setBigUint64(8, BigInt(sector), true);
  return bytes;
}

function range(sector: number, sectors: number, flags = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sector), true);
  view.setUint32(8, sectors, true);
  view.setUint32(12, flags, true);
  return bytes;
}

type Operation =
  | { readonly kind: 'read' | 'zero' | 'discard'; readonly sector: number; readonly sectors: number }
  | { readonly kind: 'write'; readonly sector: number; readonly sectors: number; readonly fill: number }
  | { readonly kind: 'wait'; readonly ns: number }
  | { readonly kind: 'flush' | 'id' | 'kick' | 'reap' | 'ack' | 'init' | 'reset' | 'checkpoint' };

class BlockWorld extends VirtioWorld<Operation> {
  readonly device: VirtioBlock;
  readonly queues: readonly QueueDriver[];
  readonly queue: QueueDriver;

  constructor(options: Partial<VirtioBlockOptions> = {}) {
    super(QUEUE_AREA_BYTES);
    this.device = new VirtioBlock({
      mmioBase: 0, line: this.line, memory: this.memory, report: this.report, timers: this.timers, backing: pattern(), ...options,
    });
    this.queue = new QueueDriver(this.device, this.memory, 0, 0, 64);
    this.queues = [this.queue];
    initialize(this.device, this.queues);
  }

  apply(operation: Operation): void {
    switch (operation.kind) {
      case 'read': this.queue.add([header(0, operation.sector), operation.sectors * 512, 1]); break;
      case 'write': this.queue.add([header(1, operation.sector), new Uint8Array(operation.sectors * 512).fill(operation.fill), 1]); break;
      case 'discard': this.queue.add([header(11, 0), range(operation.sector, operation.sectors), 1]); break;
      case 'zero': this.queue.add([header(13, 0), range(operation.sector, operation.sectors, 1), 1], { indirect: true }); break;
      case 'flush': this.queue.add([header(4, 0), 1]); break;
      case 'id': this.queue.add([header(8, 0), 20, 1]); break;
      case 'wait': this.timers.advance(operation.ns); break;
      case 'kick': this.queue.kick(); break;
      case 'reap': this.story.push(JSON.stringify(this.queue.reap().map(({ head, length, data }) => [head, length, data[0], data.at(-1)]))); break;
      case 'ack': acknowledgeInterrupts(this.device); break;
      case 'init': initialize(this.device, this.queues); break;
      case 'reset': this.device.reset(); break;
      case 'checkpoint': this.device.save(); break;
    }
  }

  /** One request from start to end: the status, and the data before it. */
  request(pieces: readonly Piece[], indirect = false): { status: number; length: number; data: Uint8Array } {
    this.queue.add(pieces, { indirect });
    this.queue.kick();
    this.timers.advance(10_000_000);
    const [{ length, data }] = this.queue.reap();
    return { status: data[data.length - 1], length, data: data.slice(0, -1) };
  }
}

describe('virtio-block', () => {
  test('reads the base image, and zeros after its end', () => {
    const world = new BlockWorld();
    const { status, length, data } = world.request([header(0, 38), 100, 4 * 512 - 100, 1]);
    expect([status, length]).toEqual([0, 4 * 512 + 1]);
    const base = pattern();
    const expected = new Uint8Array(2048);
    expected.set(base.read(38 * 512, IMAGE_BYTES - 38 * 512));
    expect(Buffer.compare(data, expected)).toBe(0);
  });

  test('writes go to the overlay, whatever the pieces, and leave the base alone', () => {
    const world = new BlockWorld();
    const bytes = Uint8Array.from({ length: 1024 }, (_, i) => i ^ 0x55);
    expect(world.request([header(1, 7).slice(0, 3), header(1, 7).slice(3), bytes.slice(0, 77), bytes.slice(77), 1], true)).toMatchObject({ status: 0, length: 1 });
    expect(Buffer.compare(world.request([header(0, 7), 1024, 1]).data, bytes)).toBe(0);
    expect(world.device.overlayPageCount).toBe(2);
    const merged = world.device.readMerged(0, world.device.byteLength);
    expect(merged.length).toBe(42 * 512);
    expect(Buffer.compare(merged.subarray(7 * 512, 9 * 512), bytes)).toBe(0);
    expect(Buffer.compare(merged.subarray(0, 7 * 512), pattern().read(0, 7 * 512))).toBe(0);
    expect(Buffer.compare(merged.subarray(9 * 512, IMAGE_BYTES), pattern().read(9 * 512, IMAGE_BYTES - 9 * 512))).toBe(0);
    world.device.reset();
    expect(world.device.overlayPageCount).toBe(2);
    world.device.discardOverlay();
    expect(Buffer.compare(world.device.readMerged(0, IMAGE_BYTES), pattern().read(0, IMAGE_BYTES))).toBe(0);
    expect(() => world.device.readMerged(0, world.device.byteLength + 1)).toThrow(RangeError);
  });

  test('errors are statuses', () => {
    const world = new BlockWorld();
    expect(world.request([header(0, 42), 512, 1])).toMatchObject({ status: 1, length: 1 });
    expect(world.request([header(0, 2 ** 60), 512, 1]).status).toBe(1);
    expect(world.request([header(0, 0), 511, 1]).status).toBe(1);
    expect(world.request([header(1, 41), new Uint8Array(1024), 1]).status).toBe(1);
    expect(world.request([header(99, 0), 1]).status).toBe(2);
    expect(world.request([header(11, 0), range(0, 1, 2), 1]).status).toBe(2);
    expect(world.request([header(13, 0), range(0, 1).slice(1), 1]).status).toBe(1);
    expect(world.request([header(13, 0), range(41, 2), 1]).status).toBe(1);
    expect(world.request([header(13, 0), range(0, 70_000), 1]).status).toBe(1);
    expect(world.device.overlayPageCount).toBe(0);
    expect(world.device.fault).toBe(undefined);
  });

  test.each([[[header(0, 0)]], [[header(0, 0).slice(1), 1]], [[1]]])('a request without header or status asks for a reset', (...pieces) => {
    const world = new BlockWorld();
    world.queue.add(pieces[0] as Piece[]);
    world.queue.kick();
    expect(world.device.fault).toMatch(/header or status/);
    expect(world.timers.armed).toEqual([]);
  });

  test('discard and write-zeroes zero their ranges, whole pages without memory', () => {
    const world = new BlockWorld();
    expect(world.request([header(13, 0), range(4, 25), range(40, 1), 1]).status).toBe(0);
    expect(world.request([header(11, 0), range(0, 1), 1]).status).toBe(0);
    const merged = world.device.readMerged(0, world.device.byteLength);
    const expected = new Uint8Array(merged.length);
    expected.set(pattern().read(0, IMAGE_BYTES));
    expected.fill(0, 4 * 512, 29 * 512).fill(0, 40 * 512, 41 * 512).fill(0, 0, 512);
    expect(Buffer.compare(merged, expected)).toBe(0);
  });

  test('a read-only disk says so and refuses writes', () => {
    const world = new BlockWorld({ readOnly: true });
    expect(world.device.readMmio(0x10, 4) & (1 << 5)).toBe(0); // DeviceFeaturesSel is 1 after initialize()
    world.device.writeMmio(0x14, 4, 0);
    expect(world.device.readMmio(0x10, 4) & (1 << 5)).toBe(1 << 5);
    expect(world.request([header(1, 0), new Uint8Array(512), 1]).status).toBe(1);
    expect(world.request([header(13, 0), range(0, 1), 1]).status).toBe(2);
    expect(world.request([header(0, 0), 512, 1]).status).toBe(0);
  });

  test('identity and configuration', () => {
    const world = new BlockWorld({ serial: 'disk-0', blockSize: 4096 });
    expect(new TextDecoder().decode(world.request([header(8, 0), 20, 1]).data)).toBe('disk-0' + '\0'.repeat(14));
    expect(world.device.readMmio(CONFIG, 4)).toBe(42);
    expect(world.device.readMmio(CONFIG + 4, 4)).toBe(0);
    expect(world.device.readMmio(CONFIG + 20, 4)).toBe(4096);
    expect(() => new BlockWorld({ blockSize: 1000 })).toThrow(RangeError);
  });

  test('completes after seek and transfer, in order, and interrupts then', () => {
    const world = new BlockWorld({ seekNs: 1000, bytesPerSecond: 512_000_000 });
    world.queue.add([header(0, 0), 4 * 512, 1]);
    world.queue.add([header(4, 0), 1]);
    world.queue.kick();
    world.timers.advance(500);
    world.queue.add([header(0, 0), 512, 1]);
    world.queue.kick();
    world.timers.advance(4499);
    expect(world.queue.reap()).toEqual([]);
    // Seek 1000 ns, then 2048 bytes for 4000 ns; the flush moves nothing and waits for it.
    world.timers.advance(1);
    expect(world.queue.reap()).toHaveLength(2);
    expect(world.line.asserted).toBe(true);
    world.timers.advance(999);
    expect(world.queue.reap()).toHaveLength(0);
    world.timers.advance(1);
    expect(world.queue.reap()).toHaveLength(1);
  });

  test('a reset forgets what is in flight', () => {
    const world = new BlockWorld();
    world.queue.add([header(1, 0), new Uint8Array(512), 1]);
    world.queue.kick();
    expect(world.timers.armed).toEqual(['virtio-block.completion']);
    world.device.writeMmio(0x70, 4, 0);
    expect(world.timers.armed).toEqual([]);
    world.timers.advance(1e9);
    expect(world.device.overlayPageCount).toBe(0);
  });

  test('a head that is offered again and again is found out', () => {
    const world = new BlockWorld();
    const head = world.queue.add([header(4, 0), 1]);
    for (let i = 0; i < 70; i++) {
      world.queue.kick();
      world.queue.offer(head ?? 0);
    }
    expect(world.device.fault).toMatch(/more requests/);
  });
});

describe('copy-on-write image', () => {
  test('pages handed out by save() do not change, and those that stay the same are the same objects', () => {
    const image = new CopyOnWriteImage(pattern());
    image.write(0, Uint8Array.of(1));
    image.write(PAGE_BYTES, Uint8Array.of(2));
    const first = image.save().pages as readonly Uint8Array[];
    image.write(1, Uint8Array.of(3));
    const second = image.save().pages as readonly Uint8Array[];
    expect(first[0][1]).toBe(pattern().read(1, 1)[0]);
    expect(second[0][1]).toBe(3);
    expect(second[0]).not.toBe(first[0]);
    expect(second[1]).toBe(first[1]);
  });

  test('is the array of bytes that it stands for', () => {
    const offset = fc.nat(IMAGE_BYTES - 1);
    const step = fc.record({ kind: fc.constantFrom('write', 'zero', 'save', 'read'), offset, length: fc.nat(3 * PAGE_BYTES), fill: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const image = new CopyOnWriteImage(pattern());
        const model = pattern().read(0, IMAGE_BYTES);
        for (const { kind, offset, length, fill } of steps) {
          const count = Math.min(length, IMAGE_BYTES - offset);
          if (kind === 'write') {
            image.write(offset, new Uint8Array(count).fill(fill));
            model.fill(fill, offset, offset + count);
          } else if (kind === 'zero') {
            image.zero(offset, count);
            model.fill(0, offset, offset + count);
          } else if (kind === 'save') {
            image.save();
          } else {
            expect(Buffer.compare(image.read(offset, count), model.subarray(offset, offset + count))).toBe(0);
          }
        }
        expect(Buffer.compare(image.read(0, IMAGE_BYTES), model)).toBe(0);
      }),
    );
  });
});

test('restore() continues where save() was', () => {
  const sector = fc.nat(44);
  const sectors = fc.integer({ min: 1, max: 12 });
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('read' as const, 'zero' as const, 'discard' as const), sector, sectors }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), sector, sectors, fill: fc.nat(255) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ns: fc.nat(150_000) }) },
    { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'id' as const, 'kick' as const, 'reap' as const, 'ack' as const, 'checkpoint' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('init' as const, 'reset' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), fc.nat(60), (operations, cut) => {
      const { straight, restored, saved, savedAgain } = runWithAndWithoutRestore(() => new BlockWorld(), operations, cut);
      expect(savedAgain).toEqual(saved);
      expect(restored).toEqual(straight);
    }),
    { numRuns: 100 },
  );
});
