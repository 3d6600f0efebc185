import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SavedState } from '../device.ts';
import { savedNumber } from '../virtio/saved.ts';
import { acknowledgeInterrupts, initialize, QUEUE_AREA_BYTES, QueueDriver, runWithAndWithoutRestore, VirtioWorld } from '../virtio/testing.ts';
import { VirtioRng } from './virtio-rng.ts';

type Operation = { readonly kind: 'ask'; readonly pieces: readonly number[] } | { readonly kind: 'kick' | 'reap' | 'ack' | 'init' };

class RngWorld extends VirtioWorld<Operation> {
  readonly device: VirtioRng;
  readonly queues: readonly QueueDriver[];
  private next = 1;

  constructor() {
    super(QUEUE_AREA_BYTES);
    this.device = new VirtioRng({
      mmioBase: 0, line: this.line, memory: this.memory, report: this.report,
      entropy: (length) => Uint8Array.from({ length }, () => this.next++),
    });
    this.queues = [new QueueDriver(this.device, this.memory, 0, 0, 8)];
    initialize(this.device, this.queues);
  }

  apply(operation: Operation): void {
    const [queue] = this.queues;
    switch (operation.kind) {
      case 'ask': queue.add(operation.pieces); break;
      case 'kick': queue.kick(); break;
      case 'reap': this.story.push(JSON.stringify(queue.reap())); break;
      case 'ack': acknowledgeInterrupts(this.device); break;
      case 'init': initialize(this.device, this.queues); break;
    }
  }

  protected override saveRest(): SavedState {
    return { next: this.next };
  }

  protected override restoreRest(state: SavedState): void {
    this.next = savedNumber(state, 'next');
  }
}

test('fills buffers with entropy, in order', () => {
  const world = new RngWorld();
  const [queue] = world.queues;
  queue.add([3, 2]);
  queue.add([4]);
  queue.add([Uint8Array.of(9)]);
  queue.kick();
  expect(queue.reap().map(({ length, data }) => [length, ...data])).toEqual([[5, 1, 2, 3, 4, 5], [4, 6, 7, 8, 9], [0]]);
  expect(world.line.asserted).toBe(true);
  expect(world.story).toHaveLength(6);
});

test('restore() continues where save() was', () => {
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    fc.record({ kind: fc.constant('ask' as const), pieces: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }) }),
    fc.record({ kind: fc.constantFrom('kick' as const, 'reap' as const, 'ack' as const) }),
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('init' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), fc.nat(40), (operations, cut) => {
      const { straight, restored, saved, savedAgain } = runWithAndWithoutRestore(() => new RngWorld(), operations, cut);
      expect(savedAgain).toEqual(saved);
      expect(restored).toEqual(straight);
    }),
    { numRuns: 60 },
  );
});
