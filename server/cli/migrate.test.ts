/** `dirty` and `migrate` as people meet them, on the lab's recording. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wallTime } from '../../engine/analysis/migration/quantities.ts';
import { parseBandwidth, parseDuration } from './quantities.ts';
import { cli } from './testing.ts';

const trace = join(fileURLToPath(new URL('../..', import.meta.url)), 'traces', 'lab-kernel.cvlog');
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-migrate-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  expect((await cli('record', 'lab', '-q', '-o', at('mem.cvlog'), '--wall-clock', '1700000000000000000', '--append', 'run="work mem; poweroff"')).status).toBe(0);
}, 60_000);

async function json(...argv: string[]): Promise<any> {
  const { out, status, err } = await cli(...argv, '--json');
  expect(status, err).toBe(0);
  return JSON.parse(out);
}

it('quantities', () => {
  expect(['1Gbit', '100Mbit/s', '2.5Gbitps', '128MiB', '10MB/s'].map(parseBandwidth)).toEqual([125e6, 12.5e6, 312.5e6, 134217728, 1e7]);
  expect(['1', 'Gbit', '0Gbit', '-1Gbit', '1 Tbit'].map(parseBandwidth)).toEqual([undefined, undefined, undefined, undefined, undefined]);
  expect(['300ms', '100us', '2s', '1.5min', '0'].map(parseDuration)).toEqual([3e8, 1e5, 2e9, 9e10, 0]);
  expect(['300', 'ms', '-1s'].map(parseDuration)).toEqual([undefined, undefined, undefined]);
  expect([99_400, 999, 1500, 3_660_000].map(wallTime)).toEqual(['1m39s', '999 ms', '1.50 s', '1h01m']);
});

describe('dirty', () => {
  it('sums agree with the dirty sets of the log', async () => {
    const { out } = await cli('events', trace, '--kind', 'dirty', '--json');
    const sets = out.trim().split('\n').map((line) => JSON.parse(line) as { pages: number[] });
    const report = await json('dirty', trace, '--window', '0ns,1ms', '--working-set', '100ms');
    expect(report).toMatchObject({ from: 'log', memoryPages: 16_384, epochs: sets.length, firstWrites: sets.reduce((sum, { pages }) => sum + pages.length, 0), pages: new Set(sets.flatMap(({ pages }) => pages)).size });
    expect(report.windows[0]).toMatchObject({ atLeast: 0, isExact: false });
    expect(report.workingSets[0].most).toBeLessThanOrEqual(report.pages);
  });

  it('a replay is exact where the log has bounds, draws, and writes a series that migrate reads', async () => {
    const window = '@75000000,2ms';
    const [log, replay] = [await json('dirty', trace, '--window', window), await json('dirty', trace, '--replay', '--epoch', '2ms', '--window', window, '--heat', at('heat.svg'), '--csv', at('series.csv'))];
    expect(log.windows[0].isExact).toBe(false);
    expect(replay.windows[0].isExact).toBe(true);
    expect(replay.windows[0].atLeast).toBeGreaterThan(log.windows[0].atLeast);
    expect(replay.windows[0].atLeast).toBeLessThanOrEqual(log.windows[0].atMost);
    expect(replay.pages).toBe(log.pages);
    expect(readFileSync(at('heat.svg'), 'utf8')).toMatch(/^<svg[^]*<path[^]*<\/svg>\n$/);
    const own = ['migrate', '--bandwidth', '100Mbit', '--samples', '2', '--after-end', 'idle'];
    const series = await json(...own, '--series', at('series.csv'));
    expect(series).toMatchObject({ from: 'series', predictions: [{ policy: 'qemu-7.2', converges: true, ram: { total: 67_108_864, duplicate: 0, pageSize: 4096 } }] });
    expect((await cli('dirty', trace, '--heat', at('heat.svg'))).status).toBe(12);
  });
});

describe('what only a replay tells', () => {
  it('who dirties, by function and task; reads, writes that change nothing, and how short pages get', async () => {
    const report = await json('dirty', at('mem.cvlog'), '--epoch', '2ms', '--who', '--pages');
    expect(report.who.byFunction.map(({ name }: { name: string }) => name)).toContain('memset');
    expect(report.who.byTask.map(({ name }: { name: string }) => name)).toContain('work-2');
    const { content } = report;
    expect(content.writes).toBe(report.firstWrites);
    for (const name of ['writes', 'unchanged', 'reads', 'zero']) expect(content.pages.reduce((sum: number, row: Record<string, number>) => sum + row[name], 0), name).toBe(content[name]);
    expect(content.unchanged).toBeGreaterThan(0);
    expect(content.unchanged).toBeLessThan(content.writes);
    expect(content.reads).toBeGreaterThan(content.writes);
    expect(content.compressedBytes).toBeLessThan(4096);
  });
});

describe('migrate', () => {
  it('names what query-migrate and domjobinfo name', async () => {
    const { out, status } = await cli('migrate', trace, '--bandwidth', '10Mbit', '--samples', '3', '--give-up', '20s', '--rounds');
    expect(status).toBe(0);
    for (const word of ['total time', 'downtime', 'setup time', 'transferred', 'remaining', 'duplicate (zero)', 'normal', 'dirty sync count', 'dirty pages rate', 'throughput', 'page size', 'round by round', 'open loop', 'exact for a guest that does not react']) {
      if (word !== 'open loop') expect(out).toContain(word);
    }
    expect(out).toMatch(/note: the migration outlasts the recording/);
    expect(out).toMatch(/note: the migration begins at power-on, when 99 % of the memory are zeros/);
    const { predictions } = await json('migrate', trace, '--bandwidth', '10Mbit', '--samples', '3', '--give-up', '20s');
    expect(Object.keys(predictions[0].ram)).toEqual(
      expect.arrayContaining(['transferred', 'remaining', 'total', 'duplicate', 'normal', 'normalBytes', 'dirtyPagesRate', 'mbps', 'dirtySyncCount', 'postcopyRequests', 'pageSize', 'multifdBytes', 'pagesPerSecond', 'precopyBytes', 'downtimeBytes', 'postcopyBytes']),
    );
  });

  it('all policies, a table, the frontier, the best start', async () => {
    const all = await json('migrate', trace, '--bandwidth', '50Mbit', '--policy', 'all', '--samples', '1', '--give-up', '30s');
    expect(all.predictions.length).toBe(16);
    expect(new Set(all.predictions.map(({ exactness }: { exactness: string }) => exactness))).toEqual(new Set(['open loop', 'approximate']));
    const { table } = await json('migrate', trace, '--table', '--bandwidth', '1Mbit,100Mbit', '--downtime', '1ms,300ms', '--samples', '1', '--give-up', '20s');
    expect(table.length).toBe(4);
    const { frontier } = await json('migrate', trace, '--frontier', '--downtime', '300ms', '--give-up', '10s');
    expect(frontier[0].bytesPerSecond).toBeGreaterThan(0);
    const { starts } = await json('migrate', trace, '--bandwidth', '20Mbit', '--best-start', '--starts', '5', '--samples', '1', '--after-end', 'idle');
    expect(starts.length).toBe(5);
    expect(starts[0].outcome.totalTimeMs).toBeLessThanOrEqual(starts[4].outcome.totalTimeMs);
  });

  it('a closed loop: the guest runs again and reacts, beside the answer of one that does not; its branch replays', async () => {
    const report = await json('migrate', at('mem.cvlog'), '--bandwidth', '400Mbit', '--start', '50%', '--policy', 'post-copy', '--speed', '0.1', '--samples', '0', '--closed-loop', '-o', at('slow.cvlog'));
    const { predictions, closedLoop } = report;
    expect(predictions[0].exactness).toBe('approximate');
    expect(closedLoop).toMatchObject([{ policy: 'post-copy', outcome: { exactness: 'closed loop', converges: true, ram: { total: 67_108_864 } } }]);
    expect(closedLoop[0].outcome.ram.postcopyRequests).toBeGreaterThan(10);
    expect(closedLoop[0].stalledNs).toBeGreaterThan(0);
    const replay = await json('replay', at('slow.cvlog'));
    expect(replay).toMatchObject({ result: 'identical', digest: closedLoop[0].log.digest });
    const stalls = (await cli('events', at('slow.cvlog'), '--kind', 'input', '--json')).out.trim().split('\n').map((line) => JSON.parse(line)).filter(({ input }) => input?.kind === 'stall');
    expect(stalls.length).toBeGreaterThanOrEqual(10);
  });

  it('says what is wrong and what would be right', async () => {
    writeFileSync(at('wrong.csv'), 'time_s,page\n1,two\n');
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['migrate', trace], /give --bandwidth/],
      [['migrate', '--bandwidth', '1Gbit'], /give a recording, or --series/],
      [['migrate', trace, '--bandwidth', 'fast'], /--bandwidth "fast": expected a bandwidth such as 1Gbit/],
      [['migrate', trace, '--bandwidth', '1Gbit', '--downtime', '300'], /--downtime "300": expected a duration/],
      [['migrate', trace, '--bandwidth', '1Gbit', '--policy', 'qemu'], /--policy "qemu"/],
      [['migrate', trace, '--bandwidth', '1Gbit', '--start', '@999999999999'], /--start "@999999999999": expected a moment of what is known/],
      [['migrate', trace, '--bandwidth', '1Gbit', '--start', 'mark:nowhere'], /a mark of the recording/],
      [['migrate', trace, '--bandwidth', '1Gbit,2Gbit'], /several bandwidths are for --table/],
      [['migrate', trace, '--bandwidth', '1Gbit', '--speed', '0'], /--speed "0"/],
      [['migrate', trace, '--bandwidth', '1Gbit', '--logging-cost', '2us'], /--logging-cost needs --closed-loop/],
      [['migrate', trace, '--table', '--closed-loop'], /--closed-loop does not go with --table/],
      [['migrate', trace, '--bandwidth', '1Gbit', '--policy', 'all', '--closed-loop', '-o', at('x.cvlog')], /-o keeps the branch of one policy/],
      [['migrate', trace, '--bandwidth', '1Gbit', '-o', at('x.cvlog')], /-o is for --closed-loop/],
      [['migrate', trace, '--bandwidth', '1Gbit', '--epoch', '1ms'], /--epoch needs --replay/],
      [['migrate', trace, '--series', at('wrong.csv'), '--bandwidth', '1Gbit'], /takes the place of FILE/],
      [['migrate', '--series', at('wrong.csv'), '--bandwidth', '1Gbit'], /wrong\.csv: line 2: "two" is no page/],
      [['dirty', trace, '--window', '5ms'], /--window "5ms": expected T0,DT/],
      [['dirty', trace, '--symbols', 'vmlinux'], /--symbols needs --who/],
      [['dirty', '--series', at('wrong.csv'), '--who'], /a series cannot be replayed/],
    ];
    for (const [argv, pattern] of cases) {
      const { status, err } = await cli(...argv);
      expect(err, argv.join(' ')).toMatch(pattern);
      expect(status, argv.join(' ')).toBe(2);
    }
  });
});
