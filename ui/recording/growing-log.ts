/**
 * A log in the browser's IndexedDB while it is recorded, so that a tab that is closed or killed leaves one that reopens.
 *
 *     worker: keepGrowing(head) ──► append(bytes) ... ──► the page keeps the whole log, then forgetGrowing(id)
 *     any page, later: abandoned() ──► what was left of a run whose worker is gone
 *
 * A worker that records holds a lock of the browser (navigator.locks) by the log's id: it is gone with the worker, however that ends.
 */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';

export interface GrowingHead {
  readonly id: string;
  readonly guest: string;
  readonly startedMs: number;
}

interface Schema extends DBSchema {
  readonly heads: { readonly key: string; readonly value: GrowingHead };
  /** By log and number of the piece. */
  readonly pieces: { readonly key: [id: string, number: number]; readonly value: Uint8Array };
}

let database: Promise<IDBPDatabase<Schema>> | undefined;

function open(): Promise<IDBPDatabase<Schema>> {
  database ??= openDB<Schema>('chronovisor-growing', 1, {
    upgrade(db) {
      db.createObjectStore('heads', { keyPath: 'id' });
      db.createObjectStore('pieces');
    },
  });
  return database;
}

const lockOf = (id: string): string => `chronovisor recording ${id}`;
const piecesOf = (id: string): IDBKeyRange => IDBKeyRange.bound([id, 0], [id, Infinity]);

/** One that is written. Pieces are put one after the other, never two at a time. */
export class GrowingLog {
  /** Bytes that the browser has. */
  keptBytes = 0;
  /** Why it does not keep more. */
  problem: string | undefined;
  private readonly head: GrowingHead;
  private waiting: Uint8Array[] = [];
  private count = 0;
  private putting: Promise<void> | undefined;
  private release: () => void = () => undefined;

  constructor(head: GrowingHead) {
    this.head = head;
    // Without locks (an old browser) another tab may take this one for abandoned: it sees a log that was cut off, and this one goes on.
    void globalThis.navigator.locks?.request(lockOf(head.id), () => new Promise<void>((resolve) => (this.release = resolve)));
  }

  /** The bytes are the log's next ones; they are copied. */
  append(bytes: Uint8Array): void {
    if (this.problem === undefined) this.waiting.push(bytes.slice());
  }

  /** Hands over what was appended; resolves when the browser has it. */
  flush(): Promise<void> {
    return (this.putting ??= this.put().finally(() => (this.putting = undefined)));
  }

  /** The worker is through with it. */
  close(): void {
    this.release();
  }

  private async put(): Promise<void> {
    while (this.waiting.length > 0 && this.problem === undefined) {
      const piece = joined(this.waiting);
      this.waiting = [];
      try {
        const db = await open();
        const transaction = db.transaction(['heads', 'pieces'], 'readwrite', { durability: 'strict' });
        if (this.count === 0) void transaction.objectStore('heads').put(this.head);
        void transaction.objectStore('pieces').put(piece, [this.head.id, this.count]);
        await transaction.done;
        this.count++;
        this.keptBytes += piece.length;
      } catch (error) {
        const isFull = error instanceof DOMException && error.name === 'QuotaExceededError';
        this.problem = isFull ? 'the browser has no more room' : 'the browser keeps nothing here';
        this.waiting = [];
      }
    }
  }
}

/** Of runs whose worker is gone, oldest first. Empty when the browser keeps nothing. */
export async function abandoned(): Promise<readonly { readonly head: GrowingHead; readonly bytes: Uint8Array }[]> {
  try {
    const db = await open();
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    const busy = new Set(held.map(({ name }) => name));
    const heads = (await db.getAll('heads')).filter(({ id }) => !busy.has(lockOf(id))).sort((a, b) => a.startedMs - b.startedMs);
    return await Promise.all(heads.map(async (head) => ({ head, bytes: joined(await db.getAll('pieces', piecesOf(head.id))) })));
  } catch {
    return [];
  }
}

export async function forgetGrowing(id: string): Promise<void> {
  try {
    const db = await open();
    const transaction = db.transaction(['heads', 'pieces'], 'readwrite');
    await Promise.all([transaction.objectStore('heads').delete(id), transaction.objectStore('pieces').delete(piecesOf(id)), transaction.done]);
  } catch {
    // It was not kept.
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
