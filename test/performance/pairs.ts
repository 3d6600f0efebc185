/**
 * Two builds, or two modes of the compiler, in turns in one process: `npm run build && node dist/test/performance/pairs.js [A] [B]`, each another build's `dist` (default: this one). Options:
 *
 *     --jit A,B        the compiler's mode of each (on,on): off, on, eager, always
 *     --step N         instructions of a turn (4,000,000)
 *
 * A process by itself differs from the next one by a third where other machines share the host; a turn of some 40 ms and the one after it do not. For each phase of the benchmark's guest: the sums, and the median of the
 * turns' ratios A : B (above 1, B is faster). What is timed is the guest's thread (wall time); V8's compilers work beside it, for both at once.
 */
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { JIT_MODES, type JitMode } from '../../engine/jit/jit.ts';
import { PHASES, findMarks, loadBenchGuest } from './guest.ts';
import { table } from './report.ts';

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: { jit: { type: 'string', default: 'on,on' }, step: { type: 'string', default: '4000000' } } });
const step = Number(options.step);
if (!Number.isSafeInteger(step) || step < 1) throw new Error(`--step ${options.step}: a whole number from 1`);
const modes = options.jit.split(',').map((text): JitMode => JIT_MODES.find((each) => each === text) ?? fail(`--jit ${options.jit}: two of ${JIT_MODES.join(', ')}`));
if (modes.length !== 2 || positionals.length > 2) fail('usage: pairs.js [A] [B] [--jit MODE,MODE] [--step N]');
function fail(message: string): never {
  throw new Error(message);
}

const here = fileURLToPath(new URL('../../', import.meta.url));
const guest = await loadBenchGuest();
let phase = 0;

async function start(folder: string, mode: JitMode) {
  const load = <Module>(path: string): Promise<Module> => import(pathToFileURL(resolve(folder, path)).href) as Promise<Module>;
  const { setJitMode } = await load<typeof import('../../engine/jit/jit.ts')>('engine/jit/jit.js');
  const { Recorder } = await load<typeof import('../../engine/recording/recorder.ts')>('engine/recording/recorder.js');
  const { loadCore, recipeOf } = await load<typeof import('../linux/harness.ts')>('test/linux/harness.js');
  const { newHostHash } = await load<typeof import('../../server/store/host-hash.ts')>('server/store/host-hash.js');
  const module = loadCore();
  // A machine takes the mode when it is made.
  setJitMode(mode);
  const images = { kernel: guest.kernel, initrd: guest.initrd };
  let seen = 0;
  const recorder = new Recorder({ recipe: recipeOf({ guest, script: '', record: false }), images, module, newHash: newHostHash, outputs: { console: findMarks(() => seen++) } });
  return {
    recorder,
    get seen(): number {
      return seen;
    },
    /** Milliseconds of a turn, and whether the guest goes on. */
    turn(): readonly [number, boolean] {
      const begin = performance.now();
      const isRunning = recorder.step(step, true).kind === 'running';
      return [performance.now() - begin, isRunning];
    },
  };
}

const a = await start(positionals[0] ?? here, modes[0]);
const b = await start(positionals[1] ?? here, modes[1]);
const rows: string[][] = [];
let turns: (readonly [number, number])[] = [];
for (let isRunning = true, count = 0; isRunning; count++) {
  const isSwapped = count % 2 === 1;
  const first = (isSwapped ? b : a).turn();
  const second = (isSwapped ? a : b).turn();
  turns.push(isSwapped ? [second[0], first[0]] : [first[0], second[0]]);
  isRunning = first[1] && second[1];
  if (a.recorder.position !== b.recorder.position) throw new Error(`A is at @${a.recorder.position} and B at @${b.recorder.position}: they do not run the same`);
  if (a.seen === phase) continue;
  const sums = [0, 1].map((side) => turns.reduce((sum, each) => sum + each[side], 0));
  const ratios = turns.map(([one, other]) => one / other).sort((x, y) => x - y);
  rows.push([PHASES[phase].title, String(turns.length), ...sums.map((ms) => (ms / 1000).toFixed(2)), (sums[0] / sums[1]).toFixed(2), ratios[ratios.length >> 1].toFixed(2)]);
  turns = [];
  phase = a.seen;
}
console.log(`A: ${positionals[0] ?? 'this build'}, ${modes[0]}; B: ${positionals[1] ?? 'this build'}, ${modes[1]}\n`);
console.log(table([['phase', 'turns', 'A, s', 'B, s', 'A : B', 'median of turns'], ...rows]));
