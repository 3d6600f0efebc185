import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SavedState } from '../device.ts';
import { savedState } from '../virtio/saved.ts';
import { CONFIG } from '../virtio/registers.ts';
import { acknowledgeInterrupts, initialize, ManualTimers, QUEUE_AREA_BYTES, QueueDriver, runWithAndWithoutRestore, VirtioWorld } from '../virtio/testing.ts';
import { LoopbackNetwork, WIRE_FRAMES_MAX } from './loopback.ts';
import { PENDING_FRAMES_MAX, VirtioNet } from './virtio-net.ts';

type Operation =
  | { readonly kind: 'send' | 'arrive'; readonly frame: Uint8Array }
  | { readonly kind: 'room'; readonly bytes: number }
  | { readonly kind: 'wait'; readonly ns: number }
  | { readonly kind: 'kick' | 'reap' | 'ack' | 'init' };

const HEADER = new Uint8Array(12);

class NetWorld extends VirtioWorld<Operation> {
  readonly device: VirtioNet;
  readonly network: LoopbackNetwork;
  readonly queues: readonly QueueDriver[];

  constructor() {
    super(2 * QUEUE_AREA_BYTES);
    this.network = new LoopbackNetwork({ timers: this.timers, latencyNs: 1000 });
    this.device = new VirtioNet({
      mmioBase: 0, line: this.line, memory: this.memory, report: this.report, backend: this.network, mtu: 1400,
      mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    });
    this.network.connect((frame) => this.device.receive(frame));
    this.queues = [0, 1].map((i) => new QueueDriver(this.device, this.memory, i, i * QUEUE_AREA_BYTES, 8));
    initialize(this.device, this.queues);
  }

  apply(operation: Operation): void {
    switch (operation.kind) {
      case 'send': this.queues[1].add([HEADER, operation.frame]); break;
      case 'arrive': this.story.push(`kept ${this.device.receive(operation.frame)}`); break;
      case 'room': this.queues[0].add([operation.bytes]); break;
      case 'wait': this.timers.advance(operation.ns); break;
      case 'kick': for (const queue of this.queues) queue.kick(); break;
      case 'reap': for (const queue of this.queues) this.story.push(JSON.stringify(queue.reap())); break;
      case 'ack': acknowledgeInterrupts(this.device); break;
      case 'init': initialize(this.device, this.queues); break;
    }
  }

  protected override saveRest(): SavedState {
    return { network: this.network.save() };
  }

  protected override restoreRest(state: SavedState): void {
    this.network.restore(savedState(state, 'network'));
  }
}

describe('virtio-net', () => {
  test('a frame goes out without its header, comes back after the latency, and gets one', () => {
    const { device, queues: [receive, transmit], timers, story } = new NetWorld();
    receive.add([100]);
    receive.kick();
    transmit.add([HEADER.slice(0, 5), HEADER.slice(5), Uint8Array.of(1, 2), Uint8Array.of(3)]);
    transmit.kick();
    expect(transmit.reap()).toMatchObject([{ length: 0 }]);
    timers.advance(999);
    expect(receive.reap()).toEqual([]);
    timers.advance(1);
    const [{ length, data }] = receive.reap();
    expect(length).toBe(15);
    expect([...data.subarray(0, 15)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3]);
    expect(story.map((line) => JSON.parse(line).kind)).toEqual([
      'virtio-request', 'virtio-complete', 'net-tx', 'virtio-request', 'net-rx', 'virtio-complete',
    ]);
    expect(device.dropped).toBe(0);
  });

  test('configuration space has the address and the MTU', () => {
    const { device } = new NetWorld();
    expect([0, 1, 2, 3, 4, 5].map((i) => device.readMmio(CONFIG + i, 1))).toEqual([2, 0, 0, 0, 0, 1]);
    expect(device.readMmio(CONFIG + 10, 2)).toBe(1400);
  });

  test('frames wait for buffers, and what does not fit is dropped without using one up', () => {
    const { device, queues: [receive] } = new NetWorld();
    expect(device.receive(new Uint8Array(30))).toBe(true);
    expect(device.receive(Uint8Array.of(7))).toBe(true);
    receive.add([20]);
    receive.kick();
    const [used] = receive.reap();
    expect(used.length).toBe(13);
    expect(used.data[12]).toBe(7);
    expect(device.dropped).toBe(1);
    expect(device.fault).toBe(undefined);
  });

  test('waiting frames and the wire are bounded', () => {
    const { device } = new NetWorld();
    for (let i = 0; i < PENDING_FRAMES_MAX + 3; i++) device.receive(Uint8Array.of(i));
    expect(device.dropped).toBe(3);
    const network = new LoopbackNetwork({ timers: new ManualTimers() });
    for (let i = 0; i < WIRE_FRAMES_MAX + 2; i++) network.transmit(Uint8Array.of(i));
    expect(network.save()).toMatchObject({ framesLost: 2 });
    network.reset();
    expect(network.save()).toEqual({ wire: [], framesLost: 0 });
  });

  test('a frame without its header asks for a reset', () => {
    const { device, queues: [, transmit] } = new NetWorld();
    transmit.add([HEADER.slice(0, 11)]);
    transmit.kick();
    expect(device.fault).toMatch(/header/);
  });
});

test('restore() continues where save() was', () => {
  const frame = fc.uint8Array({ minLength: 1, maxLength: 30 });
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('send' as const, 'arrive' as const), frame }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('room' as const), bytes: fc.integer({ min: 10, max: 50 }) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ns: fc.nat(900) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('kick' as const, 'reap' as const, 'ack' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('init' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), fc.nat(60), (operations, cut) => {
      const { straight, restored, saved, savedAgain } = runWithAndWithoutRestore(() => new NetWorld(), operations, cut);
      expect(savedAgain).toEqual(saved);
      expect(restored).toEqual(straight);
    }),
    { numRuns: 60 },
  );
});
