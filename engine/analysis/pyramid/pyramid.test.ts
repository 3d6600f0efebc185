import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EventBatch } from '../../log/event-batch.ts';
import { LogReader } from '../../log/reader.ts';
import { MemorySource } from '../../log/storage.ts';
import { BUCKETS_MAX, Pyramid, TRACKS_MAX, countWindow } from './pyramid.ts';

let reader: LogReader;
let batches: readonly EventBatch[];
let whole: Pyramid;

beforeAll(() => {
  reader = LogReader.open(new MemorySource(readFileSync(fileURLToPath(new URL('../../../traces/lab-kernel.cvlog', import.meta.url)))));
  batches = reader.eventBlocks.map((_, i) => reader.batch(i));
  whole = new Pyramid();
  for (const batch of batches) whole.add(batch);
});

/** Kinds by bucket, from the events as objects. */
function expected(from: number, count: number, width: number): Map<string, Float64Array> {
  const tracks = new Map<string, Float64Array>();
  const add = (name: string, at: number, amount: number): void => {
    const column = tracks.get(name) ?? new Float64Array(count);
    column[Math.floor(at / width) - from] += amount;
    tracks.set(name, column);
  };
  for (const event of reader.events()) {
    const bucket = Math.floor(event.position / width);
    if (bucket < from || bucket >= from + count) continue;
    add(`kind:${event.kind}`, event.position, 1);
    if (event.kind === 'idle') add('idle-ns', event.position, event.ns);
    if (event.kind === 'dirty') add('dirty-pages', event.position, event.pages.length);
    if (event.kind === 'device') add(`device:${event.report.kind}`, event.position, 1);
  }
  return tracks;
}

/** All of it, quicker to compare than its arrays. */
function bytesOf(pyramid: Pyramid): object {
  const { tracks, ...rest } = pyramid.save();
  return { ...rest, tracks: tracks.map(({ name, chunks, values }) => [name, chunks.join(), createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')]) };
}

describe('windows', () => {
  it('are what the events say, at every zoom', () => {
    const last = reader.lastPosition + 1;
    for (const buckets of [1, 7, 100, 1000, 16_384]) {
      const window = whole.window({ from: 0, to: last, buckets });
      if (window === undefined) throw new Error(`${buckets} buckets are finer than the base`);
      expect(window.count).toBeLessThanOrEqual(buckets);
      const known = expected(window.first, window.count, 2 ** window.shift);
      for (const [name, column] of known) expect(window.tracks.get(name), `${name} in ${buckets}`).toEqual(column);
    }
    expect(whole.records).toBe(reader.records);
  });

  it('finer than the base are counted from the events', () => {
    const query = { from: 1_000_000, to: 1_002_000, buckets: 2000 };
    expect(whole.window(query)).toBeUndefined();
    const window = countWindow(reader, query);
    expect(window).toMatchObject({ shift: 0, first: 1_000_000, count: 2000 });
    expect(new Map([...window.tracks].filter(([name]) => name.startsWith('kind:')))).toEqual(new Map([...expected(1_000_000, 2000, 1)].filter(([name]) => name.startsWith('kind:'))));
    // Where both can answer they agree.
    const both = { from: 5_000_000, to: 9_000_000, buckets: 500 };
    expect(countWindow(reader, both)).toEqual(whole.window(both));
  });

  it('add up: a level is the sum of the one below', () => {
    fc.assert(
      fc.property(fc.nat({ max: 100_000_000 }), fc.integer({ min: 2, max: 1000 }), (from, buckets) => {
        const to = from + 10_000_000;
        const fine = whole.window({ from, to, buckets });
        const coarse = fine && whole.window({ from: fine.first * 2 ** fine.shift, to: (fine.first + fine.count) * 2 ** fine.shift, buckets: Math.ceil(fine.count / 4) });
        if (fine === undefined || coarse === undefined) return;
        const ratio = 2 ** (coarse.shift - fine.shift);
        for (const [name, column] of fine.tracks) {
          // Buckets at the borders of the finer window are only partly in it.
          const sums = new Float64Array(coarse.count);
          column.forEach((amount, i) => (sums[Math.floor((fine.first + i) / ratio) - coarse.first] += amount));
          const wrong = [...sums].findIndex((sum, i) => (i === 0 || i === coarse.count - 1 ? sum > (coarse.tracks.get(name)?.[i] ?? 0) : sum !== (coarse.tracks.get(name)?.[i] ?? 0)));
          expect(wrong, name).toBe(-1);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('have the tracks that are asked for', () => {
    const query = { from: 0, to: 1e8, buckets: 10 };
    expect([...(whole.window({ ...query, tracks: ['kind:exit', 'device:*', 'nothing'] })?.tracks.keys() ?? [])].every((name) => name === 'kind:exit' || name.startsWith('device:'))).toBe(true);
    expect(() => whole.window({ from: 5, to: 5, buckets: 10 })).toThrow(RangeError);
    expect(() => whole.window({ from: 0, to: 5, buckets: 0 })).toThrow(RangeError);
  });
});

it('is the same in whatever pieces the rows come, and across save and restore', () => {
  let pyramid = new Pyramid();
  batches.forEach((batch, n) => {
    const cut = (n * 7919) % (batch.count + 1);
    pyramid.add(batch, 0, cut);
    if (n % 3 === 0) pyramid = Pyramid.restore(structuredClone(pyramid.save()));
    pyramid.add(batch, cut);
  });
  expect(bytesOf(pyramid)).toEqual(bytesOf(whole));
});

it('stays within its bounds', () => {
  expect((reader.lastPosition + 1) / 2 ** whole.baseShift).toBeLessThanOrEqual(BUCKETS_MAX);
  expect(whole.trackNames.length).toBeLessThanOrEqual(TRACKS_MAX + 1);
  // Vectors are numbers up to 255: more tracks than there may be.
  const row = batches.flatMap((each) => [...each.kind].map((kind, i) => ({ each, kind, i }))).find(({ each, kind, i }) => kind === 3 && each.sites.f1[each.site[i]] !== 0 && each.sites.f0[each.site[i]] === 1);
  if (row === undefined) throw new Error('the recording has no interrupt that was injected');
  const pyramid = new Pyramid();
  for (let vector = 0; vector < 256; vector++) {
    const f1 = row.each.sites.f1.slice().fill(vector + 1);
    pyramid.add({ ...row.each, sites: { ...row.each.sites, f1 } }, row.i, row.i + 1);
  }
  expect(pyramid.trackNames).toContain('other');
  expect(pyramid.trackNames.length).toBeLessThanOrEqual(TRACKS_MAX + 1);
  const { tracks } = pyramid.window({ from: 0, to: reader.lastPosition + 1, buckets: 1 }) ?? { tracks: new Map<string, Float64Array>() };
  expect(tracks.get('kind:interrupt')).toEqual(Float64Array.of(256));
});
