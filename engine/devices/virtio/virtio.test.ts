import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SavedState } from '../device.ts';
import { VirtioMmioDevice, VIRTIO_MMIO_BASE, type VirtioMmioOptions } from './mmio.ts';
import {
  CONFIG, CONFIG_GENERATION, DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, DEVICE_FEATURES, DEVICE_FEATURES_SEL,
  DEVICE_ID, DRIVER_FEATURES, F_EVENT_IDX, F_INDIRECT_DESC, INTERRUPT_STATUS, MAGIC_VALUE, QUEUE_NUM, QUEUE_NUM_MAX,
  QUEUE_READY, QUEUE_SEL, SHM_BASE_HIGH, SHM_BASE_LOW, SHM_LEN_HIGH, SHM_LEN_LOW, STATUS, STATUS_DRIVER_OK,
  STATUS_FEATURES_OK, STATUS_NEEDS_RESET, VERSION,
} from './registers.ts';
import { savedNumber } from './saved.ts';
import {
  acknowledgeInterrupts, FakeLine, FakeMemory, initialize, QUEUE_AREA_BYTES, QueueDriver, runWithAndWithoutRestore, VirtioWorld,
} from './testing.ts';
import { gather, scatter, segmentsLength } from './virtqueue.ts';

/** A device that answers a buffer with its readable bytes, each plus one, as far as they fit. */
class Echo extends VirtioMmioDevice {
  private value = 7;
  drops = 0;

  constructor(options: VirtioMmioOptions) {
    super(options, { name: 'echo', deviceId: 42, features: 0b101, queueSizesMax: [64, 8] });
  }

  change(value: number): void {
    this.value = value;
    this.configChanged();
  }

  protected configSpace(): Uint8Array {
    return Uint8Array.of(this.value, 1, 2, 3, 4);
  }

  protected override writeConfig(_offset: number, _size: number, value: number): void {
    this.value = value & 0xff;
  }

  protected queueNotified(queue: number): void {
    for (let left = this.queueSize(queue); left > 0; left--) {
      const chain = this.take(queue);
      if (chain === undefined) return;
      const bytes = gather(this.memory, chain.readable, 0, segmentsLength(chain.readable)).map((byte) => byte + 1);
      this.give(queue, chain.head, scatter(this.memory, chain.writable, 0, bytes));
    }
  }

  protected dropInFlight(): void {
    this.drops++;
  }

  protected powerOn(): void {
    this.value = 7;
  }

  protected saveFunction(): SavedState {
    return { value: this.value };
  }

  protected restoreFunction(state: SavedState): void {
    this.value = savedNumber(state, 'value');
  }
}

function setUp(options: { size?: number; features?: { low: number; high: number }; eventIndex?: boolean } = {}) {
  const memory = new FakeMemory(0x100000);
  const line = new FakeLine();
  const device = new Echo({ mmioBase: VIRTIO_MMIO_BASE, line, memory, eventIndex: options.eventIndex ?? true });
  const queue = new QueueDriver(device, memory, 0, 0x1000, options.size ?? 8);
  const status = initialize(device, [queue], options.features);
  return { memory, line, device, queue, status };
}

const PLAIN = { low: 0, high: 1 };
const INDIRECT = { low: F_INDIRECT_DESC, high: 1 };

describe('registers', () => {
  test('identify the device', () => {
    const { device } = setUp();
    expect(device.readMmio(MAGIC_VALUE, 4)).toBe(0x74726976);
    expect(device.readMmio(VERSION, 4)).toBe(2);
    expect(device.readMmio(DEVICE_ID, 4)).toBe(42);
    for (const register of [SHM_LEN_LOW, SHM_LEN_HIGH, SHM_BASE_LOW, SHM_BASE_HIGH]) expect(device.readMmio(register, 4)).toBe(0xffff_ffff);
    expect(device.readMmio(MAGIC_VALUE, 2)).toBe(0);
    expect(device.readMmio(0x0fe, 4)).toBe(0);
  });

  test('offer features in words', () => {
    const { device } = setUp({ eventIndex: false });
    const word = (select: number) => {
      device.writeMmio(DEVICE_FEATURES_SEL, 4, select);
      return device.readMmio(DEVICE_FEATURES, 4);
    };
    expect(word(0)).toBe((0b101 | F_INDIRECT_DESC) >>> 0);
    expect(word(1)).toBe(1);
    expect(word(2)).toBe(0);
  });

  test('configuration space is read at any width and its changes are announced', () => {
    const { device, line } = setUp();
    expect(device.readMmio(CONFIG, 4)).toBe(0x03020107);
    expect(device.readMmio(CONFIG + 1, 2)).toBe(0x0201);
    expect(device.readMmio(CONFIG + 4, 4)).toBe(4);
    expect(device.readMmio(CONFIG + 200, 1)).toBe(0);
    const generation = device.readMmio(CONFIG_GENERATION, 4);
    device.change(9);
    expect(device.readMmio(CONFIG_GENERATION, 4)).toBe(generation + 1);
    expect(line.asserted).toBe(true);
    expect(acknowledgeInterrupts(device)).toBe(2);
    expect(line.asserted).toBe(false);
    device.writeMmio(CONFIG, 1, 33);
    expect(device.readMmio(CONFIG, 1)).toBe(33);
  });

  test('queues that are not there read as absent', () => {
    const { device } = setUp();
    device.writeMmio(QUEUE_SEL, 4, 1);
    expect(device.readMmio(QUEUE_NUM_MAX, 4)).toBe(8);
    expect(device.readMmio(QUEUE_READY, 4)).toBe(0);
    device.writeMmio(QUEUE_SEL, 4, 2);
    expect(device.readMmio(QUEUE_NUM_MAX, 4)).toBe(0);
    device.writeMmio(QUEUE_READY, 4, 1);
    device.writeMmio(QUEUE_NUM, 4, 4);
    expect(device.readMmio(QUEUE_READY, 4)).toBe(0);
    expect(device.fault).toBe(undefined);
  });
});

describe('status', () => {
  test('features that were not offered, and a legacy driver, do not get FEATURES_OK', () => {
    for (const features of [{ low: 0b10, high: 1 }, { low: 0, high: 0 }, { low: 0, high: 3 }]) {
      const { status, device, queue } = setUp({ features });
      expect(status & STATUS_FEATURES_OK).toBe(0);
      queue.add([Uint8Array.of(1), 1]);
      queue.kick();
      expect(queue.reap()).toEqual([]);
      expect(device.fault).toBe(undefined);
    }
  });

  test('features are fixed once accepted', () => {
    const { device } = setUp({ features: PLAIN });
    device.writeMmio(DRIVER_FEATURES, 4, 0b101);
    expect(device.save().driverFeatures).toEqual([0, 1]);
  });

  test('zero resets the device, and reset() all of it', () => {
    const { device, queue, line } = setUp();
    const fresh = new Echo({ mmioBase: 0, line: new FakeLine(), memory: new FakeMemory(16) }).save();
    queue.add([Uint8Array.of(1), 1]);
    queue.kick();
    expect(line.asserted).toBe(true);
    device.change(9);
    device.writeMmio(STATUS, 4, 0);
    expect(line.asserted).toBe(false);
    expect(device.readMmio(STATUS, 4)).toBe(0);
    expect(device.readMmio(QUEUE_READY, 4)).toBe(0);
    expect(device.readMmio(CONFIG, 1)).toBe(9);
    device.reset();
    expect(device.save()).toEqual(fresh);
  });

  test('nothing is taken before DRIVER_OK, nor after a queue was stopped', () => {
    const { device, queue } = setUp();
    device.writeMmio(STATUS, 4, 0);
    queue.setUp();
    queue.add([Uint8Array.of(1), 1]);
    queue.kick();
    expect(queue.reap()).toEqual([]);
    initialize(device, [queue]);
    const drops = device.drops;
    device.writeMmio(QUEUE_SEL, 4, 0);
    device.writeMmio(QUEUE_READY, 4, 0);
    expect(device.drops).toBe(drops + 1);
    expect(device.readMmio(QUEUE_READY, 4)).toBe(0);
    queue.add([Uint8Array.of(1), 1]);
    queue.kick();
    expect(queue.reap()).toEqual([]);
    expect(device.readMmio(STATUS, 4) & STATUS_DRIVER_OK).toBe(STATUS_DRIVER_OK);
  });
});

describe('split virtqueue', () => {
  test('passes any mixture of pieces, direct and indirect, for longer than the index is wide', () => {
    const { queue, device } = setUp({ size: 4 });
    for (let i = 0; i < 66_000; i++) {
      const indirect = i % 3 === 0;
      const head = queue.add([Uint8Array.of(i, i >> 8), Uint8Array.of(5), 2, 3], { indirect });
      queue.kick();
      const used = queue.reap();
      if (i % 1000 === 0 || used.length !== 1) {
        expect(used).toEqual([{ head, length: 3, data: Uint8Array.of(i + 1, (i >> 8) + 1, 6, 0, 0).map((byte, at) => (at > 2 ? used[0].data[at] : byte)) }]);
      }
    }
    expect(device.fault).toBe(undefined);
  });

  test('handles direct descriptors before an indirect one (2.7.5.3.2), and empty ones', () => {
    const { queue, memory } = setUp();
    memory.write(0x80000, Uint8Array.of(10, 20, 30));
    queue.writeDescriptor(queue.descriptors, 2, 0x80000, 2, DESC_F_NEXT, 5);
    queue.writeDescriptor(queue.descriptors, 5, 0x9_0000_0000, 0, DESC_F_NEXT, 6);
    queue.writeDescriptor(queue.descriptors, 6, 0x81000, 32, DESC_F_INDIRECT, 0);
    queue.writeDescriptor(0x81000, 0, 0x80002, 1, DESC_F_NEXT, 1);
    queue.writeDescriptor(0x81000, 1, 0x82000, 8, DESC_F_WRITE, 0);
    queue.offer(2);
    queue.kick();
    expect(memory.read32(queue.used + 4)).toBe(2);
    expect(memory.read32(queue.used + 8)).toBe(3);
    expect([...memory.view(0x82000, 4)]).toEqual([11, 21, 31, 0]);
  });

  test('interrupts unless the driver asked for none', () => {
    const { queue, line, device } = setUp({ features: PLAIN });
    queue.setAvailableFlags(1);
    queue.add([1]);
    queue.kick();
    expect(line.asserted).toBe(false);
    queue.setAvailableFlags(0);
    queue.add([1]);
    queue.kick();
    expect(line.asserted).toBe(true);
    expect(acknowledgeInterrupts(device)).toBe(1);
    expect(device.readMmio(INTERRUPT_STATUS, 4)).toBe(0);
    expect(line.asserted).toBe(false);
  });

  test('with event idx, interrupts when the index passes used_event, and says where to notify', () => {
    const { queue, line, device } = setUp({ features: { low: F_EVENT_IDX, high: 1 } });
    const step = () => {
      queue.add([1]);
      queue.kick();
      const { asserted } = line;
      acknowledgeInterrupts(device);
      return asserted;
    };
    expect(step()).toBe(true);
    queue.setUsedEvent(3);
    expect([step(), step(), step(), step()]).toEqual([false, false, true, false]);
    expect(queue.availEvent()).toBe(5);
  });

  const broken: [string, (queue: QueueDriver, memory: FakeMemory) => void, RegExp][] = [
    ['a loop', (q) => { q.writeDescriptor(q.descriptors, 0, 0x80000, 1, DESC_F_NEXT, 1); q.writeDescriptor(q.descriptors, 1, 0x80000, 1, DESC_F_NEXT, 0); q.offer(0); }, /loops/],
    ['a loop in an indirect table', (q) => { q.writeDescriptor(q.descriptors, 0, 0x81000, 32, DESC_F_INDIRECT, 0); q.writeDescriptor(0x81000, 0, 0x80000, 1, DESC_F_NEXT, 0); q.offer(0); }, /loops/],
    ['a head out of range', (q) => q.offer(8), /descriptor 8 of 8/],
    ['a next out of range', (q) => { q.writeDescriptor(q.descriptors, 0, 0x80000, 1, DESC_F_NEXT, 4000); q.offer(0); }, /descriptor 4000/],
    ['a buffer outside memory', (q) => { q.writeDescriptor(q.descriptors, 0, 0xfffff, 2, 0, 0); q.offer(0); }, /outside memory/],
    ['a buffer beyond 2^53', (q, m) => { q.writeDescriptor(q.descriptors, 0, 0, 2, 0, 0); m.write32(q.descriptors + 4, 0xffff_ffff); q.offer(0); }, /outside memory/],
    ['an index too far ahead', (q, m) => m.write16(q.available + 2, 9), /9 ahead/],
    ['readable after writable', (q) => { q.writeDescriptor(q.descriptors, 0, 0x80000, 1, DESC_F_NEXT | DESC_F_WRITE, 1); q.writeDescriptor(q.descriptors, 1, 0x80000, 1, 0, 0); q.offer(0); }, /after a writable/],
    ['a nested indirect table', (q) => { q.writeDescriptor(q.descriptors, 0, 0x81000, 16, DESC_F_INDIRECT, 0); q.writeDescriptor(0x81000, 0, 0x82000, 16, DESC_F_INDIRECT, 0); q.offer(0); }, /in an indirect table/],
    ['indirect with next', (q) => { q.writeDescriptor(q.descriptors, 0, 0x81000, 16, DESC_F_INDIRECT | DESC_F_NEXT, 1); q.offer(0); }, /with a next/],
    ['a crooked indirect table', (q) => { q.writeDescriptor(q.descriptors, 0, 0x81000, 24, DESC_F_INDIRECT, 0); q.offer(0); }, /24 bytes/],
    ['an empty indirect table', (q) => { q.writeDescriptor(q.descriptors, 0, 0x81000, 0, DESC_F_INDIRECT, 0); q.offer(0); }, /0 bytes/],
    ['a huge indirect table', (q) => { q.writeDescriptor(q.descriptors, 0, 0, 0xffff_fff0, DESC_F_INDIRECT, 0); q.offer(0); }, /too long/],
    ['an indirect table outside memory', (q) => { q.writeDescriptor(q.descriptors, 0, 0xffff8, 16, DESC_F_INDIRECT, 0); q.offer(0); }, /outside memory/],
  ];
  test.each(broken)('asks for a reset on %s', (_name, breakRing, reason) => {
    const { queue, device, memory, line } = setUp({ features: INDIRECT });
    breakRing(queue, memory);
    queue.kick();
    expect(device.readMmio(STATUS, 4) & STATUS_NEEDS_RESET).toBe(STATUS_NEEDS_RESET);
    expect(device.fault).toMatch(reason);
    expect(line.asserted).toBe(true);
    expect(acknowledgeInterrupts(device)).toBe(2);
    queue.add([1]);
    queue.kick();
    expect(memory.read16(queue.used + 2)).toBe(0);
    // And a reset heals it.
    expect(initialize(device, [queue]) & STATUS_NEEDS_RESET).toBe(0);
    queue.add([Uint8Array.of(1), 1]);
    queue.kick();
    expect(queue.reap()[0].data).toEqual(Uint8Array.of(2));
  });

  test('an indirect descriptor that was not negotiated asks for a reset', () => {
    const { queue, device } = setUp({ features: PLAIN });
    queue.add([1], { indirect: true });
    queue.kick();
    expect(device.fault).toMatch(/without the feature/);
  });

  test.each([
    ['size', 3, 0x1000], ['size', 0, 0x1000], ['size', 128, 0x1000], ['address', 8, 0x1004], ['address', 8, 0xfffff0],
  ])('a bad %s (%d at %d) asks for a reset', (_what, size, address) => {
    const { device } = setUp();
    device.writeMmio(STATUS, 4, 0);
    device.writeMmio(QUEUE_NUM, 4, size);
    for (const register of [0x80, 0x90, 0xa0]) device.writeMmio(register, 4, address);
    device.writeMmio(QUEUE_READY, 4, 1);
    expect(device.readMmio(QUEUE_READY, 4)).toBe(0);
    expect(device.readMmio(STATUS, 4)).toBe(STATUS_NEEDS_RESET);
    expect(device.fault).toMatch(/^queue 0: bad/);
  });

  test('random memory never throws, and never writes outside memory', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0x180, maxLength: 0x180 }), fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.boolean(), (table, ring, indirect) => {
        const { queue, device, memory } = setUp({ features: indirect ? { low: F_INDIRECT_DESC | F_EVENT_IDX, high: 1 } : PLAIN });
        // Make half of the addresses and lengths small, so that some are good.
        for (let i = 0; i < table.length; i += 16) {
          if ((table[i] & 1) === 0) table.fill(0, i + 3, i + 8);
          table.fill(0, i + 10, i + 12);
          table[i + 13] = 0;
          table[i + 12] &= 7;
          if ((table[i + 14] & 8) === 0) table[i + 15] = 0;
        }
        memory.write(queue.descriptors, table);
        memory.write(queue.available, ring);
        memory.write16(queue.available + 2, ring[0] % 9);
        queue.kick();
        queue.kick();
        expect(typeof device.readMmio(STATUS, 4)).toBe('number');
      }),
      { numRuns: 2000 },
    );
  });
});

type Operation =
  | { readonly kind: 'add'; readonly queue: number; readonly bytes: Uint8Array; readonly room: number; readonly indirect: boolean }
  | { readonly kind: 'kick' | 'reap'; readonly queue: number }
  | { readonly kind: 'ack' | 'init' | 'change' | 'break' };

class EchoWorld extends VirtioWorld<Operation> {
  readonly device: Echo;
  readonly queues: readonly QueueDriver[];

  constructor() {
    super(2 * QUEUE_AREA_BYTES);
    this.device = new Echo({ mmioBase: 0, line: this.line, memory: this.memory, report: this.report });
    this.queues = [0, 1].map((i) => new QueueDriver(this.device, this.memory, i, i * QUEUE_AREA_BYTES, 8));
    initialize(this.device, this.queues);
  }

  apply(operation: Operation): void {
    switch (operation.kind) {
      case 'add': {
        const { bytes, room, indirect } = operation;
        this.queues[operation.queue].add([bytes, room], { indirect });
        break;
      }
      case 'kick': this.queues[operation.queue].kick(); break;
      case 'reap': this.story.push(JSON.stringify(this.queues[operation.queue].reap())); break;
      case 'ack': this.story.push(String(acknowledgeInterrupts(this.device))); break;
      case 'init': initialize(this.device, this.queues); break;
      case 'change': this.device.change(this.timers.now() & 0xff); break;
      case 'break': this.queues[0].offer(99); break;
    }
    this.timers.advance(17);
  }
}

test('restore() continues where save() was', () => {
  const queue = fc.integer({ min: 0, max: 1 });
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('add' as const), queue, bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }), room: fc.integer({ min: 1, max: 20 }), indirect: fc.boolean() }) },
    { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('kick' as const, 'reap' as const), queue }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('ack' as const, 'change' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('init' as const, 'break' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), fc.nat(60), (operations, cut) => {
      const { straight, restored, saved, savedAgain } = runWithAndWithoutRestore(() => new EchoWorld(), operations, cut);
      expect(savedAgain).toEqual(saved);
      expect(restored).toEqual(straight);
    }),
    { numRuns: 60 },
  );
});
