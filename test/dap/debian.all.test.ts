/** The client library on a recording of Debian's kernel, with names from the kernel's own table: every stop is where the oracle says. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readRegister } from '../../engine/debug/inspect.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { breakpoint, changesIn, forwardScan } from '../gdb/oracle.ts';
import { loadCore, loadLinux, recordLinux, shellScript } from '../linux/harness.ts';
import { type Connected, connect, hasLibrary } from './client.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-dap-debian-'));
const recording = join(folder, 'debian.cvlog');
const hash = (): string => createHash('sha256').update(readFileSync(recording)).digest('hex');
let before: string;
let oracle: TimeTravel;
let session: Connected;

beforeAll(async () => {
  const module = loadCore();
  const { log, images } = recordLinux(module, { guest: await loadLinux('cloud'), script: shellScript(['ls /']) });
  writeFileSync(recording, log);
  before = hash();
  oracle = new TimeTravel({ reader: LogReader.open(new MemorySource(log)), images, module });
  if (hasLibrary) session = await connect(undefined);
});
afterAll(async () => {
  if (hasLibrary) await session.close();
  expect(hash()).toBe(before);
  rmSync(folder, { recursive: true, force: true });
});

async function ask(command: string, body?: object): Promise<any> {
  return (await session.client.customRequest(command, body)).body;
}
/** To the `stopped` event, which may take minutes here: the library's own wait does not. */
async function walk(command: string, body: object = {}): Promise<any> {
  const stopped = session.client.waitForEvent('stopped', 600_000);
  await ask(command, { threadId: 1, ...body });
  return (await stopped).body;
}
const position = async (): Promise<number> => (await ask('chronovisor/position')).position;

it.runIf(hasLibrary)('to the end, back to breakpoints and a data breakpoint, 100 steps back, the stack and the task', async () => {
  await ask('initialize', { adapterID: 'chronovisor' });
  await ask('launch', { program: recording });
  await walk('configurationDone');
  expect((await walk('continue')).reason).toBe('pause');
  oracle.seek(Number.MAX_SAFE_INTEGER);
  expect(await position()).toBe(oracle.last);

  const set = await ask('setFunctionBreakpoints', { breakpoints: [{ name: 'do_sys_openat2' }] });
  const address = BigInt(set.breakpoints[0].instructionReference);
  const calls = forwardScan(oracle, breakpoint(address), oracle.last - 30_000_000);
  expect(calls.length).toBeGreaterThan(3);
  for (const expected of [calls.at(-1), calls.at(-2), calls.at(-3)]) {
    expect((await walk('reverseContinue')).reason).toBe('function breakpoint');
    expect(await position()).toBe(expected);
  }
  await walk('continue');
  expect(await position()).toBe(calls.at(-2));
  const { stackFrames } = await ask('stackTrace', { threadId: 1, levels: 20 });
  expect(stackFrames.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(['do_sys_openat2', 'do_syscall_64']));
  expect((await ask('chronovisor/position')).task).toMatch(/^\S+\[\d+\]$/);
  const code = (await ask('disassemble', { memoryReference: `0x${address.toString(16)}`, instructionOffset: -10, instructionCount: 20 })).instructions;
  expect(code[10]).toMatchObject({ address: `0x${address.toString(16)}`, symbol: 'do_sys_openat2' });
  await ask('setFunctionBreakpoints', { breakpoints: [] });

  oracle.seek(calls.at(-2)!);
  const word = readRegister(oracle.machine, 'rsp')! - 8n;
  const changes = changesIn(oracle, calls.at(-2)!, calls.at(-2)! + 3000, word, 8);
  const info = await ask('dataBreakpointInfo', { name: `0x${word.toString(16)}`, bytes: 8 });
  await ask('setDataBreakpoints', { breakpoints: [{ dataId: info.dataId, accessType: 'write' }] });
  for (const expected of changes.slice(0, 3)) {
    expect((await walk('continue')).reason).toBe('data breakpoint');
    expect(await position()).toBe(expected);
  }
  await ask('setDataBreakpoints', { breakpoints: [] });
  const from = await position();
  for (let i = 1; i <= 100; i++) {
    await walk('stepBack', { granularity: 'instruction' });
    expect(await position()).toBeLessThanOrEqual(from - i);
  }
  expect((await walk('reverseContinue')).description).toContain('beginning');
  expect(await position()).toBe(0);
});
