import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PieceSource } from './byte-sources.ts';
import { KIND_DEVICE, KIND_IDLE, KIND_MARK } from '../engine/log/events.ts';
import { MemorySource } from '../engine/log/storage.ts';
import { decodeFold, encodeFold } from './fold-cache.ts';
import { logOfSources } from './log-place.ts';
import { OpenedLog } from './opened-log.ts';
import { RowFilter } from './row-filter.ts';

const bytes = new Uint8Array(readFileSync(new URL('../traces/bug-lost-update.cvlog', import.meta.url)));
const log = new OpenedLog(logOfSources(new MemorySource(bytes), []));
const events = [...log.reader.entries()];

function run<T>(steps: Generator<unknown, T, void>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

it('says every record in words', () => {
  for (let row = 0; row < log.summary.records; row++) {
    const text = log.text(row);
    expect(text.row).toBe(row);
    expect(text.position).toBe(events[row].event.position);
    expect(text.text).not.toBe('');
    expect(text.text).not.toMatch(/undefined|NaN|\[object/);
  }
});

it('finds the record of a position, and the next of a kind', () => {
  for (const position of [0, 1, 5_000_000, log.summary.lastPosition]) expect(log.rowAt(position)).toBe(Math.max(0, events.findLastIndex(({ event }) => event.position <= position)));
  const idle = events.flatMap(({ event }, row) => (event.kind === 'idle' ? [row] : []));
  expect(run(log.beside(idle[3], 1, 1 << KIND_IDLE))).toBe(idle[4]);
  expect(run(log.beside(idle[3], -1, 1 << KIND_IDLE))).toBe(idle[2]);
  expect(run(log.beside(idle[0], -1, 1 << KIND_IDLE))).toBeUndefined();
  expect(run(log.beside(0, 1, 1 << KIND_DEVICE))).toBe(events.findIndex(({ event }, row) => row > 0 && event.kind === 'device'));
});

it('is the same from pieces of it that are read when they are needed', () => {
  let loads = 0;
  const source = new PieceSource(bytes.length, (from, to) => (loads++, bytes.slice(from, to)), 4096, 5);
  const other = new OpenedLog(logOfSources(source, []));
  expect(other.summary).toEqual(log.summary);
  for (const row of [0, 17, 9000, log.summary.records - 1]) expect(other.text(row)).toEqual(log.text(row));
  expect(source.held).toBeLessThanOrEqual(5 * 4096);
  expect(loads).toBeGreaterThan(5);
  expect(() => source.read(bytes.length - 1, 2)).toThrow(RangeError);
  expect(() => new PieceSource(10, () => new Uint8Array(3)).read(0, 4)).toThrow(/gave 3 of 10 bytes/);
});

it('filters by kind and by words, and knows its rows by number', () => {
  const marks = events.flatMap(({ event }, row) => (event.kind === 'mark' ? [{ row, name: event.name }] : []));
  const byKind = new RowFilter(log.reader, 1 << KIND_MARK, '');
  run(byKind.scan());
  expect(Array.from({ length: byKind.shown }, (_, index) => byKind.rowOf(index))).toEqual(marks.map(({ row }) => row));
  expect(byKind.rowOf(byKind.shown)).toBeUndefined();
  marks.forEach(({ row }, index) => {
    expect(byKind.indexOf(row)).toBe(index);
    expect(byKind.indexOf(row + 1)).toBe(index + 1);
  });
  const byWords = new RowFilter(log.reader, 1 << KIND_MARK, 'WORK -syscall -io -fork');
  run(byWords.scan());
  expect(byWords.shown).toBe(1);
  expect(byWords.rowOf(0)).toBe(marks.find(({ name }) => name === 'work cpu')?.row);
});

it('has the console around any record, and once all is read says how much there is', () => {
  const sent = events.flatMap(({ event, index }) => (event.kind === 'device' && event.report.kind === 'uart-tx' ? [{ index, byte: event.report.byte }] : []));
  const fresh = new OpenedLog(logOfSources(new MemorySource(bytes), []));
  const before = run(fresh.consoleAround(fresh.summary.records - 1));
  expect(before).toMatchObject({ first: 0, from: 0 });
  expect([...before.bytes]).toEqual(sent.map(({ byte }) => byte));
  expect([...before.rows]).toEqual(sent.map(({ index }) => index));
  run(fresh.fold());
  for (const row of [0, 4000, fresh.summary.records - 1]) {
    const part = run(fresh.consoleAround(row));
    expect(part.total).toBe(sent.length);
    expect([...part.bytes]).toEqual(sent.map(({ byte }) => byte));
  }
});

it('keeps what the fold told, and takes nothing that is of another log', () => {
  const fresh = new OpenedLog(logOfSources(new MemorySource(bytes), []));
  run(fresh.fold());
  expect(fresh.folded?.marks.map(({ name }) => name)).toContain('work cpu');
  expect(fresh.folded?.rings.shares.every((share) => share >= 0 && share <= 1)).toBe(true);
  const kept = decodeFold(encodeFold(fresh.saveFold()!))!;
  const again = new OpenedLog(logOfSources(new MemorySource(bytes), []));
  expect(again.restoreFold(kept)).toBe(true);
  const query = { from: 0, to: 20_000_000, buckets: 100 };
  expect(again.pyramid.window(query)).toEqual(fresh.pyramid.window(query));
  expect(again.folded).toEqual(fresh.folded);
  expect(again.restoreFold({ ...kept, consoleBytes: new Uint32Array(7) })).toBe(false);
  expect(decodeFold(new Uint8Array(7))).toBeUndefined();
});
