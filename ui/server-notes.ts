/** Notes that a server keeps beside a recording, with the marks of `chronovisor debug`, which are notes as well. */
import type { RecordingNote, RecordingNotes } from '../engine/protocol/lab.ts';
import { type Note, keepNote, notesOf, sorted } from './notes.ts';
import { problemOf } from './server-problem.ts';

/** Begin of the ids of marks. */
const MARK = 'mark ';

export interface ServerNotes {
  readonly notes: readonly RecordingNote[];
  /** The server takes some. */
  readonly isWritable: boolean;
}

function urlOf(id: string, what: 'notes' | 'bookmarks'): string {
  return `./api/v1/recordings/${encodeURIComponent(id)}/${what}`;
}

async function json<T>(url: string): Promise<T | undefined> {
  const response = await fetch(url).catch(() => undefined);
  return response?.ok === true && response.headers.get('content-type')?.includes('json') === true ? ((await response.json()) as T) : undefined;
}

/** id: of the recording. Undefined: the server does not answer. */
export async function serverNotes(id: string): Promise<ServerNotes | undefined> {
  const [kept, marks] = await Promise.all([json<RecordingNotes>(urlOf(id, 'notes')), json<{ readonly bookmarks: readonly { readonly name: string; readonly position: number }[] }>(urlOf(id, 'bookmarks'))]);
  if (kept === undefined) return undefined;
  return { notes: sorted([...kept.notes, ...(marks?.bookmarks ?? []).map(({ name, position }) => ({ id: `${MARK}${name}`, position, text: name, changedMs: 0 }))]), isWritable: kept.isWritable };
}

/** Problem: what the server says. */
export async function keepOnServer(recording: string, { id, position, text }: RecordingNote): Promise<{ readonly problem: string | undefined }> {
  const response = await fetch(urlOf(recording, 'notes'), { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id, position, text }) }).catch(() => undefined);
  return { problem: await problemOf(response) };
}

/** Problem: what the server says; that another page has dropped it is none. */
export async function dropOnServer(recording: string, id: string): Promise<{ readonly problem: string | undefined }> {
  const url = id.startsWith(MARK) ? `${urlOf(recording, 'bookmarks')}?name=${encodeURIComponent(id.slice(MARK.length))}` : `${urlOf(recording, 'notes')}?id=${encodeURIComponent(id)}`;
  const response = await fetch(url, { method: 'DELETE' }).catch(() => undefined);
  return { problem: response?.status === 404 ? undefined : await problemOf(response) };
}

/** What this browser has of the log and no server, to the server: once. */
export async function sendNotes(log: string, recording: string): Promise<{ readonly problem: string | undefined }> {
  for (const note of await notesOf(log)) {
    if (note.isSent === true) continue;
    // Ids of the notes that came with a page say where they are: as on this server, once.
    const id = /^[A-Za-z0-9-]{1,64}$/.test(note.id) ? note.id : crypto.randomUUID();
    const { problem } = await keepOnServer(recording, { ...note, id });
    if (problem !== undefined) return { problem };
    await keepNote({ ...note, isSent: true } satisfies Note);
  }
  return { problem: undefined };
}
