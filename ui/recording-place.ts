/** Which recording, and where its log is; for a branch with those that it goes on from, as far as they are known here. */
import type { LogFile, LogPlace } from '../engine/protocol/messages.ts';
import { localBlob, localRecordings, serverRecordings } from './library.ts';
import { serverLogUrl } from './server-urls.ts';
import { EngineFailure } from './worker-client.ts';

export interface RecordingPlace {
  readonly place: 'server' | 'local';
  readonly id: string;
}

/** Throws EngineFailure. */
export async function placeOf({ place, id }: RecordingPlace): Promise<LogFile> {
  if (place === 'server') return { kind: 'url', url: serverLogUrl(id) };
  const blob = await localBlob(id).catch(() => undefined);
  if (blob === undefined) throw new EngineFailure({ message: 'This browser does not have the recording', advice: 'it may have been deleted, or the link is of another computer: drop the file on this page' });
  return { kind: 'blob', blob };
}

/** A recording that is known here, by the id of its log. */
export async function logOfIdentity(logId: string): Promise<LogFile | undefined> {
  const [server, local] = await Promise.all([serverRecordings(), localRecordings()]);
  const onServer = server?.find(({ summary }) => summary?.id === logId);
  if (onServer !== undefined) return placeOf({ place: 'server', id: onServer.id });
  const here = local.find(({ summary }) => summary.id === logId);
  return here === undefined ? undefined : placeOf({ place: 'local', id: here.id });
}

/** With one more of those that it goes on from. Undefined: the failure is another one, or that log is not known here. */
export async function withMissingParent(place: LogPlace, error: unknown): Promise<LogPlace | undefined> {
  const wanted = error instanceof EngineFailure ? error.failure.missingParent : undefined;
  const parent = wanted === undefined ? undefined : await logOfIdentity(wanted);
  if (parent === undefined) return undefined;
  return place.kind === 'chain' ? { ...place, parents: [...place.parents, parent] } : { kind: 'chain', log: place, parents: [parent] };
}

/** Again with each log that is missed, as long as it is known here. */
export async function withParents<T>(log: LogFile, work: (place: LogPlace) => Promise<T>): Promise<T> {
  let place: LogPlace = log;
  for (;;) {
    try {
      return await work(place);
    } catch (error) {
      const more = await withMissingParent(place, error);
      if (more === undefined) throw error;
      place = more;
    }
  }
}
