/** Two QEMUs with a relay between them that is the network: one real migration, measured. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Measured {
  readonly converges: boolean;
  /** Wall ms from burst 0 of the guest's schedule to the start of the migration. */
  readonly startedAtMs: number;
  readonly totalTimeMs: number;
  readonly downtimeMs: number;
  readonly setupTimeMs: number;
  /** The last one that QEMU told while the guest ran. */
  readonly expectedDowntimeMs: number | undefined;
  readonly transferred: number;
  readonly normal: number;
  readonly duplicate: number;
  readonly syncs: number;
  readonly ramBytes: number;
  /** dirty-pages-rate, the last while it ran. */
  readonly dirtyPagesRate: number;
  /** Bytes that went through the relay, and bytes a second while it was busy. */
  readonly relayed: number;
  readonly relayBytesPerSecond: number;
  /** Runs up to this one, those before it with a relay that was too slow. */
  readonly tries?: number;
}

export interface MigrationSetup {
  readonly image: Uint8Array;
  readonly memoryBytes: number;
  /** Of the relay. */
  readonly bytesPerSecond: number;
  readonly downtimeLimitMs: number;
  /** max-bandwidth, bytes a second; 0: none. */
  readonly maxBandwidth: number;
  /** Wait after burst 0. */
  readonly startAfterMs: number;
  /** Cancelled, and taken as not converging, after this time. */
  readonly giveUpMs: number;
  /** `migrate-start-postcopy` when so many syncs were seen. */
  readonly postCopyAfterSync?: number;
  /** On both sides. */
  readonly capabilities?: readonly string[];
}

export class Qmp {
  private readonly socket: Socket;
  private buffer = '';
  private readonly waiting: ((reply: Record<string, unknown>) => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      this.buffer += text;
      for (let end = this.buffer.indexOf('\n'); end >= 0; end = this.buffer.indexOf('\n')) {
        const message = JSON.parse(this.buffer.slice(0, end)) as Record<string, unknown>;
        this.buffer = this.buffer.slice(end + 1);
        if ('return' in message || 'error' in message) this.waiting.shift()?.(message);
      }
    });
    socket.on('error', () => {});
  }

  static async connect(path: string): Promise<Qmp> {
    for (let tries = 0; ; tries++) {
      try {
        const socket = await new Promise<Socket>((resolve, reject) => {
          const made = createConnection(path, () => resolve(made));
          made.once('error', reject);
        });
        const qmp = new Qmp(socket);
        await qmp.call('qmp_capabilities');
        return qmp;
      } catch (error) {
        if (tries > 200) throw error;
        await sleep(50);
      }
    }
  }

  async call<T = unknown>(execute: string, args?: object): Promise<T> {
    const reply = new Promise<Record<string, unknown>>((resolve) => this.waiting.push(resolve));
    this.socket.write(`${JSON.stringify({ execute, ...(args !== undefined && { arguments: args }) })}\n`);
    const message = await reply;
    if ('error' in message) throw new Error(`QMP ${execute}: ${JSON.stringify(message.error)}`);
    return message.return as T;
  }
  close(): void {
    this.socket.destroy();
  }
}

/** Forwards at `bytesPerSecond`; the way back is not limited. */
class Relay {
  bytes = 0;
  private firstMs: number | undefined;
  private lastMs = 0;
  private readonly server;

  constructor(from: string, to: string, bytesPerSecond: number) {
    this.server = createServer({ highWaterMark: CHUNK_BYTES }, (source) => {
      const target = createConnection(to);
      const queue: Buffer[] = [];
      let queued = 0;
      let dueMs = performance.now();
      let timer: NodeJS.Timeout | undefined;
      let isEnded = false;
      const pump = (): void => {
        timer = undefined;
        const now = performance.now();
        // Idle time earns nothing.
        if (dueMs < now - BURST_MS) dueMs = now - BURST_MS;
        while (queue.length > 0 && dueMs <= now) {
          const piece = queue.shift()!;
          queued -= piece.length;
          target.write(piece);
          this.bytes += piece.length;
          this.firstMs ??= now;
          this.lastMs = now;
          dueMs += (piece.length / bytesPerSecond) * 1000;
        }
        if (queued < CHUNK_BYTES) source.resume();
        if (queue.length > 0) timer = setTimeout(pump, Math.max(0, dueMs - performance.now()));
        else if (isEnded) target.end();
      };
      source.on('data', (data: Buffer) => {
        for (let at = 0; at < data.length; at += PIECE_BYTES) queue.push(data.subarray(at, at + PIECE_BYTES));
        queued += data.length;
        if (queued >= CHUNK_BYTES) source.pause();
        if (timer === undefined) pump();
      });
      source.on('end', () => {
        isEnded = true;
        if (timer === undefined) pump();
      });
      target.on('data', (data) => source.write(data));
      const drop = (): void => {
        source.destroy();
        target.destroy();
      };
      source.on('error', drop);
      target.on('error', drop);
    });
    this.server.listen(from);
  }

  get bytesPerSecond(): number {
    return this.firstMs === undefined || this.lastMs === this.firstMs ? 0 : (this.bytes * 1000) / (this.lastMs - this.firstMs);
  }
  close(): void {
    this.server.close();
  }
}
const CHUNK_BYTES = 65_536;
const PIECE_BYTES = 16_384;
/** What a relay that was not woken in time may make up for. */
const BURST_MS = 20;

interface QueryMigrate {
  readonly status?: string;
  readonly 'total-time'?: number;
  readonly downtime?: number;
  readonly 'setup-time'?: number;
  readonly 'expected-downtime'?: number;
  readonly ram?: { readonly transferred: number; readonly normal: number; readonly duplicate: number; readonly 'dirty-sync-count': number; readonly 'dirty-pages-rate': number; readonly total: number };
}

interface Guest {
  readonly process: ChildProcess;
  /** Resolves when burst 0 has begun; performance.now() then. */
  readonly ready: Promise<number>;
  /** performance.now() of each 'T'. */
  readonly ticks: number[];
}

function startGuest(folder: string, name: string, memoryBytes: number, more: readonly string[]): Guest {
  const process = spawn(
    'qemu-system-x86_64',
    ['-M', 'pc', '-accel', 'tcg', '-m', `${memoryBytes >> 20}`, '-nodefaults', '-vga', 'none', '-display', 'none', '-serial', 'stdio', '-qmp', `unix:${join(folder, name)}.qmp,server=on,wait=off`, '-kernel', join(folder, 'guest.elf'), ...more],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ticks: number[] = [];
  const ready = new Promise<number>((resolve, reject) => {
    process.stdout!.on('data', (data: Buffer) => {
      const now = performance.now();
      for (const byte of data) {
        if (byte === 0x52) resolve(now);
        else if (byte === 0x54) ticks.push(now);
      }
    });
    process.once('error', reject);
    process.once('exit', (code) => reject(new Error(`QEMU (${name}) ended with ${code}`)));
  });
  ready.catch(() => {});
  return { process, ready, ticks };
}

function withFolder<T>(image: Uint8Array, run: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'cv-migration-'));
  writeFileSync(join(folder, 'guest.elf'), image);
  return run(folder).finally(() => rmSync(folder, { recursive: true, force: true }));
}

/** ms between two announcements of a guest that runs for `ms`: what its TSC makes of its schedule. */
export function measureTicks(image: Uint8Array, memoryBytes: number, ms: number): Promise<number> {
  return withFolder(image, async (folder) => {
    const guest = startGuest(folder, 'source', memoryBytes, []);
    try {
      await guest.ready;
      await sleep(ms);
      const { ticks } = guest;
      if (ticks.length < 3) throw new Error(`the guest announced itself ${ticks.length} times in ${ms} ms`);
      return (ticks[ticks.length - 1] - ticks[0]) / (ticks.length - 1);
    } finally {
      guest.process.kill('SIGKILL');
    }
  });
}

export function migrate(setup: MigrationSetup): Promise<Measured> {
  return withFolder(setup.image, async (folder) => {
    const incoming = join(folder, 'in.sock');
    const target = startGuest(folder, 'target', setup.memoryBytes, ['-incoming', `unix:${incoming}`]);
    const source = startGuest(folder, 'source', setup.memoryBytes, []);
    const qmps: Qmp[] = [];
    let relay: Relay | undefined;
    try {
      const [sourceQmp, targetQmp] = await Promise.all([Qmp.connect(join(folder, 'source.qmp')), Qmp.connect(join(folder, 'target.qmp'))]);
      qmps.push(sourceQmp, targetQmp);
      const wanted = ['events', ...(setup.postCopyAfterSync === undefined ? [] : ['postcopy-ram']), ...(setup.capabilities ?? [])];
      const capabilities = wanted.map((capability) => ({ capability, state: true }));
      await Promise.all(qmps.map((qmp) => qmp.call('migrate-set-capabilities', { capabilities })));
      await sourceQmp.call('migrate-set-parameters', { 'max-bandwidth': setup.maxBandwidth, 'downtime-limit': setup.downtimeLimitMs });
      relay = new Relay(join(folder, 'relay.sock'), incoming, setup.bytesPerSecond);
      const zeroMs = await source.ready;
      await sleep(setup.startAfterMs - (performance.now() - zeroMs));
      const startMs = performance.now();
      await sourceQmp.call('migrate', { uri: `unix:${join(folder, 'relay.sock')}` });
      let expectedDowntimeMs: number | undefined;
      let dirtyPagesRate = 0;
      let state: QueryMigrate;
      let isGivenUp = false;
      let isPostCopy = false;
      for (;;) {
        await sleep(20);
        state = await sourceQmp.call<QueryMigrate>('query-migrate');
        if (state.status === 'active') {
          expectedDowntimeMs = state['expected-downtime'] ?? expectedDowntimeMs;
          dirtyPagesRate = state.ram?.['dirty-pages-rate'] ?? dirtyPagesRate;
          if (!isPostCopy && setup.postCopyAfterSync !== undefined && (state.ram?.['dirty-sync-count'] ?? 0) >= setup.postCopyAfterSync) {
            await sourceQmp.call('migrate-start-postcopy');
            isPostCopy = true;
          }
        }
        if (['completed', 'failed', 'cancelled'].includes(state.status ?? '')) break;
        if (!isGivenUp && performance.now() - startMs > setup.giveUpMs) {
          isGivenUp = true;
          const last = state;
          await sourceQmp.call('migrate_cancel');
          state = last;
          break;
        }
      }
      if (state.status === 'failed') throw new Error('the migration failed');
      const relayBytesPerSecond = relay.bytesPerSecond;
      // `completed` appears before the times are filled in.
      if (!isGivenUp) {
        await sleep(300);
        state = await sourceQmp.call<QueryMigrate>('query-migrate');
      }
      const { ram } = state;
      return {
        converges: !isGivenUp,
        startedAtMs: startMs - zeroMs,
        totalTimeMs: state['total-time'] ?? NaN,
        downtimeMs: state.downtime ?? NaN,
        setupTimeMs: state['setup-time'] ?? NaN,
        expectedDowntimeMs,
        transferred: ram?.transferred ?? NaN,
        normal: ram?.normal ?? NaN,
        duplicate: ram?.duplicate ?? NaN,
        syncs: ram?.['dirty-sync-count'] ?? NaN,
        ramBytes: ram?.total ?? NaN,
        dirtyPagesRate,
        relayed: relay.bytes,
        relayBytesPerSecond,
      };
    } finally {
      for (const qmp of qmps) qmp.close();
      source.process.kill('SIGKILL');
      target.process.kill('SIGKILL');
      relay?.close();
    }
  });
}
