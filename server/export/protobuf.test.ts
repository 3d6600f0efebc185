import { describe, expect, it } from 'vitest';
import { ProtobufWriter } from './protobuf.ts';

const hex = (writer: ProtobufWriter): string => Buffer.from(writer.view()).toString('hex');

describe('protocol buffers', () => {
  it('writes what the documentation of the encoding shows', () => {
    // developers.google.com/protocol-buffers, "Encoding": 150 as field 1; "testing" as field 2; a message with 150 as field 3; 3, 270, 86942 packed as field 6.
    expect(hex(new ProtobufWriter().varint(1, 150))).toBe('089601');
    expect(hex(new ProtobufWriter().string(2, 'testing'))).toBe('120774657374696e67');
    expect(hex(new ProtobufWriter().message(3, new ProtobufWriter().varint(1, 150)))).toBe('1a03089601');
    expect(hex(new ProtobufWriter().packed(6, [3, 270, 86942]))).toBe('3206038e029ea705');
    expect(hex(new ProtobufWriter().varint(1, -2))).toBe('08feffffffffffffffff01');
  });

  it('writes large numbers, large fields and long texts', () => {
    expect(hex(new ProtobufWriter().varint(60, 2 ** 53))).toBe('e0038080808080808010');
    expect(hex(new ProtobufWriter().varint(1, 2n ** 64n - 1n))).toBe('08ffffffffffffffffff01');
    const long = new ProtobufWriter().string(1, 'é'.repeat(1000));
    expect(long.length).toBe(2003);
  });
});
