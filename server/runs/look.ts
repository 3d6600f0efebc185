/** What a list says of a recording. Of one that was cut off every byte may have to be looked at: then it is done in a thread. */
import type { LogParent } from '../../engine/log/header.ts';
import { LogError } from '../../engine/log/errors.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { type LogSummary, summarize } from '../../engine/protocol/summary.ts';
import { FileSource } from '../store/files.ts';
import { Prefix, openLog } from '../../engine/log/open-log.ts';

export interface Advised {
  readonly message: string;
  readonly advice: string;
}
export type Look =
  /** torn: the log ends in the middle of a block. */
  | { readonly kind: 'log'; readonly summary: LogSummary; readonly hasEnd: boolean; readonly parent: LogParent | undefined; readonly torn: Advised | undefined }
  | { readonly kind: 'unusable'; readonly problem: Advised };

/** A file of so many bytes is surveyed in a fraction of a second. */
export const SURVEYED_AT_ONCE = 4 << 20;

/** By header and index alone. Undefined: every byte has to be looked at, which `lookClosely` does. */
export function look(path: string, readableBytes: number | undefined, surveyedAtOnce = SURVEYED_AT_ONCE): Look | undefined {
  return withFile(path, (source) => {
    try {
      return lookOf(LogReader.open(readableBytes === undefined ? source : new Prefix(source, readableBytes)), readableBytes ?? source.length, undefined);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      // What is being written is whole as far as it is said to be.
      if (readableBytes !== undefined) return unusable(error);
      return source.length <= surveyedAtOnce ? surveyed(source) : undefined;
    }
  });
}

/** Takes as long as reading the file. */
export function lookClosely(path: string): Look {
  return withFile(path, surveyed) as Look;
}

function surveyed(source: FileSource): Look {
  try {
    const { reader, torn } = openLog(source);
    return lookOf(reader, source.length, torn);
  } catch (error) {
    if (error instanceof LogError) return unusable(error);
    throw error;
  }
}

function withFile(path: string, work: (source: FileSource) => Look | undefined): Look | undefined {
  let source: FileSource | undefined;
  try {
    source = new FileSource(path, 'the recording');
    return work(source);
  } catch (error) {
    // It is told to the operator; a path is nobody else's business.
    console.error(error);
    return { kind: 'unusable', problem: { message: 'the file cannot be read', advice: 'check its permissions' } };
  } finally {
    source?.close();
  }
}

function lookOf(reader: LogReader, bytes: number, torn: LogError | undefined): Look {
  return { kind: 'log', summary: summarize(reader, bytes), hasEnd: reader.hasEnd, parent: reader.header.parent, torn: torn === undefined ? undefined : { message: torn.message, advice: torn.advice } };
}

function unusable({ message, advice }: LogError): Look {
  return { kind: 'unusable', problem: { message, advice } };
}
