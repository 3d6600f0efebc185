/** Where `stat`, `profile` and `export` get an exit profile: a recording, folded here from its log or a replay, or a file that `import` wrote. */
import { ExitProfileFold, type ExitProfileOptions } from '../../engine/analysis/exit-profile/fold.ts';
import { machineWindows } from '../../engine/analysis/exit-profile/places.ts';
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { Symbols, SymbolError } from '../../engine/analysis/exit-profile/symbols.ts';
import { DivergedError } from '../../engine/debug/time-travel.ts';
import type { LogError } from '../../engine/log/errors.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { type Divergence, describeDivergence } from '../../engine/log/verify.ts';
import { type Candidate, candidate, projectionOf } from '../../engine/regimes/catalogue.ts';
import type { Projection } from '../../engine/regimes/regime.ts';
import type { ImportReport } from '../import/import-text.ts';
import { ImportError, readImportedFile } from '../import/imported-file.ts';
import { type FileSymbol, readSymbolFile } from '../../engine/machine/boot/symbol-file.ts';
import { FileSource } from '../store/files.ts';
import { openRecording } from '../store/chains.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { IMAGE_OPTIONS } from './common-options.ts';
import type { Context } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { turn } from './host.ts';
import { toJson } from './output.ts';
import { openReplay } from './profile-replay.ts';
import { REGIME_FILE_OPTION, REGIME_OPTION_OPTION, optionsAsked, userPlatforms } from './regime-options.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

/** A file of exits that is read whole. */
const IMPORTED_BYTES_MAX = 400_000_000;
const SYMBOL_BYTES_MAX = 1 << 30;
const LOG_MAGIC_FIRST = 0x89;

export const PROFILE_OPTIONS: readonly OptionSpec[] = [
  { name: 'regime', value: 'R', help: 'what the recording would be under this technique or platform (`chronovisor regimes list`); without it architectural events are counted, and have no cost' },
  REGIME_OPTION_OPTION,
  { name: 'cpu', value: 'NAME', help: 'whose costs; default: that of the platform' },
  REGIME_FILE_OPTION,
  { name: 'symbols', value: 'FILE', help: "names of guest functions: the guest's ELF file, or a System.map; with a replay also programs of its user space", multiple: true },
];

/** For those that can look at call stacks and tasks. */
export const REPLAY_OPTIONS: readonly OptionSpec[] = [
  { name: 'replay', help: 'replay the recording for what its log does not hold: call stacks and tasks' },
  ...IMAGE_OPTIONS.map((option) => (option.name === 'parent' ? option : { ...option, help: `--replay: ${option.help}` })),
];

export type LoadedProfile =
  | { readonly kind: 'recording'; readonly profile: ExitProfile; readonly chosen: Candidate | undefined; readonly torn: LogError | undefined }
  | { readonly kind: 'import'; readonly profile: ExitProfile; readonly report: ImportReport }
  | { readonly kind: 'diverged'; readonly divergence: Divergence }
  /** A signal came. */
  | { readonly kind: 'stopped' };

/** The exit code, and the message, of what gave no profile. */
export function endWithout(loaded: Extract<LoadedProfile, { readonly kind: 'diverged' | 'stopped' }>, parsed: Arguments, { out, err, signals }: Context): number {
  if (loaded.kind === 'stopped') return signals.received === undefined ? exitCode('ok') : signalStatus(signals.received);
  const lines = describeDivergence(loaded.divergence);
  const [file] = parsed.operands;
  if (parsed.has('json')) out.write(`${toJson({ verb: parsed.verb, file, result: 'diverged', divergence: lines, exitCode: exitCode('different') })}\n`);
  else err.write(`chronovisor: ${file}: the replay is not the recording, so there is no profile\n${lines.map((line) => `  ${line}\n`).join('')}`);
  return exitCode('different');
}

/** True if the file begins as a recording does. Throws StoreError. */
export function isLog(source: FileSource): boolean {
  return source.length > 0 && source.read(0, 1)[0] === LOG_MAGIC_FIRST;
}

/** The same of a file by name. */
export function isLogFile(path: string): boolean {
  const source = new FileSource(path, 'FILE');
  try {
    return isLog(source);
  } finally {
    source.close();
  }
}

export function chosenRegime(parsed: Arguments): { readonly chosen: Candidate; readonly projection: Projection } | undefined {
  const id = parsed.text('regime');
  if (id === undefined) {
    for (const name of ['option', 'cpu', 'regime-file']) if (parsed.has(name)) throw new UsageError(`--${name} needs --regime`, parsed.verb);
    return undefined;
  }
  const chosen = candidate(id, { cpu: parsed.text('cpu'), options: optionsAsked(parsed) }, userPlatforms(parsed));
  return { chosen, projection: projectionOf(chosen) };
}

export function functionNames(parsed: Arguments): ((ripLo: number, ripHi: number) => string | undefined) | undefined {
  const paths = parsed.all('symbols');
  if (paths.length === 0) return undefined;
  const symbols = new Symbols(paths.flatMap((path) => readNames(path, parsed.verb)));
  return (ripLo, ripHi) => symbols.at(ripLo, ripHi);
}

function readNames(path: string, verb: string): FileSymbol[] {
  const source = new FileSource(path, '--symbols');
  try {
    if (source.length > SYMBOL_BYTES_MAX) throw new UsageError(`--symbols ${path}: ${source.length} bytes are more than any symbol file has`, verb);
    const bytes = source.read(0, source.length);
    Symbols.parse(bytes);
    return readSymbolFile(bytes);
  } catch (error) {
    if (error instanceof SymbolError) throw new UsageError(`--symbols ${path}: ${error.message}`, verb);
    throw error;
  } finally {
    source.close();
  }
}

/** `isReplayed`: with call stacks and tasks. Throws what exit-codes.ts knows. */
export async function loadProfile(parsed: Arguments, context: Pick<Context, 'signals' | 'err'>, isReplayed = false): Promise<LoadedProfile> {
  const { signals } = context;
  const path = parsed.operands[0];
  const source = new FileSource(path, 'FILE');
  try {
    if (!isLog(source)) {
      for (const name of ['regime', 'option', 'cpu', 'regime-file', 'symbols', ...REPLAY_OPTIONS.map((option) => option.name)]) {
        if (parsed.has(name)) throw new UsageError(`--${name} is for recordings: ${path} is none; what was imported was measured as it is`, parsed.verb);
      }
      const report = readImported(source);
      return { kind: 'import', profile: report.profile, report };
    }
    if (!isReplayed) for (const { name } of REPLAY_OPTIONS) if (name !== 'parent' && parsed.has(name)) throw new UsageError(`--${name} is for --replay: a log is profiled without its images`, parsed.verb);
    const regime = chosenRegime(parsed);
    const functionAt = isReplayed ? undefined : functionNames(parsed);
    const { reader, torn } = openRecording(source, parsed.all('parent'));
    if (isReplayed) {
      try {
        const replay = openReplay(reader, parsed, context.err);
        const fold = new ExitProfileFold({ ...optionsOf(path, reader, regime), ...replay.options });
        const end = await replay.foldTo(fold, context);
        return end.kind === 'done' ? { kind: 'recording', profile: fold.report(), chosen: regime?.chosen, torn } : end;
      } catch (error) {
        if (error instanceof DivergedError) return { kind: 'diverged', divergence: error.divergence };
        throw error;
      }
    }
    const fold = new ExitProfileFold({ ...optionsOf(path, reader, regime), ...(functionAt !== undefined && { functionAt }) });
    for (let i = 0; i < reader.eventBlocks.length; i++) {
      fold.fold(reader.passingBatch(i));
      if (i % 64 !== 63) continue;
      await turn();
      if (signals.received !== undefined) return { kind: 'stopped' };
    }
    return { kind: 'recording', profile: fold.report(), chosen: regime?.chosen, torn };
  } finally {
    source.close();
  }
}

export function readImported(source: FileSource): ImportReport & { readonly profile: ExitProfile } {
  if (source.length > IMPORTED_BYTES_MAX) {
    throw new ImportError('import-file', `${source.path} has ${source.length} bytes, more than the ${IMPORTED_BYTES_MAX} that are read at once: import the text again with --no-exits`);
  }
  return readImportedFile(source.path, new TextDecoder().decode(source.read(0, source.length)));
}

function optionsOf(path: string, reader: LogReader, regime: { readonly chosen: Candidate; readonly projection: Projection } | undefined): ExitProfileOptions {
  return {
    name: path,
    windows: machineWindows(reader.header.config.devices),
    ...(regime !== undefined && { projection: regime.projection, under: `${regime.chosen.title}, costs of ${regime.chosen.cpu}` }),
  };
}
