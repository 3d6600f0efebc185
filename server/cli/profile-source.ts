/** Where `stat`, `profile` and `export` get an exit profile: a recording, folded here, or a file that `import` wrote. */
import { ExitProfileFold } from '../../engine/analysis/exit-profile/fold.ts';
import { machineWindows } from '../../engine/analysis/exit-profile/places.ts';
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { Symbols, SymbolError } from '../../engine/analysis/exit-profile/symbols.ts';
import type { LogError } from '../../engine/log/errors.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { type Candidate, candidate, projectionOf } from '../../engine/regimes/catalogue.ts';
import type { OptionValue, Projection } from '../../engine/regimes/regime.ts';
import type { ImportReport } from '../import/import-text.ts';
import { ImportError, readImportedFile } from '../import/imported-file.ts';
import { FileSource } from '../store/files.ts';
import { openRecording } from '../store/chains.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { turn } from './host.ts';
import { REGIME_FILE_OPTION, userPlatforms } from './regime-options.ts';
import type { Signals } from './signals.ts';
import { UsageError } from './usage-error.ts';

/** A file of exits that is read whole. */
const IMPORTED_BYTES_MAX = 400_000_000;
const SYMBOL_BYTES_MAX = 1 << 30;
const LOG_MAGIC_FIRST = 0x89;

export const PROFILE_OPTIONS: readonly OptionSpec[] = [
  { name: 'regime', value: 'R', help: 'what the recording would be under this technique or platform (`chronovisor regimes list`); without it architectural events are counted, and have no cost' },
  { name: 'option', value: 'NAME=VALUE', help: 'an option of the regime (`chronovisor regimes show R`); may be repeated', multiple: true },
  { name: 'cpu', value: 'NAME', help: 'whose costs; default: that of the platform' },
  REGIME_FILE_OPTION,
  { name: 'symbols', value: 'FILE', help: "names of guest functions: the guest's ELF file, or a System.map" },
];

export type LoadedProfile =
  | { readonly kind: 'recording'; readonly profile: ExitProfile; readonly chosen: Candidate | undefined; readonly torn: LogError | undefined }
  | { readonly kind: 'import'; readonly profile: ExitProfile; readonly report: ImportReport }
  /** A signal came. */
  | { readonly kind: 'stopped' };

/** True if the file begins as a recording does. Throws StoreError. */
export function isLog(source: FileSource): boolean {
  return source.length > 0 && source.read(0, 1)[0] === LOG_MAGIC_FIRST;
}

export function chosenRegime(parsed: Arguments): { readonly chosen: Candidate; readonly projection: Projection } | undefined {
  const id = parsed.text('regime');
  if (id === undefined) {
    for (const name of ['option', 'cpu', 'regime-file']) if (parsed.has(name)) throw new UsageError(`--${name} needs --regime`, parsed.verb);
    return undefined;
  }
  const options: Record<string, OptionValue> = {};
  for (const text of parsed.all('option')) {
    const at = text.indexOf('=');
    if (at <= 0) throw parsed.wrong('option', text, 'NAME=VALUE, such as apicv=off');
    options[text.slice(0, at)] = optionValue(text.slice(at + 1));
  }
  const chosen = candidate(id, { cpu: parsed.text('cpu'), options }, userPlatforms(parsed));
  return { chosen, projection: projectionOf(chosen) };
}

function optionValue(text: string): OptionValue {
  if (text === 'on' || text === 'true' || text === 'yes') return true;
  if (text === 'off' || text === 'false' || text === 'no') return false;
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

export function functionNames(parsed: Arguments): ((ripLo: number, ripHi: number) => string | undefined) | undefined {
  const path = parsed.text('symbols');
  if (path === undefined) return undefined;
  const source = new FileSource(path, '--symbols');
  try {
    if (source.length > SYMBOL_BYTES_MAX) throw new UsageError(`--symbols ${path}: ${source.length} bytes are more than any symbol file has`, parsed.verb);
    const symbols = Symbols.parse(source.read(0, source.length));
    return (ripLo, ripHi) => symbols.at(ripLo, ripHi);
  } catch (error) {
    if (error instanceof SymbolError) throw new UsageError(`--symbols ${path}: ${error.message}`, parsed.verb);
    throw error;
  } finally {
    source.close();
  }
}

/** Throws what exit-codes.ts knows. */
export async function loadProfile(parsed: Arguments, signals: Signals): Promise<LoadedProfile> {
  const path = parsed.operands[0];
  const source = new FileSource(path, 'FILE');
  try {
    if (!isLog(source)) {
      for (const name of ['regime', 'option', 'cpu', 'regime-file', 'symbols']) {
        if (parsed.has(name)) throw new UsageError(`--${name} is for recordings: ${path} is none; what was imported was measured as it is`, parsed.verb);
      }
      const report = readImported(source);
      return { kind: 'import', profile: report.profile, report };
    }
    const regime = chosenRegime(parsed);
    const functionAt = functionNames(parsed);
    const { reader, torn } = openRecording(source, parsed.all('parent'));
    const fold = foldOf(path, reader, regime, functionAt);
    for (let i = 0; i < reader.eventBlocks.length; i++) {
      fold.fold(reader.batch(i));
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

function foldOf(path: string, reader: LogReader, regime: { readonly chosen: Candidate; readonly projection: Projection } | undefined, functionAt: ((ripLo: number, ripHi: number) => string | undefined) | undefined): ExitProfileFold {
  return new ExitProfileFold({
    name: path,
    windows: machineWindows(reader.header.config.devices),
    ...(functionAt !== undefined && { functionAt }),
    ...(regime !== undefined && { projection: regime.projection, under: `${regime.chosen.title}, costs of ${regime.chosen.cpu}` }),
  });
}
