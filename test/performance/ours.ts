/**
 * One run of the benchmark's guest on our machine, in a process of its own: `node ours.js MODE FOLDER`.
 * MODE: `plain` (no log, no epochs, no digests), `interpreter` (the same with nothing compiled), `record` (a log in a file, synced), `replay` (of that log, compared), all of which know nothing of earlier runs;
 * `learn` (as `plain`, and keeps what was compiled), `record-warm` and `replay-warm` (a second run, which begins with that).
 * FOLDER has kernel, initrd, commandLine; the last line on stdout is an OursResult as JSON.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setJitMode } from '../../engine/jit/jit.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { createLog } from '../../engine/log/writer.ts';
import { MemorySink } from '../../engine/log/storage.ts';
import { Recorder, type RecorderStatus } from '../../engine/recording/recorder.ts';
import { Replayer, type ReplayStatus } from '../../engine/recording/replayer.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { KeptProfile } from '../../server/store/code-profile.ts';
import { FileSink, FileSource } from '../../server/store/files.ts';
import { newHostHash } from '../../server/store/host-hash.ts';
import { loadCore, recipeOf } from '../linux/harness.ts';
import { findMarks } from './guest.ts';
import { type Mark, peakBytes, processTimes } from './measure.ts';

export interface OursResult {
  readonly marks: readonly Mark[];
  /** Of this process, at its peak. */
  readonly residentBytes: number;
  readonly end: string;
  readonly digest: string;
  readonly position: number;
  readonly records: number;
  readonly logBytes: number;
  /** Bytes of a log of the same run that has its inputs only. */
  readonly inputLogBytes: number;
  /** Records by kind. */
  readonly counts: Readonly<Record<string, number>>;
}

const SLICE_INSTRUCTIONS = 10_000_000;

function main(asked: string, folder: string): OursResult {
  const isWarm = asked.endsWith('-warm');
  const mode = isWarm ? asked.slice(0, -'-warm'.length) : asked;
  const file = (name: string): string => join(folder, name);
  const images: RunImages = { kernel: readFileSync(file('kernel')), initrd: readFileSync(file('initrd')) };
  const guest = { name: 'linux', kernel: images.kernel, initrd: images.initrd!, commandLine: readFileSync(file('commandLine'), 'utf8') };
  const recipe = recipeOf({ guest, script: '', record: mode === 'record' });
  const logFile = file(asked === 'record-warm' ? 'bench-warm.cvlog' : 'bench.cvlog');
  const marks: Mark[] = [];
  let position = (): number => 0;
  const console = findMarks((name) => marks.push({ name, ...processTimes(), instructions: position() }));
  const module = loadCore();
  // Loading it chooses what the environment asks for. What commands keep from run to run is not for a benchmark: its own is of one run, and in its folder.
  const kept = isWarm || mode === 'learn' ? new KeptProfile(file('jit-profile'), true) : undefined;
  if (kept !== undefined) setJitMode('on', undefined, kept.read());
  if (isWarm && kept!.read().size === 0) throw new Error(`${asked} begins with what \`learn\` has left`);
  if (mode === 'interpreter') setJitMode('off');
  if (mode === 'replay') {
    const reader = LogReader.open(new FileSource(logFile, 'the log'));
    const replayer = new Replayer({ reader, images, module, outputs: { console } });
    position = () => replayer.position;
    let status: ReplayStatus;
    do status = replayer.step(SLICE_INSTRUCTIONS);
    while (status.kind === 'running');
    if (status.kind !== 'identical') throw new Error('the replay diverged');
    return { marks, residentBytes: peakBytes(), end: status.end?.reason ?? 'cut off', digest: status.digest, position: replayer.position, records: replayer.records, logBytes: 0, inputLogBytes: 0, counts: {} };
  }
  if (mode === 'record') rmSync(logFile, { force: true });
  const sink = mode === 'record' ? new FileSink(logFile, 'FOLDER') : undefined;
  const recorder = new Recorder({ recipe, images, module, newHash: newHostHash, outputs: { console }, ...(sink === undefined ? {} : { log: { sink, id: '00000000-0000-4000-8000-000000000000', product: 'bench' } }) });
  position = () => recorder.position;
  let status: RecorderStatus;
  do status = recorder.step(SLICE_INSTRUCTIONS, true);
  while (status.kind === 'running');
  if (status.kind !== 'ended') throw new Error('the guest waits for ever');
  if (mode === 'learn') kept!.keep();
  sink?.close();
  const reader = sink === undefined ? undefined : LogReader.open(new FileSource(logFile, 'the log'));
  return {
    marks, residentBytes: peakBytes(), end: status.reason, digest: status.digest, position: recorder.position, records: recorder.records,
    logBytes: reader === undefined ? 0 : recorder.logBytes,
    inputLogBytes: reader === undefined ? 0 : inputBytes(reader),
    counts: reader === undefined ? {} : { ...reader.counts },
  };
}

/** The size of a log with the inputs and the end of another. */
export function inputBytes(reader: LogReader): number {
  const sink = new MemorySink();
  const writer = createLog(sink, reader.header);
  for (const { event } of reader.entries({ kinds: ['input', 'end'] })) {
    if (event.kind === 'end') writer.end(event.position, event.reason, event.detail, event.digest);
    else if (event.kind === 'input') {
      const { input, position } = event;
      if (input.kind === 'console') writer.inputConsole(position, input.port, input.bytes);
      else if (input.kind === 'wall-clock') writer.inputWallClock(position, Number(input.ns & 0xffffffffn), Number(input.ns >> 32n));
    }
  }
  writer.close();
  return sink.length;
}

if (process.argv[1]?.endsWith('ours.js')) process.stdout.write(`${JSON.stringify(main(process.argv[2], process.argv[3]))}\n`);
