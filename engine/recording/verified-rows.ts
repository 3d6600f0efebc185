/**
 * What a replay has made again, as rows of the log.
 *
 * A replay makes every event again, and each is compared with the log field by field. So its rows are at hand already, decoded, in the log's own batches: nothing is encoded
 * again, and no more than the reader's two blocks are held.
 */
import type { EventBatch } from '../log/event-batch.ts';
import type { LogReader } from '../log/reader.ts';

export class VerifiedRows {
  /** How many were taken. */
  taken = 0;
  private readonly reader: LogReader;
  private readonly take: (batch: EventBatch, from: number, to: number) => void;
  private block = 0;

  constructor(reader: LogReader, take: (batch: EventBatch, from: number, to: number) => void) {
    this.reader = reader;
    this.take = take;
  }

  /** The replay has made the first `records` events of the log. */
  takeTo(records: number): void {
    const end = Math.min(records, this.reader.records);
    while (this.taken < end) {
      const batch = this.reader.batch(this.block);
      const to = Math.min(end - batch.firstRecord, batch.count);
      this.take(batch, this.taken - batch.firstRecord, to);
      this.taken = batch.firstRecord + to;
      if (to === batch.count) this.block++;
    }
  }
}
