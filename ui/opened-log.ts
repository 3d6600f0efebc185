/** A log that the worker has opened: its columns, its console, its rows as text, and what answers a filter. */
import { eventAt } from '../engine/log/event-batch.ts';
import type { EventBatch } from '../engine/log/event-batch.ts';
import { KIND_DEVICE, type LogEvent } from '../engine/log/events.ts';
import { LogReader } from '../engine/log/reader.ts';
import { SHAPE_UART_TX } from '../engine/log/shapes.ts';
import { MemorySource } from '../engine/log/storage.ts';
import type { EventText, Mark, RingShares } from '../engine/protocol/messages.ts';
import { type LogSummary, summarize } from '../engine/protocol/summary.ts';
import { eventText } from './event-text.ts';

/** Marks that are drawn with their names; more are only rows. */
const MARKS_MAX = 5000;

export interface Columns {
  readonly first: number;
  readonly positions: Float64Array;
  readonly kinds: Uint8Array;
  readonly consoleRows: Uint32Array;
  readonly consoleBytes: Uint8Array;
}

export class OpenedLog {
  readonly bytes: Uint8Array;
  readonly reader: LogReader;
  readonly summary: LogSummary;
  /** Images that were handed in, by SHA-256. */
  readonly givenImages = new Map<string, Uint8Array>();

  /** Throws LogError. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.reader = this.newReader();
    this.summary = summarize(this.reader, bytes.length);
  }

  /** Each replay has a reader of its own, for the sake of its cache. */
  newReader(): LogReader {
    return LogReader.open(new MemorySource(this.bytes));
  }

  /** Columns of one block after the other; `onBatch` sees each block while it is there. */
  *columns(onBatch?: (batch: EventBatch) => void): Generator<Columns> {
    for (let i = 0; i < this.reader.eventBlocks.length; i++) {
      const batch = this.reader.batch(i);
      onBatch?.(batch);
      const consoleRows: number[] = [];
      const consoleBytes: number[] = [];
      for (let row = 0; row < batch.count; row++) {
        if (batch.kind[row] !== KIND_DEVICE || batch.sites.shape[batch.site[row]] !== SHAPE_UART_TX) continue;
        consoleRows.push(batch.firstRecord + row);
        consoleBytes.push(batch.valueLo[row]);
      }
      yield {
        first: batch.firstRecord,
        positions: batch.position.slice(0, batch.count),
        kinds: batch.kind.slice(0, batch.count),
        consoleRows: Uint32Array.from(consoleRows),
        consoleBytes: Uint8Array.from(consoleBytes),
      };
    }
  }

  marks(): Mark[] {
    const marks: Mark[] = [];
    for (const { index, event } of this.reader.entries({ kinds: ['mark'] })) {
      if (event.kind === 'mark') marks.push({ row: index, position: event.position, name: event.name });
      if (marks.length === MARKS_MAX) break;
    }
    return marks;
  }

  /** From what the CPU counted, an event each epoch and mark. */
  rings(): RingShares {
    const positions = [0];
    const shares: number[] = [];
    let before = 0;
    for (const event of this.reader.events({ kinds: ['counts'] })) {
      const from = positions[positions.length - 1];
      if (event.kind !== 'counts' || event.position <= from) continue;
      shares.push(Math.min(1, (event.kernelInstructions - before) / (event.position - from)));
      positions.push(event.position);
      before = event.kernelInstructions;
    }
    return { positions: Float64Array.from(positions), shares: Float64Array.from(shares) };
  }

  text(row: number): EventText {
    const batch = this.batchOf(row);
    return textOf(batch, row - batch.firstRecord);
  }

  /** Record numbers of those rows of block `i` that answer the filter. */
  matches(i: number, kinds: number, accepts: (text: string) => boolean): Uint32Array {
    const entry = this.reader.eventBlocks[i];
    if (!entry.counts.some((count, kind) => count > 0 && ((kinds >> kind) & 1) !== 0)) return new Uint32Array(0);
    const batch = this.reader.batch(i);
    const rows: number[] = [];
    for (let row = 0; row < batch.count; row++) {
      if (((kinds >> batch.kind[row]) & 1) === 0) continue;
      const { text, rip } = textOf(batch, row);
      if (accepts(rip === undefined ? text.toLowerCase() : `${text.toLowerCase()} 0x${rip}`)) rows.push(batch.firstRecord + row);
    }
    return Uint32Array.from(rows);
  }

  private batchOf(row: number): EventBatch {
    const blocks = this.reader.eventBlocks;
    let low = 0;
    let high = blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (blocks[middle].firstRecord <= row) low = middle;
      else high = middle - 1;
    }
    return this.reader.batch(low);
  }
}

function textOf(batch: EventBatch, i: number): EventText {
  const event: LogEvent = eventAt(batch, i);
  return {
    row: batch.firstRecord + i,
    position: event.position,
    timeNs: event.position + batch.timeOffsetNs[i],
    kind: batch.kind[i],
    text: eventText(event),
    rip: event.kind === 'exit' ? event.rip.toString(16) : undefined,
  };
}

/** `uart -idle 0x3f8`: every word must occur, none of those after a minus may. */
export function textFilter(text: string): (line: string) => boolean {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '' && word !== '-');
  const wanted = words.filter((word) => !word.startsWith('-'));
  const unwanted = words.filter((word) => word.startsWith('-')).map((word) => word.slice(1));
  return (line) => wanted.every((word) => line.includes(word)) && !unwanted.some((word) => line.includes(word));
}
