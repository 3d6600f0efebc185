/**
 * Issue 2, point 6: at most 0.5 byte of log per 1000 instructions with every exit and interrupt in it.
 */
import { describe, expect, test } from 'vitest';
import { ACCESS_WRITE, CONTROLLER_LAPIC, CR_MOV_TO, EXIT_REASONS, LOG_KINDS, PHASE_EOI, PHASE_RAISED } from './events.ts';
import { position } from './position.ts';
import { BOOT_INSTRUCTIONS, LOUD_BOOT, QUICK_BOOT, openLog, randomOf, syntheticBoot, writeLog } from './testing.ts';
import type { LogWriter } from './writer.ts';

const KERNEL_HI = 0xffff_ffff;

describe('a boot of 380 million instructions', () => {
  // The loud one has the largest figure of every kind at once, in fewer instructions than any such run has, and more noise: a bound, not a forecast.
  for (const [name, scale, goal] of [['quick', QUICK_BOOT, 0.06], ['loud', LOUD_BOOT, 1.25]] as const) {
    test(name, () => {
      const bytes = writeLog((writer) => syntheticBoot(writer, scale));
      const reader = openLog(bytes);
      const counts = LOG_KINDS.map((kind) => `${kind} ${reader.counts[kind]}`).join(', ');
      const perThousand = (bytes.length * 1000) / BOOT_INSTRUCTIONS;
      console.log(`${name}: ${bytes.length} bytes, ${reader.records} records (${(bytes.length / reader.records).toFixed(2)} bytes each), ${perThousand.toFixed(3)} bytes per 1000 instructions; ${counts}`);
      expect(perThousand).toBeLessThan(goal);
    });
  }
});

/** Bytes of the block for `times` more repetitions, each. */
function bytesEach(times: number, repeat: (writer: LogWriter, i: number, at: (step: number) => ReturnType<typeof position>) => void): number {
  const size = (n: number): number => {
    let now = 0;
    return writeLog((writer) => {
      for (let i = 0; i < n; i++) repeat(writer, i, (step) => position((now += step)));
    }).length;
  };
  return (size(times + 10) - size(10)) / times;
}

describe('bytes by record kind', () => {
  const random = randomOf(5);
  const cases: readonly (readonly [name: string, atMost: number, repeat: Parameters<typeof bytesEach>[1]])[] = [
    ['console byte: LSR poll, OUT and uart-tx, together', 2.1, (w, i, at) => {
      w.exitIo(at(31), 0x815f_1240, KERNEL_HI, 0x3fd, 1, 0, 0x60, 1000);
      w.exitIo(at(14), 0x815f_1252, KERNEL_HI, 0x3f8, 1, ACCESS_WRITE, 0x20 + (i * 7 + random(3)) % 90, 1000);
      w.device(at(0), { kind: 'uart-tx', port: 0x3f8, byte: 0x20 });
    }],
    ['poll that repeats', 0.01, (w, _, at) => w.exitIo(at(31), 0x815f_1240, KERNEL_HI, 0x3fd, 1, 0, 0x60, 1000)],
    ['PIT read: latch, low, high, together', 5, (w, i, at) => {
      const count = (0xffff - i * 5 - random(2)) & 0xffff;
      w.exitIo(at(12), 0x8100_3410, KERNEL_HI, 0x43, 1, ACCESS_WRITE, 0, 1000);
      w.exitIo(at(3), 0x8100_3415, KERNEL_HI, 0x40, 1, 0, count & 0xff, 1000);
      w.exitIo(at(3), 0x8100_3419, KERNEL_HI, 0x40, 1, 0, count >> 8, 1000);
    }],
    ['CPUID, ten leaves at random', 5.2, (w, _, at) => w.exitCpuid(at(300 + random(400)), 0x8104_0000, KERNEL_HI, random(10), 0)],
    ['CR3 write, any of 12 tables', 5.2, (w, _, at) => w.exitCr(at(2000 + random(9000)), 0x8108_2200, KERNEL_HI, 3, CR_MOV_TO, 0, 0x10_0000 + random(12) * 0x77_7000, 0)],
    ['INVLPG, 64 pages', 5.2, (w, _, at) => w.exit(at(400 + random(100)), 0x8107_0099, KERNEL_HI, EXIT_REASONS.invlpg, 0xff20_0000 + random(64) * 4096, KERNEL_HI)],
    ['page fault, new site', 13, (w, _, at) => w.exitException(at(500 + random(20_000)), 0x40_0000 + random(0x10_0000), 0, 14, 6, 0x7f00_0000 + random(60_000) * 4096 + random(4096), 0x7f)],
    ['page fault, known site', 5.2, (w, _, at) => w.exitException(at(500 + random(9000)), 0x40_0000 + random(200) * 5, 0, 14, 6, 0x7f00_0000, 0x7f)],
    ['interrupt raised and EOI, together', 3.5, (w, _, at) => {
      w.interrupt(at(9000 + random(9000)), PHASE_RAISED, CONTROLLER_LAPIC, 0xec, -1);
      w.interrupt(at(95), PHASE_EOI, CONTROLLER_LAPIC, 0xec, -1);
    }],
    ['periodic timer: fire, arm', 3.5, (w, _, at) => {
      w.device(at(9000 + random(9000)), { kind: 'timer-fire', timer: 'pit' });
      w.device(at(0), { kind: 'timer-arm', timer: 'pit', atNs: w.position + w.timeOffsetNs + 4_000_000 });
    }],
    ['HLT and idle, together', 7.2, (w, _, at) => {
      w.exit(at(9000 + random(9000)), 0x81c0_1234, KERNEL_HI, EXIT_REASONS.hlt, 0, 0);
      w.idle(at(0), 3_000_000 + random(900_000));
    }],
    ['virtio request and completion, together', 12, (w, i, at) => {
      w.device(at(5000 + random(500)), { kind: 'virtio-request', device: 'blk0', queue: 0, head: random(8) * 2, type: 0, sector: 2048 + i * 8 + random(2) * 40_000, bytes: 4096 });
      w.device(at(5000), { kind: 'virtio-complete', device: 'blk0', queue: 0, head: random(8) * 2, status: 0, bytes: 4097 });
    }],
    ['input: one key', 6.2, (w, _, at) => w.inputConsole(at(1_000_000 + random(900_000)), 'ttyS0', Uint8Array.of(random(90)))],
    ['digest', 23, (w, _, at) => w.digest(at(1_000_000), Array.from({ length: 32 }, () => random(16).toString(16)).join(''))],
    ['dirty, 100 pages in runs', 150, (w, i, at) => w.dirty(at(1_000_000), i, Uint32Array.from({ length: 100 }, (_, page) => 512 * i + page * 2 - (page % 3)))],
  ];
  for (const [name, atMost, repeat] of cases) {
    test(name, () => {
      const each = bytesEach(1000, repeat);
      console.log(`${name}: ${each.toFixed(2)} bytes`);
      expect(each).toBeLessThan(atMost);
    });
  }
});
