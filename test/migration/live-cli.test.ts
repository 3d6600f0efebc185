/** `migrate --live` and `--listen` as people meet them: two commands, a TCP connection between them, three logs. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Recorder } from '../../engine/recording/recorder.ts';
import { cli, json } from '../../server/cli/testing.ts';
import { receive } from '../../server/migration/destination.ts';
import { type Duplex, LinkError, listenAt, memoryPipe } from '../../server/migration/duplex.ts';
import { destinationFiles, sourceFiles } from '../../server/migration/journal.ts';
import { GO } from '../../server/migration/messages.ts';
import { Guest, VirtualPace } from '../../server/migration/pace.ts';
import { migrate } from '../../server/migration/source.ts';
import { sourceMayRun } from '../../server/migration/verdict.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { FileSink } from '../../server/store/files.ts';
import { FAULT_GUEST } from './live-fault-draws.ts';
import { digestAt } from './live-guests.ts';
import { freePort, listening } from './live-sides.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-live-'));
process.chdir(folder);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  expect((await cli('record', '-q', '-o', 'run.cvlog', '--wall-clock', '1700000000000000000', '--append', 'run="work mixed; poweroff"', '--until', '@12500000')).status).toBe(0);
}, 60_000);

// Rounds, then pages on demand; each alone: live.test.ts.
for (const policy of ['hybrid']) {
  it(`${policy}: the guest goes on in the other process, and the chain replays`, async () => {
    const port = await freePort();
    const arrived = json('migrate', '--listen', String(port), '-o', `${policy}.cvlog`, '--until', '@15000000');
    await listening(port);
    const left = await json('migrate', '--live', 'run.cvlog', '--to', `127.0.0.1:${port}`, '-o', `${policy}-source.cvlog`, '--policy', policy, '--bandwidth', '200Mbit', '--prediction', `${policy}.json`, '-q');
    const there = await arrived;
    expect(left).toMatchObject({ result: 'moved', isConfirmed: true, digest: there.digestAtArrival, measured: { ram: { total: 67_108_864, pageSize: 4096 } } });
    expect(left.measured.ram.normal).toBeGreaterThan(10);
    expect(JSON.parse(readFileSync(`${policy}.json`, 'utf8')).outcome.ram.total).toBe(67_108_864);
    expect(there).toMatchObject({ log: { parent: { logId: left.log.id } } });
    // Three logs: before, at the source, at the destination.
    expect(await json('replay', `${policy}.cvlog`)).toMatchObject({ result: 'identical', isComplete: true, digest: there.end.digest });
    expect(existsSync(`${policy}.cvlog.arriving`)).toBe(false);
    // The source has it no more.
    const again = await cli('migrate', '--live', `${policy}-source.cvlog`, '--to', `127.0.0.1:${port}`, '-o', 'twice.cvlog');
    expect([again.status, again.err]).toEqual([2, expect.stringContaining('was handed over to another side')]);
  }, 60_000);
}

it('in doubt: --resolve says who has the guest, and sends the pages that are missing from a replay of the log', async () => {
  const live = FAULT_GUEST;
  const log = new FileSink('doubt-source.cvlog', '-o');
  const recorder = new Recorder({ ...live, module: loadCore(), log: { sink: log, id: 'doubt-source', product: 'test' } });
  const guest = new Guest(recorder);
  guest.runTo(200_000);
  const [here, there] = memoryPipe();
  // The link goes with GO.
  const cut: Duplex = { ...here, write: async (bytes) => (bytes[0] === GO ? Promise.reject(new LinkError('cut')) : here.write(bytes)) };
  const files = destinationFiles('doubt.cvlog');
  const [source, destination] = await Promise.all([
    migrate({ guest, link: cut, pace: new VirtualPace(1), files: sourceFiles('doubt-source.cvlog'), migration: 'doubt', to: 'there', policy: 'postcopy', downtimeLimitMs: 1, bytesPerSecond: Infinity }),
    receive(there, { files, module: loadCore(), childId: 'doubt-child' }),
  ]);
  log.close();
  expect([source.kind, destination.kind]).toEqual(['paging', 'in-doubt']);

  // Both processes are gone; their disks are not.
  const port = await freePort();
  const arrived = json('migrate', '--listen', String(port), '-o', 'doubt.cvlog', '--until', '@1000000');
  await listening(port);
  const resolved = await json('migrate', '--resolve', 'doubt-source.cvlog', '--to', `127.0.0.1:${port}`, '--bandwidth', '8Mbit');
  // Slowly: the guest is where it is to stop before all of its pages are there.
  expect(resolved).toMatchObject({ verdict: 'handed-over', migration: 'doubt' });
  expect(resolved.pagesSent).toBeGreaterThan(10);
  const { end, position } = await arrived;
  expect(position).toBe(1_000_000);
  expect(end.digest).toBe(digestAt(live, 1_000_000));
  expect(await json('replay', 'doubt.cvlog')).toMatchObject({ result: 'identical', digest: end.digest });
}, 60_000);

it('Ctrl-C gives the migration up: the guest goes on here, and its log replays', async () => {
  const server = await listenAt('127.0.0.1', 0);
  const files = destinationFiles('cancelled-child.cvlog');
  const there = server.accept().then((link) => receive(link, { files, module: loadCore(), childId: 'cancelled-child' }));
  const left = json('migrate', '--live', 'run.cvlog', '--to', `127.0.0.1:${server.port}`, '-o', 'cancelled.cvlog', '--bandwidth', '1Mbit', '--speed', '0.01', '--until', '@14000000', '--samples', '0', '-q');
  // As a terminal's Ctrl-C would, once pages are on their way.
  while (files.intent.read()?.state !== 'receiving') await new Promise((resolve) => setTimeout(resolve, 20));
  (process.listeners('SIGINT').at(-1) as () => void)();
  const here = await left;
  expect(here).toMatchObject({ exitCode: 22, result: 'kept', reason: 'cancelled by SIGINT', measured: { converges: false }, end: { kind: 'ended', reason: 'limit' } });
  expect(here.log.position).toBeGreaterThanOrEqual(14_000_000);
  expect(await there).toMatchObject({ kind: 'discarded', reason: 'the source keeps the guest: cancelled by SIGINT' });
  expect(files.intent.read()?.state).toBe('discarded');
  expect(await json('replay', 'cancelled.cvlog')).toMatchObject({ result: 'identical', isComplete: true, digest: here.end.digest });
  // It may go on from here, or move again.
  expect(sourceMayRun(sourceFiles('cancelled.cvlog'))).toBe(true);
  server.close();
}, 60_000);

it('says what is wrong and what would be right', async () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['--live', 'run.cvlog', '-o', 'x'], 2, /give --to HOST:PORT/],
    [['--live', 'run.cvlog', '--to', 'nowhere', '-o', 'x'], 2, /--to "nowhere": expected HOST:PORT/],
    [['--live', 'run.cvlog', '--to', '127.0.0.1:1'], 2, /give a name for the log: -o LOG/],
    [['--live', 'run.cvlog', '--to', '127.0.0.1:1', '-o', 'x', '--policy', 'xen'], 2, /with --live, one of precopy, postcopy, hybrid/],
    [['--live', 'run.cvlog', '--to', '127.0.0.1:1', '-o', 'x', '--table'], 2, /--table is for predictions/],
    [['--live', '--listen', '1', '-o', 'x'], 2, /exclude each other/],
    [['--resolve', 'run.cvlog', '--to', '127.0.0.1:1'], 2, /was never offered/],
    [['--live', 'run.cvlog', '--to', '127.0.0.1:1', '-o', 'refused.cvlog', '-q'], 21, /cannot connect to 127\.0\.0\.1:1/],
  ];
  for (const [argv, status, pattern] of cases) {
    const result = await cli('migrate', ...argv);
    expect([argv.join(' '), result.status, result.err]).toEqual([argv.join(' '), status, expect.stringMatching(pattern)]);
  }
});
