import { map } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, it } from 'vitest';
import type { EventBatch } from '../../log/event-batch.ts';
import { ExitProfileFold, type ExitProfileState } from './fold.ts';
import { exitProfile, exitProfileLive } from './operator.ts';
import { batchesOf, exitLog } from './testing.ts';

const batches = batchesOf(exitLog(3000, { blockBytes: 2048 })).slice(0, 3);
const [a, b, c] = batches;
const mapTo = map<{ readonly exits: number }, number>;
const VALUES: Readonly<Record<string, EventBatch>> = { a, b, c };
const after = (...some: readonly EventBatch[]): number => {
  const fold = new ExitProfileFold({ name: 't' });
  for (const batch of some) fold.fold(batch);
  return fold.report().exits;
};
const scheduler = (): TestScheduler => new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
const exits = (profile: { readonly exits: number }): number => profile.exits;

describe('exitProfile', () => {
  it('answers once, at the end', () => {
    scheduler().run(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b-c--|', VALUES);
      expectObservable(source.pipe(exitProfile({ name: 't' }), mapTo(exits))).toBe('-------(x|)', { x: after(a, b, c) });
      expectSubscriptions(source.subscriptions).toBe('^------!');
    });
  });

  it('answers an empty stream with an empty profile', () => {
    scheduler().run(({ cold, expectObservable }) => {
      expectObservable(cold<EventBatch>('---|').pipe(exitProfile({ name: 't' }), mapTo(exits))).toBe('---(x|)', { x: 0 });
    });
  });

  it('answers live after each batch, or each second one', () => {
    scheduler().run(({ cold, expectObservable }) => {
      expectObservable(cold('a-b-c--|', VALUES).pipe(exitProfileLive({ name: 't' }), mapTo(exits))).toBe('x-y-z--|', { x: after(a), y: after(a, b), z: after(a, b, c) });
      expectObservable(cold('a-b-c--|', VALUES).pipe(exitProfileLive({ name: 't' }, 2), mapTo(exits))).toBe('--y----(z|)', { y: after(a, b), z: after(a, b, c) });
    });
  });

  it('passes errors on, stops when nobody listens, and begins anew for each subscriber', () => {
    scheduler().run(({ cold, expectObservable, expectSubscriptions }) => {
      const failing = cold('a-#', VALUES, new Error('disk'));
      expectObservable(failing.pipe(exitProfile({ name: 't' }))).toBe('--#', undefined, new Error('disk'));
      const source = cold('a-b-c--|', VALUES);
      const live = source.pipe(exitProfileLive({ name: 't' }), mapTo(exits));
      expectObservable(live, '^--!').toBe('x-y', { x: after(a), y: after(a, b) });
      expectObservable(live, '--^').toBe('--x-y-z--|', { x: after(a), y: after(a, b), z: after(a, b, c) });
      expectSubscriptions(source.subscriptions).toBe(['^--!', '--^------!']);
    });
  });

  it('goes on from where an earlier stream stopped', () => {
    let state: ExitProfileState | undefined;
    scheduler().run(({ cold, expectObservable }) => {
      expectObservable(cold('ab|', VALUES).pipe(exitProfile({ name: 't', onState: (each) => (state = each) }), mapTo(exits))).toBe('--(x|)', { x: after(a, b) });
    });
    expect(state).toBeDefined();
    scheduler().run(({ cold, expectObservable }) => {
      expectObservable(cold('c|', VALUES).pipe(exitProfile({ name: 't', from: state }), mapTo(exits))).toBe('-(x|)', { x: after(a, b, c) });
    });
  });
});

