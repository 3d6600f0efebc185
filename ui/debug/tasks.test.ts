import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeTasks, encodeTasks, naming, spansOf } from './tasks.ts';

it('names every switch as a look at each would, with fewer looks', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.constantFrom('a', 'b', 'c')), { minLength: 1, maxLength: 60 }), fc.nat({ max: 1500 }), (steps, execAt) => {
      let position = 0;
      const switches = steps.map(([by, task]) => ({ position: (position += by), task }));
      const last = position + 10;
      // Task a changes its name once.
      const nameAt = (at: number): string => {
        const { task } = switches.findLast((each) => each.position <= at)!;
        return task === 'a' && at >= execAt ? 'a after exec' : task;
      };
      const steps2 = naming(switches, last);
      let looks = 0;
      let step = steps2.next();
      while (step.done !== true) {
        looks++;
        step = steps2.next(nameAt(step.value));
      }
      switches.forEach((_, i) => expect(step.value[i as never]).toBe(nameAt((switches[i + 1]?.position ?? last + 1) - 1)));
      expect(looks).toBeLessThanOrEqual(6 + 2 * Math.ceil(Math.log2(switches.length + 1)));
    }),
    { numRuns: 100 },
  );
});

it('joins neighbours of one name, and comes back from bytes', () => {
  const spans = spansOf([{ position: 5, task: '1' }, { position: 9, task: '2' }, { position: 12, task: '3' }], ['idle', 'sh[1]', 'sh[1]'], 99); // prettier-ignore
  expect(spans).toEqual({ names: ['idle', 'sh[1]'], positions: Float64Array.of(5, 9, 100), tasks: Uint16Array.of(0, 1) });
  expect(decodeTasks(encodeTasks(spans))).toEqual(spans);
  expect(decodeTasks(new Uint8Array(3))).toBeUndefined();
});
