import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { cutAndContinue, loggedLine, ManualTime, performPortAccess, type PortAccess, RecordingLine, type Rig } from '../testing.ts';
import { Rtc } from './rtc.ts';

const SECOND = 1_000_000_000;
/** 2024-02-28 23:59:58.25 UTC, a Wednesday. */
const WALL_NS = BigInt(Date.UTC(2024, 1, 28, 23, 59, 58, 250)) * 1_000_000n;

let time: ManualTime;
let irq: RecordingLine;
let rtc: Rtc;

function read(index: number): number {
  rtc.writePort(0x70, 1, index);
  return rtc.readPort(0x71, 1);
}

function write(index: number, value: number): void {
  rtc.writePort(0x70, 1, index | 0x80); // the NMI mask bit is not part of the index
  rtc.writePort(0x71, 1, value);
}

/** century year month day hour minute second, weekday */
function clock(): string {
  return [0x32, 0x09, 0x08, 0x07, 0x04, 0x02, 0x00, 0x06].map((index) => read(index).toString(16).padStart(2, '0')).join(' ');
}

function build(wallClockNs = WALL_NS, memoryBytes = 256 * 2 ** 20): void {
  time = new ManualTime();
  irq = new RecordingLine(time);
  rtc = new Rtc({ timers: time, irq, wallClockNs, memoryBytes });
}

beforeEach(() => build());

describe('MC146818', () => {
  test('tells the wall clock plus virtual time, over a leap day', () => {
    expect(clock()).toBe('20 24 02 28 23 59 58 04');
    time.advance(0.75 * SECOND);
    expect(clock()).toBe('20 24 02 28 23 59 59 04');
    time.advance(1.75 * SECOND);
    expect(clock()).toBe('20 24 02 29 00 00 00 05');
    time.advance((1.75 + 86400) * SECOND);
    expect(clock()).toBe('20 24 03 01 00 00 00 06');
  });

  test('binary mode, 12-hour mode', () => {
    write(0x0b, 0x06);
    expect(clock()).toBe('14 18 02 1c 17 3b 3a 04');
    write(0x0b, 0x00);
    expect(read(0x04)).toBe(0x91);
    time.advance(2 * SECOND);
    expect(read(0x04)).toBe(0x12);
  });

  test('agrees with the calendar of the host', () => {
    fc.assert(
      fc.property(fc.integer({ min: -60_000_000_000, max: 200_000_000_000 }), (second) => {
        build(BigInt(second) * 1_000_000_000n);
        const date = new Date(second * 1000);
        write(0x0b, 0x06);
        expect([0x32, 0x09, 0x08, 0x07, 0x04, 0x02, 0x00, 0x06].map(read)).toEqual([
          Math.floor(date.getUTCFullYear() / 100),
          date.getUTCFullYear() % 100,
          date.getUTCMonth() + 1,
          date.getUTCDate(),
          date.getUTCHours(),
          date.getUTCMinutes(),
          date.getUTCSeconds(),
          date.getUTCDay() + 1,
        ]);
      }),
    );
  });

  test('update in progress for the last 244 us of a second', () => {
    expect(read(0x0a)).toBe(0x26);
    time.advance(0.75 * SECOND - 244_001);
    expect(read(0x0a)).toBe(0x26);
    time.advance(0.75 * SECOND - 244_000);
    expect(read(0x0a)).toBe(0xa6);
    time.advance(0.75 * SECOND);
    expect(read(0x0a)).toBe(0x26);
  });

  test('mc146818_set_time of Linux: the first update is half a second after the divider starts', () => {
    const control = read(0x0b);
    const select = read(0x0a);
    write(0x0b, control | 0x80);
    write(0x0a, select | 0x70);
    for (const [index, value] of [
      [0x09, 0x99],
      [0x08, 0x12],
      [0x07, 0x31],
      [0x04, 0x23],
      [0x02, 0x59],
      [0x00, 0x59],
      [0x32, 0x19],
    ]) {
      write(index, value);
    }
    time.advance(7 * SECOND);
    expect(read(0x00)).toBe(0x59);
    write(0x0b, control);
    write(0x0a, select);
    time.advance(7.5 * SECOND - 1);
    expect(clock()).toBe('19 99 12 31 23 59 59 06');
    time.advance(7.5 * SECOND);
    expect(clock()).toBe('20 00 01 01 00 00 00 07');
  });

  test('a byte written while the clock runs changes the time', () => {
    write(0x02, 0x10);
    time.advance(3 * SECOND);
    expect(clock()).toBe('20 24 02 28 23 11 01 04');
  });

  test('SET stops the clock and clears UIE', () => {
    write(0x0b, 0x92);
    expect(read(0x0b)).toBe(0x82);
    time.advance(10 * SECOND);
    expect(read(0x00)).toBe(0x58);
    expect(read(0x0c)).toBe(0x40); // the periodic tick goes on
    write(0x0b, 0x02);
    time.advance(10.75 * SECOND);
    expect(read(0x00)).toBe(0x59);
  });

  test('update-ended interrupt each second, held until register C is read', () => {
    read(0x0c);
    write(0x0b, 0x12);
    time.advance(3 * SECOND);
    expect(irq.risesNs).toEqual([0.75 * SECOND]);
    expect(read(0x0c) & 0x90).toBe(0x90);
    expect(irq.asserted).toBe(false);
    expect(read(0x0c)).toBe(0);
    time.advance(4 * SECOND);
    expect(irq.risesNs).toEqual([0.75 * SECOND, 3.75 * SECOND]);
  });

  test('flags are set without their interrupts', () => {
    time.advance(SECOND);
    expect(read(0x0c)).toBe(0x50); // periodic and update
    expect(irq.risesNs).toEqual([]);
  });

  test('periodic interrupt, 1024 Hz, exactly', () => {
    build(0n);
    write(0x0b, 0x42);
    for (let tick = 1; tick <= 2048; tick++) {
      time.advance(Math.ceil((tick * SECOND) / 1024));
      expect(read(0x0c) & 0xc0).toBe(0xc0);
    }
    expect(irq.risesNs.length).toBe(2048);
    expect(irq.risesNs[2047]).toBe(2 * SECOND);
    write(0x0a, 0x20);
    time.advance(10 * SECOND);
    expect(irq.risesNs.length).toBe(2048);
  });

  test.each([
    [1, 256],
    [2, 128],
    [3, 8192],
    [15, 2],
  ])('rate %i is %i Hz', (rate, hertz) => {
    build(0n);
    write(0x0a, 0x20 | rate);
    write(0x0b, 0x42);
    time.advance(SECOND);
    expect(irq.risesNs).toEqual([Math.ceil(SECOND / hertz)]);
  });

  test('alarm at a time of day, and each minute with wild cards', () => {
    write(0x05, 0x00);
    write(0x03, 0x00);
    write(0x01, 0x05);
    write(0x0b, 0x22);
    time.advance(100 * SECOND);
    expect(irq.risesNs).toEqual([6.75 * SECOND]);
    expect(read(0x0c) & 0xa0).toBe(0xa0);
    write(0x05, 0xff);
    write(0x03, 0xc0);
    time.advance(200 * SECOND);
    expect(irq.risesNs).toEqual([6.75 * SECOND, 126.75 * SECOND]);
    read(0x0c);
    write(0x01, 0x99); // never
    time.advance(400 * SECOND);
    expect(irq.risesNs.length).toBe(2);
  });

  test('memory size and RAM', () => {
    const word = (index: number): number => read(index) | (read(index + 1) << 8);
    expect([word(0x15), word(0x17), word(0x30), word(0x34)]).toEqual([640, 65535, 65535, (240 * 1024) / 64]);
    build(WALL_NS, 8 * 2 ** 20);
    expect([word(0x15), word(0x17), word(0x30), word(0x34)]).toEqual([640, 7168, 7168, 0]);
    write(0x7f, 0xab);
    expect(read(0x7f)).toBe(0xab);
    write(0x0d, 0);
    expect(read(0x0d)).toBe(0x80);
    expect(rtc.readPort(0x70, 1)).toBe(0xff);
  });
});

function buildRig(): Rig<PortAccess> {
  const outputs: unknown[] = [];
  const rigTime = new ManualTime();
  const device = new Rtc({ timers: rigTime, irq: loggedLine('irq', outputs), wallClockNs: WALL_NS, memoryBytes: 2 ** 27 });
  return { device, time: rigTime, perform: (access) => performPortAccess(device, rigTime, access), outputs };
}

const access: fc.Arbitrary<PortAccess> = fc.record({
  port: fc.constantFrom(0x70, 0x71, 0x71),
  write: fc.boolean(),
  size: fc.constantFrom(1, 1, 1, 2),
  value: fc.oneof(fc.integer({ min: 0, max: 0x34 }), fc.integer({ min: 0, max: 0x0d }), fc.integer({ min: 0, max: 255 })),
  waitNs: fc.constantFrom(0, 1000, 1_000_000, 300_000_000, 5_000_000_000),
});

test('save and restore go unnoticed', () => {
  fc.assert(
    fc.property(fc.array(access, { maxLength: 50 }), fc.array(access, { maxLength: 50 }), (before, after) => {
      const { atCut, original, restored } = cutAndContinue(buildRig, before, after);
      expect(atCut[1]).toEqual(atCut[0]);
      expect(restored).toEqual(original);
    }),
    { numRuns: 300 },
  );
});

test('reads in between change nothing that comes later, but the flags they take', () => {
  fc.assert(
    fc.property(fc.array(access, { maxLength: 30 }), (accesses) => {
      const plain = buildRig();
      const nosy = buildRig();
      for (const next of accesses) {
        const seen = nosy.perform(next);
        expect(seen).toEqual(plain.perform(next));
        const index = next.port === 0x70 && next.write ? next.value & 0x7f : -1;
        if (index !== 0x0c && index >= 0) (nosy.device as Rtc).readPort(0x71, 1);
      }
    }),
  );
});
