/** An observer sees what single-stepping sees, and nothing that it does can be seen by the guest or the log. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { type Case, tinyCases } from './cases.ts';
import type { Instruction } from './instructions.ts';
import { Walker, assertProperty, core, open, record } from './runs.ts';
import { buildTinyGuest } from './tiny-guest.ts';

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

/** A call whose push is observed, to code that cannot be fetched: its fault and what comes from outside at the very position of it have the order that they have without an observer. */
test('a fetch that faults behind an observed store keeps its place among the events', () => {
  const leapsIntoNothing: readonly Instruction[] = [
    { text: 'mov ecx, 0x7f000000; call rcx', bytes: [0xb9, 0, 0, 0, 0x7f, 0xff, 0xd1] },
    { text: 'out 0x20, 0', bytes: [0x31, 0xc0, 0xe6, 0x20] },
  ];
  const one: Case = {
    story: 'a guest that calls what is not there',
    recipe: {
      guest: 'tiny', commandLine: '', protocol: 'linux64',
      machine: { memoryBytes: 16 << 20, seed: '0000000000000000', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 1000 },
      epochInstructions: 0, digestInstructions: 0,
    },
    images: { kernel: buildTinyGuest({ protocol: 'linux64', chunks: [leapsIntoNothing], passes: [1, 1], timer: { kind: 'none' }, iopl3: false, smallPages: false, console: true }) },
    blockBytes: 2048, diskBytes: 0,
    drive: { slices: [1_000_000], inputs: [], flushEvery: 0, markEvery: 0, instructionsMax: 3000 },
  }; // prettier-ignore
  let faultsHere = 0;
  for (let after = 40; after < 120; after++) {
    const { bytes } = record(one, { ...one.drive, inputs: [{ after, idle: undefined, text: 'x' }] });
    const reader = open(bytes);
    const input = [...reader.events({ kinds: ['input'] })].find(({ position }) => position === after);
    if (input !== undefined && [...reader.events({ kinds: ['exit'] })].some((event) => event.kind === 'exit' && event.position === after && event.detail.kind === 'exception')) faultsHere++;
    const replayer = new Replayer({ reader, images: one.images, module: core() });
    for (let frame = 0; frame < 4096; frame++) replayer.machine.core.watchFrame(frame, L.WATCH_WRITE);
    replayer.machine.observe({ access: () => false });
    expect([after, replayer.run()]).toMatchObject([after, { kind: 'identical' }]);
  }
  expect(faultsHere).toBeGreaterThan(0);
});
