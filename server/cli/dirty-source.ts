/** Where `dirty` and `migrate` get what a guest writes: the log of a recording, a replay of it, or somebody's own series. */
import { type DirtyEpoch, EpochSplitter } from '../../engine/analysis/dirty/epoch.ts';
import { EpochDivergence, powerOnPages, replayEpochs } from '../../engine/analysis/dirty/first-writes.ts';
import { TruthFold } from '../../engine/analysis/dirty/folds.ts';
import { SeriesError, parseSeries } from '../../engine/analysis/dirty/series.ts';
import type { DirtyTruth } from '../../engine/analysis/dirty/truth.ts';
import type { Position } from '../../engine/log/position.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import { encodeState } from '../../engine/machine/state-bytes.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { openRecording } from '../store/chains.ts';
import { loadCore } from '../store/core-module.ts';
import { StoreError } from '../store/errors.ts';
import { FileSource, readText } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { IMAGE_OPTIONS, imagePlaces } from './common-options.ts';
import type { Context } from './context.ts';
import { turn } from './host.ts';
import { duration, durationOf, instructions } from './quantities.ts';
import { UsageError } from './usage-error.ts';

export const DIRTY_SOURCE_OPTIONS: readonly OptionSpec[] = [
  { name: 'replay', help: 'take it from a replay: first writes at their own time, what is in the pages' },
  { name: 'epoch', value: 'T', help: "with --replay: length of the epochs, such as 100us of the guest's running time or 50_000 instructions (default: 1ms)" },
  { name: 'series', value: 'CSV', help: 'instead of a recording: rows of time_ns|time_us|time_ms|time_s and page|address; `# memory=8GiB epoch=50ms`; - is stdin' },
  { name: 'memory', value: 'SIZE', help: 'with --series: memory of the guest' },
  ...IMAGE_OPTIONS,
];

const EPOCH_INSTRUCTIONS_DEFAULT = 1_000_000;
/** Epochs of a replay between looks at signals. */
const EPOCHS_PER_TURN = 256;

export interface DirtySource {
  readonly truth: DirtyTruth;
  readonly file: string;
  readonly from: 'log' | 'replay' | 'series';
  /** Undefined for a series. */
  readonly reader: LogReader | undefined;
  /** Instructions of an epoch; 0 where that says nothing. */
  readonly epochInstructions: number;
}

export type LoadedDirt = { readonly kind: 'loaded'; readonly source: DirtySource } | { readonly kind: 'stopped' } | { readonly kind: 'diverged'; readonly error: EpochDivergence };

export interface DirtWishes {
  /** With a replay: reads and content, too. */
  readonly reads?: boolean;
  readonly content?: boolean;
  /** Positions at which an epoch shall end. */
  readonly edges?: (reader: LogReader) => readonly number[];
  /** Asked of each epoch as it comes. */
  readonly onEpoch?: (epoch: DirtyEpoch) => void;
  /** Only by replay: --replay is taken as given. */
  readonly needsReplay?: boolean;
  /** What is told of a replayer before it runs. */
  readonly onReplayer?: (replayer: Replayer, images: RunImages) => void;
  /** Names what runs. */
  readonly taskAt?: (machine: Machine) => string;
}

/** Throws what exit-codes.ts knows. */
export async function loadDirt(parsed: Arguments, { err, signals }: Context, wishes: DirtWishes = {}): Promise<LoadedDirt> {
  const series = parsed.text('series');
  const isReplay = parsed.has('replay') || wishes.needsReplay === true;
  if (series !== undefined) {
    if (parsed.operands.length > 0) throw new UsageError('--series takes the place of FILE: give one of them', parsed.verb);
    if (isReplay) throw new UsageError('a series cannot be replayed: what asks for a replay needs a recording', parsed.verb);
    const memoryBytes = parsed.bytes('memory');
    try {
      const truth = parseSeries(readText(series, '--series'), { name: series, memoryBytes, epochNs: duration(parsed, 'epoch') });
      return { kind: 'loaded', source: { truth, file: series, from: 'series', reader: undefined, epochInstructions: 0 } };
    } catch (error) {
      if (error instanceof SeriesError) throw new UsageError(`--series ${series}: ${error.message}`, parsed.verb);
      throw error;
    }
  }
  const [path] = parsed.operands;
  if (path === undefined) throw new UsageError('give a recording, or --series CSV', parsed.verb);
  if (parsed.has('memory')) throw new UsageError('--memory is for --series: a recording knows its memory', parsed.verb);
  if (parsed.has('epoch') && !isReplay) throw new UsageError('--epoch needs --replay: the epochs of a log are those it was recorded with (`record --epoch`)', parsed.verb);
  const file = new FileSource(path, 'FILE');
  const { reader, torn } = openRecording(file, parsed.all('parent'));
  if (torn !== undefined) err.write(`chronovisor: ${torn.message}\n`);
  const { memoryBytes, epochInstructions } = reader.header.config;
  if (!isReplay && epochInstructions === 0) throw new UsageError(`${path} was recorded without dirty sets (--epoch 0): --replay takes them from a replay`, parsed.verb);

  const splitter = new EpochSplitter();
  const replayer = replayerOf(reader, parsed, isReplay, (text) => err.write(`chronovisor: ${text}\n`));
  if (replayer !== undefined) wishes.onReplayer?.(replayer.replayer, replayer.images);
  const machine = replayer?.replayer.machine;
  const fold = new TruthFold({
    name: path,
    memoryBytes,
    totals: () => splitter.totals(),
    powerOn: machine === undefined ? undefined : powerOnPages(machine, isReplay && wishes.content === true),
    deviceStateBytes: machine === undefined ? undefined : machine.cpuBytes().length + encodeState(machine.saveDevices()).length,
  });
  const add = (epoch: DirtyEpoch): void => {
    fold.fold(epoch);
    wishes.onEpoch?.(epoch);
  };
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    const epochs = splitter.split(reader.batch(i));
    if (!isReplay) epochs.forEach(add);
    if (i % 64 !== 63) continue;
    await turn();
    if (signals.received !== undefined) return { kind: 'stopped' };
  }
  let epochLength = epochInstructions;
  if (isReplay) {
    epochLength = instructions(parsed, 'epoch', 1) ?? EPOCH_INSTRUCTIONS_DEFAULT;
    let count = 0;
    const edges = wishes.edges?.(reader) ?? [];
    try {
      for (const epoch of replayEpochs(replayer!.replayer, { instructions: epochLength, edges, reads: wishes.reads === true, content: wishes.content === true, taskAt: wishes.taskAt })) {
        add(epoch);
        if (++count % EPOCHS_PER_TURN !== 0) continue;
        await turn();
        if (signals.received !== undefined) return { kind: 'stopped' };
      }
    } catch (error) {
      if (error instanceof EpochDivergence) return { kind: 'diverged', error };
      throw error;
    }
  }
  return { kind: 'loaded', source: { truth: fold.truth(), file: path, from: isReplay ? 'replay' : 'log', reader, epochInstructions: epochLength } };
}

/** A replayer that has not run; undefined if its images are not there and nobody insists. */
function replayerOf(reader: LogReader, parsed: Arguments, isNeeded: boolean, warn: (text: string) => void): { readonly replayer: Replayer; readonly images: RunImages } | undefined {
  try {
    const images = openImages(reader, imagePlaces(parsed));
    return { replayer: new Replayer({ reader, images, module: loadCore() }), images };
  } catch (error) {
    if (isNeeded || !(error instanceof StoreError) || error.code !== 'images-missing') throw error;
    warn(`${error.message} Without them it is not known which pages are zeros`);
    return undefined;
  }
}

/** Virtual ns when a run arrives at a position, before anything happens there: the log has all idle time and the costs of device accesses. */
export function virtualNsAt(reader: LogReader, position: number): number {
  const block = reader.blockIndexAt(position as Position);
  if (block === reader.eventBlocks.length) return position + (block === 0 ? 0 : reader.batch(block - 1).endTimeOffsetNs);
  const batch = reader.batch(block);
  let row = 0;
  while (batch.position[row] < position) row++;
  return position + batch.timeOffsetNs[row];
}

/** The first position at which virtual time has come to `ns`. */
export function positionAtNs(reader: LogReader, ns: number): number {
  let low = 0;
  let high = reader.lastPosition as number;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (virtualNsAt(reader, middle) < ns) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `@POSITION`, `N%`, `mark:NAME` or `end` as a moment of the run, virtual ns. Of a series: `N%` or a duration from its begin. */
export function momentOf(parsed: Arguments, name: string, text: string, { truth, reader }: { readonly truth: Pick<DirtyTruth, 'beginNs' | 'endNs'>; readonly reader: LogReader | undefined }): number {
  const within = (ns: number): number => {
    if (ns < truth.beginNs || ns > truth.endNs) throw parsed.wrong(name, text, `a moment of what is known, from ${truth.beginNs} to ${truth.endNs} ns of virtual time`);
    return ns;
  };
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text);
  if (percent !== null) return within(truth.beginNs + ((truth.endNs - truth.beginNs) * Number(percent[1])) / 100);
  if (text === 'end') return truth.endNs;
  if (/^\d+(\.\d+)?(ns|us|ms|s|min)$/.test(text)) return within(truth.beginNs + durationOf(parsed, name, text));
  if (reader === undefined) throw parsed.wrong(name, text, 'N% or a duration from the begin, such as 2s');
  if (text.startsWith('mark:')) {
    for (const { event, timeOffsetNs } of reader.entries({ kinds: ['mark'] })) if (event.kind === 'mark' && event.name === text.slice(5)) return within(event.position + timeOffsetNs);
    throw parsed.wrong(name, text, 'a mark of the recording (`chronovisor info` lists them)');
  }
  const position = /^@?[\d_]+$/.test(text) ? Number(text.replace('@', '').replaceAll('_', '')) : NaN;
  if (!Number.isSafeInteger(position)) throw parsed.wrong(name, text, '@1234567, 50%, mark:NAME, end, or a time from the begin such as 20ms');
  return within(virtualNsAt(reader, position));
}
