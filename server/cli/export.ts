/** `export`: a recording in the formats of other tools; profiles also of imported traces. */
import { existsSync, renameSync } from 'node:fs';
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import type { ByteSink } from '../../engine/log/storage.ts';
import { parseHeader } from '../../engine/log/header.ts';
import { Bookmarks } from '../debugger/bookmarks.ts';
import { Notes } from '../store/notes.ts';
import { ChromeWriter } from '../export/chrome.ts';
import { ChunkedSink } from '../export/chunks.ts';
import { ParquetTableWriter } from '../export/parquet.ts';
import { PerfettoWriter } from '../export/perfetto.ts';
import { pprofBytes } from '../export/pprof.ts';
import { tableRow } from '../export/rows.ts';
import { selfContainedFile } from '../export/self-contained.ts';
import { speedscopeText } from '../export/speedscope.ts';
import { entriesOf, tellTimeline } from '../export/timeline.ts';
import { FileSink, FileSource } from '../store/files.ts';
import { StoreError, fileError } from '../store/errors.ts';
import { openRecording } from '../store/chains.ts';
import { ownPackage } from '../store/package-root.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { CSV_COLUMNS, csvOf } from './event-text.ts';
import { exitCode } from './exit-codes.ts';
import { megabytes } from './format.ts';
import { turn } from './host.ts';
import { refuseRead } from './new-file.ts';
import { toJson } from './output.ts';
import { PROFILE_OPTIONS, REPLAY_OPTIONS, endWithout, isLog, loadProfile } from './profile-source.ts';
import { type Signals, signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

/** What each is for. First timelines and tables of events, then profiles of exits, then all of it. */
const FORMATS = {
  perfetto: 'a timeline, as protobuf: ui.perfetto.dev, trace_processor',
  chrome: 'a timeline, as JSON: chrome://tracing, ui.perfetto.dev, speedscope',
  csv: 'a row an event, RFC 4180',
  parquet: 'a row an event: DuckDB, pandas, Spark, ClickHouse',
  speedscope: 'exits by guest function, or by call stack (--replay): speedscope.app',
  pprof: 'exits by guest function, or by call stack (--replay): go tool pprof',
  html: 'one file that opens from disk in a browser and replays, with the marks of FILE.marks: for a bug report',
} as const;
type Format = keyof typeof FORMATS;
const IMAGE_NAMES: ReadonlySet<string> = new Set(IMAGE_OPTIONS.map(({ name }) => name));
const PROFILE_FORMATS: readonly Format[] = ['speedscope', 'pprof'];

const SPEC: VerbSpec = {
  name: 'export',
  synopsis: 'FILE --format FORMAT -o OUT [options]',
  summary: 'Writes a recording, or the profile of an imported trace, for other tools.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'format', value: 'FORMAT', help: Object.keys(FORMATS).join(', ') },
    { name: 'output', short: 'o', value: 'OUT', help: 'the file to write' },
    { name: 'force', help: 'replace OUT if it exists; only once the new file is complete' },
    { name: 'with-images', help: 'html: put in the images that the recording does not hold' },
    { name: 'without-images', help: 'html: leave them out; without them it does not replay' },
    { name: 'with-sleep', help: 'speedscope and pprof: HLT too' },
    ...PROFILE_OPTIONS, ...REPLAY_OPTIONS, QUIET_OPTION, JSON_OPTION,
  ],
  notes: Object.entries(FORMATS).map(([name, what]) => `${name.padEnd(10)} ${what}`),
};

export const exportVerb: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  const path = parsed.operands[0];
  const [format, second] = parsed.words('format', Object.keys(FORMATS) as Format[]) ?? [];
  if (format === undefined || second !== undefined) throw new UsageError(`export needs one --format: ${Object.keys(FORMATS).join(', ')}`, 'export');
  const output = parsed.text('output');
  if (output === undefined) throw new UsageError('export needs a file to write: -o OUT', 'export');
  const isProfile = PROFILE_FORMATS.includes(format);
  for (const { name } of [...PROFILE_OPTIONS, ...REPLAY_OPTIONS, { name: 'with-sleep' }]) {
    if (!isProfile && name !== 'parent' && !(format === 'html' && IMAGE_NAMES.has(name)) && parsed.has(name)) throw new UsageError(`--${name} is for ${PROFILE_FORMATS.join(' and ')}: ${format} holds the events as they were recorded`, 'export');
  }
  for (const name of ['with-images', 'without-images']) if (format !== 'html' && parsed.has(name)) throw new UsageError(`--${name} is for html`, 'export');
  if (parsed.has('with-images') && parsed.has('without-images')) throw new UsageError('--with-images and --without-images: one of them', 'export');
  if (existsSync(output) && !parsed.has('force')) throw new StoreError('output-exists', { file: output, option: '-o (or replace it with --force)' });
  refuseRead({ file: output, option: '-o' }, [path], 'export');
  const isReplaced = parsed.has('force') && existsSync(output);
  const target = isReplaced ? `${output}.part-${process.pid}` : output;
  const sink = new FileSink(target, '-o');
  let isDone = false;
  try {
    const counted = new CountingSink(sink);
    if (isProfile) {
      const loaded = await loadProfile(parsed, context, parsed.has('replay'));
      if (loaded.kind === 'stopped' || loaded.kind === 'diverged') return endWithout(loaded, parsed, context);
      writeProfile(loaded.profile, parsed, format, counted);
    } else if (!(await writeEvents(parsed, format, counted, signals, err))) return signals.received === undefined ? exitCode('ok') : signalStatus(signals.received);
    sink.sync();
    sink.close();
    if (isReplaced) {
      try {
        renameSync(target, output);
      } catch (error) {
        throw fileError(error, 'write', output, '-o');
      }
    }
    isDone = true;
    if (parsed.has('json')) out.write(`${toJson({ verb: 'export', file: path, format, output, bytes: counted.bytes }, 2)}\n`);
    else if (!parsed.has('quiet')) out.write(`${output}: ${megabytes(counted.bytes)}, ${format}: ${FORMATS[format]}\n`);
    return exitCode('ok');
  } finally {
    if (!isDone) sink.discard();
  }
}

class CountingSink implements ByteSink {
  bytes = 0;
  private readonly sink: ByteSink;

  constructor(sink: ByteSink) {
    this.sink = sink;
  }

  append(bytes: Uint8Array): void {
    this.sink.append(bytes);
    this.bytes += bytes.length;
  }

  sync(): void {
    this.sink.sync();
  }
}

function writeProfile(profile: ExitProfile, parsed: Arguments, format: Format, sink: ByteSink): void {
  const withSleep = parsed.has('with-sleep');
  sink.append(format === 'pprof' ? pprofBytes(profile, withSleep) : new TextEncoder().encode(speedscopeText(profile, `chronovisor ${ownPackage().version}`, withSleep)));
}

/** Returns false if a signal came. */
async function writeEvents(parsed: Arguments, format: Format, sink: ByteSink, signals: Signals, err: Context['err']): Promise<boolean> {
  const [path] = parsed.operands;
  const source = new FileSource(path, 'FILE');
  try {
    if (!isLog(source)) throw new UsageError(`${path} is no recording: --format ${format} needs one. An imported trace can be exported as ${PROFILE_FORMATS.join(' or ')}`, 'export');
    const { reader, torn, paths } = openRecording(source, parsed.all('parent'));
    if (torn !== undefined) err.write(`chronovisor: ${torn.message}\n`);
    const writer = format === 'html' ? htmlWriter(parsed, reader, paths, sink) : await eventWriter(format, reader, sink);
    for (const _ of writer.steps()) {
      await turn();
      if (signals.received !== undefined) return false;
    }
    writer.end();
    return true;
  } finally {
    source.close();
  }
}

interface EventWriter {
  /** One block of events a step. */
  readonly steps: () => Iterable<unknown>;
  readonly end: () => void;
}

function htmlWriter(parsed: Arguments, reader: LogReader, paths: readonly string[], sink: ByteSink): EventWriter {
  const path = paths[paths.length - 1];
  const id = logIdOf(path);
  const marks = new Bookmarks(path, id).list.map(({ name, position }) => ({ position, text: name }));
  const notes = [...marks, ...new Notes(path, id).list.map(({ position, text }) => ({ position, text }))].sort((a, b) => a.position - b.position);
  const images = parsed.has('with-images') ? 'with' : parsed.has('without-images') ? 'without' : undefined;
  return {
    *steps() {
      for (const piece of selfContainedFile({ reader, paths, places: imagePlaces(parsed), notes, images })) yield sink.append(piece);
    },
    end: () => undefined,
  };
}

/** A branch has an id of its own beside that of the whole run. */
function logIdOf(path: string): string {
  const source = new FileSource(path, 'FILE');
  try {
    return parseHeader(source).header.id;
  } finally {
    source.close();
  }
}

async function eventWriter(format: Format, reader: LogReader, sink: ByteSink): Promise<EventWriter> {
  const name = `${reader.header.config.guest} (${reader.header.id})`;
  if (format === 'perfetto' || format === 'chrome') {
    const writer = format === 'perfetto' ? new PerfettoWriter(sink, name) : new ChromeWriter(sink, name);
    return { steps: () => tellTimeline(reader, writer), end: () => writer.end() };
  }
  if (format === 'csv') {
    const chunks = new ChunkedSink(sink);
    chunks.write(`${CSV_COLUMNS.join(',')}\n`);
    return {
      *steps() {
        for (let i = 0; i < reader.eventBlocks.length; i++) {
          for (const { index, timeOffsetNs, event } of entriesOf(reader, i)) chunks.write(`${csvOf(index, event.position + timeOffsetNs, event)}\n`);
          yield;
        }
      },
      end: () => chunks.flush(),
    };
  }
  const writer = await ParquetTableWriter.open(sink, `chronovisor ${ownPackage().version}`);
  return {
    *steps() {
      for (let i = 0; i < reader.eventBlocks.length; i++) {
        for (const { index, timeOffsetNs, event } of entriesOf(reader, i)) writer.row(tableRow(index, timeOffsetNs, event));
        yield;
      }
    },
    end: () => writer.end(),
  };
}
