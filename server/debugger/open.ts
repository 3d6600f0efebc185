/** A recording opened for a debugger: log, images, index, symbols, sources, marks. */
import { basename, join } from 'node:path';
import { type GuestSymbols, guestSymbols } from '../../engine/debug/guest-symbols.ts';
import type { StretchCrew } from '../../engine/debug/stretches.ts';
import { SymbolError } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { openRecording } from '../store/chains.ts';
import { findIndex, indexPath } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource, readImage } from '../store/files.ts';
import { type ImagePlaces, openImages } from '../store/guest-images.ts';
import { ownPackage } from '../store/package-root.ts';
import { Crew } from '../workers/crew.ts';
import { Bookmarks } from './bookmarks.ts';
import { DebuggerError } from './error.ts';
import { Sources } from './sources.ts';

export interface OpenOptions {
  readonly images?: ImagePlaces;
  /** Recordings that a branch goes on from, if they are not in its folder. */
  readonly parents?: readonly string[];
  /** Files with symbols besides those of the recording's kernel: programs of the guest (ELF), or a kernel with symbols instead of the recorded one. */
  readonly symbols?: readonly string[];
  /** Folders with source files. */
  readonly sources?: readonly string[];
  /** Walks back are replayed by so many threads, this one included; 1 unless told. */
  readonly jobs?: number;
}

export interface Opened {
  readonly path: string;
  readonly travel: TimeTravel;
  readonly symbols: GuestSymbols;
  readonly sources: Sources;
  readonly bookmarks: Bookmarks;
  /** There is an index: any moment is near. */
  readonly isIndexed: boolean;
  /** Who replays walks back, if there are to be more than this thread. Whoever opened the recording closes it. */
  readonly crew: Crew | undefined;
  /** What a person should know: a torn log, an index that is not used. */
  readonly warnings: readonly string[];
}

/** Throws LogError, StoreError, ChainError, RecipeError, BootError, DebuggerError, DivergedError. */
export function openForDebugging(path: string, options: OpenOptions = {}): Opened {
  const source = new FileSource(path, 'FILE');
  const { reader, torn, chain, paths } = openRecording(source, options.parents ?? []);
  const found = findIndex(source.path, reader, { chain, paths });
  const images = openImages(reader, options.images ?? {});
  const travel = new TimeTravel({ reader, images, module: loadCore(), index: found.index });
  const problem = found.problem ?? travel.problem;
  const symbols = symbolsOf(travel, options.symbols ?? [], images.kernel);
  const bookmarks = new Bookmarks(source.path, reader.header.id);
  const warnings = [
    ...(torn === undefined ? [] : [torn.message]),
    ...(problem === undefined ? [] : [`${indexPath(source.path)}: ${problem.message}. It was not used; \`chronovisor index\` makes it anew`]),
    ...(symbols.origin === 'none' ? [`addresses have no names: the kernel: ${symbols.problem ?? 'it has no symbols'} (--symbols FILE)`] : []),
    ...(bookmarks.problem === undefined ? [] : [bookmarks.problem]),
  ];
  const { root } = ownPackage();
  // The lab's kernels are compiled in engine/guests.
  const sources = new Sources([...(options.sources ?? []), root, join(root, 'engine', 'guests')]);
  const { jobs = 1 } = options;
  const crew = jobs > 1 ? new Crew({ path: source.path, parents: options.parents ?? [], places: options.images ?? {} }, jobs) : undefined;
  return { path: source.path, crew, travel, symbols, sources, bookmarks, isIndexed: found.index !== undefined && problem === undefined, warnings };
}

/** For one walk back or question: who replays its stretches. */
export function crewOf({ crew, travel }: Pick<Opened, 'crew' | 'travel'>, turn: () => Promise<void>): (() => StretchCrew) | undefined {
  return crew === undefined ? undefined : () => crew.stretches(travel, turn);
}

function symbolsOf(travel: TimeTravel, paths: readonly string[], kernel: Uint8Array): GuestSymbols {
  const files = paths.map((path) => ({ name: basename(path), bytes: readImage(path, '--symbols') }));
  try {
    return guestSymbols(travel, kernel, files);
  } catch (error) {
    if (error instanceof SymbolError) throw new DebuggerError(`--symbols ${paths.join(', ')}: ${error.message}`);
    throw error;
  }
}
