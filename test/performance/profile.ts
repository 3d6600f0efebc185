/**
 * Where the time of a run goes: `node dist/test/performance/profile.js`, one run of the benchmark's guest (mode `plain`) under V8's sampling profiler.
 * A table of phases: instructions, seconds of the guest's thread and of V8's (Linux only), and of what the guest's thread did.
 */
import { readFileSync } from 'node:fs';
import { Session, type Profiler } from 'node:inspector';
import { setJitMode } from '../../engine/jit/jit.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { newHostHash } from '../../server/store/host-hash.ts';
import { loadCore, recipeOf } from '../linux/harness.ts';
import { PHASES, findMarks, loadBenchGuest } from './guest.ts';
import { table } from './report.ts';

const SAMPLE_US = 500;
const SLICE_INSTRUCTIONS = 10_000_000;

/** What the guest's thread is at. */
const KINDS = ['interpreter', 'compiled', 'core', 'compiling', 'rest'] as const;
type Kind = (typeof KINDS)[number];
const TITLES: Readonly<Record<Kind, string>> = { interpreter: 'interpreter, %', compiled: 'compiled code, %', core: 'rest of the core, %', compiling: 'compiling, %', rest: 'rest, %' };

/** Microseconds of the clock that V8's profiles have. */
const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

/** CPU seconds of the thread that runs the guest; NaN where the host does not tell. */
function ownSeconds(): number {
  try {
    const fields = readFileSync(`/proc/self/task/${process.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return NaN;
  }
}

/** The kind of each node of a profile: the core's module is the one that has its interpreter, the rest of WebAssembly was compiled from guest code. */
function kindsOf(nodes: readonly Profiler.ProfileNode[], interpreter: string): Map<number, Kind> {
  const core = nodes.find(({ callFrame: { functionName, url } }) => functionName === interpreter && url.startsWith('wasm:'))?.callFrame.url;
  const compiling = new Set<number>();
  const kinds = new Map<number, Kind>();
  for (const { id, callFrame: { functionName, url }, children } of nodes) {
    const isCompiling = compiling.has(id) || url.includes('/engine/jit/');
    if (isCompiling) for (const child of children ?? []) compiling.add(child);
    if (url.startsWith('wasm:')) kinds.set(id, url !== core ? 'compiled' : functionName === interpreter ? 'interpreter' : 'core');
    else kinds.set(id, isCompiling ? 'compiling' : 'rest');
  }
  return kinds;
}

const guest = await loadBenchGuest();
const images = { kernel: guest.kernel, initrd: guest.initrd };
const module = loadCore();
if (process.argv.includes('--interpreter')) setJitMode('off');
interface Mark { readonly name: string; readonly us: number; readonly own: number; readonly all: number; readonly position: number; readonly compiled: number; readonly visits: number }
const marks: Mark[] = [];
const allSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const mark = (name: string): void => {
  const jit = recorder.machine.jit?.statistics();
  marks.push({ name, us: nowUs(), own: ownSeconds(), all: allSeconds(), position: recorder.position, compiled: jit?.instructions ?? 0, visits: jit?.visits ?? 0 });
};
const recorder = new Recorder({ recipe: recipeOf({ guest, script: '', record: false }), images, module, newHash: newHostHash, outputs: { console: findMarks(mark) } });
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
session.post('Profiler.start');
mark('');
while (recorder.step(SLICE_INSTRUCTIONS, true).kind === 'running');
let profile: Profiler.Profile | undefined;
session.post('Profiler.stop', (error, stopped) => {
  if (error !== null) throw error;
  profile = stopped.profile;
});
session.disconnect();
const { nodes, samples = [], timeDeltas = [], startTime } = profile!;
const kinds = kindsOf(nodes, `wasm-function[${recorder.machine.core.exports.run.name}]`);

/** Microseconds by phase and kind. */
const spent = marks.map(() => Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>);
let [time, phase] = [startTime, 1];
samples.forEach((node, i) => {
  time += timeDeltas[i];
  while (phase < marks.length && time > marks[phase].us) phase++;
  if (phase < marks.length && time > marks[0].us) spent[phase][kinds.get(node) ?? 'rest'] += timeDeltas[i];
});
const rows = marks.slice(1).map((now, i) => {
  const [before, used] = [marks[i], spent[i + 1]];
  const instructions = now.position - before.position;
  const sum = KINDS.reduce((total, kind) => total + used[kind], 0);
  const own = now.own - before.own;
  return [
    PHASES.find(({ name }) => name === now.name)?.title ?? now.name, (instructions / 1e6).toFixed(0), own.toFixed(2), (now.all - before.all - own).toFixed(2),
    ((100 * (now.compiled - before.compiled)) / instructions).toFixed(0), ((now.compiled - before.compiled) / Math.max(1, now.visits - before.visits)).toFixed(0),
    ...KINDS.map((kind) => ((100 * used[kind]) / sum).toFixed(0)),
  ];
});
process.stdout.write(`${table([['phase', '10^6 instr.', "guest's thread, s", "V8's threads, s", 'compiled, % of instr.', 'instr. a visit', ...KINDS.map((kind) => TITLES[kind])], ...rows])}\n`);
