import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { cutAndContinue, ManualTime, type Rig } from '../testing.ts';
import { Ioapic } from './ioapic.ts';

let messages: unknown[];
let ioapic: Ioapic;

function write(register: number, value: number): void {
  ioapic.writeMmio(0x00, 4, register);
  ioapic.writeMmio(0x10, 4, value);
}

function read(register: number): number {
  ioapic.writeMmio(0x00, 4, register);
  return ioapic.readMmio(0x10, 4);
}

function entry(pin: number, low: number, high = 0): void {
  write(0x11 + 2 * pin, high);
  write(0x10 + 2 * pin, low);
}

beforeEach(() => {
  messages = [];
  ioapic = new Ioapic({ deliver: (...message) => messages.push(message), id: 2 });
});

describe('I/O APIC', () => {
  test('identifies itself; all pins are masked', () => {
    expect(read(0)).toBe(0x02000000);
    expect(read(1)).toBe(0x00170020);
    expect(read(2)).toBe(0x02000000);
    expect(read(0x10)).toBe(0x10000);
    write(0, 0xff000000);
    expect(read(0)).toBe(0x0f000000);
    expect(read(0x40)).toBe(0xffffffff);
  });

  test('an edge sends one message; masked, it is lost', () => {
    entry(4, 0x10034);
    ioapic.line(4).set(true);
    entry(4, 0x34, 0x05000000);
    expect(messages).toEqual([]);
    ioapic.line(4).set(false);
    ioapic.line(4).set(true);
    ioapic.line(4).set(true);
    expect(messages).toEqual([[0x34, false, 0, 5, false]]);
  });

  test('a level sends again after the EOI while it lasts', () => {
    entry(16, 0xa951, 0x01000000); // level, low active, logical, lowest priority
    ioapic.line(16).set(true);
    expect(messages).toEqual([[0x51, true, 1, 1, true]]);
    expect(read(0x30)).toBe(0xe951);
    ioapic.endOfInterrupt(0x50);
    expect(messages.length).toBe(1);
    ioapic.endOfInterrupt(0x51);
    expect(messages.length).toBe(2);
    ioapic.line(16).set(false);
    ioapic.endOfInterrupt(0x51);
    expect(messages.length).toBe(2);
    expect(read(0x30)).toBe(0xa951);
  });

  test('a level that was masked is sent when it is unmasked', () => {
    entry(9, 0x18039);
    ioapic.line(9).set(true);
    entry(9, 0x8039);
    expect(messages.length).toBe(1);
  });

  test('the EOI register ends as a broadcast does; edge mode clears remote IRR', () => {
    entry(9, 0x8039);
    ioapic.line(9).set(true);
    ioapic.writeMmio(0x40, 4, 0x39);
    expect(messages.length).toBe(2);
    entry(9, 0x10039);
    expect(read(0x22)).toBe(0x10039);
    entry(9, 0x8039);
    expect(messages.length).toBe(3);
  });

  test('ExtINT on pin 0', () => {
    const changes: boolean[] = [];
    ioapic = new Ioapic({ deliver: (...message) => messages.push(message), onExtIntChange: (accepts) => changes.push(accepts) });
    entry(0, 0x700);
    expect(ioapic.acceptsExtInt).toBe(true);
    ioapic.line(0).set(true);
    expect(messages).toEqual([[0, false, 7, 0, false]]);
    ioapic.reset();
    expect(changes).toEqual([true, false]);
  });
});

type Operation = { readonly offset: number; readonly value: number } | { readonly pin: number; readonly asserted: boolean } | { readonly eoi: number } | 'read';

function buildRig(): Rig<Operation> {
  const outputs: unknown[] = [];
  const device = new Ioapic({ deliver: (...message) => outputs.push(message), onExtIntChange: (accepts) => outputs.push(accepts) });
  const perform = (operation: Operation): unknown => {
    if (operation === 'read') return device.readMmio(0x10, 4);
    if ('offset' in operation) return device.writeMmio(operation.offset, 4, operation.value);
    if ('eoi' in operation) return device.endOfInterrupt(operation.eoi);
    return device.line(operation.pin).set(operation.asserted);
  };
  return { device, time: new ManualTime(), perform, outputs };
}

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ offset: fc.constant(0), value: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0x10, max: 0x14 })) }),
  fc.record({ offset: fc.constantFrom(0x10, 0x10, 0x40), value: fc.constantFrom(0x8030, 0x18030, 0x30, 0x10030, 0x700, 0x8731, 0xffffffff) }),
  fc.record({ pin: fc.integer({ min: 0, max: 3 }), asserted: fc.boolean() }),
  fc.record({ eoi: fc.constantFrom(0x30, 0x31) }),
  fc.constant('read' as const),
);

test('save and restore go unnoticed', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), fc.array(operation, { maxLength: 60 }), (before, after) => {
      const { atCut, original, restored } = cutAndContinue(buildRig, before, after);
      expect(atCut[1]).toEqual(atCut[0]);
      expect(restored).toEqual(original);
    }),
    { numRuns: 300 },
  );
});
