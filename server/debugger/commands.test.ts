import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { breakpoint, forwardScan } from '../../test/gdb/oracle.ts';
import { RIP } from '../../engine/cpu/layout.ts';
import type { LogEvent } from '../../engine/log/events.ts';
import type { Position } from '../../engine/log/position.ts';
import { RECORDING, openRecording, turn } from '../gdb/testing.ts';
import { Bookmarks, bookmarksPath } from './bookmarks.ts';
import { Commands, isAnswer } from './commands.ts';
import { Debugger } from './debugger.ts';
import { DebuggerError } from './error.ts';
import { type Opened, openForDebugging } from './open.ts';
import { Sources } from './sources.ts';
import { historyPath, readHistory, runScript, writeHistory } from './terminal.ts';
import { memoryFormat } from './text.ts';

const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const FORK = 57_612_185;

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-debug-'));
const recording = join(folder, 'run.cvlog');
let opened: Opened;
let before: string;
let debug: Debugger;
let commands: Commands;
let written = '';

beforeAll(() => {
  copyFileSync(RECORDING, recording);
  before = hash(recording);
  opened = openForDebugging(recording);
});
afterAll(() => {
  expect(hash(recording)).toBe(before);
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  debug = new Debugger({ travel: opened.travel, symbols: opened.symbols, bookmarks: opened.bookmarks, turn, onMessage: (text) => (written += `${text}\n`) });
  commands = new Commands({ debug, sources: opened.sources, write: (text) => (written += text) });
  opened.travel.seek(FORK);
});

let exits: readonly number[] | undefined;
const exitsFromFork = (): readonly number[] => (exits ??= forwardScan(openRecording(), breakpoint(opened.symbols.table.find('accounting_exit').address), FORK));

/** What a line wrote. */
async function run(line: string): Promise<string> {
  written = '';
  await commands.run(line);
  return written;
}
async function fails(line: string): Promise<string> {
  try {
    await commands.run(line);
  } catch (error) {
    if (isAnswer(error)) return error.message;
    throw error;
  }
  return 'it did not fail';
}
const at = (): number => opened.travel.position;

it('breakpoints, conditions and temporary ones stop where a forward scan says, both ways', async () => {
  const exits = exitsFromFork();
  expect(await run('break accounting_exit')).toContain('breakpoint 1: accounting_exit (0x');
  for (const expected of exits.slice(0, 3)) {
    expect(await run('c')).toContain('breakpoint 1, accounting_exit');
    expect(at()).toBe(expected);
  }
  await run('reverse-continue');
  expect(at()).toBe(exits[1]);
  await run('delete 1');
  await run(`b accounting_exit if position > ${exits[6]}`);
  await run('c');
  expect(at()).toBe(exits[7]);
  await run('delete');
  await run('tbreak accounting_exit');
  await run('rc');
  expect(at()).toBe(exits[6]);
  expect(await run('info breakpoints')).toBe('there are none\n');

  await run('b accounting.c:85');
  await run('rc');
  expect(at()).toBe(exits[5]);
  await run('disable');
  await run(`tb accounting_exit`);
  await run('');
  await run('c');
  expect(at()).toBe(exits[6]);
});

it('of two points that are met at one place, the one that does not count does not hide the other', async () => {
  const exit = [...opened.travel.reader.events({ kinds: ['exit'], from: FORK as Position })].find((event) => event.kind === 'exit' && event.position > FORK + 1000);
  const position = exit!.position;
  opened.travel.seek(position);
  const rip = opened.travel.machine.core.big(RIP);
  const here = `b *0x${rip.toString(16)}`;
  for (const points of [['catch exit if 0', here], [here, 'catch exit if 0'], ['catch exit', here]]) {
    for (const { id } of debug.points) debug.remove(id);
    for (const point of points) await run(point);
    for (const [from, command] of [[position - 1, 'c'], [position + 1, 'rc']] as const) {
      opened.travel.seek(from);
      await run(command);
      expect(at()).toBe(position);
    }
    // Both were met, each time.
    if (points[0] === 'catch exit') expect(debug.points.map(({ hits }) => hits)).toEqual([2, 2]);
  }
});

it('a watchpoint with a condition stops where the condition holds, both ways', async () => {
  await run('seek end');
  await run('watch ticks');
  const met: { readonly position: number; readonly isOdd: boolean }[] = [];
  for (let i = 0; i < 6; i++) {
    await run('rc');
    met.unshift({ position: at(), isOdd: debug.evaluate('u32(ticks) & 1') === 1n });
  }
  const odd = met.filter(({ isOdd }) => isOdd).map(({ position }) => position);
  expect(odd.length).toBe(3);
  await run('delete');
  await run('watch ticks if u32(ticks) & 1');
  opened.travel.seek(met[0].position - 1);
  const forward: number[] = [];
  for (const _ of odd) forward.push((await run('c'), at()));
  expect(forward).toEqual(odd);
  await run('seek end');
  const back: number[] = [];
  for (const _ of odd) back.unshift((await run('rc'), at()));
  expect(back).toEqual(odd);
});

it('steps are bounded by points, in both directions', async () => {
  const [first] = exitsFromFork();
  await run('stepi 1000');
  expect(at()).toBe(FORK + 1000);
  await run('rsi 1_000');
  expect(at()).toBe(FORK);
  await run('b accounting_exit');
  expect(await run(`si ${first - FORK + 500}`)).toContain('breakpoint 1');
  expect(at()).toBe(first);
  await run(`si 10`);
  expect(await run('rsi 500')).toContain('breakpoint 1');
  expect(at()).toBe(first);
  await run('rsi 500');
  expect(at()).toBe(first - 500);
  await run('delete');
  await run('seek @3');
  expect(await run('rsi 100')).toContain('the beginning');
  expect(at()).toBe(0);
  await run('seek end');
  expect(await run('si')).toContain('the end of the recording: debug-exit');
});

it('watchpoints tell who wrote, what was there and what is; last-write agrees and stays where it is', async () => {
  await run('seek end');
  await run('watch ticks');
  const stop = await run('rc');
  expect(stop).toMatch(/watchpoint 1, ticks .*\n {2}@[\d_]+ {2}tick\+0xc .* 0xf -> 0x10/);
  const here = at();
  expect(await run('print u64(ticks)')).toContain('0x10');
  expect(await run('lw ticks')).toBe(`${stop.split('\n')[1].trim()}\n`);
  expect(at()).toBe(here);
  await run('rc');
  expect(at()).toBeLessThan(here);
  await run('c');
  expect(at()).toBe(here);
  await run('delete');
  await run('watch ticks if u64(ticks) == 12');
  await run('rc');
  expect(await run('p/d u64(ticks)')).toBe('12\n');
  await run('delete');
  expect(await run('watch p64(0x1652a0)')).toContain('p64(0x1652a0)');
  await run('c');
  expect(await run('p/d u64(ticks)')).toBe('13\n');
});

it('steps by events of a kind, both ways, past whatever points there are', async () => {
  const { reader } = opened.travel;
  const of = (matches: (event: LogEvent) => boolean): readonly number[] => [...new Set([...reader.events()].filter((event) => event.position > FORK && matches(event)).map(({ position }) => position))].slice(0, 4);
  const interrupts = of((event) => event.kind === 'interrupt' && (event.phase === 'injected' || event.phase === 'acknowledged'));
  const all = of(({ kind }) => ['input', 'exit', 'interrupt', 'device', 'idle', 'mark'].includes(kind));
  expect([interrupts.length, all.length]).toEqual([1, 4]);
  for (const [words, expected] of [['interrupt', interrupts], ['', all]] as const) {
    opened.travel.seek(FORK);
    await run('break *rip');
    const met: number[] = [];
    for (const _ of expected) {
      await run(`next-event ${words}`);
      met.push(at());
    }
    expect(met).toEqual(expected);
    for (const position of [...expected].reverse().slice(1)) {
      await run(`reverse-next-event ${words}`);
      expect(at()).toBe(position);
    }
  }
  expect(await fails('ne nonsense')).toContain('exit [');
});

it('tells where a value comes from, and stays', async () => {
  const at0 = at();
  expect(await run('why u64(rsp)')).toMatch(/bytes? at .* ◄ /);
  expect(await run('why rsp')).toMatch(/^@[\d_]+ {2}rsp = 0x[0-9a-f]+ ◄ /);
  expect(at()).toBe(at0);
  expect(await fails('why')).toContain('register');
});

it('catchpoints: marks, console text, exits, interrupts and system calls', async () => {
  await run('seek @0');
  await run('catch mark work io');
  await run('c');
  expect(at()).toBe(57_407_430);
  await run('delete');
  expect(await run('catch syscall 0')).toContain('catchpoint 2');
  await run('catch exit io');
  await run('catch interrupt');
  await run('c');
  const here = at();
  await run('c');
  await run('rc');
  expect(at()).toBe(here);
  await run('delete');
  await run('catch console "panic"');
  await run('c');
  expect((await run('events 1')).split('\n').length).toBeGreaterThan(2);
  await run('delete');
  await run('seek @1000');
  await run(`catch when position == 1500`);
  await run('c');
  expect(at()).toBe(1500);
  for (const wrong of ['catch', 'catch nonsense', 'catch exit nonsense', 'catch interrupt 999', 'catch event nothing', 'catch syscall no_such_call', 'catch console', 'catch when (((']) expect(await fails(wrong), wrong).not.toBe('it did not fail');
});

it('shows registers, memory, code, source and the stack', async () => {
  await run('seek @60_334_167');
  expect(await run('info registers rip rax')).toMatch(/^rip +0xffffffff801012b0 +accounting_exit\nrax /);
  expect((await run('info registers')).split('\n').length).toBeGreaterThan(25);
  expect(await run('x/2xg rsp')).toMatch(/^0x[0-9a-f]+ <stacks\+0x[0-9a-f]+>: {2}0x[0-9a-f]{16} {2}0x[0-9a-f]{16}\n$/);
  expect((await run('x/8xb $rsp')).match(/0x[0-9a-f]{2}(?![0-9a-f])/g)).toHaveLength(8);
  const two = await run('x/2i rip');
  expect(await run('')).not.toBe(two);
  expect(two).toContain('mov    rax,QWORD PTR [rip+0x15d49]  # exits');
  const code = await run('disassemble');
  expect(code).toContain('=> 0xffffffff801012b0 <accounting_exit>');
  expect(code.trimEnd().split('\n').at(-1)).toContain('jmp');
  expect(await run('disassemble accounting_check,3')).toMatch(/^ {3}0x[0-9a-f]+ <accounting_check>/);
  expect(await run('list accounting.c:85')).toContain('accounting_exit');
  const stack = await run('bt');
  expect(stack).toMatch(/^#0 .* in accounting_exit\+0x0/);
  expect(stack).toContain('process_exit');
  expect(await run('info line')).toContain('accounting.c:8');
  expect(await run('info symbol 0xffffffff801012b4')).toBe('accounting_exit+0x4\n');
  expect(await run('p/x 1+2*3')).toBe('0x7\n');
  expect(await run('info threads')).toContain('ring 0');
  expect(await run('info checkpoints')).toContain('checkpoints');
  expect(await run('info recording')).toContain('debug-exit');
  expect(await run('when')).toContain('@60_334_167 of @60_362_002');
  expect(memoryFormat('3wx', { count: 1, format: 'd', size: 8 })).toEqual({ count: 3, format: 'x', size: 4 });
});

it('marks are kept beside the recording, for the next time', async () => {
  await run('mark the place');
  expect(new Bookmarks(recording, opened.travel.reader.header.id).find('the place')).toEqual({ name: 'the place', position: FORK });
  await run('seek @5');
  await run('goto mark:the place');
  expect(at()).toBe(FORK);
  expect(await run('info marks')).toContain('the place  (yours)');
  await run('unmark the place');
  expect(await fails('unmark the place')).toContain('no mark of yours');
  expect(await fails('mark')).toContain('name');

  const other = new Bookmarks(recording, 'another one');
  expect(other.problem).toContain('another recording');
  writeFileSync(bookmarksPath(recording), '{');
  expect(new Bookmarks(recording, 'x').problem).toContain('cannot be read');
  rmSync(bookmarksPath(recording));
});

it('completes commands, symbols, registers and places', () => {
  expect(commands.complete('reverse-st')[0]).toEqual(['reverse-stepi', 'reverse-step']);
  expect(commands.complete('  disas')[0]).toEqual(['disassemble']);
  expect(commands.complete('break accounting_ex')).toEqual([['accounting_exit'], 'accounting_ex']);
  expect(commands.complete('print u64(tick')[0]).toContain('ticks');
  expect(commands.complete('info reg')[0]).toEqual(['registers']);
  expect(commands.complete('info registers cr')[0]).toContain('cr3');
  expect(commands.complete('seek mark:work')).toEqual([expect.arrayContaining(['mark:work io', 'mark:work fork']), 'mark:work']);
  expect(commands.complete('catch sys')[0]).toEqual(['syscall']);
});

it('says what is wrong with a command, and nothing moves', async () => {
  const { digest } = opened.travel.machine.digest();
  const wrong = [
    'frobnicate', 're', 'seek', 'seek noon', 'seek @99999999999', 'seek mark:none', 'seek 200%', 'si 0', 'si x', 'break nowhere', 'break panic.c:99999', 'b *((', 'b ticks if', 'watch', 'watch nowhere', 'watch 0x123456789000',
    'watch ticks,0', 'watch ticks,99999999', 'x', 'x/0x rsp', 'x/99999x rsp', 'x/q rsp', 'x/4xg 0x123456789000', 'xp/i 0', 'xp/x 0xffffffffff', 'print', 'print/z 1', 'print u64(0x123456789000)', 'info', 'info nonsense',
    'info registers nonsense', 'list nonsense.c:5', 'delete 77', 'continue 5', 'last-write', 'last-write nowhere', 'help nonsense', 'bt x', '$%&', 'event 5 6',
  ]; // prettier-ignore
  for (const line of wrong) {
    const message = await fails(line);
    if (line === 'b ticks if') continue;
    expect(message, line).not.toBe('it did not fail');
    expect(message.length, line).toBeGreaterThan(8);
  }
  expect(at()).toBe(FORK);
  expect(opened.travel.machine.digest().digest).toBe(digest);
});

it('whatever the words, it is a command or an answer', async () => {
  const words = fc.constantFrom('break', 'watch', 'x/4xg', 'print', 'info', 'registers', 'disassemble', 'list', 'delete', 'rsp', 'ticks', 'if', '==', '(', ')', '1', '-1', '0xffffffffffffffff', ',', 'u64', '*', '@', 'mark:', '%', '$rip', 'end of', 'p', 'catch', 'mark');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(words, fc.string({ maxLength: 6 })), { maxLength: 6 }), async (line) => {
      const text = line.join(' ');
      // These move, and are tested above.
      if (/^\s*(c|rc|r?s|r?n|r?si|r?ni|r?f|cont|rev|step|next|seek|goto|lw|last|bt|back|where|q|e|ex|quit)/.test(text)) return;
      await fails(text);
    }),
    { numRuns: 300 },
  );
  expect(at()).toBe(FORK);
  rmSync(bookmarksPath(recording), { force: true });
});

it('a script ends with its first mistake', async () => {
  const seen: string[] = [];
  const failed = await runScript(commands, ['# what is here', 'when', '', 'print nowhere', 'echo never'], (line) => seen.push(line), () => {});
  expect(seen).toEqual(['when', 'print nowhere']);
  expect(failed).toMatchObject({ number: 4, line: 'print nowhere' });
  expect(await runScript(commands, ['when', 'quit', 'print nowhere'], () => {}, () => {})).toBeUndefined();
});

it('what runs can be interrupted, and goes on to the same place', async () => {
  await run('seek @0');
  await run('b *1');
  const walk = commands.run('continue');
  await turn();
  debug.interrupt();
  await walk;
  expect(written).toContain('interrupted');
  expect(at()).toBeLessThan(opened.travel.last);
  expect(await run('c')).toContain('the end of the recording');
});

it('keeps a history in the state folder of the user', () => {
  expect(historyPath({ XDG_STATE_HOME: '/state' })).toBe('/state/chronovisor/debug-history');
  expect(historyPath({ CHRONOVISOR_HOME: '/own', XDG_STATE_HOME: '/state' })).toBe('/own/debug-history');
  expect(historyPath({ XDG_STATE_HOME: 'relative' })).toMatch(/\.local\/state\/chronovisor\/debug-history$/);
  const path = join(folder, 'deep', 'history');
  expect(readHistory(path)).toEqual([]);
  writeHistory(path, ['last', 'first']);
  expect(readFileSync(path, 'utf8')).toBe('first\nlast\n');
  expect(readHistory(path)).toEqual(['last', 'first']);
  // A folder that cannot be made is no reason to stop.
  writeHistory(join(recording, 'history'), ['x']);
});

it('reads no source outside of its folders', () => {
  const secret = join(folder, 'secret.c');
  writeFileSync(secret, 'secret');
  const inner = mkdtempSync(join(folder, 'src-'));
  writeFileSync(join(inner, 'open.c'), 'one\ntwo');
  const sources = new Sources([inner, '/does/not/exist']);
  expect(sources.find('kernel/open.c')?.lines).toEqual(['one', 'two']);
  expect(sources.find(secret)).toBeUndefined();
  expect(sources.find('../secret.c')).toBeUndefined();
  expect(sources.find(`a/../../${'secret.c'}`)).toBeUndefined();
  expect(sources.find('')).toBeUndefined();
  expect(existsSync(secret)).toBe(true);
});

it('an error of the debugger is an answer, another is none', () => {
  expect(isAnswer(new DebuggerError('x'))).toBe(true);
  expect(isAnswer(new TypeError('x'))).toBe(false);
});
