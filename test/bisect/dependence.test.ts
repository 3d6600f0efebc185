/** Values whose bytes change place: through a pointer to where nobody looked before, and through other page tables. Hand-made guests, each position looked at. */
import { describe, expect, test } from 'vitest';
import { bisect } from '../../engine/debug/bisect.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import { SymbolTable } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { MemorySink } from '../../engine/log/storage.ts';
import { buildElf, pvhNote } from '../../engine/machine/boot/testing.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { core, open } from '../determinism/runs.ts';

const BASE = 0x100000;
const word = (value: number): number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
/** 32-bit code: Intel SDM, volume 2. */
const store = (address: number, value: number): number[] => [0xc7, 0x05, ...word(address), ...word(value)];
const NOP = [0x90];
const setCr3 = (value: number): number[] => [0xb8, ...word(value), 0x0f, 0x22, 0xd8];
const SET_PSE = [0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x10, 0x0f, 0x22, 0xe0];
const SET_PG = [0x0f, 0x20, 0xc0, 0x0d, ...word(0x80000000), 0x0f, 0x22, 0xc0];
const LEAVE = [0xb0, 0x00, 0xe6, 0xf4];

function travelOf(code: readonly number[]): TimeTravel {
  const images = { kernel: buildElf({ loads: [{ paddr: BigInt(BASE), bytes: Uint8Array.from(code) }], notes: [pvhNote(BASE)] }) };
  const sink = new MemorySink();
  const recorder = new Recorder({
    recipe: {
      guest: 'hand-made', commandLine: '', protocol: 'pvh', epochInstructions: 4, digestInstructions: 0,
      machine: { memoryBytes: 16 << 20, seed: '0000000000000000', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 1000 },
    },
    images,
    module: core(),
    log: { sink, id: 'dependence', product: 'test' },
  }); // prettier-ignore
  expect(recorder.step(10_000, true)).toMatchObject({ kind: 'ended', reason: 'debug-exit' });
  return new TimeTravel({ reader: open(sink.toBytes()), images, module: core() });
}

/** Where it is true, looked at one by one; the questions must say the same. */
function truths(travel: TimeTravel, text: string): readonly number[] {
  const expression = parseExpression(text, SymbolTable.EMPTY);
  const view = new ExpressionView(travel.machine);
  const found: number[] = [];
  travel.seek(Number.MAX_SAFE_INTEGER);
  const to = travel.position;
  for (let at = 0; at <= to; at++) {
    travel.seek(at);
    view.forget();
    if (expression.isTrue(view)) found.push(at);
  }
  // Short stretches, too, which dirty sets and values of address spaces rule out.
  for (const stretch of [undefined, 1]) {
    for (let from = 0; from <= to; from += stretch === undefined ? 1 : 4) {
      const first = bisect(travel, expression, { from, to, stays: false, ...(stretch !== undefined && { stretch }) });
      expect([from, first.kind === 'none' ? undefined : first.position]).toEqual([from, found.find((at) => at >= from)]);
      expect(first.method).toBe('memory');
    }
    for (let end: number = to; end >= 0; end -= stretch === undefined ? to : 2) {
      const stays = bisect(travel, expression, { from: 0, to: end, stays: true, ...(stretch !== undefined && { stretch }) });
      let begin: number | undefined;
      for (let at = end; found.includes(at); at--) begin = at;
      expect([end, stays.kind === 'none' ? undefined : stays.position]).toEqual([end, begin]);
    }
  }
  return found;
}

describe('the place of a value changes', () => {
  test('through a pointer, and what it points to now is written at once', () => {
    const code = [...NOP, ...store(0x300000, 0x302000), ...store(0x302000, 5), ...store(0x302000, 6), ...NOP, ...store(0x300000, 0x303004), ...store(0x303004, 5), ...NOP, ...LEAVE];
    const found = truths(travelOf(code), 'u32(u32(0x300000)) == 5');
    expect(found.slice(0, 2)).toEqual([3, 7]);
  });

  test('through CR0 and CR3', () => {
    // Two page directories with 4 MiB pages: in one 0x400000 is physical 0, in the other itself.
    const tables = [...store(0x310000, 0x83), ...store(0x310004, 0x83), ...store(0x311000, 0x83), ...store(0x311004, 0x400083)];
    const code = [...store(0x300000, 5), ...tables, ...SET_PSE, ...setCr3(0x310000), ...SET_PG, ...NOP, ...NOP, ...setCr3(0x311000), ...NOP, ...store(0x700000, 7), ...setCr3(0x310000), ...NOP, ...LEAVE];
    const travel = travelOf(code);
    const found = truths(travel, 'u32(0x700000) == 5');
    // True twice, with a gap while the other directory is in use.
    expect(found.filter((at, i) => i > 0 && found[i - 1] !== at - 1)).toHaveLength(1);
    expect(truths(travel, 'u32(0x700000) == 7').length).toBeGreaterThan(0);
  });

  test('through an entry of a page table', () => {
    const tables = [...store(0x310000, 0x83), ...store(0x310004, 0x400083)];
    const code = [...store(0x300000, 5), ...tables, ...SET_PSE, ...setCr3(0x310000), ...SET_PG, ...NOP, ...store(0x310004, 0x83), ...NOP, ...NOP, ...store(0x310004, 0), ...NOP, ...LEAVE];
    const found = truths(travelOf(code), 'u32(0x700000) == 5');
    expect(found.length).toBe(3);
  });
});
