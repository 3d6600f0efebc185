import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { KIND_MARK } from '../engine/log/events.ts';
import { OpenedLog, textFilter } from './opened-log.ts';

const log = new OpenedLog(readFileSync(new URL('../traces/bug-lost-update.cvlog', import.meta.url)));

it('has a column entry for every record', () => {
  let next = 0;
  let console = '';
  for (const { first, positions, kinds, consoleRows, consoleBytes } of log.columns()) {
    expect(first).toBe(next);
    expect(kinds.length).toBe(positions.length);
    expect(consoleRows.length).toBe(consoleBytes.length);
    next += positions.length;
    console += new TextDecoder().decode(consoleBytes);
  }
  expect(next).toBe(log.summary.records);
  expect(console).toContain('lab kernel ready');
});

it('says every record in words', () => {
  for (let row = 0; row < log.summary.records; row++) {
    const text = log.text(row);
    expect(text.row).toBe(row);
    expect(text.text).not.toBe('');
    expect(text.text).not.toMatch(/undefined|NaN|\[object/);
  }
});

it('finds by kind and by words', () => {
  const marks = log.marks();
  const rows = [...log.reader.eventBlocks.keys()].flatMap((block) => [...log.matches(block, 1 << KIND_MARK, textFilter(''))]);
  expect(rows).toEqual(marks.map(({ row }) => row));
  const only = [...log.reader.eventBlocks.keys()].flatMap((block) => [...log.matches(block, 1 << KIND_MARK, textFilter('WORK -syscall -io -fork'))]);
  expect(only).toEqual([marks.find(({ name }) => name === 'work cpu')?.row]);
});
