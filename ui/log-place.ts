/** A log as a worker opens it: with those that it goes on from, if it is a branch, as one run. */
import { LogReader } from '../engine/log/reader.ts';
import type { ByteSource } from '../engine/log/storage.ts';
import type { LogPlace } from '../engine/protocol/messages.ts';
import { ChainError, openChain } from '../engine/recording/chain.ts';
import { openPlace } from './byte-sources.ts';
import { Refusal } from './refusal.ts';

export interface OpenedPlace {
  /** Of the log itself. */
  readonly bytes: number;
  /** Each replay has a reader of its own, for the sake of its cache. Throws LogError; Refusal that names the parent that is missing. */
  newReader(batchesKept?: number): LogReader;
}

/** Throws SourceError. */
export async function openLogPlace(place: LogPlace): Promise<OpenedPlace> {
  if (place.kind !== 'chain') return logOfSources(await openPlace(place), []);
  return logOfSources(await openPlace(place.log), await Promise.all(place.parents.map(openPlace)));
}

export function logOfSources(log: ByteSource, parents: readonly ByteSource[]): OpenedPlace {
  return {
    bytes: log.length,
    newReader(batchesKept) {
      try {
        return openChain(LogReader.open(log, batchesKept), ({ logId }) => parents.map((each) => LogReader.open(each, batchesKept)).find(({ header }) => header.id === logId)).reader;
      } catch (error) {
        if (!(error instanceof ChainError)) throw error;
        const isMissing = error.code === 'parent-missing';
        const advice = isMissing ? 'put the log that it goes on from beside it, or drop it on the page too' : 'open the log that it goes on from itself';
        throw new Refusal(error.message, advice, isMissing ? { missingParent: error.parent.logId } : {});
      }
    },
  };
}
