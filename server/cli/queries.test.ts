/** `backtrace`, `why`, `calls`, `value` and `find` on a recording with a planted bug. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { cli, json } from './testing.ts';

const FILE = fileURLToPath(new URL('../../traces/bug-lost-update.cvlog', import.meta.url));
const LATE = ['--from', '99%'];

test('backtrace: from the end back to the system call', async () => {
  const { frames } = await json('backtrace', FILE, '--at', 'end');
  const names = frames.map((frame: { function?: string }) => frame.function);
  expect(names.slice(names.indexOf('accounting_check'), -1)).toEqual(['accounting_check', 'process_exit', 'syscall_dispatch', 'syscall_entry']);
  const positions = frames.slice(0, -1).map((frame: { calledAt: number }) => frame.calledAt);
  expect(positions).toEqual([...positions].sort((a: number, b: number) => b - a));
  expect(frames.at(-1)).toMatchObject({ kind: 'top' });
  // Nothing comes after the calls that do not return: the address behind them is in no function, but the frame is.
  expect(frames.slice(0, 4).map(({ at }: { at: string }) => at.split('+')[0])).toEqual(['power_off', 'end', 'panic_print', 'accounting_check']);
  const { out } = await cli('backtrace', FILE, '--at', 'end', '--frames', '2');
  expect(out.trim().split('\n')).toHaveLength(3);
  expect(out).toMatch(/#1 +end\+0x[0-9a-f]+ \(0x[0-9a-f]+\) at \S*panic\.c:\d+,/);
}, 60_000);

test('calls, find and value tell of the same panic', async () => {
  const { calls } = await json('calls', FILE, 'accounting_check', 'panic', ...LATE);
  expect(calls.map(({ function: name, depth, returned }: { function: string; depth: number; returned?: object }) => [name, depth, returned === undefined]).slice(-2)).toEqual([['accounting_check', 0, true], ['panic', 1, true]]); // prettier-ignore
  const { rows } = await json('find', FILE, '--execs', 'panic');
  expect(rows.map(({ position }: { position: number }) => position)).toEqual([calls.at(-1).position]);
  expect((await json('find', FILE, '--first', 'rip == panic')).rows[0].position).toBe(rows[0].position);
  const { values } = await json('value', FILE, 'u64(accounting.c:free_list)', ...LATE, '--newest', '--count', '1');
  const [store] = (await json('find', FILE, '--writes', 'accounting.c:free_list', '--newest', '--count', '1')).rows;
  expect([values[0].position, values[0].symbol]).toEqual([store.position + 1, store.symbol]);
  const loads = (await json('find', FILE, '--reads', 'accounting.c:free_list', '--newest', '--count', '2')).rows;
  expect(loads.map(({ symbol }: { symbol: string }) => symbol.split('+')[0])).toEqual(['accounting_check', 'accounting_call']);
  expect((await json('find', FILE, '--exits', 'io', '--newest', '--count', '1')).rows[0].detail).toMatchObject({ port: 0xf4, write: true });
}, 60_000);

test('why: the head of a list is what the last store put there', async () => {
  const { links } = await json('why', FILE, '--at', 'end', 'accounting.c:free_list', '--count', '3');
  expect(links.map(({ kind, symbol }: { kind: string; symbol: string }) => [kind, symbol.split('+')[0]])).toEqual([['copy', 'accounting_call'], ['copy', 'accounting_call'], ['copy', 'accounting_call']]); // prettier-ignore
  expect((await cli('why', FILE, '--at', 'end', 'rdi', '--count', '1')).out).toContain('a constant');
}, 60_000);

test('what is wrong is said, and what is not there has an exit code of its own', async () => {
  expect((await cli('find', FILE)).status).toBe(2);
  expect((await cli('find', FILE, '--writes', '0x1000', '--reads', '0x1000')).err).toContain('one of');
  expect((await cli('find', FILE, '--exits', 'nonsense')).status).toBe(2);
  expect((await cli('why', FILE, '--at', 'end', 'records')).err).toContain('at most');
  expect((await cli('why', FILE, '--at', 'end', 'no_such_symbol')).status).toBe(2);
  expect((await cli('calls', FILE, 'accounting_call', '--from', '50%', '--to', '10%')).status).toBe(2);
  expect((await cli('calls', FILE, 'accounting_call', '--count', '9M')).status).toBe(2);
  expect((await cli('find', FILE, '--execs', 'panic', '--to', '50%')).status).toBe(19);
}, 60_000);

test('Ctrl-C ends a question that looks at every instruction, and leaves nothing behind', async () => {
  const program = fileURLToPath(new URL('../../dist/server/cli/main.js', import.meta.url));
  const before = readFileSync(FILE);
  const child = spawn(process.execPath, [program, 'bisect', FILE, '--when', 'rax == 0x123456789abc'], { stdio: ['ignore', 'ignore', 'pipe'] });
  // It says so when it begins.
  await once(child.stderr, 'data');
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
  expect(readFileSync(FILE).equals(before)).toBe(true);
}, 60_000);
