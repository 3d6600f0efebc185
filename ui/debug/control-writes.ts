/** Who wrote a control register last: each write is an event, however long ago it was. Runs in the worker. */
import { type EventBatch, eventAt } from '../../engine/log/event-batch.ts';
import { KIND_EXIT } from '../../engine/log/events.ts';
import type { Position } from '../../engine/log/position.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { SHAPE_EXIT_CR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_MSR } from '../../engine/log/shapes.ts';

const IA32_EFER = 0xc0000080;
const PAGE_FAULT = 14;

export interface ControlWrite {
  /** Of the instruction. */
  readonly position: Position;
  readonly rip: bigint;
  readonly value: bigint;
  readonly by: 'mov' | 'wrmsr' | 'fault';
}

export const CONTROL_REGISTERS: readonly string[] = ['cr0', 'cr2', 'cr3', 'cr4', 'efer'];

/** Before `position`; yields the position back to which nothing was, block by block. */
export function* lastControlWrite(reader: LogReader, register: string, position: number): Generator<Position, ControlWrite | undefined, void> {
  for (let block = Math.min(reader.blockIndexAt(position as Position), reader.eventBlocks.length - 1); block >= 0; block--) {
    const { counts, firstPosition } = reader.eventBlocks[block];
    if (counts[KIND_EXIT] > 0) {
      const batch = reader.batch(block);
      for (let row = batch.count - 1; row >= 0; row--) {
        if (batch.position[row] >= position || batch.kind[row] !== KIND_EXIT) continue;
        const write = writeAt(batch, row, register);
        if (write !== undefined) return write;
      }
    }
    yield firstPosition as Position;
  }
  return undefined;
}

function writeAt(batch: EventBatch, row: number, register: string): ControlWrite | undefined {
  const shape = batch.sites.shape[batch.site[row]];
  if (shape !== SHAPE_EXIT_CR && shape !== SHAPE_EXIT_MSR && shape !== SHAPE_EXIT_EXCEPTION) return undefined;
  const event = eventAt(batch, row);
  if (event.kind !== 'exit') return undefined;
  const { detail, position, rip } = event;
  switch (detail.kind) {
    case 'cr':
      return detail.access !== 'mov-from' && `cr${detail.cr}` === register ? { position, rip, value: detail.value, by: 'mov' } : undefined;
    case 'msr':
      return detail.write && detail.index === IA32_EFER && register === 'efer' ? { position, rip, value: detail.value, by: 'wrmsr' } : undefined;
    case 'exception':
      return detail.vector === PAGE_FAULT && register === 'cr2' ? { position, rip, value: detail.address, by: 'fault' } : undefined;
    default:
      return undefined;
  }
}
