/** What drawn runs meet in compiled code. A fixed seed: whether each kind is met is no matter of luck. */
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { EXIT_REASONS } from '../../engine/log/events.ts';
import * as L from '../../engine/cpu/layout.ts';
import { Jit, setJitMode } from '../../engine/jit/jit.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import { tinyCases } from '../determinism/cases.ts';
import { core, open, record } from '../determinism/runs.ts';
import { PLACE } from '../determinism/tiny-guest.ts';
import { keepsTheMode } from './lock-step.ts';

keepsTheMode();
afterEach(() => vi.restoreAllMocks());

const CASES = 80;
const PAGE = 4096;

/** Guest-physical code that a compiled block was made of. */
interface Compiled {
  readonly at: number;
  readonly bytes: Uint8Array;
}

test('faults, page boundaries, self-modification, page tables, remapped code and changes of mode are drawn, in code that is compiled', () => {
  core();
  setJitMode('always');
  const met = new Map<string, number>();
  const meet = (kind: string, times = 1): void => void met.set(kind, (met.get(kind) ?? 0) + times);

  let blocks: Compiled[] = [];
  const { hotBlock, dropCompiled } = Jit.prototype;
  vi.spyOn(Jit.prototype, 'hotBlock').mockImplementation(function (this: Jit, block) {
    hotBlock.call(this, block);
    const memory = (this as unknown as { readonly core: Machine['core'] }).core;
    if (memory.u32[(block + L.BLOCK_COMPILED) >>> 2] === 0) return;
    const at = memory.u32[(block + L.BLOCK_PADDR) >>> 2];
    blocks.push({ at, bytes: memory.u8.slice(L.RAM + at, L.RAM + at + memory.u16[(block + L.BLOCK_BYTES) >>> 1]) });
  });
  vi.spyOn(Jit.prototype, 'dropCompiled').mockImplementation(function (this: Jit, block) {
    meet('code that changes');
    dropCompiled.call(this, block);
  });

  for (const one of fc.sample(tinyCases(8000, 40), { seed: 1, numRuns: CASES })) {
    blocks = [];
    let machine: Machine | undefined;
    const { bytes } = record(one, one.drive, (recorder) => (machine = recorder.machine));
    const compiledAt = (rip: bigint): boolean => blocks.some(({ at, bytes: { length } }) => rip >= at && rip < at + length);
    const areBothCompiled = (): boolean => PLACE.aliasFrames.every((frame) => blocks.some(({ at }) => at >= frame && at < frame + PAGE));
    for (const event of open(bytes).events({ kinds: ['exit'] })) {
      if (event.kind !== 'exit' || !compiledAt(event.rip)) continue;
      const { reason, detail } = event;
      if (reason === EXIT_REASONS.exception && detail.kind === 'exception') meet(`vector ${detail.vector}`);
      if (detail.kind === 'page-table') {
        meet('a store to a page table');
        if (PLACE.aliasEntries.includes(detail.address) && areBothCompiled()) meet('code that is mapped elsewhere');
      }
      if (reason === EXIT_REASONS.cr) meet('a control register');
    }
    for (const { bytes: code } of blocks) meet('an operand over the end of a page', operandsOverPages(code));
    if (new Set(blocks.filter(({ at }) => at >= PLACE.code && at < PLACE.aliasFrames[0]).map(({ at }) => Math.floor(at / PAGE))).size > 1) meet('a program in two pages');
    if (blocks.some(({ bytes: code }) => code.at(-2) === 0x48 && code.at(-1) === 0xcb)) meet('to 32-bit code', machine!.core.u32[(L.RAM + PLACE.entered32) >>> 2]);
  }
  console.log(Object.fromEntries([...met].sort()));
  for (const kind of [
    'vector 0', 'vector 6', 'vector 13', 'vector 14', 'an operand over the end of a page', 'a program in two pages', 'code that changes', 'a store to a page table', 'a control register', 'code that is mapped elsewhere', 'to 32-bit code',
  ]) expect(met.get(kind), kind).toBeGreaterThan(0); // prettier-ignore
});

/** Of instructions with an operand of 32 or 64 bits at an absolute address: REX, opcode for more than a byte, ModRM and SIB without registers, displacement. */
function operandsOverPages(code: Uint8Array): number {
  let count = 0;
  for (let i = 0; i + 8 <= code.length; i++) {
    const isAbsolute = (code[i] & 0xf0) === 0x40 && (code[i + 1] & 1) === 1 && (code[i + 2] & 0xc7) === 0x04 && code[i + 3] === 0x25;
    const size = (code[i] & 8) !== 0 ? 8 : code[i - 1] === 0x66 ? 2 : 4;
    if (isAbsolute && ((code[i + 4] | (code[i + 5] << 8)) & (PAGE - 1)) > PAGE - size) count++;
  }
  return count;
}
