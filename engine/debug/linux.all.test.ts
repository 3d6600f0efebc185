/**
 * Debian's stripped kernel tells its names, and who runs. The oracle is the guest itself: the hash of its /proc/kallsyms, and what it prints of its processes.
 * One to two minutes of CPU time. Skipped where the guest was not fetched (`chronovisor guest fetch linux`).
 */
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { type LinuxGuest, loadCore, loadLinux, recipeOf, recordLinux, shellScript } from '../../test/linux/harness.ts';
import { listGuests } from '../../server/guests/store.ts';
import * as L from '../cpu/layout.ts';
import { LogReader } from '../log/reader.ts';
import { MemorySink, MemorySource } from '../log/storage.ts';
import { InputScript, parseScript } from '../recording/input-script.ts';
import { Recorder } from '../recording/recorder.ts';
import { callStack } from './call-stack.ts';
import { type GuestSymbols, guestSymbols } from './guest-symbols.ts';
import { readRegister } from './inspect.ts';
import { findKallsyms } from './kallsyms.ts';
import { currentTask, findKernel } from './linux.ts';
import { SymbolError, SymbolTable } from './symbols.ts';
import { TimeTravel } from './time-travel.ts';

const isFetched = (await listGuests()).includes('linux');
if (!isFetched) console.warn('skipped: the guest "linux" is not on this machine; `chronovisor guest fetch linux` gets it');

/** There are no modules, whose symbols would be in it, too. */
const HASH = 'md5sum /proc/kallsyms';
const NAMES = "grep -E ' (_text|panic|init_task|linux_banner|do_task_stat)$' /proc/kallsyms";

function kallsymsOf({ machine: { core } }: TimeTravel): string {
  const symbols = findKallsyms(core.u8.subarray(L.RAM, L.RAM + core.ramBytes));
  return createHash('md5').update((symbols ?? []).map(({ name, type, address }) => `${address.toString(16).padStart(16, '0')} ${type} ${name}\n`).join('')).digest('hex');
}

/** Where a process asked for its own line of /proc: what the kernel was asked, and what it printed. */
function* statsOf(travel: TimeTravel, symbols: GuestSymbols, console: string): Generator<{ readonly asked: ReturnType<typeof currentTask>; readonly printed: string }, void> {
  for (const [printed] of console.matchAll(/^\d+ \([^)\n]+\) R [^\n]*/gm)) {
    const stop = travel.continue([{ kind: 'breakpoint', address: symbols.table.find('do_task_stat').address }]);
    if (stop.kind !== 'stop-point') return;
    yield { asked: currentTask(travel.machine, symbols), printed };
  }
}

describe.skipIf(!isFetched)("Debian's kernel", () => {
  let cloud: LinuxGuest;
  let console: string;
  let travel: TimeTravel;
  let symbols: GuestSymbols;
  beforeAll(async () => {
    cloud = await loadLinux('cloud');
    const commands = ['cat /proc/self/stat', "sh -c 'cat /proc/self/stat; :'", HASH, NAMES, '(cat /proc/self/stat | cat)'];
    // Page-table isolation: in user mode, the kernel's memory is not mapped.
    const recording = recordLinux(loadCore(), { guest: cloud, script: shellScript(commands), append: 'pti=on' });
    console = recording.console.replaceAll('\r', '');
    travel = new TimeTravel({ reader: LogReader.open(new MemorySource(recording.log)), images: recording.images, module: loadCore() });
    symbols = guestSymbols(travel, cloud.kernel);
  });

  it('has every symbol of its /proc/kallsyms', () => {
    expect(symbols).toMatchObject({ origin: 'kallsyms', problem: undefined });
    expect(travel.position).toBe(0);
    expect(kallsymsOf(travel)).toBe(/([0-9a-f]{32}) {2}\/proc/.exec(console)?.[1]);
    for (const [, address, name] of console.matchAll(/^([0-9a-f]{16}) . (\w+)$/gm)) expect(symbols.table.find(name).address).toBe(BigInt(`0x${address}`));
    expect(console).toMatch(/ panic\n/);
    expect(symbols.tell(symbols.table.find('panic').address + 4n)).toBe('panic+0x4');
  });

  it('tells who runs: the process that asks for itself', () => {
    travel.seek(0);
    let asked = 0;
    for (const stat of statsOf(travel, symbols, console)) {
      asked++;
      expect(`${stat.asked?.tgid} (${stat.asked?.comm})`).toBe(/^\d+ \([^)]+\)/.exec(stat.printed)?.[0]);
      expect(stat.asked?.pid).toBe(stat.asked?.tgid);
    }
    expect(asked).toBe(3);
  });

  it('tells who runs in user mode, too, and that the first is the idle task', () => {
    travel.seek(0);
    expect(currentTask(travel.machine, symbols)).toMatchObject({ pid: 0, tgid: 0 });
    const seen = new Set<string>();
    let inUser = 0;
    for (let percent = 20; percent < 100; percent += 3) {
      travel.seekPercent(percent);
      const task = currentTask(travel.machine, symbols);
      expect(task, `${percent} %`).toBeDefined();
      seen.add(task!.comm);
      if (readRegister(travel.machine, 'cpl') === 3n) {
        inUser++;
        expect(task!.pid).toBeGreaterThan(0);
      }
    }
    expect([...seen]).toEqual(expect.arrayContaining(['md5sum']));
    expect(inUser).toBeGreaterThan(0);
  });

  it('has the members of its tasks where the tasks themselves say, as its BTF does', () => {
    const told = symbols.linux?.members;
    expect(told).toBeDefined();
    const withoutBtf = new SymbolTable(symbols.table.all().filter(({ name }) => name !== '__start_BTF'));
    for (const percent of [50, 70, 90]) {
      travel.seekPercent(percent);
      expect(findKernel(travel.machine, withoutBtf)?.members).toEqual(told);
    }
    // Too early: there is one task, and nothing to compare it with.
    travel.seek(1_000_000);
    expect(findKernel(travel.machine, withoutBtf)?.members).toBeUndefined();
  });

  it('follows an interrupt of the kernel from its stack for interrupts to what it interrupted', () => {
    let ofKernel = 0;
    let interrupted: { readonly position: number; readonly rip: bigint } | undefined;
    for (const event of travel.reader.events({ kinds: ['interrupt'] })) {
      if (event.kind !== 'interrupt' || ofKernel >= 12) continue;
      if (event.phase === 'injected') {
        travel.seek(event.position);
        const rip = readRegister(travel.machine, 'rip')!;
        // One that waited is part of the state already.
        const isPast = /^(irq_entries_start|asm_)/.test(symbols.tell(rip));
        interrupted = readRegister(travel.machine, 'cpl') === 0n && !isPast ? { position: event.position, rip } : undefined;
      }
      if (event.phase !== 'eoi' || interrupted === undefined) continue;
      travel.seek(event.position);
      const frames = callStack(travel, symbols);
      const at = frames.findIndex(({ kind }) => kind === 'interrupt');
      expect(frames.slice(0, at + 1).map((frame) => frame.function?.name), `@${event.position}`).toEqual(expect.arrayContaining(['handle_level_irq', 'common_interrupt']));
      expect([frames[at].calledAt, frames[at + 1].rip], `@${event.position}`).toEqual([interrupted.position, interrupted.rip]);
      ofKernel++;
      interrupted = undefined;
    }
    expect(ofKernel).toBe(12);
  });

  it('takes lines and names from a file of the kernel that runs, and no other', () => {
    const map = (slide: bigint): Uint8Array => new TextEncoder().encode(['_text', 'linux_banner', 'init_task'].map((name, i) => `${(symbols.table.find(name).address + slide * BigInt(i)).toString(16)} T ${name}\n`).join(''));
    travel.seek(0);
    expect(guestSymbols(travel, cloud.kernel, [{ name: 'System.map', bytes: map(0n) }])).toMatchObject({ origin: 'elf' });
    expect(() => guestSymbols(travel, cloud.kernel, [{ name: 'System.map', bytes: map(0x20_0008n) }])).toThrow(SymbolError);
  });
});

describe.skipIf(!isFetched)("Debian's kernel at an address of its own choice", () => {
  it('has the symbols where they are after it has unpacked and moved itself', async () => {
    const guest = await loadLinux('cloud');
    const script = new InputScript(parseScript(shellScript([NAMES, HASH])));
    const sink = new MemorySink();
    let console = '';
    const run = { guest: { ...guest, commandLine: guest.commandLine.replace('nokaslr', '') }, script: '' };
    const images = { kernel: guest.kernel, initrd: guest.initrd };
    const recorder = new Recorder({
      recipe: { ...recipeOf(run), protocol: 'linux64' },
      images,
      module: loadCore(),
      outputs: {
        console: (byte) => {
          script.output(byte);
          console += String.fromCharCode(byte);
        },
      },
      log: { sink, id: '00000000-0000-4000-8000-000000000000', product: 'test' },
    });
    for (let status = recorder.step(1_000_000, true); status.kind !== 'ended'; status = recorder.step(1_000_000, true)) {
      const { send } = script.poll();
      if (send.length > 0) recorder.input(send);
      if (recorder.position > 5_000_000_000) recorder.stop('limit', 'the guest hangs');
    }
    console = console.replaceAll('\r', '');
    const travel = new TimeTravel({ reader: LogReader.open(new MemorySource(sink.toBytes())), images, module: loadCore() });
    const symbols = guestSymbols(travel, guest.kernel);
    expect(travel.position).toBe(0);
    expect(symbols.origin).toBe('kallsyms');
    const text = symbols.table.addressOf('_text')!;
    expect(text).not.toBe(0xffffffff81000000n);
    const printed = [...console.matchAll(/^([0-9a-f]{16}) . (\w+)$/gm)];
    expect(printed.length).toBe(5);
    for (const [, address, name] of printed) expect(symbols.table.find(name).address).toBe(BigInt(`0x${address}`));
    travel.seek(Number.MAX_SAFE_INTEGER);
    expect(currentTask(travel.machine, symbols)?.comm).toBe('poweroff');
    expect(kallsymsOf(travel)).toBe(/([0-9a-f]{32}) {2}\/proc/.exec(console)?.[1]);
    // The file of the kernel as it was linked serves, too: it runs elsewhere.
    const linked = new TextEncoder().encode(['_text', 'linux_banner', 'init_task', 'panic'].map((name) => `${(symbols.table.find(name).address - text + 0xffffffff81000000n).toString(16)} T ${name}\n`).join(''));
    const moved = guestSymbols(travel, guest.kernel, [{ name: 'System.map', bytes: linked }]);
    expect(moved.table.find('panic').address).toBe(symbols.table.find('panic').address);
    // Before there was a kernel, nobody runs.
    travel.seek(1000);
    expect(currentTask(travel.machine, symbols)).toBeUndefined();
  });
});
