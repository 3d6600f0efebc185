/** Debian's gdb in batch mode, on a recording of the lab's kernel: every stop is where the oracle says. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readRegister } from '../../engine/debug/inspect.ts';
import { parseElfSymbols } from '../../engine/debug/symbols.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import { BUSY, type GdbServer, serveGdb } from '../../server/gdb/server.ts';
import { RECORDING, openRecording, recordedKernel, turn } from '../../server/gdb/testing.ts';
import { END_OF_HISTORY, type GdbRun, hasGdb, runGdb } from './gdb.ts';
import { breakpoint, changesIn, forwardScan, ripAt, watchpoint, wordAt } from './oracle.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-gdb-'));
const KERNEL = join(folder, 'kernel.elf');
const program = process.env['CHRONOVISOR_CLI'] ?? join(fileURLToPath(new URL('../..', import.meta.url)), 'dist', 'server', 'cli', 'main.js');
const hashOfRecording = (): string => createHash('sha256').update(readFileSync(RECORDING)).digest('hex');

let travel: TimeTravel;
let oracle: TimeTravel;
let server: GdbServer;
let hash: string;
beforeAll(async () => {
  writeFileSync(KERNEL, recordedKernel());
  hash = hashOfRecording();
  travel = openRecording();
  oracle = openRecording();
  server = await serveGdb({ travel, host: '127.0.0.1', port: 0, turn });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
  expect(hashOfRecording()).toBe(hash);
});

const gdb = (script: string, port = server.port): Promise<GdbRun> => runGdb(folder, port, script, KERNEL);

/** The mark `work fork`: processes end after it. */
const FORK = 57_612_185;

it.runIf(hasGdb)('walks both ways, and stops where a forward scan says', async () => {
  const { text, stops, symbols, ticks: shown } = await gdb(`
symbol accounting_exit
symbol ticks
symbol exits
stop attach
reverse-stepi
stop begin
continue
stop end
stepi
stop end
hbreak *accounting_exit
reverse-continue
stop break-back
reverse-continue
stop break-back
reverse-continue
stop break-back
continue
stop break-on
delete
break *accounting_exit
continue
stop break-on
stepi 3
stop inside
delete
reverse-finish
stop caller
continue
watch *(unsigned long *)&ticks
reverse-continue
stop watch-back
ticks
reverse-continue
stop watch-back
ticks
continue
stop watch-on
stepi
stop after-watch
reverse-stepi
reverse-stepi
stop watch-stepi
delete
continue
awatch *(unsigned int *)&exits
reverse-continue
stop access-back
reverse-continue
stop access-back
continue
stop access-on
delete
set $i = 0
while $i < 100
  reverse-stepi
  stop back
  set $i = $i + 1
end
set $i = 0
while $i < 100
  stepi
  stop on
  set $i = $i + 1
end
reverse-continue
stop begin`);
  const at = (name: string): readonly number[] => (stops.get(name) ?? []).map(({ position }) => position);
  const symbol = (name: string): bigint => symbols.get(name) ?? -1n;
  expect(text).not.toContain('Error in sourced');

  // Each stop, whatever it is for: rip is that of the position that gdb was told.
  for (const [name, each] of stops) for (const { position, rip } of each) expect(rip, `${name} @${position}`).toBe(ripAt(oracle, position));

  expect(at('attach')).toEqual([0]);
  expect(at('begin')).toEqual([0, 0]);
  const { last } = oracle;
  expect(at('end')).toEqual([last, last]);
  // reverse-stepi, continue, stepi at the end, continue before the watchpoint and before the access, reverse-continue
  expect(text.split(END_OF_HISTORY)).toHaveLength(1 + 6);

  const exits = forwardScan(oracle, breakpoint(symbol('accounting_exit')), FORK);
  expect(exits.length).toBeGreaterThan(10);
  expect(at('break-back')).toEqual([exits.at(-1), exits.at(-2), exits.at(-3)]);
  expect(at('break-on')).toEqual([exits.at(-2), exits.at(-1)]);
  expect(at('inside')).toEqual([exits.at(-1)! + 3]);
  // The call that led into the function.
  expect(at('caller')).toEqual([exits.at(-1)! - 1]);

  // Writes are one position before where a scan forward stops: gdb, going back, is to be before them.
  const ticks = forwardScan(oracle, watchpoint(oracle, symbol('ticks'), 8, 'write', true));
  expect(ticks.length).toBeGreaterThan(10);
  expect(at('watch-back')).toEqual([ticks.at(-1)! - 1, ticks.at(-2)! - 1]);
  // What was there before the last tick, and before the one before it.
  expect(shown).toEqual([BigInt(ticks.length) - 1n, BigInt(ticks.length) - 2n]);
  expect(shown).toEqual(at('watch-back').map((position) => wordAt(oracle, position, symbol('ticks'))));
  expect(at('watch-on')).toEqual([ticks.at(-2)]);
  expect(at('after-watch')).toEqual([ticks.at(-2)! + 1]);
  expect(at('watch-stepi')).toEqual([ticks.at(-2)! - 1]);

  const accesses = forwardScan(oracle, watchpoint(oracle, symbol('exits'), 4, 'access'), FORK);
  const [newer, older] = at('access-back');
  expect(newer).toBe(accesses.at(-1)! - 1);
  expect(older).toBe(accesses.filter((position) => position <= newer).at(-1)! - 1);
  expect(at('access-on')).toEqual([accesses.find((position) => position > older)]);

  const start = at('access-on')[0];
  expect(at('back')).toEqual(Array.from({ length: 100 }, (_, i) => start - 1 - i));
  expect(at('on')).toEqual(Array.from({ length: 100 }, (_, i) => start - 99 + i));
});

it.runIf(hasGdb)('a word of the kernel stack: each change is met, by instructions and by interrupts', async () => {
  const { symbols } = await gdb('symbol trap_entry');
  // Where an interrupt or a fault pushes: rsp at the entry of the trap code.
  oracle.seek(30_000_000);
  const { position: entry } = oracle.continue([breakpoint(symbols.get('trap_entry')!)]);
  const rsp = readRegister(oracle.machine, 'rsp')!;
  const [from, to] = [entry - 50, entry + 250];
  // The word of the frame that changes most often: others hold what they held.
  const [address, changes] = [0n, 8n, 16n, 24n, 32n, 40n]
    .map((offset) => [rsp + offset, changesIn(oracle, from, to, rsp + offset, 8)] as const)
    .reduce((best, each) => (each[1].length > best[1].length ? each : best));
  expect(changes.length).toBeGreaterThan(0);
  travel.seek(to);
  const { stops } = await gdb(`watch *(unsigned long *)0x${address.toString(16)}
set $i = 0
while $i < ${changes.length}
  reverse-continue
  stop back
  set $i = $i + 1
end`);
  expect((stops.get('back') ?? []).map(({ position }) => position)).toEqual(changes.map((position) => position - 1).reverse());
});

it.runIf(hasGdb)('a recording cannot be changed, and monitor commands move through it', async () => {
  travel.seek(0);
  const { text, stops } = await gdb(`monitor seek mark:work io
maintenance flush register-cache
maintenance flush dcache
stop sought
monitor when
monitor marks
print sizeof($xmm0)
info registers cr0 cr2 cr3 cr4 cr8 efer
print $rax = 1`);
  expect(stops.get('sought')?.[0].position).toBe(57_407_430);
  expect(stops.get('sought')?.[0].rip).toBe(ripAt(oracle, 57_407_430));
  expect(text).toContain('@57_407_430 of @60_362_002');
  expect(text).toContain('work syscall');
  expect(text).toContain('= 16');
  expect(text).toContain('a recording cannot be changed');
});

it.runIf(hasGdb)('a second debugger is told why it is refused', async () => {
  const first = connect(server.port, '127.0.0.1');
  await new Promise<void>((resolve) => first.once('connect', () => resolve()));
  first.write('$qSupp'); // and no more
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { text, stops } = await gdb('stop there');
  expect(text).toContain(BUSY);
  expect(stops.size).toBe(0);
  first.destroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { stops: later } = await gdb('stop there');
  expect(later.get('there')).toHaveLength(1);
});

it('outlives clients that send noise and vanish', async () => {
  for (const bytes of ['', '$', '$g', '$g#', '$g#6', '\x03\x03+-', 'GET / HTTP/1.1\r\n\r\n', `$${'A'.repeat(100_000)}`, '$vCont;c#a8', '$Z1,1,1#76$c#63', '\xff'.repeat(5000)]) {
    const socket = connect(server.port, '127.0.0.1');
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    socket.on('error', () => {});
    if (bytes !== '') await new Promise<void>((resolve) => socket.write(Buffer.from(bytes, 'latin1'), () => resolve()));
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  const socket = connect(server.port, '127.0.0.1');
  let heard = '';
  socket.on('data', (bytes) => (heard += String(bytes)));
  socket.write('$qC#b4');
  while (!heard.includes('#')) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(heard).toBe('+$QC1#c5');
  socket.destroy();
});

it('the command: says where it waits, ends with its debugger, and with Ctrl-C', async () => {
  expect(existsSync(program), `${program} is missing: npm run build`).toBe(true);
  const command = spawn(process.execPath, [program, 'debug', RECORDING, '--gdb', '0', '--at', '50%', '--once', '--json'], { cwd: folder });
  const ended = new Promise<number | null>((resolve) => command.on('close', (status) => resolve(status)));
  let out = '';
  command.stdout.on('data', (bytes) => (out += String(bytes)));
  while (!out.includes('\n') && command.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
  const said = JSON.parse(out) as { host: string; port: number; position: number; symbols?: string };
  expect(said).toMatchObject({ host: '127.0.0.1', position: 30_181_001 });
  // The file that it names is that kernel, or one with the same code.
  const named = said.symbols === undefined ? undefined : parseElfSymbols(readFileSync(said.symbols));
  if (named !== undefined) expect(named.find('accounting_exit').address).toBe(parseElfSymbols(recordedKernel()).find('accounting_exit').address);
  const taken = await run('debug', RECORDING, '--gdb', String(said.port));
  expect(taken.status).toBe(2);
  expect(taken.err).toContain('another program listens there');
  const socket = connect(said.port, said.host);
  socket.on('error', () => {});
  socket.write('$k#6b');
  expect(await ended).toBe(0);

  for (const [host, isWarned] of [['localhost', false], ['0.0.0.0', true]] as const) {
    const other = spawn(process.execPath, [program, 'debug', RECORDING, '--gdb', `${host}:0`], { cwd: folder });
    const stopped = new Promise<number | null>((resolve) => other.on('close', (status) => resolve(status)));
    let warning = '';
    other.stderr.on('data', (bytes) => (warning += String(bytes)));
    await new Promise<void>((resolve) => other.stdout.once('data', () => resolve()));
    other.kill('SIGINT');
    expect(await stopped).toBe(130);
    expect(warning.includes('has no password'), warning).toBe(isWarned);
  }

  const mistakes = [[['--gdb', '99999'], 'a port from 0'], [['--gdb', 'a b:1'], 'a port from 0'], [['--gdb', '0', '--dap'], 'do not go together'], [['--command', 'print nowhere'], '`print nowhere`'], [['--gdb', '0', '--at', 'noon'], '--at "noon"'], [['--gdb', '0', '--at', 'mark:none'], 'no mark "none"']] as const;
  await Promise.all(
    mistakes.map(async ([wrong, message]) => {
      const { status, err } = await run('debug', RECORDING, ...wrong);
      expect(status, err).toBe(2);
      expect(err).toContain(message);
    }),
  );

  function run(...argv: string[]): Promise<{ readonly status: number | null; readonly err: string }> {
    return new Promise((resolve) => {
      const child = execFile(process.execPath, [program, ...argv], { cwd: folder, encoding: 'utf8', timeout: 60_000 }, (_error, _out, err) => resolve({ status: child.exitCode, err }));
    });
  }
});
