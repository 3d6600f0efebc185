import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { cutAndContinue, ManualTime, performPortAccess, type PortAccess, type Rig } from '../testing.ts';
import { Pic } from './pic.ts';

let pic: Pic;
let intr: boolean;
let log: string[];

function build(): Pic {
  return new Pic({
    output: (asserted) => (intr = asserted),
    onAcknowledge: (irq, vector) => log.push(`ack ${irq} ${vector.toString(16)}`),
    onEoi: (irq) => log.push(`eoi ${irq}`),
    onRaise: (irq) => log.push(`raise ${irq}`),
  });
}

/** As Linux's init_8259A: vectors 0x30 and 0x38, then every input unmasked. */
function initialise(icw1 = 0x11, icw4 = 1, slaveIcw4 = icw4): void {
  for (const [port, base, wiring, last] of [
    [0x20, 0x30, 4, icw4],
    [0xa0, 0x38, 2, slaveIcw4],
  ]) {
    pic.writePort(port, 1, icw1);
    pic.writePort(port + 1, 1, base);
    pic.writePort(port + 1, 1, wiring);
    pic.writePort(port + 1, 1, last);
    pic.writePort(port + 1, 1, 0);
  }
}

function raise(irq: number): void {
  pic.line(irq).set(true);
}

function lower(irq: number): void {
  pic.line(irq).set(false);
}

function status(port: number, isr: boolean): number {
  pic.writePort(port, 1, isr ? 0x0b : 0x0a);
  return pic.readPort(port, 1);
}

beforeEach(() => {
  intr = false;
  log = [];
  pic = build();
  initialise();
});

describe('8259A pair', () => {
  test('is silent before it is initialised', () => {
    pic = build();
    raise(0);
    expect(intr).toBe(false);
    expect(pic.readPort(0x21, 1)).toBe(0xff);
  });

  test('an edge is served once, and again only after another edge', () => {
    raise(4);
    expect(intr).toBe(true);
    expect(status(0x20, false)).toBe(0x10);
    expect(pic.acknowledge()).toBe(0x34);
    expect(intr).toBe(false);
    expect(status(0x20, true)).toBe(0x10);
    pic.writePort(0x20, 1, 0x20);
    expect(intr).toBe(false);
    lower(4);
    raise(4);
    expect(intr).toBe(true);
    expect(log).toEqual(['raise 4', 'ack 4 34', 'eoi 4', 'raise 4']);
  });

  test('a level is served for as long as it lasts', () => {
    pic.writePort(0x4d0, 1, 0xff);
    expect(pic.readPort(0x4d0, 1)).toBe(0xf8);
    raise(5);
    expect(pic.acknowledge()).toBe(0x35);
    pic.writePort(0x20, 1, 0x65);
    expect(intr).toBe(true);
    lower(5);
    expect(intr).toBe(false);
  });

  test('ICW1 can make all inputs level-triggered', () => {
    initialise(0x19);
    raise(0);
    pic.acknowledge();
    pic.writePort(0x20, 1, 0x20);
    expect(intr).toBe(true);
  });

  test('the cascade: both chips are in service and take an EOI each', () => {
    raise(12);
    expect(pic.acknowledge()).toBe(0x3c);
    expect(status(0x20, true)).toBe(0x04);
    expect(status(0xa0, true)).toBe(0x10);
    raise(9); // higher than 12 in the slave, but the master has input 2 in service
    expect(intr).toBe(false);
    pic.writePort(0xa0, 1, 0x64);
    pic.writePort(0x20, 1, 0x62);
    expect(intr).toBe(true);
    expect(pic.acknowledge()).toBe(0x39);
    expect(log).toEqual(['raise 12', 'ack 12 3c', 'raise 9', 'eoi 12', 'eoi 2', 'ack 9 39']);
  });

  test('special fully nested mode lets a higher request of the slave through', () => {
    initialise(0x11, 0x11, 1);
    raise(12);
    pic.acknowledge();
    raise(9);
    expect(pic.acknowledge()).toBe(0x39);
  });

  test('two requests of the slave with automatic EOI both arrive', () => {
    initialise(0x11, 3);
    raise(9);
    raise(12);
    expect(pic.acknowledge()).toBe(0x39);
    expect(intr).toBe(true);
    expect(pic.acknowledge()).toBe(0x3c);
    expect(intr).toBe(false);
  });

  test('a request that goes away gives a spurious interrupt without in-service bit', () => {
    raise(3);
    lower(3);
    expect(intr).toBe(false);
    expect(pic.acknowledge()).toBe(0x37);
    expect(status(0x20, true)).toBe(0);
    expect(log).toEqual(['raise 3', 'ack 7 37']);
  });

  test('a request of the slave that goes away takes the cascade with it', () => {
    raise(10);
    expect(intr).toBe(true);
    pic.writePort(0xa1, 1, 0x04);
    expect(intr).toBe(false);
    pic.writePort(0xa1, 1, 0x00);
    expect(intr).toBe(true);
    lower(10);
    expect(intr).toBe(false);
    expect(pic.acknowledge()).toBe(0x37);
  });

  test('priorities, masks and nesting', () => {
    raise(3);
    raise(1);
    expect(pic.acknowledge()).toBe(0x31);
    expect(intr).toBe(false);
    raise(0);
    expect(pic.acknowledge()).toBe(0x30);
    pic.writePort(0x20, 1, 0x20);
    pic.writePort(0x20, 1, 0x20);
    expect(intr).toBe(true);
    pic.writePort(0x21, 1, 0x08);
    expect(intr).toBe(false);
    expect(pic.readPort(0x21, 1)).toBe(0x08);
    expect(status(0x20, false)).toBe(0x08);
  });

  test('rotation', () => {
    raise(4);
    pic.acknowledge();
    pic.writePort(0x20, 1, 0xa0); // rotate on non-specific EOI: 4 is lowest now
    lower(4);
    raise(4);
    raise(5);
    expect(pic.acknowledge()).toBe(0x35);
    pic.writePort(0x20, 1, 0xe5); // rotate on specific EOI: 5 is lowest
    raise(6);
    expect(pic.acknowledge()).toBe(0x36);
    pic.writePort(0x20, 1, 0x20);
    pic.writePort(0x20, 1, 0xc3); // set priority: 3 is lowest, 4 highest
    expect(pic.acknowledge()).toBe(0x34);
  });

  test('rotation with automatic EOI', () => {
    initialise(0x11, 3);
    pic.writePort(0x20, 1, 0x80);
    raise(0);
    raise(1);
    expect(pic.acknowledge()).toBe(0x30);
    lower(0);
    raise(0);
    expect(pic.acknowledge()).toBe(0x31);
    expect(pic.acknowledge()).toBe(0x30);
  });

  test('special mask mode lets lower requests through, and keeps the masked bit from a non-specific EOI', () => {
    raise(1);
    pic.acknowledge();
    raise(6);
    expect(intr).toBe(false);
    pic.writePort(0x21, 1, 0x02);
    pic.writePort(0x20, 1, 0x68);
    expect(pic.acknowledge()).toBe(0x36);
    pic.writePort(0x20, 1, 0x20);
    expect(status(0x20, true)).toBe(0x02);
    pic.writePort(0x20, 1, 0x20);
    expect(status(0x20, true)).toBe(0x02);
    pic.writePort(0x20, 1, 0x61);
    expect(status(0x20, true)).toBe(0);
  });

  test('poll mode', () => {
    raise(3);
    pic.writePort(0x20, 1, 0x0c);
    expect(pic.readPort(0x20, 1)).toBe(0x83);
    expect(status(0x20, true)).toBe(0x08);
    pic.writePort(0x20, 1, 0x0c);
    expect(pic.readPort(0x20, 1)).toBe(0);
  });

  test('a line that is high at initialisation needs a new edge', () => {
    raise(4);
    initialise();
    expect(intr).toBe(false);
    lower(4);
    raise(4);
    expect(intr).toBe(true);
  });

  test('initialisation without ICW4 expects none', () => {
    pic.writePort(0x20, 1, 0x10);
    pic.writePort(0x21, 1, 0x40);
    pic.writePort(0x21, 1, 0x04);
    pic.writePort(0x21, 1, 0xfe);
    expect(pic.readPort(0x21, 1)).toBe(0xfe);
  });

  test('wide reads are ones above the byte', () => {
    expect(pic.readPort(0x21, 2)).toBe(0xff00);
    expect(pic.readPort(0x21, 4)).toBe(0xffffff00);
  });

  test('there is no input 2 and no input 16', () => {
    expect(() => pic.line(2)).toThrow(RangeError);
    expect(() => pic.line(16)).toThrow(RangeError);
  });
});

type Operation = { readonly access: PortAccess } | { readonly irq: number; readonly asserted: boolean } | 'acknowledge';

function buildRig(): Rig<Operation> {
  const outputs: unknown[] = [];
  const time = new ManualTime();
  const device = new Pic({
    output: (asserted) => outputs.push(['intr', asserted]),
    onAcknowledge: (irq, vector) => outputs.push(['ack', irq, vector]),
    onEoi: (irq) => outputs.push(['eoi', irq]),
    onRaise: (irq) => outputs.push(['raise', irq]),
  });
  const perform = (operation: Operation): unknown => {
    if (operation === 'acknowledge') return device.acknowledge();
    if ('access' in operation) return performPortAccess(device, time, operation.access);
    return device.line(operation.irq).set(operation.asserted);
  };
  return { device, time, perform, outputs };
}

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    access: fc.record({
      port: fc.constantFrom(0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1),
      write: fc.boolean(),
      size: fc.constantFrom(1, 1, 2, 4),
      value: fc.integer({ min: 0, max: 255 }),
      waitNs: fc.constant(0),
    }),
  }),
  fc.record({ irq: fc.constantFrom(0, 1, 3, 4, 7, 8, 9, 12, 15), asserted: fc.boolean() }),
  fc.constant('acknowledge' as const),
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

test('INTR is what its callback said last', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 100 }), (operations) => {
      const rig = buildRig();
      for (const next of operations) {
        rig.perform(next);
        const last = rig.outputs.filter((output) => Array.isArray(output) && output[0] === 'intr').at(-1);
        expect((rig.device as Pic).intr).toBe(Array.isArray(last) ? last[1] : false);
      }
    }),
  );
});
