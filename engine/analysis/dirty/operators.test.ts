import fc from 'fast-check';
import { type OperatorFunction, auditTime, firstValueFrom, from, lastValueFrom, map, scan, toArray } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, it } from 'vitest';
import type { EventBatch } from '../../log/event-batch.ts';
import { type DirtyEpoch, EpochSplitter } from './epoch.ts';
import type { HeatMap } from './folds.ts';
import { type Continuation, dirtyCurve, dirtyEpochs, dirtyTruth, dirtyTruthLive, heatMap, heatMapLive, whoDirties, workingSet } from './operators.ts';
import { batchesOf, dirtyLog } from './testing.ts';
import { windowCount } from './truth.ts';

const PAGES = 64;
const BLOCK_BYTES = 2048;
const options = { name: 'test', memoryBytes: PAGES * 4096 };
const { reader, known } = dirtyLog({ epochs: 300, pages: PAGES, blockBytes: BLOCK_BYTES });
const batches = batchesOf(reader);
const epochs = await lastValueFrom(from(batches).pipe(dirtyEpochs(), toArray()));
const all = <T>(operator: OperatorFunction<DirtyEpoch, T>, some: readonly DirtyEpoch[] = epochs): Promise<T[]> => lastValueFrom(from(some).pipe(operator, toArray()));

describe('dirtyEpochs', () => {
  it('has every epoch, with its pages, position and virtual time', () => {
    expect(batches.length).toBeGreaterThan(3);
    expect(epochs.map(({ toPosition, toNs, pages }) => ({ toPosition, toNs, pages }))).toEqual(known);
  });

  it('gives the same for batches of any size', async () => {
    for (const blockBytes of [4096, 8192, 65_536]) {
      const other = batchesOf(dirtyLog({ epochs: 300, pages: PAGES, blockBytes }).reader);
      expect(other.length).not.toBe(batches.length);
      expect(await lastValueFrom(from(other).pipe(dirtyEpochs(), toArray()))).toEqual(epochs);
    }
  });

  it('goes on where an earlier stream stopped, after any batch', async () => {
    for (const cut of [1, 3, batches.length - 1]) {
      let state: Parameters<NonNullable<Continuation<never>['onState']>>[0] | undefined;
      const head = await lastValueFrom(from(batches.slice(0, cut)).pipe(dirtyEpochs({ onState: (each) => (state = each as never) }), toArray()));
      const tail = await lastValueFrom(from(batches.slice(cut)).pipe(dirtyEpochs({ from: state }), toArray()));
      expect([...head, ...tail]).toEqual(epochs);
    }
  });
});

describe('folds against a count by hand', () => {
  const dirtiedBetween = (fromNs: number, toNs: number): number => new Set(known.filter(({ toNs: at }) => at > fromNs && at <= toNs).flatMap(({ pages }) => [...pages])).size;

  it('curve', async () => {
    const points = await all(dirtyCurve(25_000));
    expect(points.length).toBeGreaterThan(20);
    for (const { fromNs, toNs, pages } of points) expect(pages).toBe(dirtiedBetween(fromNs, toNs));
    expect(points.at(-1)!.toNs).toBe(known.at(-1)!.toNs);
  });

  it('working set', async () => {
    const points = await all(workingSet(30_000));
    expect(points.map(({ pages }) => pages)).toEqual(known.map(({ toNs }) => dirtiedBetween(toNs - 30_000, toNs)));
  });

  it('heat map: every first write is in its cell, however often columns were joined', async () => {
    const [map] = await all(heatMap({ memoryBytes: options.memoryBytes, rows: 16, columns: 10, columnNs: 100 }));
    expect(map.columns).toBeLessThanOrEqual(20);
    for (let row = 0; row < map.rows; row++) {
      for (let column = 0; column < map.columns; column++) {
        const expected = known.filter(({ toNs }) => Math.floor((toNs - 1) / map.columnNs) === column).reduce((sum, { pages }) => sum + pages.filter((page) => Math.floor(page / map.pagesPerRow) === row).length, 0);
        expect(map.counts[row * map.columns + column]).toBe(expected);
      }
    }
  });

  it('truth: windows of whole epochs', async () => {
    const [truth] = await all(dirtyTruth(options));
    fc.assert(
      fc.property(fc.nat(known.length - 1), fc.nat(known.length - 1), (a, b) => {
        const [first, last] = [Math.min(a, b), Math.max(a, b)];
        expect(windowCount(truth, known[first].toNs, known[last].toNs)).toMatchObject({ atLeast: dirtiedBetween(known[first].toNs, known[last].toNs), isExact: true });
      }),
    );
  });
});

describe('each fold', () => {
  const cases: readonly (readonly [string, (more: Continuation<never>) => OperatorFunction<DirtyEpoch, unknown>])[] = [
    ['truth', (more) => dirtyTruth({ ...options, ...(more as object) })],
    ['curve', (more) => dirtyCurve(25_000, more as object)],
    ['working set', (more) => workingSet(30_000, more as object)],
    ['heat map', (more) => heatMap({ memoryBytes: options.memoryBytes, columns: 20, columnNs: 100, ...(more as object) })],
  ];
  for (const [name, operator] of cases) {
    it(`${name}: saved and restored after any epoch, it ends as if nothing had happened`, async () => {
      const whole = (await all(operator({}))).at(-1);
      for (const cut of [0, 1, 137, epochs.length]) {
        let state: unknown;
        await lastValueFrom(from(epochs.slice(0, cut)).pipe(operator({ onState: (each) => (state = each) }), toArray()));
        const rest = await lastValueFrom(from(epochs.slice(cut)).pipe(operator({ from: structuredClone(state) as never }), toArray()));
        const last = JSON.stringify(rest.at(-1), (_, value: unknown) => (typeof value === 'function' ? undefined : ArrayBuffer.isView(value) ? Array.from(value as Uint32Array) : value));
        if (cut === epochs.length && name === 'working set') continue;
        expect(last).toBe(JSON.stringify(whole, (_, value: unknown) => (typeof value === 'function' ? undefined : ArrayBuffer.isView(value) ? Array.from(value as Uint32Array) : value)));
      }
    });
  }
});

describe('marbles', () => {
  const scheduler = (): TestScheduler => new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
  const epoch = (n: number, ...pages: number[]): DirtyEpoch => ({ epoch: n, fromPosition: n * 10, toPosition: n * 10 + 10, fromNs: n * 10, toNs: n * 10 + 10, pages: Uint32Array.from(pages) });
  const VALUES = { a: epoch(0, 1, 2), b: epoch(1, 2, 3), c: epoch(2, 3), d: epoch(5, 9) };

  it('a point of the curve comes with the first epoch after its slice, empty slices included, the last at the end', () => {
    scheduler().run(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b-c-d--|', VALUES);
      expectObservable(source.pipe(dirtyCurve(20), map(({ pages }) => pages))).toBe('----x-y--(z|)', { x: 3, y: 1, z: 1 });
      expectSubscriptions(source.subscriptions).toBe('^--------!');
    });
  });

  it('the working set has a value an epoch; the truth one at the end, or one after every second epoch and the rest', () => {
    scheduler().run(({ cold, expectObservable }) => {
      expectObservable(cold('a-b-c-d--|', VALUES).pipe(workingSet(20), map(({ pages }) => pages))).toBe('w-x-y-z--|', { w: 2, x: 3, y: 2, z: 1 });
      const entries = map(({ timeline }: { readonly timeline: { readonly length: number } }) => timeline.length);
      expectObservable(cold('a-b-c-d--|', VALUES).pipe(dirtyTruth(options), entries)).toBe('---------(x|)', { x: 6 });
      expectObservable(cold('a-b-c--|', VALUES).pipe(dirtyTruthLive(options, 2), entries)).toBe('--x----(y|)', { x: 4, y: 5 });
    });
  });

  it('epochs come with the batch that ends them; an error of the source goes on, and each subscriber has a splitter of its own', () => {
    const [a, b, c] = batches;
    const ends = (count: number): number[] => known.slice(0, count).map(({ toPosition }) => toPosition);
    const upTo = (...some: readonly EventBatch[]): number => {
      const splitter = new EpochSplitter();
      return some.reduce((sum, batch) => sum + [...splitter.split(batch)].length, 0);
    };
    scheduler().run(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b-c--|', { a, b, c });
      const counted = source.pipe(dirtyEpochs(), scan((sum, { toPosition }) => [...sum, toPosition], [] as number[]), auditTime(0));
      expectObservable(counted).toBe('x-y-z--|', { x: ends(upTo(a)), y: ends(upTo(a, b)), z: ends(upTo(a, b, c)) });
      expectObservable(counted, '-^---!').toBe('-x-y-', { x: ends(upTo(a)), y: ends(upTo(a, b)) });
      expectSubscriptions(source.subscriptions).toBe(['^------!', '-^---!']);
      expectObservable(cold<EventBatch>('--#', {}, new Error('disk')).pipe(dirtyEpochs())).toBe('--#', undefined, new Error('disk'));
    });
  });

  it('the heat map comes once, at the end; live after every second epoch, and with the rest', () => {
    const written = map(({ counts }: HeatMap) => counts.reduce((sum, count) => sum + count, 0));
    const setup = { memoryBytes: options.memoryBytes, rows: 4, columns: 4, columnNs: 10 };
    scheduler().run(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b-c-d--|', VALUES);
      expectObservable(source.pipe(heatMap(setup), written)).toBe('---------(x|)', { x: 6 });
      expectSubscriptions(source.subscriptions).toBe('^--------!');
      expectObservable(cold('a-b-c--|', VALUES).pipe(heatMapLive(setup, 2), written)).toBe('--x----(y|)', { x: 4, y: 5 });
      expectObservable(cold('a-b-|', VALUES).pipe(heatMapLive(setup, 2), written)).toBe('--x-|', { x: 4 });
      expectObservable(cold<DirtyEpoch>('a-#', VALUES, new Error('disk')).pipe(heatMapLive(setup, 1), written)).toBe('x-#', { x: 2 }, new Error('disk'));
    });
  });

  it('who dirties answers once, at the end; an epoch of a log is an error at once, and the source is left', () => {
    const detailed = ({ pages, ...rest }: DirtyEpoch): DirtyEpoch => {
      const words = (): Uint32Array => new Uint32Array(pages.length);
      const numbers = (): Float64Array => new Float64Array(pages.length);
      return { ...rest, pages, detail: { position: numbers(), atNs: numbers(), who: { kind: new Uint8Array(pages.length), ripLo: words(), ripHi: words(), cpl: new Uint8Array(pages.length), space: numbers() } } };
    };
    scheduler().run(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b--|', { a: detailed(VALUES.a), b: detailed(VALUES.b) });
      expectObservable(source.pipe(whoDirties(), map(({ firstWrites }) => firstWrites))).toBe('-----(x|)', { x: 4 });
      expectSubscriptions(source.subscriptions).toBe('^----!');
      const logged = cold('a-b--|', { a: detailed(VALUES.a), b: VALUES.b });
      expectObservable(logged.pipe(whoDirties())).toBe('--#', undefined, new RangeError('who wrote is not in a log: take the epochs from a replay'));
      expectSubscriptions(logged.subscriptions).toBe('^-!');
    });
  });

  it('passes errors on, stops when nobody listens, and begins anew for each subscriber', () => {
    scheduler().run(({ cold, expectObservable, expectSubscriptions }) => {
      expectObservable(cold<DirtyEpoch>('a-#', VALUES, new Error('disk')).pipe(dirtyTruth(options))).toBe('--#', undefined, new Error('disk'));
      const source = cold('a-b-c--|', VALUES);
      const sizes = source.pipe(workingSet(1000), map(({ pages }) => pages));
      expectObservable(sizes, '^--!').toBe('x-y', { x: 2, y: 3 });
      expectObservable(sizes, '--^').toBe('--x-y-z--|', { x: 2, y: 3, z: 3 });
      expectSubscriptions(source.subscriptions).toBe(['^--!', '--^------!']);
    });
  });

  it('an empty log is an empty truth', async () => {
    const truth = await firstValueFrom(from<EventBatch[]>([]).pipe(dirtyEpochs(), dirtyTruth(options)));
    expect([truth.timeline.length, truth.pages, truth.endNs]).toEqual([0, PAGES, 0]);
  });

  it('who dirties needs a replay, and says so', async () => {
    await expect(all(whoDirties())).rejects.toThrow(/replay/);
  });

  it('a page beyond the memory is an error, not a wrong answer', async () => {
    await expect(all(dirtyTruth({ name: 'small', memoryBytes: 4096 }))).rejects.toThrow(RangeError);
  });
});
