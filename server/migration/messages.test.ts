import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PAGE_BYTES } from '../../engine/machine/snapshot.ts';
import { PageBatch, pagesOf } from './messages.ts';

it('a batch that is taken when it is full holds any mixture of pages and zeros', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.boolean(), { maxLength: 100 }), (pagesMax, zeros) => {
      const batch = new PageBatch(pagesMax);
      const got: (readonly [number, number | undefined])[] = [];
      const take = (): void => {
        for (const { frame, page } of pagesOf(batch.take(), zeros.length)) got.push([frame, page?.[frame % PAGE_BYTES]]);
      };
      zeros.forEach((isZero, frame) => {
        batch.add(frame, isZero ? undefined : new Uint8Array(PAGE_BYTES).fill((frame % 255) + 1));
        if (batch.isFull) take();
      });
      take();
      expect(got).toEqual(zeros.map((isZero, frame) => [frame, isZero ? undefined : (frame % 255) + 1]));
    }),
  );
});
