/**
 * One opened recording as the pages see it: one cursor over everything, and what was asked about the cursor. It holds no more of the log than is shown: pages of rows, windows of counts,
 * a part of the console. The log's worker answers while the machine's is at work. Knows no view.
 */
import { EMPTY, type Observable, Subject, Subscription, catchError, map, of, switchMap, tap, throttleTime } from 'rxjs';
import type { ConsolePart, DirtyHeat, EventText, InterruptArrow, LogReply, Mark, ModeChange, NearRows, RegimeCosts, RingShares } from '../engine/protocol/events.ts';
import type { Failure, LogPlace, MachineState, Reply, VerifyOutcome } from '../engine/protocol/messages.ts';
import type { Look, Moment, OriginAsked, OriginLink, StackFrame, SymbolsView, TaskSpans, WalkDirection, WalkEnd, WalkUnit } from '../engine/protocol/moment.ts';
import type { LogSummary } from '../engine/protocol/summary.ts';
import { afterPaint, delay } from './after-paint.ts';
import { NavigationHistory } from './debug/navigation-history.ts';
import { NoteList } from './debug/note-list.ts';
import { PointList } from './debug/point-list.ts';
import { ConsoleWindow } from './console-window.ts';
import type { EarlyLog } from './early-log.ts';
import { EngineClient, EngineFailure, LogClient, failureOf } from './engine-client.ts';
import { EventPages } from './event-pages.ts';
import { ALL_KINDS } from './kinds.ts';
import type { Note } from './notes.ts';
import type { WindowView } from './timeline-tracks.ts';

export interface Cursor {
  readonly position: number;
  /** The record at the position or before it; until the log's worker has found it, the one before. */
  readonly row: number;
  /** How many of the rows that the filter shows come before it. */
  readonly index: number;
  /** The filter shows it. */
  readonly isShown: boolean;
  /** Of the record. */
  readonly text: EventText | undefined;
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
  /** Rows that answer it, as far as it was looked; undefined: all are shown. */
  readonly shown: number | undefined;
  readonly isBusy: boolean;
}

/** The reading of all of the log, once. */
export type FoldView =
  | { readonly kind: 'running'; readonly records: number }
  | { readonly kind: 'stopped'; readonly records: number }
  | { readonly kind: 'done' };

export type CostView =
  | { readonly kind: 'none' }
  | { readonly kind: 'busy'; readonly regime: string; readonly share: number }
  | { readonly kind: 'known'; readonly costs: RegimeCosts };

export type TasksView =
  | { readonly kind: 'none' }
  | { readonly kind: 'busy'; readonly share: number }
  | { readonly kind: 'known'; readonly spans: TaskSpans }
  /** Nothing tells which task runs. */
  | { readonly kind: 'unknown' };

const NO_NOTES: readonly Note[] = [];
const SEEK_INTERVAL_MS = 40;
/** In which a seek that is under way is not shown to be. */
const UNANNOUNCED_MS = 150;
/** The longest that everything else waits for the first rows and the console to be drawn. */
const FIRST_DRAWN_MS = 600;
/** Looks at the counts of the whole run while the log is folded. */
const FOLD_LOOKS = 40;

export class RunModel {
  readonly client: EngineClient;
  readonly log: LogClient;
  /** Something changed; views look again. */
  readonly changes: Observable<void>;
  summary: LogSummary | undefined;
  failure: Failure | undefined;
  /** It is open: the cursor can be moved. */
  isLoaded = false;
  fold: FoldView = { kind: 'running', records: 0 };
  readonly pages: EventPages;
  readonly console: ConsoleWindow;
  marks: readonly Mark[] = [];
  rings: RingShares | undefined;
  heat: DirtyHeat | undefined;
  modes: readonly ModeChange[] = [];
  /** Those that a cost track can be of. */
  regimes: readonly { readonly id: string; readonly title: string }[] = [];
  costs: CostView = { kind: 'none' };
  tasks: TasksView = { kind: 'none' };
  cursor: Cursor = { row: 0, position: 0, index: 0, isShown: true, text: undefined };
  state: StateView = { kind: 'none' };
  walk: WalkView = { kind: 'none' };
  stack: StackView | undefined;
  origin: OriginView | undefined;
  symbols: SymbolsView | undefined;
  /** From when it is open. */
  noteList: NoteList | undefined;
  readonly points: PointList;
  readonly history = new NavigationHistory();
  verification: VerifyView = { kind: 'none' };
  filter: FilterView = { kinds: ALL_KINDS, text: '', shown: undefined, isBusy: false };
  private readonly changed = new Subject<void>();
  /** Undefined: what waits is not wanted any more. */
  private readonly seeks = new Subject<Cursor | undefined>();
  /** When the last of them was. */
  private askedMs = 0;
  private readonly looks = new Map<string, Look>();
  /** By use: what was asked for last, what has come, whether an answer is awaited. */
  private readonly windows = new Map<'view' | 'whole', { key: string; shown: WindowView | undefined; isBusy: boolean }>();
  private readonly drawn = new Subject<void>();
  /** Counts for the timeline have come; nothing else has changed. */
  readonly windowChanges = this.drawn.asObservable();
  private hasNewLook = false;
  private walking: Subscription | undefined;
  private stacking: Subscription | undefined;
  private tracing: Subscription | undefined;
  /** Positions whose record is looked for: the one that is asked about, the newest one, and a number that says which is the newest. */
  private locating: { isBusy: boolean; wanted: number | undefined } = { isBusy: false, wanted: undefined };
  private moves = 0;
  private folding: Subscription | undefined;
  private costing: Subscription | undefined;
  private tasking: Subscription | undefined;
  private arrows: { key: string; isBusy: boolean; shown: readonly InterruptArrow[] } = { key: '', isBusy: false, shown: [] };
  private onEngineOpen: () => void = () => undefined;
  /** The machine's worker was told which log it is. */
  private readonly engineOpen = new Promise<void>((resolve) => {
    this.onEngineOpen = resolve;
  });
  private onDrawn: () => void = () => undefined;
  /** What is seen first has been drawn: what is not may be loaded. */
  readonly firstDrawn = new Promise<void>((resolve) => {
    this.onDrawn = resolve;
  });
  private readonly subscriptions = new Subscription();
  private filtering: Subscription | undefined;
  constructor(log = new LogClient(), client = new EngineClient()) {
    this.log = log;
    this.client = client;
    this.pages = new EventPages(log, () => this.changed.next(), (error) => this.fail(error));
    this.console = new ConsoleWindow(log, () => this.changed.next(), (error) => this.fail(error));
    this.changes = this.changed.asObservable();
    this.points = new PointList(client, () => this.changed.next());
    this.subscriptions.add(
      this.seeks
        .pipe(
          // The first at once; of those that follow at short intervals the newest.
          throttleTime(SEEK_INTERVAL_MS, undefined, { leading: true, trailing: true }),
          tap(() => (this.askedMs = performance.now())),
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

  /** Its id among the recordings of the server, if it is there. */
  onServer: string | undefined;

  /** at: where the cursor is to stand. early: the log's worker was asked already. */
  open(log: LogPlace, imageUrl: string | undefined, at: number | undefined, early?: Omit<EarlyLog, 'client'>): void {
    const begin = (reply: LogReply): void => {
      if (reply.kind !== 'opened') return;
      // What is seen first comes first: the machine's worker, and the reading of all of the log, wait until it is drawn.
      this.client.hold();
      this.subscriptions.add(this.client.ask({ kind: 'open', log, imageUrl }).subscribe({ next: (each) => this.take(each), error: (error: unknown) => this.fail(error) }));
      this.onEngineOpen();
      this.opened(reply.summary, reply.near, at, reply.console);
      void Promise.race([Promise.all([this.pages.first, this.console.first]).then(afterPaint), delay(FIRST_DRAWN_MS)]).then(() => {
        this.onDrawn();
        if (this.subscriptions.closed) return;
        this.client.release();
        this.startFold();
      });
    };
    // Now: the page that is about to be drawn has it already.
    if (early?.known?.kind === 'opened') return begin(early.known);
    (early?.opened ?? this.log.once({ kind: 'open', log, at })).then(
      begin,
      async (error: unknown) => {
        // A branch: again with what it goes on from.
        const { withMissingParent } = await import('./recording-place.ts');
        const more = await withMissingParent(log, error);
        if (more === undefined) this.fail(error);
        else this.open(more, imageUrl, at);
      },
    );
  }

  private opened(summary: LogSummary, near: NearRows, at = summary.lastPosition, part?: ConsolePart): void {
    this.summary = summary;
    this.isLoaded = true;
    this.noteList = new NoteList(summary.id, this.onServer, () => this.changed.next(), this.firstDrawn);
    this.pages.take(near);
    const position = Math.round(Math.min(Math.max(0, at), summary.lastPosition));
    const text = this.pages.at(near.row);
    this.go({ row: near.row, position, index: near.row, isShown: true, text: text?.position === position ? text : undefined });
    if (part === undefined) this.console.need(near.row);
    else this.console.take(part);
  }

  /** Reads all of the log for the counts of the timeline; goes on anew after stopFold(). */
  startFold(): void {
    this.fold = { kind: 'running', records: 0 };
    this.folding?.unsubscribe();
    this.folding = this.log.run({ kind: 'fold' }).subscribe({
      next: (reply) => {
        if (reply.kind === 'folding') this.fold = { kind: 'running', records: reply.records };
        else if (reply.kind === 'folded') {
          this.fold = { kind: 'done' };
          this.marks = reply.marks;
          this.rings = reply.rings;
          this.heat = reply.heat;
          this.modes = reply.modes;
          this.regimes = reply.regimes;
          this.console.forget();
        }
        this.changed.next();
      },
      error: (error: unknown) => this.fail(error),
    });
  }
  stopFold(): void {
    if (this.fold.kind !== 'running') return;
    this.folding?.unsubscribe();
    this.fold = { kind: 'stopped', records: this.fold.records };
    this.changed.next();
  }

  private fail(error: unknown): void {
    this.failure = failureOf(error);
    this.changed.next();
  }

  close(): void {
    this.subscriptions.unsubscribe();
    this.filtering?.unsubscribe();
    this.walking?.unsubscribe();
    this.stacking?.unsubscribe();
    this.tracing?.unsubscribe();
    this.folding?.unsubscribe();
    this.costing?.unsubscribe();
    this.tasking?.unsubscribe();
    this.points.close();
    this.noteList?.close();
    this.client.close();
    this.log.close();
  }

  /** Records in all. */
  get count(): number {
    return this.summary?.records ?? 0;
  }
  /** Rows that the filter shows. */
  get shownCount(): number {
    return this.filter.shown ?? this.count;
  }

  get lastPosition(): number {
    return this.summary?.lastPosition ?? 0;
  }

  /** The record with this number. */
  moveToRow(row: number): void {
    if (this.count === 0) return;
    const clamped = Math.min(Math.max(0, row), this.count - 1);
    if (clamped === this.cursor.row && this.cursor.text?.position === this.cursor.position) return;
    this.moveToFound(this.log.once({ kind: 'row', row: clamped }));
  }

  /** A row that is shown. */
  moveToText(text: EventText, index: number, isShown = true): void {
    this.move({ row: text.row, position: text.position, index, isShown, text });
  }

  moveToPosition(position: number): void {
    const clamped = Math.round(Math.min(Math.max(0, position), this.lastPosition));
    this.move({ ...this.cursor, position: clamped, text: undefined });
  }

  /** Somewhere else, by a name, a link or a number: a place of its own to come back from, however soon it follows another move. */
  jumpToPosition(position: number): void {
    const clamped = Math.round(Math.min(Math.max(0, position), this.lastPosition));
    if (clamped === this.cursor.position && this.state.kind !== 'none') return;
    if (this.state.kind !== 'none') this.history.jump(this.cursor.position);
    this.go({ ...this.cursor, position: clamped, text: undefined });
  }

  /** The next (1) or previous (-1) event of a kind: of that at the cursor, if none is given. */
  moveToSameKind(direction: 1 | -1, kind = this.cursor.text?.kind): void {
    const { row, text, position } = this.cursor;
    if (kind === undefined) return;
    // Between two events the one before the cursor is the row: backward it is the first that may be meant.
    const isBetween = text === undefined || text.position < position;
    this.moveToFound(this.log.once({ kind: 'beside', row: isBetween && direction === -1 ? row + 1 : row, direction, kinds: 1 << kind }));
  }

  /** The next (1) or previous (-1) row that the filter shows. */
  moveToShown(direction: 1 | -1): void {
    const { index, isShown } = this.cursor;
    const next = direction === 1 ? index + (isShown ? 1 : 0) : index - 1;
    if (next < 0 || next >= this.shownCount) return;
    const text = this.pages.at(next);
    if (text !== undefined) return this.moveToText(text, next);
    const moves = ++this.moves;
    this.log
      .once({ kind: 'rows', first: next, count: 1 })
      .then((reply) => {
        if (reply.kind === 'rows' && reply.texts.length > 0 && moves === this.moves) this.moveToText(reply.texts[0], next);
      })
      .catch((error: unknown) => this.fail(error));
  }

  private moveToFound(found: Promise<LogReply>): void {
    const moves = ++this.moves;
    found
      .then((reply) => {
        if (reply.kind === 'record' && reply.text !== undefined && moves === this.moves) this.moveToText(reply.text, reply.index, reply.isShown);
      })
      .catch((error: unknown) => this.fail(error));
  }

  /** Finds the record of the cursor: one question at a time, the newest one next. */
  private locate(): void {
    const { locating } = this;
    if (locating.isBusy || locating.wanted === undefined) return;
    const position = locating.wanted;
    locating.wanted = undefined;
    locating.isBusy = true;
    this.log
      .once({ kind: 'at', position })
      .then((reply) => {
        if (reply.kind !== 'record' || reply.text === undefined) return;
        const { text, index, isShown } = reply;
        // While it is dragged the record follows; what was set by its row meanwhile stays.
        if (this.cursor.text === undefined) this.cursor = { position: this.cursor.position, row: text.row, index, isShown, text: this.cursor.position === position ? text : undefined };
        this.console.need(this.cursor.row);
        this.changed.next();
      })
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        locating.isBusy = false;
        this.locate();
      });
  }

  /** Back to where the cursor was before it jumped, and forth again. */
  undo(): void {
    const position = this.history.back(this.cursor.position);
    if (position !== undefined) this.go({ ...this.cursor, position, text: undefined });
  }
  redo(): void {
    const position = this.history.forth(this.cursor.position);
    if (position !== undefined) this.go({ ...this.cursor, position, text: undefined });
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
          this.cursor = { ...this.cursor, position, text: undefined };
          this.locating.wanted = position;
          this.locate();
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
  window(use: 'view' | 'whole', from: number, to: number, buckets: number, tracks: readonly string[]): WindowView | undefined {
    const slot = this.windows.get(use) ?? { key: '', shown: undefined, isBusy: false };
    this.windows.set(use, slot);
    // While the log is folded its counts grow.
    const age = this.fold.kind === 'done' ? 'all' : String(Math.floor((FOLD_LOOKS * this.fold.records) / Math.max(1, this.count)));
    const key = `${from} ${to} ${buckets} ${tracks.join()} ${age}`;
    if (slot.key === key || slot.isBusy || !this.isLoaded || to <= from) return slot.shown;
    slot.key = key;
    slot.isBusy = true;
    this.log
      .once({ kind: 'window', use, from, to, buckets, tracks })
      .then((reply) => {
        if (reply.kind !== 'window') return;
        const { shift, first, count, names, columns } = reply;
        slot.shown = { shift, first, count, tracks: new Map(names.map((name, i) => [name, columns[i]])) };
      })
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        slot.isBusy = false;
        this.drawn.next();
      });
    return slot.shown;
  }

  /** Interrupts of a window, as far as they have come. */
  interrupts(from: number, to: number): readonly InterruptArrow[] {
    const { arrows } = this;
    const key = `${from} ${to}`;
    if (arrows.key === key || arrows.isBusy) return arrows.shown;
    arrows.key = key;
    arrows.isBusy = true;
    this.log
      .once({ kind: 'interrupts', from, to })
      .then((reply) => {
        if (reply.kind === 'interrupts') arrows.shown = reply.arrows;
      })
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        arrows.isBusy = false;
        this.drawn.next();
      });
    return arrows.shown;
  }

  /** Undefined: no cost track. */
  showCosts(regime: string | undefined): void {
    this.costing?.unsubscribe();
    this.costs = regime === undefined ? { kind: 'none' } : { kind: 'busy', regime, share: 0 };
    if (regime !== undefined) {
      this.costing = this.log.run({ kind: 'costs', regime }).subscribe({
        next: (reply) => {
          if (reply.kind === 'folding') this.costs = { kind: 'busy', regime, share: shareOf(reply.records, this.count) };
          else if (reply.kind === 'costs') this.costs = { kind: 'known', costs: reply.costs };
          this.changed.next();
        },
        error: (error: unknown) => this.fail(error),
      });
    }
    this.changed.next();
  }

  /** Which task runs when: takes a replay, unless it was found out earlier; isKept: only then. */
  findTasks(isKept = false): void {
    if (this.tasks.kind === 'busy' || this.tasks.kind === 'known') return;
    if (!isKept) this.tasks = { kind: 'busy', share: 0 };
    this.tasking = this.client.run({ kind: 'tasks', isKept }).subscribe({
      next: (reply) => {
        if (reply.kind === 'progress') this.tasks = { kind: 'busy', share: shareOf(reply.position, reply.of) };
        else if (reply.kind === 'tasks' && reply.spans !== undefined) this.tasks = { kind: 'known', spans: reply.spans };
        else if (reply.kind === 'tasks' && !isKept) this.tasks = { kind: 'unknown' };
        this.changed.next();
      },
      error: (error: unknown) => {
        this.tasks = { kind: 'none' };
        this.fail(error);
      },
    });
    this.changed.next();
  }
  stopTasks(): void {
    this.tasking?.unsubscribe();
    this.tasks = { kind: 'none' };
    this.changed.next();
  }

  // ---- notes ----

  /** In order of position. */
  get notes(): readonly Note[] {
    return this.noteList?.all ?? NO_NOTES;
  }
  addNote(text: string): void {
    this.noteList?.add(this.cursor.position, text);
  }
  dropNote(id: string): void {
    this.noteList?.drop(id);
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
    const isAll = text.trim() === '' && kinds === ALL_KINDS;
    // What was shown stays until the first of the new rows come.
    this.filter = { kinds, text, shown: this.shownCount, isBusy: true };
    let isFirst = true;
    const shows = (shown: number, isBusy: boolean): void => {
      this.filter = { kinds, text, shown: isAll ? undefined : shown, isBusy };
      if (isFirst) this.pages.forget();
      // Where the cursor is among them.
      if (isFirst || !isBusy) this.locateIndex();
      isFirst = false;
      this.changed.next();
    };
    this.filtering = this.log.run({ kind: 'filter', wanted: isAll ? undefined : { kinds, text } }).subscribe({
      next: (reply) => {
        if (reply.kind === 'matching') shows(reply.shown, true);
        else if (reply.kind === 'filtered') shows(reply.shown, false);
      },
      error: (error: unknown) => this.fail(error),
    });
    this.changed.next();
  }

  private locateIndex(): void {
    const { row } = this.cursor;
    this.log
      .once({ kind: 'row', row })
      .then((reply) => {
        if (reply.kind !== 'record' || this.cursor.row !== row) return;
        this.cursor = { ...this.cursor, index: reply.index, isShown: reply.isShown };
        this.changed.next();
      })
      .catch((error: unknown) => this.fail(error));
  }

  /** Throws EngineFailure for a file that is not one of the images. */
  async giveImage(bytes: Uint8Array): Promise<string> {
    await this.engineOpen;
    const reply = await this.client.once({ kind: 'image', bytes }, undefined, [bytes.buffer]);
    this.seeks.next(this.cursor);
    return reply.kind === 'image-taken' ? reply.name : '';
  }

  private move(cursor: Cursor): void {
    const isSameRow = cursor.text === undefined || cursor.row === this.cursor.row;
    if (isSameRow && cursor.position === this.cursor.position && this.state.kind !== 'none') return;
    if (this.state.kind !== 'none') this.history.move(this.cursor.position);
    this.go(cursor);
  }

  private go(cursor: Cursor): void {
    this.walking?.unsubscribe();
    this.walk = { kind: 'none' };
    this.cursor = cursor;
    this.moves++;
    if (cursor.text === undefined) {
      this.locating.wanted = cursor.position;
      this.locate();
    } else {
      this.locating.wanted = undefined;
      this.console.need(cursor.row);
    }
    this.seeks.next(cursor);
    this.changed.next();
  }

  private take(reply: Reply): void {
    switch (reply.kind) {
      case 'symbols':
        this.symbols = reply.symbols;
        this.findTasks(true);
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
    const { state } = this;
    return state.kind === 'known' || state.kind === 'busy' ? { moment: state.moment, before: state.before } : { moment: undefined, before: undefined };
  }

  private stateView(reply: Reply): StateView {
    if (reply.kind === 'moment') return this.knownView(reply.moment);
    // What comes soon is not announced: the panels would flicker with every step.
    if (reply.kind !== 'progress' || (this.state.kind === 'known' && performance.now() - this.askedMs < UNANNOUNCED_MS)) return this.state;
    return { kind: 'busy', share: shareOf(reply.position, reply.of), ...this.shown };
  }

  private knownView(moment: Moment): StateView {
    const { moment: last, before } = this.shown;
    // The same place looked at again.
    const isSame = last !== undefined && last.machine.position === moment.machine.position && last.rip === moment.rip;
    return { kind: 'known', moment, before: isSame ? before : last?.machine };
  }
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
