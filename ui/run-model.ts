/**
 * One opened recording as the pages see it: its columns, one cursor over everything, and what was asked about the cursor. Knows no view.
 */
import { type Observable, Subject, Subscription, auditTime, catchError, map, of, switchMap } from 'rxjs';
import type { Failure, LogPlace, MachineState, Mark, Reply, VerifyOutcome, EventText } from '../engine/protocol/messages.ts';
import type { LogSummary } from '../engine/protocol/summary.ts';
import { EngineClient, EngineFailure } from './engine-client.ts';
import { ALL_KINDS } from './kinds.ts';
import { lowerBound, rowAt } from './timeline-view.ts';

/** The record at or before the position, and the position itself. */
export interface Cursor {
  readonly row: number;
  readonly position: number;
}

export type StateView =
  | { readonly kind: 'none' }
  /** before: of the cursor that was here earlier. */
  | { readonly kind: 'busy'; readonly share: number; readonly before: MachineState | undefined }
  | { readonly kind: 'known'; readonly state: MachineState; readonly before: MachineState | undefined }
  | { readonly kind: 'failed'; readonly failure: Failure };

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
  readonly consoleRows: number[] = [];
  readonly consoleBytes: number[] = [];
  cursor: Cursor = { row: 0, position: 0 };
  state: StateView = { kind: 'none' };
  verification: VerifyView = { kind: 'none' };
  filter: FilterView = { kinds: ALL_KINDS, text: '', rows: undefined, isBusy: false };
  private readonly changed = new Subject<void>();
  private readonly seeks = new Subject<Cursor>();
  private readonly texts = new Map<number, EventText>();
  private readonly asked = new Set<number>();
  private readonly subscriptions = new Subscription();
  private filtering: Subscription | undefined;
  /** Where to go when there are enough records. */
  private wanted: number | undefined;

  constructor(client = new EngineClient()) {
    this.client = client;
    this.changes = this.changed.asObservable();
    this.subscriptions.add(
      this.seeks
        .pipe(
          auditTime(SEEK_AUDIT_MS),
          switchMap(({ row, position }) =>
            this.client.ask({ kind: 'seek', position, row }).pipe(
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
        this.isLoaded = true;
        if (this.wanted === undefined) this.moveToRow(this.count - 1);
        else this.moveToPosition(this.wanted);
        break;
      default:
        return;
    }
    this.changed.next();
  }

  private stateView(reply: Reply): StateView {
    const before = this.state.kind === 'known' ? this.state.state : this.state.kind === 'busy' ? this.state.before : undefined;
    if (reply.kind === 'state') return { kind: 'known', state: reply.state, before };
    if (reply.kind === 'progress') return { kind: 'busy', share: shareOf(reply.position, reply.of), before };
    return this.state;
  }
}

/** First index of the shown rows that is `row` or later. */
export function shownIndex(rows: Uint32Array, row: number): number {
  return lowerBound(rows, rows.length, row);
}

function shareOf(position: number, of: number): number {
  return of === 0 ? 1 : Math.min(1, position / of);
}

export function failureOf(error: unknown): Failure {
  if (error instanceof EngineFailure) return error.failure;
  return { message: error instanceof Error ? error.message : String(error), advice: 'reload the page' };
}
