import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogEvent } from './events.ts';
import { position } from './position.ts';
import { QUICK_BOOT, anyEvents, openLog, syntheticBoot, withoutTotals, writeLog, movedTo } from './testing.ts';
import { VerifyingSink, compareLogs, describeDivergence } from './verify.ts';

const write = (events: readonly LogEvent[], flushEvery = Infinity, blockBytes = 65_536): Uint8Array =>
  writeLog((writer) => {
    events.forEach((event, i) => {
      writer.append(event);
      if (i % flushEvery === flushEvery - 1) writer.flush();
    });
  }, { blockBytes });

test('a replay that makes the same events does not diverge, wherever the recording flushed', () => {
  fc.assert(
    fc.property(anyEvents, fc.integer({ min: 1, max: 30 }), (events, flushEvery) => {
      const reader = openLog(write(events, flushEvery, 2048));
      const sink = new VerifyingSink(reader);
      for (const event of events) {
        expect(sink.expected).toEqual(event);
        sink.append(event);
      }
      expect(sink.expected).toBeUndefined();
      expect(sink.finish()).toBeUndefined();
      expect(sink.records).toBe(events.length);
      expect(compareLogs(reader, openLog(write(events, flushEvery + 3, 2048)))).toBeUndefined();
    }),
    { numRuns: 100 },
  );
});

test('the first event that differs is reported, whatever it is', () => {
  fc.assert(
    fc.property(anyEvents, anyEvents, fc.nat(), (recorded, other, at) => {
      fc.pre(recorded.length > 0 && other.length > 0);
      const index = at % recorded.length;
      const { position: here } = recorded[index];
      // At the same position and with the same time offset, so that only the contents differ.
      const strange = movedTo(other[at % other.length], here);
      fc.pre(describeText(strange) !== describeText(recorded[index]));
      const sink = new VerifyingSink(openLog(write(recorded, 7)));
      for (const event of [...recorded.slice(0, index), strange, ...recorded.slice(index + 1)]) sink.append(event);
      expect(sink.divergence).toEqual({ index, position: here, expected: recorded[index], actual: strange });
      expect(sink.finish()).toBe(sink.divergence);
    }),
    { numRuns: 200 },
  );
});

function describeText(event: LogEvent): string {
  return JSON.stringify(event, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
}

describe('kinds of divergence', () => {
  const idle = (at: number, ns: number): LogEvent => ({ kind: 'idle', position: position(at), ns });
  const recorded = [idle(10, 1), idle(20, 2), idle(30, 3)];
  const replay = (events: readonly LogEvent[]): VerifyingSink => {
    const sink = new VerifyingSink(openLog(write(recorded)));
    events.forEach((event) => sink.append(event));
    return sink;
  };

  test('another position', () => {
    expect(replay([idle(10, 1), idle(19, 2)]).divergence).toEqual({ index: 1, position: 19, expected: idle(20, 2), actual: idle(19, 2) });
    expect(replay([idle(10, 1), idle(21, 2)]).divergence).toEqual({ index: 1, position: 20, expected: idle(20, 2), actual: idle(21, 2) });
  });

  test('an event too many', () => {
    expect(replay([...recorded, idle(40, 4)]).divergence).toEqual({ index: 3, position: 40, expected: undefined, actual: idle(40, 4) });
  });

  test('an event too few', () => {
    const sink = replay(recorded.slice(0, 2));
    expect(sink.divergence).toBeUndefined();
    expect(sink.finish(position(30))).toBeUndefined();
    expect(sink.finish()).toEqual({ index: 2, position: 30, expected: idle(30, 3), actual: undefined });
  });

  test('a name that the recording does not have', () => {
    const mark = (name: string): LogEvent => ({ kind: 'mark', position: position(1), name, source: 'guest' });
    const sink = new VerifyingSink(openLog(write([mark('boot')])));
    sink.append(mark('bloat'));
    expect(sink.divergence).toEqual({ index: 0, position: 1, expected: mark('boot'), actual: mark('bloat') });
    expect(describeDivergence(sink.divergence!)).toEqual([
      'divergence at @1, event 0', 'expected: @1 mark {"name":"boot","source":"guest"}', 'actual:   @1 mark {"name":"bloat","source":"guest"}',
    ]);
  });
});

test('a replay from the middle goes on with the right record and time', () => {
  const reader = openLog(writeLog((writer) => syntheticBoot(writer, QUICK_BOOT), { blockBytes: 4096 }));
  const entries = [...reader.entries()];
  for (const fromRecord of [0, 1, 1000, 5000, entries.length - 1]) {
    const sink = new VerifyingSink(reader, { fromRecord });
    expect([sink.records, sink.timeOffsetNs]).toEqual([fromRecord, entries[fromRecord].timeOffsetNs]);
    for (const { event } of entries.slice(fromRecord)) sink.append(withoutTotals(event));
    expect(sink.finish()).toBeUndefined();
  }
});

test('two boots with another seed differ', () => {
  const reader = (seed: number): ReturnType<typeof openLog> => openLog(writeLog((writer) => syntheticBoot(writer, QUICK_BOOT, seed)));
  expect(compareLogs(reader(1), reader(1))).toBeUndefined();
  expect(compareLogs(reader(1), reader(2))).toMatchObject({ index: expect.any(Number), expected: expect.any(Object), actual: expect.any(Object) });
});
