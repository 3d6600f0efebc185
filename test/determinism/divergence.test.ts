/** A log that is not of this run: the replay says so, at the first event that differs, with both events. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogEvent } from '../../engine/log/events.ts';
import type { LogHeader } from '../../engine/log/header.ts';
import { MemorySink } from '../../engine/log/storage.ts';
import { type Divergence, describeDivergence } from '../../engine/log/verify.ts';
import { createLog } from '../../engine/log/writer.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { type Case, labCases, labImage } from './cases.ts';
import { type Recording, assertProperty, open, record, replay } from './runs.ts';

const FILE = 'test/determinism/divergence.test.ts';

/** The same log with other events and another header, encoded anew: every check of the file is content with it. */
function rewrite(bytes: Uint8Array, change: (event: LogEvent, index: number) => LogEvent, header: (header: LogHeader) => LogHeader = (same) => same): Uint8Array {
  const reader = open(bytes);
  const sink = new MemorySink();
  const writer = createLog(sink, header(reader.header));
  let index = 0;
  for (const event of reader.events()) writer.append(change(event, index++));
  writer.close();
  return sink.toBytes();
}

const same = (event: LogEvent): LogEvent => event;

function shell(commandLine: string, typed: string, extra: Partial<Case['recipe']['machine']> = {}): Case {
  return {
    story: typed,
    recipe: {
      guest: 'lab-kernel',
      commandLine,
      protocol: 'auto',
      machine: { memoryBytes: 16 << 20, seed: '0000000000000001', wallClockNs: '1700000000000000000', acpi: false, virtio: [], accessCostNs: 1000, ...extra },
      epochInstructions: 20_000,
      digestInstructions: 30_000,
    },
    images: { kernel: labImage('lab-kernel') },
    blockBytes: 65_536,
    diskBytes: 0,
    drive: { slices: [100_000], inputs: [...typed].map((text) => ({ after: 4000, text, idle: undefined })), flushEvery: 0, markEvery: 0, instructionsMax: 5_000_000 },
  };
}

function diverges(bytes: Uint8Array, images: RunImages): Divergence {
  const status = replay(bytes, images);
  if (status.kind !== 'diverged') throw new Error(`the replay was ${status.kind}, at @${status.position}`);
  return status.divergence;
}

const typedAtShell = shell('', 'echo hello\npoweroff\n');
const recorded: Recording = record(typedAtShell);

test('the recording that the others are made of replays, as it is and encoded anew', () => {
  expect(recorded.console).toContain('hello');
  expect(replay(recorded.bytes, typedAtShell.images)).toMatchObject({ kind: 'identical', complete: true, digest: recorded.end.digest });
  expect(replay(rewrite(recorded.bytes, same), typedAtShell.images)).toMatchObject({ kind: 'identical', complete: true, digest: recorded.end.digest });
});

test('one byte of the input is another', () => {
  const events = [...open(recorded.bytes).events()];
  const inputs = events.flatMap((event, index) => (event.kind === 'input' && event.input.kind === 'console' ? [{ event, index }] : []));
  expect(inputs.length).toBeGreaterThan(10);
  for (const { event, index } of inputs.filter((_, i) => i % 4 === 0)) {
    if (event.input.kind !== 'console') continue;
    const { input } = event;
    const changed = rewrite(recorded.bytes, (each, i) => (i === index ? { ...event, input: { ...input, bytes: input.bytes.map((byte) => byte ^ 1) } } : each));
    const divergence = diverges(changed, typedAtShell.images);
    // The very next event is the byte that the UART took.
    expect(divergence.index).toBe(index + 1);
    expect(divergence.position).toBe(event.position);
    expect(divergence.expected).toEqual({ kind: 'device', position: event.position, report: { kind: 'uart-rx', port: 0x3f8, byte: input.bytes[0] } });
    expect(divergence.actual).toEqual({ kind: 'device', position: event.position, report: { kind: 'uart-rx', port: 0x3f8, byte: input.bytes[0] ^ 1 } });
    expect(describeDivergence(divergence)).toEqual([
      `divergence at @${event.position}, event ${index + 1}`,
      `expected: @${event.position} device {"report":{"kind":"uart-rx","port":1016,"byte":${input.bytes[0]}}}`,
      `actual:   @${event.position} device {"report":{"kind":"uart-rx","port":1016,"byte":${input.bytes[0] ^ 1}}}`,
    ]);
  }
});

test('an input is missing', () => {
  const events = [...open(recorded.bytes).events()];
  const index = events.findIndex((event) => event.kind === 'input' && event.input.kind === 'console');
  const sink = new MemorySink();
  const writer = createLog(sink, open(recorded.bytes).header);
  events.forEach((event, i) => {
    if (i !== index) writer.append(event);
  });
  writer.close();
  // Nothing fills the UART: the byte that it took when this was recorded does not come.
  const divergence = diverges(sink.toBytes(), typedAtShell.images);
  expect(divergence).toMatchObject({ index, position: events[index].position, expected: { kind: 'device', report: { kind: 'uart-rx' } } });
  expect(divergence.actual).toBeDefined();
});

test('an event is missing, or one too many', () => {
  const events = [...open(recorded.bytes).events()];
  const index = events.findIndex((event) => event.kind === 'exit' && event.position > 50_000);
  const sink = new MemorySink();
  const writer = createLog(sink, open(recorded.bytes).header);
  events.forEach((event, i) => {
    if (i !== index) writer.append(event);
  });
  writer.close();
  expect(diverges(sink.toBytes(), typedAtShell.images)).toMatchObject({ index, position: events[index].position, actual: events[index], expected: events[index + 1] });
  // The end, which has the totals of the log, is compared like any other.
  const twice = new MemorySink();
  const again = createLog(twice, open(recorded.bytes).header);
  events.forEach((event, i) => {
    again.append(event);
    if (i === index) again.append(event);
  });
  again.close();
  expect(diverges(twice.toBytes(), typedAtShell.images)).toMatchObject({ index: index + 1, position: events[index].position, expected: events[index], actual: events[index + 1] });
});

test('a digest is another', () => {
  const events = [...open(recorded.bytes).events()];
  const index = events.findIndex((event) => event.kind === 'digest');
  const wrong = '0'.repeat(32);
  const divergence = diverges(rewrite(recorded.bytes, (each, i) => (i === index && each.kind === 'digest' ? { ...each, digest: wrong } : each)), typedAtShell.images);
  expect(divergence).toMatchObject({ index, position: events[index].position, expected: { kind: 'digest', digest: wrong }, actual: events[index] });
});

test('another image, another machine', () => {
  for (const image of ['bug-lost-update', 'bug-stray-write', 'bug-use-after-free']) {
    const divergence = diverges(recorded.bytes, { kernel: labImage(image) });
    expect(divergence.expected, image).toBeDefined();
    expect(divergence.actual, image).toBeDefined();
    expect(divergence.actual).not.toEqual(divergence.expected);
  }
  const changes: readonly ((header: LogHeader) => LogHeader)[] = [
    (header) => ({ ...header, config: { ...header.config, memoryBytes: 32 << 20 } }),
    (header) => ({ ...header, config: { ...header.config, commandLine: 'run="ps"' } }),
    (header) => ({ ...header, config: { ...header.config, options: { ...header.config.options, accessCostNs: 999 } } }),
    (header) => ({ ...header, config: { ...header.config, options: { ...header.config.options, acpi: true } } }),
    (header) => ({ ...header, config: { ...header.config, epochInstructions: 19_999 } }),
    (header) => ({ ...header, config: { ...header.config, digestInstructions: 0 } }),
    (header) => ({ ...header, wallClockNs: '1700000000000000001' }),
  ];
  for (const change of changes) {
    const divergence = diverges(rewrite(recorded.bytes, same, change), typedAtShell.images);
    expect(divergence.expected).toBeDefined();
    expect(divergence.actual).toBeDefined();
    expect(divergence.actual).not.toEqual(divergence.expected);
  }
});

test('another seed, for a guest that asks for random numbers', () => {
  const window = 'virtio_mmio.device=4096@0xd0000000:5';
  const asks = shell(`run="random; poweroff" ${window}`, '', { virtio: ['rng'] });
  const first = record(asks);
  expect(first.console).toMatch(/random: [0-9a-f ]+/);
  const divergence = diverges(rewrite(first.bytes, same, (header) => ({ ...header, config: { ...header.config, seed: '0000000000000002' } })), asks.images);
  expect(divergence.expected).toBeDefined();
  expect(divergence.actual).toBeDefined();
  expect(describeDivergence(divergence)[0]).toBe(`divergence at @${divergence.position}, event ${divergence.index}`);
});

test('drawn guests, one drawn byte of their input changed', () => {
  assertProperty(
    FILE,
    fc.property(labCases(300_000), fc.noBias(fc.nat()), fc.integer({ min: 1, max: 255 }), (one, which, mask) => {
      const first = record({ ...one, drive: { ...one.drive, flushEvery: 0 } });
      const indexes = [...open(first.bytes).entries({ kinds: ['input'] })].filter(({ event }) => event.kind === 'input' && event.input.kind === 'console').map(({ index }) => index);
      fc.pre(indexes.length > 0);
      const index = indexes[which % indexes.length];
      const changed = rewrite(first.bytes, (event, i) => {
        if (i !== index || event.kind !== 'input' || event.input.kind !== 'console') return event;
        const bytes = event.input.bytes.slice();
        bytes[which % bytes.length] ^= mask;
        return { ...event, input: { ...event.input, bytes } };
      });
      const divergence = diverges(changed, one.images);
      expect(divergence.index).toBeGreaterThan(index);
      expect(divergence.expected).toBeDefined();
      expect(divergence.actual).toBeDefined();
    }),
    8,
    6_000,
  );
});
