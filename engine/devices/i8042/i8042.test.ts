import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { cutAndContinue, ManualTime, performPortAccess, type PortAccess, type Rig } from '../testing.ts';
import { I8042 } from './i8042.ts';

let log: string[];
let controller: I8042;

function build(present = true): void {
  log = [];
  controller = new I8042({ present, onReset: () => log.push('reset'), onA20: (enabled) => log.push(`a20 ${enabled}`) });
}

function command(value: number, ...data: readonly number[]): void {
  controller.writePort(0x64, 1, value);
  for (const byte of data) controller.writePort(0x60, 1, byte);
}

/** The answer to a command, which must be there. */
function answer(): number {
  expect(controller.readPort(0x64, 1) & 1).toBe(1);
  const byte = controller.readPort(0x60, 1);
  expect(controller.readPort(0x64, 1) & 1).toBe(0);
  return byte;
}

beforeEach(() => build());

describe('i8042', () => {
  test('is never busy and has nothing to say', () => {
    expect(controller.readPort(0x64, 1) & 0x23).toBe(0);
  });

  test('0xfe on port 0x64 resets; other pulses do not', () => {
    command(0xff);
    command(0xfd);
    expect(log).toEqual([]);
    command(0xfe);
    expect(log).toEqual(['reset']);
  });

  test('self-test, interface tests, configuration byte', () => {
    command(0xaa);
    expect(answer()).toBe(0x55);
    expect(controller.readPort(0x64, 1) & 4).toBe(4);
    command(0xab);
    expect(answer()).toBe(0x00);
    command(0xa9);
    expect([0x00, 0xfa, 0xff]).not.toContain(answer());
    command(0x60, 0x47);
    command(0x20);
    expect(answer()).toBe(0x47);
    command(0xad);
    command(0x20);
    expect(answer()).toBe(0x57);
  });

  test('loops bytes back without the mark of an auxiliary device', () => {
    command(0xd3, 0x5a);
    expect(controller.readPort(0x64, 1) & 0x21).toBe(0x01);
    expect(answer()).toBe(0x5a);
  });

  test('the output port: A20 and reset', () => {
    controller.writePort(0x92, 1, 0);
    expect(log).toEqual([]);
    command(0xd1, 0xdd);
    expect(log).toEqual(['a20 false']);
    command(0xd0);
    expect(answer()).toBe(0xdd);
    controller.writePort(0x92, 1, 2);
    expect(controller.readPort(0x92, 1)).toBe(2);
    expect(log).toEqual(['a20 false', 'a20 true']);
    command(0xd1, 0xde);
    expect(log.at(-1)).toBe('reset');
  });

  test('port 0x92 resets on a rising bit 0 only', () => {
    controller.writePort(0x92, 1, 3);
    controller.writePort(0x92, 1, 3);
    expect(log).toEqual(['reset']);
  });

  test('absent: ones, and port 0x92 all the same', () => {
    build(false);
    expect([controller.readPort(0x60, 1), controller.readPort(0x64, 1)]).toEqual([0xff, 0xff]);
    command(0xfe);
    expect(log).toEqual([]);
    controller.writePort(0x92, 1, 3);
    expect(log).toEqual(['reset']);
  });
});

function buildRig(): Rig<PortAccess> {
  const outputs: unknown[] = [];
  const time = new ManualTime();
  const device = new I8042({ onReset: () => outputs.push('reset'), onA20: (enabled) => outputs.push(enabled) });
  return { device, time, perform: (access) => performPortAccess(device, time, access), outputs };
}

const access: fc.Arbitrary<PortAccess> = fc.record({
  port: fc.constantFrom(0x60, 0x64, 0x64, 0x92),
  write: fc.boolean(),
  size: fc.constantFrom(1, 2, 4),
  value: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x20, 0x60, 0xaa, 0xd0, 0xd1, 0xd2, 0xdd)),
  waitNs: fc.constant(0),
});

test('save and restore go unnoticed', () => {
  fc.assert(
    fc.property(fc.array(access, { maxLength: 40 }), fc.array(access, { maxLength: 40 }), (before, after) => {
      const { atCut, original, restored } = cutAndContinue(buildRig, before, after);
      expect(atCut[1]).toEqual(atCut[0]);
      expect(restored).toEqual(original);
    }),
    { numRuns: 300 },
  );
});
