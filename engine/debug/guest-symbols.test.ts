import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { core, open } from '../../test/determinism/runs.ts';
import { MemorySink } from '../log/storage.ts';
import { Recorder } from '../recording/recorder.ts';
import { guestSymbols } from './guest-symbols.ts';
import { currentTask, findKernel } from './linux.ts';
import { SymbolError, parseSymbols } from './symbols.ts';
import { TimeTravel } from './time-travel.ts';

const file = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../../${name}`, import.meta.url)));

let travel: TimeTravel;
let kernel: Uint8Array;
beforeAll(() => {
  const trace = open(file('traces/lab-kernel.cvlog'));
  kernel = trace.image(trace.header.images[0].sha256)!;
  const sink = new MemorySink();
  const recorder = new Recorder({
    recipe: {
      guest: 'lab', commandLine: 'run="work cpu"', protocol: 'auto', epochInstructions: 1_000_000, digestInstructions: 0,
      machine: { memoryBytes: 64 << 20, seed: '00000000c0ffee00', wallClockNs: '1767225600000000000', acpi: false, virtio: [], accessCostNs: 1000 },
    },
    images: { kernel },
    module: core(),
    outputs: {},
    log: { sink, id: 'symbols', product: 'test' },
  }); // prettier-ignore
  recorder.step(3_000_000, true);
  recorder.stop('limit', '');
  travel = new TimeTravel({ reader: open(sink.toBytes()), images: { kernel }, module: core() });
});

describe('symbols of a guest', () => {
  it('are those of its ELF image, with lines and inlined functions', () => {
    const symbols = guestSymbols(travel, kernel);
    expect(symbols).toMatchObject({ origin: 'elf', problem: undefined, linux: undefined });
    const call = symbols.table.find('accounting_call');
    expect(symbols.tell(call.address + 2n)).toBe('accounting_call+0x2');
    expect(symbols.lineOf(call.address)).toEqual({ file: 'engine/guests/kernel/accounting.c', line: 58 });
    expect(symbols.addressesOf('accounting.c', 58)).toContain(call.address);
    expect(symbols.linesOf?.('accounting.c')).toContain(58);
    expect(symbols.files?.filter((name) => name.endsWith('/tty.c'))).toHaveLength(1);
    expect(symbols.framesOf?.(0xffffffff80101093n).map(({ function: name }) => name)).toEqual(['take', 'accounting_call']);
    expect(symbols.lineOf(0n)).toBeUndefined();
    expect(currentTask(travel.machine, symbols)).toBeUndefined();
    expect(findKernel(travel.machine, symbols.table)).toBeUndefined();
  });

  it('change nothing, though they are looked for everywhere', () => {
    travel.seek(2_000_000);
    const before = travel.machine.digest().digest;
    guestSymbols(travel, kernel);
    // No symbols and no ELF: the memory is searched, up to the end.
    expect(guestSymbols(travel)).toMatchObject({ origin: 'none', linux: undefined });
    expect(travel.position).toBe(2_000_000);
    expect(travel.machine.digest().digest).toBe(before);
  });

  it('are none, with the reason, if the image has none', () => {
    const symbols = guestSymbols(travel, new Uint8Array(4096));
    expect(symbols).toMatchObject({ origin: 'none' });
    expect(symbols.problem).toContain('no ELF file');
    expect(symbols.tell(0x1000n)).toBe('0x1000');
    expect([symbols.lineOf(0x1000n), symbols.addressesOf('a.c', 1), symbols.framesOf?.(0x1000n)]).toEqual([undefined, [], []]);
  });

  it('are joined by those of programs in user space', () => {
    const program = { name: 'work.elf', bytes: file('engine/guests/images/user/work.elf') };
    const symbols = guestSymbols(travel, kernel, [program]);
    const own = parseSymbols(program.bytes);
    const [first] = own.symbols.filter(({ kind, file: source }) => kind === 'function' && source === undefined);
    expect(symbols.tell(first.address)).toBe(first.name);
    expect(symbols.table.find(`work.elf:${first.name}`).address).toBe(first.address);
    expect(symbols.tell(symbols.table.find('accounting_call').address)).toBe('accounting_call');
    expect(symbols.lineOf(own.find('main').address)?.file).toMatch(/user\/.*\.c$/);
  });

  it('of another kernel take the place of its own; a text will do', () => {
    const symbols = guestSymbols(travel, kernel, [{ name: 'System.map', bytes: new TextEncoder().encode('ffffffff80101000 T start_of_it\nffffffff80101060 t call\n') }]);
    expect(symbols.origin).toBe('elf');
    expect(symbols.tell(0xffffffff80101062n)).toBe('call+0x2');
    expect(symbols.table.has('accounting_call')).toBe(false);
    const linux = guestSymbols(travel, kernel, [{ name: 'System.map', bytes: new TextEncoder().encode('000000000001fb80 D current_task\nffffffff82000000 D linux_banner\n') }]);
    expect(linux.table.find('current_task')).toMatchObject({ kind: 'absolute', address: 0x1fb80n });
    expect(linux.tell(0x1fb88n)).toBe('0x1fb88');
    // It is not the one that runs.
    expect(linux.linux).toBeUndefined();
    expect(() => guestSymbols(travel, kernel, [{ name: 'x', bytes: new TextEncoder().encode('hello') }])).toThrow(SymbolError);
    expect(() => guestSymbols(travel, kernel, [{ name: 'x', bytes: kernel.subarray(0, 3000) }])).toThrow(SymbolError);
  });
});
