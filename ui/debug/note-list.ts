/**
 * Bookmarks and notes of an opened recording: beside it on the server, so that every browser sees the same, or in this browser where no server takes them. Looks again at the server's
 * while the page is seen. Knows no view.
 */
import { type Note, dropNote, keepNote, notesOf, sorted } from '../notes.ts';
import { dropOnServer, keepOnServer, sendNotes, serverNotes } from '../server-notes.ts';

const LOOK_MS = 4000;

export class NoteList {
  /** In order of position. */
  all: readonly Note[] = [];
  /** Where they are kept. */
  home: 'browser' | 'server' = 'browser';
  /** The recording is on a server that does not write beside it. */
  isReadOnly = false;
  problem: string | undefined;
  /** Of the log. */
  private readonly log: string;
  /** Of the recording on the server. */
  private readonly server: string | undefined;
  private readonly onChange: () => void;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isClosed = false;
  /** Changes that are on their way: what the server says meanwhile may be without them. */
  private pending = 0;
  private changes = 0;

  constructor(log: string, server: string | undefined, onChange: () => void, begin: Promise<void> = Promise.resolve()) {
    this.log = log;
    this.server = server;
    this.onChange = onChange;
    void begin.then(() => this.begin());
  }

  private async begin(): Promise<void> {
    if (this.isClosed) return;
    if (this.server === undefined) return void (await this.lookHere());
    const there = await serverNotes(this.server);
    if (there?.isWritable !== true) {
      this.isReadOnly = there !== undefined;
      if (this.isReadOnly && !this.isClosed) this.onChange();
      return void (await this.lookHere());
    }
    this.home = 'server';
    // Of a time when there was no server, or when it kept none.
    this.problem = (await sendNotes(this.log, this.server)).problem;
    await this.look(this.server);
  }

  private async lookHere(): Promise<void> {
    const notes = await notesOf(this.log);
    this.set(sorted([...notes, ...this.all.filter(({ id }) => notes.every((each) => each.id !== id))]));
  }

  private async look(server: string): Promise<void> {
    if (this.isClosed) return;
    const { changes } = this;
    const there = document.hidden ? undefined : await serverNotes(server);
    if (there !== undefined && this.pending === 0 && changes === this.changes) this.set(there.notes.map((note) => ({ ...note, recording: this.log })));
    this.timer = setTimeout(() => void this.look(server), LOOK_MS);
  }

  private set(notes: readonly Note[]): void {
    if (this.isClosed || JSON.stringify(notes) === JSON.stringify(this.all)) return;
    this.all = notes;
    this.onChange();
  }

  add(position: number, text: string): void {
    const note: Note = { id: crypto.randomUUID(), recording: this.log, position, text, changedMs: Date.now() };
    this.set(sorted([...this.all, note]));
    const { server, home } = this;
    void this.change(async () => {
      const kept = home === 'server' && server !== undefined ? await keepOnServer(server, note) : await keepNote(note);
      if (kept.problem === undefined || home === 'browser') return kept;
      // What was written is not lost: it is sent the next time that the recording is opened.
      await keepNote(note);
      return { problem: `The server did not take the note, and this browser keeps it: ${kept.problem}` };
    });
  }

  drop(id: string): void {
    this.set(this.all.filter((note) => note.id !== id));
    const { server, home } = this;
    void this.change(async () => {
      const done = home === 'server' && server !== undefined ? await dropOnServer(server, id) : { problem: undefined };
      if (home === 'browser') await dropNote(id);
      return done;
    });
  }

  private async change(work: () => Promise<{ readonly problem: string | undefined }>): Promise<void> {
    this.pending++;
    this.changes++;
    const { problem } = await work();
    this.pending--;
    if (problem === this.problem || this.isClosed) return;
    this.problem = problem;
    this.onChange();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
  }
}
