/**
 * The command line as people meet it, on the lab's kernel.
 *
 * What needs a process of its own runs the built program, from dist/; CHRONOVISOR_CLI names another built main.js.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32c } from '../../engine/log/crc32c.ts';
import { HEADER_FIXED_BYTES } from '../../engine/log/header.ts';
import { VERBS } from './main.ts';
import { PROGRAM, cli, json } from './testing.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const kernel = join(root, 'engine', 'guests', 'images', 'lab-kernel.elf');
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-cli-'));
const at = (name: string): string => join(folder, name);
// A store of guests that is empty, whatever this host has.
process.env['CHRONOVISOR_HOME'] = at('home');
const { env } = process;
process.chdir(folder);



const HELLO = ['--append', 'run="echo hello; poweroff"'];
const SYSCALL = ['--append', 'run="work syscall; poweroff"'];
/** A guest that runs for a while. */
const LONG = ['--append', 'run="work mixed; work mixed; work mixed; poweroff"'];

beforeAll(async () => {
  expect(existsSync(PROGRAM), `${PROGRAM} is missing: npm run build`).toBe(true);
  const recorded = await Promise.all([
    cli('record', '-o', 'hello.cvlog', '--wall-clock', '1700000000000000000', ...HELLO),
    cli('record', '-o', 'work.cvlog', '--wall-clock', '1700000000000000000', '--digest-every', '10M', '--epoch', '5M', ...SYSCALL),
  ]);
  for (const { status, err } of recorded) expect(status, err).toBe(0);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('record, then everything else', () => {
  it('shows the console on stdout and the rest on stderr', async () => {
    const { status, out, err } = await cli('run', ...HELLO);
    expect(status).toBe(0);
    expect(out.replaceAll('\r', '')).toBe('lab kernel: 64 MiB, PVH\nlab kernel ready\nhello\n');
    expect(err).toContain('success');
    expect(await cli('run', '--quiet', ...HELLO)).toEqual({ status: 0, out: '', err: '' });
  });

  it('replays identically, as often as wanted', async () => {
    const { status, out } = await cli('replay', 'work.cvlog', '--times', '2');
    expect(status).toBe(0);
    const lines = out.trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/of 2: identical: \d+ events, position @\d+, digest [0-9a-f]{32}/);
  });

  it('gives the same run for the same inputs', async () => {
    const again = await json('record', '-o', 'again.cvlog', '--wall-clock', '1700000000000000000', ...HELLO);
    const replayed = await json('replay', 'hello.cvlog');
    expect(again.digest).toBe(replayed.digest);
    expect(replayed).toMatchObject({ result: 'identical', isComplete: true, end: { reason: 'debug-exit' }, events: again.log.records });
    expect(await cli('diff', 'hello.cvlog', 'again.cvlog')).toMatchObject({ status: 0, out: expect.stringContaining('the same') });
  });

  it('shows the console of a replay', async () => {
    const { status, out } = await cli('replay', 'hello.cvlog', '--console');
    expect(status).toBe(0);
    expect(out).toContain('hello');
  });

  it('tells what is in a log', async () => {
    const info = await json('info', 'work.cvlog');
    expect(info).toMatchObject({ isClosed: true, isEnded: true, header: { config: { guest: 'lab', commandLine: 'run="work syscall; poweroff"' } } });
    expect(info.images).toMatchObject([{ name: 'kernel', found: { kind: 'embedded' } }]);
    expect(info.records).toBe(Object.values(info.counts as Record<string, number>).reduce((sum, count) => sum + count, 0));
    expect(info.marks.map(({ name }: { name: string }) => name)).toEqual(['work syscall', 'work end']);
    expect(info.digests.length).toBe(Math.floor(info.instructions / 1e7) + 1);
    expect(info.bytesPerThousandInstructions).toBeLessThan(1);
    const { out } = await cli('info', 'work.cvlog');
    for (const text of ['in the log', 'work syscall', 'debug-exit', 'parent']) expect(out).toContain(text);
  });

  it('lists events as text, NDJSON and CSV', async () => {
    const info = await json('info', 'work.cvlog');
    const [text, ndjson, csv] = await Promise.all([cli('events', 'work.cvlog'), cli('events', 'work.cvlog', '--json'), cli('events', 'work.cvlog', '--csv')]);
    const lines = (out: string): string[] => out.trimEnd().split('\n');
    expect(lines(text.out)).toHaveLength(info.records);
    const events = lines(ndjson.out).map((line) => JSON.parse(line));
    expect(events.map(({ index }) => index)).toEqual(Array.from({ length: info.records }, (_, i) => i));
    expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'debug-exit' });
    expect(lines(csv.out)).toHaveLength(info.records + 1);
    expect(lines(csv.out)[0]).toBe('index,position,virtual_ns,kind,name,rip,target,size,access,value,detail');
  });

  it('filters events', async () => {
    const list = async (...argv: string[]): Promise<any[]> => (await cli('events', 'work.cvlog', '--json', ...argv)).out.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
    const all = await list();
    expect(await list('--kind', 'exit,interrupt')).toEqual(all.filter(({ kind }) => kind === 'exit' || kind === 'interrupt'));
    expect(await list('--reason', 'cpuid,msr')).toEqual(all.filter(({ kind, reason }) => kind === 'exit' && [10, 31, 32].includes(reason)));
    expect(await list('--from', '@2600', '--to', '@10000')).toEqual(all.filter(({ position }) => position >= 2600 && position < 10000));
    expect(await list('--port', '0x3f8', '--kind', 'exit')).toEqual(all.filter(({ kind, detail }) => kind === 'exit' && detail.kind === 'io' && detail.port === 0x3f8));
    expect(await list('--vector', '14')).toEqual(all.filter(({ kind, detail, vector }) => (kind === 'exit' && detail.vector === 14) || (kind === 'interrupt' && vector === 14)));
    expect(await list('--match', 'work end')).toMatchObject([{ kind: 'mark' }]);
    expect(await list('--limit', '7')).toEqual(all.slice(0, 7));
    expect(await list('--limit', '0')).toEqual([]);
  });

  it('stops quietly when nobody reads', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'events', 'work.cvlog', '--json'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let err = '';
    child.stderr.on('data', (chunk) => (err += String(chunk)));
    expect(await exitOf(child)).toBe(0);
    expect(err).toBe('');
  });

  it('finds a log sound', async () => {
    expect(await cli('check', 'work.cvlog')).toMatchObject({ status: 0, out: expect.stringContaining('sound') });
    expect(await json('check', 'work.cvlog')).toMatchObject({ isSound: true, isClosed: true, hasEnd: true, problems: [] });
  });
});

describe('diff', () => {
  it('shows where two runs part, and the machines there', async () => {
    const random = ['--virtio', 'rng', '--wall-clock', '5', '--append', 'run="random; poweroff"'];
    await Promise.all([cli('record', '-o', 'seed1.cvlog', ...random), cli('record', '-o', 'seed7.cvlog', '--seed', '7', ...random)]);
    const { status, out } = await cli('diff', 'seed1.cvlog', 'seed7.cvlog');
    expect(status).toBe(3);
    for (const text of ['config.seed', 'divergence at @', 'A: ', 'B: ', 'registers that differ', 'physical pages that differ', 'random.state']) expect(out).toContain(text);
    const { headers, divergence, state } = await json('diff', 'seed1.cvlog', 'seed7.cvlog');
    expect(headers).toContainEqual({ field: 'config.seed', a: '0000000000000001', b: '0000000000000007' });
    expect(divergence.position).toBeGreaterThan(1000);
    expect(state.registers).toContainEqual({ name: 'random', a: '0x1', b: '0x7' });
    for (const { page, address } of state.pages) expect(Math.floor(address / 4096)).toBe(page);
    const early = await json('diff', 'seed1.cvlog', 'seed7.cvlog', '--at', '@1000');
    expect(early.state.pages).toEqual([]);
  });
});

describe('the end of a run', () => {
  it('is at a position, exactly', async () => {
    const result = await json('record', '-o', 'until.cvlog', '--until', '@1_234_567', ...SYSCALL);
    expect(result).toMatchObject({ position: 1234567, end: { cause: 'until', reason: 'limit' }, exitCode: 0 });
    expect(await json('replay', 'until.cvlog')).toMatchObject({ result: 'identical', isComplete: true, position: 1234567 });
    expect((await json('run', '--until', '@0')).position).toBe(0);
  });

  it('is when a text is shown', async () => {
    expect(await json('run', '--until', 'kernel ready', '--until', 'never', ...LONG)).toMatchObject({ end: { cause: 'until', detail: 'the console showed "kernel ready"' }, exitCode: 0 });
  });

  it('says that a text was never shown', async () => {
    expect(await cli('run', '--until', 'never', ...HELLO)).toMatchObject({ status: 0, err: expect.stringContaining('before --until was reached') });
  });

  it('tells a guest that failed', async () => {
    const { status, err } = await cli('run', '--append', 'run="panic"');
    expect(status).toBe(5);
    expect(err).toContain('the guest failed: debug exit 3');
  });

  it('is in sight for a guest that waits for nobody', async () => {
    const { status, err } = await cli('record', '-o', 'waits.cvlog', '--append', 'x=1', '--idle-limit', '2');
    expect(status).toBe(8);
    expect(err).toContain('waits for input that will not come');
    expect((await cli('replay', 'waits.cvlog')).status).toBe(0);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s closes the log', async (signal, status) => {
    const file = `${signal}.cvlog`;
    const child = spawn(process.execPath, [PROGRAM, 'record', '-o', file, ...LONG], { cwd: folder, env, stdio: ['ignore', 'pipe', 'ignore'] });
    await shown(child, 'kernel ready');
    child.kill(signal);
    expect(await exitOf(child)).toBe(status);
    expect((await cli('check', file)).status).toBe(0);
    expect(await json('info', file)).toMatchObject({ isClosed: true, end: { reason: 'user', detail: `stopped by ${signal}` } });
  });

  it('by force loses what was not synced, and no more', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'record', '-o', 'killed.cvlog', '--flush-every', '0.05', ...LONG], { cwd: folder, env, stdio: ['ignore', 'pipe', 'ignore'] });
    await shown(child, 'work cpu');
    child.kill('SIGKILL');
    await exitOf(child);
    expect([4, 44, 45]).toContain((await cli('check', 'killed.cvlog')).status);
    const replayed = await cli('replay', 'killed.cvlog');
    expect(replayed).toMatchObject({ status: 4, out: expect.stringContaining('prefix identical') });
    expect([0, 16]).toContain((await cli('check', 'killed.cvlog', '--repair', 'repaired.cvlog')).status);
    expect((await cli('check', 'repaired.cvlog')).status).toBe(0);
    expect((await cli('replay', 'repaired.cvlog')).status).toBe(4);
  });
});

describe('an input script', () => {
  const script = (name: string, text: string): string => {
    writeFileSync(at(name), text);
    return name;
  };
  const PROMPT = ['--append', 'x=1', '--idle-limit', '2'];

  it('types, and the same script makes the same run', async () => {
    const file = script('types.txt', 'expect "$ "\nsend "echo gr\\xc3\\xbcn\\n"\nexpect "grün"\nsend "poweroff\\n"\n');
    const argv = ['--input', file, '--wall-clock', '0', ...PROMPT];
    const [a, b] = await Promise.all([json('record', '-o', 'typed1.cvlog', ...argv), json('record', '-o', 'typed2.cvlog', ...argv)]);
    expect(a).toMatchObject({ end: { reason: 'debug-exit' }, isScriptDone: true, exitCode: 0 });
    expect(a.digest).toBe(b.digest);
    expect((await cli('diff', 'typed1.cvlog', 'typed2.cvlog')).status).toBe(0);
    expect(await json('replay', 'typed1.cvlog')).toMatchObject({ result: 'identical', digest: a.digest });
  });

  it('sets marks, which are where the typing is', async () => {
    const file = script('marks.txt', 'expect "$ "\nmark "wörk"\nsend "work cpu\\n"\nexpect "work cpu: "\nmark "end"\nsend "poweroff\\n"\n');
    expect((await cli('record', '-o', 'marked.cvlog', '--input', file, '--wall-clock', '0', ...PROMPT)).status).toBe(0);
    const { out } = await cli('events', 'marked.cvlog', '--kind', 'mark,input', '--json');
    const rows = out.trim().split('\n').map((line) => JSON.parse(line) as { kind: string; name?: string; source?: string; position: number });
    const own = rows.filter(({ kind, source }) => kind === 'mark' && source === 'user');
    expect(own.map(({ name }) => name)).toEqual(['wörk', 'end']);
    for (const { position } of own) expect(rows).toContainEqual(expect.objectContaining({ kind: 'input', position }));
    expect((await cli('compare', 'marked.cvlog', '--phases', '--regimes', 'hw')).out).toMatch(/^ {2}wörk: @.*\n(.*\n)*.* end: @/m);
    expect((await cli('replay', 'marked.cvlog')).status).toBe(0);
  });

  it('ends the run itself', async () => {
    expect(await json('run', '--input', script('until.txt', 'until "ready"\n'), ...PROMPT)).toMatchObject({ end: { cause: 'until' }, exitCode: 0 });
  });

  it('that is not through is told', async () => {
    const file = script('stuck.txt', 'expect "never shown"\nsend "x"\n');
    const waiting = await cli('run', '--input', file, ...PROMPT);
    expect(waiting).toMatchObject({ status: 9, err: expect.stringContaining('"never shown"') });
    expect((await cli('run', '--input', file, ...HELLO)).status).toBe(9);
  });

  it('that is wrong is told, by line', async () => {
    expect(await cli('run', '--input', script('wrong.txt', '# x\nexpct "a"\n'))).toMatchObject({ status: 2, err: expect.stringContaining('line 2') });
    expect(await cli('run', '--input', script('long.txt', `mark "${'m'.repeat(256)}"`))).toMatchObject({ status: 2, err: expect.stringContaining('at most 255 bytes') });
  });
});

describe('devices', () => {
  it('a disk is read and written, and its image stays as it was', async () => {
    writeFileSync(at('disk.img'), new Uint8Array(1 << 20).fill(0x5a));
    const result = await json('record', '-o', 'disk.cvlog', '--disk', 'disk.img', '--append', 'run="disk read 0; work io; poweroff"');
    expect(result).toMatchObject({ exitCode: 0, end: { reason: 'debug-exit' } });
    expect(readFileSync(at('disk.img')).every((byte) => byte === 0x5a)).toBe(true);
    // The image is not in the log: without it there is no replay, with it there is.
    const missing = await cli('replay', 'disk.cvlog');
    expect(missing).toMatchObject({ status: 14, err: expect.stringMatching(/disk, 1048576 bytes[^]*--disk FILE/) });
    expect(await json('info', 'disk.cvlog')).toMatchObject({ images: [{ name: 'kernel' }, { name: 'disk' }] });
    expect(await json('replay', 'disk.cvlog', '--disk', 'disk.img')).toMatchObject({ result: 'identical', digest: result.digest });
    mkdirSync(at('images'));
    writeFileSync(at('images/other.img'), new Uint8Array(1 << 20).fill(0x5a));
    expect((await cli('replay', 'disk.cvlog', '--images', 'images')).status).toBe(0);
    writeFileSync(at('wrong.img'), new Uint8Array(1 << 20));
    expect(await cli('replay', 'disk.cvlog', '--disk', 'wrong.img')).toMatchObject({ status: 14, err: expect.stringContaining('SHA-256') });
  });
});

describe('bad input', () => {
  beforeAll(() => {
    writeFileSync(at('empty'), '');
    writeFileSync(at('short.elf'), readFileSync(kernel).subarray(0, 5000));
    writeFileSync(at('text'), 'no kernel\n');
    const sector = new Uint8Array(512);
    sector.set([0x55, 0xaa], 510);
    writeFileSync(at('sector'), sector);
    mkdirSync(at('a-folder'));
  });

  const kernelCases: readonly (readonly [string, string, number])[] = [
    ['nowhere.elf', 'no file', 13],
    ['a-folder', 'a folder', 13],
    ['empty', 'empty', 10],
    ['short.elf', 'truncated', 10],
    ['text', 'neither a bzImage', 10],
    ['sector', '16-bit', 10],
  ];
  // Side by side: most of their time goes into starting Node.
  it.concurrent.each(kernelCases)('the kernel %s', async (file, text, code) => {
    const { status, err, out } = await cli('record', '-o', 'bad.cvlog', '--kernel', file);
    expect(err).toContain(text);
    expect([status, out]).toEqual([code, '']);
    expect(existsSync(at('bad.cvlog'))).toBe(false);
  });

  const cases: readonly (readonly [number, string, readonly string[]])[] = [
    [2, 'record needs a name', ['record']],
    [2, 'did you mean record?', ['recrod']],
    [2, 'did you mean --seed?', ['record', '-o', 'bad.cvlog', '--sed', '1']],
    [2, '--seed "x"', ['record', '-o', 'bad.cvlog', '--seed', 'x']],
    [2, '--memory "1Q"', ['record', '-o', 'bad.cvlog', '--memory', '1Q']],
    [2, '--until "@"', ['record', '-o', 'bad.cvlog', '--until', '@']],
    [2, '--digest-every "-5"', ['record', '-o', 'bad.cvlog', '--digest-every', '-5']],
    [2, '--boot "bios"', ['record', '-o', 'bad.cvlog', '--boot', 'bios']],
    [2, 'did you mean block?', ['record', '-o', 'bad.cvlog', '--virtio', 'blok']],
    [2, 'needs an image', ['record', '-o', 'bad.cvlog', '--virtio', 'block']],
    [2, 'exclude each other', ['record', '-o', 'bad.cvlog', '--acpi', '--no-acpi']],
    [2, 'offered under the regimes hw', ['record', '-o', 'bad.cvlog', '--pv', 'kvm']],
    [2, '--pv "xen"', ['record', '-o', 'bad.cvlog', '--regime', 'hw', '--pv', 'xen']],
    [2, 'one argument too many', ['run', 'lab', 'lab']],
    [2, '--times "0"', ['replay', 'hello.cvlog', '--times', '0']],
    [2, 'did you mean exit?', ['events', 'hello.cvlog', '--kind', 'exits']],
    [2, '--reason "bogus"', ['events', 'hello.cvlog', '--reason', 'bogus']],
    [2, 'did you mean list?', ['guest', 'lst']],
    [2, 'did you mean linux?', ['guest', 'fetch', 'linus']],
    [10, '--memory', ['record', '-o', 'bad.cvlog', '--memory', '1M']],
    [11, 'did you mean "linux"?', ['record', '-o', 'bad.cvlog', 'linus']],
    [11, 'guest fetch linux', ['record', '-o', 'bad.cvlog', 'linux']],
    [12, 'exists already', ['record', '-o', 'hello.cvlog']],
    [12, 'exists already', ['check', 'hello.cvlog', '--repair', 'hello.cvlog']],
    [12, 'exists already', ['record', '-o', '/dev/full']],
    [13, 'folder', ['record', '-o', 'nowhere/bad.cvlog', ...HELLO]],
    [13, 'no file', ['replay', 'nowhere.cvlog']],
    [13, 'no file', ['record', '-o', 'bad.cvlog', '--input', 'nowhere.txt']],
    [40, 'not a Chronovisor log', ['replay', 'text']],
    [40, 'not a Chronovisor log', ['info', 'text']],
  ];
  it.concurrent.each(cases)('exits with %i and says "%s"', async (code, text, argv) => {
    const before = statSync(at('hello.cvlog'));
    const { status, err, out } = await cli(...argv);
    expect(err).toContain(text);
    expect(err).not.toContain('this is a bug');
    expect([status, out]).toEqual([code, '']);
    expect(existsSync(at('bad.cvlog'))).toBe(false);
    expect(statSync(at('hello.cvlog')).mtimeMs).toBe(before.mtimeMs);
  });

  it('is JSON too, if asked for', async () => {
    expect(await json('events', 'hello.cvlog', '--csv')).toMatchObject({ error: { code: 'usage' }, exitCode: 2 });
    expect(await json('replay', 'nowhere.cvlog')).toMatchObject({ error: { code: 'file-missing' }, exitCode: 13 });
    expect(await json('record', '-o', 'hello.cvlog')).toMatchObject({ error: { code: 'output-exists' }, exitCode: 12 });
    expect(await json('check', 'text')).toMatchObject({ isSound: false, problems: [{ code: 'LOG_NOT_A_LOG' }], exitCode: 40 });
  });

  it('a folder that cannot be written', async () => {
    // Root may write everywhere, except into /proc.
    const { status, err } = await cli('record', '-o', '/proc/bad.cvlog', ...HELLO);
    expect(status).toBe(13);
    expect(err).toContain('/proc/bad.cvlog');
  });
});

describe('damaged logs', () => {
  const whole = (): Buffer => readFileSync(at('work.cvlog'));

  it('cut in a block: the prefix replays, the repair says what is lost', async () => {
    writeFileSync(at('torn.cvlog'), whole().subarray(0, whole().length - 600));
    expect((await cli('check', 'torn.cvlog')).status).toBe(45);
    expect(await cli('replay', 'torn.cvlog')).toMatchObject({ status: 4, out: expect.stringContaining('prefix identical'), err: expect.stringContaining('ends inside a block') });
    expect((await json('info', 'torn.cvlog')).torn.code).toBe('LOG_TORN');
    const repaired = await json('check', 'torn.cvlog', '--repair', 'mended.cvlog');
    expect(repaired).toMatchObject({ isLossy: true, isTruncated: true, exitCode: 16, problems: [{ code: 'LOG_TORN' }] });
    expect(repaired.kept.records + repaired.lost.records).toBe((await json('info', 'work.cvlog')).records);
    expect((await cli('check', 'mended.cvlog')).status).toBe(0);
    expect((await cli('replay', 'mended.cvlog')).status).toBe(4);
    expect(readFileSync(at('torn.cvlog')).equals(whole().subarray(0, whole().length - 600))).toBe(true);
  });

  it('cut in the footer: nothing is lost', async () => {
    writeFileSync(at('footless.cvlog'), whole().subarray(0, whole().length - 10));
    expect((await cli('check', 'footless.cvlog')).status).toBe(44);
    expect(await cli('replay', 'footless.cvlog')).toMatchObject({ status: 0 });
    expect(await cli('check', 'footless.cvlog', '--repair', 'footed.cvlog')).toMatchObject({ status: 0, out: expect.stringContaining('lost: nothing') });
    expect((await cli('diff', 'work.cvlog', 'footed.cvlog')).status).toBe(0);
  });

  it('a flipped byte is found and placed', async () => {
    const bytes = whole();
    const offset = bytes.length - 700;
    bytes[offset] ^= 1;
    writeFileSync(at('flipped.cvlog'), bytes);
    const { problems, exitCode } = await json('check', 'flipped.cvlog');
    expect(exitCode).toBe(43);
    expect(problems).toHaveLength(1);
    expect(offset).toBeGreaterThanOrEqual(problems[0].offset);
    expect(offset).toBeLessThan(problems[0].offset + problems[0].length);
    expect((await cli('replay', 'flipped.cvlog')).status).toBe(43);
  });

  it('a newer one is not called damaged, and not repaired', async () => {
    const bytes = whole();
    bytes[8] = 9;
    const end = HEADER_FIXED_BYTES + bytes.readUInt32LE(12);
    bytes.writeUInt32LE(crc32c(bytes, HEADER_FIXED_BYTES, end, crc32c(bytes, 0, 16)), 16);
    writeFileSync(at('newer.cvlog'), bytes);
    for (const argv of [['replay'], ['info'], ['check'], ['check', '--repair', 'older.cvlog']]) {
      const { status, out, err } = await cli(argv[0], 'newer.cvlog', ...argv.slice(1));
      expect(status).toBe(41);
      expect(out + err).toContain('newer Chronovisor');
    }
    expect(existsSync(at('older.cvlog'))).toBe(false);
  });

  it('a changed event diverges', async () => {
    // The same events under another seed: the log is intact, but not of this run.
    const bytes = readFileSync(at('seed1.cvlog'));
    const end = HEADER_FIXED_BYTES + bytes.readUInt32LE(12);
    const text = bytes.toString('latin1', 0, end);
    const seed = text.indexOf('"seed":"0000000000000001"');
    expect(seed).toBeGreaterThan(0);
    bytes[seed + '"seed":"0000000000000001'.length - 1] = 0x32;
    bytes.writeUInt32LE(crc32c(bytes, HEADER_FIXED_BYTES, end, crc32c(bytes, 0, 16)), 16);
    writeFileSync(at('changed.cvlog'), bytes);
    const { status, out } = await cli('replay', 'changed.cvlog');
    expect(status).toBe(3);
    expect(out).toMatch(/divergence at @\d+, event \d+\nexpected: @\d+ .*\nactual: {3}@\d+/);
    expect(await json('replay', 'changed.cvlog')).toMatchObject({ result: 'diverged', divergence: { position: expect.any(Number) }, exitCode: 3 });
  });
});

describe('a full disk', () => {
  const mountPoint = at('small');
  let isMounted = false;

  beforeAll(() => {
    mkdirSync(mountPoint);
    isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=140k', 'tmpfs', mountPoint], { stdio: 'ignore' }).status === 0;
  });
  afterAll(() => {
    if (isMounted) spawnSync('umount', ['-l', mountPoint]);
  });

  it('is told; what is there is kept, unless nothing is', async (context) => {
    // Only root can mount.
    if (!isMounted) context.skip();
    const { status, err } = await cli('record', '-o', 'small/full.cvlog', '--append', 'run="work io; work io; poweroff"');
    expect(status).toBe(49);
    expect(err).toContain('no space left');
    expect(err).toContain('keeps what was written');
    expect(statSync(at('small/full.cvlog')).size).toBeGreaterThan(100_000);
    expect((await cli('replay', 'small/full.cvlog')).status).toBe(4);
    const early = await cli('record', '-o', 'small/none.cvlog', ...HELLO);
    expect(early).toMatchObject({ status: 49, err: expect.stringContaining('left behind') });
    expect((await cli('check', 'hello.cvlog', '--repair', 'small/none.cvlog')).status).toBe(49);
    expect(readdirSync(mountPoint)).toEqual(['full.cvlog']);
  });
});

describe('help', () => {
  it('is there for every verb', async () => {
    const { status, out } = await cli('help');
    expect(status).toBe(0);
    const verbs = Object.keys(VERBS);
    const helps = await Promise.all(verbs.map((verb) => cli(verb, '--help')));
    verbs.forEach((verb, i) => {
      expect(out).toContain(`  ${verb} `);
      expect(helps[i].out.startsWith(`chronovisor ${verb} `)).toBe(true);
    });
    expect((await cli('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(await cli()).toMatchObject({ status: 2, out: '' });
  });

  it('lists the guests', async () => {
    const { guests } = await json('guest', 'list');
    expect(guests).toContainEqual(expect.objectContaining({ name: 'lab', state: 'ready' }));
    expect(guests).toContainEqual(expect.objectContaining({ name: 'linux', state: 'to be fetched' }));
    expect((await cli('guest', 'list')).out).toContain('bug-lost-update');
  });
});

/** Resolves when a child's stdout has shown a text. */
function shown(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let out = '';
    child.stdout?.on('data', (chunk) => {
      out += String(chunk);
      if (out.includes(text)) resolve();
    });
    child.on('exit', () => reject(new Error(`ended without showing "${text}": ${out}`)));
  });
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode);
    else child.on('exit', (code) => resolve(code));
  });
}
