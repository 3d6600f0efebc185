/** Call stacks and tasks at exits, followed through a whole replay, against what engine/debug finds at single moments; sums against the profile without them. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { ExitProfileFold } from '../../engine/analysis/exit-profile/fold.ts';
import { type ExitProfile, foldedStacks } from '../../engine/analysis/exit-profile/profile.ts';
import { callStack } from '../../engine/debug/call-stack.ts';
import { ExitContexts } from '../../engine/debug/exit-contexts.ts';
import { type GuestSymbols, guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { currentProcess } from '../../engine/debug/lab-kernel.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { LogEntry } from '../../engine/log/reader.ts';
import { candidate, projectionOf } from '../../engine/regimes/catalogue.ts';
import { core } from '../determinism/runs.ts';
import { labRecording } from './lab.ts';

let travel: TimeTravel;
let symbols: GuestSymbols;
let contexts: ExitContexts;
let exits: readonly LogEntry[];
let end: string;

beforeAll(() => {
  const lab = labRecording();
  travel = lab.travel;
  symbols = guestSymbols(travel, lab.kernel);
  contexts = new ExitContexts({ reader: travel.reader, images: { kernel: lab.kernel }, module: core() }, symbols);
  end = contexts.replayer.run().kind;
  // Where an interrupt is injected, two stacks share a position.
  const injected = new Set([...travel.reader.events({ kinds: ['interrupt'] })].map(({ position }) => position));
  exits = [...travel.reader.entries({ kinds: ['exit'] })].filter(({ event }) => !injected.has(event.position));
}, 60_000);

const framesAt = (record: number): readonly string[] => contexts.names.stacks.framesOf(contexts.columns.stackAt(record));

/** The same words as of ExitContexts, from callStack(). Outermost first. */
function toldBy(rip: bigint): string[] {
  const labels: string[] = [];
  const add = (label: string): void => void (/^\[(user|kernel)\]$/.test(label) && labels[labels.length - 1] === label ? 0 : labels.push(label));
  const label = (address: bigint): string => symbols.table.at(address)?.name ?? (address >= 1n << 63n ? '[kernel]' : '[user]');
  const frames = callStack(travel, symbols);
  add(label(rip));
  for (const [i, { kind }] of frames.entries()) {
    if (kind === 'top') break;
    if (kind !== 'call') labels.push(kind);
    add(label(frames[i + 1].rip - (kind === 'interrupt' ? 0n : 1n)));
  }
  return labels.reverse();
}

test('the observers leave no trace: every event and digest is the recording\'s', () => {
  expect(end).toBe('identical');
});

test('stacks at drawn exits are those of callStack(), tasks those of the kernel\'s memory', () => {
  // Half of the draws are exits that are no port access: those are nearly all of one place.
  const rare = exits.filter(({ event }) => event.kind === 'exit' && event.detail.kind !== 'io');
  const depths = new Set<number>();
  fc.assert(fc.property(fc.boolean(), fc.nat(), (isRare, n) => {
    const from = isRare ? rare : exits;
    const { event, index } = from[n % from.length];
    if (event.kind !== 'exit') throw new Error('not an exit');
    travel.seek(event.position);
    const process = currentProcess(travel.machine, symbols);
    if (process !== undefined) expect(contexts.names.tasks[contexts.columns.taskAt(index)]).toBe(`${process.name}-${process.pid}`);
    const found = framesAt(index).map((frame) => (frame === '[syscall]' ? 'syscall' : /^\[(#|interrupt)/.test(frame) ? 'interrupt' : frame));
    depths.add(found.length);
    expect([event.position, ...found]).toEqual([event.position, ...toldBy(event.rip)]);
  }), { numRuns: 10, seed: 7 }); // prettier-ignore
  expect(Math.max(...depths)).toBeGreaterThan(5);
}, 120_000);

test('sums by task and by stack are those of the profile without them, with and without costs', () => {
  for (const regime of [undefined, 'hw', 'full']) {
    const chosen = regime === undefined ? undefined : candidate(regime, {});
    const profileOf = (names: typeof contexts.names | undefined): ExitProfile => {
      const fold = new ExitProfileFold({ name: 'lab', contexts: names, projection: chosen === undefined ? undefined : projectionOf(chosen) });
      for (let i = 0; i < travel.reader.eventBlocks.length; i++) fold.fold(travel.reader.batch(i), 0, undefined, names === undefined ? undefined : contexts.columns);
      return fold.report();
    };
    const plain = profileOf(undefined);
    const found = profileOf(contexts.names);
    const { task, stack, ...rest } = found.by;
    expect(rest).toEqual(plain.by);
    for (const rows of [task ?? [], stack ?? []]) {
      expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(plain.exits);
      expect(rows.filter(({ isIdle }) => isIdle).reduce((sum, { count }) => sum + count, 0)).toBe(plain.idleExits);
      expect(rows.filter(({ isIdle }) => !isIdle).reduce((sum, { cost }) => sum + (cost?.total ?? 0), 0)).toBeCloseTo(plain.work?.typical ?? 0, 3);
    }
    const weight = (lines: readonly string[]): number => lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    expect(weight(foldedStacks(found))).toBe(weight(foldedStacks(plain)));
    expect(foldedStacks(found).some((line) => /^work-\d+;\[user\];\[syscall\];syscall_entry;syscall_dispatch;tty_write;tty_output;uart_write;[\w_]+;port 0x3f8 uart \d+$|^work-\d+;\[user\];\[syscall\];.*uart_write/.test(line))).toBe(true);
  }
});
