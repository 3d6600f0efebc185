/**
 * Checkpoints of recordings in the browser's IndexedDB, as index files (engine/recording/index-file.ts), by the log's id. They are never needed: what the browser
 * does not keep is made anew. All together stay under a share of what the browser allows, those not used for longest go first.
 */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';

interface Kept {
  readonly id: string;
  readonly bytes: number;
  readonly usedMs: number;
  readonly index: Blob;
}

interface Schema extends DBSchema {
  readonly indexes: { readonly key: string; readonly value: Kept };
}

/** Of the browser's quota. */
const QUOTA_SHARE = 0.25;
const BYTES_MAX = 2 ** 30;

let database: Promise<IDBPDatabase<Schema>> | undefined;

function open(): Promise<IDBPDatabase<Schema>> {
  database ??= openDB<Schema>('chronovisor-checkpoints', 1, {
    upgrade(db) {
      db.createObjectStore('indexes', { keyPath: 'id' });
    },
  });
  return database;
}

/** Undefined: there are none, or this browser keeps nothing. */
export async function readCheckpoints(id: string): Promise<Blob | undefined> {
  try {
    const db = await open();
    const kept = await db.get('indexes', id);
    if (kept === undefined) return undefined;
    await db.put('indexes', { ...kept, usedMs: Date.now() });
    return kept.index;
  } catch {
    return undefined;
  }
}

/** False: they are not kept. */
export async function keepCheckpoints(id: string, index: Blob): Promise<boolean> {
  try {
    const db = await open();
    const { quota = 0 } = (await navigator.storage?.estimate()) ?? {};
    const allowed = Math.min(BYTES_MAX, quota * QUOTA_SHARE);
    if (index.size > allowed) return false;
    const others = (await db.getAll('indexes')).filter((each) => each.id !== id).sort((a, b) => a.usedMs - b.usedMs);
    let total = others.reduce((sum, { bytes }) => sum + bytes, index.size);
    const value: Kept = { id, bytes: index.size, usedMs: Date.now(), index };
    for (;;) {
      while (total > allowed && others.length > 0) total -= await drop(db, others.shift()!);
      try {
        await db.put('indexes', value);
        return true;
      } catch (error) {
        // The browser counts otherwise, or other things fill it.
        if (!(error instanceof DOMException && error.name === 'QuotaExceededError') || others.length === 0) return false;
        total -= await drop(db, others.shift()!);
      }
    }
  } catch {
    return false;
  }
}

export async function dropCheckpoints(id: string): Promise<void> {
  try {
    const db = await open();
    // The others are what a fold of the log has told (fold-cache.ts), and which task runs when.
    for (const key of [id, `fold ${id}`, `tasks ${id}`]) await db.delete('indexes', key);
  } catch {
    // This browser keeps nothing.
  }
}

/** Makes room for what cannot be made anew. False: there was nothing to give up. */
export async function dropAllCheckpoints(): Promise<boolean> {
  try {
    const db = await open();
    const kept = await db.count('indexes');
    await db.clear('indexes');
    return kept > 0;
  } catch {
    return false;
  }
}

async function drop(db: IDBPDatabase<Schema>, { id, bytes }: Kept): Promise<number> {
  await db.delete('indexes', id);
  return bytes;
}
