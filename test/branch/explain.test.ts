/** `diff --explain` on differences that were planted, and on drawn ones. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemorySink } from '../../engine/log/storage.ts';
import type { Recipe, RunImages } from '../../engine/recording/recipe.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { labImage, tinyCases } from '../determinism/cases.ts';
import { assertProperty, core, open } from '../determinism/runs.ts';
import { anExplanationIsWhatAScanFinds, explained } from './explain.ts';
import { changedDraws } from './laws.ts';

const images = { kernel: labImage('lab-kernel') };
const machine = { memoryBytes: 32 << 20, seed: '0000000000000001', wallClockNs: '1700000000000000000', acpi: false, virtio: ['rng'], accessCostNs: 1000 } as const;

function recorded(changes: Partial<Recipe['machine']>, of: RunImages = images, typed = ''): LogReader {
  const recipe: Recipe = {
    guest: 'lab',
    commandLine: 'run="random; echo hello" virtio_mmio.device=4K@0xd0000000:5',
    protocol: 'auto',
    machine: { ...machine, ...changes },
    epochInstructions: 100_000,
    digestInstructions: 100_000,
  };
  const sink = new MemorySink();
  const recorder = new Recorder({ recipe, images: of, module: core(), log: { sink, id: JSON.stringify([changes, typed]), product: 'test' } });
  while (recorder.position < 60_000) recorder.step(60_000 - recorder.position, true);
  if (typed !== '') recorder.input(new TextEncoder().encode(typed));
  while (recorder.position < 200_000 && recorder.step(200_000 - recorder.position, true).kind === 'running');
  recorder.stop('limit', 'long enough');
  return open(sink.toBytes());
}

describe('planted differences', () => {
  const base = recorded({});

  test('none', () => expect(explained(base, recorded({}), images)).toMatchObject({ kind: 'same', divergence: undefined }));

  test('another seed: the bytes that the entropy device writes', () => {
    const found = explained(base, recorded({ seed: '0000000000000002' }), images);
    expect(found).toMatchObject({ kind: 'different', level: 'guest', fields: ['config.seed'], registers: [], cause: { kind: 'event', a: { kind: 'device', report: { device: 'virtio-rng' } } } });
    if (found.kind !== 'different') return;
    expect(found.position).toBe(found.from + 1);
    // The notification of the queue.
    expect(found.a.instruction.mnemonic).toBe('mov');
    expect(found.a.events[0]).toMatchObject({ kind: 'exit', detail: { kind: 'mmio', write: true, address: 0xd0000050 } });
  });

  test('a key: the read of the device that has it', () => {
    const found = explained(base, recorded({}, images, 'x'), images);
    expect(found).toMatchObject({ kind: 'different', level: 'guest', fields: [], cause: { kind: 'input' } });
    if (found.kind !== 'different' || found.cause.kind !== 'input') throw new Error(found.kind);
    expect([found.cause.a, found.cause.b].filter((event) => event?.kind === 'input' && event.input.kind === 'console')).toHaveLength(1);
  });

  test('another kernel: the first code that is not the same', () => {
    const found = explained(base, recorded({}, { kernel: labImage('bug-lost-update') }), images, { kernel: labImage('bug-lost-update') });
    expect(found).toMatchObject({ kind: 'different', level: 'cpu', fields: ['images.kernel'], cause: { kind: 'code' } });
    if (found.kind !== 'different') return;
    expect([...found.a.bytes]).not.toEqual([...found.b.bytes]);
    expect(found.a.bytes.length).toBe(found.a.instruction.length);
  });

  test('what the guest does not look at is told as such', () => {
    expect(explained(base, recorded({ wallClockNs: '1800000000000000000' }), images)).toMatchObject({ kind: 'same', divergence: { position: 0, expected: { kind: 'input' } } });
  });
});

test('drawn changes: the position is that of a scan of every one', () => {
  assertProperty('test/branch/explain.test.ts', fc.property(tinyCases(20_000), changedDraws, anExplanationIsWhatAScanFinds), 12, 4_000);
});
