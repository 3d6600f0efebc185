/** `index`: replays a recording once and keeps checkpoints beside it, so that any moment of it is near. */
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import { CheckpointError } from '../../engine/recording/checkpoint-errors.ts';
import { DEFAULT_INDEX_BYTES_MAX, DEFAULT_SPACING, Indexer, indexStep } from '../../engine/recording/indexer.ts';
import { type ReplayStatus, Replayer } from '../../engine/recording/replayer.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { findIndex, indexPath, saveIndex } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { openRecording } from '../store/chains.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, megabytes } from './format.ts';
import { monotonicMs, turn } from './host.ts';
import { toJson } from './output.ts';
import { Progress } from './progress.ts';
import { signalStatus } from './signals.ts';

const SLICE_INSTRUCTIONS = 2_000_000;

const SPEC: VerbSpec = {
  name: 'index',
  synopsis: 'FILE [options]',
  summary: 'Replays a recording and keeps checkpoints of it in FILE.index, so that any moment can be reached at once. The recording is not changed.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'spacing', value: 'N', help: `instructions from one checkpoint to the next (default: ${DEFAULT_SPACING / 1e6}M)` },
    { name: 'budget', value: 'BYTES', help: `bytes of the checkpoints at most (default: ${DEFAULT_INDEX_BYTES_MAX >> 20}M); the older part of the run is then kept more thinly` },
    { name: 'force', help: 'makes it anew even if there is an intact one' },
    ...IMAGE_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
};

export const index: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  const spacing = parsed.count('spacing', 1000) ?? DEFAULT_SPACING;
  const bytesMax = parsed.bytes('budget') ?? DEFAULT_INDEX_BYTES_MAX;
  const source = new FileSource(parsed.operands[0], 'FILE');
  const { reader, torn } = openRecording(source, parsed.all('parent'));
  if (torn !== undefined && !isQuiet) err.write(`chronovisor: ${torn.message}\n`);

  const found = findIndex(source.path, reader);
  let { problem } = found;
  if (found.index !== undefined && !parsed.has('force')) {
    try {
      found.index.check();
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      problem = error;
    }
    if (problem === undefined && found.index.header.blocks === reader.blocks.length) {
      const { checkpoints, bytes } = found.index;
      if (isJson) out.write(`${toJson({ verb: 'index', file: source.path, index: indexPath(source.path), isNew: false, checkpoints: checkpoints.length, bytes, exitCode: 0 })}\n`);
      else if (!isQuiet) out.write(`${indexPath(source.path)} is intact: ${checkpoints.length} checkpoints, ${megabytes(bytes)}\n`);
      return exitCode('ok');
    }
  }
  if (problem !== undefined && !isQuiet) err.write(`chronovisor: ${indexPath(source.path)}: ${problem.message}. It is made anew\n`);

  const replayer = new Replayer({ reader, images: openImages(reader, imagePlaces(parsed)), module: loadCore() });
  const indexer = new Indexer({ powerOn: copyCheckpoint(replayer.machine, replayer.save()), spacing, bytesMax });
  const progress = new Progress(err, !isQuiet);
  const startMs = monotonicMs();
  let status: ReplayStatus;
  do {
    status = indexStep(replayer, indexer, SLICE_INSTRUCTIONS);
    progress.update({ position: replayer.position, virtualNs: replayer.position + replayer.machine.timeOffsetNs, fraction: replayer.position / Math.max(1, reader.lastPosition) });
    await turn();
    if (signals.received !== undefined) {
      progress.clear();
      err.write(`chronovisor: stopped at @${replayer.position}; no index was written\n`);
      return signalStatus(signals.received);
    }
  } while (status.kind === 'running');
  progress.clear();
  if (status.kind === 'diverged') {
    const lines = describeDivergence(status.divergence);
    if (isJson) out.write(`${toJson({ verb: 'index', file: source.path, result: 'diverged', divergence: lines, exitCode: exitCode('different') })}\n`);
    else for (const line of lines) err.write(`chronovisor: ${line}\n`);
    if (!isJson) err.write('chronovisor: the replay diverged, so there is nothing to index: `chronovisor replay` says more\n');
    return exitCode('different');
  }
  const seconds = (monotonicMs() - startMs) / 1000;
  const bytes = saveIndex(source.path, reader, indexer.store);
  const { checkpoints, pool } = indexer.store;
  if (isJson) {
    out.write(`${toJson({ verb: 'index', file: source.path, index: indexPath(source.path), isNew: true, checkpoints: checkpoints.length, pages: pool.count, bytes, position: replayer.position, seconds, exitCode: 0 })}\n`);
  } else if (!isQuiet) {
    out.write(`${indexPath(source.path)}: ${checkpoints.length} checkpoints up to @${grouped(replayer.position)}, ${grouped(pool.count)} pages, ${megabytes(bytes)} (${seconds.toFixed(1)} s)\n`);
  }
  return exitCode('ok');
}
