/** The recordings a person can open: those of the server, and those kept in this browser (IndexedDB, or this page's memory if that fails). */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import { openLog } from '../engine/log/open-log.ts';
import { MemorySource } from '../engine/log/storage.ts';
import type { RecordingState } from '../engine/protocol/lab.ts';
import { type LogSummary, summarize } from '../engine/protocol/summary.ts';
import { dropAllCheckpoints, dropCheckpoints } from './debug/checkpoint-cache.ts';
import { abandoned, forgetGrowing } from './recording/growing-log.ts';
import { sendNotes } from './server-notes.ts';
import { problemOf } from './server-problem.ts';
import { heldHere } from './standalone/held.ts';

export interface ServerRecording {
  readonly id: string;
  readonly folder: string;
  readonly file: string;
  readonly bytes: number;
  readonly modifiedMs: number;
  readonly state: RecordingState;
  /** It may be deleted here. */
  readonly isWritable: boolean;
  /** The run that writes it. */
  readonly run?: string;
  readonly summary?: LogSummary;
  readonly problem?: { readonly message: string; readonly advice: string };
}

export interface LocalRecording {
  readonly id: string;
  readonly name: string;
  /** held: by this page, which is one file with all in it. */
  readonly origin: 'recorded' | 'dropped' | 'held';
  readonly savedMs: number;
  readonly summary: LogSummary;
}

interface Schema extends DBSchema {
  /** What a list needs. */
  readonly catalogue: { readonly key: string; readonly value: LocalRecording };
  readonly logs: { readonly key: string; readonly value: Blob };
}

let database: Promise<IDBPDatabase<Schema>> | undefined;
/** Recordings that the browser did not keep; gone with the page. */
const unkept = new Map<string, { readonly recording: LocalRecording; readonly bytes: Uint8Array }>();

function open(): Promise<IDBPDatabase<Schema>> {
  database ??= openDB<Schema>('chronovisor', 1, {
    upgrade(db) {
      db.createObjectStore('catalogue', { keyPath: 'id' });
      db.createObjectStore('logs');
    },
  });
  return database;
}

/** Undefined: there is no server, the pages were opened from a folder. */
export async function serverRecordings(): Promise<readonly ServerRecording[] | undefined> {
  if (heldHere() !== undefined) return undefined;
  const response = await fetch('./api/recordings').catch(() => undefined);
  if (response === undefined || !response.ok || response.headers.get('content-type')?.includes('json') !== true) return undefined;
  const { recordings } = (await response.json()) as { recordings: readonly ServerRecording[] };
  return recordings;
}

export async function localRecordings(): Promise<readonly LocalRecording[]> {
  const memory = [...heldRecordings(), ...[...unkept.values()].map(({ recording }) => recording)];
  try {
    await recover();
    const kept = await (await open()).getAll('catalogue');
    return [...memory, ...kept.sort((a, b) => b.savedMs - a.savedMs)];
  } catch {
    return memory;
  }
}

function heldRecordings(): readonly LocalRecording[] {
  return (heldHere()?.logs ?? []).map(({ id, name, summary }) => ({ id, name, origin: 'held', savedMs: 0, summary }));
}

/** Problem: why the browser did not keep it. It can be opened all the same, until the page is closed. */
export async function keepRecording(recording: LocalRecording, bytes: Uint8Array): Promise<{ readonly problem: string | undefined }> {
  const put = async (): Promise<void> => {
    const transaction = (await open()).transaction(['catalogue', 'logs'], 'readwrite');
    await Promise.all([
      transaction.objectStore('catalogue').put(recording),
      transaction.objectStore('logs').put(new Blob([bytes as Uint8Array<ArrayBuffer>]), recording.id),
      transaction.done,
    ]);
  };
  const isFull = (error: unknown): boolean => error instanceof DOMException && error.name === 'QuotaExceededError';
  // A browser that is short of room may throw away what no site asked it to keep.
  void globalThis.navigator.storage?.persist?.().catch(() => false);
  try {
    await put().catch(async (error: unknown) => {
      if (!isFull(error) || !(await dropAllCheckpoints())) throw error;
      await put();
    });
    return { problem: undefined };
  } catch (error) {
    unkept.set(recording.id, { recording, bytes });
    return { problem: isFull(error) ? 'The browser has no more room: delete recordings, or save this one as a file' : 'The browser does not keep it (private window?): save it as a file' };
  }
}

export interface StorageUse {
  readonly usedBytes: number;
  /** That the browser allows. */
  readonly bytesMax: number;
}

/** Of recordings, checkpoints and notes. Undefined: the browser does not say. */
export async function storageUse(): Promise<StorageUse | undefined> {
  const { usage, quota } = (await globalThis.navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  return usage === undefined || quota === undefined ? undefined : { usedBytes: usage, bytesMax: quota };
}

/** Not read yet: it may be larger than memory. */
export async function localBlob(id: string): Promise<Blob | undefined> {
  const memory = unkept.get(id)?.bytes ?? heldHere()?.logs.find((each) => each.id === id)?.bytes;
  return memory === undefined ? (await open()).get('logs', id) : new Blob([memory as Uint8Array<ArrayBuffer>]);
}

/** What tabs that were closed or killed while they recorded have left: it becomes a recording that was cut off. */
async function recover(): Promise<void> {
  for (const { head, bytes } of await abandoned()) {
    try {
      const { reader, torn } = openLog(new MemorySource(bytes));
      const whole = torn === undefined ? bytes : bytes.slice(0, torn.offset);
      const name = `${head.guest}-${head.id.slice(0, 8)}`;
      const { problem } = await keepRecording({ id: head.id, name, origin: 'recorded', savedMs: head.startedMs, summary: summarize(reader, whole.length) }, whole);
      if (problem !== undefined) continue;
    } catch {
      // Not even its header was kept.
    }
    await forgetGrowing(head.id);
  }
}

/** Problem: what the server says. */
export async function deleteOnServer(id: string): Promise<{ readonly problem: string | undefined }> {
  const response = await fetch(`./api/v1/recordings/${encodeURIComponent(id)}`, { method: 'DELETE', headers: { 'x-confirm': encodeURIComponent(id) } }).catch(() => undefined);
  return { problem: await problemOf(response) };
}

/** Sends a log to the folder of the server, with its notes. logId: of its header. */
export async function sendToServer(name: string, bytes: Uint8Array, logId: string): Promise<{ readonly problem: string | undefined }> {
  const plain = name.replace(/\.cvlog$/, '').replace(/[^A-Za-z0-9 ._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '') || 'recording';
  const response = await fetch(`./api/v1/recordings?name=${encodeURIComponent(plain)}`, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: bytes as Uint8Array<ArrayBuffer> }).catch(() => undefined);
  if (response?.ok !== true) return { problem: await problemOf(response) };
  const { recording } = (await response.json()) as { readonly recording: { readonly id: string } };
  return sendNotes(logId, recording.id);
}

export async function localLog(id: string): Promise<Uint8Array | undefined> {
  // A copy: who opens it hands it to a worker.
  const memory = unkept.get(id)?.bytes ?? heldHere()?.logs.find((each) => each.id === id)?.bytes;
  if (memory !== undefined) return memory.slice();
  const blob = await (await open()).get('logs', id);
  return blob === undefined ? undefined : new Uint8Array(await blob.arrayBuffer());
}

export async function deleteLocal(id: string): Promise<void> {
  if (unkept.delete(id)) return;
  const db = await open();
  const kept = await db.get('catalogue', id);
  if (kept !== undefined) await dropCheckpoints(kept.summary.id);
  const transaction = db.transaction(['catalogue', 'logs'], 'readwrite');
  await Promise.all([transaction.objectStore('catalogue').delete(id), transaction.objectStore('logs').delete(id), transaction.done]);
}
