/** The rows that are shown, as pages of texts that were asked for: those used last are kept, so that a page holds no more than EVENTS_MAX events whatever the length of the log. */
import { type EventText, type NearRows, ROWS_TOGETHER } from '../engine/protocol/events.ts';
import type { LogClient } from './engine-client.ts';

export const PAGE_ROWS = ROWS_TOGETHER;
export const EVENTS_MAX = 8192;
/** Pages that are on their way at most: of a table that is scrolled fast those in between are not asked for. */
const ASKED_MAX = 4;

export class EventPages {
  private readonly log: Pick<LogClient, 'once'>;
  private readonly onChange: () => void;
  private readonly onError: (error: unknown) => void;
  /** By number: used last is last. */
  private pages = new Map<number, readonly EventText[]>();
  private asked = new Set<number>();
  private onFirst: () => void = () => undefined;
  /** Something has arrived. */
  readonly first = new Promise<void>((resolve) => {
    this.onFirst = resolve;
  });

  constructor(log: Pick<LogClient, 'once'>, onChange: () => void, onError: (error: unknown) => void) {
    this.log = log;
    this.onChange = onChange;
    this.onError = onError;
  }

  /** Events that are held. */
  get held(): number {
    return [...this.pages.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** The one with number `index` among those that are shown, if it has arrived. */
  at(index: number): EventText | undefined {
    return this.pages.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS];
  }

  /** What came with the log itself. */
  take({ first, texts }: NearRows): void {
    for (let at = 0; at < texts.length; at += PAGE_ROWS) this.keep((first + at) / PAGE_ROWS, texts.slice(at, at + PAGE_ROWS));
  }

  /** Asks for what is not there of the rows from `first` to before `end`. */
  need(first: number, end: number): void {
    for (let page = Math.floor(first / PAGE_ROWS); page * PAGE_ROWS < end; page++) {
      const known = this.pages.get(page);
      if (known !== undefined) {
        this.pages.delete(page);
        this.pages.set(page, known);
        // A page at the end may have been short when the filter was still looking.
        if (known.length === PAGE_ROWS || page * PAGE_ROWS + known.length >= end) continue;
      }
      if (this.asked.size < ASKED_MAX && !this.asked.has(page)) this.load(page);
    }
  }

  /** What is shown is another: nothing of it is known. */
  forget(): void {
    this.pages = new Map();
    this.asked = new Set();
  }

  private load(page: number): void {
    const { pages, asked } = this;
    asked.add(page);
    this.log
      .once({ kind: 'rows', first: page * PAGE_ROWS, count: PAGE_ROWS })
      .then((reply) => {
        asked.delete(page);
        if (reply.kind !== 'rows' || pages !== this.pages) return;
        this.keep(page, reply.texts);
        this.onChange();
      })
      .catch(this.onError);
  }

  private keep(page: number, texts: readonly EventText[]): void {
    const { pages } = this;
    pages.delete(page);
    pages.set(page, texts);
    this.onFirst();
    for (const oldest of pages.keys()) {
      if (pages.size * PAGE_ROWS <= EVENTS_MAX) break;
      pages.delete(oldest);
    }
  }
}
