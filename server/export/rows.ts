/** Events as rows of a table, for CSV and Parquet. */
import type { LogEvent } from '../../engine/log/events.ts';
import { rowOf } from '../cli/event-text.ts';

export interface TableRow {
  readonly record: number;
  readonly position: number;
  readonly virtualNs: number;
  readonly kind: string;
  readonly name: string;
  /** Intel's basic exit reason, of exits. */
  readonly reason: number | undefined;
  readonly rip: bigint | undefined;
  readonly target: string | undefined;
  readonly size: number | undefined;
  readonly access: string | undefined;
  readonly value: bigint | undefined;
  readonly detail: string | undefined;
}

const text = (field: string): string | undefined => (field === '' ? undefined : field);

export function tableRow(record: number, timeOffsetNs: number, event: LogEvent): TableRow {
  const { name, target, size, access, value, detail } = rowOf(event);
  const isNumber = /^(?:0x[0-9a-f]{1,16}|\d{1,18})$/.test(value) && event.kind !== 'digest' && event.kind !== 'end';
  return {
    record, position: event.position, virtualNs: event.position + timeOffsetNs, kind: event.kind, name,
    reason: event.kind === 'exit' ? event.reason : undefined,
    rip: event.kind === 'exit' ? event.rip : undefined,
    target: text(target), size: size === '' ? undefined : Number(size), access: text(access),
    value: isNumber ? BigInt(value) : undefined,
    detail: text(isNumber || value === '' ? detail : `${value}${detail === '' ? '' : ` ${detail}`}`),
  };
}
