/** Whether guest code is compiled to WebAssembly, and what came of it: options of the verbs that run a guest as a whole. */
import { JIT_MODES, type JitStatistics } from '../../engine/jit/jit.ts';
import { NO_PROFILE, keptProfile } from '../store/code-profile.ts';
import { chooseJit, rememberCode } from '../store/core-module.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { grouped } from './format.ts';

export const JIT_OPTIONS: readonly OptionSpec[] = [
  { name: 'jit', value: 'MODE', help: `compiling guest code: ${JIT_MODES.join(', ')} (default: CHRONOVISOR_JIT, else on). Changes speed and nothing else; eager and always are for tests` },
  { name: 'jit-profile', value: `FILE|${NO_PROFILE}`, help: 'what was compiled in earlier runs, so that it is compiled at once, and where what this one learns is added (default: CHRONOVISOR_JIT_PROFILE, else jit-profile in the cache folder)' },
  { name: 'jit-stats', help: 'what was compiled, at the end, on stderr (or in the JSON object)' },
];

/** Throws UsageError, StoreError. */
export function applyJit(parsed: Arguments): void {
  const profile = parsed.text('jit-profile');
  if (profile !== undefined) rememberCode(keptProfile(profile));
  chooseJit(parsed.words('jit', JIT_MODES)?.at(-1));
}

/** One line each; undefined: the compiler was off. */
export function jitLines(statistics: JitStatistics | undefined, position: number): readonly string[] {
  if (statistics === undefined) return ['compiled: nothing, the compiler is off'];
  const { regions, blocks, modules, liveRegions, codeBytes, madeBytes, compileMs, instructions, visits, invalidated, evicted, replaced, stopped, known, begunHot } = statistics;
  const share = position === 0 ? 0 : (instructions / position) * 100;
  return [
    `compiled: ${grouped(regions)} regions of ${(blocks / Math.max(1, regions)).toFixed(1)} blocks in ${grouped(modules)} modules, ${kilobytes(madeBytes)}; alive at the end ${grouped(liveRegions)}, ${kilobytes(codeBytes)}`,
    `  ${share.toFixed(1)} % of the instructions ran there, ${(instructions / Math.max(1, visits)).toFixed(0)} a visit (${grouped(visits)} visits)`,
    `  dropped: ${grouped(replaced)} for a larger region, ${grouped(invalidated)} because code changed, ${grouped(evicted)} with all decoded code or because memory for code was full`,
    known === undefined ? '  nothing is known of earlier runs' : `  of earlier runs ${grouped(known)} blocks are known; ${grouped(begunHot)} began hot`,
    ...(stopped === undefined ? [] : [`  the host has no room for more: ${stopped}`]),
    ...(compileMs === undefined ? [] : [`  ${compileMs.toFixed(0)} ms in making modules, on the guest's thread`]),
  ];
}

function kilobytes(bytes: number): string {
  return `${grouped(Math.round(bytes / 1000))} kB`;
}
