/** What the tests of this folder share: events to batches, and a sink that keeps what it is told. */
import type { EventBatch } from '../log/event-batch.ts';
import type { EventSink } from '../log/event-sink.ts';
import { openLog, writeLog } from '../log/testing.ts';
import { candidate, costsOf, projectionOf } from './catalogue.ts';
import { reasonName } from './reasons.ts';
import { DIRECT_KINDS, HANDLER_CLASSES, type Cycles, type OptionValue, type RegimeSink } from './regime.ts';

export function batchesOf(fill: (sink: EventSink) => void): EventBatch[] {
  const reader = openLog(writeLog(fill));
  return reader.eventBlocks.map((_, i) => reader.batch(i));
}

/** Tells of each exit its reason and handler, of each direct cost its kind. */
export class TellingSink implements RegimeSink {
  readonly told: string[] = [];
  cycles = 0;

  exit(_row: number, reason: number, _qualification: number, handler: number, { low, typical, high }: Cycles): void {
    if (!(low <= typical && typical <= high)) throw new Error(`costs of ${reasonName(reason)} do not ascend: ${low}, ${typical}, ${high}`);
    this.told.push(`${reasonName(reason)} (${HANDLER_CLASSES[handler]})`);
    this.cycles += typical;
  }

  exitTimes(row: number, reason: number, qualification: number, handler: number, cycles: Cycles, count: number): void {
    if (count < 1) throw new Error(`${count} exits`);
    for (let n = 0; n < count; n++) this.exit(row, reason, qualification, handler, cycles);
  }

  direct(_row: number, kind: number, count: number, { low, typical, high }: Cycles): void {
    if (!(low <= typical && typical <= high)) throw new Error(`costs of ${DIRECT_KINDS[kind]} do not ascend: ${low}, ${typical}, ${high}`);
    this.told.push(`${DIRECT_KINDS[kind]} x${count}`);
    this.cycles += typical * count;
  }
}

/** What a regime makes of events, told. */
export function tell(id: string, options: Readonly<Record<string, OptionValue>>, fill: (sink: EventSink) => void): string[] {
  const chosen = candidate(id, { options });
  const projection = projectionOf(chosen, costsOf(chosen));
  const sink = new TellingSink();
  for (const batch of batchesOf(fill)) projection.fold(batch, 0, batch.count, sink);
  return sink.told;
}
