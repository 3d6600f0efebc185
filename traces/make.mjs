/**
 * Makes the recordings of this folder again: `npm run traces` (after `npm run build`), or `node traces/make.mjs NAME...` for some of them.
 * Identity, clock and seed are constants, so the same engine gives the same bytes. Each log is replayed before it replaces the old one.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { LogReader } from '../dist/engine/log/reader.js';
import { MemorySink, MemorySource } from '../dist/engine/log/storage.js';
import { describeDivergence } from '../dist/engine/log/verify.js';
import { Recorder } from '../dist/engine/recording/recorder.js';
import { DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS } from '../dist/engine/recording/recipe.js';
import { Replayer } from '../dist/engine/recording/replayer.js';

const TRACES = [
  { name: 'lab-kernel', guest: 'lab-kernel', commandLine: 'run="work mixed; poweroff"' },
  { name: 'bug-lost-update', guest: 'bug-lost-update', commandLine: 'run="work mixed; poweroff"' },
];
const SLICE_INSTRUCTIONS = 10_000_000;
const LIMIT_INSTRUCTIONS = 2_000_000_000;
const WALL_CLOCK_NS = '1767225600000000000'; // 2026-01-01T00:00:00Z
const SEED = '00000000c0ffee00';

const root = new URL('../', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
const { images: guests } = JSON.parse(readFileSync(new URL('engine/guests/images/manifest.json', root), 'utf8'));
const module = await WebAssembly.compile(readFileSync(new URL('dist/engine/cpu/core.wasm', root)));

function record({ name, guest, commandLine }) {
  const row = guests.find((each) => each.name === guest);
  const images = { kernel: readFileSync(new URL(`engine/guests/images/${row.file}`, root)) };
  const sink = new MemorySink();
  const recorder = new Recorder({
    recipe: {
      guest,
      commandLine,
      protocol: 'auto',
      machine: { memoryBytes: row.memoryMib * 2 ** 20, seed: SEED, wallClockNs: WALL_CLOCK_NS, acpi: false, virtio: [], accessCostNs: 1000, counts: true },
      epochInstructions: DEFAULT_EPOCH_INSTRUCTIONS,
      digestInstructions: DEFAULT_DIGEST_INSTRUCTIONS,
    },
    images,
    module,
    log: { sink, id: `trace-${name}`, product: `chronovisor ${version}` },
  });
  let status = recorder.step(SLICE_INSTRUCTIONS, true);
  while (status.kind === 'running' && recorder.position < LIMIT_INSTRUCTIONS) status = recorder.step(SLICE_INSTRUCTIONS, true);
  if (status.kind !== 'ended') throw new Error(`${name}: the guest did not end by itself: ${status.kind} at @${recorder.position}`);
  return { status, bytes: sink.toBytes(), images, position: recorder.position, records: recorder.records };
}

const asked = process.argv.slice(2);
for (const trace of TRACES) {
  if (asked.length > 0 && !asked.includes(trace.name)) continue;
  const started = performance.now();
  const { status, bytes, images, position, records } = record(trace);
  const recordMs = performance.now() - started;
  const replay = new Replayer({ reader: LogReader.open(new MemorySource(bytes)), images, module }).run();
  const replayMs = performance.now() - started - recordMs;
  if (replay.kind !== 'identical' || replay.digest !== status.digest) {
    throw new Error(`${trace.name}: the replay is not identical\n${replay.kind === 'diverged' ? describeDivergence(replay.divergence).join('\n') : replay.digest}`);
  }
  const file = new URL(`${trace.name}.cvlog`, import.meta.url);
  const temporary = new URL(`${trace.name}.cvlog.new`, import.meta.url);
  writeFileSync(temporary, bytes);
  renameSync(temporary, file);
  console.log(`${trace.name}: ${status.reason} ${status.detail} at @${position}, ${records} events, ${bytes.length} bytes, digest ${status.digest} (recorded in ${recordMs.toFixed(0)} ms, replayed in ${replayMs.toFixed(0)} ms)`);
}
