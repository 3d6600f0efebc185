/** Marks that a person sets, in a file beside the recording: `run.cvlog` and `run.cvlog.marks`. The recording itself is never written. */
import { readBeside, writeBeside } from '../store/beside.ts';
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
    const { items, problem } = readBeside(this.path, this.id, 'marks');
    if (items === undefined) return problem;
    const marks = items.filter((mark): mark is Bookmark => {
      const { name, position } = (mark ?? {}) as Partial<Bookmark>;
      return typeof name === 'string' && typeof position === 'number' && Number.isSafeInteger(position) && position >= 0;
    });
    this.kept = marks.slice(0, BOOKMARKS_MAX);
    return marks.length === items.length ? undefined : `${this.path}: ${items.length - marks.length} marks make no sense and were not used`;
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
    writeBeside(this.path, this.id, 'marks', marks);
    this.kept = marks;
  }
}
