/**
 * What the tests of this folder share: a header, generators of events of every kind, and a stream like the boot of a Linux guest.
 */
import fc from 'fast-check';
import {
  ACCESS_WRITE, CONTROLLER_IOAPIC, CONTROLLER_LAPIC, CONTROL_ACTIONS, CONTROLLERS, CR_ACCESSES, CR_MOV_TO, END_REASONS, EXIT_REASONS, INTERRUPT_PHASES, MARK_SOURCES, PHASE_ACKNOWLEDGED,
  PHASE_EOI, PHASE_INJECTED, PHASE_RAISED,
} from './events.ts';
import type { ExitDetail, LogEvent } from './events.ts';
import type { EventSink } from './event-sink.ts';
import { hasOwnShape } from './event-rows.ts';
import type { LogHeader } from './header.ts';
import { LogReader } from './reader.ts';
import type { Position } from './position.ts';
import { position } from './position.ts';
import { MemorySink, MemorySource } from './storage.ts';
import { createLog } from './writer.ts';
import type { LogWriter } from './writer.ts';

export function testHeader(changes: Partial<LogHeader> = {}): LogHeader {
  return {
    id: 'test-log',
    product: '0.1.0',
    blockBytes: 65_536,
    quirks: [],
    wallClockNs: '1700000000000000000',
    config: {
      guest: 'test', memoryBytes: 134_217_728, regime: 'native', seed: '1', tscHz: 1_000_000_000, commandLine: 'console=ttyS0 "quoted" é', devices: ['uart0', 'pit'], cpuModel: 'x86-64-v2',
      epochInstructions: 0, digestInstructions: 0, options: {},
    },
    images: [],
    ...changes,
  };
}

export function writeLog(fill: (writer: LogWriter) => void, changes: Partial<LogHeader> = {}): Uint8Array {
  const sink = new MemorySink();
  const writer = createLog(sink, testHeader(changes));
  fill(writer);
  writer.close();
  return sink.toBytes();
}

export function openLog(bytes: Uint8Array): LogReader {
  return LogReader.open(new MemorySource(bytes));
}

/** As it is read back: without what the reader adds. */
export function withoutTotals(event: LogEvent): LogEvent {
  if (event.kind !== 'end') return event;
  const { totals: _, ...rest } = event;
  return rest;
}

// ---- generators ----

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
/** Few values often, any value sometimes: what repeats and what does not. */
const safe = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 2 ** 40 }));
const u64 = fc.oneof(fc.constantFrom(0n, 1n, 0xffff_ffffn, 0x1_0000_0000n, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn), fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }));
const rip = fc.oneof(fc.constantFrom(0xffff_ffff_8100_0000n, 0xffff_ffff_8100_0010n, 0x40_1000n), u64);
const name = fc.oneof(fc.constantFrom('ttyS0', 'net0', 'lapic'), fc.string({ maxLength: 20, unit: 'grapheme' }));
const hex = (length: number): fc.Arbitrary<string> => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
const digest = hex(32);
const data = fc.uint8Array({ maxLength: 40 });
const size = fc.constantFrom(1, 2, 4);

const ioValue = (bytes: number): fc.Arbitrary<number> => fc.integer({ min: 0, max: 2 ** (8 * bytes) - 1 });
const exitDetail: Readonly<Record<ExitDetail['kind'], fc.Arbitrary<{ reason: number; detail: ExitDetail }>>> = {
  io: size.chain((bytes) =>
    fc.record({ kind: fc.constant('io' as const), port: fc.oneof(fc.constantFrom(0x3f8, 0x3fd), u16), size: fc.constant(bytes), write: fc.boolean(), string: fc.boolean(), rep: fc.boolean(), value: ioValue(bytes), costNs: fc.constantFrom(0, 1000) })
      .map((detail) => ({ reason: EXIT_REASONS.io, detail })),
  ),
  mmio: fc.record({ kind: fc.constant('mmio' as const), address: fc.integer({ min: 0, max: 2 ** 52 }), size: fc.constantFrom(1, 2, 4, 8), write: fc.boolean(), value: u64, costNs: fc.constantFrom(0, 1000) })
    .map((detail) => ({ reason: EXIT_REASONS.mmio, detail })),
  msr: fc.record({ kind: fc.constant('msr' as const), index: u32, write: fc.boolean(), value: u64 }).map((detail) => ({ reason: detail.write ? EXIT_REASONS.wrmsr : EXIT_REASONS.rdmsr, detail })),
  cpuid: fc.record({ kind: fc.constant('cpuid' as const), leaf: u32, subleaf: u32 }).map((detail) => ({ reason: EXIT_REASONS.cpuid, detail })),
  cr: fc.record({ kind: fc.constant('cr' as const), cr: fc.constantFrom(0, 3, 4, 8), access: fc.constantFrom(...CR_ACCESSES), gpr: fc.integer({ min: 0, max: 15 }), value: u64 }).map((detail) => ({ reason: EXIT_REASONS.cr, detail })),
  dr: fc.record({ kind: fc.constant('dr' as const), dr: fc.integer({ min: 0, max: 7 }), write: fc.boolean(), gpr: fc.integer({ min: 0, max: 15 }), value: u64 }).map((detail) => ({ reason: EXIT_REASONS.dr, detail })),
  exception: fc.record({ kind: fc.constant('exception' as const), vector: fc.integer({ min: 0, max: 31 }), errorCode: fc.option(u32, { nil: undefined }), address: u64 }).map((detail) => ({ reason: EXIT_REASONS.exception, detail })),
  'page-table': fc.record({ kind: fc.constant('page-table' as const), level: fc.integer({ min: 1, max: 4 }), address: u32, value: u64 }).map((detail) => ({ reason: EXIT_REASONS.pageTableWrite, detail })),
  plain: fc.record({ reason: fc.integer({ min: 0, max: 77 }).filter((reason) => !hasOwnShape(reason)), qualification: u64 })
    .map(({ reason, qualification }) => ({ reason, detail: { kind: 'plain' as const, qualification } })),
};

const pages = fc.oneof(
  fc.uniqueArray(u32, { maxLength: 30 }),
  fc.record({ first: u16, length: fc.integer({ min: 0, max: 600 }) }).map(({ first, length }) => Array.from({ length }, (_, i) => first + i)),
).map((list) => Uint32Array.from(list).sort());

/** One generator for every variant of every kind, without the position. */
type Body<T> = T extends LogEvent ? Omit<T, 'position'> : never;
type EventBody = Body<LogEvent>;

export const EVENT_GENERATORS: Readonly<Record<string, fc.Arbitrary<EventBody>>> = {
  'input console': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('console' as const), port: name, bytes: data, more: fc.boolean() }) }),
  'input net': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('net' as const), port: name, bytes: data, more: fc.boolean() }) }),
  'input entropy': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('entropy' as const), port: name, bytes: data, more: fc.boolean() }) }),
  'input wall-clock': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('wall-clock' as const), ns: u64 }) }),
  'input control': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('control' as const), action: fc.constantFrom(...CONTROL_ACTIONS) }) }),
  'input register': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('register' as const), register: name, value: u64 }) }),
  'input memory': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('memory' as const), address: fc.integer({ min: 0, max: 2 ** 52 }), bytes: data }) }),
  'input timer-shift': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('timer-shift' as const), timer: name, ns: fc.oneof(fc.integer(), fc.maxSafeInteger()) }) }),
  'input line': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('line' as const), line: fc.integer({ min: 0, max: 15 }), asserted: fc.boolean() }) }),
  'input stall': fc.record({ kind: fc.constant('input' as const), input: fc.record({ kind: fc.constant('stall' as const), ns: fc.oneof(fc.nat(), fc.maxSafeNat()) }) }),
  ...Object.fromEntries(
    Object.entries(exitDetail).map(([kind, detail]) => [`exit ${kind}`, fc.tuple(rip, detail).map(([at, exit]): EventBody => ({ kind: 'exit', rip: at, ...exit }))]),
  ),
  interrupt: fc.record({
    kind: fc.constant('interrupt' as const), phase: fc.constantFrom(...INTERRUPT_PHASES), controller: fc.constantFrom(...CONTROLLERS), vector: fc.option(u8, { nil: undefined }), line: fc.option(u8, { nil: undefined }),
  }),
  'device uart-tx': fc.record({ kind: fc.constant('device' as const), report: fc.record({ kind: fc.constant('uart-tx' as const), port: u16, byte: u8 }) }),
  'device uart-rx': fc.record({ kind: fc.constant('device' as const), report: fc.record({ kind: fc.constant('uart-rx' as const), port: u16, byte: u8 }) }),
  'device timer-arm': fc.record({ kind: fc.constant('device' as const), report: fc.record({ kind: fc.constant('timer-arm' as const), timer: name, atNs: fc.oneof(safe, fc.maxSafeNat()) }) }),
  'device timer-fire': fc.record({ kind: fc.constant('device' as const), report: fc.record({ kind: fc.constant('timer-fire' as const), timer: name }) }),
  'device virtio-request': fc.record({
    kind: fc.constant('device' as const), report: fc.record({ kind: fc.constant('virtio-request' as const), device: name, queue: u8, head: u16, type: u32, sector: fc.oneof(safe, fc.maxSafeNat()), bytes: u32 }),
  }),
  'device virtio-complete': fc.record({ kind: fc.constant('device' as const), report: fc.record({ kind: fc.constant('virtio-complete' as const), device: name, queue: u8, head: u16, status: u8, bytes: u32 }) }),
  'device net-tx': fc.record({ kind: fc.constant('device' as const), report: fc.record({ kind: fc.constant('net-tx' as const), device: name, bytes: u16 }) }),
  'device net-rx': fc.record({ kind: fc.constant('device' as const), report: fc.record({ kind: fc.constant('net-rx' as const), device: name, bytes: u16 }) }),
  idle: fc.record({ kind: fc.constant('idle' as const), ns: safe }),
  dirty: fc.record({ kind: fc.constant('dirty' as const), epoch: safe, pages, more: fc.boolean() }),
  'dirty with first writes': fc
    .record({ epoch: safe, more: fc.boolean(), writes: fc.array(fc.record({ page: u32, before: safe, offset: safe, isZero: fc.constantFrom(0, 1) }), { maxLength: 300 }) })
    .map(({ epoch, more, writes }) => {
      const page = Uint32Array.from(new Set(writes.map((each) => each.page)));
      const ascending = (list: readonly number[]): Float64Array => Float64Array.from(list.slice(0, page.length)).sort();
      // How long before the end of the epoch; eventsOf() knows that end.
      const position = ascending(writes.map(({ before }) => -before)).map((each) => each + 0);
      const firstWrites = { page, position, timeOffsetNs: ascending(writes.map(({ offset }) => offset)), isZero: Uint8Array.from(writes.slice(0, page.length), (each) => each.isZero) };
      return { kind: 'dirty' as const, epoch, pages: page.slice().sort(), firstWrites, more };
    }),
  counts: fc.record({ kind: fc.constant('counts' as const), kernelInstructions: safe, systemCalls: u32 }),
  digest: fc.record({ kind: fc.constant('digest' as const), digest, components: fc.record({ cpu: digest, ram: digest, devices: digest }, { requiredKeys: [] }) }),
  mark: fc.record({ kind: fc.constant('mark' as const), name, source: fc.constantFrom(...MARK_SOURCES) }),
};

export const endGenerator: fc.Arbitrary<EventBody> = fc.record(
  { kind: fc.constant('end' as const), reason: fc.constantFrom(...END_REASONS), detail: fc.string({ maxLength: 20, unit: 'grapheme' }), digest },
  { requiredKeys: ['kind', 'reason', 'detail'] },
);

function placed(event: EventBody, at: number): LogEvent {
  if (event.kind !== 'dirty' || event.firstWrites === undefined) return { ...event, position: position(at) } as LogEvent;
  return { ...event, firstWrites: { ...event.firstWrites, position: event.firstWrites.position.map((before) => Math.max(0, at + before)) }, position: position(at) };
}

/** The same event at another position; its first writes keep their distance. */
export function movedTo(event: LogEvent, at: number): LogEvent {
  if (event.kind !== 'dirty' || event.firstWrites === undefined) return { ...event, position: position(at) };
  return { ...event, firstWrites: { ...event.firstWrites, position: event.firstWrites.position.map((each) => Math.max(0, each + at - event.position)) }, position: position(at) };
}

/** Positions ascend by small steps mostly, and by as much as 2^33 sometimes. */
export function eventsOf(body: fc.Arbitrary<EventBody>, maxLength = 60): fc.Arbitrary<LogEvent[]> {
  const step = fc.oneof(fc.constantFrom(0, 7, 7, 7), fc.integer({ min: 0, max: 300 }), fc.constantFrom(0xffff_fffe, 0xffff_ffff, 2 ** 32, 2 ** 33));
  return fc.array(fc.tuple(step, body), { maxLength }).map((list) => {
    let at = 0;
    return list.map(([delta, event]) => placed(event, (at += delta)));
  });
}

/** Any events. Some are repeated in the order they came, as guests do. */
export const anyEvents: fc.Arbitrary<LogEvent[]> = fc
  .tuple(eventsOf(fc.oneof(...Object.values(EVENT_GENERATORS)), 30), fc.integer({ min: 1, max: 4 }))
  .map(([events, times]) => {
    const last = events.at(-1)?.position ?? 0;
    return Array.from({ length: times }, (_, i) => events.map((event) => movedTo(event, event.position + i * last))).flat();
  });

// ---- a boot ----

export interface BootScale {
  readonly consoleBytes: number;
  readonly pitReads: number;
  readonly cpuids: number;
  readonly cr3Writes: number;
  readonly invlpgs: number;
  readonly pageFaults: number;
  readonly ticks: number;
  readonly blockRequests: number;
}

/** The quickest boot of a stock kernel to its init; 380 million instructions. */
export const QUICK_BOOT: BootScale = { consoleBytes: 700, pitReads: 300, cpuids: 1000, cr3Writes: 250, invlpgs: 300, pageFaults: 700, ticks: 100, blockRequests: 0 };
/** The same with everything printed, on a machine with a disk, to a shell; at least as many instructions. */
export const LOUD_BOOT: BootScale = { consoleBytes: 23_000, pitReads: 2000, cpuids: 1000, cr3Writes: 17_500, invlpgs: 300, pageFaults: 20_000, ticks: 5000, blockRequests: 1500 };
export const BOOT_INSTRUCTIONS = 380_000_000;

const KERNEL_HI = 0xffff_ffff;
const COST_NS = 1000;

/** Park-Miller: tests need numbers that look random and are the same everywhere. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state % below;
  };
}

/** Makes the events of a boot, mixed as a kernel mixes them. */
export function syntheticBoot(sink: EventSink, scale: BootScale, seed = 1): void {
  const random = randomOf(seed);
  let at = 1_000_000;
  const step = (instructions: number): Position => position((at += instructions));
  const text = 'clocksource: tsc-early: mask: 0xffffffffffffffff max_cycles: 0x1cd42e4dffb, max_idle_ns: 881590591483 ns\r\n';
  let written = 0;
  const consoleLine = (): void => {
    for (let i = 0; i < text.length && written < scale.consoleBytes; i++, written++) {
      // Digits differ from line to line.
      const char = text.charCodeAt(i);
      const byte = char >= 0x30 && char <= 0x39 ? 0x30 + random(10) : char;
      sink.exitIo(step(i % 16 === 0 ? 38 + random(4) : 31), 0x815f_1240, KERNEL_HI, 0x3fd, 1, 0, 0x60, COST_NS);
      sink.exitIo(step(14), 0x815f_1252, KERNEL_HI, 0x3f8, 1, ACCESS_WRITE, byte, COST_NS);
      sink.device(position(at), { kind: 'uart-tx', port: 0x3f8, byte });
    }
  };
  let pit = 0xffff;
  const readPit = (): void => {
    pit = (pit - 5 - random(2)) & 0xffff;
    sink.exitIo(step(12), 0x8100_3410, KERNEL_HI, 0x43, 1, ACCESS_WRITE, 0, COST_NS);
    sink.exitIo(step(3), 0x8100_3415, KERNEL_HI, 0x40, 1, 0, pit & 0xff, COST_NS);
    sink.exitIo(step(3), 0x8100_3419, KERNEL_HI, 0x40, 1, 0, pit >> 8, COST_NS);
  };
  const roots = Array.from({ length: 12 }, () => 0x0010_0000 + random(30_000) * 4096);
  const faultSites = Array.from({ length: 1500 }, () => ({ rip: 0x0040_0000 + random(0x10_0000), address: 0x0060_0000 + random(3000) * 4096 + random(4096), error: [4, 6, 7, 0x14][random(4)] }));
  let epochNs = 0;
  const tick = (): void => {
    sink.exit(step(200 + random(3000)), 0x81c0_1234, KERNEL_HI, EXIT_REASONS.hlt, 0, 0);
    const idle = 3_000_000 + random(900_000);
    sink.idle(position(at), idle);
    epochNs += idle;
    sink.device(position(at), { kind: 'timer-fire', timer: 'lapic' });
    sink.interrupt(position(at), PHASE_RAISED, CONTROLLER_LAPIC, 0xec, -1);
    sink.interrupt(position(at), PHASE_INJECTED, CONTROLLER_LAPIC, 0xec, -1);
    sink.interrupt(position(at), PHASE_ACKNOWLEDGED, CONTROLLER_LAPIC, 0xec, -1);
    sink.exitMmio(step(95 + random(2)), 0x8106_0010, KERNEL_HI, 0xfee0_00b0, 4, ACCESS_WRITE, 0, 0, COST_NS);
    sink.interrupt(position(at), PHASE_EOI, CONTROLLER_LAPIC, 0xec, -1);
    const atNs = position(step(900 + random(200))) + sink.timeOffsetNs + 4_000_000;
    sink.exitMsr(position(at), 0x8106_1120, KERNEL_HI, 0x6e0, true, atNs >>> 0, Math.floor(atNs / 2 ** 32));
    sink.device(position(at), { kind: 'timer-arm', timer: 'lapic', atNs });
  };
  const fault = (): void => {
    const isFamiliar = random(4) > 0;
    const site = isFamiliar ? faultSites[random(faultSites.length)] : { rip: 0x0040_0000 + random(0x10_0000), address: 0x7f00_0000 + random(60_000) * 4096 + random(4096), error: 6 };
    sink.exitException(step(500 + random(20_000)), site.rip, 0, 14, site.error, site.address, 0x7f);
  };
  let sector = 2048;
  const request = (): void => {
    const head = random(8) * 2;
    sector += random(3) === 0 ? random(100_000) : 8;
    sink.exitMmio(step(2000 + random(500)), 0x8160_0050, KERNEL_HI, 0xd000_0050, 4, ACCESS_WRITE, 0, 0, COST_NS);
    sink.device(position(at), { kind: 'virtio-request', device: 'blk0', queue: 0, head, type: 0, sector, bytes: 4096 });
    sink.device(step(5000), { kind: 'virtio-complete', device: 'blk0', queue: 0, head, status: 0, bytes: 4097 });
    sink.interrupt(position(at), PHASE_RAISED, CONTROLLER_IOAPIC, -1, 10);
    sink.interrupt(position(at), PHASE_INJECTED, CONTROLLER_LAPIC, 0x22, -1);
  };
  const leaves = [0, 1, 2, 4, 7, 0xb, 0xd, 0x8000_0000, 0x8000_0001, 0x8000_0008];
  const cr3 = (): void => sink.exitCr(step(2000 + random(9000)), 0x8108_2200, KERNEL_HI, 3, CR_MOV_TO, random(2) * 7, roots[random(4) === 0 ? random(12) : random(2)], 0);
  const work: readonly (readonly [number, () => void])[] = [
    [Math.ceil(scale.consoleBytes / text.length), consoleLine],
    [scale.pitReads, readPit],
    [scale.cpuids, () => sink.exitCpuid(step(300 + random(40)), 0x8104_0000 + random(6) * 0x50, KERNEL_HI, leaves[random(leaves.length)], random(3) === 0 ? 1 : 0)],
    [scale.cr3Writes, cr3],
    [scale.invlpgs, () => sink.exit(step(400 + random(100)), 0x8107_0099, KERNEL_HI, EXIT_REASONS.invlpg, 0xff20_0000 + random(64) * 4096, KERNEL_HI)],
    [scale.pageFaults, fault],
    [scale.ticks, tick],
    [scale.blockRequests, request],
  ];
  const left = work.map(([times]) => times);
  for (let total = left.reduce((sum, times) => sum + times, 0); total > 0; total--) {
    // The kernel does one thing for a while.
    let pick = random(total);
    const which = left.findIndex((times) => (pick -= times) < 0);
    left[which]--;
    work[which][1]();
  }
  sink.end(step(1000), 'shutdown', `idle ${epochNs}`);
}
