/**
 * A replay on the counting core tells of every PAUSE where it runs, and of its privilege; it changes nothing; and a comparison has the exits that the manual's rule makes of them:
 * a loop in the kernel leaves the guest, one in a program does not.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { Comparison } from '../../engine/analysis/comparison/comparison.ts';
import { comparingReplay } from '../../engine/analysis/comparison/replayed.ts';
import type { ComparisonReport } from '../../engine/analysis/comparison/report.ts';
import * as L from '../../engine/cpu/layout.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { candidate } from '../../engine/regimes/catalogue.ts';
import type { OptionValue } from '../../engine/regimes/regime.ts';
import { countingCoreFile } from '../../server/store/core-module.ts';
import type { Case } from './cases.ts';
import { buildTinyGuest } from './tiny-guest.ts';
import { Walker, identical, open, record } from './runs.ts';

/** Instructions of one round of the loop. */
const ROUND = 3;
/** Of a CPU at 2.5 GHz, whose virtual time is 1 ns an instruction. */
const CYCLES = 2.5 * ROUND;

function spinning(rounds: number, passes: readonly [kernel: number, user: number], port?: number): Case {
  const out = port === undefined ? [] : [0xe6, port];
  const word = [rounds & 0xff, (rounds >> 8) & 0xff, (rounds >> 16) & 0xff, 0];
  // mov ecx, rounds; again: pause; (out port, al;) dec ecx; jnz again
  const loop = { text: 'pause loop', bytes: [0xb9, ...word, 0xf3, 0x90, ...out, 0xff, 0xc9, 0x75, 0x100 - 6 - out.length] };
  return {
    story: 'pause',
    recipe: {
      guest: 'tiny', commandLine: '', protocol: 'linux64',
      machine: { memoryBytes: 16 << 20, seed: '0000000000000001', wallClockNs: '1700000000000000000', acpi: true, virtio: [], accessCostNs: 1000, counts: true },
      epochInstructions: 0, digestInstructions: 20_000,
    },
    images: { kernel: buildTinyGuest({ protocol: 'linux64', chunks: [[loop]], passes, timer: { kind: 'none' }, iopl3: true, smallPages: false, console: false }) },
    blockBytes: 4096,
    diskBytes: 0,
    drive: { slices: [7001], inputs: [], flushEvery: 0, markEvery: 0, instructionsMax: 4_000_000 },
  };
}

let counting: WebAssembly.Module;
beforeAll(() => {
  counting = new WebAssembly.Module(readFileSync(countingCoreFile()));
});

function compared(one: Case, options: Readonly<Record<string, OptionValue>> = {}): ComparisonReport {
  const comparison = new Comparison({ candidates: [candidate('hw', { options: { hostHz: 0, ...options } })], hasAdvice: true, hasPauses: true });
  const turns = comparingReplay(comparison, { reader: open(record(one).bytes), images: one.images, module: counting });
  for (;;) {
    const { done, value } = turns.next();
    if (done !== true) continue;
    expect(value).toBeUndefined();
    return comparison.report();
  }
}

const exitsOf = (report: ComparisonReport, name = 'PAUSE_INSTRUCTION'): number => report.regimes[0].run.reasons.filter((row) => row.name === name).reduce((sum, { count }) => sum + count, 0);

/** Of one loop without other exits, by the rule. */
function expectedExits(rounds: number): number {
  let exits = 0;
  for (let at = 0, window = 4096; ; window *= 2) {
    at += Math.floor(window / CYCLES) + 1;
    if (at >= rounds) return exits;
    exits++;
    at++;
  }
}

test('each PAUSE is told where it runs, as single-stepping has it', () => {
  const one = spinning(40, [2, 3]);
  const { bytes, end } = record(one);
  const replayer = new Replayer({ reader: open(bytes), images: one.images, module: counting });
  const told: string[] = [];
  replayer.machine.core.pauses = (cpl) => told.push(`@${replayer.machine.position()} ${cpl}`);
  expect(identical(replayer.run(), 'replay that tells of PAUSEs').digest).toBe(end.digest);

  const walker = new Walker(one, []);
  const { core } = walker.machine;
  const stepped: string[] = [];
  do {
    const paddr = Number(core.exports.inspectAddress(BigInt.asIntN(64, core.big(L.RIP))));
    if (new DataView(core.u8.buffer).getUint16(L.RAM + paddr, true) === 0x90f3) stepped.push(`@${walker.machine.position()} ${core.u32[L.CPL >>> 2]}`);
  } while (walker.to(walker.machine.position() + 1));
  expect(told).toEqual(stepped);
  expect(told.filter((line) => line.endsWith(' 0'))).toHaveLength(80);
  expect(told.filter((line) => line.endsWith(' 3'))).toHaveLength(120);
});

test('a loop in the kernel leaves the guest, in a window that doubles; one in a program does not', () => {
  const rounds = 20_000;
  const kernel = compared(spinning(rounds, [1, 0]));
  expect(kernel.pauses).toEqual({ kernel: rounds, user: 0 });
  expect(expectedExits(rounds)).toBe(5);
  expect(exitsOf(kernel)).toBe(5);
  expect(kernel.regimes[0].missing).not.toContain('pauses');
  expect(kernel.regimes[0].removals.find(({ option }) => option === 'pauseLoops')).toMatchObject({ to: false, exitsSaved: 5 });

  const user = compared(spinning(rounds, [0, 1]));
  expect(user.pauses).toEqual({ kernel: 0, user: rounds });
  expect(exitsOf(user)).toBe(0);
  expect(exitsOf(compared(spinning(rounds, [0, 1]), { vendor: 'amd' }), 'pause')).toBe(Math.floor(Math.log2(rounds / 3000 + 1)));
});

test('off with pause_in_guest; and a loop that leaves the guest in each round for another reason is none', () => {
  expect(exitsOf(compared(spinning(20_000, [1, 0]), { pauseLoops: false }))).toBe(0);
  const polling = compared(spinning(3000, [1, 0], 0x80));
  expect(exitsOf(polling, 'IO_INSTRUCTION')).toBeGreaterThanOrEqual(3000);
  expect(exitsOf(polling)).toBe(0);
});

test('an interrupt of the host begins the loop anew', () => {
  // 60 us of a loop, interrupted every 100 us at 10 kHz of the host: once or never; and 600 us: six times.
  const long = compared(spinning(200_000, [1, 0]), { hostHz: 10_000 });
  expect(exitsOf(long, 'EXTERNAL_INTERRUPT')).toBeGreaterThanOrEqual(5);
  expect(exitsOf(long)).toBeLessThan(expectedExits(200_000));
  expect(exitsOf(long)).toBeGreaterThan(0);
});
