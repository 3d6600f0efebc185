/** An observer sees what single-stepping sees, and nothing that it does can be seen by the guest or the log. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import { type Case, tinyCases } from './cases.ts';
import { Walker, assertProperty } from './runs.ts';

const FILE = 'test/determinism/observer.test.ts';
const END = 12_000;

interface Looks {
  /** Watched frames as parts of those the guest dirties, 0 to 1. */
  readonly frames: readonly number[];
  readonly watch: number;
  readonly calls: boolean;
  /** Positions whose instruction is a breakpoint, 0 to 1 of the run. */
  readonly breaks: readonly number[];
}
const part = fc.noBias(fc.nat(999_999)).map((n) => n / 1_000_000);
const looks: fc.Arbitrary<Looks> = fc.record({
  frames: fc.array(part, { maxLength: 4 }),
  watch: fc.constantFrom(L.WATCH_READ, L.WATCH_WRITE, L.WATCH_READ | L.WATCH_WRITE),
  calls: fc.boolean(),
  breaks: fc.array(part, { maxLength: 4 }),
});

interface Step {
  readonly position: number;
  readonly rip: bigint;
}

/** Every position and rip up to END, one instruction at a time, and the frames the guest wrote. */
function scan(one: Case): { readonly steps: readonly Step[]; readonly frames: readonly number[]; readonly digest: string } {
  const walker = new Walker(one, []);
  const steps: Step[] = [];
  const { core } = walker.machine;
  walker.machine.takeDirty();
  for (;;) {
    steps.push({ position: walker.machine.position(), rip: core.big(L.RIP) });
    if (!walker.to(walker.machine.position() + 1) || walker.machine.position() >= END) break;
  }
  return { digest: walker.machine.digest().digest, frames: [...walker.machine.takeDirty()], steps };
}

function looksAndLeavesNoTrace(one: Case, { frames, watch, calls, breaks }: Looks): void {
  const { steps, frames: dirty, digest } = scan(one);
  const walker = new Walker(one, []);
  const { machine } = walker;
  const { core } = machine;
  const watched = new Set(dirty.length === 0 ? [] : frames.map((f) => dirty[Math.floor(f * dirty.length)]));
  const wanted = new Set(breaks.map((f) => steps[Math.floor(f * steps.length)].rip));
  for (const frame of watched) core.watchFrame(frame, watch);
  core.observeCode(wanted, calls);
  const started: Step[] = [];
  const bytes = (frame: number): Uint8Array => core.u8.slice(L.RAM + frame * 4096, L.RAM + frame * 4096 + 4096);
  const before = new Map([...watched].map((frame) => [frame, bytes(frame)]));
  const written = new Set<number>();
  machine.observe({
    start: (kinds) => {
      const rip = core.big(L.REGS + L.REG_PAGE * 8) + BigInt(core.u16[(core.u32[L.CURSOR >>> 2] + 16) >>> 1]);
      if ((kinds & L.OBSERVE_START) !== 0 && wanted.has(rip)) started.push({ position: machine.position(), rip });
      return false;
    },
    access: (kind, paddr, size) => {
      expect(watched.has(paddr >>> 12)).toBe(true);
      if (kind !== L.ACCESS_LOAD) for (let i = 0; i < size; i++) written.add(paddr + i);
      return false;
    },
  });
  const last = steps[steps.length - 1].position;
  walker.to(END);
  expect(machine.digest().digest).toBe(digest);

  // What begins at a place where single-stepping stands and moves on, begins here too.
  const places = new Map(steps.map(({ position, rip }) => [position, rip]));
  for (const { position, rip } of started) if (position <= last && places.has(position) && places.get(position) !== rip) expect(core.exports.inspectAddress(rip)).toBeTypeOf('bigint');
  const seen = new Set(started.map(({ position }) => position));
  let missed = 0;
  for (const { position, rip } of steps) if (wanted.has(rip) && position < last && !seen.has(position)) missed++;
  // An interrupt that is delivered at the very position takes the place of the instruction.
  const deliveries = steps.length - started.length;
  expect(missed).toBeLessThanOrEqual(deliveries);

  if ((watch & L.WATCH_WRITE) !== 0) {
    for (const [frame, old] of before) {
      const now = bytes(frame);
      for (let i = 0; i < 4096; i++) if (now[i] !== old[i] && !written.has(frame * 4096 + i)) throw new Error(`byte 0x${(frame * 4096 + i).toString(16)} changed and no store was seen`);
    }
  }
}

test('an observer leaves no trace and misses no store', () => {
  assertProperty(FILE, fc.property(tinyCases(END), looks, looksAndLeavesNoTrace), 15, 4_000);
});

/** A run that stops wherever the observer says so comes to the same end. */
function stopsAndGoesOn(one: Case, { frames, watch, calls, breaks }: Looks): void {
  const { steps, frames: dirty, digest } = scan(one);
  const walker = new Walker(one, []);
  const { machine } = walker;
  for (const f of frames) if (dirty.length > 0) machine.core.watchFrame(dirty[Math.floor(f * dirty.length)], watch);
  machine.core.observeCode(breaks.map((f) => steps[Math.floor(f * steps.length)].rip), calls);
  let stops = 0;
  machine.observe({ start: () => ++stops < 500, access: () => ++stops < 500 });
  walker.to(END);
  expect(machine.digest().digest).toBe(digest);
}

test('stops of an observer change nothing', () => {
  assertProperty(FILE, fc.property(tinyCases(END), looks, stopsAndGoesOn), 15, 4_000);
});
