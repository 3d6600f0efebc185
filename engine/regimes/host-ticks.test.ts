import { describe, expect, it } from 'vitest';
import type { EventBatch } from '../log/event-batch.ts';
import { randomOf } from '../log/testing.ts';
import { HostTicks } from './host-ticks.ts';

describe('HostTicks', () => {
  it('come at the rows at which a look at each row finds them', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = randomOf(seed);
      const count = 1 + random(200);
      const position = new Float64Array(count);
      const timeOffsetNs = new Float64Array(count);
      for (let i = 1; i < count; i++) {
        position[i] = position[i - 1] + random(random(4) === 0 ? 20_000_000 : 300_000);
        timeOffsetNs[i] = timeOffsetNs[i - 1] + random(1000);
      }
      const batch = { count, position, timeOffsetNs } as unknown as EventBatch;
      const hz = [250, 300, 1000, 0][random(4)];
      const expected: [row: number, ticks: number][] = [];
      const period = hz === 0 ? Infinity : 1e9 / hz;
      let next = period;
      for (let i = 0; i < count; i++) {
        const over = position[i] + timeOffsetNs[i] - next;
        if (!(over >= 0)) continue;
        const ticks = Math.floor(over / period) + 1;
        expected.push([i, ticks]);
        next += period * ticks;
      }
      const host = new HostTicks(hz);
      const found: [number, number][] = [];
      for (let row = host.dueRow(batch, 0, count); row < count; row = host.dueRow(batch, row + 1, count)) found.push([row, host.take(position[row] + timeOffsetNs[row])]);
      expect(found).toEqual(expected);
    }
  });

  it('do not count the time in which the guest sleeps, across save and restore', () => {
    const host = new HostTicks(1000);
    host.idleNs = 5_000_000;
    expect(host.take(5_999_999)).toBe(0);
    const other = new HostTicks(1000);
    other.restore(structuredClone(host.save()));
    expect(other.take(6_000_000)).toBe(1);
    expect(other.take(9_500_000)).toBe(3);
  });
});
