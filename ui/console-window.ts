/** The part of the console around the cursor: what a terminal has to be fed to show it as it was. */
import type { ConsolePart } from '../engine/protocol/events.ts';
import type { LogClient } from './engine-client.ts';
import { lowerBound } from './timeline-view.ts';

export class ConsoleWindow {
  part: ConsolePart | undefined;
  private readonly log: Pick<LogClient, 'once'>;
  private readonly onChange: () => void;
  private readonly onError: (error: unknown) => void;
  private wanted: number | undefined;
  private isBusy = false;
  private onFirst: () => void = () => undefined;
  /** A part has arrived. */
  readonly first = new Promise<void>((resolve) => {
    this.onFirst = resolve;
  });

  constructor(log: Pick<LogClient, 'once'>, onChange: () => void, onError: (error: unknown) => void) {
    this.log = log;
    this.onChange = onChange;
    this.onError = onError;
  }

  /** What came with the log itself. */
  take(part: ConsolePart): void {
    this.part = part;
    this.onFirst();
  }

  /** The cursor is at this record. */
  need(row: number): void {
    if (this.part !== undefined && row >= this.part.from && row <= this.part.to) return;
    this.wanted = row;
    this.ask();
  }

  /** More is known about the log than when it was asked for. */
  forget(): void {
    if (this.part === undefined || this.part.total !== undefined) return;
    this.wanted = Math.min(this.part.to, Math.max(this.part.from, this.wanted ?? this.part.to));
    this.ask();
  }

  /** Bytes of the part that had been sent when record `row` had happened. */
  lengthAt(row: number): number {
    return this.part === undefined ? 0 : lowerBound(this.part.rows, this.part.rows.length, row + 1);
  }

  private ask(): void {
    if (this.isBusy || this.wanted === undefined) return;
    const row = this.wanted;
    this.wanted = undefined;
    this.isBusy = true;
    this.log
      .once({ kind: 'console', row })
      .then((reply) => {
        if (reply.kind === 'console') this.part = reply.part;
        this.onFirst();
        this.onChange();
      })
      .catch(this.onError)
      .finally(() => {
        this.isBusy = false;
        this.ask();
      });
  }
}
