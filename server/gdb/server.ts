/** The socket of the gdb door: one debugger at a time, one after the other; the place in the recording stays where the last one left it. */
import { type AddressInfo, type Socket, createServer } from 'node:net';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import type { StretchCrew } from '../../engine/debug/stretches.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import { Cursor } from './cursor.ts';
import { PacketDecoder, encodePacket } from './packet.ts';
import { GdbSession } from './session.ts';

export interface GdbServerOptions {
  readonly travel: TimeTravel;
  /** For one walk back: who replays its stretches. */
  readonly crew?: (() => StretchCrew) | undefined;
  /** For `monitor`; gdb has its own. */
  readonly symbols?: GuestSymbols | undefined;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly turn: () => Promise<void>;
  /** A client came, or left and why. */
  readonly onClient?: (event: { readonly kind: 'attached' | 'left' | 'refused'; readonly client: string; readonly reason: string }) => void;
}

export interface GdbServer {
  readonly host: string;
  readonly port: number;
  /** Lets the client go, and listens no more. */
  close(): Promise<void>;
}

/** Bytes of replies that wait for a client that does not read; then it is let go. */
export const UNREAD_BYTES_MAX = 8 << 20;
/** Seconds after which a client that was refused is cut off. */
const REFUSED_SECONDS = 5;
const REFUSED_CLIENTS_MAX = 16;
export const BUSY = 'another debugger is attached to this recording: detach it first, or open the recording again on another port';

/** Rejects with the error of the socket if it cannot listen there. */
export function serveGdb(options: GdbServerOptions): Promise<GdbServer> {
  const { travel, turn } = options;
  let attached: Socket | undefined;
  /** Resolves when nothing of the client before is at work any more. */
  let settled: Promise<void> = Promise.resolve();
  const sockets = new Set<Socket>();

  const server = createServer((socket) => {
    const client = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    sockets.add(socket);
    socket.setNoDelay(true);
    // What is wrong with a connection is its end; `close` follows.
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    if (attached !== undefined) {
      options.onClient?.({ kind: 'refused', client, reason: 'another one is attached' });
      refuse(socket, sockets.size > REFUSED_CLIENTS_MAX);
      return;
    }
    attached = socket;
    options.onClient?.({ kind: 'attached', client, reason: '' });
    let why = 'the connection broke';
    const session = new GdbSession({
      cursor: new Cursor(travel, options.crew),
      symbols: options.symbols,
      turn,
      send: (bytes) => {
        if (socket.destroyed || !socket.writable) return;
        socket.write(bytes);
        if (socket.writableLength <= UNREAD_BYTES_MAX) return;
        why = 'it did not read its replies';
        socket.destroy();
      },
      onEnd: (reason) => {
        why = reason;
        // After what is written; not waiting for the other end, which may never close.
        socket.destroySoon();
      },
    });
    const before = settled;
    socket.pause();
    void before.then(() => {
      socket.on('data', (bytes: Buffer) => session.receive(bytes));
      socket.resume();
    });
    socket.on('close', () => {
      settled = Promise.all([before, session.close()]).then(() => {});
      attached = undefined;
      options.onClient?.({ kind: 'left', client, reason: why });
    });
  });

  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', reject);
      server.on('error', () => {});
      const { address, port } = server.address() as AddressInfo;
      resolve({
        host: address,
        port,
        close: async () => {
          const closed = new Promise<void>((done) => server.close(() => done()));
          for (const socket of sockets) socket.destroy();
          await closed;
          await settled;
        },
      });
    });
  });
}

/** gdb shows the text of an error that answers its first packets, so that is how it is told. */
function refuse(socket: Socket, isCrowded: boolean): void {
  if (isCrowded) {
    socket.destroy();
    return;
  }
  const decoder = new PacketDecoder();
  socket.setTimeout(REFUSED_SECONDS * 1000, () => socket.destroy());
  let replies = 0;
  socket.on('data', (bytes: Buffer) => {
    for (const frame of decoder.push(bytes)) {
      if (frame.kind !== 'packet' || socket.destroyed || !socket.writable) continue;
      socket.write(Buffer.from(`+${encodePacket(`E.${BUSY}`)}`, 'latin1'));
      // qSupported and vMustReplyEmpty: with that gdb gives up.
      if (++replies >= 4) socket.destroySoon();
    }
  });
}
