/**
 * How many events a second the analysers take from logs: `npm run build && node dist/test/performance/analysers.js [LOG...]`. See README.md. Options:
 *
 *     --rounds N       turns; the median is reported (12)
 *     --against DIR    another build of this program (its `dist`), in turn with this one in the same process: the ratio is of each round, then the median
 */
import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { basename, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { EventBatch } from '../../engine/log/event-batch.ts';
import type { LogReader } from '../../engine/log/reader.ts';

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string', default: '12' }, against: { type: 'string' } } });
const rounds = Number(options.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error(`--rounds ${options.rounds}: a whole number from 1`);
const here = fileURLToPath(new URL('../../', import.meta.url));
const published = ['debian-boot', 'debian-init', 'debian-lmbench-pti'].map((name) => resolve(here, '..', 'traces', 'published', `${name}.cvlog`));
const logs = positionals.length > 0 ? positionals : published;

/** Events of one measurement, at least: short logs are read again and again. */
const EVENTS = 400_000;

async function loadBuild(folder: string) {
  const load = <Module>(path: string): Promise<Module> => import(pathToFileURL(resolve(folder, 'engine', path)).href) as Promise<Module>;
  return {
    ...(await load<typeof import('../../engine/log/reader.ts')>('log/reader.js')),
    ...(await load<typeof import('../../engine/log/storage.ts')>('log/storage.js')),
    ...(await load<typeof import('../../engine/analysis/exit-profile/fold.ts')>('analysis/exit-profile/fold.js')),
    ...(await load<typeof import('../../engine/analysis/comparison/comparison.ts')>('analysis/comparison/comparison.js')),
    ...(await load<typeof import('../../engine/analysis/pyramid/pyramid.ts')>('analysis/pyramid/pyramid.js')),
    ...(await load<typeof import('../../engine/analysis/dirty/epoch.ts')>('analysis/dirty/epoch.js')),
    ...(await load<typeof import('../../engine/analysis/dirty/folds.ts')>('analysis/dirty/folds.js')),
    ...(await load<typeof import('../../engine/regimes/catalogue.ts')>('regimes/catalogue.js')),
  };
}
type Build = Awaited<ReturnType<typeof loadBuild>>;


/** What is measured: a taker of batches, made anew for each pass over a log. */
function analysersOf(build: Build, { header: { config: { memoryBytes } }, lastPosition }: LogReader): ReadonlyMap<string, () => (batch: EventBatch) => void> {
  const profile = (id: string) => () => {
    const chosen = build.candidate(id);
    const fold = new build.ExitProfileFold({ name: 'bench', projection: build.projectionOf(chosen, build.costsOf(chosen)) });
    return (batch: EventBatch) => fold.fold(batch);
  };
  return new Map<string, () => (batch: EventBatch) => void>([
    ['decode only', () => () => undefined],
    ['architectural events', () => {
      const fold = new build.ExitProfileFold({ name: 'bench' });
      return (batch) => fold.fold(batch);
    }],
    ...build.REGIMES.map(({ id }): [string, () => (batch: EventBatch) => void] => [`profile, ${id}`, profile(id)]),
    [`comparison, ${build.REGIMES.length} regimes`, () => {
      const comparison = new build.Comparison({ candidates: build.REGIMES.map(({ id }) => build.candidate(id)) });
      return (batch) => comparison.add(batch);
    }],
    ['pyramid', () => {
      const pyramid = new build.Pyramid(lastPosition);
      return (batch) => pyramid.add(batch);
    }],
    ['dirty pages', () => {
      const splitter = new build.EpochSplitter();
      const fold = new build.TruthFold({ name: 'bench', memoryBytes });
      return (batch) => {
        for (const epoch of splitter.split(batch)) fold.fold(epoch);
      };
    }],
  ]);
}

/** As the programs read that fold a log; older builds had nothing of the kind. */
function next(log: LogReader, i: number): EventBatch {
  return 'passingBatch' in log ? log.passingBatch(i) : (log as LogReader).batch(i);
}

/** CPU time of this process in ns an event: of all its threads, so V8's compilers and collectors are in it. */
function timed(work: () => number): number {
  const before = process.cpuUsage();
  const events = work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1e3) / events;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];
const rate = (values: readonly number[]): string => `${(1e3 / Math.min(...values)).toFixed(1)} / ${(1e3 / median(values)).toFixed(1)}`;

const builds = await Promise.all([here, ...(options.against === undefined ? [] : [options.against])].map((folder) => loadBuild(resolve(folder))));
console.log(`${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}, Node ${process.versions.node}, ${rounds} rounds of ${EVENTS} events and more; million events a second of CPU time, best / median`);
for (const path of logs) {
  const bytes = new Uint8Array(readFileSync(path));
  const sides = builds.map((build) => {
    const open = (): LogReader => build.LogReader.open(new build.MemorySource(bytes));
    const log = open();
    return { open, batches: log.eventBlocks.map((_, i) => log.batch(i)), analysers: analysersOf(build, log), log };
  });
  const { records } = sides[0].log;
  const passes = Math.ceil(EVENTS / records);
  console.log(`\n${basename(path)}: ${records} events, ${(bytes.length / records).toFixed(1)} bytes an event\n${'analyser'.padEnd(24)}${'batches in memory'.padEnd(20)}${'from the log'.padEnd(16)}${options.against === undefined ? '' : 'other build / this, time'}`);
  for (const name of sides[0].analysers.keys()) {
    const measured = sides.map(() => ({ memory: [] as number[], log: [] as number[] }));
    for (let round = -3; round < rounds; round++) {
      sides.forEach(({ open, batches, analysers }, side) => {
        const make = analysers.get(name)!;
        const memory = timed(() => {
          for (let pass = 0; pass < passes; pass++) {
            const take = make();
            for (const batch of batches) take(batch);
          }
          return passes * records;
        });
        const fromLog = timed(() => {
          for (let pass = 0; pass < passes; pass++) {
            const take = make();
            const log = open();
            for (let i = 0; i < log.eventBlocks.length; i++) take(next(log, i));
          }
          return passes * records;
        });
        // The first are for the compilers.
        if (round < 0) return;
        measured[side].memory.push(memory);
        measured[side].log.push(fromLog);
      });
    }
    const [own, other] = measured;
    const ratio = (key: 'memory' | 'log'): string => median(own[key].map((each, i) => other[key][i] / each)).toFixed(2);
    console.log(`${name.padEnd(24)}${(name === 'decode only' ? '' : rate(own.memory)).padEnd(20)}${rate(own.log).padEnd(16)}${other === undefined ? '' : `${name === 'decode only' ? '    ' : ratio('memory')}  ${ratio('log')}`}`);
  }
}
