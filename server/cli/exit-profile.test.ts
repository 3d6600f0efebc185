/**
 * `import`, `stat`, `profile` and `export` as people meet them: on the recordings that come with the lab.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { PROGRAM, cli } from './testing.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const trace = join(root, 'traces', 'lab-kernel.cvlog');
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-profile-'));
process.chdir(folder);
const at = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function json(...argv: string[]): Promise<any> {
  const { out, status, err } = await cli(...argv, '--json');
  expect(status, err).toBe(0);
  return JSON.parse(out);
}

const recording = LogReader.open(new MemorySource(new Uint8Array(readFileSync(trace))));
const exits = recording.counts.exit;
/** The kernel that was recorded: it is in the log. */
const elf = at('kernel.elf');
const TABLE = [
  'Analyze events for all VMs, all VCPUs:', '', '             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time ', '',
  '                 HLT        100    33.33%    97.09%      0.63us  17539.26us   1000.00us ( +-   0.61% )', '       EPT_VIOLATION        200    66.67%     2.91%      0.78us     87.94us     15.00us ( +-  99.26% )', 'what is this',
  '', 'Total Samples:300, Total events handled time:103000.00us.', '',
].join('\n');
const TRACE = Array.from({ length: 50 }, (_, i) => [
  `  CPU 0/KVM-17 [001] ${100 + i}.000000: kvm_exit:             reason IO_INSTRUCTION rip 0x40359f info ${i.toString(16)} 0`,
  `  CPU 0/KVM-17 [001] ${100 + i}.000002: kvm_pio:              pio_write at 0x3f8 size 1 count 1 val 0x41`,
  `  CPU 0/KVM-17 [001] ${100 + i}.000007: kvm_entry:            vcpu 0`,
]).flat().join('\n');

beforeAll(() => {
  writeFileSync(elf, recording.image(recording.header.images[0].sha256) ?? new Uint8Array());
  writeFileSync(at('table.txt'), TABLE);
  writeFileSync(at('trace.txt'), TRACE);
  writeFileSync(at('perf.data'), 'PERFILE2\x68\0\0\0');
  writeFileSync(at('trace.dat'), Buffer.from('\x17\x08Dtracing6\0', 'latin1'));
  writeFileSync(at('trace.txt.gz'), gzipSync(TRACE));
  writeFileSync(at('prose.txt'), 'Dear all,\nnothing here.\n');
});

describe('stat and profile of a recording', () => {
  it('count every exit without a regime, and have no costs', async () => {
    const found = await json('stat', trace);
    expect(found.exits).toBe(exits);
    expect(found.rows.reduce((sum: number, row: any) => sum + row.count, 0)).toBe(exits);
    expect(found.rows.every((row: any) => row.cost === undefined)).toBe(true);
    const { out } = await cli('stat', trace);
    expect(out).toMatch(/^ +io +\d+_\d+ +\d+\.\d\d% /m);
    expect(out).toContain('sleep, kept apart from work:');
  });

  it('have costs with a range under a regime, an option of it and another CPU', async () => {
    const found = await json('stat', trace, '--regime', 'hw');
    expect(found.unit).toBe('cycles');
    expect(found.work.low).toBeLessThanOrEqual(found.work.typical);
    expect(found.work.typical).toBeLessThanOrEqual(found.work.high);
    expect(found.rows.find((row: any) => row.label === 'IO_INSTRUCTION').cost.total).toBeGreaterThan(0);
    const { out } = await cli('stat', trace, '--regime', 'kvm-qemu');
    expect(out).toMatch(/HANDLED BY[\s\S]*device model/);
    expect(out).toContain('cycles an instruction');
  });

  it('know phases, devices, functions and stacks', async () => {
    const found = await json('profile', trace, '--symbols', elf, '--regime', 'hw');
    expect(found.by.phase.filter((row: any) => !row.isIdle).map((row: any) => row.label).slice(0, 3)).toEqual(['start', 'work cpu', 'work syscall']);
    expect(found.by.device.map((row: any) => row.label)).toContain('uart');
    expect(found.by.function.map((row: any) => row.label)).toContain('uart_write');
    const { out } = await cli('profile', trace, '--symbols', elf, '--regime', 'hw', '--folded');
    const lines = out.trimEnd().split('\n');
    expect(lines.some((line) => /^work io;uart_write;IO_INSTRUCTION;port 0x3f8 uart \d+$/.test(line))).toBe(true);
    expect(lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)).toBe(found.work.typical);
    expect((await cli('profile', trace, '--by', 'port,time', '--top', '2')).out).toMatch(/PORT[\s\S]* more with [\s\S]*TIME/);
  });

  it('know tasks and call stacks from a replay: as tables, folded, and as a flame graph', async () => {
    const found = await json('profile', trace, '--by', 'task,stack', '--regime', 'hw');
    const plain = await json('stat', trace, '--regime', 'hw');
    for (const rows of [found.by.task, found.by.stack]) {
      expect(rows.reduce((sum: number, row: any) => sum + row.count, 0)).toBe(plain.exits);
      expect(rows.filter((row: any) => !row.isIdle).reduce((sum: number, row: any) => sum + row.cost.total, 0)).toBeCloseTo(plain.work.typical, 3);
    }
    const uart = found.by.stack[0];
    expect(uart.frames.slice(1)).toEqual(['[syscall]', 'syscall_entry', 'syscall_dispatch', 'tty_write', 'tty_output', 'uart_write']);
    const flame = await json('profile', trace, '--flame', 'flame.svg', '--regime', 'hw');
    const svg = readFileSync(at('flame.svg'), 'utf8');
    expect([flame.bytes, svg.includes('<title>uart_write: ')]).toEqual([Buffer.byteLength(svg), true]);
    expect((await cli('profile', trace, '--flame', 'flame.svg')).status).toBe(12);
  }, 120_000);

  it.each([
    [['stat', trace, '--regime', 'nonsense'], 17, 'nonsense'],
    [['stat', trace, '--cpu', 'haswell'], 2, '--cpu needs --regime'],
    [['profile', trace, '--by', 'function'], 2, '--symbols'],
    [['profile', trace, '--by', 'fun'], 2, 'function'],
    [['profile', trace, '--folded', '--json'], 2, 'excludes'],
    [['profile', trace, '--folded', '--flame', 'x'], 2, 'excludes'],
    [['profile', trace, '--flame', trace, '--force'], 2, 'what is read'],
    [['profile', trace, '--images', '.'], 2, '--replay'],
    [['profile', 'trace.txt', '--replay'], 2, 'is for recordings'],
    [['profile', trace, '--symbols', join(root, 'package.json')], 2, 'System.map'],
    [['stat', 'absent.cvlog'], 13, 'absent.cvlog'],
    [['stat', 'prose.txt'], 18, 'chronovisor import'],
    [['stat', 'trace.txt'], 18, 'chronovisor import trace.txt'],
    [['import', 'prose.txt', '-o', 'prose.json'], 18, 'Dear all'],
    [['import', 'perf.data'], 18, 'perf script -i perf.data'],
    [['import', 'trace.dat'], 18, 'trace-cmd report -i trace.dat'],
    [['import', 'trace.txt.gz'], 18, 'compressed'],
    [['import', trace], 18, 'chronovisor stat'],
    [['export', trace, '--format', 'pprof'], 2, '-o OUT'],
    [['export', trace, '--format', 'xml', '-o', 'x'], 2, 'xml'],
    [['export', trace, '--format', 'csv', '-o', 'x', '--regime', 'hw'], 2, '--regime'],
  ] as const)('%j exits with %i', async (argv, status, text) => {
    const result = await cli(...argv);
    expect([result.status, result.err]).toEqual([status, expect.stringContaining(text)]);
    expect(readdirSync(folder).filter((name) => /^(x|prose\.json)$/.test(name))).toEqual([]);
  });
});

describe('import', () => {
  it('reads stdin', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, 'import', '-', '-o', 'piped.json'], { cwd: folder, input: TRACE, encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^stdin: trace-cmd report, 150 lines, 50 exits$/m);
    expect(JSON.parse(readFileSync(at('piped.json'), 'utf8')).exits.rows).toHaveLength(50);
    expect(spawnSync(process.execPath, [PROGRAM, 'import', '-'], { cwd: folder, input: '', encoding: 'utf8' })).toMatchObject({ status: 18, stderr: expect.stringContaining('0 lines') as string });
  });

  it('makes a file of a trace that stat, profile and export read', async () => {
    const report = await json('import', 'trace.txt', '-o', 'trace.json');
    expect(report).toMatchObject({ kind: 'trace', lines: 150, notUnderstood: 0, exits: 50, pairs: { exits: 50, entries: 50 } });
    const file = JSON.parse(readFileSync(at('trace.json'), 'utf8'));
    expect(file.exits.rows).toHaveLength(50);
    expect(file.exits.rows[0]).toEqual([100e9, 7000, 17, 0, 'IO_INSTRUCTION', '0x40359f', '0x0', 'port 0x3f8']);
    const stat = await json('stat', 'trace.json');
    expect(stat.rows).toEqual([expect.objectContaining({ label: 'IO_INSTRUCTION', count: 50, cost: expect.objectContaining({ total: 350_000, mean: 7000 }) })]);
    expect((await cli('profile', 'trace.json', '--by', 'device')).out).toContain('uart');
    expect((await cli('profile', 'trace.json', '--by', 'task')).err).toContain('which can be replayed');
    expect((await cli('profile', 'trace.json', '--flame', 'trace.svg')).out).toContain('a flame graph of exits');
    expect((await cli('profile', 'trace.json', '--folded')).out).toBe('vcpu 0;[user];IO_INSTRUCTION;port 0x3f8 uart 350000\n');
    expect((await cli('export', 'trace.json', '--format', 'speedscope', '-o', 'trace.speedscope.json')).status).toBe(0);
    expect((await cli('export', 'trace.json', '--format', 'perfetto', '-o', 'no')).status).toBe(2);
    expect((await cli('stat', 'trace.json', '--regime', 'hw')).err).toContain('is for recordings');
  });

  it('shows what it did not understand, and writes nothing over', async () => {
    const first = await cli('import', 'table.txt', '-o', 'table.json');
    expect([first.status, first.err]).toEqual([0, expect.stringContaining('1 of 9 lines were not understood:\n  7: what is this')]);
    expect((await cli('stat', 'table.json')).out).toMatch(/EPT_VIOLATION +200 +100\.00% +100\.00%[\s\S]*sleep, kept apart[\s\S]*HLT +100/);
    const before = readFileSync(at('table.json'), 'utf8');
    expect((await cli('import', 'trace.txt', '-o', 'table.json')).status).toBe(12);
    expect(readFileSync(at('table.json'), 'utf8')).toBe(before);
    writeFileSync(at('broken.json'), before.slice(0, -40));
    expect((await cli('stat', 'broken.json')).status).toBe(18);
    writeFileSync(at('other.json'), before.replace('"count":200', '"count":"200"'));
    expect((await cli('stat', 'other.json')).err).toContain('profile.by.reason');
  });
});

describe('export', () => {
  it('writes every format, nothing over, and all of it with --force', async () => {
    for (const format of ['perfetto', 'chrome', 'csv', 'parquet', 'speedscope', 'pprof']) {
      const made = await json('export', trace, '--format', format, '-o', `out.${format}`);
      expect(made.bytes).toBe(readFileSync(at(`out.${format}`)).length);
      expect(made.bytes).toBeGreaterThan(1000);
    }
    expect(readFileSync(at('out.csv'), 'utf8').split('\n').filter((line) => line.split(',')[3] === 'exit')).toHaveLength(exits);
    writeFileSync(at('out.pprof'), 'mine');
    const refused = await cli('export', trace, '--format', 'pprof', '-o', 'out.pprof');
    expect([refused.status, refused.err]).toEqual([12, expect.stringContaining('--force')]);
    expect(readFileSync(at('out.pprof'), 'utf8')).toBe('mine');
    // What is read is never replaced, by whatever name it is called, and no recording is.
    await json('import', 'trace.txt', '-o', 'again.json');
    copyFileSync(trace, at('own.cvlog'));
    symlinkSync(at('own.cvlog'), at('link.cvlog'));
    for (const [source, name, why] of [['own.cvlog', 'own.cvlog', 'is what is read'], ['own.cvlog', 'link.cvlog', 'is what is read'], [trace, 'own.cvlog', 'is a recording'], ['again.json', 'again.json', 'is what is read']]) {
      expect(await cli('export', source, '--format', 'pprof', '-o', name, '--force')).toMatchObject({ status: 2, err: expect.stringContaining(why) as string });
    }
    expect(await cli('profile', trace, '--flame', 'own.cvlog', '--force')).toMatchObject({ status: 2, err: expect.stringContaining('is a recording') as string });
    expect(readFileSync(at('own.cvlog')).equals(readFileSync(trace))).toBe(true);
    // What fails leaves the old file alone, and no other.
    expect((await cli('export', 'table.txt', '--format', 'csv', '-o', 'out.pprof', '--force')).status).toBe(2);
    expect(readFileSync(at('out.pprof'), 'utf8')).toBe('mine');
    expect((await cli('export', trace, '--format', 'pprof', '-o', 'out.pprof', '--force')).status).toBe(0);
    expect(readFileSync(at('out.pprof')).length).toBeGreaterThan(1000);
    expect(readdirSync(folder).filter((name) => name.includes('.part-'))).toEqual([]);
  });
});
