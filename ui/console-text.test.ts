import { expect, it } from 'vitest';
import { ConsoleText } from './console-text.ts';

function show(text: string): string {
  const console = new ConsoleText();
  for (const byte of new TextEncoder().encode(text)) console.write(byte);
  return console.toString();
}

it('shows lines as a terminal does', () => {
  expect(show('one\r\ntwo')).toBe('one\ntwo');
  expect(show('10%\r20%')).toBe('20%');
  expect(show('abc\b\b!')).toBe('a!c');
  expect(show('a\tb')).toBe('a       b');
});

it('leaves colours out and erases', () => {
  expect(show('\x1b[1;31mred\x1b[0m \x1b]0;title\x07on')).toBe('red on');
  expect(show('old text\r\x1b[Knew')).toBe('new');
  expect(show('before\x1b[2J\x1b[Hafter')).toBe('after');
  expect(show('\x1b(Bx\x1b7y')).toBe('xy');
});

it('puts characters of several bytes together', () => {
  expect(show('naïve ✓')).toBe('naïve ✓');
});

it('drops lines at the top when there are too many', () => {
  const console = new ConsoleText();
  for (let i = 0; i < 10_000; i++) for (const byte of new TextEncoder().encode(`${i}\n`)) console.write(byte);
  expect(console.dropped).toBeGreaterThan(0);
  expect(console.toString().endsWith('9998\n9999\n')).toBe(true);
  expect(console.toString().split('\n').length + console.dropped).toBe(10_001);
});
