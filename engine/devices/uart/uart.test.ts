import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { DeviceReport } from '../device.ts';
import { cutAndContinue, loggedLine, ManualTime, performPortAccess, type PortAccess, RecordingLine, type Rig } from '../testing.ts';
import { Uart } from './uart.ts';

const BASE = 0x3f8;
/** 4 characters of 10 bits at 115200 baud. */
const TIMEOUT_NS = 4 * 86_806;

let time: ManualTime;
let irq: RecordingLine;
let sent: number[];
let reports: DeviceReport[];
let uart: Uart;

function read(register: number): number {
  return uart.readPort(BASE + register, 1);
}

function write(register: number, value: number): void {
  uart.writePort(BASE + register, 1, value);
}

/** 115200 8N1, FIFO with trigger 8, OUT2. */
function setUp(ier: number): void {
  write(3, 0x83);
  write(0, 1);
  write(1, 0);
  write(3, 0x03);
  write(2, 0x81);
  write(4, 0x0b);
  write(1, ier);
}

beforeEach(() => {
  time = new ManualTime();
  irq = new RecordingLine(time);
  sent = [];
  reports = [];
  uart = new Uart({ timers: time, irq, transmit: (byte) => sent.push(byte), report: (report) => reports.push(report) });
});

describe('16550A', () => {
  test('autoconfig of Linux finds a 16550A', () => {
    write(1, 0);
    expect(read(1) & 0x0f).toBe(0);
    write(1, 0xff);
    expect(read(1)).toBe(0x0f);
    write(1, 0);
    write(4, 0x10 | 0x0a); // loopback test: OUT2 and RTS come back as DCD and CTS
    expect(read(6) & 0xf0).toBe(0x90);
    write(4, 0);
    write(3, 0xbf);
    write(2, 0);
    write(3, 0);
    write(2, 1);
    expect(read(2) >> 6).toBe(3);
    write(2, 0x21);
    expect(read(2) & 0x20).toBe(0); // not a 16750
    write(7, 0x5a);
    expect(read(7)).toBe(0x5a);
  });

  test('sends at once, and THR is empty again', () => {
    write(0, 0x41);
    expect(sent).toEqual([0x41]);
    expect(read(5)).toBe(0x60);
    expect(reports).toEqual([{ kind: 'uart-tx', port: BASE, byte: 0x41 }]);
  });

  test('the divisor latch hides data and interrupt enable', () => {
    write(3, 0x80);
    write(0, 0x34);
    write(1, 0x12);
    expect([read(0), read(1)]).toEqual([0x34, 0x12]);
    write(3, 0x03);
    expect(read(1)).toBe(0);
    expect(sent).toEqual([]);
  });

  test('the THRE test of Linux: enabling raises it, IIR clears it, enabling again raises it again', () => {
    setUp(0);
    write(1, 2);
    expect(read(2)).toBe(0xc2);
    expect(read(2)).toBe(0xc1);
    write(1, 0);
    write(1, 2);
    expect(read(2)).toBe(0xc2);
    expect(irq.risesNs.length).toBe(2);
  });

  test('a byte written raises THRE with a new edge', () => {
    setUp(2);
    expect(irq.risesNs.length).toBe(1);
    write(0, 1);
    expect(irq.risesNs.length).toBe(2);
    read(2);
    expect(irq.asserted).toBe(false);
    write(0, 2);
    expect(irq.risesNs.length).toBe(3);
  });

  test('without OUT2 nothing reaches the line, though IIR tells', () => {
    setUp(2);
    write(4, 0x03);
    expect(irq.asserted).toBe(false);
    expect(read(2)).toBe(0xc2);
  });

  test('receives up to the trigger by timeout, from it at once', () => {
    setUp(1);
    for (let byte = 0; byte < 7; byte++) expect(uart.receive(byte)).toBe(true);
    expect(irq.asserted).toBe(false);
    expect(read(5) & 1).toBe(1);
    time.advance(TIMEOUT_NS - 2);
    expect(irq.asserted).toBe(false);
    time.advance(TIMEOUT_NS);
    expect(irq.asserted).toBe(true);
    expect(read(2)).toBe(0xcc);
    expect(read(0)).toBe(0);
    expect(irq.asserted).toBe(false);
    uart.receive(7);
    expect(irq.asserted).toBe(false);
    uart.receive(8);
    expect(read(2)).toBe(0xc4);
    expect(Array.from({ length: 8 }, () => read(0))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(read(2)).toBe(0xc1);
    expect(read(5) & 1).toBe(0);
    expect(time.armedAt('uart')).toBe(Infinity);
    expect(reports.length).toBe(9);
  });

  test('takes 16 bytes with the FIFO, one without', () => {
    expect(uart.receiveSpace).toBe(1);
    expect([uart.receive(1), uart.receive(2)]).toEqual([true, false]);
    setUp(1);
    expect(uart.receiveSpace).toBe(16);
    for (let byte = 0; byte < 16; byte++) uart.receive(byte);
    expect(uart.receive(16)).toBe(false);
    expect(uart.receiveSpace).toBe(0);
    write(2, 0x83); // clear
    expect(uart.receiveSpace).toBe(16);
  });

  test('priorities: line status, received, THRE, modem status', () => {
    setUp(0x0f);
    write(4, 0x1b); // loopback; CTS, DSR, DCD as before: no delta
    write(4, 0x19); // CTS falls
    for (let byte = 0; byte < 17; byte++) write(0, byte); // overrun
    expect(irq.asserted).toBe(false); // loopback takes OUT2 away
    expect(read(2)).toBe(0xc6);
    expect(read(5)).toBe(0x63);
    expect(read(5)).toBe(0x61);
    expect(read(2)).toBe(0xc4);
    for (let byte = 0; byte < 16; byte++) expect(read(0)).toBe(byte);
    expect(read(2)).toBe(0xc2);
    expect(read(2)).toBe(0xc0);
    expect(read(6)).toBe(0xa1);
    expect(read(2)).toBe(0xc1);
    expect(sent).toEqual([]);
    expect(uart.receive(1)).toBe(false);
  });

  test('overrun without the FIFO replaces the byte', () => {
    write(4, 0x10);
    write(0, 1);
    write(0, 2);
    expect(read(5)).toBe(0x63);
    expect(read(0)).toBe(2);
  });

  test('another base and name', () => {
    uart = new Uart({ timers: time, irq, transmit: () => {}, base: 0x2f8, name: 'uart1' });
    expect(uart.ports).toEqual([{ first: 0x2f8, count: 8 }]);
    expect(uart.readPort(0x2fd, 1)).toBe(0x60);
    expect(time.armedAt('uart1')).toBe(Infinity);
  });
});

type Operation = PortAccess | { readonly receive: number };

function buildRig(): Rig<Operation> {
  const outputs: unknown[] = [];
  const rigTime = new ManualTime();
  const device = new Uart({
    timers: rigTime,
    irq: loggedLine('irq', outputs),
    transmit: (byte) => outputs.push(byte),
    report: (report) => outputs.push(report),
  });
  const perform = (operation: Operation): unknown =>
    'receive' in operation ? device.receive(operation.receive) : performPortAccess(device, rigTime, operation);
  return { device, time: rigTime, perform, outputs };
}

const byte = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 15 }));
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    port: fc.integer({ min: BASE, max: BASE + 7 }),
    write: fc.boolean(),
    size: fc.constantFrom(1, 1, 1, 2, 4),
    value: byte,
    waitNs: fc.constantFrom(0, 1000, 1_000_000),
  }),
  fc.record({ receive: byte }),
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

test('the line is high exactly while IIR has an interrupt and OUT2 connects it', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const rigTime = new ManualTime();
      const line = new RecordingLine(rigTime);
      const device = new Uart({ timers: rigTime, irq: line, transmit: () => {} });
      for (const next of operations) {
        if ('receive' in next) device.receive(next.receive);
        else performPortAccess(device, rigTime, next);
        const connected = (device.readPort(BASE + 4, 1) & 0x18) === 0x08;
        const copy = new Uart({ timers: new ManualTime(), irq: { set: () => {} }, transmit: () => {} });
        copy.restore(device.save());
        expect(line.asserted).toBe(connected && (copy.readPort(BASE + 2, 1) & 1) === 0);
      }
    }),
  );
});
