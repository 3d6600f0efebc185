import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ConsoleRing } from './console-ring.ts';

it('has the last bytes, whatever the pieces', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), fc.nat(), fc.nat({ max: 30 }), (size, pieces, at, max) => {
      const ring = new ConsoleRing(size);
      const all: number[] = [];
      for (const piece of pieces) {
        ring.push(piece);
        all.push(...piece);
      }
      expect(ring.end).toBe(all.length);
      expect(ring.begin).toBe(Math.max(0, all.length - size));
      const from = ring.begin + (at % (ring.end - ring.begin + 1));
      expect([...ring.read(from, max)]).toEqual(all.slice(from, from + max));
    }),
  );
  const ring = new ConsoleRing(4);
  ring.push(new Uint8Array(10));
  expect(() => ring.read(5, 1)).toThrow(/bytes 6 to 10/);
  expect(() => ring.read(11, 1)).toThrow(RangeError);
});
