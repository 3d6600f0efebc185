/**
 * Notes of recordings, by the log's id, in the browser's IndexedDB; in this page's memory if the browser keeps nothing. Of a recording of a server they are kept there (server-notes.ts), and
 * what the browser has is sent once.
 */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { RecordingNote } from '../engine/protocol/lab.ts';
import { heldHere } from './standalone/held.ts';

export interface Note extends RecordingNote {
  /** Of the log. */
  readonly recording: string;
  /** A server has it, too: from then on each goes its own way. */
  readonly isSent?: boolean;
}

interface Schema extends DBSchema {
  readonly notes: { readonly key: string; readonly value: Note; readonly indexes: { readonly recording: string } };
}

/** Begin of the ids of those. */
const HELD = 'held ';

let database: Promise<IDBPDatabase<Schema>> | undefined;

function open(): Promise<IDBPDatabase<Schema>> {
  database ??= openDB<Schema>('chronovisor-notes', 1, {
    upgrade(db) {
      db.createObjectStore('notes', { keyPath: 'id' }).createIndex('recording', 'recording');
    },
  });
  return database;
}

/** Of this browser, in order of position. */
export async function notesOf(recording: string): Promise<readonly Note[]> {
  const notes = new Map(heldNotes(recording).map((note) => [note.id, note]));
  try {
    for (const note of await (await open()).getAllFromIndex('notes', 'recording', recording)) notes.set(note.id, note);
  } catch {
    // This browser keeps nothing.
  }
  return sorted([...notes.values()].filter(({ text }) => text !== ''));
}

/** Those that came with the page: one file with all in it. */
function heldNotes(recording: string): readonly Note[] {
  const held = heldHere();
  if (held === undefined || held.logs[0].id !== recording) return [];
  return held.notes.map(({ position, text }) => ({ id: `${HELD}${recording} ${position} ${text}`, recording, position, text, changedMs: 0 }));
}

/** Problem: why the browser does not keep it. */
export async function keepNote(note: Note): Promise<{ readonly problem: string | undefined }> {
  try {
    await (await open()).put('notes', note);
    return { problem: undefined };
  } catch {
    return { problem: 'The browser does not keep notes (no room, or a private window): they are gone with this page' };
  }
}

export async function dropNote(id: string): Promise<void> {
  try {
    const recording = heldHere()?.logs[0].id;
    // The file has it again the next time: that it is not wanted is kept.
    if (id.startsWith(HELD) && recording !== undefined) await (await open()).put('notes', { id, recording, position: 0, text: '', changedMs: 0 });
    else await (await open()).delete('notes', id);
  } catch {
    // It was not kept.
  }
}

export function sorted<N extends RecordingNote>(notes: readonly N[]): readonly N[] {
  return [...notes].sort((a, b) => a.position - b.position || a.changedMs - b.changedMs);
}
