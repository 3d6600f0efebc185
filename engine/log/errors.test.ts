import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LOG_ERRORS, LogError } from './errors.ts';
import { SHAPES } from './shapes.ts';

const FORMAT = readFileSync(new URL('FORMAT.md', import.meta.url), 'utf8');

test('the table of errors is the one in FORMAT.md', () => {
  const documented = [...FORMAT.matchAll(/^\| `(LOG_\w+)` \| (\d+) \|/gm)].map(([, code, status]) => [code, Number(status)]);
  expect(documented).toEqual(Object.entries(LOG_ERRORS).map(([code, row]) => [code, row.status]));
  expect(new Set(documented.map(([, status]) => status)).size).toBe(documented.length);
});

test('the shapes are those in FORMAT.md', () => {
  expect([...FORMAT.matchAll(/^\| 0x([0-9a-f]{2}) \|/gm)].map(([, code]) => Number.parseInt(code, 16))).toEqual(SHAPES);
});

test('a message says what, where and what to do', () => {
  expect(new LogError('LOG_TORN', 12, 3, '3 bytes of a block header').message).toBe('the file ends inside a block (byte 12: 3 bytes of a block header); `check --repair` keeps what comes before');
});
