import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LogReader } from '../engine/log/reader.ts';
import { MemorySource } from '../engine/log/storage.ts';
import { GuestTerminal } from './terminal.ts';

async function show(text: string | Uint8Array): Promise<string> {
  const terminal = new GuestTerminal();
  await terminal.write(typeof text === 'string' ? new TextEncoder().encode(text) : text);
  return terminal.runs().map((run) => run.text).join('');
}

it('shows what a terminal shows: lines, erasing, places, character sets', async () => {
  expect(await show('one\ntwo')).toBe('one\ntwo');
  expect(await show('10%\r20%')).toBe('20%');
  expect(await show('abc\b\b!')).toBe('a!c');
  expect(await show('old text\r\x1b[Knew')).toBe('new');
  expect(await show('first\r\nsecond\x1b[1;1Hx\x1b[2;8Hy')).toBe('xirst\nsecond y');
  expect(await show('before\x1b[2J\x1b[Hafter')).toBe('after');
  // What a shell's line editor sends: the question where the cursor is stays unanswered, and unseen.
  expect(await show('~ # \x1b[6nls\x1b[J\r\n')).toBe('~ # ls\n');
  expect(await show('naïve ✓')).toBe('naïve ✓');
});

it('joins lines that were only too long for the screen', async () => {
  const line = 'x'.repeat(200);
  expect(await show(`${line}\nend`)).toBe(`${line}\nend`);
});

it('shows where the next character comes', async () => {
  const terminal = new GuestTerminal();
  const cursor = (): string => terminal.runs(true).map(({ text, isCursor }) => (isCursor === true ? `[${text}]` : text)).join('');
  await terminal.write(new TextEncoder().encode('~ # '));
  expect(cursor()).toBe('~ # [ ]');
  await terminal.write(new TextEncoder().encode('abc\b\b'));
  expect(cursor()).toBe('~ # a[b]c');
  await terminal.write(new TextEncoder().encode('\r\n'));
  expect(cursor()).toBe('~ # abc\n[ ]');
  expect(terminal.runs().map(({ text }) => text).join('')).toBe('~ # abc\n');
});

it('knows colours', async () => {
  const terminal = new GuestTerminal();
  await terminal.write(new TextEncoder().encode('a \x1b[1;31mred\x1b[0m b'));
  expect(terminal.runs()).toEqual([
    { text: 'a ', colour: undefined, isBold: false },
    { text: 'red', colour: 1, isBold: true },
    { text: ' b', colour: undefined, isBold: false },
  ]);
});

it('shows the console of a Debian boot without a trace of escape sequences', async () => {
  const reader = LogReader.open(new MemorySource(readFileSync(new URL('../traces/published/debian-lmbench.cvlog', import.meta.url))));
  const bytes = [...reader.events({ kinds: ['device'] })].flatMap((event) => (event.kind === 'device' && event.report.kind === 'uart-tx' ? [event.report.byte] : []));
  const text = await show(Uint8Array.from(bytes));
  expect(text.length).toBeGreaterThan(200);
  expect([...text].filter((each) => each < ' ' && each !== '\n')).toEqual([]);
  expect(text).not.toMatch(/\[\d+[;\d]*[mHJK]/);
});
