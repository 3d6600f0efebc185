import { describe, expect, test } from 'vitest';
import { eisaId, integer, name, packageOf, string } from './acpi-aml.ts';
import { buildAcpiTables, type AcpiOptions, type AcpiTable } from './acpi.ts';

const virtio = [5, 6, 9].map((gsi, i) => ({ mmioBase: 0xd000_0000 + i * 0x1000, mmioLength: 0x1000, gsi }));

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
}

function find(tables: readonly AcpiTable[], signature: string): { readonly table: AcpiTable; readonly view: DataView } {
  const table = tables.find((candidate) => candidate.signature === signature);
  if (table === undefined) throw new Error(`no ${signature}`);
  return { table, view: new DataView(table.bytes.buffer, table.bytes.byteOffset, table.bytes.length) };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder('latin1').decode(bytes);
}

/** A decoder of the AML that we emit, written from the grammar in ACPI 6.5, 20.2, not from the encoder. */
type Term =
  | { readonly kind: 'scope' | 'device'; readonly name: string; readonly terms: readonly Term[] }
  | { readonly kind: 'name'; readonly name: string; readonly value: unknown };

function decodeTerms(bytes: Uint8Array): Term[] {
  let at = 0;
  const packageEnd = (): number => {
    const start = at;
    const lead = bytes[at++];
    const extra = lead >> 6;
    let length = extra === 0 ? lead & 0x3f : lead & 0x0f;
    for (let i = 0; i < extra; i++) length += bytes[at++] * 2 ** (4 + 8 * i);
    return start + length;
  };
  const nameString = (): string => {
    let result = '';
    if (bytes[at] === 0x5c) result += String.fromCharCode(bytes[at++]);
    if (bytes[at] === 0) {
      at++;
      return result;
    }
    result += text(bytes.subarray(at, at + 4));
    at += 4;
    return result;
  };
  const value = (): unknown => {
    const op = bytes[at++];
    const number = (count: number) => {
      let result = 0;
      for (let i = 0; i < count; i++) result += bytes[at++] * 256 ** i;
      return result;
    };
    switch (op) {
      case 0x00: return 0;
      case 0x01: return 1;
      case 0x0a: return number(1);
      case 0x0b: return number(2);
      case 0x0c: return number(4);
      case 0x0d: {
        const end = bytes.indexOf(0, at);
        const result = text(bytes.subarray(at, end));
        at = end + 1;
        return result;
      }
      case 0x11: {
        const end = packageEnd();
        const size = value();
        const result = bytes.slice(at, end);
        expect(result.length).toBe(size);
        at = end;
        return decodeResources(result);
      }
      case 0x12: {
        const end = packageEnd();
        const elements = Array.from({ length: bytes[at++] }, value);
        expect(at).toBe(end);
        return elements;
      }
      default: throw new Error(`opcode 0x${op.toString(16)} at ${at - 1}`);
    }
  };
  const termsUntil = (end: number): Term[] => {
    const terms: Term[] = [];
    while (at < end) {
      const op = bytes[at++];
      if (op === 0x08) {
        terms.push({ kind: 'name', name: nameString(), value: value() });
      } else {
        if (op === 0x5b) expect(bytes[at++]).toBe(0x82);
        else expect(op).toBe(0x10);
        const inner = packageEnd();
        terms.push({ kind: op === 0x10 ? 'scope' : 'device', name: nameString(), terms: termsUntil(inner) });
      }
    }
    expect(at).toBe(end);
    return terms;
  };
  return termsUntil(bytes.length);
}

function decodeResources(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const result: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at];
    if (tag === 0x79) {
      expect(at).toBe(bytes.length - 2);
      return result;
    }
    const large = (tag & 0x80) !== 0;
    const length = large ? view.getUint16(at + 1, true) : tag & 7;
    const body = at + (large ? 3 : 1);
    switch (large ? tag : tag >> 3) {
      case 0x04: result.push(`irq ${Math.log2(view.getUint16(body, true))}`); break;
      case 0x08:
        expect(view.getUint16(body + 1, true)).toBe(view.getUint16(body + 3, true));
        result.push(`io 0x${view.getUint16(body + 1, true).toString(16)} ${bytes[body + 6]}`);
        break;
      case 0x86: result.push(`memory 0x${view.getUint32(body + 1, true).toString(16)} ${view.getUint32(body + 5, true)}`); break;
      case 0x89: result.push(`interrupt flags ${bytes[body]} count ${bytes[body + 1]}: ${view.getUint32(body + 2, true)}`); break;
      default: throw new Error(`resource tag 0x${tag.toString(16)}`);
    }
    at = body + length;
  }
  throw new Error('no end tag');
}

describe('ACPI tables', () => {
  const variants: [string, AcpiOptions][] = [
    ['a full machine', { virtio }], ['no devices', { uart: false, rtc: false }],
    ['many windows', { virtio: Array.from({ length: 32 }, (_, i) => ({ mmioBase: 0xd000_0000 + i * 0x1000, mmioLength: 0x200, gsi: i % 24 })) }],
    ['another place', { virtio, address: 0xf0000 }],
  ];
  test.each(variants)('are linked, checksummed, aligned and apart: %s', (_name, options) => {
    const { rsdpAddress, tables } = buildAcpiTables(options);
    const { table: rsdp, view } = find(tables, 'RSD PTR ');
    expect(rsdp.address).toBe(rsdpAddress);
    expect(text(rsdp.bytes.subarray(0, 8))).toBe('RSD PTR ');
    expect(sum(rsdp.bytes.subarray(0, 20))).toBe(0);
    expect(sum(rsdp.bytes)).toBe(0);
    expect([rsdp.bytes[15], view.getUint32(20, true), rsdp.bytes.length]).toEqual([2, 36, 36]);
    const at = (address: number) => tables.find((table) => table.address === address);
    const xsdt = at(Number(view.getBigUint64(24, true)));
    expect(xsdt?.signature).toBe('XSDT');
    const entries = find(tables, 'XSDT');
    const linked = Array.from({ length: (entries.table.bytes.length - 36) / 8 }, (_, i) => at(Number(entries.view.getBigUint64(36 + 8 * i, true)))?.signature);
    expect(linked).toEqual(['FACP', 'APIC']);
    const fadt = find(tables, 'FACP');
    expect(at(fadt.view.getUint32(40, true))?.signature).toBe('DSDT');
    expect(at(Number(fadt.view.getBigUint64(140, true)))?.signature).toBe('DSDT');
    for (const { signature, bytes } of tables.slice(1)) {
      expect(text(bytes.subarray(0, 4))).toBe(signature);
      expect(new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true)).toBe(bytes.length);
      expect(sum(bytes)).toBe(0);
    }
    const ordered = [...tables].sort((a, b) => a.address - b.address);
    ordered.forEach(({ address, bytes }, i) => {
      expect(address % 16).toBe(0);
      expect(address).toBeGreaterThanOrEqual(0xe0000);
      expect(address + bytes.length).toBeLessThanOrEqual(ordered[i + 1]?.address ?? 0x100000);
    });
  });

  test('FADT: hardware-reduced, with sleep and reset registers at ports', () => {
    const { table: { bytes }, view } = find(buildAcpiTables({ virtio }).tables, 'FACP');
    expect([bytes.length, bytes[8], bytes[131]]).toEqual([276, 6, 5]);
    const flags = view.getUint32(112, true);
    expect((flags >>> 20) & 1).toBe(1);
    expect((flags >>> 10) & 1).toBe(1);
    const address = (offset: number) => [...bytes.subarray(offset, offset + 4), Number(view.getBigUint64(offset + 4, true))];
    expect(address(244)).toEqual([1, 8, 0, 1, 0x600]);
    expect(address(256)).toEqual([1, 8, 0, 1, 0x601]);
    expect(address(116)).toEqual([1, 8, 0, 1, 0x602]);
    expect(bytes[128]).toBe(0x42);
    // What a hardware-reduced machine must not have (table 5.9): SCI, SMI, and all fixed blocks.
    expect(bytes.subarray(46, 108).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(148, 244).every((byte) => byte === 0)).toBe(true);
  });

  test('boot architecture flags follow the machine', () => {
    const flags = (options: AcpiOptions) => find(buildAcpiTables(options).tables, 'FACP').view.getUint16(109, true);
    expect(flags({})).toBe(0b001101);
    expect(flags({ i8042: true })).toBe(0b001111);
    expect(flags({ rtc: false, uart: false })).toBe(0b101100);
  });

  test('MADT: one processor, one IOAPIC, the PIT at input 2, NMI at LINT1', () => {
    const { table: { bytes }, view } = find(buildAcpiTables({ ioapicId: 3 }).tables, 'APIC');
    expect([view.getUint32(36, true), view.getUint32(40, true)]).toEqual([0xfee0_0000, 1]);
    const entries: number[][] = [];
    for (let at = 44; at < bytes.length; at += bytes[at + 1]) entries.push([...bytes.subarray(at, at + bytes[at + 1])]);
    expect(entries).toEqual([
      [0, 8, 0, 0, 1, 0, 0, 0],
      [1, 12, 3, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
      [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
      [4, 6, 0xff, 0, 0, 1],
    ]);
  });

  test('DSDT: devices with identifiers and resources, and S5', () => {
    const { table: { bytes } } = find(buildAcpiTables({ virtio }).tables, 'DSDT');
    const named = (entries: Record<string, unknown>): Term[] => Object.entries(entries).map(([key, value]) => ({ kind: 'name', name: key, value }));
    expect(decodeTerms(bytes.subarray(36))).toEqual([
      {
        kind: 'scope', name: '_SB_', terms: [
          { kind: 'device', name: 'COM1', terms: named({ _HID: 0x0105_d041, _UID: 0, _CRS: ['io 0x3f8 8', 'irq 4'] }) },
          { kind: 'device', name: 'RTC_', terms: named({ _HID: 0x000b_d041, _CRS: ['io 0x70 2', 'irq 8'] }) },
          ...virtio.map(({ mmioBase, gsi }, i) => ({
            kind: 'device', name: `VR0${i}`, terms: named({
              _HID: 'LNRO0005', _UID: i, _CCA: 1,
              _CRS: [`memory 0x${mmioBase.toString(16)} 4096`, `interrupt flags 1 count 1: ${gsi}`],
            }),
          })),
        ],
      },
      { kind: 'scope', name: '\\', terms: named({ _S5_: [5, 0, 0, 0] }) },
    ]);
  });

  test('what does not fit is refused', () => {
    const windows = (count: number) => Array.from({ length: count }, () => virtio[0]);
    expect(() => buildAcpiTables({ virtio: windows(257) })).toThrow(RangeError);
    expect(() => buildAcpiTables({ virtio: windows(256), address: 0xffc00 })).toThrow(/leave/);
    expect(() => buildAcpiTables({ address: 0xe0008 })).toThrow(/multiple of 16/);
  });
});

describe('AML encoder', () => {
  test('integers take their shortest form', () => {
    expect([0, 1, 2, 0xff, 0x100, 0x1_0000].map((value) => [...integer(value)])).toEqual([
      [0], [1], [0x0a, 2], [0x0a, 0xff], [0x0b, 0, 1], [0x0c, 0, 0, 1, 0],
    ]);
    expect(() => integer(2 ** 32)).toThrow(RangeError);
    expect(() => integer(-1)).toThrow(RangeError);
  });

  test('identifiers and names are checked', () => {
    expect([...eisaId('PNP0501')]).toEqual([0x0c, 0x41, 0xd0, 0x05, 0x01]);
    expect(() => eisaId('pnp0501')).toThrow(RangeError);
    expect(() => name('_TOOLONG', integer(0))).toThrow(RangeError);
    expect(() => string('\u00e9')).toThrow(RangeError);
  });

  test('package lengths of one, two and three bytes decode to what they enclose', () => {
    for (const count of [1, 55, 61, 62, 100, 2000, 4090, 5000]) {
      const terms = decodeTerms(name('_XYZ', packageOf(string('x'.repeat(count)))));
      expect(terms).toEqual([{ kind: 'name', name: '_XYZ', value: ['x'.repeat(count)] }]);
    }
  });
});
