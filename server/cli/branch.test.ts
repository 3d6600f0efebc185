/** `branch`, `explore` and `diff --explain` as people meet them. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cli, json } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-branch-'));
process.chdir(folder);
const at = (name: string): string => join(folder, name);

let parent: any;
beforeAll(async () => {
  parent = await json('record', '-o', 'run.cvlog', '--wall-clock', '1700000000000000000', '--append', 'run="mark here; echo hello; poweroff"');
  const made = [
    await cli('branch', 'run.cvlog', '--at', 'mark:here', '-o', 'same.cvlog'),
    await cli('branch', 'run.cvlog', '--at', 'mark:here', '--set', 'rip=panic', '--set', 'rdi=0', '-o', 'panics.cvlog'),
  ];
  expect(made.map(({ status }) => status), made.map(({ err }) => err).join()).toEqual([0, 5]);
  expect(made[0].out).toContain('hello');
  expect(made[1].out).toContain('PANIC');
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('a child goes on from its parent, and every verb takes it', async () => {
  const tree = await json('info', 'panics.cvlog');
  expect(await json('replay', 'same.cvlog')).toMatchObject({ result: 'identical', digest: parent.digest, events: parent.log.records });
  expect(await json('replay', 'panics.cvlog')).toMatchObject({ result: 'identical', isComplete: true, end: { reason: 'debug-exit' } });
  expect(await json('check', 'panics.cvlog')).toMatchObject({ isSound: true, hasEnd: true });
  expect((await json('state', 'panics.cvlog', '--at', '@1000')).position).toBe(1000);
  expect(tree.parent).toMatchObject({ logId: parent.log.id });
  expect(tree.family).toMatchObject({ file: 'run.cvlog', children: [{ children: [] }, { children: [] }] });
  const difference = await json('diff', 'run.cvlog', 'panics.cvlog', '--explain');
  expect(difference).toMatchObject({ exitCode: 3, explanation: { position: tree.parent.position, cause: { kind: 'input', b: { input: { kind: 'register' } } } } });
  expect(difference.explanation.registers.map(({ name }: { name: string }) => name)).toContain('rip');
  expect((await cli('diff', 'run.cvlog', 'same.cvlog', '--explain')).status).toBe(0);
  expect((await json('bisect', 'panics.cvlog', '--panic')).position).toBe(tree.parent.position);
});

it('an index serves a branch: its own, or that of its parent for the time before', async () => {
  const places = ['@30000', '50%', '99%', 'end'];
  const plain = await Promise.all(places.map((where) => json('state', 'panics.cvlog', '--at', where)));
  expect(await json('index', 'run.cvlog', '--spacing', '2000')).toMatchObject({ isNew: true });
  for (const [i, where] of places.entries()) expect((await json('state', 'panics.cvlog', '--at', where)).digest, where).toBe(plain[i].digest);
  expect(await json('index', 'panics.cvlog', '--spacing', '2000')).toMatchObject({ isNew: true });
  expect(await json('index', 'panics.cvlog')).toMatchObject({ isNew: false });
  for (const [i, where] of places.entries()) expect((await json('state', 'panics.cvlog', '--at', where)).digest, where).toBe(plain[i].digest);
  // A branch without a change is the run of its parent to whoever adds it up.
  const counted = async (file: string): Promise<any> => ({ ...(await json('stat', file)), file: '', source: '' });
  expect(await counted('same.cvlog')).toEqual(await counted('run.cvlog'));
});

it('shows the events of the file, or of the whole run, with the same numbers', async () => {
  const lines = async (...argv: string[]): Promise<any[]> => (await cli('events', ...argv, '--json')).out.trimEnd().split('\n').map((line) => JSON.parse(line));
  const own = await lines('panics.cvlog');
  const whole = await lines('panics.cvlog', '--whole');
  expect(own[0]).toMatchObject({ kind: 'input', input: { kind: 'register', register: 'rip' } });
  expect(whole.slice(own[0].index)).toEqual(own.map((event) => (event.kind === 'end' ? { ...event, totals: expect.anything() } : event)));
  expect((await json('state', 'panics.cvlog', '--at', `event:${own[0].index}`)).position).toBe(own[0].position);
});

it('a child of a child, from the end of one that was stopped', async () => {
  const first = await json('branch', 'run.cvlog', '--at', 'mark:here', '--until', '+1000', '--interrupt', 'pit+5000', '-o', 'stopped.cvlog');
  expect(first).toMatchObject({ exitCode: 0, end: { reason: 'limit' }, changes: [{ change: { kind: 'timer-shift', timer: 'pit', ns: 5000 } }] });
  const second = await json('branch', 'stopped.cvlog', '--at', 'end', '-o', 'grandchild.cvlog');
  expect(second.parent).toMatchObject({ logId: first.id, position: first.position });
  expect(await json('replay', 'grandchild.cvlog')).toMatchObject({ result: 'identical', digest: second.end.digest });
});

it('says what is wrong with a parent', async () => {
  mkdirSync(at('alone'));
  copyFileSync(at('same.cvlog'), at('alone/same.cvlog'));
  const missing = await cli('replay', 'alone/same.cvlog');
  expect([missing.status, missing.err]).toEqual([20, expect.stringContaining(`of the log ${parent.log.id}, which was not found: put it into the folder`)]);
  expect((await cli('replay', 'alone/same.cvlog', '--parent', 'run.cvlog')).status).toBe(0);
  expect((await cli('replay', 'alone/same.cvlog', '--parent', 'panics.cvlog')).status).toBe(20);
  expect((await cli('replay', 'run.cvlog', '--parent', 'panics.cvlog')).status).toBe(20);
  expect((await json('info', 'alone/same.cvlog')).parent.problem).toContain('not found');
  // Damage, of the parent.
  const bytes = readFileSync(at('run.cvlog'));
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(at('damaged'), bytes);
  expect((await cli('replay', 'alone/same.cvlog', '--parent', 'damaged')).status).toBeGreaterThanOrEqual(40);
});

it('refuses what cannot be done, and leaves nothing behind', async () => {
  const refused: readonly (readonly [string, ...string[]])[] = [
    ['--at WHERE', '-o', 'x'],
    ['the guest has ended there', '--at', 'end', '-o', 'x'],
    ['after the end', '--at', '@999999999', '-o', 'x'],
    ['no register "foo"', '--at', '50%', '--set', 'foo=1', '-o', 'x'],
    ['not a canonical address', '--at', '50%', '--set', 'rip=0x800000000000', '-o', 'x'],
    ['is not mapped', '--at', '50%', '--write', '0x5000000000=00', '-o', 'x'],
    ['two digits a byte', '--at', '50%', '--write', 'panic=123', '-o', 'x'],
    ['no timer "pat"', '--at', '50%', '--interrupt', 'pat+5', '-o', 'x'],
    ['no interrupt line 2', '--at', '50%', '--interrupt', 'irq2', '-o', 'x'],
    ['is before the branch', '--at', '50%', '--interrupt', 'pit+5@1', '-o', 'x'],
    ['is not after the branch', '--at', '50%', '--until', '@1', '-o', 'x'],
  ];
  for (const [text, ...argv] of refused) {
    const { status, err } = await cli('branch', 'run.cvlog', ...argv);
    expect([status, err], text).toEqual([2, expect.stringContaining(text)]);
  }
  expect(existsSync(at('x'))).toBe(false);
  expect((await cli('branch', 'run.cvlog', '--at', '50%', '-o', 'same.cvlog')).status).toBe(12);
});

it('explores', async () => {
  const nothing = await json('explore', 'run.cvlog', '--at', 'mark:here', '--runs', '3', '--panic');
  expect(nothing).toMatchObject({ exitCode: 19, runs: 3, failures: 0, undisturbed: { fails: false } });
  expect((await cli('explore', 'run.cvlog', '--at', 'mark:here', '--runs', '3')).status).toBe(2);
  expect((await cli('explore', 'run.cvlog', '--at', 'mark:here', '--panic', '--when', '1')).status).toBe(2);
});
