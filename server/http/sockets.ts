/** WebSockets: who may open which, and that none that is dead is kept. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { STATUS_CODES } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { serveDebug } from './debug-socket.ts';
import { HttpError } from './errors.ts';
import { type GuardOptions, checkToken, guard } from './guard.ts';
import { type Lab, recordingOf } from './lab.ts';
import { serveLive } from './live-socket.ts';
import type { RateLimiter } from './rate.ts';
import { runOf } from './run-routes.ts';

/** Of one message from a client. */
const MESSAGE_BYTES_MAX = 64 << 10;
const PING_MS = 30_000;
const CLOSE_GOING_AWAY = 1001;

const LIVE = /^\/api\/v1\/runs\/(\d{1,15})\/live$/;
const DEBUG = /^\/api\/v1\/recordings\/([^/]{1,900})\/debug$/;

export class Sockets {
  private readonly lab: Lab;
  private readonly guardOptions: GuardOptions;
  private readonly rate: RateLimiter;
  private readonly sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false });
  private readonly alive = new WeakSet<WebSocket>();
  private readonly pings: NodeJS.Timeout;
  private isClosing = false;

  constructor(server: Server, lab: Lab, guardOptions: GuardOptions, rate: RateLimiter) {
    this.lab = lab;
    this.guardOptions = guardOptions;
    this.rate = rate;
    server.on('upgrade', (request, socket, head) => void this.upgrade(request, socket, head));
    this.pings = setInterval(() => this.ping(), PING_MS);
    this.pings.unref();
  }

  private async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    try {
      guard(request.headers, true, this.guardOptions);
      if (!this.rate.take(request.socket.remoteAddress ?? '')) throw new HttpError('HTTP_TOO_MANY');
      checkToken(request.headers, this.guardOptions);
      const open = await this.opener(request.url ?? '/');
      if (socket.destroyed) return;
      socket.off('error', onError);
      this.sockets.handleUpgrade(request, socket, head, (accepted) => this.take(accepted, open));
    } catch (error) {
      this.lab.metrics.refusedSockets++;
      refuse(socket, error);
    }
  }

  /** What an address opens. Throws HttpError. */
  private async opener(url: string): Promise<(socket: WebSocket) => void> {
    const { lab } = this;
    const { socketBytes: bytesMax, sessions } = lab.limits;
    if (this.isClosing) throw new HttpError('HTTP_TOO_MANY', { detail: 'the server is stopping' });
    const [path, query = ''] = url.split('?', 2);
    const live = LIVE.exec(path);
    if (live !== null) {
      const run = runOf(lab, live[1]);
      const from = new URLSearchParams(query).get('from') ?? '0';
      if (!/^\d{1,15}$/.test(from)) throw new HttpError('HTTP_BAD_REQUEST', { detail: 'from is the number of a console byte' });
      return (socket) => serveLive(socket, run, { from: Number(from), bytesMax, metrics: lab.metrics });
    }
    const debug = DEBUG.exec(path);
    if (debug === null) throw new HttpError('HTTP_NOT_FOUND');
    const { path: file, readableBytes } = await recordingOf(lab, decoded(debug[1]));
    if (readableBytes !== undefined) throw new HttpError('HTTP_IN_USE', { detail: 'stop the run to walk through it' });
    if (lab.metrics.sessions >= sessions) throw new HttpError('HTTP_TOO_MANY', { detail: `${sessions} debug sessions are open already` });
    return (socket) => {
      lab.metrics.sessions++;
      serveDebug(socket, { pool: lab.pool, data: { path: file }, bytesMax, onClosed: () => lab.metrics.sessions-- });
    };
  }

  private take(socket: WebSocket, open: (socket: WebSocket) => void): void {
    const { metrics } = this.lab;
    metrics.sockets++;
    this.alive.add(socket);
    socket.on('pong', () => this.alive.add(socket));
    socket.on('close', () => metrics.sockets--);
    // What breaks the protocol closes the socket; there is nobody to tell.
    socket.on('error', () => socket.terminate());
    open(socket);
  }

  private ping(): void {
    for (const socket of this.sockets.clients) {
      if (!this.alive.has(socket)) {
        socket.terminate();
        continue;
      }
      this.alive.delete(socket);
      socket.ping();
    }
  }

  /** Says so to all, and ends those that do not answer. */
  async close(): Promise<void> {
    this.isClosing = true;
    clearInterval(this.pings);
    const all = [...this.sockets.clients];
    for (const socket of all) socket.close(CLOSE_GOING_AWAY, 'the server is stopping');
    await new Promise((resolve) => setTimeout(resolve, all.length === 0 ? 0 : 200));
    for (const socket of all) socket.terminate();
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new HttpError('HTTP_BAD_REQUEST', { detail: 'the address is not percent-encoded' });
  }
}

function refuse(socket: Duplex, error: unknown): void {
  const known = error instanceof HttpError ? error : new HttpError('HTTP_INTERNAL');
  if (!(error instanceof HttpError)) console.error(error);
  const body = JSON.stringify({ code: known.code, message: known.message, advice: known.advice });
  socket.end(`HTTP/1.1 ${known.statusCode} ${STATUS_CODES[known.statusCode] ?? ''}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
  socket.once('finish', () => socket.destroy());
}
