import { describe, expect, test } from 'vitest';
import { DebugExit } from './debug-exit.ts';

describe('debug exit', () => {
  test('a write ends the run with its value', () => {
    const values: number[] = [];
    const device = new DebugExit({ onExit: (value) => values.push(value) });
    device.writePort(0xf4, 1, 0x21);
    device.writePort(0xf4, 4, 0x12345678);
    expect(values).toEqual([0x21, 0x12345678]);
    expect(device.readPort(0xf4, 1)).toBe(0);
  });

  test('the debug console', () => {
    const bytes: number[] = [];
    const device = new DebugExit({ onExit: () => {}, console: (byte) => bytes.push(byte) });
    device.writePort(0xe9, 1, 0x41);
    device.writePort(0xe9, 2, 0x4342);
    expect(bytes).toEqual([0x41, 0x42]);
    expect(device.readPort(0xe9, 1)).toBe(0xe9);
  });

  test('POST codes go nowhere', () => {
    const device = new DebugExit({
      onExit: () => {
        throw new Error('no exit');
      },
    });
    device.writePort(0x80, 1, 0x55);
    expect(device.readPort(0x80, 1)).toBe(0xff);
  });

  test('there is nothing to save', () => {
    const device = new DebugExit({ onExit: () => {} });
    device.restore(device.save());
    expect(device.save()).toEqual({});
    expect(() => device.restore({ other: 1 })).toThrow();
  });
});
