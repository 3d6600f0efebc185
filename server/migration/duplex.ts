/** The way between the two sides of a migration: bytes both ways, over TCP or in memory. Twins of a frame: FrameReader, frame(). */
import { type Server, type Socket, connect, createServer } from 'node:net';

export interface Duplex {
  /** Resolves when there is room for more. Rejects with LinkError. */
  write(bytes: Uint8Array): Promise<void>;
  /** The next bytes; undefined when the other side has closed. Rejects with LinkError. */
  read(): Promise<Uint8Array | undefined>;
  close(): void;
}

/** The link or the other side is gone. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
}

/** Kind and payload; on the wire: u8 kind, u32 length, payload. */
export interface Frame {
  readonly kind: number;
  readonly payload: Uint8Array;
}
export const FRAME_HEADER_BYTES = 5;
const KEEP_ALIVE_MS = 5000;
/** Of one frame: the state of a guest with a disk of many overlaid pages is the largest. */
const FRAME_BYTES_MAX = 1 << 30;

export function frame(kind: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  bytes[0] = kind;
  new DataView(bytes.buffer).setUint32(1, payload.length, true);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

export class FrameReader {
  private readonly read: () => Promise<Uint8Array | undefined>;
  private held = new Uint8Array(0);

  constructor(read: () => Promise<Uint8Array | undefined>) {
    this.read = read;
  }

  /** Undefined when the other side has closed between two frames. Rejects with LinkError in the middle of one. */
  async next(): Promise<Frame | undefined> {
    const header = await this.take(FRAME_HEADER_BYTES);
    if (header === undefined) return undefined;
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1, true);
    if (length > FRAME_BYTES_MAX) throw new LinkError(`a frame of ${length} bytes: the other side does not speak this protocol`);
    const payload = length === 0 ? new Uint8Array(0) : await this.take(length);
    if (payload === undefined) throw new LinkError('the link ended in the middle of a frame');
    return { kind: header[0], payload };
  }

  private async take(count: number): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    let have = this.held.length;
    parts.push(this.held);
    while (have < count) {
      const bytes = await this.read();
      if (bytes === undefined) {
        if (have === 0) return undefined;
        throw new LinkError('the link ended in the middle of a frame');
      }
      parts.push(bytes);
      have += bytes.length;
    }
    const all = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    this.held = all.subarray(count) as Uint8Array<ArrayBuffer>;
    return all.subarray(0, count);
  }
}

/** What a reader waits for, one at a time. */
class Inbox {
  private readonly queue: Uint8Array[] = [];
  private waiting: { resolve: (bytes: Uint8Array | undefined) => void; reject: (error: Error) => void } | undefined;
  private isOver = false;
  private error: Error | undefined;

  push(bytes: Uint8Array): void {
    if (this.isOver) return;
    if (this.waiting === undefined) this.queue.push(bytes);
    else this.waiting.resolve(bytes);
    this.waiting = undefined;
  }
  end(error?: Error): void {
    if (this.isOver) return;
    this.isOver = true;
    this.error = error;
    if (this.waiting !== undefined) {
      if (error === undefined) this.waiting.resolve(undefined);
      else this.waiting.reject(error);
    }
    this.waiting = undefined;
  }
  take(): Promise<Uint8Array | undefined> {
    const bytes = this.queue.shift();
    if (bytes !== undefined) return Promise.resolve(bytes);
    if (this.isOver) return this.error === undefined ? Promise.resolve(undefined) : Promise.reject(this.error);
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
  }
}

/** Two ends of a pipe in memory. */
export function memoryPipe(): readonly [Duplex, Duplex] {
  const boxes = [new Inbox(), new Inbox()];
  let isOpen = true;
  const end = (own: number): Duplex => ({
    write: (bytes) => {
      if (!isOpen) return Promise.reject(new LinkError('the link is closed'));
      boxes[1 - own].push(bytes.slice());
      return Promise.resolve();
    },
    read: () => boxes[own].take(),
    close: () => {
      isOpen = false;
      for (const box of boxes) box.end();
    },
  });
  return [end(0), end(1)];
}

export function tcpDuplex(socket: Socket): Duplex {
  const inbox = new Inbox();
  let error: LinkError | undefined;
  const drained: (() => void)[] = [];
  const wake = (): void => {
    for (const each of drained.splice(0)) each();
  };
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  socket.on('data', (bytes: Buffer) => inbox.push(bytes));
  socket.on('drain', wake);
  socket.on('end', () => inbox.end());
  socket.on('error', (cause) => {
    error = new LinkError(`the link failed: ${cause.message}`, { cause });
    inbox.end(error);
    wake();
  });
  socket.on('close', () => {
    error ??= new LinkError('the other side closed the link');
    inbox.end();
    wake();
  });
  return {
    write: async (bytes) => {
      if (error !== undefined) throw error;
      if (socket.write(bytes)) return;
      await new Promise<void>((resolve) => drained.push(resolve));
      if (error !== undefined) throw error;
    },
    read: () => inbox.take(),
    close: () => socket.destroy(),
  };
}

/** Rejects with LinkError. */
export function connectTo(host: string, port: number, timeoutMs: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const fail = (detail: string): void => {
      socket.destroy();
      reject(new LinkError(`cannot connect to ${host}:${port}: ${detail}`));
    };
    socket.setTimeout(timeoutMs, () => fail(`no answer in ${timeoutMs / 1000} s`));
    socket.once('error', ({ message }) => fail(message));
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.removeAllListeners('error');
      resolve(tcpDuplex(socket));
    });
  });
}

/** Takes one connection after another: `accept()` gives the next. Rejects with LinkError if the port cannot be had. */
export async function listenAt(host: string | undefined, port: number): Promise<{ readonly port: number; accept(): Promise<Duplex>; close(): void }> {
  const come: Socket[] = [];
  let waiting: ((socket: Socket) => void) | undefined;
  const server: Server = createServer((socket) => {
    if (waiting === undefined) {
      come.push(socket);
      socket.on('error', () => socket.destroy());
    } else waiting(socket);
    waiting = undefined;
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new LinkError(`cannot listen at ${host ?? ''}:${port}: ${error.message}`)));
    server.listen({ port, ...(host !== undefined && { host }) }, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    accept: async () => tcpDuplex(come.shift() ?? (await new Promise<Socket>((resolve) => (waiting = resolve)))),
    close: () => {
      server.close();
      for (const socket of come) socket.destroy();
    },
  };
}

/** Frames as they come, read ahead, so that a lost link is known at once. */
export class Mailbox {
  private readonly frames: Frame[] = [];
  private lost: LinkError | undefined;
  private wake: (() => void) | undefined;

  constructor(link: Duplex) {
    const reader = new FrameReader(() => link.read());
    void (async () => {
      try {
        for (;;) {
          const next = await reader.next();
          if (next === undefined) throw new LinkError('the other side closed the link');
          this.frames.push(next);
          this.wake?.();
        }
      } catch (error) {
        this.lost = error instanceof LinkError ? error : new LinkError(String(error), { cause: error });
        this.wake?.();
      }
    })();
  }

  /** The next frame, if it is there. Throws LinkError when none will come. */
  poll(): Frame | undefined {
    const next = this.frames.shift();
    if (next === undefined && this.lost !== undefined) throw this.lost;
    return next;
  }
  /** Rejects with LinkError. */
  async take(): Promise<Frame> {
    for (;;) {
      const next = this.poll();
      if (next !== undefined) return next;
      await new Promise<void>((resolve) => (this.wake = resolve));
      this.wake = undefined;
    }
  }
}

/** Rejects with LinkError when it takes longer. */
export async function withTimeout<T>(promise: Promise<T>, ms: number | undefined): Promise<T> {
  if (ms === undefined || ms === Infinity) return promise;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new LinkError(`no answer in ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
