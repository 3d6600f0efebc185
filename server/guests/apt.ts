/**
 * The host's apt as a source of packages: what is in its signed indices, and downloads without installing. Works as root
 * and as a normal user; a user who needs newer indices, and whoever asks for an architecture that the host's dpkg does not
 * know, gets private ones in the working folder.
 */
import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GuestError } from './errors.ts';
import { complaint, run } from './run.ts';

export interface AptPackage {
  readonly name: string;
  readonly version: string;
  /** Of the .deb, from the signed Packages index. */
  readonly sha256: string;
  /** The Depends field as it stands. */
  readonly depends: string;
}

export class Apt {
  readonly architecture: string;
  readonly #folder: string;
  readonly #log: (line: string) => void;
  readonly #isRoot = process.getuid?.() === 0;
  /** The scratch folder is private, and apt's sandbox user could not write to it. */
  readonly #sandbox: readonly string[] = this.#isRoot ? ['-o', 'APT::Sandbox::User=root'] : [];
  #options: readonly string[] = [];
  #isForeign: boolean | undefined;
  #updated = false;

  /** `folder`: an existing scratch folder of the caller. */
  constructor(folder: string, architecture: string, log: (line: string) => void) {
    this.#folder = folder;
    this.architecture = architecture;
    this.#log = log;
  }

  /** A package by exact version, or the candidate. The indices are updated once if they do not have it. */
  async find(name: string, version?: string): Promise<AptPackage | undefined> {
    const found = await this.#show(name, version);
    if (found !== undefined || this.#updated) return found;
    let failure: unknown;
    try {
      await this.update();
    } catch (error) {
      // One index of several may be out of step with its archive; the package may be in another.
      failure = error;
    }
    const updated = await this.#show(name, version);
    if (updated === undefined && failure !== undefined) throw failure;
    return updated;
  }

  /** Fetches the indices anew: the host's as root, private ones otherwise and for a foreign architecture. */
  async update(): Promise<void> {
    this.#updated = true;
    this.#log(`apt-get update${this.#isForeign === true ? ` for ${this.architecture}` : ''}`);
    if (!this.#isRoot && this.#options.length === 0) await this.#useOwnIndices();
    const result = await run('apt-get', [...this.#options, ...this.#sandbox, '-q', 'update']);
    if (result.status !== 0) throw new GuestError('apt-update-failed', { detail: complaint(result) });
  }

  /** Downloads a .deb and returns its path. apt itself checks it against its indices. */
  async download(name: string, version: string): Promise<string> {
    await this.#lookAtArchitecture();
    const folder = await mkdtemp(join(this.#folder, 'deb-'));
    const target = `${name}:${this.architecture}=${version}`;
    const download = (): ReturnType<typeof run> => {
      return run('apt-get', [...this.#options, ...this.#sandbox, '-q', 'download', target], { cwd: folder });
    };
    this.#log(`apt-get download ${name}=${version}`);
    let result = await download();
    if (result.status !== 0 && !this.#updated) {
      // Old indices may name a file that the archive has no more.
      await this.update();
      result = await download();
    }
    const file = (await readdir(folder)).find((one) => one.endsWith('.deb'));
    if (result.status !== 0 || file === undefined) {
      throw new GuestError('download-failed', { package: target, detail: complaint(result) });
    }
    return join(folder, file);
  }

  async #useOwnIndices(): Promise<void> {
    const lists = join(this.#folder, 'lists');
    const cache = join(this.#folder, 'cache');
    await mkdir(join(lists, 'partial'), { recursive: true });
    await mkdir(join(cache, 'archives', 'partial'), { recursive: true });
    this.#options = [...this.#options, '-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${cache}`];
  }

  /** An architecture that nobody added to dpkg is asked for as if it were the host's own. */
  async #lookAtArchitecture(): Promise<void> {
    if (this.#isForeign !== undefined) return;
    const own = await run('dpkg', ['--print-architecture']);
    const added = await run('dpkg', ['--print-foreign-architectures']);
    this.#isForeign = !`${own.stdout}\n${added.stdout}`.split('\n').includes(this.architecture);
    if (!this.#isForeign) return;
    this.#options = ['-o', `APT::Architecture=${this.architecture}`, '-o', `APT::Architectures=${this.architecture}`, '-o', 'Dir::State::status=/dev/null'];
    await this.#useOwnIndices();
  }

  async #show(name: string, version: string | undefined): Promise<AptPackage | undefined> {
    await this.#lookAtArchitecture();
    const target = `${name}:${this.architecture}`;
    const which = version === undefined ? ['--no-all-versions', target] : [`${target}=${version}`];
    const result = await run('apt-cache', [...this.#options, 'show', ...which]);
    if (result.status !== 0) return undefined;
    return parseShow(result.stdout).find(
      (one) => one.name === name && (version === undefined || one.version === version),
    );
  }
}

/** The packages in the output of `apt-cache show` that an archive has (installed-only ones have no SHA256). */
export function parseShow(text: string): readonly AptPackage[] {
  const packages: AptPackage[] = [];
  for (const stanza of text.split(/\n\n+/)) {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
    const sha256 = field('SHA256');
    if (!/^[0-9a-f]{64}$/.test(sha256)) continue;
    packages.push({ name: field('Package'), version: field('Version'), sha256, depends: field('Depends') });
  }
  return packages;
}
