import { expect, it } from 'vitest';
import { type Route, formatRoute, parseRoute } from './router.ts';

it('reads back what it writes', () => {
  const routes: readonly Route[] = [
    { kind: 'start' },
    { kind: 'record' },
    { kind: 'record', run: '17' },
    { kind: 'run', place: 'server', id: 'traces:a run/with #?', at: 0 },
    { kind: 'run', place: 'local', id: 'x', at: undefined },
    { kind: 'run', place: 'local', id: 'x', at: 7, view: { window: { from: 3, to: 90 }, panel: 'devices', filter: '#PF -idle & 0x3f8', kinds: 6 } },
    { kind: 'analysis', page: 'bisect', place: 'server', id: 'traces:a/b', query: { question: 'when', text: 'u32(jobs_done) > 5 && cpl == 3' } },
    { kind: 'analysis', page: 'branches', place: 'local', id: 'x', query: {} },
  ];
  for (const route of routes) expect(parseRoute(formatRoute(route))).toEqual(route);
});

it('goes to the start page for what it does not know', () => {
  for (const hash of ['', '#', '#/', '#/nothing', '#/recording/', '#/recording/%ff']) expect(parseRoute(hash), hash).toEqual({ kind: 'start' });
  expect(parseRoute('#/recording/a?at=-5')).toEqual({ kind: 'run', place: 'server', id: 'a', at: undefined });
});
