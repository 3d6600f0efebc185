/** The command as clients start it: messages on stdin and stdout, and a client that is gone. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MessageDecoder, encodeMessage } from '../../server/dap/framing.ts';
import { RECORDING } from '../../server/gdb/testing.ts';
import { ownPackage } from '../../server/store/package-root.ts';

const program = process.env['CHRONOVISOR_CLI'] ?? join(ownPackage().root, 'dist', 'server', 'cli', 'main.js');
const hashOfRecording = (): string => createHash('sha256').update(readFileSync(RECORDING)).digest('hex');

interface Message {
  readonly type: string;
  readonly event?: string;
  readonly request_seq?: number;
  readonly success?: boolean;
  readonly body?: { readonly reason?: string; readonly position?: number };
}

class Adapter {
  readonly messages: Message[] = [];
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  private readonly waiting: (() => void)[] = [];

  constructor(...argv: readonly string[]) {
    this.child = spawn(process.execPath, [program, 'debug', ...argv]);
    this.ended = new Promise((resolve) => this.child.on('close', (status) => resolve(status)));
    const decoder = new MessageDecoder();
    this.child.stdout!.on('data', (bytes: Buffer) => {
      for (const frame of decoder.push(bytes)) {
        // Nothing but messages is on stdout.
        if (frame.kind === 'bad') throw new Error(frame.reason);
        this.messages.push(frame.value as Message);
      }
      for (const wake of this.waiting.splice(0)) wake();
    });
    this.child.stdin!.on('error', () => {});
  }
  write(bytes: Uint8Array | string): void {
    this.child.stdin!.write(bytes);
  }
  ask(seq: number, command: string, body: object = {}): void {
    this.write(encodeMessage({ seq, type: 'request', command, arguments: body }));
  }
  async find(wanted: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const found = this.messages.find(wanted);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }
}

it('the command speaks the protocol, outlives noise, and ends with its client', async () => {
  expect(existsSync(program), `${program} is missing: npm run build`).toBe(true);
  const before = hashOfRecording();
  const adapter = new Adapter(RECORDING, '--dap', '--at', '50%');
  adapter.write('noise\r\n\r\nContent-Length: 5\r\n\r\n{{{{{');
  adapter.write(encodeMessage({ type: 'nonsense' }));
  adapter.write(encodeMessage([1, 2, 3]));
  adapter.ask(1, 'initialize');
  adapter.ask(2, 'launch');
  await adapter.find(({ event }) => event === 'initialized');
  adapter.ask(3, 'configurationDone');
  expect((await adapter.find(({ event }) => event === 'stopped')).body?.reason).toBe('entry');
  adapter.ask(4, 'chronovisor/position');
  expect((await adapter.find(({ request_seq }) => request_seq === 4)).body?.position).toBe(30_181_001);
  expect(adapter.messages.filter(({ event }) => event === 'output').length).toBeGreaterThanOrEqual(4);
  adapter.ask(5, 'disconnect');
  expect(await adapter.ended).toBe(0);
  expect(adapter.messages.find(({ request_seq }) => request_seq === 5)?.success).toBe(true);

  // A client that vanishes in the middle of a message, while something runs.
  const other = new Adapter(RECORDING, '--dap');
  other.ask(1, 'initialize');
  other.ask(2, 'launch');
  await other.find(({ event }) => event === 'initialized');
  other.ask(3, 'setInstructionBreakpoints', { breakpoints: [{ instructionReference: '0x1' }] });
  other.ask(4, 'continue', { threadId: 1 });
  other.write('Content-Length: 100\r\n\r\n{"seq":');
  await other.find(({ request_seq }) => request_seq === 4);
  other.child.stdin!.end();
  expect(await other.ended).toBe(0);
  expect(hashOfRecording()).toBe(before);
});

it('the example for VS Code in the README starts: the adapter as the extension names it, the launch as the configuration says', async () => {
  const root = ownPackage().root;
  const blocks = readFileSync(join(root, 'server', 'dap', 'README.md'), 'utf8').match(/(?:^ {4}.*\n)+/gm)!.filter((block) => block.startsWith('    {'));
  const [extension, launch] = blocks.map((block) => JSON.parse(block.replaceAll('${workspaceFolder}', root)) as any);
  const [contributed] = extension.contributes.debuggers;
  const [{ name, type, request, ...configuration }] = launch.configurations;
  expect(contributed).toMatchObject({ type, runtime: 'node' });
  expect(contributed.program.endsWith('dist/server/cli/main.js')).toBe(true);
  expect(contributed.args[0]).toBe('debug');
  const adapter = new Adapter(...contributed.args.slice(1));
  // What VS Code says of itself.
  adapter.ask(1, 'initialize', { clientID: 'vscode', clientName: 'Visual Studio Code', adapterID: type, locale: 'en', linesStartAt1: true, columnsStartAt1: true, pathFormat: 'path', supportsVariableType: true, supportsMemoryReferences: true, supportsProgressReporting: true, supportsInvalidatedEvent: true });
  adapter.ask(2, request, { name, type, request, ...configuration, __sessionId: '1' });
  await adapter.find(({ event }) => event === 'initialized');
  adapter.ask(3, 'setBreakpoints', { source: { path: join(root, 'engine', 'guests', 'lab-kernel', 'nowhere.c') }, breakpoints: [{ line: 1 }], lines: [1], sourceModified: false });
  adapter.ask(4, 'configurationDone');
  expect((await adapter.find(({ event }) => event === 'stopped')).body?.reason).toBe('entry');
  adapter.ask(5, 'threads');
  adapter.ask(6, 'stackTrace', { threadId: 1, startFrame: 0, levels: 20 });
  for (const seq of [2, 3, 4, 5, 6]) expect((await adapter.find(({ request_seq }) => request_seq === seq)).success, `request ${seq}`).toBe(true);
  adapter.ask(7, 'chronovisor/position');
  const { position } = (await adapter.find(({ request_seq }) => request_seq === 7)).body as { position: number };
  adapter.ask(8, 'stepBack', { threadId: 1 });
  await adapter.find((message) => message.event === 'stopped' && message.body?.reason === 'step');
  adapter.ask(9, 'chronovisor/position');
  expect(((await adapter.find(({ request_seq }) => request_seq === 9)).body as { position: number }).position).toBeLessThan(position);
  adapter.ask(10, 'disconnect', { restart: false });
  expect(await adapter.ended).toBe(0);
}, 60_000);
