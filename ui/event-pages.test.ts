import { expect, it } from 'vitest';
import type { EventText, LogEnd } from '../engine/protocol/events.ts';
import { EVENTS_MAX, EventPages, PAGE_ROWS } from './event-pages.ts';

const text = (row: number): EventText => ({ row, position: row * 10, timeNs: 0, kind: 2, text: `event ${row}`, rip: undefined });

function pagesOf(total: () => number): { pages: EventPages; asked: number[] } {
  const asked: number[] = [];
  const once = (request: { readonly kind: string; readonly first?: number; readonly count?: number }): Promise<LogEnd> => {
    const { first = 0, count = 0 } = request;
    asked.push(first);
    const texts = Array.from({ length: Math.max(0, Math.min(count, total() - first)) }, (_, i) => text(first + i));
    return Promise.resolve({ kind: 'rows', id: 1, first, texts });
  };
  const pages = new EventPages({ once } as never, () => undefined, (error) => { throw error; }); // prettier-ignore
  return { pages, asked };
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

it('holds what was shown last, and never more than its bound', async () => {
  const { pages } = pagesOf(() => 1e8);
  for (let first = 0; first < 3 * EVENTS_MAX; first += PAGE_ROWS) {
    pages.need(first, first + 40);
    await settle();
    expect(pages.held).toBeLessThanOrEqual(EVENTS_MAX);
    expect(pages.at(first + 39)?.row).toBe(first + 39);
  }
  expect(pages.at(0)).toBeUndefined();
});

it('asks once for what is on its way, and again for an end that has grown', async () => {
  let total = 70;
  const { pages, asked } = pagesOf(() => total);
  pages.need(0, 70);
  pages.need(0, 70);
  await settle();
  expect(asked).toEqual([0, 64]);
  pages.need(0, 70);
  expect(asked).toHaveLength(2);
  total = 100;
  pages.need(0, 100);
  await settle();
  expect(asked).toEqual([0, 64, 64]);
  expect(pages.at(99)?.row).toBe(99);
  pages.forget();
  expect(pages.held).toBe(0);
});
