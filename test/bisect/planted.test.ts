/** Each planted bug is found by one question, asked of what the panic shows; the answer names the function that did it, and the instruction. */
import { beforeAll, describe, expect, test } from 'vitest';
import { bisect, findPanic } from '../../engine/debug/bisect.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { physicalRanges, readLinear, readRegister } from '../../engine/debug/inspect.ts';
import { type Write, writesBackward } from '../../engine/debug/queries.ts';
import { callChain } from '../stack/frame-pointers.ts';
import { type SymbolTable, parseElfSymbols } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { MemorySink } from '../../engine/log/storage.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { labImage } from '../determinism/cases.ts';
import { core, open } from '../determinism/runs.ts';

interface Bug {
  readonly travel: TimeTravel;
  readonly symbols: SymbolTable;
  readonly console: string;
}

/** Runs a lab kernel until it panics. */
function bug(name: string): Bug {
  const sink = new MemorySink();
  const images = { kernel: labImage(name) };
  let console = '';
  const recorder = new Recorder({
    recipe: {
      guest: name, commandLine: 'run="work mixed; poweroff"', protocol: 'auto', epochInstructions: 1_000_000, digestInstructions: 50_000_000,
      machine: { memoryBytes: 64 << 20, seed: '00000000c0ffee00', wallClockNs: '1767225600000000000', acpi: false, virtio: [], accessCostNs: 1000 },
    },
    images,
    module: core(),
    outputs: { console: (byte) => (console += String.fromCharCode(byte)) },
    log: { sink, id: name, product: 'test' },
  }); // prettier-ignore
  for (;;) {
    const status = recorder.step(5_000_000, true);
    if (status.kind === 'ended') break;
    if (status.kind === 'idle') throw new Error(`${name} waits for input`);
  }
  return { travel: new TimeTravel({ reader: open(sink.toBytes()), images, module: core() }), symbols: parseElfSymbols(images.kernel), console };
}

/** The bytes of the instruction at an address, as the image has them. */
function codeOf({ travel }: Bug, address: bigint, length: number): string {
  return Buffer.from(readLinear(travel.machine, address, length)).toString('hex');
}

function number(bytes: Uint8Array): bigint {
  return Buffer.from(bytes).readBigUInt64LE();
}

function expectPanicIn({ travel, symbols }: Bug, name: string): void {
  const panic = findPanic(travel, symbols);
  expect(panic?.how).toBe('panic() was called');
  const [at, caller] = callChain(travel, symbols);
  expect([symbols.tell(at), symbols.at(caller - 1n)?.name]).toEqual(['panic', name]);
}

describe('bug-lost-update', () => {
  let found: Bug;
  beforeAll(() => (found = bug('bug-lost-update')));

  test('the panic is that of the check', () => {
    expect(found.console).toContain('PANIC: list corrupted: accounting has');
    expectPanicIn(found, 'accounting_check');
  });

  test('bisect: the lists have not 64 records, and never again', () => {
    const { travel, symbols } = found;
    const records = parseExpression('length(u64(accounting.c:free_list)) + length(u64(accounting.c:pending_list)) != 64', symbols);
    travel.seek(Number.MAX_SAFE_INTEGER);
    const answer = bisect(travel, records, { from: 0, to: travel.last, stays: true });
    if (answer.kind !== 'found') throw new Error(answer.kind);
    travel.seek(answer.position - 1);
    const rip = readRegister(travel.machine, 'rip') ?? 0n;
    expect(symbols.at(rip)?.name).toBe('accounting_call');
    // free_list = record->next: mov %rsi,free_list(%rip).
    expect(codeOf(found, rip, 2)).toMatch(/^48 ?89/);
    const { address } = symbols.find('accounting.c:free_list');
    const [store] = writesBackward(travel, physicalRanges(travel.machine, address, 8), answer.position);
    expect([store.position, store.rip]).toEqual([answer.position - 1, rip]);
    // What it takes off the list is not what is on it: the handler has put others before.
    expect(readLinear(travel.machine, number(store.before), 8)).not.toEqual(store.after);
    const interrupted = [...travel.reader.events({ kinds: ['interrupt'] })].findLast((event) => event.position < answer.position);
    expect(answer.position - (interrupted?.position ?? 0)).toBeLessThan(1000);
  }, 240_000);
});

describe('bug-stray-write', () => {
  let found: Bug;
  beforeAll(() => (found = bug('bug-stray-write')));

  test('the panic is that of the count', () => {
    expect(found.console).toMatch(/PANIC: pages of process 2: (\d+) were counted/);
    expectPanicIn(found, 'space_delete');
  });

  test('last-write: one writer of the count has no business there', () => {
    const { travel, symbols } = found;
    // rbx of the panic is the struct space, and its first word the count.
    const space = BigInt(`0x${/rbx ([0-9a-f]{16})/.exec(found.console)?.[1]}`);
    travel.seek(Number.MAX_SAFE_INTEGER);
    const writers = new Map<string | undefined, Write[]>();
    for (const write of writesBackward(travel, physicalRanges(travel.machine, space, 8), travel.last + 1)) {
      const name = symbols.at(write.rip)?.name;
      writers.set(name, [...(writers.get(name) ?? []), write]);
    }
    const strangers = [...writers.keys()].filter((name) => !/^(space_|unmap|memset|object_)/.test(name ?? ''));
    expect(strangers).toEqual(['tty_write']);
    expect(writers.get('tty_write')).toHaveLength(1);
    const [stray] = writers.get('tty_write') ?? [];
    expect(number(stray.after)).toBe(number(stray.before) + 1n);
    expect(stray.by).toBe('instruction');
    expect((writers.get('space_fault') ?? []).length).toBeGreaterThan(100);
  });
});

describe('bug-use-after-free', () => {
  let found: Bug;
  beforeAll(() => (found = bug('bug-use-after-free')));

  test('the panic is that of the magic', () => {
    expect(found.console).toMatch(/PANIC: region [0-9a-f]+ is no region/);
    expectPanicIn(found, 'space_remove');
  });

  test('last-write: the timer counts down in the magic', () => {
    const { travel, symbols } = found;
    const [, region, magic] = /region ([0-9a-f]+) is no region: magic ([0-9a-f]+)/.exec(found.console) ?? [];
    travel.seek(Number.MAX_SAFE_INTEGER);
    const [write] = writesBackward(travel, physicalRanges(travel.machine, BigInt(`0x${region}`) + 8n, 8), travel.last + 1);
    expect(symbols.at(write.rip)?.name).toBe('timers_tick');
    expect(number(write.after)).toBe(BigInt(`0x${magic}`));
    expect(number(write.before)).toBe(BigInt(`0x${magic}`) + 1n);
  });
});
