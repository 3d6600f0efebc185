/** What is answered from a log alone, in pieces: between two of them other calls are heard. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Comparison } from '../../engine/analysis/comparison/comparison.ts';
import { EpochSplitter } from '../../engine/analysis/dirty/epoch.ts';
import { CurveFold, HeatFold, TruthFold } from '../../engine/analysis/dirty/folds.ts';
import type { DirtyTruth } from '../../engine/analysis/dirty/truth.ts';
import { type MigrationPolicy, type SimulationOptions, namedPolicies } from '../../engine/analysis/migration/policy.ts';
import { predict } from '../../engine/analysis/migration/predict.ts';
import { ExitProfileFold } from '../../engine/analysis/exit-profile/fold.ts';
import { machineWindows } from '../../engine/analysis/exit-profile/places.ts';
import { Pyramid, type PyramidState, SUM_TRACKS, type WindowQuery, countWindow } from '../../engine/analysis/pyramid/pyramid.ts';
import { type EventBatch, eventAt } from '../../engine/log/event-batch.ts';
import { KIND_DEVICE } from '../../engine/log/events.ts';
import type { Position } from '../../engine/log/position.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { SHAPE_UART_TX } from '../../engine/log/shapes.ts';
import { ColumnsError, columnOf, decodeColumns, encodeColumns } from '../../engine/protocol/columns.ts';
import { encodeEventRows, framed } from '../../engine/protocol/event-batches.ts';
import type { EventFilter } from '../../engine/protocol/lab.ts';
import { REGIMES, candidate, projectionOf } from '../../engine/regimes/catalogue.ts';
import type { OptionValue } from '../../engine/regimes/regime.ts';
import { reasonName } from '../cli/event-text.ts';
import { monotonicMs, turn } from '../cli/host.ts';
import { toJson } from '../cli/output.ts';
import { type RowFilter, rowFilter } from './event-filter.ts';
import { ProblemError } from './problem.ts';
import type { Recording, RecordingData } from './recording.ts';
import { type Asked, type Moved, type Operation, moved } from './thread.ts';

/** Longest work without hearing others. */
const SLICE_MS = 20;
/** Of one piece of a stream of events. */
const PIECE_BYTES = 256 << 10;
const PIECE_ROWS = 16_384;
/** Console bytes in one answer. */
export const CONSOLE_ANSWER_BYTES = 4 << 20;
const PYRAMID_FORMAT = 2;
export const PYRAMID_BUCKETS_MAX = 16_384;

interface OfLog {
  /** See RecordingData. */
  readonly readableBytes?: number | undefined;
}

export interface EventsArgs extends OfLog {
  readonly from: number;
  readonly to: number;
  /** Number of the first record that is wanted. */
  readonly record: number;
  readonly rowsMax: number;
  readonly filter: EventFilter;
  readonly format: 'columns' | 'ndjson';
}
export interface EventsPiece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly rows: number;
  /** Number of the record to go on from; undefined: that was all. */
  readonly next: number | undefined;
}

export class LogOperations {
  private readonly recording: Recording;
  private readonly data: RecordingData;
  private pyramid: Pyramid | undefined;
  private building: Promise<Pyramid> | undefined;
  private console: ConsoleBytes | undefined;
  private truth: DirtyTruth | undefined;

  constructor(recording: Recording, data: RecordingData) {
    this.recording = recording;
    this.data = data;
  }

  get operations(): Readonly<Record<string, Operation>> {
    return {
      events: (args: EventsArgs) => this.events(args),
      console: (args: OfLog & { readonly to: number; readonly bytesMax: number }) => this.consoleUpTo(args),
      pyramid: (args: OfLog & { readonly window: WindowQuery }, asked: Asked) => this.window(args, asked),
      marks: (args: OfLog) => this.marks(args),
      profile: (args: OfLog & ProfileArgs) => this.profile(args),
      compare: (args: OfLog & CompareArgs) => this.compare(args),
      dirty: (args: OfLog & DirtyArgs) => this.dirty(args),
      migration: (args: OfLog & MigrationArgs) => this.migration(args),
    };
  }

  // ---- events ----

  private events({ from, to, record, rowsMax, filter, format, readableBytes }: EventsArgs): Moved {
    const reader = this.recording.events(readableBytes);
    const wanted = rowFilter(filter);
    const startMs = monotonicMs();
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    let rows = 0;
    let next: number | undefined;
    const limit = Math.min(rowsMax, PIECE_ROWS);
    for (let block = Math.max(reader.blockIndexAt(from as Position), blockOfRecord(reader, record)); block < reader.eventBlocks.length; block++) {
      const entry = reader.eventBlocks[block];
      if (entry.firstPosition >= to) break;
      if (bytes >= PIECE_BYTES || rows >= limit || monotonicMs() - startMs >= SLICE_MS) {
        next = Math.max(record, entry.firstRecord);
        break;
      }
      if (!entry.counts.some((count, kind) => count > 0 && ((wanted.kindMask >> kind) & 1) !== 0)) continue;
      const batch = reader.batch(block);
      const found = rowsOf(batch, { from, to, record }, wanted, limit - rows);
      if (found.rows.length > 0) {
        const piece = format === 'columns' ? framed(encodeEventRows(batch, found.rows)) : ndjson(batch, found.rows);
        pieces.push(piece);
        bytes += piece.length;
        rows += found.rows.length;
      }
      if (found.next !== undefined) {
        next = found.next;
        break;
      }
    }
    return moved(joined(pieces), { rows, next: rows >= rowsMax ? undefined : next });
  }

  // ---- console ----

  private consoleUpTo({ to, bytesMax, readableBytes }: OfLog & { readonly to: number; readonly bytesMax: number }): Moved {
    const reader = this.recording.events(readableBytes);
    this.console ??= new ConsoleBytes();
    this.console.take(reader);
    return moved(...this.console.before(to, Math.min(bytesMax, CONSOLE_ANSWER_BYTES)));
  }

  private marks({ readableBytes }: OfLog): unknown {
    const marks = [];
    for (const { event, index, timeOffsetNs } of this.recording.events(readableBytes).entries({ kinds: ['mark'] })) {
      if (event.kind === 'mark' && marks.length < 100_000) marks.push({ record: index, position: event.position, virtualNs: event.position + timeOffsetNs, name: event.name, source: event.source });
    }
    return toJson({ marks });
  }

  // ---- zoomed out ----

  private async window({ window, readableBytes }: OfLog & { readonly window: WindowQuery }, asked: Asked): Promise<Moved> {
    const reader = this.recording.events(readableBytes);
    const pyramid = await this.built(reader, readableBytes === undefined, asked);
    const answer = pyramid.window(window) ?? countWindow(reader, window);
    const { shift, first, count, tracks } = answer;
    return moved(encodeColumns({ shift, first, count, baseShift: pyramid.baseShift, lastPosition: reader.lastPosition, records: reader.records, trackNames: pyramid.trackNames }, tracks), {});
  }

  /** Once for all who ask; of a log that grows, what is new. */
  private built(reader: LogReader, isWhole: boolean, asked: Asked): Promise<Pyramid> {
    const before = this.building ?? Promise.resolve(undefined);
    const mine = before.then(async () => {
      this.pyramid ??= isWhole ? this.cached(reader) : undefined;
      const pyramid = (this.pyramid ??= new Pyramid(reader.lastPosition));
      if (pyramid.records >= reader.records) return pyramid;
      let startMs = monotonicMs();
      for (let block = blockOfRecord(reader, pyramid.records); block < reader.eventBlocks.length; block++) {
        const batch = reader.batch(block);
        pyramid.add(batch, Math.max(0, pyramid.records - batch.firstRecord));
        if (monotonicMs() - startMs < SLICE_MS) continue;
        asked.progress({ position: reader.eventBlocks[block].lastPosition, of: reader.lastPosition });
        await turn();
        startMs = monotonicMs();
      }
      pyramid.refresh();
      if (isWhole && reader.hasEnd) this.keep(reader, pyramid);
      return pyramid;
    });
    this.building = mine.catch((error: unknown) => {
      this.pyramid = undefined;
      throw error;
    });
    // Who asked is told; nobody else waits for it.
    this.building.catch(() => undefined);
    const { building } = this;
    void building.finally(() => this.building === building && (this.building = undefined)).catch(() => undefined);
    return building;
  }

  private cachePath(reader: LogReader): string | undefined {
    const { cacheFolder } = this.data;
    if (cacheFolder === undefined) return undefined;
    const key = createHash('sha256').update(`${PYRAMID_FORMAT} ${reader.header.id} ${reader.records} ${reader.lastPosition} ${reader.blocks.length} ${reader.blocks.at(-1)?.offset ?? 0}`).digest('hex');
    return join(cacheFolder, `${key.slice(0, 32)}.pyramid`);
  }

  /** A cache that cannot be used is as good as none. */
  private cached(reader: LogReader): Pyramid | undefined {
    const path = this.cachePath(reader);
    if (path === undefined || !existsSync(path)) return undefined;
    try {
      const columns = decodeColumns(readFileSync(path));
      const { shift, records, lastPosition, names } = columns.meta as { shift: number; records: number; lastPosition: number; names: readonly string[] };
      const tracks = names.map((name, i) => ({ name, chunks: columnOf(columns, `c${i}`, 'u32'), values: columnOf(columns, `v${i}`, SUM_TRACKS.some((sum) => sum === name) ? 'f64' : 'u32') }));
      return records === reader.records ? Pyramid.restore({ shift, records, lastPosition, tracks }) : undefined;
    } catch (error) {
      if (error instanceof ColumnsError || (error instanceof Error && 'code' in error)) return undefined;
      throw error;
    }
  }

  private keep(reader: LogReader, pyramid: Pyramid): void {
    const path = this.cachePath(reader);
    if (path === undefined) return;
    const { shift, records, lastPosition, tracks }: PyramidState = pyramid.save();
    const columns = tracks.flatMap(({ chunks, values }, i) => [[`c${i}`, chunks], [`v${i}`, values]] as const);
    const draft = `${path}.${process.pid}.part`;
    try {
      mkdirSync(this.data.cacheFolder as string, { recursive: true });
      writeFileSync(draft, encodeColumns({ shift, records, lastPosition, names: tracks.map(({ name }) => name) }, columns));
      renameSync(draft, path);
    } catch (error) {
      // Without room for it, it is computed again.
      console.error(`the cache folder cannot be written: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  // ---- reports ----

  /** `work` keeps nothing of a batch. */
  private async each(reader: LogReader, work: (batch: EventBatch) => void): Promise<void> {
    let startMs = monotonicMs();
    for (let i = 0; i < reader.eventBlocks.length; i++) {
      work(reader.passingBatch(i));
      if (monotonicMs() - startMs < SLICE_MS) continue;
      await turn();
      startMs = monotonicMs();
    }
  }

  private async profile({ name, regime, cpu, options, readableBytes }: OfLog & ProfileArgs): Promise<string> {
    const reader = this.recording.events(readableBytes);
    const chosen = regime === undefined ? undefined : candidate(regime, { cpu, options: options ?? {} });
    const fold = new ExitProfileFold({
      name,
      windows: machineWindows(reader.header.config.devices),
      ...(chosen !== undefined && { projection: projectionOf(chosen), under: `${chosen.title}, costs of ${chosen.cpu}` }),
    });
    await this.each(reader, (batch) => fold.fold(batch));
    return toJson(fold.report());
  }

  private async compare({ regimes, cpu, cyclesPerInstruction, hasAdvice, rates, readableBytes }: OfLog & CompareArgs): Promise<string> {
    const reader = this.recording.events(readableBytes);
    const ids = regimes ?? REGIMES.map(({ id }) => id);
    const comparison = new Comparison({
      candidates: [...new Set(ids)].map((id) => candidate(id, { cpu })),
      hasAdvice: hasAdvice === true,
      ...(cyclesPerInstruction !== undefined && { cyclesPerInstruction }),
      ...(rates !== undefined && { rates }),
    });
    await this.each(reader, (batch) => comparison.add(batch));
    return toJson(comparison.report());
  }

  private async dirty({ sliceNs, rows, columns, readableBytes }: OfLog & DirtyArgs): Promise<string> {
    const reader = this.recording.events(readableBytes);
    const slices = endNsOf(reader) / sliceNs;
    if (slices > CURVE_POINTS_MAX) throw new ProblemError({ code: 'range', message: `a curve of ${Math.ceil(slices)} points`, advice: `ask for longer slices: ${CURVE_POINTS_MAX} points at most` });
    const splitter = new EpochSplitter();
    const heat = new HeatFold({ memoryBytes: reader.header.config.memoryBytes, ...(rows !== undefined && { rows }), ...(columns !== undefined && { columns }) });
    const curve = new CurveFold(sliceNs);
    const points = [];
    await this.each(reader, (batch) => {
      for (const epoch of splitter.split(batch)) {
        points.push(...curve.fold(epoch));
        heat.fold(epoch);
      }
    });
    points.push(...curve.finish());
    return toJson({ sliceNs, epochInstructions: reader.header.config.epochInstructions, curve: points, heat: heat.map() });
  }

  private async migration({ policies, downtimeLimitMs, maxBandwidth, bytesPerSecond, latencyNs, samples, options, readableBytes }: OfLog & MigrationArgs): Promise<string> {
    const reader = this.recording.events(readableBytes);
    const known = namedPolicies(downtimeLimitMs, maxBandwidth ?? 0);
    const chosen: MigrationPolicy[] = (policies ?? ['qemu-7.2']).map((name) => {
      const policy = known.get(name);
      if (policy === undefined) throw new ProblemError({ code: 'usage', message: `there is no migration policy "${name}"`, advice: `there are ${[...known.keys()].join(', ')}` });
      return policy;
    });
    if (this.truth === undefined || readableBytes !== undefined) {
      const splitter = new EpochSplitter();
      const fold = new TruthFold({ name: 'recording', memoryBytes: reader.header.config.memoryBytes, totals: () => splitter.totals() });
      await this.each(reader, (batch) => {
        for (const epoch of splitter.split(batch)) fold.fold(epoch);
      });
      this.truth = fold.truth();
    }
    const { truth } = this;
    const { pages, beginNs, endNs, times, busyShare } = truth;
    if (endNs <= beginNs) throw new ProblemError({ code: 'no-epochs', message: 'the recording has no dirty sets, so nothing is known of its memory over time', advice: 'record it again, with an epoch' });
    const predictions = [];
    for (const policy of chosen) {
      predictions.push(predict(truth, policy, { bytesPerSecond, ...(latencyNs !== undefined && { latencyNs }) }, options ?? {}, samples === undefined ? {} : { samples }));
      await turn();
    }
    return toJson({ truth: { pages, beginNs, endNs, times, busyShare }, predictions });
  }
}

export const CURVE_POINTS_MAX = 100_000;

export interface ProfileArgs {
  readonly name: string;
  readonly regime?: string | undefined;
  readonly cpu?: string | undefined;
  readonly options?: Readonly<Record<string, OptionValue>> | undefined;
}
export interface CompareArgs {
  readonly regimes?: readonly string[] | undefined;
  readonly cpu?: string | undefined;
  readonly cyclesPerInstruction?: number | undefined;
  readonly hasAdvice?: boolean | undefined;
  readonly rates?: { readonly systemCallsPerMillion?: number; readonly pageWalksPerMillion?: number; readonly kernelShare?: number } | undefined;
}
export interface DirtyArgs {
  readonly sliceNs: number;
  readonly rows?: number | undefined;
  readonly columns?: number | undefined;
}
export interface MigrationArgs {
  readonly policies?: readonly string[] | undefined;
  readonly downtimeLimitMs: number;
  readonly maxBandwidth?: number | undefined;
  readonly bytesPerSecond: number;
  readonly latencyNs?: number | undefined;
  readonly samples?: number | undefined;
  readonly options?: SimulationOptions | undefined;
}

/** Virtual time at the end of a log. */
function endNsOf(reader: LogReader): number {
  const { length } = reader.eventBlocks;
  return length === 0 ? 0 : reader.lastPosition + reader.batch(length - 1).endTimeOffsetNs;
}

/** Number of the event block that holds a record; that of the last one if none does. */
function blockOfRecord({ eventBlocks }: LogReader, record: number): number {
  let low = 0;
  let high = eventBlocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (eventBlocks[middle].firstRecord <= record) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

function rowsOf(batch: EventBatch, { from, to, record }: { readonly from: number; readonly to: number; readonly record: number }, wanted: RowFilter, rowsMax: number): { readonly rows: Uint32Array; readonly next: number | undefined } {
  const rows: number[] = [];
  for (let row = Math.max(0, record - batch.firstRecord); row < batch.count; row++) {
    if (batch.position[row] < from) continue;
    if (batch.position[row] >= to) break;
    if (rows.length >= rowsMax) return { rows: Uint32Array.from(rows), next: batch.firstRecord + row };
    if (wanted.accepts(batch, row)) rows.push(row);
  }
  return { rows: Uint32Array.from(rows), next: undefined };
}

/** The lines of `chronovisor events --json`. */
function ndjson(batch: EventBatch, rows: Uint32Array): Uint8Array {
  let text = '';
  for (const row of rows) {
    const event = eventAt(batch, row);
    const head = { index: batch.firstRecord + row, virtualNs: event.position + batch.timeOffsetNs[row] };
    text += `${toJson(event.kind === 'exit' ? { ...head, ...event, reasonName: reasonName(event.reason) } : { ...head, ...event })}\n`;
  }
  return new TextEncoder().encode(text);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** What the serial console has shown, with the position of each byte. */
class ConsoleBytes {
  private bytes = new Uint8Array(1 << 16);
  private positions = new Float64Array(1 << 16);
  private used = 0;
  private records = 0;

  /** What is new. */
  take(reader: LogReader): void {
    if (this.records >= reader.records) return;
    for (let block = blockOfRecord(reader, this.records); block < reader.eventBlocks.length; block++) {
      const entry = reader.eventBlocks[block];
      if (entry.counts[KIND_DEVICE] === 0) continue;
      const batch = reader.batch(block);
      for (let row = Math.max(0, this.records - batch.firstRecord); row < batch.count; row++) {
        if (batch.kind[row] !== KIND_DEVICE || batch.sites.shape[batch.site[row]] !== SHAPE_UART_TX) continue;
        if (this.used === this.bytes.length) this.grow();
        this.bytes[this.used] = batch.valueLo[row];
        this.positions[this.used++] = batch.position[row];
      }
    }
    this.records = reader.records;
  }

  private grow(): void {
    const bytes = new Uint8Array(this.used * 2);
    bytes.set(this.bytes);
    this.bytes = bytes;
    const positions = new Float64Array(this.used * 2);
    positions.set(this.positions);
    this.positions = positions;
  }

  /** The last bytes that were sent before a position, and the number of the first of them. */
  before(to: number, bytesMax: number): [bytes: Uint8Array<ArrayBuffer>, place: { readonly from: number; readonly total: number }] {
    let low = 0;
    let high = this.used;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.positions[middle] < to) low = middle + 1;
      else high = middle;
    }
    const from = Math.max(0, low - bytesMax);
    return [this.bytes.slice(from, low), { from, total: this.used }];
  }
}
