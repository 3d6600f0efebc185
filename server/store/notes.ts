/**
 * Notes of a recording, in `FILE.notes` beside it. Of two writers the last to arrive wins, note by note: each has an identity of its own, so that what two people write at the same time is
 * all there, and a note that one of them deleted is gone for both.
 */
import type { RecordingNote } from '../../engine/protocol/lab.ts';
import { readBeside, writeBeside } from './beside.ts';

export const NOTES_MAX = 1000;
export const NOTE_LENGTH_MAX = 4000;
export const NOTE_ID = /^[A-Za-z0-9-]{1,64}$/;
const NAME = 'notes';

export function notesPath(log: string): string {
  return `${log}.notes`;
}

function isNote(value: unknown): value is RecordingNote {
  if (typeof value !== 'object' || value === null) return false;
  const { id, position, text, changedMs } = value as Partial<RecordingNote>;
  return (
    typeof id === 'string' && NOTE_ID.test(id) && Number.isSafeInteger(position) && (position ?? -1) >= 0 && typeof text === 'string' && text !== '' && text.length <= NOTE_LENGTH_MAX && Number.isSafeInteger(changedMs)
  );
}

export class Notes {
  private readonly path: string;
  private readonly recording: string;
  private kept: readonly RecordingNote[];
  /** Why those that are there are not all used. */
  readonly problem: string | undefined;

  /** recording: its identity. */
  constructor(log: string, recording: string) {
    this.path = notesPath(log);
    this.recording = recording;
    const { items = [], problem } = readBeside(this.path, recording, NAME);
    this.kept = items.filter(isNote).slice(0, NOTES_MAX);
    this.problem = problem ?? (this.kept.length < items.length ? `${this.path}: ${items.length - this.kept.length} notes make no sense, or are too many, and were not used` : undefined);
  }

  /** In order of position. */
  get list(): readonly RecordingNote[] {
    return this.kept;
  }

  /** In place of one with its id. False: there are as many as there may be. Throws StoreError. */
  set(note: RecordingNote): boolean {
    const rest = this.kept.filter(({ id }) => id !== note.id);
    if (rest.length >= NOTES_MAX) return false;
    this.save([...rest, note].sort((a, b) => a.position - b.position || a.changedMs - b.changedMs));
    return true;
  }

  /** False: there is none of this id. Throws StoreError. */
  delete(id: string): boolean {
    const rest = this.kept.filter((note) => note.id !== id);
    if (rest.length === this.kept.length) return false;
    this.save(rest);
    return true;
  }

  private save(notes: readonly RecordingNote[]): void {
    writeBeside(this.path, this.recording, NAME, notes);
    this.kept = notes;
  }
}
