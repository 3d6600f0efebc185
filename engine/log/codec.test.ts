import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK_HEADER_BYTES, RECORDS_MAX } from './block.ts';
import { BlockDecoder } from './block-decoder.ts';
import { equalBytes } from './bytes.ts';
import { LogError } from './errors.ts';
import { eventAt } from './event-batch.ts';
import { payloadBytesMax } from './event-rows.ts';
import { EXIT_REASONS, KIND_DIRTY, KIND_NAMES } from './events.ts';
import type { DirtyEvent, LogEvent } from './events.ts';
import { position } from './position.ts';
import { SITES_MAX } from './predictor.ts';
import { SHAPES } from './shapes.ts';
import { EVENT_GENERATORS, anyEvents, endGenerator, eventsOf, openLog, randomOf, withoutTotals, writeLog } from './testing.ts';

function roundTrip(events: readonly LogEvent[], blockBytes = 65_536, flushEvery = Infinity): LogEvent[] {
  const bytes = writeLog((writer) => {
    events.forEach((event, i) => {
      writer.append(event);
      if (i % flushEvery === flushEvery - 1) writer.flush();
    });
  }, { blockBytes });
  return [...openLog(bytes).events()].map(withoutTotals);
}

function problemOf(work: () => unknown): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('every kind comes back as it was', () => {
  for (const [name, body] of Object.entries(EVENT_GENERATORS)) {
    test(name, () => {
      fc.assert(
        fc.property(eventsOf(body), (events) => {
          expect(roundTrip(events)).toEqual(events);
        }),
        { numRuns: 60 },
      );
    });
  }

  test('end, with its totals', () => {
    fc.assert(
      fc.property(anyEvents, endGenerator, (events, body) => {
        const last = events.at(-1)?.position ?? position(0);
        const end = { ...body, position: last } as LogEvent;
        const read = [...openLog(writeLog((writer) => [...events, end].forEach((event) => writer.append(event)))).entries()];
        const lastRead = read.at(-1)!;
        expect(withoutTotals(lastRead.event)).toEqual(end);
        expect(lastRead.event).toMatchObject({ totals: { records: events.length, virtualNs: last + lastRead.timeOffsetNs } });
      }),
      { numRuns: 50 },
    );
  });

  test('there is a generator for every shape', () => {
    const shapes = new Set<number>();
    const all = [...Object.values(EVENT_GENERATORS), endGenerator];
    const bodies = all.flatMap((body) => fc.sample(body, { numRuns: 40, seed: 1 }));
    const batch = openLog(writeLog((writer) => bodies.slice(0, -39).forEach((event) => writer.append({ ...event, position: position(2 ** 41) } as LogEvent)))).batch(0);
    for (const site of batch.site) shapes.add(batch.sites.shape[site]);
    expect([...shapes].sort((a, b) => a - b)).toEqual(SHAPES);
  });
});

test('any events, any block size, any flushing: the same events come back, whatever the blocks', () => {
  fc.assert(
    fc.property(anyEvents, fc.integer({ min: 2048, max: 65_536 }), fc.integer({ min: 1, max: 50 }), (events, blockBytes, flushEvery) => {
      expect(roundTrip(events, blockBytes, flushEvery)).toEqual(events);
    }),
    { numRuns: 200 },
  );
});

test('equal events give equal bytes', () => {
  fc.assert(
    fc.property(anyEvents, (events) => {
      const write = (): Uint8Array => writeLog((writer) => events.forEach((event) => writer.append(event)), { blockBytes: 2048 });
      expect(write()).toEqual(write());
    }),
    { numRuns: 50 },
  );
});

test('batches and objects agree, and time offsets are the sums of costs and idle times', () => {
  fc.assert(
    fc.property(anyEvents, (events) => {
      const reader = openLog(writeLog((writer) => events.forEach((event) => writer.append(event)), { blockBytes: 2048 }));
      let timeOffsetNs = 0;
      let index = 0;
      for (let block = 0; block < reader.eventBlocks.length; block++) {
        const batch = reader.batch(block);
        for (let i = 0; i < batch.count; i++, index++) {
          const event = events[index];
          expect(batch.firstRecord + i).toBe(index);
          expect(batch.position[i]).toBe(event.position);
          expect(KIND_NAMES[batch.kind[i]]).toBe(event.kind);
          expect(batch.timeOffsetNs[i]).toBe(timeOffsetNs);
          expect(eventAt(batch, i)).toEqual(event);
          if (event.kind === 'idle') timeOffsetNs += event.ns;
          if (event.kind === 'exit' && 'costNs' in event.detail) timeOffsetNs += event.detail.costNs;
        }
        expect(batch.endTimeOffsetNs).toBe(timeOffsetNs);
      }
      expect(index).toBe(events.length);
    }),
    { numRuns: 100 },
  );
});

test('a block that stops early, at any byte, is damaged at a place in it', () => {
  fc.assert(
    fc.property(anyEvents, (events) => {
      const reader = openLog(writeLog((writer) => events.forEach((event) => writer.append(event)), { blockBytes: 2048 }));
      const decoder = new BlockDecoder();
      for (const entry of reader.eventBlocks) {
        const payload = reader.payload(entry);
        const start = entry.offset + BLOCK_HEADER_BYTES;
        for (let length = 0; length < payload.length; length += 1 + (length >> 5)) {
          const problem = problemOf(() => decoder.decode(entry, payload.slice(0, length)));
          expect(problem).toBeInstanceOf(LogError);
          expect((problem as LogError).offset).toBeGreaterThanOrEqual(start);
          expect((problem as LogError).offset).toBeLessThanOrEqual(start + length);
        }
        // The tables of a decoder that stopped in the middle are those of a new one.
        expect(decoder.decode(entry, payload)).toEqual(new BlockDecoder().decode(entry, payload));
      }
    }),
    { numRuns: 30 },
  );
});

test('numbers of every length, at the end of a block and before it', () => {
  const values = Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit)).flatMap((power) => [power - 1n, power]);
  for (const value of [...values, 2n ** 64n - 1n]) {
    const detail = { kind: 'msr', index: 0x10, write: true, value } as const;
    const exits = [0n, value, value / 2n, value].map((each, i): LogEvent => ({ kind: 'exit', position: position(Number(BigInt.asUintN(48, value)) * i), reason: EXIT_REASONS.wrmsr, rip: 0n, detail: { ...detail, value: each } }));
    for (const count of [2, 3, 4]) expect(roundTrip(exits.slice(0, count))).toEqual(exits.slice(0, count));
  }
});

describe('bounds', () => {
  test('an input longer than a block is split, and nothing of it is lost', () => {
    const random = randomOf(3);
    const input = Uint8Array.from({ length: 200_000 }, () => random(256));
    for (const blockBytes of [2048, 65_536]) {
      const reader = openLog(writeLog((writer) => writer.inputNet(position(9), 'net0', input), { blockBytes }));
      for (const entry of reader.blocks) expect(entry.payloadBytes + 80).toBeLessThanOrEqual(blockBytes);
      const parts: number[] = [];
      const more: boolean[] = [];
      for (const event of reader.events()) {
        if (event.kind !== 'input' || event.input.kind !== 'net') throw new Error('not a frame');
        expect(event.input.bytes.length).toBeLessThanOrEqual(payloadBytesMax(blockBytes));
        for (const byte of event.input.bytes) parts.push(byte);
        more.push(event.input.more);
      }
      expect(equalBytes(Uint8Array.from(parts), input)).toBe(true);
      expect(more).toEqual(more.map((_, i) => i < more.length - 1));
    }
  });

  test('a dirty set of every other page of 2 GiB is split', () => {
    const pages = Uint32Array.from({ length: 262_144 }, (_, i) => i * 2);
    const reader = openLog(writeLog((writer) => writer.dirty(position(9), 7, pages), { blockBytes: 16_384 }));
    for (const entry of reader.blocks) expect(entry.payloadBytes + 80).toBeLessThanOrEqual(16_384);
    const parts = [...reader.events()].filter((event): event is DirtyEvent => event.kind === 'dirty');
    expect(parts.length).toBeGreaterThan(50);
    expect(parts.map((part) => part.more)).toEqual(parts.map((_, i) => i < parts.length - 1));
    const joined = parts.flatMap((part) => [...part.pages]);
    expect(joined.length).toBe(pages.length);
    expect(joined.every((page, i) => page === pages[i])).toBe(true);
    expect(reader.counts.dirty).toBe(parts.length);
    expect(reader.batch(0).kind[0]).toBe(KIND_DIRTY);
  });

  test('all of 2 GiB dirty is one short record', () => {
    const pages = Uint32Array.from({ length: 524_288 }, (_, i) => i);
    const reader = openLog(writeLog((writer) => writer.dirty(position(9), 7, pages)));
    expect(reader.blocks[0].payloadBytes).toBeLessThan(20);
    const [event, ...others] = reader.events();
    expect(others).toEqual([]);
    expect(event).toMatchObject({ kind: 'dirty', position: 9, epoch: 7, more: false });
    expect((event as DirtyEvent).pages.every((page, i) => page === i)).toBe(true);
    expect((event as DirtyEvent).pages.length).toBe(pages.length);
  });

  test('a run of foreseen records ends a block before the 65,536th', () => {
    const total = RECORDS_MAX + 1000;
    const reader = openLog(writeLog((writer) => {
      for (let i = 0; i < total; i++) writer.exit(position(i * 3), 0x100, 0, EXIT_REASONS.pause, 0, 0);
    }));
    expect(reader.eventBlocks.map((entry) => entry.counts[2])).toEqual([RECORDS_MAX, 1000]);
    expect(reader.eventBlocks[0].payloadBytes).toBeLessThan(24);
    expect([...reader.batch(1).position].at(-1)).toBe((total - 1) * 3);
  });

  test('more sites than a block may have', () => {
    const total = SITES_MAX * 2 + 5;
    const reader = openLog(writeLog((writer) => {
      // One site each, of few bytes: the bound on sites comes before the bound on bytes.
      for (let i = 0; i < total; i++) writer.interrupt(position(0), 0, 0, i, -1);
    }));
    for (let i = 0; i < reader.eventBlocks.length; i++) expect(reader.batch(i).sites.count).toBeLessThanOrEqual(SITES_MAX);
    expect(reader.records).toBe(total);
    expect([...reader.events()].every((event, i) => event.kind === 'interrupt' && event.vector === i)).toBe(true);
  });

  test('long and malformed names are cut between characters and made well-formed', () => {
    const long = 'é'.repeat(200);
    const events = [...openLog(writeLog((writer) => {
      writer.mark(position(1), long, 'guest');
      writer.mark(position(2), `${long}other end`, 'guest');
      writer.mark(position(3), 'a\ud800b', 'tool');
      writer.end(position(4), 'error', '€'.repeat(100));
    })).events()];
    expect(events.slice(0, 3)).toEqual([
      { kind: 'mark', position: 1, name: 'é'.repeat(127), source: 'guest' },
      { kind: 'mark', position: 2, name: 'é'.repeat(127), source: 'guest' },
      { kind: 'mark', position: 3, name: 'a\ufffdb', source: 'tool' },
    ]);
    expect(events[3]).toMatchObject({ detail: '€'.repeat(85) });
  });

  test('the largest positions and times', () => {
    const max = Number.MAX_SAFE_INTEGER;
    const events: LogEvent[] = [
      { kind: 'device', position: position(0), report: { kind: 'timer-arm', timer: 't', atNs: max } },
      { kind: 'mark', position: position(max), name: 'last', source: 'user' },
      { kind: 'device', position: position(max), report: { kind: 'timer-arm', timer: 't', atNs: 0 } },
    ];
    expect(roundTrip(events)).toEqual(events);
  });
});

describe('a bug of the caller stops it', () => {
  const cases: Readonly<Record<string, (writer: Parameters<Parameters<typeof writeLog>[0]>[0]) => void>> = {
    'positions that go back': (writer) => {
      writer.idle(position(5), 0);
      writer.idle(position(4), 0);
    },
    'events after the end': (writer) => {
      writer.end(position(5), 'shutdown', '');
      writer.idle(position(5), 1);
    },
    'a reason that has a method of its own': (writer) => writer.exit(position(5), 0, 0, EXIT_REASONS.io, 0, 0),
    'a byte that is none': (writer) => writer.device(position(5), { kind: 'uart-tx', port: 1, byte: 256 }),
    'a field that is negative': (writer) => writer.exitIo(position(5), 0, 0, -1, 1, 0, 0, 0),
    'a time that is not an integer': (writer) => writer.idle(position(5), 0.5),
    'dirty pages out of order': (writer) => writer.dirty(position(5), 0, Uint32Array.of(4, 3)),
    'a digest that is none': (writer) => writer.digest(position(5), 'abc'),
    'an image that the header does not name': (writer) => writer.image(new Uint8Array(3)),
  };
  for (const [name, fill] of Object.entries(cases)) test(name, () => expect(() => writeLog(fill)).toThrow());
});
