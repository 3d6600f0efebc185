/** Opening logs that are not whole: what a killed recorder left, or a copy that was cut off. */
import { LogError } from './errors.ts';
import { LogReader } from './reader.ts';
import type { ByteSource } from './storage.ts';
import { survey } from './survey.ts';

export interface OpenedLog {
  readonly reader: LogReader;
  /** The log ends inside a block or its footer: `reader` has what comes before. */
  readonly torn: LogError | undefined;
}

/** Throws LogError for everything but a torn tail. */
export function openLog(source: ByteSource): OpenedLog {
  try {
    return { reader: LogReader.open(source), torn: undefined };
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    const { stretches, problems, isTorn } = survey(source);
    const first = problems.at(0);
    // One problem, at the very end: the tail is torn. Anything else is damage.
    const isTail = first !== undefined && problems.length === 1 && first.offset + first.length === source.length && (isTorn || first.code === 'LOG_FOOTER_DAMAGED');
    if (!isTail || stretches.slice(0, -1).some(({ kind }) => kind === 'damaged')) throw error;
    return { reader: LogReader.open(new Prefix(source, first.offset)), torn: first };
  }
}

/** The first bytes of a source. */
export class Prefix implements ByteSource {
  readonly length: number;
  private readonly source: ByteSource;

  constructor(source: ByteSource, length: number) {
    this.source = source;
    this.length = length;
  }

  read(offset: number, length: number): Uint8Array {
    return this.source.read(offset, length);
  }
}
