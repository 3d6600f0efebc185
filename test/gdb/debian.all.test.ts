/** Debian's gdb on a recording of Debian's kernel: every stop is where the oracle says. And the disassembler beside objdump, on that kernel's code. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BAD, disassemble, textOf } from '../../engine/debug/disassembler.ts';
import { type GuestSymbols, guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { readLinear, readRegister } from '../../engine/debug/inspect.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { type GdbServer, serveGdb } from '../../server/gdb/server.ts';
import { turn } from '../../server/gdb/testing.ts';
import { type LinuxRecording, loadCore, loadLinux, recordLinux, shellScript } from '../linux/harness.ts';
import { END_OF_HISTORY, hasGdb, runGdb } from './gdb.ts';
import { hasObjdump, objdump } from './objdump.ts';
import { breakpoint, changesIn, forwardScan, ripAt, wordAt } from './oracle.ts';
import { symbolElf } from './symbol-elf.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-gdb-debian-'));
let recording: LinuxRecording;
let hash: string;
let travel: TimeTravel;
let oracle: TimeTravel;
let symbols: GuestSymbols;
let server: GdbServer;
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

beforeAll(async () => {
  const module = loadCore();
  recording = recordLinux(module, { guest: await loadLinux('cloud'), script: shellScript(['cat /proc/uptime', 'ls /']) });
  hash = hashOf(recording.log);
  const open = (): TimeTravel => new TimeTravel({ reader: LogReader.open(new MemorySource(recording.log)), images: recording.images, module });
  travel = open();
  oracle = open();
  oracle.seek(Number.MAX_SAFE_INTEGER);
  symbols = guestSymbols(oracle, recording.images.kernel);
  server = await serveGdb({ travel, host: '127.0.0.1', port: 0, turn });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
  expect(hashOf(recording.log)).toBe(hash);
});

/** Runs a few dozen times after the boot. */
const FUNCTION = 'do_sys_openat2';

it.runIf(hasGdb)('continue to the end, back to breakpoints and a hardware watchpoint, 1000 steps back and on, reverse-finish, both ends', async () => {
  expect(symbols.origin).toBe('kallsyms');
  const file = join(folder, 'kernel.elf');
  writeFileSync(file, symbolElf(symbols.table));
  const address = symbols.table.find(FUNCTION).address;
  // The last part of the run is enough to look through.
  const from = oracle.last - 40_000_000;
  const calls = forwardScan(oracle, breakpoint(address), from);
  expect(calls.length).toBeGreaterThan(5);
  // A word on the stack that its callee-saved registers are pushed to: the function and its callees write there.
  oracle.seek(calls[calls.length - 2]);
  const word = readRegister(oracle.machine, 'rsp')! - 8n;
  const changes = changesIn(oracle, calls[calls.length - 2], calls[calls.length - 2] + 3000, word, 8);
  expect(changes.length).toBeGreaterThan(0);

  const { text, stops } = await runGdb(
    folder,
    server.port,
    `stop attach
reverse-stepi
stop begin
continue
stop end
stepi
stop end
hbreak *0x${address.toString(16)}
reverse-continue
stop break-back
reverse-continue
stop break-back
reverse-continue
stop break-back
continue
stop break-on
delete
break *0x${address.toString(16)}
reverse-continue
reverse-continue
continue
stop software
stepi 3
stop inside
delete
reverse-finish
stop caller
monitor seek @${calls[calls.length - 2] + 3000}
maintenance flush register-cache
maintenance flush dcache
watch *(unsigned long *)0x${word.toString(16)}
reverse-continue
stop watch-back
printf "WORD %lx\\n", *(unsigned long *)0x${word.toString(16)}
continue
stop watch-on
delete
set $i = 0
while $i < 1000
  reverse-stepi
  stop back
  set $i = $i + 1
end
set $i = 0
while $i < 1000
  stepi
  stop on
  set $i = $i + 1
end
reverse-continue
stop begin`,
    file,
    600_000,
  );
  const at = (name: string): readonly number[] => (stops.get(name) ?? []).map(({ position }) => position);
  expect(text).not.toContain('Error in sourced');
  // Looking at each position is slow forward and quick backward: from the latest on.
  const all = [...stops].flatMap(([name, each]) => each.map((stop) => ({ name, ...stop }))).sort((a, b) => b.position - a.position);
  for (const { name, position, rip } of all) expect(rip, `${name} @${position}`).toBe(ripAt(oracle, position));

  expect(at('attach')).toEqual([0]);
  expect(at('begin')).toEqual([0, 0]);
  expect(at('end')).toEqual([oracle.last, oracle.last]);
  expect(text.split(END_OF_HISTORY)).toHaveLength(1 + 4);
  expect(at('break-back')).toEqual([calls.at(-1), calls.at(-2), calls.at(-3)]);
  expect(at('break-on')).toEqual([calls.at(-2)]);
  expect(at('software')).toEqual([calls.at(-3)]);
  expect(at('inside')).toEqual([calls.at(-3)! + 3]);
  expect(at('caller')).toEqual([calls.at(-3)! - 1]);
  // Going back gdb is to be before the write.
  const last = changes[changes.length - 1];
  expect(at('watch-back')).toEqual([last - 1]);
  expect(/^WORD ([0-9a-f]+)$/m.exec(text)?.[1]).toBe(wordAt(oracle, last - 1, word).toString(16));
  expect(at('watch-on')).toEqual([last]);
  expect(at('back')).toEqual(Array.from({ length: 1000 }, (_, i) => last - 1 - i));
  expect(at('on')).toEqual(Array.from({ length: 1000 }, (_, i) => last - 999 + i));
});

it.runIf(hasObjdump)('objdump reads 2 MiB of its code the same', () => {
  oracle.seek(Number.MAX_SAFE_INTEGER);
  const [start, end] = [symbols.table.find('_stext').address, symbols.table.find('_etext').address];
  let count = 0;
  const differences: string[] = [];
  for (let sample = 0n; sample < 4n; sample++) {
    const around = start + ((end - start) * sample) / 4n + 4096n;
    const address = symbols.table.at(around)!.address;
    const code = readLinear(oracle.machine, address, 512 << 10);
    const file = join(folder, 'code.bin');
    writeFileSync(file, code);
    for (const line of objdump(['-D', '-b', 'binary', '-m', 'i386:x86-64', `--adjust-vma=0x${address.toString(16)}`, file])) {
      if (line.address + 32n > address + BigInt(code.length)) break;
      const offset = Number(line.address - address);
      const own = disassemble(code.subarray(offset, offset + 15), line.address, 64);
      // objdump takes FWAIT for a part of the instruction behind it; AVX and what came after it are not told by name.
      if (line.bytes[0] === 0x9b || own.mnemonic === '(avx)' || (own.mnemonic === BAD && /^(?:\(bad\)|rmp|pvalidate|v|k)/.test(line.text))) continue;
      if (textOf(own).replace(/\s+/g, ' ') !== line.text || own.length !== line.bytes.length) differences.push(`${Buffer.from(line.bytes).toString('hex')} at 0x${line.address.toString(16)}: ${textOf(own)}, by objdump ${line.text}`);
      count++;
    }
  }
  expect(differences).toEqual([]);
  expect(count).toBeGreaterThan(300_000);
});
