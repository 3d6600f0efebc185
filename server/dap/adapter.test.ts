import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Opened, openForDebugging } from '../debugger/open.ts';
import { RECORDING, turn } from '../gdb/testing.ts';
import { Adapter, QUEUE_MAX } from './adapter.ts';

interface Message {
  readonly type: string;
  readonly seq: number;
  readonly request_seq?: number;
  readonly command?: string;
  readonly success?: boolean;
  readonly event?: string;
  readonly message?: string;
}

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-adapter-'));
const recording = join(folder, 'run.cvlog');
const hash = (): string => createHash('sha256').update(readFileSync(recording)).digest('hex');
let before: string;
let opened: Opened;
let adapter: Adapter;
let messages: Message[];
let log: string[];
let ended: boolean;

beforeAll(() => {
  copyFileSync(RECORDING, recording);
  before = hash();
  opened = openForDebugging(recording);
});
afterAll(() => {
  expect(hash()).toBe(before);
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  messages = [];
  log = [];
  ended = false;
  adapter = new Adapter({ program: undefined, at: '@1_000', open: () => opened, turn, log: (text) => void log.push(text), send: (message) => void messages.push(message as Message), onEnd: () => (ended = true) });
  seq = 0;
  await ask('initialize');
  await ask('launch', { program: recording });
});

let seq = 0;
async function ask(command: string, body?: unknown): Promise<Message> {
  const own = ++seq;
  adapter.receive({ seq: own, type: 'request', command, arguments: body });
  for (;;) {
    const found = messages.find(({ request_seq }) => request_seq === own);
    if (found !== undefined) return found;
    await turn();
  }
}
async function rest(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}

it('answers each request once, in order, with numbers of its own', async () => {
  for (let i = 0; i < 10; i++) adapter.receive({ seq: 100 + i, type: 'request', command: 'evaluate', arguments: { expression: String(i) } });
  await ask('threads');
  await rest();
  const answers = messages.filter(({ command }) => command === 'evaluate').map(({ request_seq }) => request_seq);
  expect(answers).toEqual(Array.from({ length: 10 }, (_, i) => 100 + i));
  expect(messages.map((message) => message.seq)).toEqual(messages.map((_, i) => i + 1));
});

it('whatever the arguments are, a request is answered, and nothing breaks', async () => {
  const commands = [
    'initialize', 'launch', 'attach', 'next', 'stepIn', 'stepOut', 'stepBack', 'chronovisor/reverseStepIn', 'chronovisor/seek', 'chronovisor/position', 'chronovisor/timeline', 'chronovisor/marks', 'chronovisor/setMark', 'chronovisor/deleteMark',
    'setBreakpoints', 'setFunctionBreakpoints', 'setInstructionBreakpoints', 'dataBreakpointInfo', 'setDataBreakpoints', 'setExceptionBreakpoints', 'exceptionInfo', 'stackTrace', 'scopes', 'variables', 'evaluate', 'completions', 'disassemble', 'readMemory', 'source', 'modules',
    'threads', 'pause', 'cancel', 'gotoTargets', 'constructor',
  ]; // prettier-ignore
  const value = fc.oneof(
    fc.constantFrom<unknown>(0, 1, -1, 5, 1e9, 1.5, Number.NaN, '', 'ticks', '0xffffffff801012b0', '0x0', '@5', 'x', null, true, [], {}),
    fc.constantFrom<unknown>([{ line: 85 }], [{ name: 'accounting_exit', condition: 'rax' }], [{ instructionReference: '0x1000', offset: 1e9 }], [{ dataId: 'ticks' }], { path: 'accounting.c' }, [1, 'x', null]),
    fc.string({ maxLength: 8 }),
  );
  const names = ['expression', 'context', 'memoryReference', 'offset', 'count', 'instructionOffset', 'instructionCount', 'variablesReference', 'frameId', 'levels', 'startFrame', 'threadId', 'granularity', 'where', 'position', 'name', 'bytes', 'breakpoints', 'filters', 'source', 'bins', 'from', 'to', 'kinds', 'text', 'column', 'requestId', 'progressId', 'program'];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...commands), fc.oneof(fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 6, noNullPrototype: true }), value), async (command, body) => {
      const fields = body as { context?: unknown } | null;
      // The commands of the terminal have tests of their own.
      if (fields !== null && typeof fields === 'object' && fields.context === 'repl') return;
      const answer = await ask(command, body);
      expect(answer.command).toBe(command);
      if (answer.success !== true) expect(answer.message!.length).toBeGreaterThan(3);
      await rest();
    }),
    { numRuns: 400 },
  );
  expect(log).toEqual([]);
  expect((await ask('chronovisor/position')).success).toBe(true);
  const requests = messages.filter(({ type }) => type === 'response').map(({ request_seq }) => request_seq);
  expect(new Set(requests).size).toBe(requests.length);
});

it('what is no request is told, and passed over', async () => {
  const told = (): number => messages.filter(({ event }) => event === 'output').length;
  const count = told();
  for (const noise of [null, 5, 'x', [], {}, { type: 'request' }, { type: 'request', seq: 'x', command: 'next' }, { type: 'request', seq: 1.5, command: 'next' }, { type: 'response', seq: 1, command: 'next' }]) adapter.receive(noise);
  expect(told()).toBe(count + 9);
  expect((await ask('threads')).success).toBe(true);
});

it('a flood is refused, not kept', async () => {
  for (let i = 0; i < QUEUE_MAX + 50; i++) adapter.receive({ seq: 10_000 + i, type: 'request', command: 'chronovisor/position' });
  await ask('threads');
  while (messages.filter(({ command }) => command === 'chronovisor/position').length < QUEUE_MAX + 50) await turn();
  const refused = messages.filter(({ command, success }) => command === 'chronovisor/position' && success === false);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThanOrEqual(50);
});

it('a pause that comes with the request it is for is heard, one that comes when nothing runs is not kept', async () => {
  await ask('setInstructionBreakpoints', { breakpoints: [{ instructionReference: '0x1' }] });
  const stops = (): number => messages.filter(({ event }) => event === 'stopped').length;
  await ask('pause', { threadId: 1 });
  const count = stops();
  adapter.receive({ seq: 500, type: 'request', command: 'continue', arguments: { threadId: 1 } });
  adapter.receive({ seq: 501, type: 'request', command: 'pause', arguments: { threadId: 1 } });
  while (stops() === count) await turn();
  expect(opened.travel.isAtEnd).toBe(false);
  await ask('stepIn', { threadId: 1, granularity: 'instruction' });
  const at = opened.travel.position;
  while (stops() === count + 1) await turn();
  expect(opened.travel.position).toBeGreaterThanOrEqual(at);
});

it('comes to rest when the client disconnects while it runs', async () => {
  await ask('setInstructionBreakpoints', { breakpoints: [{ instructionReference: '0x1' }] });
  await ask('continue', { threadId: 1 });
  expect((await ask('evaluate', { expression: '1' })).message).toContain('pause first');
  await ask('disconnect');
  expect(ended).toBe(true);
  await adapter.close();
  const count = messages.length;
  adapter.receive({ seq: 99_999, type: 'request', command: 'threads' });
  expect(messages.length).toBe(count);
});
