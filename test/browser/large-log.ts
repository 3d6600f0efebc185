/**
 * A valid log of any number of events: the blocks of a recording again and again, each at the positions, times and record numbers that come next. What a block says of its
 * records is relative to its header, so only headers are made. It reads as any log; it cannot be replayed beyond the first repetition.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { EXIT_REASONS } from '../../engine/log/events.ts';
import { encodeHeader } from '../../engine/log/header.ts';
import type { Position } from '../../engine/log/position.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { type ByteSink, MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { LogAppender, LogWriter, createLog } from '../../engine/log/writer.ts';

class FileSink implements ByteSink {
  private readonly fd: number;
  private waiting: Uint8Array[] = [];
  private bytes = 0;
  constructor(path: string) {
    this.fd = openSync(path, 'w');
  }
  append(bytes: Uint8Array): void {
    this.waiting.push(bytes.slice());
    this.bytes += bytes.length;
    if (this.bytes > 4 << 20) this.sync();
  }
  sync(): void {
    writeSync(this.fd, Buffer.concat(this.waiting));
    this.waiting = [];
    this.bytes = 0;
  }
  close(): void {
    this.sync();
    closeSync(this.fd);
  }
}

/** Returns the number of records. */
export function writeLargeLog(path: string, recording: Uint8Array, recordsMin: number): number {
  const source = LogReader.open(new MemorySource(recording));
  const header = { ...source.header, id: `large ${recordsMin}`, blockBytes: 65_536 };
  const memory = new MemorySink();
  const once = createLog(memory, header);
  for (const event of source.events()) if (event.kind !== 'end') once.append(event);
  // The repetition ends with an event between whose position and the next one is room.
  once.exit((source.lastPosition + 1) as Position, 0, 0, EXIT_REASONS.pause, 0, 0);
  once.close();
  const cycle = LogReader.open(new MemorySource(memory.toBytes()));
  const span = cycle.lastPosition + 1;
  const timeNs = cycle.batch(cycle.eventBlocks.length - 1).endTimeOffsetNs;
  const payloads = cycle.eventBlocks.map((entry) => cycle.payload(entry));

  const sink = new FileSink(path);
  const appender = new LogAppender(sink);
  appender.raw(encodeHeader(header));
  let records = 0;
  let n = 0;
  for (; records < recordsMin; n++) {
    cycle.eventBlocks.forEach(({ type, flags, firstPosition, lastPosition, timeOffsetNs, firstRecord, counts }, i) => {
      appender.block(
        { type, flags, firstPosition: firstPosition + n * span, lastPosition: lastPosition + n * span, timeOffsetNs: timeOffsetNs + n * timeNs, firstRecord: firstRecord + n * cycle.records, counts },
        payloads[i],
      );
    });
    records += cycle.records;
  }
  const writer = new LogWriter(appender, header, { records, timeOffsetNs: n * timeNs, position: (n * span - 1) as Position });
  writer.end((n * span) as Position, 'limit', 'as many events as were asked for');
  writer.close();
  sink.close();
  return records + 1;
}
