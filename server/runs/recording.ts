/** A recording as a thread has it: the log, the whole run with its ancestors, the machine; each opened when it is needed. */
import { dirname } from 'node:path';
import { ChainError } from '../../engine/recording/chain.ts';
import { type GuestSymbols, guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { TimeTravel, type TimeTravelOptions } from '../../engine/debug/time-travel.ts';
import { parseHeader } from '../../engine/log/header.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { type RunImages } from '../../engine/recording/recipe.ts';
import { findIndex } from '../store/checkpoints.ts';
import { type OpenedRecording, logsIn, openRecording } from '../store/chains.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { Prefix } from '../../engine/log/open-log.ts';

export interface RecordingData {
  readonly path: string;
  /** Of the log, while it is written; undefined: all there is. */
  readonly readableBytes?: number | undefined;
  /** Where else its parents may be; its own folder is looked through first. */
  readonly folders?: readonly string[] | undefined;
  /** Where what was computed is kept; undefined: nowhere. */
  readonly cacheFolder?: string | undefined;
}

/** Logs that are followed up, against circles. */
const ANCESTORS_MAX = 1000;

export class Recording {
  readonly path: string;
  private readonly folders: readonly string[];
  private source: FileSource | undefined;
  private log: LogReader | undefined;
  private logBytes = -1;
  private whole: Pick<OpenedRecording, 'reader' | 'torn' | 'chain' | 'paths'> | undefined;
  private runImages: RunImages | undefined;
  private walker: TimeTravel | undefined;
  private names: GuestSymbols | undefined;
  /** What a person should know: a torn log, an index that is not used. */
  readonly warnings: string[] = [];

  constructor({ path, folders }: RecordingData) {
    this.path = path;
    this.folders = folders ?? [];
  }

  /**
   * Its events: of a branch with those of its ancestors, unless they are not here. A log that is written has grown with each call that says how far it can be read.
   * Throws LogError, StoreError.
   */
  events(readableBytes: number | undefined): LogReader {
    if (readableBytes === undefined) return this.opened(true).reader;
    if (this.log === undefined || readableBytes !== this.logBytes) {
      this.source?.close();
      this.source = new FileSource(this.path, 'the recording');
      this.log = LogReader.open(new Prefix(this.source, Math.min(readableBytes, this.source.length)));
      this.logBytes = readableBytes;
    }
    return this.log;
  }

  /** Throws ChainError when the parent is missing, unless `isLenient`. */
  opened(isLenient = false): Pick<OpenedRecording, 'reader' | 'torn' | 'chain' | 'paths'> {
    if (this.whole !== undefined) return this.whole;
    const source = new FileSource(this.path, 'the recording');
    try {
      this.whole = openRecording(source, this.parentsElsewhere(source));
      if (this.whole.torn !== undefined) this.warnings.push(this.whole.torn.message);
      return this.whole;
    } catch (error) {
      if (!(error instanceof ChainError) || !isLenient) throw error;
      this.log ??= LogReader.open(source);
      return { reader: this.log, torn: undefined, chain: { readers: [this.log], links: [], reader: this.log }, paths: [this.path] };
    }
  }

  /** Ancestors that are not where their children are. */
  private parentsElsewhere(source: FileSource): readonly string[] {
    const found: string[] = [];
    let folder = dirname(source.path);
    for (let { parent } = parseHeader(source).header; parent !== undefined && found.length < ANCESTORS_MAX; ) {
      const { logId } = parent;
      const log = [folder, ...this.folders].flatMap((each) => logsIn(each)).find(({ header }) => header.id === logId);
      if (log === undefined) break;
      if (dirname(log.path) !== folder) found.push(log.path);
      folder = dirname(log.path);
      parent = log.header.parent;
    }
    return found;
  }

  get images(): RunImages {
    this.runImages ??= openImages(this.opened().reader, {});
    return this.runImages;
  }

  /** Throws what TimeTravel throws. */
  travel(make: (options: TimeTravelOptions) => TimeTravel = (options) => new TimeTravel(options)): TimeTravel {
    if (this.walker === undefined) {
      const { reader, chain, paths } = this.opened();
      const found = findIndex(this.path, reader, { chain, paths });
      this.walker = make({ reader, images: this.images, module: loadCore(), index: found.index });
      const problem = found.problem ?? this.walker.problem;
      if (problem !== undefined) this.warnings.push(`the index is not used: ${problem.message}`);
    }
    return this.walker;
  }

  get symbols(): GuestSymbols {
    this.names ??= guestSymbols(this.travel(), this.images.kernel);
    return this.names;
  }
}
