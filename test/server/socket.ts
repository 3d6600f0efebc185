/** A WebSocket that collects what comes. */
import { WebSocket } from 'ws';
import { until } from './lab.ts';

export class TestSocket {
  readonly texts: Record<string, unknown>[] = [];
  readonly binaries: Uint8Array[] = [];
  readonly socket: WebSocket;
  closed: { readonly code: number; readonly reason: string } | undefined;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    this.socket.on('message', (data, isBinary) => {
      if (isBinary) this.binaries.push(new Uint8Array(data as Buffer));
      else this.texts.push(JSON.parse((data as Buffer).toString('utf8')) as Record<string, unknown>);
    });
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    this.socket.on('error', () => undefined);
  }

  /** The status of a server that does not want it; undefined: it was opened. */
  static refusal(url: string, headers: Record<string, string> = {}): Promise<number | undefined> {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    return new Promise((resolve, reject) => {
      socket.on('unexpected-response', (request, { statusCode }) => {
        request.destroy();
        resolve(statusCode);
      });
      socket.on('open', () => {
        socket.terminate();
        resolve(undefined);
      });
      socket.on('error', (error) => socket.readyState === WebSocket.CONNECTING && reject(error));
    });
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** The first text that is so. */
  async text(isSo: (text: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    const found = await until(() => this.texts.find(isSo) ?? (this.closed === undefined ? undefined : { closed: this.closed }), (text) => text !== undefined);
    if (found !== undefined && 'closed' in found && !isSo(found)) throw new Error(`the socket was closed: ${JSON.stringify(found)}; it had sent ${JSON.stringify(this.texts).slice(0, 2000)}`);
    return found as Record<string, unknown>;
  }

  async open(): Promise<void> {
    await until(() => this.socket.readyState, (state) => state !== WebSocket.CONNECTING);
    if (this.socket.readyState !== WebSocket.OPEN) throw new Error('the socket was not opened');
  }

  async done(): Promise<{ readonly code: number; readonly reason: string }> {
    return (await until(() => this.closed, (closed) => closed !== undefined)) as { code: number; reason: string };
  }
}
