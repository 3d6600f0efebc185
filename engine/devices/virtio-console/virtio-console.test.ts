import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DeviceReport, SavedState } from '../device.ts';
import { VIRTIO_MMIO_BASE } from '../virtio/mmio.ts';
import { CONFIG } from '../virtio/registers.ts';
import { acknowledgeInterrupts, FakeLine, FakeMemory, initialize, QUEUE_AREA_BYTES, QueueDriver, runWithAndWithoutRestore, VirtioWorld } from '../virtio/testing.ts';
import { savedBytes } from '../virtio/saved.ts';
import { INPUT_BYTES_MAX, VirtioConsole } from './virtio-console.ts';

const text = (value: string) => new TextEncoder().encode(value);

function setUp() {
  const memory = new FakeMemory(2 * QUEUE_AREA_BYTES);
  const line = new FakeLine();
  const output: Uint8Array[] = [];
  const reports: DeviceReport[] = [];
  const device = new VirtioConsole({
    mmioBase: VIRTIO_MMIO_BASE, line, memory, size: { columns: 80, rows: 25 },
    output: (bytes) => output.push(bytes), report: (report) => reports.push(report),
  });
  const queues = [0, 1].map((i) => new QueueDriver(device, memory, i, i * QUEUE_AREA_BYTES, 4));
  initialize(device, queues);
  return { memory, line, output, reports, device, receive: queues[0], transmit: queues[1] };
}

test('what the guest writes comes out, a buffer at a time', () => {
  const { transmit, output, reports } = setUp();
  transmit.add([text('hello '), text('world')]);
  transmit.add([text('!')], { indirect: true });
  transmit.kick();
  expect(output).toEqual([text('hello world'), text('!')]);
  expect(transmit.reap().map(({ length }) => length)).toEqual([0, 0]);
  expect(reports[0]).toEqual({ kind: 'virtio-request', device: 'virtio-console', queue: 1, head: 0, type: 0, sector: 0, bytes: 11 });
  expect(reports[1]).toMatchObject({ kind: 'virtio-complete', head: 0, status: 0 });
});

test('input waits for buffers and is split over them', () => {
  const { device, receive, line } = setUp();
  expect(device.receive(text('abcdefg'))).toBe(7);
  expect(line.asserted).toBe(false);
  receive.add([3]);
  receive.add([1, 2]);
  receive.kick();
  expect(receive.reap().map(({ data }) => data)).toEqual([text('abc'), text('def')]);
  expect(acknowledgeInterrupts(device)).toBe(1);
  receive.add([8]);
  receive.kick();
  receive.add([8]);
  expect(receive.reap()[0]).toMatchObject({ length: 1 });
  // A buffer that is there is used without a notification.
  device.receive(text('x'));
  expect(receive.reap()[0]).toMatchObject({ length: 1 });
});

test('input is bounded', () => {
  const { device } = setUp();
  expect(device.receive(new Uint8Array(INPUT_BYTES_MAX - 1))).toBe(INPUT_BYTES_MAX - 1);
  expect(device.receive(text('ab'))).toBe(1);
  expect(device.receive(text('b'))).toBe(0);
});

test('size, its change, and emergency writes go through configuration space', () => {
  const { device, line, output } = setUp();
  expect(device.readMmio(CONFIG, 2)).toBe(80);
  expect(device.readMmio(CONFIG + 2, 2)).toBe(25);
  device.resize({ columns: 132, rows: 50 });
  expect(line.asserted).toBe(true);
  expect(device.readMmio(CONFIG, 4)).toBe((50 << 16) | 132);
  device.writeMmio(CONFIG + 8, 4, 0x41);
  expect(output).toEqual([text('A')]);
  device.reset();
  expect(device.readMmio(CONFIG, 2)).toBe(80);
});

test('a buffer over the available ring cannot keep the device busy for ever', () => {
  const { device, receive, memory } = setUp();
  // An empty buffer is returned without taking input; the used ring lies over the available ring.
  device.writeMmio(0x70, 4, 0);
  const transmit = new QueueDriver(device, memory, 1, QUEUE_AREA_BYTES, 4);
  initialize(device, [receive, transmit]);
  device.writeMmio(0x30, 4, 0);
  device.writeMmio(0x44, 4, 0);
  device.writeMmio(0xa0, 4, receive.available);
  device.writeMmio(0x44, 4, 1);
  receive.writeDescriptor(receive.descriptors, 0, 0, 0, 2, 0);
  receive.offer(0);
  device.receive(text('abc'));
  receive.kick();
  expect(savedBytes(device.save().function as SavedState, 'input')).toEqual(text('abc'));
});

type Operation =
  | { readonly kind: 'input'; readonly bytes: Uint8Array }
  | { readonly kind: 'print'; readonly bytes: Uint8Array }
  | { readonly kind: 'room'; readonly bytes: number }
  | { readonly kind: 'kick' | 'reap' | 'ack' | 'resize' | 'init' | 'reset' };

class ConsoleWorld extends VirtioWorld<Operation> {
  readonly device: VirtioConsole;
  readonly queues: readonly QueueDriver[];

  constructor() {
    super(2 * QUEUE_AREA_BYTES);
    this.device = new VirtioConsole({
      mmioBase: 0, line: this.line, memory: this.memory, report: this.report, size: { columns: 80, rows: 25 },
      output: (bytes) => this.story.push(`output ${bytes.join()}`),
    });
    this.queues = [0, 1].map((i) => new QueueDriver(this.device, this.memory, i, i * QUEUE_AREA_BYTES, 8));
    initialize(this.device, this.queues);
  }

  apply(operation: Operation): void {
    switch (operation.kind) {
      case 'input': this.story.push(`took ${this.device.receive(operation.bytes)}`); break;
      case 'print': this.queues[1].add([operation.bytes]); break;
      case 'room': this.queues[0].add([operation.bytes]); break;
      case 'kick': for (const queue of this.queues) queue.kick(); break;
      case 'reap': for (const queue of this.queues) this.story.push(JSON.stringify(queue.reap())); break;
      case 'ack': acknowledgeInterrupts(this.device); break;
      case 'resize': this.device.resize({ columns: 132, rows: 3 }); break;
      case 'init': initialize(this.device, this.queues); break;
      case 'reset': this.device.reset(); break;
    }
  }
}

test('restore() continues where save() was', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 12 });
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('input' as const, 'print' as const), bytes }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('room' as const), bytes: fc.integer({ min: 1, max: 9 }) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('kick' as const, 'reap' as const, 'ack' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('resize' as const, 'init' as const, 'reset' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 50 }), fc.nat(50), (operations, cut) => {
      const { straight, restored, saved, savedAgain } = runWithAndWithoutRestore(() => new ConsoleWorld(), operations, cut);
      expect(savedAgain).toEqual(saved);
      expect(restored).toEqual(straight);
    }),
    { numRuns: 60 },
  );
});
