import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Frame, PACKET_SIZE, PacketDecoder, checksum, encodePacket, hexToText, textToHex } from './packet.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const binary = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

function decode(text: string, pieces: readonly number[] = []): Frame[] {
  const decoder = new PacketDecoder();
  const frames: Frame[] = [];
  const bytes = bytesOf(text);
  let at = 0;
  for (const length of [...pieces, bytes.length]) {
    frames.push(...decoder.push(bytes.subarray(at, at + length)));
    at += length;
  }
  return frames;
}

it('computes the checksum of the manual', () => {
  // Sums made by hand: 'O' + 'K' = 0x4f + 0x4b
  expect(checksum('OK')).toBe('9a');
  expect(encodePacket('OK')).toBe('$OK#9a');
  expect(encodePacket('')).toBe('$#00');
  expect(encodePacket('a}#$*')).toBe(`$a}]}\x03}\x04}\x0a#${checksum('a}]}\x03}\x04}\x0a')}`);
});

it('brings any data back, in pieces of any size, with anything between', () => {
  fc.assert(
    fc.property(fc.array(binary, { maxLength: 5 }), fc.array(fc.nat(40), { maxLength: 30 }), (packets, pieces) => {
      const frames = decode(packets.map((data) => `+${encodePacket(data)}\x03`).join('noise'), pieces);
      expect(frames).toEqual(packets.flatMap((data) => [{ kind: 'ack' }, { kind: 'packet', data }, { kind: 'interrupt' }]));
    }),
  );
});

it('takes any bytes without failing, and goes on with the next packet', () => {
  fc.assert(
    fc.property(binary, fc.array(fc.nat(40), { maxLength: 30 }), (noise, pieces) => {
      // `#00` ends what the noise began, at worst as a bad packet.
      const frames = decode(`${noise}#00${encodePacket('still here')}`, pieces);
      expect(frames.at(-1)).toEqual({ kind: 'packet', data: 'still here' });
    }),
  );
});

it('finds a bit that flipped in the data', () => {
  fc.assert(
    fc.property(binary.filter((data) => data.length > 0), fc.nat(), fc.nat(7), (data, place, bit) => {
      const wire = bytesOf(encodePacket(data));
      const at = 1 + (place % (wire.length - 4));
      wire[at] ^= 1 << bit;
      const frames = [...new PacketDecoder().push(wire)];
      expect(frames).not.toContainEqual({ kind: 'packet', data });
    }),
  );
});

it('names what is wrong', () => {
  expect(decode('$OK#9b')).toEqual([{ kind: 'bad', reason: 'checksum' }]);
  expect(decode('$OK#zz')).toEqual([{ kind: 'bad', reason: 'checksum' }]);
  expect(decode(`$a}#${checksum('a}')}`)).toEqual([{ kind: 'bad', reason: 'escape' }]);
  expect(decode(`$cut off$OK#9a`)).toEqual([{ kind: 'packet', data: 'OK' }]);
  const longest = 'x'.repeat(PACKET_SIZE);
  expect(decode(encodePacket(longest))).toEqual([{ kind: 'packet', data: longest }]);
  expect(decode(`${encodePacket(`${longest}x`)}${encodePacket('next')}`)).toEqual([{ kind: 'bad', reason: 'size' }, { kind: 'packet', data: 'next' }]);
});

it('turns text into hexadecimal and back', () => {
  fc.assert(fc.property(fc.string(), (text) => {
    expect(hexToText(textToHex(text))).toBe(Buffer.from(text).toString());
  }));
  for (const wrong of ['1', 'zz', '0 ']) expect(hexToText(wrong)).toBeUndefined();
});
