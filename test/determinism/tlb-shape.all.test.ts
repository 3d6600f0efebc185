/** Events, positions and digests do not depend on the shape of the TLB: an interpreter with a tiny one replays what the usual one recorded. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Replayer } from '../../engine/recording/replayer.ts';
import { type Case, labCases, tinyCases } from './cases.ts';
import { buildCore } from './core-variant.ts';
import { assertProperty, identical, open, record } from './runs.ts';

const FILE = 'test/determinism/tlb-shape.all.test.ts';

/** The interpreter with 16 entries a set instead of 2048, 4 for fetches, and journals that overflow all the time. */
const buildTinyTlb = (): WebAssembly.Module => buildCore([[': ENTRIES - 1;', ': 15;'], [': 512;', ': 4;'], ['JOURNAL_MAX: u32 = 16384;', 'JOURNAL_MAX: u32 = 64;']]);

let tiny: WebAssembly.Module | undefined;
let tableWrites = 0;

function replaysOnTheTinyTlb(one: Case): void {
  tiny ??= buildTinyTlb();
  const { bytes, end } = record(one);
  for (const event of open(bytes).events({ kinds: ['exit'] })) if (event.kind === 'exit' && event.detail.kind === 'page-table') tableWrites++;
  const status = identical(new Replayer({ reader: open(bytes), images: one.images, module: tiny }).run(), 'replay with a tiny TLB');
  expect(status.digest).toBe(end.digest);
}

test('tiny guests', () => {
  assertProperty(FILE, fc.property(tinyCases(60_000), replaysOnTheTinyTlb), 150, 60_000);
  expect(tableWrites).toBeGreaterThan(0);
}, 120_000);

test('the lab kernel and its bugs', () => {
  tableWrites = 0;
  assertProperty(FILE, fc.property(labCases(1_000_000), replaysOnTheTinyTlb), 30, 60_000);
  expect(tableWrites).toBeGreaterThan(0);
}, 120_000);
