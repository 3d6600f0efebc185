/** `index` and `state` as people meet them. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openLog } from '../../engine/log/open-log.ts';
import { findIndex } from '../store/checkpoints.ts';
import { FileSource } from '../store/files.ts';
import { cli, json } from './testing.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-index-'));
process.chdir(folder);
const at = (name: string): string => join(folder, name);


beforeAll(async () => {
  const { status, err } = await cli('record', '-o', 'run.cvlog', '--wall-clock', '1700000000000000000', '--append', 'run="work syscall; mark here; work io; poweroff"', '-q');
  expect(status, err).toBe(0);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('makes an index beside the log, and leaves an intact one alone', async () => {
  const log = readFileSync(at('run.cvlog'));
  const made = await json('index', 'run.cvlog', '--spacing', '1M');
  expect(made).toMatchObject({ isNew: true, exitCode: 0 });
  expect(made.checkpoints).toBeGreaterThan(5);
  expect(made.bytes).toBe(readFileSync(at('run.cvlog.index')).length);
  expect(readFileSync(at('run.cvlog')).equals(log)).toBe(true);
  expect(await json('index', 'run.cvlog')).toMatchObject({ isNew: false, checkpoints: made.checkpoints });
  expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
});

it('records with checkpoints, which are those of the recording', async () => {
  const recorded = await json('record', '-o', 'along.cvlog', '--index', '--wall-clock', '1700000000000000000', '--append', 'run="work syscall; work io; work fork; poweroff"', '--digest-every', '3M');
  expect(recorded.index.checkpoints).toBeGreaterThan(3);
  expect(await json('index', 'along.cvlog')).toMatchObject({ isNew: false, checkpoints: recorded.index.checkpoints });
  expect(await json('replay', 'along.cvlog')).toMatchObject({ digest: recorded.digest });
  // To open it at its end costs no replay.
  const { reader } = openLog(new FileSource(at('along.cvlog'), 'FILE'));
  expect(findIndex(at('along.cvlog'), reader).index?.checkpoints.at(-1)?.position).toBe(reader.lastPosition - 1);
  copyFileSync(at('along.cvlog'), at('alone.cvlog'));
  for (const where of ['50%', '99%', 'end']) expect((await json('state', 'along.cvlog', '--at', where)).digest, where).toBe((await json('state', 'alone.cvlog', '--at', where)).digest);
});

it('shows the same state with the index and without', async () => {
  copyFileSync(at('run.cvlog'), at('bare.cvlog'));
  for (const where of ['@1', '@2000000', '33.3%', 'event:500', 'mark:here', 'end']) {
    const near = await json('state', 'run.cvlog', '--at', where, '--physical', '0x100000,64');
    const far = await json('state', 'bare.cvlog', '--at', where, '--physical', '0x100000,64');
    for (const field of ['position', 'event', 'digest', 'registers', 'memory']) expect(near[field], `${where} ${field}`).toEqual(far[field]);
  }
  const end = await json('state', 'run.cvlog');
  expect(end.isEnd).toBe(true);
  expect(end.digest).toBe((await json('replay', 'run.cvlog')).digest);
}, 60_000);

it('shows registers and memory as text', async () => {
  const { status, out } = await cli('state', 'run.cvlog', '--at', '@2_000_000', '--memory', '0xffffffff80100000,32', '--all');
  expect(status).toBe(0);
  expect(out).toMatch(/^@2_000_000 of @[\d_]+, event [\d_]+/);
  expect(out).toMatch(/rip +0x[0-9a-f]+/);
  expect(out).toMatch(/xmm15 +0x/);
  expect(out).toMatch(/\n {2}ffffffff80100000 {2}([0-9a-f]{2} ){15}[0-9a-f]{2} {2}.{16}\n {2}ffffffff80100010/);
});

it('says so when an index is damaged, of another log or cut off, goes on without it, and makes it anew', async () => {
  const intact = readFileSync(at('run.cvlog.index'));
  const flipped = Buffer.from(intact);
  flipped[Math.floor(intact.length / 3)] ^= 4;
  const good = await json('state', 'run.cvlog', '--at', '90%');
  for (const [bytes, what] of [[flipped, /damaged|CRC|unpack/], [intact.subarray(0, 5000), /directory|end|index/], [Buffer.from('no index'), /no index/]] as const) {
    writeFileSync(at('run.cvlog.index'), bytes);
    expect((await json('state', 'run.cvlog', '--at', '90%')).digest).toBe(good.digest);
    const { status, err } = await cli('index', 'run.cvlog', '--spacing', '1M');
    expect(status).toBe(0);
    expect(err).toMatch(what);
    expect(err).toContain('made anew');
    expect(readFileSync(at('run.cvlog.index')).equals(intact)).toBe(true);
  }
  await cli('record', '-o', 'other.cvlog', '--wall-clock', '1700000000000000000', '--append', 'run="echo hello; poweroff"', '-q');
  writeFileSync(at('other.cvlog.index'), intact);
  const { status, err } = await cli('state', 'other.cvlog');
  expect(status).toBe(0);
  expect(err).toMatch(/of another log.*not used/);
}, 60_000);

it('keeps to its budget', async () => {
  const small = await json('index', 'bare.cvlog', '--spacing', '100k', '--budget', '300k');
  expect(small.bytes).toBeLessThan(400_000);
  expect(small.checkpoints).toBeGreaterThan(2);
});

it('says what is wrong with what was asked', async () => {
  for (const [argv, message] of [
    [['state', 'run.cvlog', '--at', 'noon'], /expected @1234567/],
    [['state', 'run.cvlog', '--at', '@999999999999'], /after the end: the recording ends at @\d+/],
    [['state', 'run.cvlog', '--at', 'mark:there'], /no mark "there": its marks are .*here/],
    [['state', 'run.cvlog', '--at', 'event:99999999'], /there is no event 99999999/],
    [['state', 'run.cvlog', '--at', '101%'], /outside the recording/],
    [['state', 'run.cvlog', '--memory', 'rsp'], /expected an address/],
    [['state', 'run.cvlog', '--physical', '0xffffffff'], /memory ends at/],
    [['index', 'run.cvlog', '--spacing', '0'], /at least 1000/],
  ] as const) {
    const { status, err } = await cli(...argv);
    expect(status, err).toBe(2);
    expect(err).toMatch(message);
  }
  expect((await cli('index', 'absent.cvlog')).status).toBe(13);
}, 60_000);
