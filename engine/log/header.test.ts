import { expect, test } from 'vitest';
import { textOf, viewOf } from './bytes.ts';
import { canonicalJson } from './canonical-json.ts';
import { crc32c } from './crc32c.ts';
import { HEADER_FIXED_BYTES, encodeHeader, parseHeader } from './header.ts';
import type { LogHeader } from './header.ts';
import { position } from './position.ts';
import { MemorySource } from './storage.ts';
import { openLog, testHeader, writeLog } from './testing.ts';

const FULL: LogHeader = testHeader({
  quirks: ['pit-gate-late'],
  images: [{ name: 'kernel', sha256: 'ab'.repeat(32), bytes: 12 }],
  parent: { logId: 'other', position: position(77) },
});

test('a header comes back, and is the same bytes whatever the order of its fields', () => {
  const bytes = encodeHeader(FULL);
  expect(parseHeader(new MemorySource(bytes))).toEqual({ header: FULL, major: 1, minor: 3, endOffset: bytes.length });
  const backwards = Object.fromEntries(Object.entries(FULL).reverse()) as unknown as LogHeader;
  expect(encodeHeader(backwards)).toEqual(bytes);
  expect(textOf(bytes.subarray(HEADER_FIXED_BYTES, HEADER_FIXED_BYTES + 20))).toBe('{"blockBytes":65536,');
});

test('canonical JSON', () => {
  expect(canonicalJson({ b: [1, true, 'é"'], a: { y: 1, x: undefined, Z: 2 } })).toBe('{"a":{"Z":2,"y":1},"b":[1,true,"é\\""]}');
  expect(() => canonicalJson(0.5)).toThrow();
});

/** Changes the fixed part and puts the right CRC on it. */
function sealed(change: (view: DataView) => void): Uint8Array {
  const bytes = writeLog((writer) => writer.idle(position(1), 2));
  const view = viewOf(bytes);
  change(view);
  const end = HEADER_FIXED_BYTES + view.getUint32(12, true);
  view.setUint32(16, crc32c(bytes, HEADER_FIXED_BYTES, end, crc32c(bytes, 0, 16)), true);
  return bytes;
}

test('a newer major version has an error of its own, a newer minor version is read', () => {
  expect(() => openLog(sealed((view) => view.setUint16(8, 2, true)))).toThrow(expect.objectContaining({ code: 'LOG_NEWER_VERSION', status: 41 }));
  const reader = openLog(sealed((view) => view.setUint16(10, 7, true)));
  expect(reader.version).toEqual({ major: 1, minor: 7 });
  expect([...reader.events()].length).toBe(1);
});

test('what is not a log, or none yet', () => {
  for (const [bytes, code] of [
    [Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0), 'LOG_NOT_A_LOG'],
    [new Uint8Array(0), 'LOG_HEADER_DAMAGED'],
    [encodeHeader(FULL).subarray(0, 5), 'LOG_HEADER_DAMAGED'],
    [encodeHeader(FULL).subarray(0, 100), 'LOG_HEADER_DAMAGED'],
  ] as const) {
    expect(() => openLog(bytes)).toThrow(expect.objectContaining({ code }));
  }
});

test('fields that are wrong are named', () => {
  expect(() => encodeHeader(testHeader({ blockBytes: 100 }))).toThrow(/blockBytes/);
  expect(() => encodeHeader(testHeader({ wallClockNs: '-1' }))).toThrow(/wallClockNs/);
  expect(() => encodeHeader(testHeader({ images: [{ name: 'x', sha256: 'short', bytes: 1 }] }))).toThrow(/images/);
});
