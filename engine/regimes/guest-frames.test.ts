import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { position } from '../log/position.ts';
import { openLog, writeLog } from '../log/testing.ts';
import { SHAPE_DIRTY } from '../log/shapes.ts';
import { GuestFrames, UNIT_FRAME, UNIT_GROUP, UNIT_HUGE } from './guest-frames.ts';

describe('GuestFrames', () => {
  it('counts first touches of units, whatever the sets', () => {
    const sets = fc.array(fc.uniqueArray(fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: 2 ** 21 })), { minLength: 1, maxLength: 60 }), { maxLength: 8 });
    fc.assert(
      fc.property(sets, fc.constantFrom(UNIT_FRAME, UNIT_GROUP, UNIT_HUGE), (list, unit) => {
        const sorted = list.map((pages) => Uint32Array.from(pages).sort());
        const reader = openLog(writeLog((writer) => sorted.forEach((pages, i) => writer.dirty(position(i), i, pages))));
        let frames = new GuestFrames(unit);
        const seen = new Set<number>();
        for (let block = 0; block < reader.eventBlocks.length; block++) {
          const batch = reader.batch(block);
          for (let i = 0; i < batch.count; i++) {
            if (batch.sites.shape[batch.site[i]] !== SHAPE_DIRTY) continue;
            const before = seen.size;
            for (const page of sorted[i]) if (page < 2 ** 20) seen.add(page >>> unit);
            expect(frames.touch(batch.bytes, batch.payloadStart[i], batch.payloadLength[i])).toBe(seen.size - before);
            const saved: unknown = JSON.parse(JSON.stringify(frames.save()));
            frames = new GuestFrames(unit);
            frames.restore(saved as number[]);
          }
        }
      }),
    );
  });

  it('where a stretch is split, groups are touched, those that were within 2 MiB before too', () => {
    const frames = new GuestFrames(UNIT_HUGE);
    // One run of pages: 0, 8, 16; then 512.
    const touch = (...pages: number[]): number => {
      const reader = openLog(writeLog((writer) => writer.dirty(position(1), 0, Uint32Array.from(pages))));
      const batch = reader.batch(0);
      const i = [...Array(batch.count).keys()].find((row) => batch.sites.shape[batch.site[row]] === SHAPE_DIRTY)!;
      return frames.touch(batch.bytes, batch.payloadStart[i], batch.payloadLength[i]);
    };
    expect(touch(0, 8, 16, 512)).toBe(2);
    frames.split(77);
    frames.split(2 ** 40);
    expect(touch(0, 7, 8, 511, 512, 600)).toBe(3);
    const saved = frames.save();
    frames.restore(saved);
    expect(touch(0, 7, 8, 511, 512)).toBe(0);
    expect(touch(16)).toBe(1);
  });

  it('ends at the end of a payload that is cut', () => {
    const frames = new GuestFrames(UNIT_FRAME);
    expect(() => frames.touch(Uint8Array.of(0xff, 0xff), 0, 2)).not.toThrow();
    expect(() => frames.touch(Uint8Array.of(0x01), 0, 1)).not.toThrow();
  });
});
