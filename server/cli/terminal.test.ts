import { describe, expect, it } from 'vitest';
import { EscapeFilter } from './terminal.ts';

function typed(...pieces: string[]): string[] {
  const story: string[] = [];
  const filter = new EscapeFilter({
    quit: () => story.push('quit'),
    status: () => story.push('status'),
    help: () => story.push('help'),
    input: (bytes) => story.push(`input ${JSON.stringify(Buffer.from(bytes).toString('latin1'))}`),
  });
  for (const piece of pieces) filter.push(Buffer.from(piece, 'latin1'));
  return story;
}

describe('the escape key', () => {
  it('lets everything else through, Ctrl-C too', () => {
    expect(typed('ls\r', '\x03\xff')).toEqual(['input "ls\\r"', 'input "\\u0003ÿ"']);
  });

  it('has commands, also across reads', () => {
    expect(typed('a\x01', 'h', '\x01s\x01S')).toEqual(['input "a"', 'help', 'status', 'status']);
    expect(typed('\x01a\x01\x01b')).toEqual(['input "\\u0001\\u0001b"']);
    expect(typed('ab\x01xcd')).toEqual(['input "ab"', 'quit']);
    expect(typed('\x01z')).toEqual(['input "z"']);
  });
});
