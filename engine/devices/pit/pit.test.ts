import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { cutAndContinue, loggedLine, ManualTime, performPortAccess, type PortAccess, RecordingLine, type Rig } from '../testing.ts';
import { Pit } from './pit.ts';

/** The first ns of a tick of 1193182 Hz, with unbounded integers. */
function nsOf(tick: number): number {
  return Number((BigInt(tick) * 1_000_000_000n + 1193181n) / 1193182n);
}

let time: ManualTime;
let irq: RecordingLine;
let pit: Pit;

function out(port: number, ...bytes: readonly number[]): void {
  for (const byte of bytes) pit.writePort(port, 1, byte);
}

function readTwo(port: number): number {
  return pit.readPort(port, 1) | (pit.readPort(port, 1) << 8);
}

function count(channel: number): number {
  out(0x43, channel << 6);
  return readTwo(0x40 + channel);
}

function status(channel: number): number {
  out(0x43, 0xe0 | (2 << channel));
  return pit.readPort(0x40 + channel, 1);
}

function toTick(tick: number): void {
  time.advance(nsOf(tick));
}

function out2(): boolean {
  return (pit.readPort(0x61, 1) & 0x20) !== 0;
}

beforeEach(() => {
  time = new ManualTime();
  irq = new RecordingLine(time);
  pit = new Pit({ timers: time, irq });
});

describe('8254, channel 0', () => {
  test('mode 2 with Linux divisor 4773: exact edges for ten seconds, no drift', () => {
    toTick(1000);
    out(0x43, 0x34);
    out(0x40, 4773 & 0xff, 4773 >> 8);
    time.advance(10_000_000_000);
    const edges = Math.floor((11931820 - 1001) / 4773);
    expect(irq.risesNs).toEqual(Array.from({ length: edges }, (_, n) => nsOf(1001 + (n + 1) * 4773)));
  });

  test('programming mode 2 at power-on makes no edge', () => {
    out(0x43, 0x34);
    out(0x40, 0xff, 0xff);
    time.advance(1_000_000);
    expect(irq.risesNs).toEqual([]);
  });

  test('mode 2 counts from N to 1, OUT low for the last tick', () => {
    out(0x43, 0x34);
    out(0x40, 5, 0);
    const seen: number[] = [];
    for (let tick = 1; tick <= 7; tick++) {
      toTick(tick);
      seen.push(count(0) * 10 + (status(0) >> 7));
    }
    expect(seen).toEqual([51, 41, 31, 21, 10, 51, 41]);
  });

  test('mode 3, even and odd', () => {
    for (const [n, expected] of [
      [4, [41, 21, 40, 20, 41]],
      [5, [41, 21, 1, 40, 20, 41]],
    ] as const) {
      time = new ManualTime();
      irq = new RecordingLine(time);
      pit = new Pit({ timers: time, irq });
      out(0x43, 0x36);
      out(0x40, n, 0);
      const seen: number[] = [];
      for (let tick = 1; tick <= expected.length; tick++) {
        toTick(tick);
        seen.push(count(0) * 10 + (status(0) >> 7));
      }
      expect(seen).toEqual(expected);
      expect(irq.risesNs).toEqual([nsOf(1 + n)]);
    }
  });

  test('mode 0: one interrupt N + 1 ticks after the write, then the count wraps', () => {
    out(0x43, 0x30);
    expect(irq.asserted).toBe(false);
    out(0x40, 3, 0);
    expect(status(0)).toBe(0x40 | 0x30);
    toTick(4);
    expect(status(0)).toBe(0x80 | 0x30);
    expect(irq.risesNs).toEqual([nsOf(4)]);
    toTick(6);
    expect(count(0)).toBe(0xfffe);
    time.advance(1_000_000_000);
    expect(irq.risesNs.length).toBe(1);
  });

  test('mode 0: the first byte of a new count stops the old one', () => {
    out(0x43, 0x30);
    out(0x40, 100, 0);
    toTick(51);
    out(0x40, 9);
    toTick(300);
    expect(irq.risesNs).toEqual([]);
    expect(count(0)).toBe(50);
    out(0x40, 0);
    time.advance(1_000_000);
    expect(irq.risesNs).toEqual([nsOf(310)]);
  });

  test('mode 4 as Linux sets it for one-shot: an edge per count, after a pulse of one tick', () => {
    out(0x43, 0x38);
    out(0x40, 10, 0);
    toTick(100);
    out(0x40, 20, 0);
    toTick(110);
    out(0x40, 20, 0); // before the first has run out: only the second counts
    time.advance(10_000_000);
    expect(irq.risesNs).toEqual([nsOf(12), nsOf(132)]);
  });

  test('pit_shutdown: mode 0 with the greatest count is quiet for 55 ms', () => {
    out(0x43, 0x34);
    out(0x40, 4773 & 0xff, 4773 >> 8);
    toTick(10_000);
    const edges = irq.risesNs.length;
    out(0x43, 0x30);
    out(0x40, 0, 0);
    time.advance(time.now() + 54_000_000);
    expect(irq.risesNs.length).toBe(edges);
    expect(irq.asserted).toBe(false);
  });

  test('a new count of mode 2 waits for the end of the period; of mode 3 for the half', () => {
    out(0x43, 0x34);
    out(0x40, 100, 0);
    toTick(50);
    out(0x40, 30, 0);
    expect(status(0) & 0x40).toBe(0x40);
    toTick(170);
    expect(status(0) & 0x40).toBe(0);
    expect(irq.risesNs).toEqual([nsOf(101), nsOf(131), nsOf(161)]);
    time = new ManualTime();
    irq = new RecordingLine(time);
    pit = new Pit({ timers: time, irq });
    out(0x43, 0x36);
    out(0x40, 100, 0);
    toTick(20);
    out(0x40, 30, 0); // high half ends at 51, then 15 low of the new period
    toTick(150);
    expect(irq.risesNs).toEqual([nsOf(66), nsOf(96), nsOf(126)]);
  });

  test('a timer that is served late gives one edge and keeps the grid', () => {
    out(0x43, 0x34);
    out(0x40, 100, 0);
    time.skip(nsOf(350));
    time.advance(nsOf(1000));
    expect(irq.risesNs).toEqual([nsOf(350), ...[401, 501, 601, 701, 801, 901].map(nsOf)]);
  });

  test('a write that comes before a due timer does not lose its edge', () => {
    out(0x43, 0x34);
    out(0x40, 100, 0);
    time.skip(nsOf(150));
    out(0x43, 0x30);
    expect(irq.risesNs).toEqual([nsOf(150)]);
    expect(irq.asserted).toBe(false);
  });
});

describe('8254, access', () => {
  test('latch holds until it is read; a second latch is ignored', () => {
    out(0x43, 0xb4);
    out(0x61, 1);
    out(0x42, 0xe8, 0x03);
    toTick(11);
    out(0x43, 0x80);
    toTick(21);
    out(0x43, 0x80);
    expect(readTwo(0x42)).toBe(1000 - 10);
    expect(readTwo(0x42)).toBe(1000 - 20);
  });

  test('read-back latches status and count of several channels', () => {
    out(0x43, 0x34);
    out(0x40, 10, 0);
    toTick(3);
    out(0x43, 0xc2 | 8); // channels 0 and 2, both
    expect(pit.readPort(0x40, 1)).toBe(0x80 | 0x34);
    expect(readTwo(0x40)).toBe(8);
    expect(pit.readPort(0x42, 1) & 0x40).toBe(0x40); // channel 2 has no count
  });

  test('single-byte access', () => {
    out(0x43, 0x14); // low byte only
    out(0x40, 10);
    toTick(1);
    expect(pit.readPort(0x40, 1)).toBe(10);
    expect(pit.readPort(0x40, 1)).toBe(10);
    out(0x43, 0x24); // high byte only
    out(0x40, 2);
    toTick(2);
    expect(pit.readPort(0x40, 1)).toBe(2);
  });

  test('BCD', () => {
    out(0x43, 0x35);
    out(0x40, 0x00, 0x10);
    toTick(2);
    expect(count(0)).toBe(0x0999);
    toTick(1001);
    expect(irq.risesNs).toEqual([nsOf(1001)]);
  });

  test('the control port reads as ones', () => {
    expect(pit.readPort(0x43, 1)).toBe(0xff);
  });
});

describe('8254, channel 2 and port 0x61', () => {
  test('quick_pit_calibrate: the high byte of mode 0 counts down in steps of 256 ticks', () => {
    out(0x61, 1);
    out(0x43, 0xb0);
    out(0x42, 0xff, 0xff);
    const changes: number[] = [];
    let last = 0xff;
    pit.readPort(0x42, 1);
    pit.readPort(0x42, 1);
    while (changes.length < 20) {
      time.advance(time.now() + 1000);
      pit.readPort(0x42, 1);
      time.advance(time.now() + 1000);
      const high = pit.readPort(0x42, 1);
      if (high !== last) changes.push(time.now());
      last = high;
    }
    const perStepNs = (changes[19] - changes[0]) / 19;
    expect(Math.abs(perStepNs - (256e9 / 1193182))).toBeLessThan(300);
  });

  test('pit_calibrate_tsc: OUT2 rises after the latch', () => {
    out(0x61, 1);
    const latch = Math.floor(1193182 / (1000 / 50));
    out(0x43, 0xb0);
    out(0x42, latch & 0xff, latch >> 8);
    expect(out2()).toBe(false);
    toTick(latch);
    expect(out2()).toBe(false);
    toTick(latch + 1);
    expect(out2()).toBe(true);
  });

  test('the gate pauses mode 0 and restarts mode 2 and 3', () => {
    out(0x61, 1);
    out(0x43, 0xb0);
    out(0x42, 100, 0);
    toTick(41);
    out(0x61, 0);
    toTick(1000);
    expect(count(2)).toBe(60);
    out(0x61, 1);
    toTick(1060);
    expect(out2()).toBe(false);
    toTick(1061);
    expect(out2()).toBe(true);
    out(0x43, 0xb4);
    out(0x42, 100, 0);
    toTick(1100);
    out(0x61, 0);
    const frozen = count(2);
    toTick(1200);
    expect(count(2)).toBe(frozen);
    expect(out2()).toBe(true);
    out(0x61, 1);
    toTick(1201);
    expect(count(2)).toBe(100);
  });

  test('modes 1 and 5 start by the gate, and start again', () => {
    out(0x43, 0xb2);
    out(0x42, 10, 0);
    toTick(5);
    expect(out2()).toBe(true);
    out(0x61, 1);
    toTick(6);
    expect(out2()).toBe(false);
    out(0x61, 0);
    toTick(10);
    out(0x61, 1);
    toTick(20);
    expect(out2()).toBe(false);
    toTick(21);
    expect(out2()).toBe(true);
    out(0x61, 0);
    out(0x43, 0xba);
    out(0x42, 10, 0);
    toTick(30);
    out(0x61, 1);
    toTick(41);
    expect(out2()).toBe(false);
    toTick(42);
    expect(out2()).toBe(true);
  });

  test('the low bits read back, the refresh bit toggles every 18 ticks', () => {
    out(0x61, 0xff);
    expect(pit.readPort(0x61, 1) & 0x0f).toBe(0x0f);
    expect(pit.readPort(0x61, 1) & 0x10).toBe(0);
    toTick(18);
    expect(pit.readPort(0x61, 1) & 0x10).toBe(0x10);
    toTick(36);
    expect(pit.readPort(0x61, 1) & 0x10).toBe(0);
  });
});

function buildRig(): Rig<PortAccess> {
  const outputs: unknown[] = [];
  const rigTime = new ManualTime();
  const device = new Pit({ timers: rigTime, irq: loggedLine('irq', outputs) });
  return { device, time: rigTime, perform: (access) => performPortAccess(device, rigTime, access), outputs };
}

const access: fc.Arbitrary<PortAccess> = fc.record({
  port: fc.constantFrom(0x40, 0x40, 0x41, 0x42, 0x43, 0x43, 0x61),
  write: fc.boolean(),
  size: fc.constantFrom(1, 1, 1, 2, 4),
  value: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x30, 0x34, 0x36, 0x38, 0xb0, 0xb2, 0xba, 0, 1, 5)),
  waitNs: fc.constantFrom(0, 100, 838, 5_000, 100_000, 3_000_000),
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

/** Modes 0, 2 and 3 as the datasheet tells them: one clock at a time. */
class SteppedCounter {
  mode = 3;
  out = true;
  tick = 0;
  readonly rises: number[] = [];
  private register = 0;
  private element = 0;
  private odd = false;
  private running = false;
  private loadsNext = false;

  control(mode: number): void {
    this.mode = mode;
    this.running = false;
    this.loadsNext = false;
    this.setOut(mode !== 0);
  }

  write(count: number): void {
    this.register = count;
    if (this.mode === 0) this.setOut(false);
    if (this.mode === 0 || !this.running) this.loadsNext = true;
  }

  clock(): void {
    this.tick++;
    if (this.loadsNext) {
      this.loadsNext = false;
      this.running = true;
      this.load();
    } else if (this.running) {
      this.count();
    }
  }

  get value(): number {
    return this.element & 0xffff;
  }

  get isLoaded(): boolean {
    return this.running && !this.loadsNext;
  }

  private load(): void {
    this.odd = this.register % 2 === 1;
    this.element = this.mode === 3 ? this.register & ~1 : this.register;
  }

  private count(): void {
    if (this.mode === 0) {
      this.element--;
      if (this.element === 0) this.setOut(true);
    } else if (this.mode === 2) {
      this.element--;
      if (this.element === 1) this.setOut(false);
      if (this.element === 0) {
        this.load();
        this.setOut(true);
      }
    } else if (this.odd && this.out && this.element === 0) {
      this.load();
      this.setOut(false);
    } else {
      this.element -= 2;
      if (this.element === 0 && !(this.odd && this.out)) {
        const out = !this.out;
        this.load();
        this.setOut(out);
      }
    }
  }

  private setOut(out: boolean): void {
    if (out && !this.out) this.rises.push(this.tick);
    this.out = out;
  }
}

test('modes 0, 2 and 3 agree with a counter that is stepped clock by clock', () => {
  const step = fc.oneof(
    fc.record({ mode: fc.constantFrom(0, 2, 3) }),
    fc.record({ count: fc.integer({ min: 2, max: 12 }) }),
    fc.record({ ticks: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ ticks: fc.integer({ min: 1, max: 6 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const clock = new ManualTime();
      const line = new RecordingLine(clock);
      line.asserted = true; // as the channel has it at power-on
      const device = new Pit({ timers: clock, irq: line });
      const model = new SteppedCounter();
      let programmed = false;
      for (const next of steps) {
        if ('mode' in next) {
          device.writePort(0x43, 1, 0x30 | (next.mode << 1));
          model.control(next.mode);
          programmed = true;
        } else if ('count' in next) {
          if (!programmed) continue;
          device.writePort(0x40, 1, next.count);
          device.writePort(0x40, 1, 0);
          model.write(next.count);
        } else {
          for (let tick = 0; tick < next.ticks; tick++) model.clock();
          clock.advance(nsOf(model.tick));
        }
        if (!programmed) continue;
        device.writePort(0x43, 1, 0xe2);
        expect(device.readPort(0x40, 1) >> 7).toBe(model.out ? 1 : 0);
        device.writePort(0x43, 1, 0x00);
        const value = device.readPort(0x40, 1) | (device.readPort(0x40, 1) << 8);
        if (model.isLoaded) expect(value).toBe(model.value);
      }
      expect(line.risesNs).toEqual(model.rises.map(nsOf));
    }),
    { numRuns: 1000 },
  );
});
