/**
 * Each format, read back by a program that is not ours. A reader that is not installed is skipped, and said so.
 *
 *     perfetto     protobufjs (with the field numbers of perfetto's own schema); trace_processor_shell, if it is on the PATH
 *     chrome       speedscope's own importer, in Chromium
 *     speedscope   the JSON schema that comes with speedscope; speedscope itself, in Chromium
 *     pprof        pprof-format; go tool pprof, if it is on the PATH
 *     csv          csv-parse
 *     parquet      hyparquet
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ContextColumns, StackTree } from '../../engine/analysis/exit-profile/contexts.ts';
import { ExitProfileFold } from '../../engine/analysis/exit-profile/fold.ts';
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { Symbols } from '../../engine/analysis/exit-profile/symbols.ts';
import { TestProjection } from '../../engine/analysis/exit-profile/testing.ts';
import type { EventSink } from '../../engine/log/event-sink.ts';
import type { LogEvent } from '../../engine/log/events.ts';
import { position } from '../../engine/log/position.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { openLog, writeLog } from '../../engine/log/testing.ts';
import { NO_BROWSER, findChromium, launchChromium } from '../../test/browser/chromium.ts';
import { CSV_COLUMNS, csvOf, reasonName } from '../cli/event-text.ts';
import { ChromeWriter } from './chrome.ts';
import { ParquetTableWriter } from './parquet.ts';
import { PerfettoWriter } from './perfetto.ts';
import { pprofBytes } from './pprof.ts';
import { tableRow } from './rows.ts';
import { speedscopeText } from './speedscope.ts';
import { type TimelineSink, entriesOf, tellTimeline } from './timeline.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A package that may not be installed. Its name is not a literal, so that types are not looked for. */
async function optional(name: string): Promise<any> {
  try {
    return await import(name);
  } catch {
    console.log(`skipped: the package ${name} is not installed`);
    return undefined;
  }
}
const onPath = (program: string): string | undefined => {
  const found = (process.env['PATH'] ?? '').split(delimiter).map((each) => join(each, program)).find((path) => existsSync(path));
  if (found === undefined) console.log(`skipped: ${program} is not on the PATH`);
  return found;
};
const protobuf = await optional('protobufjs');
const pprofFormat = await optional('pprof-format');
const csvParse = await optional('csv-parse/sync');
const hyparquet = await optional('hyparquet');
const ajv = await optional('ajv');
const traceProcessor = onPath('trace_processor_shell') ?? onPath('trace_processor');
const go = onPath('go');

function packageFolder(name: string): string | undefined {
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch {
    console.log(`skipped: the package ${name} is not installed`);
    return undefined;
  }
}
const speedscope = packageFolder('speedscope');
let chromium: string | undefined;
try {
  chromium = NO_BROWSER ? undefined : findChromium();
} catch {
  console.log('skipped: Chromium is not installed');
}

const lab = LogReader.open(new MemorySource(new Uint8Array(readFileSync(join(root, 'traces', 'lab-kernel.cvlog')))));
/** What the lab's guest does not do: virtio requests that overlap, frames, input. */
const mixed = openLog(
  writeLog((sink: EventSink) => {
    sink.inputConsole(position(5), 'uart0', new TextEncoder().encode('a,"b"\n'));
    for (let i = 0; i < 300; i++) {
      const at = position(1000 + i * 100);
      sink.device(at, { kind: 'virtio-request', device: 'virtio-block', queue: 0, head: i % 4, type: 0, sector: i, bytes: 512 });
      sink.exitMmio(at, 0x8160_0050, 0xffff_ffff, 0xd000_0050, 4, 0x10, 0, 0, 1000);
      if (i >= 2) sink.device(at, { kind: 'virtio-complete', device: 'virtio-block', queue: 0, head: (i - 2) % 4, status: 0, bytes: 513 });
      if (i % 10 === 0) sink.device(at, { kind: 'net-tx', device: 'virtio-net', bytes: 60 });
      if (i % 50 === 0) sink.mark(at, `mark ${i}`, 'guest');
      if (i % 20 === 0) sink.idle(at, 5000);
      if (i % 30 === 0) sink.dirty(at, i, Uint32Array.of(1, 2, 3, 9));
    }
    sink.end(position(100_000), 'shutdown', '');
  }),
);
const LOGS: readonly (readonly [string, LogReader])[] = [['the lab kernel', lab], ['a log with requests that overlap', mixed]];
const count = (reader: LogReader, test: (event: LogEvent) => boolean): number => [...reader.events()].filter(test).length;

function timeline(reader: LogReader, make: (sink: MemorySink) => TimelineSink & { end(): void }): Uint8Array {
  const sink = new MemorySink();
  const writer = make(sink);
  for (const _ of tellTimeline(reader, writer));
  writer.end();
  return sink.toBytes();
}

/** Of the kernel that was recorded: it is in the log. */
const symbols = Symbols.parse(lab.image(lab.header.images[0].sha256) ?? new Uint8Array());
function profileOf(reader: LogReader, withCosts: boolean): ExitProfile {
  const fold = new ExitProfileFold({ name: 'lab kernel', functionAt: (lo, hi) => symbols.at(lo, hi), ...(withCosts && { projection: new TestProjection() }) });
  for (let i = 0; i < reader.eventBlocks.length; i++) fold.fold(reader.batch(i));
  return fold.report();
}

// google/perfetto protos/perfetto/trace/perfetto_trace.proto: what is used of it.
const SCHEMA = `syntax = "proto2";
message Trace { repeated TracePacket packet = 1; }
message TracePacket { optional uint64 timestamp = 8; optional uint32 trusted_packet_sequence_id = 10; optional TrackEvent track_event = 11; optional InternedData interned_data = 12; optional uint32 sequence_flags = 13; optional TrackDescriptor track_descriptor = 60; }
message TrackDescriptor { optional uint64 uuid = 1; optional string name = 2; optional Process process = 3; optional uint64 parent_uuid = 5; optional Counter counter = 8; }
message Process { optional int32 pid = 1; optional string process_name = 6; }
message Counter { }
message TrackEvent { repeated Annotation debug_annotations = 4; optional int32 type = 9; optional uint64 name_iid = 10; optional uint64 track_uuid = 11; optional string name = 23; optional int64 counter_value = 30; }
message Annotation { optional uint64 name_iid = 1; optional uint64 uint_value = 3; optional int64 int_value = 4; optional string string_value = 6; optional uint64 pointer_value = 7; }
message InternedData { repeated Name event_names = 2; repeated Name debug_annotation_names = 3; }
message Name { optional uint64 iid = 1; optional string name = 2; }`;

interface ReadTrack {
  readonly name: string;
  readonly slices: { readonly name: string; readonly from: number; readonly to: number; readonly details: Record<string, unknown> }[];
  readonly instants: { readonly name: string; readonly ns: number }[];
  readonly values: number[];
}

function readPerfetto(bytes: Uint8Array): Map<string, ReadTrack> {
  const type = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('Trace');
  const { packet } = type.toObject(type.decode(bytes), { longs: Number });
  const tracks = new Map<number, ReadTrack & { open: { name: string; from: number; details: Record<string, unknown> }[] }>();
  const names = new Map<number, string>();
  const keys = new Map<number, string>();
  for (const each of packet) {
    expect(each.trusted_packet_sequence_id).toBe(1);
    for (const { iid, name } of each.interned_data?.event_names ?? []) names.set(iid, name);
    for (const { iid, name } of each.interned_data?.debug_annotation_names ?? []) keys.set(iid, name);
    if (each.track_descriptor !== undefined) {
      const { uuid, name, parent_uuid: parent, process } = each.track_descriptor;
      expect(process === undefined ? parent : uuid).toBe(1);
      tracks.set(uuid, { name: name ?? process.process_name, slices: [], instants: [], values: [], open: [] });
      continue;
    }
    const event = each.track_event;
    expect(each.sequence_flags).toBe(2);
    const track = tracks.get(event.track_uuid);
    if (track === undefined) throw new Error('an event of a track that was not described');
    const name = event.name ?? names.get(event.name_iid);
    const details = Object.fromEntries((event.debug_annotations ?? []).map((each: any) => [keys.get(each.name_iid), each.uint_value ?? each.int_value ?? each.string_value ?? each.pointer_value]));
    if (event.type === 1) track.open.push({ name, from: each.timestamp, details });
    else if (event.type === 2) {
      const begun = track.open.pop();
      if (begun === undefined) throw new Error('an end without a beginning');
      track.slices.push({ ...begun, to: each.timestamp });
    } else if (event.type === 3) track.instants.push({ name, ns: each.timestamp });
    else track.values.push(event.counter_value);
  }
  for (const track of tracks.values()) expect(track.open).toEqual([]);
  return new Map([...tracks.values()].map((track) => [track.name, track]));
}

describe.skipIf(protobuf === undefined)('perfetto', () => {
  it.each(LOGS)('%s: every event is on its track, slices nest and do not overlap', (_, reader) => {
    const tracks = readPerfetto(timeline(reader, (sink) => new PerfettoWriter(sink, 'guest')));
    const on = (prefix: string): number => [...tracks].filter(([name]) => name === prefix || name.startsWith(`${prefix} `)).reduce((sum, [, { slices, instants }]) => sum + slices.length + instants.length, 0);
    for (const reason of new Set([...reader.events()].flatMap((event) => (event.kind === 'exit' ? [event.reason] : [])))) {
      expect(on(`exit ${reasonName(reason)}`), reasonName(reason)).toBe(count(reader, (event) => event.kind === 'exit' && event.reason === reason));
    }
    expect(on('interrupt')).toBe(count(reader, (event) => event.kind === 'interrupt'));
    expect(on('uart')).toBe(count(reader, (event) => event.kind === 'device' && event.report.kind.startsWith('uart')));
    expect(tracks.get('vCPU 0')?.slices.filter(({ name }) => name === 'idle').reduce((sum, { from, to }) => sum + to - from, 0)).toBe([...reader.events()].reduce((sum, event) => sum + (event.kind === 'idle' ? event.ns : 0), 0));
    expect(tracks.get('phases')?.slices.filter(({ name }) => name !== 'start').map(({ name }) => name)).toEqual([...reader.events()].flatMap((event) => (event.kind === 'mark' ? [event.name] : [])));
    expect(tracks.get('dirty pages')?.values).toEqual([...reader.events()].flatMap((event) => (event.kind === 'dirty' ? [event.pages.length] : [])));
    for (const [name, { slices }] of tracks) {
      for (let i = 1; i < slices.length; i++) expect(slices[i].from, name).toBeGreaterThanOrEqual(slices[i - 1].to);
    }
  });

  it('gives requests as many lanes as are open at once, and keeps what they were', () => {
    const tracks = readPerfetto(timeline(mixed, (sink) => new PerfettoWriter(sink, 'guest')));
    const requests = ['virtio-block queue 0', 'virtio-block queue 0 lane 2', 'virtio-block queue 0 lane 3'].map((name) => tracks.get(name)?.slices ?? []);
    expect(requests.flat().filter(({ name }) => name === 'request')).toHaveLength(298);
    expect(requests.flat().filter(({ name }) => name === 'not complete')).toHaveLength(2);
    expect(requests.flat().map(({ details }) => Number(details['sector'])).sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect(tracks.has('virtio-block queue 0 lane 4')).toBe(false);
  });

  it.skipIf(traceProcessor === undefined)('is read by trace_processor', () => {
    const file = join(folder, 'lab.perfetto');
    writeFileSync(file, timeline(lab, (sink) => new PerfettoWriter(sink, 'guest')));
    const query = join(folder, 'query.sql');
    writeFileSync(query, "select count(*) from slice s join track t on s.track_id = t.id where t.name glob 'exit *';");
    const out = execFileSync(traceProcessor ?? '', ['-q', query, file], { encoding: 'utf8' });
    expect(out).toContain(String(count(lab, ({ kind }) => kind === 'exit')));
  });
});

describe('chrome', () => {
  it.each(LOGS)('%s: is JSON with the events of the log', (_, reader) => {
    const { traceEvents } = JSON.parse(new TextDecoder().decode(timeline(reader, (sink) => new ChromeWriter(sink, 'guest')))) as { traceEvents: { ph: string; tid: number; ts: number; dur?: number; name: string; args: { name?: string } }[] };
    const threads = new Map(traceEvents.filter(({ ph, name }) => ph === 'M' && name === 'thread_name').map(({ tid, args }) => [tid, args.name ?? '']));
    const on = traceEvents.filter(({ ph, tid }) => (ph === 'X' || ph === 'i') && threads.get(tid)?.startsWith('exit '));
    expect(on).toHaveLength(count(reader, ({ kind }) => kind === 'exit'));
    expect(traceEvents.filter(({ ph }) => ph === 'C')).toHaveLength(count(reader, (event) => event.kind === 'dirty' && !event.more));
    for (const each of traceEvents) if (each.ph === 'X') expect(Number.isFinite(each.ts) && (each.dur ?? -1) >= 0).toBe(true);
  });
});

/** A profile with call stacks and tasks as a replay gives them: deep, recursive, the same function in several. */
function stackedProfile(): ExitProfile {
  const stacks = new StackTree();
  const columns = new ContextColumns();
  for (let i = 0; i < lab.records; i++) {
    let stack = stacks.add(0, i % 2 === 0 ? '[user]' : 'start_kernel');
    for (const frame of ['[syscall]', 'do_syscall', ...Array.from({ length: i % 5 }, () => 'recurse'), `leaf${i % 3}`]) stack = stacks.add(stack, frame);
    columns.set(i, stack, 1 + (i % 2));
  }
  const fold = new ExitProfileFold({ name: 'lab kernel', projection: new TestProjection(), contexts: { stacks, tasks: ['', 'init-1', 'work-2'] } });
  for (let i = 0; i < lab.eventBlocks.length; i++) fold.fold(lab.batch(i), 0, undefined, columns);
  return fold.report();
}

describe('call stacks', () => {
  const profile = stackedProfile();
  const work = profile.stacks.filter(({ isIdle }) => !isIdle);

  it.skipIf(pprofFormat === undefined)('are read by pprof-format, frame by frame, with their tasks as labels', () => {
    const read = pprofFormat.Profile.decode(gunzipSync(pprofBytes(profile, false)));
    const text = (index: number | bigint): string => read.stringTable.strings[Number(index)];
    const names = new Map(read.function.map((each: any) => [Number(each.id), text(each.name)]));
    const lines = new Map(read.location.map((each: any) => [Number(each.id), names.get(Number(each.line[0].functionId))]));
    const told = read.sample.map((each: any) => [each.locationId.map((id: any) => lines.get(Number(id))).reverse().join(';'), ...each.label.map((label: any) => `${text(label.key)}=${text(label.str)}`), ...each.value.map(Number)]);
    expect(told).toEqual(work.map(({ frames, task, count, cost }) => [frames.join(';'), `task=${task}`, count, cost]));
    expect(told.some(([stack]: any) => /;recurse;recurse;recurse;/.test(stack))).toBe(true);
  });

  it.skipIf(go === undefined)('are read by go tool pprof', () => {
    const file = join(folder, 'stacks.pb.gz');
    writeFileSync(file, pprofBytes(profile, false));
    const out = execFileSync(go ?? '', ['tool', 'pprof', '-traces', '-tagfocus=task=work-2', file], { encoding: 'utf8' });
    expect(out).toContain('recurse');
    expect(out).not.toContain('init-1');
  });

  it.skipIf(speedscope === undefined || ajv === undefined)('are valid by speedscope\'s schema, and add up', () => {
    const schema = JSON.parse(readFileSync(join(speedscope ?? '', 'dist', 'release', 'file-format-schema.json'), 'utf8'));
    const validator = new (ajv.default.default ?? ajv.default)({ strict: false });
    const value = JSON.parse(speedscopeText(profile, 'test', false));
    expect(validator.validate(schema, value), JSON.stringify(validator.errors)).toBe(true);
    const [costs] = value.profiles;
    expect(costs.endValue).toBe(profile.work?.typical);
    expect(costs.samples.map((sample: number[]) => sample.map((frame) => value.shared.frames[frame].name).join(';'))).toEqual(work.filter(({ cost }) => (cost ?? 0) > 0).map(({ frames }) => frames.join(';')));
  });
});

describe.skipIf(pprofFormat === undefined)('pprof', () => {
  it.each([false, true])('is read by pprof-format (costs: %s)', (withCosts) => {
    const profile = profileOf(lab, withCosts);
    const read = pprofFormat.Profile.decode(gunzipSync(pprofBytes(profile, false)));
    const text = (index: number | bigint): string => read.stringTable.strings[Number(index)];
    expect(read.sampleType.map((each: any) => `${text(each.type)}/${text(each.unit)}`)).toEqual(withCosts ? ['exits/count', 'cycles/count'] : ['exits/count']);
    const total = (place: number): number => read.sample.reduce((sum: number, each: any) => sum + Number(each.value[place]), 0);
    expect(total(0)).toBe(profile.exits - profile.idleExits);
    if (withCosts) expect(total(1)).toBe(profile.work?.typical);
    const stackOf = (each: any): string[] => each.locationId.map((id: any) => text(read.function.find((fn: any) => fn.id === read.location.find((location: any) => location.id === id).line[0].functionId).name));
    const uart = read.sample.filter((each: any) => stackOf(each).includes('uart_write') && stackOf(each).includes('work io')).reduce((sum: number, each: any) => sum + Number(each.value[0]), 0);
    const inPhase = profile.stacks.filter(({ frames }) => frames[0] === 'work io' && frames[1] === 'uart_write').reduce((sum, stack) => sum + stack.count, 0);
    expect(uart).toBe(inPhase);
    expect(uart).toBeGreaterThan(1000);
    // Leaf first.
    expect(stackOf(read.sample[0]).at(-1)).toBe(profile.stacks[0].frames[0]);
  });

  it.skipIf(go === undefined)('is read by go tool pprof', () => {
    const file = join(folder, 'lab.pb.gz');
    writeFileSync(file, pprofBytes(profileOf(lab, true), false));
    expect(execFileSync(go ?? '', ['tool', 'pprof', '-top', file], { encoding: 'utf8' })).toContain('uart_write');
  });
});

describe.skipIf(csvParse === undefined)('csv', () => {
  it.each(LOGS)('%s: is read by csv-parse, field by field', (_, reader) => {
    const lines = [CSV_COLUMNS.join(',')];
    for (let i = 0; i < reader.eventBlocks.length; i++) for (const { index, timeOffsetNs, event } of entriesOf(reader, i)) lines.push(csvOf(index, event.position + timeOffsetNs, event));
    const rows = csvParse.parse(`${lines.join('\n')}\n`, { columns: true }) as Record<(typeof CSV_COLUMNS)[number], string>[];
    const entries = [...reader.entries()];
    expect(rows).toHaveLength(entries.length);
    for (const [i, { event, timeOffsetNs, index }] of entries.entries()) {
      expect([rows[i].index, rows[i].position, rows[i].virtual_ns, rows[i].kind]).toEqual([index, event.position, event.position + timeOffsetNs, event.kind].map(String));
      if (event.kind === 'exit') expect(rows[i].rip).toBe(`0x${event.rip.toString(16)}`);
    }
  });
});

describe.skipIf(hyparquet === undefined)('parquet', () => {
  it.each(LOGS)('%s: is read by hyparquet, value by value', async (_, reader) => {
    const sink = new MemorySink();
    const writer = await ParquetTableWriter.open(sink, 'test');
    for (let i = 0; i < reader.eventBlocks.length; i++) for (const { index, timeOffsetNs, event } of entriesOf(reader, i)) writer.row(tableRow(index, timeOffsetNs, event));
    writer.end();
    const file = sink.toBytes().buffer;
    const rows = (await hyparquet.parquetReadObjects({ file })) as Record<string, unknown>[];
    const entries = [...reader.entries()];
    expect(rows).toHaveLength(entries.length);
    for (const [i, { event, timeOffsetNs, index }] of entries.entries()) {
      expect([rows[i]['record'], rows[i]['position'], rows[i]['virtual_ns'], rows[i]['kind']]).toEqual([BigInt(index), BigInt(event.position), BigInt(event.position + timeOffsetNs), event.kind]);
      if (event.kind !== 'exit') continue;
      expect([rows[i]['reason'], rows[i]['rip']]).toEqual([event.reason, event.rip]);
      if ('value' in event.detail) expect(rows[i]['value']).toBe(BigInt(event.detail.value));
    }
  });

  it('writes several row groups, and a log without events', async () => {
    const sink = new MemorySink();
    const writer = await ParquetTableWriter.open(sink, 'test');
    const [first] = [...mixed.entries()];
    for (let i = 0; i < 250_000; i++) writer.row(tableRow(i, first.timeOffsetNs, first.event));
    writer.end();
    const file = sink.toBytes().buffer;
    const metadata = hyparquet.parquetMetadata(file);
    expect(metadata.row_groups).toHaveLength(3);
    const rows = (await hyparquet.parquetReadObjects({ file, rowStart: 199_990, rowEnd: 200_010 })) as Record<string, unknown>[];
    expect(rows.map((row) => Number(row['record']))).toEqual(Array.from({ length: 20 }, (_, i) => 199_990 + i));
    const empty = new MemorySink();
    (await ParquetTableWriter.open(empty, 'test')).end();
    expect(Number(hyparquet.parquetMetadata(empty.toBytes().buffer).num_rows)).toBe(0);
  });
});

describe.skipIf(speedscope === undefined)('speedscope', () => {
  it.skipIf(ajv === undefined)('is valid by its own schema', () => {
    const schema = JSON.parse(readFileSync(join(speedscope ?? '', 'dist', 'release', 'file-format-schema.json'), 'utf8'));
    const validator = new (ajv.default.default ?? ajv.default)({ strict: false });
    const validate = validator.compile(schema);
    const value = JSON.parse(speedscopeText(profileOf(lab, true), 'test', false));
    expect(validate(value), JSON.stringify(validate.errors)).toBe(true);
    value.profiles[0].type = 'unheard of';
    expect(validate(value)).toBe(false);
  });

  describe.skipIf(chromium === undefined)('in Chromium', () => {
    let origin = '';
    let browser: Awaited<ReturnType<typeof launchChromium>>;
    const files = new Map<string, Uint8Array>();
    const server = createServer((request, response) => {
      const made = files.get(new URL(request.url ?? '/', 'http://x').pathname);
      if (made !== undefined) return void response.writeHead(200).end(made);
      const path = join(speedscope ?? '', 'dist', 'release', decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname).replace(/^\/+|\.\./g, ''));
      if (!existsSync(path)) return void response.writeHead(404).end();
      const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm' };
      response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(readFileSync(path));
    });
    beforeAll(async () => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      browser = await launchChromium();
    });
    afterAll(async () => {
      await browser.close();
      server.close();
    });

    /** What its table of functions ("sandwich") shows. */
    async function openIn(name: string, bytes: Uint8Array, wanted: string): Promise<string> {
      files.set(`/${name}`, bytes);
      const page = await browser.newPage();
      try {
        await page.goto(`${origin}/index.html#profileURL=${encodeURIComponent(`${origin}/${name}`)}&view=sandwich`);
        await page.getByText(wanted, { exact: true }).first().waitFor({ timeout: 30_000 });
        return await page.innerText('body');
      } finally {
        await page.close();
      }
    }

    it('opens its own format, pprof and Chrome traces of ours', async () => {
      const profile = profileOf(lab, true);
      const uart = profile.stacks.filter(({ frames }) => frames.at(-1) === 'port 0x3f8 uart').reduce((sum, stack) => sum + (stack.cost ?? 0), 0);
      const stacked = stackedProfile();
      const port = stacked.stacks.filter(({ frames }) => frames.at(-1) === 'port 0x3f8 uart').reduce((sum, { cost }) => sum + (cost ?? 0), 0);
      expect(await openIn('stacks.speedscope.json', new TextEncoder().encode(speedscopeText(stacked, 'test', false)), 'port 0x3f8 uart')).toContain(port.toLocaleString('en-US'));
      for (const [name, bytes] of [['lab.speedscope.json', new TextEncoder().encode(speedscopeText(profile, 'test', false))], ['lab.pb.gz', pprofBytes(profile, false)]] as const) {
        expect(await openIn(name, bytes, 'port 0x3f8 uart'), name).toContain(uart.toLocaleString('en-US'));
      }
      const idleNs = [...lab.events()].reduce((sum, event) => sum + (event.kind === 'idle' ? event.ns : 0), 0);
      expect(await openIn('lab.json', timeline(lab, (sink) => new ChromeWriter(sink, 'guest')), 'idle')).toContain(`${(idleNs / 1e6).toFixed(2)}ms`);
    });
  });
});
