/** A reader behind a network that takes nothing: real frames of ws, held back. */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { decodeConsoleFrame } from '../../engine/protocol/console-frame.ts';
import type { LiveNotice, RunStatus } from '../../engine/protocol/lab.ts';
import { ConsoleRing } from '../runs/console-ring.ts';
import { type FollowedRun, serveLive } from './live-socket.ts';
import { Metrics } from './metrics.ts';

class HeldNetwork extends Duplex {
  isHeld = false;
  private readonly sent: Buffer[] = [];
  private waiting: (() => void) | undefined;

  override _read(): void {
    // Nobody sends anything.
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent.push(chunk);
    if (this.isHeld) this.waiting = done;
    else done();
  }
  release(): void {
    this.isHeld = false;
    this.waiting?.();
    this.waiting = undefined;
  }
  /** Frames of the server, which have no mask: RFC 6455, section 5.2. */
  get messages(): { readonly opcode: number; readonly payload: Uint8Array }[] {
    const all = Buffer.concat(this.sent);
    const found = [];
    for (let at = all.indexOf('\r\n\r\n') + 4; at < all.length; ) {
      const short = all[at + 1] & 0x7f;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      const length = short === 126 ? all.readUInt16BE(at + 2) : short === 127 ? Number(all.readBigUInt64BE(at + 2)) : short;
      found.push({ opcode: all[at] & 0x0f, payload: new Uint8Array(all.subarray(at + head, at + head + length)) });
      at += head + length;
    }
    return found;
  }
}

const PROGRESS = { position: 0, virtualNs: 0, records: 0, logBytes: 0, readableBytes: 0, consoleBytes: 0, mips: 0, isIdle: false };

class ToldRun implements FollowedRun {
  readonly console = new ConsoleRing(100_000);
  readonly listeners = new Set<() => void>();
  status: RunStatus = { id: '1', state: 'running', guest: 'lab', recording: 'x', startedMs: 0, endedMs: undefined, progress: PROGRESS, end: undefined, problem: undefined };
  get isOver(): boolean {
    return this.status.state === 'ended';
  }
  tell(): void {
    throw new Error('nobody types here');
  }
  shows(bytes: Uint8Array): void {
    this.console.push(bytes);
    this.status = { ...this.status, progress: { ...PROGRESS, consoleBytes: this.console.end } };
    for (const listener of this.listeners) listener();
  }
}

function connected(network: HeldNetwork): Promise<WebSocket> {
  const request = new IncomingMessage(new Socket());
  request.method = 'GET';
  request.headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' };
  return new Promise((resolve) => new WebSocketServer({ noServer: true, perMessageDeflate: false }).handleUpgrade(request, network, Buffer.alloc(0), resolve));
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('a reader that does not read has a bounded number of bytes waiting, and is told what it missed', async () => {
  const network = new HeldNetwork();
  const socket = await connected(network);
  const run = new ToldRun();
  const metrics = new Metrics();
  const bytesMax = 10_000;
  serveLive(socket, run, { from: 0, bytesMax, metrics });
  const shown: number[] = [];
  const show = (n: number): void => {
    const bytes = Uint8Array.from({ length: n }, (_, i) => (shown.length + i) % 251);
    shown.push(...bytes);
    run.shows(bytes);
  };
  show(1000);
  await turn();
  network.isHeld = true;
  let most = 0;
  for (let i = 0; i < 300; i++) {
    show(1000);
    if (i % 10 === 0) await turn();
    most = Math.max(most, socket.bufferedAmount);
  }
  // The last message may go over the bound, by no more than its own length.
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(bytesMax + 65_536 + 1000);
  const before = network.messages.length;
  network.release();
  for (let i = 0; i < 50; i++) await turn();
  show(10);
  for (let i = 0; i < 50; i++) await turn();

  const { messages } = network;
  const notices = messages.filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(new TextDecoder().decode(payload)) as LiveNotice);
  const gaps = notices.filter((notice) => notice.kind === 'gap');
  expect(gaps).toHaveLength(1);
  expect(metrics.gapBytes).toBe(gaps[0].to - gaps[0].from);
  // All that came is what was shown there, and with the gap it is everything.
  let at = 0;
  for (const { opcode, payload } of messages) {
    if (opcode === 1) {
      const notice = JSON.parse(new TextDecoder().decode(payload)) as LiveNotice;
      if (notice.kind === 'gap') at = notice.to;
      continue;
    }
    const frame = decodeConsoleFrame(payload);
    expect(frame?.from).toBe(at);
    expect([...(frame?.bytes ?? [])]).toEqual(shown.slice(at, at + (frame?.bytes.length ?? 0)));
    at += frame?.bytes.length ?? 0;
  }
  expect(at).toBe(shown.length);
  // 300 times something was to be told while it did not read; what it got is the newest.
  expect(messages.length - before).toBeLessThan(60);
  expect(notices.findLast((notice) => notice.kind === 'progress')).toMatchObject({ progress: { consoleBytes: shown.length } });
  socket.terminate();
  await turn();
  expect(run.listeners.size).toBe(0);
});
