/**
 * How long it takes to get somewhere in a recording: `npm run build && node dist/test/reverse/measure.js FILE...`. FILE.index is used if it is there.
 * Times are CPU times of the process, so that a busy host does not show. Nothing fails on a time.
 */
import { translate, readRegister } from '../../engine/debug/inspect.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { findIndex } from '../../server/store/checkpoints.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { FileSource } from '../../server/store/files.ts';
import { openImages } from '../../server/store/guest-images.ts';
import { openLog } from '../../engine/log/open-log.ts';

const SEEKS = Number(process.env['SEEKS'] ?? 100);

/** Evenly over a run, in an order that jumps about. */
function placesOf(last: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor((((i + 1) * 0.618033988749895) % 1) * last));
}

function quantiles(ms: number[]): string {
  const sorted = [...ms].sort((a, b) => a - b);
  const at = (part: number): string => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))].toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms of ${ms.length}`;
}

function timed(action: () => void): number {
  const start = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

for (const file of process.argv.slice(2)) {
  const source = new FileSource(file, 'FILE');
  const { reader } = openLog(source);
  const { index, problem } = findIndex(file, reader);
  const images = openImages(reader, {});
  const module = loadCore();
  let travel!: TimeTravel;
  const open = timed(() => (travel = new TimeTravel({ reader, images, module, index: findIndex(file, reader).index })));
  const end = timed(() => travel.seek(Number.MAX_SAFE_INTEGER));
  const { last } = travel;
  console.log(`${file}: @${last}, ${reader.records} events, ${source.length} bytes; ${problem?.message ?? (index === undefined ? 'no index' : `index of ${index.checkpoints.length} checkpoints, ${index.bytes} bytes`)}`);
  console.log(`  open ${open.toFixed(0)} ms (the machine is built, its memory read), then to the end ${end.toFixed(0)} ms`);
  const places = placesOf(last, SEEKS);
  console.log(`  random seek: ${quantiles(places.map((place) => timed(() => travel.seek(place))))}`);
  const steps: number[] = [];
  const firsts: number[] = [];
  for (const place of places.slice(0, 20)) {
    travel.seek(place);
    firsts.push(timed(() => travel.reverseStep()));
    for (let i = 0; i < 20; i++) steps.push(timed(() => travel.reverseStep()));
  }
  console.log(`  first step back: ${quantiles(firsts)}`);
  console.log(`  further steps back: ${quantiles(steps)}`);
  const events: number[] = [];
  for (const place of places.slice(0, 20)) {
    travel.seek(place);
    events.push(timed(() => travel.reverseContinue([{ kind: 'event', kinds: ['interrupt'] }])));
  }
  console.log(`  back to the last interrupt: ${quantiles(events)}`);
  const writes: number[] = [];
  for (const place of places.slice(0, 10)) {
    travel.seek(place);
    const paddr = translate(travel.machine, readRegister(travel.machine, 'rsp') ?? 0n);
    if (paddr === undefined || paddr + 8 > travel.machine.core.ramBytes) continue;
    writes.push(timed(() => travel.reverseContinue([{ kind: 'watchpoint', ranges: [{ paddr, length: 8 }], access: 'write' }])));
  }
  if (writes.length > 0) console.log(`  last write to the top of the stack: ${quantiles(writes)}`);
  const { count, bytes } = travel.checkpoints;
  console.log(`  checkpoints now: ${count}, ${bytes} bytes of them in memory`);
}
