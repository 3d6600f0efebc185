/** What a debugger should see, found without the door: by a scan forward, and by looking at every position of a window. */
import { physicalRanges, readLinear, readRegister } from '../../engine/debug/inspect.ts';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';

/** All positions after `from` at which one is met, in order. */
export function forwardScan(travel: TimeTravel, stop: StopPoint, from = 0): readonly number[] {
  const positions: number[] = [];
  travel.seek(from);
  while (travel.continue([stop]).kind !== 'history') positions.push(travel.position);
  return positions;
}

export function breakpoint(address: bigint): StopPoint {
  return { kind: 'breakpoint', address };
}

/** On what is mapped at `address` at the end of the recording. */
export function watchpoint(travel: TimeTravel, address: bigint, length: number, access: 'write' | 'read' | 'access', changed = false): StopPoint {
  travel.seek(Number.MAX_SAFE_INTEGER);
  return { kind: 'watchpoint', ranges: physicalRanges(travel.machine, address, length), access, changed };
}

export function ripAt(travel: TimeTravel, position: number): bigint {
  travel.seek(position);
  return readRegister(travel.machine, 'rip') ?? -1n;
}

export function wordAt(travel: TimeTravel, position: number, address: bigint, length = 8): bigint {
  travel.seek(position);
  return BigInt(`0x${Buffer.from(readLinear(travel.machine, address, length)).reverse().toString('hex')}`);
}

/** Positions of the window, both ends included, whose bytes are not those of the position before. */
export function changesIn(travel: TimeTravel, from: number, to: number, address: bigint, length: number): readonly number[] {
  const changes: number[] = [];
  let before: bigint | undefined;
  for (let position = from; position <= to; position++) {
    const now = wordAt(travel, position, address, length);
    if (before !== undefined && now !== before) changes.push(position);
    before = now;
  }
  return changes;
}
