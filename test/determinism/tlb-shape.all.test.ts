/** Events, positions and digests do not depend on the shape of the TLB: an interpreter with a tiny one replays what the usual one recorded. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Replayer } from '../../engine/recording/replayer.ts';
import { type Case, labCases, tinyCases } from './cases.ts';
import { assertProperty, identical, open, record } from './runs.ts';

const FILE = 'test/determinism/tlb-shape.all.test.ts';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The interpreter with 16 entries a set instead of 2048, 4 for fetches, and journals that overflow all the time. */
function buildTinyTlb(): WebAssembly.Module {
  const folder = mkdtempSync(join(tmpdir(), 'chronovisor-tlb-'));
  try {
    cpSync(join(ROOT, 'engine/cpu'), join(folder, 'cpu'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const path = join(folder, 'cpu/assembly/memory.ts');
    let source = readFileSync(path, 'utf8');
    for (const [from, to] of [['MASK: u32 = ENTRIES - 1;', 'MASK: u32 = 15;'], ['FETCH_ENTRIES: u32 = 512;', 'FETCH_ENTRIES: u32 = 4;'], ['JOURNAL_MAX: u32 = 16384;', 'JOURNAL_MAX: u32 = 64;']] as const) {
      if (!source.includes(from)) throw new Error(`memory.ts has no "${from}" any more`);
      source = source.replace(from, to);
    }
    writeFileSync(path, source);
    const out = join(folder, 'core.wasm');
    const asc = join(ROOT, 'node_modules/assemblyscript/bin/asc.js');
    execFileSync(process.execPath, [asc, 'cpu/assembly/index.ts', '--config', 'cpu/assembly/asconfig.json', '--target', 'release', '-o', out], { cwd: folder, stdio: 'pipe' });
    return new WebAssembly.Module(readFileSync(out));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

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
