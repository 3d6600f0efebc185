/**
 * What the compiler of guest code learns, kept in a file from one process to the next (engine/jit/profile.ts). It is a cache: without it code is only compiled later. So nothing fails for it,
 * unless somebody named the file.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CodeProfile, PROFILE_BYTES_MAX } from '../../engine/jit/profile.ts';
import { StoreError, fileError, systemCode } from './errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const OPTION = '--jit-profile';
/** In place of a file. */
export const NO_PROFILE = 'off';

/** `$CHRONOVISOR_HOME/jit-profile`, or by the XDG base directories `~/.cache/chronovisor/jit-profile`. */
export function profilePath(environment: Environment = process.env): string {
  const own = environment['CHRONOVISOR_HOME'];
  if (own !== undefined && own !== '') return join(own, 'jit-profile');
  const cache = environment['XDG_CACHE_HOME'];
  // Relative paths there are to be ignored (XDG Base Directory Specification).
  return join(cache?.startsWith('/') === true ? cache : join(homedir(), '.cache'), 'chronovisor', 'jit-profile');
}

/** What was asked for on the command line, else CHRONOVISOR_JIT_PROFILE, else the usual place; undefined: off. */
export function keptProfile(asked?: string, environment: Environment = process.env): KeptProfile | undefined {
  const named = asked ?? (environment['CHRONOVISOR_JIT_PROFILE'] || undefined);
  if (named === NO_PROFILE) return undefined;
  return new KeptProfile(named ?? profilePath(environment), named !== undefined);
}

export class KeptProfile {
  readonly path: string;
  private readonly isNamed: boolean;
  private learning: CodeProfile | undefined;

  /** isNamed: somebody chose this file, and is told what is wrong with it. */
  constructor(path: string, isNamed: boolean) {
    this.path = path;
    this.isNamed = isNamed;
  }

  /** What earlier processes learnt, to be added to. Throws StoreError for a named file that is there and is no profile. */
  read(): CodeProfile {
    return (this.learning ??= this.load(this.isNamed));
  }

  /**
   * Puts what was learnt into the file, with what others have put there meanwhile: of two that do so at once one is lost. Returns what went wrong with a named file.
   */
  keep(): string | undefined {
    if (this.learning?.hasLearnt !== true) return undefined;
    const draft = `${this.path}.${process.pid}.${randomBytes(4).toString('hex')}.part`;
    try {
      const all = this.load(false);
      all.merge(this.learning);
      // Whoever names a file has a folder for it. It says what its owner ran.
      if (!this.isNamed) mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      writeFileSync(draft, all.encode(), { mode: 0o600 });
      renameSync(draft, this.path);
      return undefined;
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      try {
        rmSync(draft, { force: true });
      } catch {
        // Where it cannot be written it cannot be removed, and is not there.
      }
      return this.isNamed ? `what was learnt of the guest's code is lost: ${fileError(error, 'write', this.path, OPTION).message}` : undefined;
    }
  }

  /** As it is now, a run later. What is not there is empty; and what cannot be used, unless isStrict. */
  private load(isStrict: boolean): CodeProfile {
    let reason: string;
    try {
      const bytes = readBounded(this.path);
      if (bytes === undefined) reason = 'it is too large, or no file';
      else {
        const result = CodeProfile.decode(bytes);
        if (result.kind === 'profile') return result.profile.older();
        ({ reason } = result);
      }
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      if (!isStrict || (code === 'ENOENT' && existsSync(dirname(this.path)))) return new CodeProfile();
      throw fileError(error, code === 'ENOENT' ? 'write' : 'read', this.path, OPTION);
    }
    if (isStrict) throw new StoreError('profile-damaged', { file: this.path, detail: reason, option: OPTION });
    return new CodeProfile();
  }
}

/** Undefined for what cannot be a profile: it is not opened. A FIFO would wait for its writer. */
function readBounded(path: string): Uint8Array | undefined {
  const stat = statSync(path);
  return stat.isFile() && stat.size <= PROFILE_BYTES_MAX ? readFileSync(path) : undefined;
}
