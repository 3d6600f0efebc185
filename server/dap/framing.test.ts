import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Frame, MESSAGE_BYTES_MAX, MessageDecoder, encodeMessage } from './framing.ts';

const decodeAll = (pieces: readonly Uint8Array[]): Frame[] => {
  const decoder = new MessageDecoder();
  return pieces.flatMap((piece) => [...decoder.push(piece)]);
};

it('messages come out as they went in, whatever the pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ seq: fc.integer(), text: fc.string({ unit: 'grapheme' }) }), { maxLength: 5 }), fc.array(fc.nat(200), { maxLength: 20 }), (messages, cuts) => {
      const bytes = Buffer.concat(messages.map(encodeMessage));
      const at = [...new Set([0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length])].sort((a, b) => a - b);
      const pieces = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      expect(decodeAll(pieces)).toEqual(messages.map((value) => ({ kind: 'message', value })));
    }),
  );
});

it('goes on after what is no message', () => {
  const good = encodeMessage({ seq: 1 });
  const frame = (text: string): Buffer => Buffer.from(text, 'latin1');
  const kinds = (...pieces: readonly Uint8Array[]): string[] => decodeAll(pieces).map(({ kind }) => kind);
  expect(kinds(frame('Content-Length: 3\r\n\r\n{{{'), good)).toEqual(['bad', 'message']);
  expect(kinds(frame('Content-Length: 0\r\n\r\n'), good)).toEqual(['bad', 'message']);
  expect(kinds(frame('Content-Type: x\r\n\r\n'), good)).toEqual(['bad', 'message']);
  expect(kinds(frame('Content-Length: -5\r\n\r\n'), good)).toEqual(['bad', 'message']);
  expect(kinds(frame('Content-Type: x\r\nContent-Length: 8\r\n\r\n{"a": 1}'), good)).toEqual(['message', 'message']);
  expect(kinds(frame(`GET / HTTP/1.1\r\nHost: localhost\r\n\r\n`), good)).toEqual(['bad', 'message']);
  const long = MESSAGE_BYTES_MAX + 1;
  expect(kinds(frame(`Content-Length: ${long}\r\n\r\n`), Buffer.alloc(long, 0x20), good)).toEqual(['bad', 'message']);
});

it('keeps no more than a header of noise', () => {
  const decoder = new MessageDecoder();
  const noise = Buffer.alloc(1000, 0x41);
  const frames = Array.from({ length: 100 }, () => [...decoder.push(noise)]).flat();
  expect(frames.length).toBeGreaterThan(10);
  expect(frames.every(({ kind }) => kind === 'bad')).toBe(true);
});

it('takes any bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constantFrom('Content-Length: ', '\r\n\r\n', '12', '{}').map((text) => Buffer.from(text))), { maxLength: 30 }), (pieces) => {
      decodeAll(pieces);
    }),
  );
});
