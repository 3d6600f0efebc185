import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { Ioapic } from '../ioapic/ioapic.ts';
import { cutAndContinue, ManualTime, type Rig } from '../testing.ts';
import { Lapic, type LapicOptions } from './lapic.ts';

const TIMER_VECTOR = 0xec;

let time: ManualTime;
let log: unknown[];
let intr: boolean;
let apic: Lapic;
/** Added to virtual ns to give the TSC. */
let tscOffset: bigint;

function build(options: Partial<LapicOptions> = {}): void {
  time = new ManualTime();
  log = [];
  intr = false;
  tscOffset = 0n;
  apic = new Lapic({
    timers: time,
    output: (asserted) => (intr = asserted),
    onEoi: (vector, level) => log.push(['eoi', vector, level]),
    onNmi: () => log.push('nmi'),
    onExtIntChange: (accepts) => log.push(['extint', accepts]),
    tsc: { now: () => BigInt(time.now()) + tscOffset, toNs: (tsc) => Number(tsc - tscOffset) },
    x2apic: true,
    ...options,
  });
}

function read(offset: number): number {
  return apic.readMmio(offset, 4);
}

function write(offset: number, value: number): void {
  apic.writeMmio(offset, 4, value);
}

/** Virtual ns at which timer interrupts arrive until `untilNs`; each is served at once. */
function timerInterrupts(untilNs: number): number[] {
  const arrivals: number[] = [];
  while (time.armedAt('lapic') <= untilNs) {
    time.advance(time.armedAt('lapic'));
    if (!intr) continue;
    expect(apic.acknowledge()).toBe(TIMER_VECTOR);
    write(0xb0, 0);
    arrivals.push(time.now());
  }
  time.advance(untilNs);
  return arrivals;
}

beforeEach(() => build());

describe('local APIC, registers', () => {
  test('the state after reset', () => {
    build({ virtualWire: false, id: 3 });
    expect(read(0x20)).toBe(0x03000000);
    expect(read(0x30)).toBe(0x00050014);
    expect(read(0xe0)).toBe(0xffffffff);
    expect(read(0xf0)).toBe(0xff);
    expect([0x320, 0x330, 0x340, 0x350, 0x360, 0x370].map(read)).toEqual(new Array(6).fill(0x10000));
    expect(apic.readMsr(0x1b)).toBe(0xfee00900n);
    expect(apic.acceptsExtInt).toBe(false);
  });

  test('the state that firmware leaves', () => {
    expect(read(0xf0)).toBe(0x1ff);
    expect(read(0x350)).toBe(0x700);
    expect(read(0x360)).toBe(0x400);
    expect(apic.acceptsExtInt).toBe(true);
  });

  test('software-disabled: LVT entries are masked and stay so, messages are dropped', () => {
    write(0xf0, 0xff);
    expect(read(0x350)).toBe(0x10700);
    write(0x350, 0x700);
    expect(read(0x350)).toBe(0x10700);
    expect(log).toEqual([['extint', false]]);
    apic.deliver(0x40, false);
    expect(intr).toBe(false);
  });

  test('globally disabled: the PIC reaches the CPU, the page is not there, and reset state comes back', () => {
    write(0x350, 0x10000);
    write(0x80, 0x50);
    expect(apic.acceptsExtInt).toBe(false);
    expect(apic.writeMsr(0x1b, 0xfee00000n)).toBe(true);
    expect(apic.enabled).toBe(false);
    expect(apic.acceptsExtInt).toBe(true);
    expect(read(0x30)).toBe(0xffffffff);
    expect(apic.writeMsr(0x1b, 0xfee00800n)).toBe(true);
    expect(read(0x80)).toBe(0);
    expect(read(0xf0)).toBe(0xff);
    expect(apic.acceptsExtInt).toBe(false);
  });

  test('reserved registers and illegal vectors are errors, read through ESR and reported by its LVT entry', () => {
    write(0x370, 0xfe);
    read(0x40);
    expect(apic.acknowledge()).toBe(0xfe);
    expect(read(0x280)).toBe(0);
    write(0x280, 0);
    expect(read(0x280)).toBe(0x80);
    write(0x300, 0x40005);
    apic.deliver(3, false);
    write(0x280, 0);
    expect(read(0x280)).toBe(0x60);
    write(0x280, 0);
    expect(read(0x280)).toBe(0);
  });

  test('narrow and unaligned accesses', () => {
    expect(apic.readMmio(0x30, 1)).toBe(0x14);
    expect(apic.readMmio(0x32, 2)).toBe(0x05);
    expect(apic.readMmio(0x34, 4)).toBe(0xffffffff);
    apic.writeMmio(0x80, 1, 0x20);
    expect(read(0x80)).toBe(0);
  });
});

describe('local APIC, interrupts', () => {
  test('one is requested, in service, ended', () => {
    apic.deliver(0x41, false);
    expect(intr).toBe(true);
    expect(read(0x220)).toBe(2);
    expect(apic.acknowledge()).toBe(0x41);
    expect(intr).toBe(false);
    expect([read(0x120), read(0x220), read(0xa0)]).toEqual([2, 0, 0x40]);
    write(0xb0, 0);
    expect([read(0x120), read(0xa0)]).toEqual([0, 0]);
    expect(log).toEqual([['eoi', 0x41, false]]);
  });

  test('the higher class goes first, the same class waits', () => {
    apic.deliver(0x41, false);
    apic.acknowledge();
    apic.deliver(0x4f, false);
    expect(intr).toBe(false);
    apic.deliver(0x51, false);
    expect(apic.acknowledge()).toBe(0x51);
    write(0xb0, 0);
    expect(intr).toBe(false);
    write(0xb0, 0);
    expect(apic.acknowledge()).toBe(0x4f);
  });

  test('TPR and CR8 hold back their class and below', () => {
    apic.cr8 = 5;
    expect(read(0x80)).toBe(0x50);
    apic.deliver(0x5f, false);
    expect(intr).toBe(false);
    write(0x80, 0x4f);
    expect(apic.cr8).toBe(4);
    expect(apic.tpr).toBe(0x4f);
    expect(intr).toBe(true);
    apic.tpr = 0xff;
    expect(intr).toBe(false);
    expect(apic.acknowledge()).toBe(0xff); // spurious: nothing in service
    expect(read(0x120)).toBe(0);
  });

  test('a level-triggered interrupt of the I/O APIC returns until its line is low', () => {
    const ioapic = new Ioapic({ deliver: (vector, level) => apic.deliver(vector, level) });
    build({ onEoi: (vector, level) => level && ioapic.endOfInterrupt(vector) });
    ioapic.writeMmio(0, 4, 0x12);
    ioapic.writeMmio(0x10, 4, 0x8061);
    ioapic.line(1).set(true);
    expect(apic.acknowledge()).toBe(0x61);
    expect(read(0x1b0)).toBe(2);
    write(0xb0, 0);
    expect(intr).toBe(true);
    expect(apic.acknowledge()).toBe(0x61);
    ioapic.line(1).set(false);
    write(0xb0, 0);
    expect(intr).toBe(false);
  });

  test('interprocessor interrupts to oneself', () => {
    write(0xd0, 0x01000000);
    write(0x300, 0x40050); // self
    write(0x300, 0x80051); // all including self
    write(0x300, 0xc0052); // all others
    write(0x310, 0x00000000);
    write(0x300, 0x00053); // physical 0
    write(0x310, 0x01000000);
    write(0x300, 0x00054); // physical 1
    write(0x300, 0x00855); // logical, flat
    write(0x310, 0xff000000);
    write(0x300, 0x00056); // broadcast
    write(0x300, 0x00400); // NMI
    expect(read(0x220)).toBe((1 << 16) | (1 << 17) | (1 << 19) | (1 << 21) | (1 << 22));
    expect(log).toEqual(['nmi']);
    expect(read(0x300)).toBe(0x400);
  });

  test('logical destinations in the cluster model', () => {
    write(0xe0, 0x0fffffff);
    write(0xd0, 0x21000000);
    expect([0x21, 0x23, 0x22, 0x31, 0xff].map((destination) => apic.matches(destination, true))).toEqual([true, true, false, false, true]);
  });

  test('LINT0 fixed, by edge and by level; LINT1 as NMI', () => {
    write(0x350, 0x31);
    expect(log).toEqual([['extint', false]]);
    apic.lint0.set(true);
    expect(apic.acknowledge()).toBe(0x31);
    write(0xb0, 0);
    expect(intr).toBe(false);
    write(0x350, 0x8031);
    expect(apic.acknowledge()).toBe(0x31);
    expect(read(0x350)).toBe(0xc031);
    write(0xb0, 0);
    expect(intr).toBe(true);
    apic.acknowledge();
    apic.lint0.set(false);
    write(0xb0, 0);
    expect(intr).toBe(false);
    apic.lint1.set(true);
    expect(log.filter((line) => line === 'nmi').length).toBe(1);
  });
});

describe('local APIC, timer', () => {
  test('one-shot', () => {
    time.advance(1000);
    write(0x3e0, 0x3); // divide by 16
    write(0x320, TIMER_VECTOR);
    write(0x380, 100);
    time.advance(1000 + 799);
    expect(read(0x390)).toBe(51);
    expect(timerInterrupts(10_000)).toEqual([2600]);
    expect(read(0x390)).toBe(0);
    expect(read(0x380)).toBe(100);
  });

  test('periodic, without drift, at a frequency that is not a divisor of 1 GHz', () => {
    build({ busHz: 24_000_000 });
    write(0x3e0, 0xb); // divide by 1
    write(0x320, 0x20000 | TIMER_VECTOR);
    write(0x380, 7);
    expect(timerInterrupts(3_000_000)).toEqual(Array.from({ length: 10285 }, (_, n) => Math.ceil(((n + 1) * 7 * 125) / 3)));
  });

  test.each([
    [0x0, 2],
    [0x1, 4],
    [0x2, 8],
    [0x3, 16],
    [0x8, 32],
    [0x9, 64],
    [0xa, 128],
    [0xb, 1],
  ])('divide configuration %i is %i', (configuration, divisor) => {
    write(0x3e0, configuration);
    write(0x380, 1000);
    time.advance(divisor * 10);
    expect(read(0x390)).toBe(990);
  });

  test('masked it counts and does not interrupt; unmasked it keeps the phase', () => {
    write(0x3e0, 0xb);
    write(0x320, 0x30000 | TIMER_VECTOR);
    write(0x380, 1000);
    time.advance(2500);
    expect(time.armedAt('lapic')).toBe(Infinity);
    expect(read(0x390)).toBe(500);
    write(0x320, 0x20000 | TIMER_VECTOR);
    expect(timerInterrupts(5000)).toEqual([3000, 4000, 5000]);
  });

  test('a new divisor goes on from the present count', () => {
    write(0x3e0, 0xb);
    write(0x320, 0x20000 | TIMER_VECTOR);
    write(0x380, 1000);
    time.advance(400);
    write(0x3e0, 0x0);
    expect(read(0x390)).toBe(600);
    expect(timerInterrupts(6000)).toEqual([1600, 3600, 5600]);
  });

  test('a write in front of a due interrupt does not lose it', () => {
    write(0x3e0, 0xb);
    write(0x320, TIMER_VECTOR);
    write(0x380, 1000);
    time.skip(1500);
    write(0x380, 1000);
    expect(intr).toBe(true);
  });

  test('TSC deadline', () => {
    tscOffset = 5000n;
    expect(apic.writeMsr(0x6e0, 9000n)).toBe(true); // ignored in another mode
    expect(apic.readMsr(0x6e0)).toBe(0n);
    write(0x320, 0x40000 | TIMER_VECTOR);
    apic.writeMsr(0x6e0, 9000n);
    expect(apic.readMsr(0x6e0)).toBe(9000n);
    expect(timerInterrupts(10_000)).toEqual([4000]);
    expect(apic.readMsr(0x6e0)).toBe(0n);
    apic.writeMsr(0x6e0, 1n); // in the past
    expect(timerInterrupts(10_000)).toEqual([10_000]);
    apic.writeMsr(0x6e0, 100_000n);
    tscOffset = 0n;
    apic.tscChanged();
    expect(timerInterrupts(200_000)).toEqual([100_000]);
    apic.writeMsr(0x6e0, 0xffffffffffffffffn);
    expect(time.armedAt('lapic')).toBe(Infinity);
    write(0x320, TIMER_VECTOR);
    write(0x320, 0x40000 | TIMER_VECTOR);
    expect(apic.readMsr(0x6e0)).toBe(0n);
  });

  test('a deadline that passes while masked is gone', () => {
    write(0x320, 0x50000 | TIMER_VECTOR);
    apic.writeMsr(0x6e0, 100n);
    time.advance(200);
    expect(apic.readMsr(0x6e0)).toBe(0n);
    write(0x320, 0x40000 | TIMER_VECTOR);
    expect(timerInterrupts(1000)).toEqual([]);
  });

  test('without a TSC there is no deadline mode', () => {
    time = new ManualTime();
    apic = new Lapic({ timers: time, output: () => {} });
    write(0x320, 0x40000 | TIMER_VECTOR);
    expect(read(0x320)).toBe(TIMER_VECTOR);
    expect(apic.readMsr(0x6e0)).toBe(undefined);
    expect(apic.writeMsr(0x6e0, 1n)).toBe(false);
  });
});

describe('x2APIC', () => {
  beforeEach(() => {
    build({ id: 0x21 });
    expect(apic.writeMsr(0x1b, 0xfee00c00n)).toBe(true);
  });

  test('registers are MSRs and no longer memory', () => {
    expect(read(0x30)).toBe(0xffffffff);
    expect(apic.readMsr(0x802)).toBe(0x21n);
    expect(apic.readMsr(0x803)).toBe(0x50014n);
    expect(apic.readMsr(0x80d)).toBe(0x20002n);
    expect(apic.writeMsr(0x808, 0x20n)).toBe(true);
    expect(apic.tpr).toBe(0x20);
    apic.writeMsr(0x83f, 0x41n);
    expect(apic.acknowledge()).toBe(0x41);
    expect(apic.writeMsr(0x80b, 0n)).toBe(true);
    apic.writeMsr(0x830, (0x21n << 32n) | 0x45n);
    expect(apic.readMsr(0x830)).toBe((0x21n << 32n) | 0x45n);
    expect(apic.acknowledge()).toBe(0x45);
  });

  test.each([
    [0x80b, 1n],
    [0x808, 0x100n],
    [0x802, 0n],
    [0x80e, 0n],
    [0x831, 0n],
    [0x828, 1n],
    [0x832, 0x80000n],
    [0x838, 1n << 32n],
    [0x850, 0n],
  ])('writing %i with %i is #GP', (index, value) => {
    expect(apic.writeMsr(index, value)).toBe(false);
  });

  test.each([0x80b, 0x80e, 0x809, 0x831, 0x83f, 0x850])('reading %i is #GP', (index) => {
    expect(apic.readMsr(index)).toBe(undefined);
  });

  test('transitions', () => {
    expect(apic.writeMsr(0x1b, 0xfee00800n)).toBe(false);
    expect(apic.writeMsr(0x1b, 0xfee00000n)).toBe(true);
    expect(apic.writeMsr(0x1b, 0xfee00c00n)).toBe(false);
    expect(apic.writeMsr(0x1b, 0xfee00400n)).toBe(false);
    expect(apic.writeMsr(0x1b, 0xfee00800n)).toBe(true);
    expect(apic.readMsr(0x802)).toBe(undefined);
    expect(apic.writeMsr(0x1b, 0xfed00800n)).toBe(false);
    build({ x2apic: false });
    expect(apic.writeMsr(0x1b, 0xfee00c00n)).toBe(false);
  });
});

type Operation =
  | { readonly offset: number; readonly value: number | undefined }
  | { readonly msr: number; readonly value: bigint | undefined }
  | { readonly vector: number; readonly level: boolean }
  | { readonly pin: 0 | 1; readonly asserted: boolean }
  | { readonly waitNs: number }
  | 'acknowledge';

function buildRig(): Rig<Operation> {
  const outputs: unknown[] = [];
  const rigTime = new ManualTime();
  const device = new Lapic({
    timers: rigTime,
    output: (asserted) => outputs.push(asserted),
    onEoi: (vector, level) => outputs.push(['eoi', vector, level]),
    onNmi: () => outputs.push('nmi'),
    onExtIntChange: (accepts) => outputs.push(['extint', accepts]),
    tsc: { now: () => BigInt(rigTime.now()), toNs: Number },
    x2apic: true,
  });
  const perform = (operation: Operation): unknown => {
    if (operation === 'acknowledge') return device.acknowledge();
    if ('offset' in operation) {
      if (operation.value === undefined) return device.readMmio(operation.offset, 4);
      return device.writeMmio(operation.offset, 4, operation.value);
    }
    if ('msr' in operation) {
      return operation.value === undefined ? device.readMsr(operation.msr) : device.writeMsr(operation.msr, operation.value);
    }
    if ('vector' in operation) return device.deliver(operation.vector, operation.level);
    if ('pin' in operation) return (operation.pin === 0 ? device.lint0 : device.lint1).set(operation.asserted);
    return rigTime.advance(rigTime.now() + operation.waitNs);
  };
  return { device, time: rigTime, perform, outputs };
}

const value = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.constantFrom(0, 0x1ff, 0xff, 0x31, 0x8031, 0x700, 0x400, 0xec, 0x200ec, 0x400ec, 0x10000, 0x40041, 1000, 50),
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    offset: fc.constantFrom(0x20, 0x40, 0x80, 0xa0, 0xb0, 0xb0, 0xd0, 0xe0, 0xf0, 0x120, 0x280, 0x300, 0x310, 0x320, 0x350, 0x360, 0x370, 0x380, 0x390, 0x3e0),
    value: fc.option(value, { nil: undefined }),
  }),
  fc.record({
    msr: fc.constantFrom(0x1b, 0x6e0, 0x808, 0x80b, 0x80f, 0x830, 0x832, 0x838, 0x83f),
    value: fc.option(
      fc.oneof(fc.constantFrom(0xfee00800n, 0xfee00c00n, 0xfee00000n, 0n, 10_000n, 0xffffffffffffffffn), value.map(BigInt)),
      { nil: undefined },
    ),
  }),
  fc.record({ vector: fc.integer({ min: 0, max: 255 }), level: fc.boolean() }),
  fc.record({ pin: fc.constantFrom(0 as const, 1 as const), asserted: fc.boolean() }),
  fc.record({ waitNs: fc.constantFrom(0, 50, 777, 100_000) }),
  fc.constant('acknowledge' as const),
);

test('save and restore go unnoticed', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), fc.array(operation, { maxLength: 60 }), (before, after) => {
      const { atCut, original, restored } = cutAndContinue(buildRig, before, after);
      expect(atCut[1]).toEqual(atCut[0]);
      expect(restored).toEqual(original);
    }),
    { numRuns: 500 },
  );
});

describe('local APIC, what it tells of its own interrupts', () => {
  test('its timer, IPIs to itself and errors are raised by it; messages from outside are not', () => {
    const raised: number[] = [];
    build({ onRaise: (vector) => raised.push(vector) });
    apic.deliver(0x41, false);
    expect(raised).toEqual([]);
    write(0x320, TIMER_VECTOR);
    write(0x380, 1000);
    time.advance(100_000);
    expect(raised).toEqual([TIMER_VECTOR]);
    write(0x300, 0x40000 | 0x55);
    expect(raised).toEqual([TIMER_VECTOR, 0x55]);
    write(0x370, 0x66);
    write(0x300, 0x40000 | 0x05);
    expect(raised).toEqual([TIMER_VECTOR, 0x55, 0x66]);
  });

  test('a masked or disabled source raises nothing', () => {
    const raised: number[] = [];
    build({ onRaise: (vector) => raised.push(vector) });
    write(0x320, 0x10000 | TIMER_VECTOR);
    write(0x380, 1000);
    time.advance(100_000);
    write(0xf0, 0xff);
    write(0x300, 0x40000 | 0x55);
    expect(raised).toEqual([]);
  });
});
