import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AcpiPm } from './acpi-pm.ts';

function setUp() {
  const calls: string[] = [];
  const device = new AcpiPm({ onPowerOff: () => calls.push('off'), onReset: () => calls.push('reset') });
  return { calls, device };
}

test('S5 with SLP_EN powers off, and nothing else does', () => {
  const { calls, device } = setUp();
  for (const value of [5 << 2, (4 << 2) | 0x20, 0x20]) device.writePort(0x600, 1, value);
  expect(calls).toEqual([]);
  device.writePort(0x600, 1, (5 << 2) | 0x20);
  expect(calls).toEqual(['off']);
  expect(device.readPort(0x600, 1)).toBe(5 << 2);
  expect(device.readPort(0x601, 1)).toBe(0);
  device.reset();
  expect(device.readPort(0x600, 2)).toBe(0xff00);
});

test('only the reset value resets', () => {
  const { calls, device } = setUp();
  device.writePort(0x602, 1, 0x06);
  expect(calls).toEqual([]);
  device.writePort(0x602, 1, 0x42);
  expect(calls).toEqual(['reset']);
  expect(device.readPort(0x602, 4)).toBe(0xffffffff);
});

test('restore() is the inverse of save()', () => {
  const write = fc.tuple(fc.integer({ min: 0x600, max: 0x602 }), fc.nat(0xff));
  fc.assert(
    fc.property(fc.array(write), fc.array(write), (before, after) => {
      const first = setUp();
      const second = setUp();
      for (const [port, value] of before) first.device.writePort(port, 1, value);
      second.device.restore(first.device.save());
      expect(second.device.save()).toEqual(first.device.save());
      first.calls.length = 0;
      for (const { device } of [first, second]) for (const [port, value] of after) device.writePort(port, 1, value);
      expect(second.calls).toEqual(first.calls);
      expect(second.device.save()).toEqual(first.device.save());
    }),
  );
});
