/** Marks that a person sets, in a file beside the recording: `run.cvlog` and `run.cvlog.marks`. The recording itself is never written. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fileError } from '../store/errors.ts';
import { DebuggerError } from './error.ts';

export interface Bookmark {
  readonly name: string;
  readonly position: number;
}

export const BOOKMARKS_MAX = 1000;
const NAME_LENGTH_MAX = 100;

export function bookmarksPath(log: string): string {
  return `${log}.marks`;
}

export class Bookmarks {
  private readonly path: string;
  /** Of the recording: marks of another one are not used. */
  private readonly id: string;
  private kept: readonly Bookmark[] = [];
  /** Why those that are there are not used. */
  readonly problem: string | undefined;

  constructor(log: string, id: string) {
    this.path = bookmarksPath(log);
    this.id = id;
    this.problem = this.load();
  }

  private load(): string | undefined {
    if (!existsSync(this.path)) return undefined;
    try {
      const file = JSON.parse(readFileSync(this.path, 'utf8')) as { format?: unknown; recording?: unknown; marks?: unknown };
      if (file.format !== 1 || !Array.isArray(file.marks)) return `${this.path} is no file of marks; it was not used, and a new mark replaces it`;
      if (file.recording !== this.id) return `${this.path} is of another recording; it was not used, and a new mark replaces it`;
      const marks = (file.marks as readonly unknown[]).filter((mark): mark is Bookmark => {
        const { name, position } = mark as Partial<Bookmark>;
        return typeof name === 'string' && typeof position === 'number' && Number.isSafeInteger(position) && position >= 0;
      });
      this.kept = marks.slice(0, BOOKMARKS_MAX);
      return marks.length === file.marks.length ? undefined : `${this.path}: ${file.marks.length - marks.length} marks make no sense and were not used`;
    } catch (error) {
      return `${this.path} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  get list(): readonly Bookmark[] {
    return this.kept;
  }
  find(name: string): Bookmark | undefined {
    return this.kept.find((mark) => mark.name === name);
  }

  /** Replaces one of this name. Throws DebuggerError, StoreError. */
  set(name: string, position: number): void {
    if (name === '' || name.length > NAME_LENGTH_MAX || /[\x00-\x1f\x7f]/.test(name)) throw new DebuggerError(`a mark needs a name of 1 to ${NAME_LENGTH_MAX} printable characters`);
    const rest = this.kept.filter((mark) => mark.name !== name);
    if (rest.length >= BOOKMARKS_MAX) throw new DebuggerError(`there are ${BOOKMARKS_MAX} marks already: delete some`);
    this.save([...rest, { name, position }].sort((a, b) => a.position - b.position));
  }

  /** False: there is none of this name. Throws StoreError. */
  delete(name: string): boolean {
    const rest = this.kept.filter((mark) => mark.name !== name);
    if (rest.length === this.kept.length) return false;
    this.save(rest);
    return true;
  }

  private save(marks: readonly Bookmark[]): void {
    const draft = `${this.path}.${process.pid}.part`;
    try {
      writeFileSync(draft, `${JSON.stringify({ format: 1, recording: this.id, marks }, undefined, 2)}\n`);
      renameSync(draft, this.path);
    } catch (error) {
      rmSync(draft, { force: true });
      throw error instanceof Error && 'code' in error ? fileError(error, 'write', this.path, 'the marks of the recording') : error;
    }
    this.kept = marks;
  }
}
