/**
 * One opened recording as the pages see it: its columns, one cursor over everything, and what was asked about the cursor. Knows no view.
 */
import { EMPTY, type Observable, Subject, Subscription, auditTime, catchError, map, of, switchMap } from 'rxjs';
import type { Failure, LogPlace, MachineState, Mark, Reply, RingShares, VerifyOutcome, EventText } from '../engine/protocol/messages.ts';
import type { Look, Moment, OriginAsked, OriginLink, StackFrame, SymbolsView, WalkDirection, WalkEnd, WalkUnit } from '../engine/protocol/moment.ts';
import type { LogSummary } from '../engine/protocol/summary.ts';
import { NavigationHistory } from './debug/navigation-history.ts';
import { PointList } from './debug/point-list.ts';
import { EngineClient, EngineFailure, failureOf } from './engine-client.ts';
import { ALL_KINDS } from './kinds.ts';
import { type Note, dropNote, keepNote, notesOf, sorted } from './notes.ts';
import type { WindowView } from './timeline-tracks.ts';
import { lowerBound, rowAt } from './timeline-view.ts';

/** The record at or before the position, and the position itself. */
export interface Cursor {
  readonly row: number;
  readonly position: number;
}

/** before: the registers where the cursor had stopped earlier. */
export type StateView =
  | { readonly kind: 'none' }
  /** moment: what was shown last. */
  | { readonly kind: 'busy'; readonly share: number; readonly moment: Moment | undefined; readonly before: MachineState | undefined }
  | { readonly kind: 'known'; readonly moment: Moment; readonly before: MachineState | undefined }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** A walk that is on its way, or how the last one ended. */
export type WalkView =
  | { readonly kind: 'none' }
  | { readonly kind: 'walking'; readonly direction: WalkDirection; readonly position: number }
  | { readonly kind: 'ended'; readonly end: WalkEnd; readonly text: string }
  | { readonly kind: 'failed'; readonly failure: Failure };

export interface StackView {
  readonly position: number;
  /** Undefined: not known yet. */
  readonly frames: readonly StackFrame[] | undefined;
  readonly failure: Failure | undefined;
}

export interface OriginView {
  readonly text: string;
  readonly position: number;
  readonly links: readonly OriginLink[];
  /** Of what can be looked at, while it is looked at. */
  readonly share: number | undefined;
  readonly failure: Failure | undefined;
}

export type VerifyView =
  | { readonly kind: 'none' }
  | { readonly kind: 'running'; readonly share: number }
  | { readonly kind: 'done'; readonly outcome: VerifyOutcome }
  | { readonly kind: 'failed'; readonly failure: Failure };

export interface FilterView {
  readonly kinds: number;
  readonly text: string;
  /** Record numbers; undefined: all. */
  readonly rows: Uint32Array | undefined;
  readonly isBusy: boolean;
}

const SEEK_AUDIT_MS = 40;
const TEXTS_MAX = 20_000;

export class RunModel {
  readonly client: EngineClient;
  /** Something changed; views look again. */
  readonly changes: Observable<void>;
  summary: LogSummary | undefined;
  failure: Failure | undefined;
  isLoaded = false;
  positions = new Float64Array(0);
  kinds = new Uint8Array(0);
  /** Records that have arrived. */
  count = 0;
  marks: readonly Mark[] = [];
  rings: RingShares | undefined;
  readonly consoleRows: number[] = [];
  readonly consoleBytes: number[] = [];
  cursor: Cursor = { row: 0, position: 0 };
  state: StateView = { kind: 'none' };
  walk: WalkView = { kind: 'none' };
  stack: StackView | undefined;
  origin: OriginView | undefined;
  symbols: SymbolsView | undefined;
  /** In order of position. */
  notes: readonly Note[] = [];
  notesProblem: string | undefined;
  readonly points: PointList;
  readonly history = new NavigationHistory();
  verification: VerifyView = { kind: 'none' };
  filter: FilterView = { kinds: ALL_KINDS, text: '', rows: undefined, isBusy: false };
  private readonly changed = new Subject<void>();
  /** Undefined: what waits is not wanted any more. */
  private readonly seeks = new Subject<Cursor | undefined>();
  private readonly looks = new Map<string, Look>();
  /** By use: what was asked for last, what has come, whether an answer is awaited. */
  private readonly windows = new Map<'view' | 'whole', { key: string; shown: WindowView | undefined; isBusy: boolean }>();
  private hasNewLook = false;
  private walking: Subscription | undefined;
  private stacking: Subscription | undefined;
  private tracing: Subscription | undefined;
  private readonly texts = new Map<number, EventText>();
  private readonly asked = new Set<number>();
  private readonly subscriptions = new Subscription();
  private filtering: Subscription | undefined;
  /** Where to go when there are enough records. */
  private wanted: number | undefined;

  constructor(client = new EngineClient()) {
    this.client = client;
    this.changes = this.changed.asObservable();
    this.points = new PointList(client, () => this.changed.next());
    this.subscriptions.add(
      this.seeks
        .pipe(
          auditTime(SEEK_AUDIT_MS),
          switchMap((cursor) =>
            cursor === undefined
              ? EMPTY
              : this.client.ask({ kind: 'seek', position: cursor.position, look: this.look }).pipe(
                  map((reply): StateView => this.stateView(reply)),
                  catchError((error: unknown) => of<StateView>({ kind: 'failed', failure: failureOf(error) })),
                ),
          ),
        )
        .subscribe((state) => {
          this.state = state;
          this.changed.next();
        }),
    );
  }

  /** at: where the cursor is to stand. */
  open(log: LogPlace, imageUrl: string | undefined, at: number | undefined): void {
    this.wanted = at;
    const transfer = log.kind === 'bytes' ? [log.bytes.buffer] : [];
    this.subscriptions.add(
      this.client.ask({ kind: 'open', log, imageUrl }, transfer).subscribe({
        next: (reply) => this.take(reply),
        error: (error: unknown) => {
          this.failure = failureOf(error);
          this.changed.next();
        },
      }),
    );
  }

  close(): void {
    this.subscriptions.unsubscribe();
    this.filtering?.unsubscribe();
    this.walking?.unsubscribe();
    this.stacking?.unsubscribe();
    this.tracing?.unsubscribe();
    this.points.close();
    this.client.close();
  }

  get lastPosition(): number {
    return this.summary?.lastPosition ?? 0;
  }

  moveToRow(row: number): void {
    if (this.count === 0) return;
    const clamped = Math.min(Math.max(0, row), this.count - 1);
    this.move({ row: clamped, position: this.positions[clamped] });
  }

  moveToPosition(position: number): void {
    const clamped = Math.round(Math.min(Math.max(0, position), this.lastPosition));
    this.move({ row: rowAt(this.positions, this.count, clamped), position: clamped });
  }

  /** The next (1) or previous (-1) event of the kind at the cursor. */
  moveToSameKind(direction: 1 | -1): void {
    const kind = this.kinds[this.cursor.row];
    for (let row = this.cursor.row + direction; row >= 0 && row < this.count; row += direction) {
      if (this.kinds[row] === kind) return this.moveToRow(row);
    }
  }

  /** The next (1) or previous (-1) row that the filter shows. */
  moveToShown(direction: 1 | -1): void {
    const { rows } = this.filter;
    if (rows === undefined) return this.moveToRow(this.cursor.row + direction);
    const index = shownIndex(rows, this.cursor.row);
    const isOnRow = rows[index] === this.cursor.row;
    const next = direction === 1 ? index + (isOnRow ? 1 : 0) : index - 1;
    if (next >= 0 && next < rows.length) this.moveToRow(rows[next]);
  }

  /** Back to where the cursor was before it jumped, and forth again. */
  undo(): void {
    const position = this.history.back(this.cursor.position);
    if (position !== undefined) this.go({ row: rowAt(this.positions, this.count, position), position });
  }
  redo(): void {
    const position = this.history.forth(this.cursor.position);
    if (position !== undefined) this.go({ row: rowAt(this.positions, this.count, position), position });
  }

  // ---- the moment at the cursor ----

  private get look(): Look {
    return Object.assign({}, ...this.looks.values()) as Look;
  }

  /** What a panel shows of the moment; undefined: nothing any more. */
  want(panel: string, look: Look | undefined): void {
    const before = this.looks.get(panel);
    if (look === undefined) {
      this.looks.delete(panel);
      return;
    }
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(look)) return;
    this.looks.set(panel, look);
    // A walk is not interrupted by what is looked at: that comes after it.
    if (this.walk.kind === 'walking') this.hasNewLook = true;
    else if (this.isLoaded) this.seeks.next(this.cursor);
  }

  /** Who called at the cursor: asked for once a moment. */
  needStack(): void {
    if (this.state.kind !== 'known' || this.walk.kind === 'walking') return;
    const { position } = this.state.moment.machine;
    if (this.stack?.position === position) return;
    this.stack = { position, frames: undefined, failure: undefined };
    this.stacking?.unsubscribe();
    this.stacking = this.client.run({ kind: 'stack', position }).subscribe({
      next: (reply) => {
        if (reply.kind === 'stack') this.stack = { position, frames: reply.frames, failure: undefined };
        // It made way for a move: the next moment asks again.
        else if (reply.kind === 'superseded') this.stack = undefined;
        this.changed.next();
      },
      error: (error: unknown) => {
        this.stack = { position, frames: [], failure: failureOf(error) };
        this.changed.next();
      },
    });
  }

  /** Who wrote the value that is there at the cursor, and what that was made from. */
  trace(asked: OriginAsked, text: string): void {
    const { position } = this.cursor;
    this.origin = { text, position, links: [], share: 0, failure: undefined };
    this.tracing?.unsubscribe();
    const update = (change: Partial<OriginView>): void => {
      if (this.origin !== undefined) this.origin = { ...this.origin, ...change };
      this.changed.next();
    };
    this.tracing = this.client.run({ kind: 'origin', position, asked }).subscribe({
      next: (reply) => {
        if (reply.kind === 'origin-link') update({ links: [...(this.origin?.links ?? []), reply.link] });
        else if (reply.kind === 'progress') update({ share: shareOf(reply.position, reply.of) });
        else if (reply.kind === 'origin') update({ share: undefined });
        else if (reply.kind === 'superseded') update({ share: undefined, failure: { message: 'The cursor was moved before the search was over', advice: 'ask again' } });
      },
      error: (error: unknown) => update({ share: undefined, failure: failureOf(error) }),
    });
    this.changed.next();
  }
  stopTrace(): void {
    this.tracing?.unsubscribe();
    if (this.origin !== undefined) this.origin = { ...this.origin, share: undefined };
    this.changed.next();
  }

  // ---- walking ----

  /** A step or a run from the cursor. `until`: an address to stop at besides the points. Nothing happens while another one is on its way. */
  travel(unit: WalkUnit, direction: WalkDirection, until?: bigint): void {
    if (!this.isLoaded || this.walk.kind === 'walking') return;
    this.seeks.next(undefined);
    const from = this.cursor.position;
    const { enabled } = this.points;
    const points = [...enabled.map(({ point }) => point), ...(until === undefined ? [] : [{ kind: 'breakpoint' as const, text: 'here', addresses: [until] }])];
    this.walk = { kind: 'walking', direction, position: from };
    this.walking = this.client.run({ kind: 'walk', from, unit, direction, points, look: this.look }).subscribe({
      next: (reply) => {
        if (reply.kind === 'progress') this.walk = { kind: 'walking', direction, position: reply.position };
        else if (reply.kind === 'superseded') this.walk = { kind: 'none' };
        else if (reply.kind === 'walked') {
          const { end, moment } = reply;
          const { position } = moment.machine;
          this.walk = { kind: 'ended', end, text: endText(end, direction, end.kind === 'point' ? points[end.index].text : '') };
          if (unit === 'continue' || Math.abs(position - from) > 1) this.history.jump(from);
          this.cursor = { row: rowAt(this.positions, this.count, position), position };
          this.need([this.cursor.row]);
          this.state = this.knownView(moment);
          if (this.hasNewLook) this.seeks.next(this.cursor);
          this.hasNewLook = false;
        }
        this.changed.next();
      },
      error: (error: unknown) => {
        this.walk = { kind: 'failed', failure: failureOf(error) };
        this.changed.next();
      },
    });
    this.changed.next();
  }
  /** It stops where it is. */
  interrupt(): void {
    if (this.walk.kind !== 'walking') return;
    const { position } = this.walk;
    this.walking?.unsubscribe();
    this.walk = { kind: 'none' };
    this.moveToPosition(position);
    this.changed.next();
  }

  // ---- counts for the timeline ----

  /** What has come last for this use; the window asked for is on its way if it is another. */
  window(use: 'view' | 'whole', from: number, to: number, buckets: number): WindowView | undefined {
    const slot = this.windows.get(use) ?? { key: '', shown: undefined, isBusy: false };
    this.windows.set(use, slot);
    const key = `${from} ${to} ${buckets} ${this.isLoaded ? 'all' : this.count}`;
    if (slot.key === key || slot.isBusy || this.count === 0 || to <= from) return slot.shown;
    slot.key = key;
    slot.isBusy = true;
    this.client
      .once({ kind: 'window', from, to, buckets })
      .then((reply) => {
        if (reply.kind !== 'window') return;
        const { shift, first, count, names, columns } = reply;
        slot.shown = { shift, first, count, tracks: new Map(names.map((name, i) => [name, columns[i]])) };
      })
      .catch((error: unknown) => (this.failure = failureOf(error)))
      .finally(() => {
        slot.isBusy = false;
        this.changed.next();
      });
    return slot.shown;
  }

  // ---- notes ----

  addNote(text: string): void {
    if (this.summary === undefined) return;
    const note: Note = { id: crypto.randomUUID(), recording: this.summary.id, position: this.cursor.position, text, changedMs: Date.now() };
    this.notes = sorted([...this.notes, note]);
    this.changed.next();
    void keepNote(note).then(({ problem }) => {
      this.notesProblem = problem;
      if (problem !== undefined) this.changed.next();
    });
  }
  dropNote(id: string): void {
    this.notes = this.notes.filter((note) => note.id !== id);
    this.changed.next();
    void dropNote(id);
  }

  verify(): void {
    if (this.verification.kind === 'running') return;
    this.verification = { kind: 'running', share: 0 };
    this.changed.next();
    this.subscriptions.add(
      this.client.ask({ kind: 'verify' }).subscribe({
        next: (reply) => {
          if (reply.kind === 'progress') this.verification = { kind: 'running', share: shareOf(reply.position, reply.of) };
          else if (reply.kind === 'verified') this.verification = { kind: 'done', outcome: reply.outcome };
          this.changed.next();
        },
        error: (error: unknown) => {
          this.verification = { kind: 'failed', failure: failureOf(error) };
          this.changed.next();
        },
      }),
    );
  }

  setFilter(kinds: number, text: string): void {
    this.filtering?.unsubscribe();
    if (text.trim() === '' && kinds === ALL_KINDS) {
      this.filter = { kinds, text, rows: undefined, isBusy: false };
      this.changed.next();
      return;
    }
    let rows = new Uint32Array(0);
    // What was shown stays until the first of the new rows come.
    this.filter = { kinds, text, rows: this.filter.rows ?? rows, isBusy: true };
    this.filtering = this.client.ask({ kind: 'filter', kinds, text }).subscribe({
      next: (reply) => {
        if (reply.kind === 'matches') {
          const joined = new Uint32Array(rows.length + reply.rows.length);
          joined.set(rows);
          joined.set(reply.rows, rows.length);
          rows = joined;
          this.filter = { kinds, text, rows, isBusy: true };
        } else if (reply.kind === 'filtered') this.filter = { kinds, text, rows, isBusy: false };
        this.changed.next();
      },
      error: (error: unknown) => {
        this.failure = failureOf(error);
        this.changed.next();
      },
    });
    this.changed.next();
  }

  /** Throws EngineFailure for a file that is not one of the images. */
  async giveImage(bytes: Uint8Array): Promise<string> {
    const reply = await this.client.once({ kind: 'image', bytes }, undefined, [bytes.buffer]);
    this.seeks.next(this.cursor);
    return reply.kind === 'image-taken' ? reply.name : '';
  }

  /** The text of a row, if it has arrived. */
  text(row: number): EventText | undefined {
    return this.texts.get(row);
  }

  /** Asks for the texts of rows that are not there yet. */
  need(rows: readonly number[]): void {
    const missing = rows.filter((row) => !this.texts.has(row) && !this.asked.has(row));
    if (missing.length === 0) return;
    for (const row of missing) this.asked.add(row);
    this.client
      .once({ kind: 'rows', rows: Uint32Array.from(missing) })
      .then((reply) => {
        for (const row of missing) this.asked.delete(row);
        if (reply.kind !== 'rows') return;
        for (const text of reply.texts) this.texts.set(text.row, text);
        for (const oldest of this.texts.keys()) {
          if (this.texts.size <= TEXTS_MAX) break;
          this.texts.delete(oldest);
        }
        this.changed.next();
      })
      .catch((error: unknown) => {
        this.failure = failureOf(error);
        this.changed.next();
      });
  }

  /** How many bytes the console had shown at the cursor. */
  consoleLength(): number {
    let low = 0;
    let high = this.consoleRows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.consoleRows[middle] <= this.cursor.row) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private move(cursor: Cursor): void {
    if (cursor.row === this.cursor.row && cursor.position === this.cursor.position && this.state.kind !== 'none') return;
    if (this.state.kind !== 'none') this.history.move(this.cursor.position);
    this.go(cursor);
  }

  private go(cursor: Cursor): void {
    this.walking?.unsubscribe();
    this.walk = { kind: 'none' };
    this.cursor = cursor;
    this.need([cursor.row]);
    this.seeks.next(cursor);
    this.changed.next();
  }

  private take(reply: Reply): void {
    switch (reply.kind) {
      case 'opened':
        this.summary = reply.summary;
        this.positions = new Float64Array(reply.summary.records);
        this.kinds = new Uint8Array(reply.summary.records);
        void notesOf(reply.summary.id).then((notes) => {
          this.notes = sorted([...notes, ...this.notes]);
          this.changed.next();
        });
        break;
      case 'events':
        this.positions.set(reply.positions, reply.first);
        this.kinds.set(reply.kinds, reply.first);
        this.count = reply.first + reply.positions.length;
        break;
      case 'console':
        for (const row of reply.rows) this.consoleRows.push(row);
        for (const byte of reply.bytes) this.consoleBytes.push(byte);
        break;
      case 'loaded':
        this.marks = reply.marks;
        this.rings = reply.rings;
        this.isLoaded = true;
        if (this.wanted === undefined) this.moveToRow(this.count - 1);
        else this.moveToPosition(this.wanted);
        break;
      case 'symbols':
        this.symbols = reply.symbols;
        this.stack = undefined;
        // Code and addresses have names now.
        if (this.walk.kind !== 'walking') this.seeks.next(this.cursor);
        break;
      default:
        return;
    }
    this.changed.next();
  }

  private get shown(): { readonly moment: Moment | undefined; readonly before: MachineState | undefined } {
    return this.state.kind === 'known' || this.state.kind === 'busy' ? this.state : { moment: undefined, before: undefined };
  }

  private stateView(reply: Reply): StateView {
    if (reply.kind === 'moment') return this.knownView(reply.moment);
    if (reply.kind === 'progress') return { kind: 'busy', share: shareOf(reply.position, reply.of), ...this.shown };
    return this.state;
  }

  private knownView(moment: Moment): StateView {
    const { moment: last, before } = this.shown;
    // The same place looked at again.
    const isSame = last !== undefined && last.machine.position === moment.machine.position && last.rip === moment.rip;
    return { kind: 'known', moment, before: isSame ? before : last?.machine };
  }
}

/** First index of the shown rows that is `row` or later. */
export function shownIndex(rows: Uint32Array, row: number): number {
  return lowerBound(rows, rows.length, row);
}

function shareOf(position: number, of: number): number {
  return of === 0 ? 1 : Math.min(1, position / of);
}

function endText(end: WalkEnd, direction: WalkDirection, point: string): string {
  switch (end.kind) {
    case 'step':
      return '';
    case 'interrupted':
      return 'interrupted';
    case 'history':
      return direction === 'forward' ? 'the end of the recording' : 'power-on: there is nothing before';
    case 'point':
      return `stopped: ${point}`;
    default:
      return end satisfies never;
  }
}
