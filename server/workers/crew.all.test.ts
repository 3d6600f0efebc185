/** Threads over one recording tell what this thread alone tells, also when they are lost. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parallel, writesBackward } from '../../engine/debug/queries.ts';
import type { StretchCrew, Write } from '../../engine/debug/stretches.ts';
import { parseElfSymbols } from '../../engine/debug/symbols.ts';
import { physicalRanges, readRegister } from '../../engine/debug/inspect.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { turn } from '../cli/host.ts';
import { cli, json } from '../cli/testing.ts';
import { encodePacket } from '../gdb/packet.ts';
import { serveGdb } from '../gdb/server.ts';
import { findIndex } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { openLog } from '../../engine/log/open-log.ts';
import { Crew } from './crew.ts';

const TRACE = fileURLToPath(new URL('../../traces/bug-lost-update.cvlog', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'crew-'));
const file = join(folder, 'bug.cvlog');
const place = { path: file, parents: [], places: {} };
const LIST = 'accounting.c:free_list';
/** From here on a question is asked. */
const PART = 0.9;

beforeAll(async () => {
  copyFileSync(TRACE, file);
  expect((await cli('index', file, '--quiet', '--spacing', '500000')).status).toBe(0);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

function open(): { readonly travel: TimeTravel; readonly address: bigint } {
  const { reader } = openLog(new FileSource(file, 'FILE'));
  const images = openImages(reader, {});
  const travel = new TimeTravel({ reader, images, module: loadCore(), index: findIndex(file, reader).index });
  travel.seek(Number.MAX_SAFE_INTEGER);
  return { travel, address: parseElfSymbols(images.kernel).find(LIST).address };
}

/** With those who joined, and how many stretches each had. */
function watched(crew: StretchCrew): { readonly crew: StretchCrew; readonly asks: number[] } {
  const asks: number[] = [];
  const start: StretchCrew['start'] = (enter) => crew.start((worker) => {
    const which = asks.push(0) - 1;
    enter({ capacity: worker.capacity, ask: (task, isWanted) => (asks[which]++, worker.ask(task, isWanted)) });
  });
  return { crew: { local: { capacity: 1, ask: async (task, isWanted) => (await untilJoined(asks), crew.local.ask(task, isWanted)) }, start }, asks };
}
/** So that this thread is not done before another has begun. */
async function untilJoined(asks: readonly number[]): Promise<void> {
  for (let i = 0; i < 200 && asks.length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('stores told by threads are those told by one, the latest first', async () => {
  const { travel, address } = open();
  const ranges = physicalRanges(travel.machine, address, 8);
  const from = Math.floor(travel.last * PART);
  const expected = [...writesBackward(travel, ranges, travel.last + 1, from)];
  expect(expected.length).toBeGreaterThan(100);
  const crew = new Crew(place, 3);
  try {
    const { crew: seen, asks } = watched(crew.stretches(travel, turn));
    const rows: Write[] = [];
    for await (const row of parallel.writes(travel, seen, ranges, { from, to: travel.last + 1, backward: true })) rows.push(row);
    expect(rows).toEqual(expected);
    expect(asks.reduce((sum, n) => sum + n, 0)).toBeGreaterThan(0);
    // The next question of the same crew.
    const first: Write[] = [];
    for await (const row of parallel.writes(travel, crew.stretches(travel, turn), ranges, { from, to: expected[40].position, backward: true })) if (first.push(row) === 5) break;
    expect(first).toEqual(expected.slice(41, 46));
  } finally {
    await crew.close();
  }
  expect(crew.problems).toEqual([]);
}, 120_000);

test('what a lost thread should have told, this one tells', async () => {
  const program = join(folder, 'lost.mjs');
  // Ready, and gone with the second stretch.
  writeFileSync(program, `
    import { parentPort } from 'node:worker_threads';
    let stretches = 0;
    parentPort.on('message', ({ id, op }) => {
      if (op === 'open') parentPort.postMessage({ kind: 'value', id, value: true });
      else if (++stretches === 2) process.exit(7);
    });
  `);
  const { travel, address } = open();
  const ranges = physicalRanges(travel.machine, address, 8);
  const from = Math.floor(travel.last * PART);
  const expected = [...writesBackward(travel, ranges, travel.last + 1, from)];
  const crew = new Crew(place, 2, pathToFileURL(program));
  try {
    const { crew: seen, asks } = watched(crew.stretches(travel, turn));
    const rows: Write[] = [];
    for await (const row of parallel.writes(travel, seen, ranges, { from, to: travel.last + 1, backward: true })) rows.push(row);
    expect(rows).toEqual(expected);
    expect(asks).toEqual([2]);
    expect(crew.problems.join()).toContain('exit code 7');
  } finally {
    await crew.close();
  }
}, 120_000);

test('explore: seed and number decide, not who runs', async () => {
  const ask = (jobs: string, ...more: string[]): Promise<any> =>
    json('explore', file, '--at', 'mark:work syscall', '--until', '+400000', '--runs', '12', '--delay', '2000', '--when', `length(u64(${LIST})) + length(u64(accounting.c:pending_list)) != 64`, '--jobs', jobs, ...more);
  const [one, three] = [await ask('1'), await ask('3')];
  expect(one.runs).toBe(12);
  const timeless = ({ seconds: _, ...rest }: { seconds: number }): object => rest;
  expect(timeless(three)).toEqual(timeless(one));
}, 120_000);

test('--jobs: the same answer, and what is no number of threads is refused', async () => {
  const ask = async (jobs: string): Promise<any> => (await json('last-write', file, LIST, '--count', '300', '--jobs', jobs)).writes;
  const one = await ask('1');
  expect(one.length).toBe(300);
  expect(await ask('2')).toEqual(one);
  expect((await cli('find', file, '--writes', LIST, '--jobs', '0')).status).toBe(2);
  expect((await cli('last-write', file, LIST, '--jobs', '65')).err).toContain('1 to 64');
}, 120_000);

test('calls, value, find --first and bisect: the same answers from three threads', async () => {
  const timeless = ({ seconds: _, ...rest }: { readonly seconds?: number }): object => rest;
  const questions = [
    ['calls', file, 'accounting_exit', '--newest', '--from', '60%', '--count', '200'],
    ['value', file, `length(u64(${LIST}))`, '--newest', '--from', '95%', '--count', '500'],
    ['find', file, '--first', `length(u64(${LIST})) == 60`, '--from', '35%'],
    ['bisect', file, '--no-mark', '--stays', '--from', '80%', '--when', `length(u64(${LIST})) + length(u64(accounting.c:pending_list)) != 64`],
    ['value', file, 'rsp & 0xff', '--newest', '--from', '99.5%', '--count', '50'],
  ];
  for (const [verb, ...rest] of questions) {
    const one = await json(verb, ...rest, '--jobs', '1');
    expect(timeless(await json(verb, ...rest, '--jobs', '3'))).toEqual(timeless(one));
  }
}, 240_000);

test('debug: a walk back of several threads is that of one', async () => {
  const walk = async (jobs: string): Promise<string> => {
    const { status, out } = await cli('debug', file, '--at', 'end', '--jobs', jobs, '--quiet', '--command', `watch ${LIST}`, '--command', 'reverse-continue', '--command', 'delete', '--command', 'break accounting_exit if position < 59000000', '--command', 'reverse-continue', '--command', 'delete', '--command', 'seek end', '--command', `watch ${LIST} if length(u64(${LIST})) == 63`, '--command', 'reverse-continue', '--command', 'delete', '--command', 'break kernel_main', '--command', 'reverse-continue', '--command', `last-write ${LIST}`);
    expect(status).toBe(0);
    return out;
  };
  const one = await walk('1');
  expect(one).toContain('kernel_main');
  expect(await walk('3')).toBe(one);
}, 120_000);

test('gdb: a client that vanishes while threads walk back for it leaves the next one a door that answers, and the recording as it was', async () => {
  const { travel } = open();
  const symbols = parseElfSymbols(openImages(travel.reader, {}).kernel);
  const hash = (): string => createHash('sha256').update(readFileSync(file)).digest('hex');
  const before = hash();
  const crew = new Crew(place, 3);
  const left: string[] = [];
  const server = await serveGdb({ travel, crew: () => crew.stretches(travel, turn), host: '127.0.0.1', port: 0, turn, onClient: ({ kind }) => void left.push(kind) });
  try {
    // Of the whole run, it is met near the beginning only.
    const packets = `+${encodePacket(`Z1,${symbols.find('kernel_main').address.toString(16)},1`)}${encodePacket('bc')}`;
    for (const waitMs of [0, 30, 400]) {
      travel.seek(Number.MAX_SAFE_INTEGER);
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined);
      await new Promise<void>((resolve) => socket.write(packets, () => resolve()));
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      socket.destroy();
      while (!left.includes('left')) await new Promise((resolve) => setTimeout(resolve, 5));
      left.length = 0;
    }
    const socket = connect(server.port, '127.0.0.1');
    let heard = '';
    socket.on('data', (bytes) => (heard += String(bytes)));
    socket.write(packets);
    while (!heard.includes('T05')) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(heard).toContain(encodePacket('T05thread:1;'));
    expect(readRegister(travel.machine, 'rip')).toBe(symbols.find('kernel_main').address);
    socket.destroy();
  } finally {
    await server.close();
    await crew.close();
  }
  expect(crew.problems).toEqual([]);
  expect(hash()).toBe(before);
}, 120_000);
