/**
 * The one table of exit codes. A test compares it with README.md.
 *
 * 0 says that what was asked for was done and is good; 3 to 9 are answers rather than failures; 10 and above say what stopped the command.
 */
import { LOG_ERRORS, LogError } from '../../engine/log/errors.ts';
import { BootError } from '../../engine/machine/boot/errors.ts';
import { RegimeError } from '../../engine/regimes/regime.ts';
import { ChainError } from '../../engine/recording/chain.ts';
import { RecipeError } from '../../engine/recording/recipe.ts';
import { ScriptError } from '../../engine/recording/input-script.ts';
import type { EndReason } from '../../engine/log/events.ts';
import { GuestError } from '../guests/errors.ts';
import { ImportError } from '../import/imported-file.ts';
import { StoreError, type StoreErrorCode } from '../store/errors.ts';
import { UsageError } from './usage-error.ts';

export interface ExitCodeRow {
  readonly status: number;
  readonly meaning: string;
}

const OWN_CODES = {
  ok: { status: 0, meaning: 'done: the guest powered off, halted, asked for a reset, left with success (debug exit 1) or reached `--until`; the replay is identical; the logs are the same; the log is sound' },
  bug: { status: 1, meaning: 'a bug in Chronovisor: please report it' },
  usage: { status: 2, meaning: 'the command line or the input script is wrong' },
  different: { status: 3, meaning: '`replay` (or `compare --replay`) diverged; `diff` found a difference' },
  'cut-off': { status: 4, meaning: 'the log has no end, because its recorder was stopped by force: what there is of it is sound (`check`), or was replayed and is identical (`replay`)' },
  'guest-failed': { status: 5, meaning: 'the guest left with failure: a debug exit other than 1, as after a panic; or a workload of `compare --suite` did not run to its end' },
  'triple-fault': { status: 6, meaning: 'the guest ended with a triple fault, as Linux does after a panic with `reboot=t`' },
  'guest-error': { status: 7, meaning: 'the guest needs what this machine does not have, such as 16-bit code' },
  waiting: { status: 8, meaning: 'the guest waits for input that will not come' },
  script: { status: 9, meaning: 'the run ended before the input script was through' },
  'bad-image': { status: 10, meaning: 'an image cannot be booted: empty, truncated, damaged, not a kernel, 16-bit, or too large for the memory' },
  guest: { status: 11, meaning: 'there is no such guest, or it cannot be fetched' },
  'output-exists': { status: 12, meaning: 'the output exists already; nothing was written' },
  file: { status: 13, meaning: 'a file, such as an image, is missing, or cannot be read or written' },
  images: { status: 14, meaning: 'images of the recording are missing, or those given are others' },
  recipe: { status: 15, meaning: 'the recording is intact, but this version cannot replay it' },
  regime: { status: 17, meaning: 'there is no such regime, platform or CPU, or a `--regime-file` is wrong' },
  lossy: { status: 16, meaning: '`check --repair` made a new log, and something was lost' },
  import: { status: 18, meaning: 'the text to import holds nothing that is known, or a file is not one that `import` wrote' },
  'not-found': { status: 19, meaning: '`bisect`, `last-write`, `calls`, `find`: what was looked for does not happen in the recording; `explore`: every run went as the undisturbed one; `symbols`: there is no such name or line' },
  parent: { status: 20, meaning: 'the parent of a branch is missing, or those given are others' },
  'not-moved': { status: 21, meaning: '`migrate --live`: the guest was not moved (it did not converge, the destination refused or could not be reached, or the link broke) and went on here' },
  cancelled: { status: 22, meaning: '`migrate --live` was cancelled by Ctrl-C or another signal: the guest was not moved and went on here' },
  unconfirmed: { status: 23, meaning: '`migrate --live`: the guest was handed over and is not run here again, but the destination has not confirmed it: `migrate --resolve` asks again; or the lab whose run moves fell silent; `--listen`, `--resolve`: the link or the stream failed' },
  hangup: { status: 129, meaning: 'stopped by SIGHUP; a recording was closed properly' },
  interrupted: { status: 130, meaning: 'stopped by SIGINT (Ctrl-C); a recording was closed properly' },
  terminated: { status: 143, meaning: 'stopped by SIGTERM; a recording was closed properly' },
} as const satisfies Record<string, ExitCodeRow>;

export type ExitName = keyof typeof OWN_CODES;

export function exitCode(name: ExitName): number {
  return OWN_CODES[name].status;
}

/** All rows, those of the log's errors included, by number. */
export const EXIT_CODES: readonly ExitCodeRow[] = [
  ...Object.values(OWN_CODES),
  ...Object.values(LOG_ERRORS).map(({ status, message }) => ({ status, meaning: message })),
].sort((a, b) => a.status - b.status);

const END_CODES: Readonly<Record<EndReason, ExitName>> = {
  shutdown: 'ok',
  halted: 'ok',
  reset: 'ok',
  limit: 'ok',
  user: 'ok',
  truncated: 'cut-off',
  error: 'guest-error',
  'triple-fault': 'triple-fault',
  'debug-exit': 'guest-failed',
};

/** What the end of a run says of the guest. */
export function exitNameOfEnd(reason: EndReason, detail: string): ExitName {
  return reason === 'debug-exit' && detail === '1' ? 'ok' : END_CODES[reason];
}

const STORE_CODES: Readonly<Record<StoreErrorCode, ExitName>> = {
  'output-exists': 'output-exists',
  'file-missing': 'file',
  'folder-missing': 'file',
  'file-denied': 'file',
  'file-not-regular': 'file',
  'file-too-large': 'file',
  'file-failed': 'file',
  'guest-unknown': 'guest',
  'guest-image-damaged': 'bad-image',
  'images-missing': 'images',
  'image-mismatch': 'images',
  'images-not-chosen': 'images',
  'too-large-for-page': 'images',
  'page-missing': 'file',
  'core-missing': 'file',
  'core-damaged': 'file',
  'profile-damaged': 'file',
  'jit-unknown': 'usage',
};

/** An error as the command line reports it. */
export interface Failure {
  readonly status: number;
  /** For scripts. */
  readonly code: string;
  readonly message: string;
}

/** Undefined for what is not an expected failure: a bug. */
export function failureOf(error: unknown): Failure | undefined {
  // A sink that could not even make its file: what is wrong is the file.
  if (error instanceof LogError && error.cause instanceof StoreError) return failureOf(error.cause);
  if (error instanceof LogError) return { status: error.status, code: error.code, message: error.message };
  if (error instanceof BootError) return { status: exitCode('bad-image'), code: error.code, message: error.message };
  if (error instanceof StoreError) return { status: exitCode(STORE_CODES[error.code]), code: error.code, message: error.message };
  if (error instanceof ImportError) return { status: exitCode('import'), code: error.code, message: error.message };
  if (error instanceof GuestError) return { status: exitCode('guest'), code: error.code, message: error.message };
  if (error instanceof RecipeError) return { status: exitCode('recipe'), code: 'recipe', message: error.message };
  if (error instanceof ChainError) return { status: exitCode('parent'), code: error.code, message: error.message };
  if (error instanceof RegimeError) return { status: exitCode('regime'), code: 'regime', message: error.message };
  if (error instanceof UsageError) return { status: exitCode('usage'), code: 'usage', message: error.message };
  if (error instanceof ScriptError) return { status: exitCode('usage'), code: 'script', message: error.message };
  return undefined;
}
