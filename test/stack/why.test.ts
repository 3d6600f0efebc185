/** A byte that was typed, found in a program's buffer and traced back to the input in the log. */
import { beforeAll, describe, expect, test } from 'vitest';
import { conditionOf } from '../../engine/debug/conditions.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { readLinear, readRegister } from '../../engine/debug/inspect.ts';
import { stepOver } from '../../engine/debug/steps.ts';
import { type SymbolTable, parseElfSymbols } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { type WhyLink, why } from '../../engine/debug/why.ts';
import { MemorySink } from '../../engine/log/storage.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { labImage } from '../determinism/cases.ts';
import { core, open } from '../determinism/runs.ts';

/** engine/guests/abi.h */
const SYS_READ = 0n;

let travel: TimeTravel;
let symbols: SymbolTable;

beforeAll(() => {
  const sink = new MemorySink();
  const images = { kernel: labImage('lab-kernel') };
  let console = '';
  const recorder = new Recorder({
    recipe: {
      guest: 'lab', commandLine: '', protocol: 'auto', epochInstructions: 100_000, digestInstructions: 50_000_000,
      machine: { memoryBytes: 64 << 20, seed: '00000000c0ffee00', wallClockNs: '1767225600000000000', acpi: false, virtio: [], accessCostNs: 1000 },
    },
    images, module: core(), outputs: { console: (byte) => (console += String.fromCharCode(byte)) }, log: { sink, id: 'why', product: 'test' },
  }); // prettier-ignore
  let isTyped = false;
  for (let step = 0; step < 200; step++) {
    recorder.step(200_000, true);
    if (!console.endsWith('$ ')) continue;
    if (isTyped) break;
    recorder.input(new TextEncoder().encode('echo xyz\n'));
    isTyped = true;
    recorder.step(200_000, true);
  }
  recorder.stop('user', 'enough');
  expect(console).toContain('xyz');
  travel = new TimeTravel({ reader: open(sink.toBytes()), images, module: core() });
  symbols = parseElfSymbols(images.kernel);
});

describe('why', () => {
  test('a byte in the buffer of the shell came from the console', () => {
    travel.seek(0);
    const entry = symbols.find('syscall_entry').address;
    // The read() that was under way when the line was typed.
    const input = [...travel.reader.events({ kinds: ['input'] })].find((event) => event.kind === 'input' && event.input.kind === 'console');
    travel.seek(input?.position ?? 0);
    const stop = travel.reverseContinue([{ kind: 'breakpoint', address: entry, condition: conditionOf(parseExpression(`rax == ${SYS_READ}`, symbols)) }]);
    expect(stop.kind).toBe('stop-point');
    const buffer = readRegister(travel.machine, 'rsi') ?? 0n;
    travel.reverseStep();
    stepOver(travel);
    const here = travel.position;
    const before = travel.machine.digest().digest;
    expect(new TextDecoder().decode(readLinear(travel.machine, buffer, 9))).toBe('echo xyz\n');
    const chain: WhyLink[] = [...why(travel, { address: buffer + 5n, bytes: 1 })];
    expect([travel.position, travel.machine.digest().digest]).toEqual([here, before]);
    for (const { value } of chain) expect(value).toBe(0x78n);
    for (let i = 1; i < chain.length; i++) expect(chain[i].position).toBeLessThan(chain[i - 1].position);
    const last = chain[chain.length - 1];
    expect([last.kind, last.instruction]).toEqual(['device', 'in     al,dx']);
    expect(last.events.map((event) => event.kind)).toEqual(['exit', 'device', 'input']);
    const [, received, typed] = last.events;
    expect(received).toMatchObject({ report: { kind: 'uart-rx', byte: 0x78 } });
    expect(typed?.position).toBe(input?.position);
  });
});
