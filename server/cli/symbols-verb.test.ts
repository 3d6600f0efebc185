/** `symbols`, and the names that `state`, `last-write` and `bisect` tell. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { cli, json } from './testing.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const FILE = `${root}traces/bug-lost-update.cvlog`;

it('says where names come from, and finds them by name, pattern, address and line', async () => {
  const all = await json('symbols', FILE);
  expect(all).toMatchObject({ origin: 'elf', answers: [], exitCode: 0 });
  expect(all.counts.functions).toBeGreaterThan(80);
  expect(all.counts.sourceFiles).toBeGreaterThan(20);
  const [named, pattern] = (await json('symbols', FILE, 'accounting_call', 'tty_*')).answers;
  expect(named.symbols).toMatchObject([{ name: 'accounting_call', kind: 'function', source: { file: 'engine/guests/kernel/accounting.c' } }]);
  expect(pattern.symbols.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(['tty_output', 'tty_write']));
  const { address, source } = named.symbols[0] as { address: string; source: { line: number } };
  const [at, line] = (await json('symbols', FILE, address, `accounting.c:${source.line}`)).answers;
  expect(at).toMatchObject({ kind: 'address', symbol: 'accounting_call', source });
  expect(line.addresses).toContain(address);
});

it('says what there is not, and what is near', async () => {
  const answer = await cli('symbols', FILE, 'acounting_call', 'free_list', 'accounting.c:1', 'nowhere.c:3', 'zz*');
  expect(answer.status).toBe(19);
  expect(answer.err).toContain('did you mean accounting_call?');
  expect(answer.err).toMatch(/no code comes from accounting\.c:1; the nearest line that has code is \d+/);
  expect(answer.err).toContain('there is no code from a source file "nowhere.c"');
  expect(answer.err).toContain('no symbol is "zz*"');
  expect(answer.out.trim().split('\n')).toHaveLength(3);
  expect((await cli('symbols', FILE, '--symbols', `${root}README.md`)).status).toBe(2);
});

it('writes a System.map that it reads again', async () => {
  const map = await cli('symbols', FILE, '--map');
  expect(map.out).toMatch(/^[0-9a-f]{16} T accounting_call$/m);
  const addresses = map.out.trim().split('\n').map((line) => line.slice(0, 16));
  expect(addresses).toEqual([...addresses].sort());
});

it('names the place of a state, with its line', async () => {
  const state = await json('state', FILE, '--at', '30%');
  expect(state.symbol).toMatch(/^[a-z_]+(\+0x[0-9a-f]+)?$/);
  expect(state.source.file).toMatch(/^engine\/guests\//);
  expect(state.task).toBeUndefined();
  expect((await cli('state', FILE, '--at', '30%')).out).toContain(`  at                ${state.symbol} (`);
});
