/** A DAP client library that is not ours walks through a recording of the lab's kernel: every stop is where the oracle says. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { SymbolTable, parseElfSymbols } from '../../engine/debug/symbols.ts';
import { readLinear, readRegister } from '../../engine/debug/inspect.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import { RECORDING, openRecording, recordedKernel } from '../../server/gdb/testing.ts';
import { breakpoint, forwardScan, ripAt, watchpoint } from '../gdb/oracle.ts';
import { type Connected, type Event, connect, hasLibrary } from './client.ts';

const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
/** The mark `work fork`: processes end after it. */
const FORK = 57_612_185;

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-dap-'));
// A copy: marks are kept beside it.
const recording = join(folder, 'run.cvlog');
let before: string;
let oracle: TimeTravel;
let symbols: SymbolTable;
let session: Connected;

beforeAll(() => {
  copyFileSync(RECORDING, recording);
  before = hash(recording);
  oracle = openRecording();
  symbols = parseElfSymbols(recordedKernel());
});
afterAll(() => {
  expect(hash(recording)).toBe(before);
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  if (hasLibrary) session = await connect(undefined);
});
afterEach(async () => {
  if (hasLibrary) await session.close();
});

async function ask(command: string, body?: object): Promise<any> {
  return (await session.client.customRequest(command, body)).body;
}
async function fails(command: string, body?: object): Promise<string> {
  return session.client.customRequest(command, body).then(
    () => 'it did not fail',
    (error: Error) => error.message,
  );
}
/** A request that moves, and the event that it ends with. */
async function walk(command: string, body: object = {}): Promise<any> {
  const stopped = session.client.waitForEvent('stopped');
  await session.client.customRequest(command, { threadId: 1, ...body });
  return (await stopped).body;
}
async function position(): Promise<number> {
  return (await ask('chronovisor/position')).position;
}
async function launch(at = '@0', more: object = {}): Promise<void> {
  expect((await ask('initialize', { adapterID: 'chronovisor', linesStartAt1: true, supportsProgressReporting: true })).supportsStepBack).toBe(true);
  const initialized = session.client.waitForEvent('initialized');
  await ask('launch', { program: recording, at, ...more });
  await initialized;
}
async function begin(at = '@0'): Promise<void> {
  await launch(at);
  expect((await walk('configurationDone')).reason).toBe('entry');
}
const address = (name: string): bigint => symbols.find(name).address;
let exitsKept: readonly number[] | undefined;
const exitsFromFork = (): readonly number[] => (exitsKept ??= forwardScan(oracle, breakpoint(address('accounting_exit')), FORK));
const hex = (value: bigint): string => `0x${value.toString(16)}`;

it.runIf(hasLibrary)('function, instruction and data breakpoints stop where a forward scan says, both ways', async () => {
  await begin();
  const exits = exitsFromFork();
  expect((await ask('setFunctionBreakpoints', { breakpoints: [{ name: 'accounting_exit' }, { name: 'no_such_function' }] })).breakpoints).toMatchObject([{ verified: true, instructionReference: hex(address('accounting_exit')) }, { verified: false }]);
  await walk('chronovisor/seek', { where: 'mark:work fork' });
  expect(await position()).toBe(FORK);
  for (const expected of exits.slice(0, 3)) {
    expect(await walk('continue')).toMatchObject({ reason: 'function breakpoint', threadId: 1, allThreadsStopped: true });
    expect(await position()).toBe(expected);
  }
  expect(await walk('reverseContinue')).toMatchObject({ reason: 'function breakpoint' });
  expect(await position()).toBe(exits[1]);
  await ask('setFunctionBreakpoints', { breakpoints: [] });

  await ask('setInstructionBreakpoints', { breakpoints: [{ instructionReference: hex(address('accounting_exit')), offset: 0, condition: `position > ${exits[4]}` }] });
  expect(await walk('continue')).toMatchObject({ reason: 'instruction breakpoint' });
  expect(await position()).toBe(exits[5]);
  await ask('setInstructionBreakpoints', { breakpoints: [{ instructionReference: hex(address('accounting_exit')), hitCondition: '3' }] });
  await walk('chronovisor/seek', { position: FORK });
  await walk('continue');
  expect(await position()).toBe(exits[2]);
  await ask('setInstructionBreakpoints', { breakpoints: [] });

  const info = await ask('dataBreakpointInfo', { name: 'ticks' });
  expect(info).toMatchObject({ dataId: `${hex(address('ticks'))},8`, accessTypes: ['write', 'read', 'readWrite'] });
  await ask('setDataBreakpoints', { breakpoints: [{ dataId: info.dataId, accessType: 'write' }] });
  const ticks = forwardScan(oracle, watchpoint(oracle, address('ticks'), 8, 'write', true), 55_000_000);
  const stop = await walk('reverseContinue');
  expect(stop.reason).toBe('data breakpoint');
  expect(stop.text).toContain('tick');
  const met = ticks.findLast((at) => at < exits[2])!;
  expect(await position()).toBe(met);
  await walk('continue');
  expect(await position()).toBe(ticks[ticks.indexOf(met) + 1]);
  await walk('reverseContinue');
  expect(await position()).toBe(met);
});

it.runIf(hasLibrary)('source breakpoints where the image has lines; the stack, scopes and variables there', async () => {
  await begin('mark:work fork');
  const exits = exitsFromFork();
  const set = await ask('setBreakpoints', { source: { path: '/somewhere/else/kernel/accounting.c' }, breakpoints: [{ line: 84 }, { line: 99_999 }] });
  expect(set.breakpoints).toMatchObject([{ verified: true }, { verified: false }]);
  expect(BigInt(set.breakpoints[0].instructionReference)).toBe(address('accounting_exit'));
  expect((await walk('continue')).reason).toBe('breakpoint');
  expect(await position()).toBe(exits[0]);
  const { stackFrames } = await ask('stackTrace', { threadId: 1, startFrame: 0, levels: 5 });
  expect(stackFrames[0]).toMatchObject({ id: 1, name: 'accounting_exit', instructionPointerReference: hex(address('accounting_exit')) });
  expect(stackFrames[0].source.path).toMatch(/engine\/guests\/kernel\/accounting\.c$/);
  expect(stackFrames[1].name).toBe('process_exit');
  const { scopes } = await ask('scopes', { frameId: 1 });
  expect(scopes.map(({ name }: { name: string }) => name)).toEqual(['Registers', 'Flags', 'Control registers', 'Segments', 'Floating point and SSE', 'Recording']);
  const values = new Map<string, string>();
  for (const { variablesReference } of scopes) for (const { name, value } of (await ask('variables', { variablesReference })).variables) values.set(name, value);
  oracle.seek(exits[0]);
  for (const name of ['rip', 'rsp', 'rax', 'cr3', 'cr0', 'efer', 'gs.base']) expect(BigInt(values.get(name)!.split(' ')[0]), name).toBe(readRegister(oracle.machine, name));
  expect(values.get('ZF')).toBe(String((readRegister(oracle.machine, 'rflags')! >> 6n) & 1n));
  expect(values.get('position')).toContain('@');
  // Frames of callers have no registers of their own.
  expect((await ask('scopes', { frameId: 2 })).scopes).toEqual([]);
});

it.runIf(hasLibrary)('steps, both ways; the ends of history', async () => {
  await begin('mark:work fork');
  const from = await position();
  for (let i = 1; i <= 3; i++) {
    expect((await walk('stepIn', { granularity: 'instruction' })).reason).toBe('step');
    expect(await position()).toBe(from + i);
  }
  for (let i = 2; i >= 0; i--) {
    await walk('stepBack', { granularity: 'instruction' });
    expect(await position()).toBeLessThanOrEqual(from + i);
  }
  await walk('chronovisor/seek', { where: '@2' });
  for (const expected of [1, 0, 0]) {
    await walk('stepBack', { granularity: 'instruction' });
    expect(await position()).toBe(expected);
  }
  expect((await walk('reverseContinue')).description).toContain('beginning');
  // The recording ends with a failure of the guest: debug exit 3.
  const end = await walk('continue');
  expect(end).toMatchObject({ reason: 'exception' });
  expect(end.description).toContain('debug-exit');
  expect(await ask('exceptionInfo')).toMatchObject({ exceptionId: 'debug-exit', breakMode: 'always' });
  expect(await position()).toBe(oracle.last);
  expect((await walk('restart')).reason).toBe('goto');
  expect(await position()).toBe(FORK);
  expect(await fails('exceptionInfo')).toContain('did not stop at an exception');
});

it.runIf(hasLibrary)('stops at the panic, and walks back from it by source lines', async () => {
  await launch('50%');
  expect((await ask('setExceptionBreakpoints', { filters: ['panic', 'nonsense'] })).breakpoints).toMatchObject([{ verified: true }, { verified: false }]);
  expect((await walk('configurationDone')).reason).toBe('entry');
  expect(await walk('continue')).toMatchObject({ reason: 'exception' });
  expect((await ask('exceptionInfo')).exceptionId).toBe('panic');
  const [panic] = forwardScan(oracle, breakpoint(address('panic')), FORK);
  expect(await position()).toBe(panic);
  await walk('stepBack');
  expect(await position()).toBeLessThan(panic);
  const here = await position();
  await walk('chronovisor/reverseStepOut');
  expect(await position()).toBeLessThan(here);
});

it.runIf(hasLibrary)('code and memory: exactly as many instructions as asked for, before and after a place', async () => {
  await begin('mark:work fork');
  const start = address('accounting_check');
  const all = (await ask('disassemble', { memoryReference: hex(start), instructionOffset: 0, instructionCount: 60 })).instructions as readonly { address: string; instruction: string; symbol?: string; instructionBytes: string }[];
  expect(all).toHaveLength(60);
  expect(all[0]).toMatchObject({ address: hex(start), symbol: 'accounting_check' });
  // From the middle, 30 back: the same instructions.
  const middle = (await ask('disassemble', { memoryReference: all[30].address, instructionOffset: -30, instructionCount: 60 })).instructions;
  expect(middle).toHaveLength(60);
  expect(middle.slice(0, 60)).toEqual(all);
  for (const [offset, number] of [[-5, 3], [5, 7], [-200, 210], [0, 0]]) expect((await ask('disassemble', { memoryReference: hex(start), instructionOffset: offset, instructionCount: number })).instructions).toHaveLength(number);
  const nowhere = (await ask('disassemble', { memoryReference: '0x123456789000', instructionOffset: -4, instructionCount: 8 })).instructions;
  expect(nowhere).toHaveLength(8);
  expect(nowhere.every(({ presentationHint }: { presentationHint?: string }) => presentationHint === 'invalid')).toBe(true);

  oracle.seek(FORK);
  const memory = await ask('readMemory', { memoryReference: hex(start), offset: 16, count: 100 });
  expect(memory.address).toBe(hex(start + 16n));
  expect(Buffer.from(memory.data, 'base64')).toEqual(Buffer.from(readLinear(oracle.machine, start + 16n, 100)));
  expect(await ask('readMemory', { memoryReference: '0x123456789000', count: 4 })).toEqual({ address: '0x123456789000', data: '', unreadableBytes: 4 });
});

it.runIf(hasLibrary)('evaluates, completes, and takes the commands of the terminal', async () => {
  await begin('mark:work fork');
  expect((await ask('evaluate', { expression: 'u64(ticks) + 1', context: 'watch' })).result).toMatch(/^0x/);
  expect((await ask('evaluate', { expression: '$rip', context: 'hover' })).memoryReference).toBe(hex(ripAt(oracle, FORK)));
  expect(await fails('evaluate', { expression: 'u64(', context: 'watch' })).toContain('column');
  expect((await ask('evaluate', { expression: 'info registers rip', context: 'repl' })).result).toContain('rip');
  const stopped = session.client.waitForEvent('stopped');
  await ask('evaluate', { expression: 'seek @1_000', context: 'repl' });
  await stopped;
  expect(await position()).toBe(1000);
  expect((await ask('completions', { text: 'break accounting_', column: 18 })).targets.map(({ label }: { label: string }) => label)).toContain('accounting_exit');
});

it.runIf(hasLibrary)('the timeline, marks and the last write', async () => {
  await begin('end');
  const { counts, bins, last } = await ask('chronovisor/timeline', { bins: 50, kinds: ['exit', 'mark'] });
  expect([bins, last]).toEqual([50, oracle.last]);
  const total = (kind: string): number => counts[kind].reduce((sum: number, each: number) => sum + each, 0);
  expect(total('exit')).toBe(oracle.reader.counts.exit);
  expect(total('mark')).toBe(oracle.reader.counts.mark);
  await ask('chronovisor/setMark', { name: 'here', position: 4711 });
  expect((await ask('chronovisor/marks')).own).toEqual([{ name: 'here', position: 4711 }]);
  await walk('chronovisor/seek', { where: 'mark:here' });
  expect(await position()).toBe(4711);
  await ask('chronovisor/deleteMark', { name: 'here' });
  await walk('chronovisor/seek', { where: 'end' });
  const write = await ask('chronovisor/lastWrite', { expression: 'ticks' });
  expect(write.position).toBe(forwardScan(oracle, watchpoint(oracle, address('ticks'), 8, 'write'), 55_000_000).at(-1)! - 1);
  for (const where of ['@99999999999', 'noon', 'mark:none', '101%', 'event:99999999']) expect(await fails('chronovisor/seek', { where }), where).not.toBe('it did not fail');
  expect(await position()).toBe(oracle.last);
});

it.runIf(hasLibrary)('a long walk tells its progress, takes breakpoints on the way, and can be paused and cancelled', async () => {
  await begin();
  const events: Event[] = [];
  for (const name of ['progressStart', 'progressUpdate', 'progressEnd']) session.client.on(name, (event) => events.push(event));
  // Never met: all of the run has to be looked at.
  await ask('setInstructionBreakpoints', { breakpoints: [{ instructionReference: '0x1' }] });
  const end = walk('continue');
  const late = ask('setFunctionBreakpoints', { breakpoints: [{ name: 'panic_print' }] });
  expect((await late).breakpoints[0].verified).toBe(true);
  await end;
  const [panic] = forwardScan(oracle, breakpoint(address('panic_print')), FORK);
  expect(await position()).toBe(panic);
  expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['progressStart', 'progressUpdate', 'progressEnd']));

  const paused = walk('reverseContinue');
  await ask('pause', { threadId: 1 });
  expect((await paused).reason).toBe('pause');
  const at = await position();
  expect(at).toBeLessThan(panic);

  const stopped = session.client.waitForEvent('stopped');
  const answered = ask('reverseContinue', { threadId: 1 });
  const requestId = (session.client as unknown as { sequence: number }).sequence - 1;
  // One that is cancelled before it is answered is refused.
  await answered;
  await ask('cancel', { requestId });
  await stopped;
  expect(await fails('evaluate', { expression: '1' })).toBe('it did not fail');
});

it.runIf(hasLibrary)('mistakes are answered, and nothing moves', async () => {
  for (const command of ['stackTrace', 'continue', 'variables', 'disassemble', 'setBreakpoints']) expect(await fails(command, { variablesReference: 1 }), command).not.toBe('it did not fail');
  expect(await fails('launch', { program: '/nowhere/at/all' })).toContain('/nowhere/at/all');
  expect(await fails('launch', {})).toContain('program');
  await begin('@1000');
  const wrong: readonly (readonly [string, object])[] = [
    ['disassemble', { memoryReference: 'x', instructionCount: 1 }], ['disassemble', { memoryReference: '0x0', instructionCount: -1 }], ['disassemble', { memoryReference: '0x0', instructionCount: 1e9 }],
    ['readMemory', { memoryReference: '0x0', count: 1e12 }], ['readMemory', { memoryReference: {}, count: 1 }], ['variables', { variablesReference: 99 }], ['stackTrace', { threadId: 1, levels: -1 }],
    ['chronovisor/seek', { where: 'mark:none' }], ['evaluate', {}], ['evaluate', { expression: 5 }], ['setBreakpoints', { source: 7 }], ['setDataBreakpoints', { breakpoints: 'x' }], ['chronovisor/timeline', { bins: 0 }], ['chronovisor/seek', {}],
    ['writeMemory', { memoryReference: '0x0', data: 'AAAA' }], ['setVariable', { name: 'rax', value: '1', variablesReference: 1 }], ['toString', {}], ['__proto__', {}],
  ]; // prettier-ignore
  for (const [command, body] of wrong) expect(await fails(command, body), `${command} ${JSON.stringify(body)}`).not.toBe('it did not fail');
  expect((await ask('setBreakpoints', { source: { path: 'a.c' }, breakpoints: [{ line: 'x' }, null, 5] })).breakpoints.map(({ verified }: { verified: boolean }) => verified)).toEqual([false, false, false]);
  expect((await ask('setFunctionBreakpoints', { breakpoints: [{ name: 'accounting_exit', condition: '((' }] })).breakpoints[0].verified).toBe(false);
  expect(await position()).toBe(1000);
});
