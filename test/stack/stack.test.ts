/** Call stacks and steps by function, against a model that single-steps the lab kernel; looking leaves no trace. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { callStack } from '../../engine/debug/call-stack.ts';
import { type GuestSymbols, guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { callChain } from './frame-pointers.ts';
import { type StepStop, finish, reverseStepOut, reverseStepOver, reverseSteppingOverLine, stepOut, stepOver, steppingOverLine } from '../../engine/debug/steps.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import { labRecording } from './lab.ts';
import { Tracker } from './tracker.ts';

let travel: TimeTravel;
let symbols: GuestSymbols;
let trackers: Tracker[];

/** Stretches of the recording: a fork and an exec; around interrupts of the kernel and of processes. */
const STRETCH = 16_000;
const PARTS = [0.5];
const INTERRUPTS = [0.1, 0.6];

beforeAll(() => {
  const lab = labRecording();
  travel = lab.travel;
  symbols = guestSymbols(travel, lab.kernel);
  travel.seek(Number.MAX_SAFE_INTEGER);
  const injected = [...travel.reader.events({ kinds: ['interrupt'] })].filter((event) => event.kind === 'interrupt' && event.phase === 'injected');
  // Those that interrupt the kernel are few.
  const inKernel = injected.filter(({ position }) => {
    travel.seek(position);
    return readRegister(travel.machine, 'cpl') === 0n && readRegister(travel.machine, 'halted') === 0n;
  });
  const at = (list: readonly { readonly position: number }[], part: number): number => Math.max(0, list[Math.floor(part * list.length)].position - STRETCH / 2);
  const starts = [...PARTS.map((part) => Math.floor(travel.last * part)), ...INTERRUPTS.map((part) => at(injected, part)), ...INTERRUPTS.map((part) => at(inKernel, part))];
  trackers = starts.map((from) => new Tracker(travel, symbols.table, from, from + STRETCH));
});

const places = fc.tuple(fc.nat(PARTS.length + 2 * INTERRUPTS.length - 1), fc.oneof(fc.integer({ min: STRETCH / 4, max: STRETCH - 1 }), fc.integer({ min: STRETCH / 2, max: STRETCH / 2 + 600 })));

function told(tracker: Tracker, position: number): string[] {
  const instruction = tracker.at(position).instruction;
  return [`@${position} ${symbols.tell(tracker.at(position).rip)}: ${instruction.mnemonic} ${instruction.operands}`];
}

describe('call stacks', () => {
  test('the frames made in a stretch are those of the model, with the positions that made them', () => {
    fc.assert(fc.property(places, ([which, offset]) => {
      const tracker = trackers[which];
      const position = tracker.from + offset;
      travel.seek(position);
      const before = travel.machine.digest().digest;
      const frames = callStack(travel, symbols);
      expect([travel.position, travel.machine.digest().digest]).toEqual([position, before]);
      const expected = tracker.frames(position).map(({ kind, position: at, above }) => `${kind} @${at} ${above.toString(16)}`);
      const found = frames.slice(0, expected.length).map(({ kind, calledAt, stackPointer }) => `${kind} @${calledAt} ${stackPointer.toString(16)}`);
      expect([...told(tracker, position), ...found]).toEqual([...told(tracker, position), ...expected]);
      expect(frames[expected.length]?.calledAt ?? 0).toBeLessThan(tracker.from);
    }), { numRuns: 25, seed: 1 }); // prettier-ignore
  }, 120_000);

  test('where functions keep frame pointers, they lead to the same functions', () => {
    let compared = 0;
    for (let i = 1; i < 12; i++) {
      travel.seek(Math.floor((travel.last * i) / 12) + 17);
      const rip = readRegister(travel.machine, 'rip') ?? 0n;
      const chain = callChain(travel, symbols.table);
      // In the first instructions of a function the frame pointer is its caller's.
      if (rip < 1n << 63n || chain.length < 3 || rip - (symbols.table.at(rip)?.address ?? 0n) < 8n) continue;
      const frames = callStack(travel, symbols);
      expect(frames.slice(0, chain.length).map((frame) => frame.rip)).toEqual(chain);
      compared++;
    }
    expect(compared).toBeGreaterThan(0);
  }, 120_000);
});

describe('steps', () => {
  const check = (name: string, position: number, tracker: Tracker, expected: number, run: () => StepStop): void => {
    const stop = run();
    expect([name, ...told(tracker, position), stop.kind, stop.position]).toEqual([name, ...told(tracker, position), 'step', expected]);
    expect(travel.position).toBe(expected);
  };

  test('over, out and back end where the model says', () => {
    fc.assert(fc.property(places, ([which, offset]) => {
      const tracker = trackers[which];
      const position = tracker.from + offset;
      const over = tracker.over(position);
      if (over !== undefined) {
        travel.seek(position);
        check('over', position, tracker, over, () => stepOver(travel));
        // Back from there is the instruction that the step began with, or began again with after a handler.
        const { node, rip, instruction, delivers } = tracker.at(position);
        let first = position;
        if (/^rep/.test(instruction.mnemonic)) while (tracker.at(first - 1)?.rip === rip) first--;
        if (!delivers && tracker.at(over).node === node) check('back over', over, tracker, first, () => reverseStepOver(travel));
      }
      const out = tracker.out(position);
      if (out !== undefined) {
        travel.seek(position);
        check('out', position, tracker, out, () => stepOut(travel, symbols));
      }
      const [maker] = tracker.frames(position);
      if (maker !== undefined) {
        travel.seek(position);
        check('back out', position, tracker, maker.position, () => reverseStepOut(travel, symbols));
      }
    }), { numRuns: 25, seed: 2 }); // prettier-ignore
  }, 120_000);

  test('a call stack between a delivery and its handler begins with the delivery; looking does not move the cursor', () => {
    const stubs = symbols.table.find('trap_stubs').address;
    travel.seek(Math.floor(travel.last * 0.5));
    // Vector 14: page faults.
    const stop = travel.continue([{ kind: 'breakpoint', address: stubs + 14n * 16n }]);
    expect([stop.kind, travel.isBetween]).toEqual(['stop-point', true]);
    const { position } = travel;
    const before = travel.machine.digest().digest;
    const [frame, interrupted] = callStack(travel, symbols);
    expect([travel.position, travel.isBetween, travel.machine.digest().digest]).toEqual([position, true, before]);
    expect([frame.kind, frame.calledAt]).toEqual(['interrupt', position]);
    travel.reverseStep();
    expect([travel.position, readRegister(travel.machine, 'rip'), readRegister(travel.machine, 'rsp')]).toEqual([position, interrupted.rip, frame.stackPointer]);
  });

  test('lines: each step over leads to the beginning of another line, and back again', () => {
    travel.seek(Math.floor(travel.last * 0.5));
    const main = symbols.table.find('syscall_dispatch');
    travel.continue([{ kind: 'breakpoint', address: main.address }]);
    const here = (): string => {
      const rip = readRegister(travel.machine, 'rip') ?? 0n;
      const line = symbols.lineOf(rip);
      if (line === undefined || !symbols.addressesOf(line.file, line.line).includes(rip)) throw new Error(`@${travel.position} ${symbols.tell(rip)} is not the beginning of a line`);
      return `${line.file}:${line.line}`;
    };
    const visited: { readonly position: number; readonly line: string }[] = [];
    for (let i = 0; i < 5; i++) {
      const stop = finish(steppingOverLine(travel, symbols));
      expect(stop.kind).toBe('step');
      visited.push({ position: travel.position, line: here() });
    }
    for (let i = 1; i < visited.length; i++) expect(visited[i].line).not.toBe(visited[i - 1].line);
    for (const { position, line } of visited.slice(0, -1).reverse()) {
      finish(reverseSteppingOverLine(travel, symbols));
      expect([travel.position, here()]).toEqual([position, line]);
    }
  });
});
