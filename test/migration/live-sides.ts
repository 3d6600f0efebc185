/** Two sides of a migration in one process, with disks in memory that survive what the sides do not. */
import { existsSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import type { BlockBacking } from '../../engine/devices/virtio-block/virtio-block.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { decodeRecipe } from '../../engine/recording/recipe.ts';
import { openChain } from '../../engine/recording/chain.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { type DestinationEnd, type DestinationOptions, type MovedGuest, receive, startOf } from '../../server/migration/destination.ts';
import { type Duplex, memoryPipe } from '../../server/migration/duplex.ts';
import type { Arriving, DestinationFiles, DestinationRecord, Journal, SourceFiles, SourceRecord } from '../../server/migration/journal.ts';
import { GO, PAGES } from '../../server/migration/messages.ts';
import { Guest, type HostClock, VirtualPace } from '../../server/migration/pace.ts';
import { type PageWaits, Scout, runPaged } from '../../server/migration/post-copy.ts';
import { type SourceEnd, type SourceOptions, migrate } from '../../server/migration/source.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { CrashSink, type LiveGuest, openBytes } from './live-guests.ts';

export class MemoryJournal<T> implements Journal<T> {
  record: T | undefined;
  /** Before a write is done, and after it. */
  onWrite: ((moment: 'before' | 'after') => void) | undefined;
  read(): T | undefined {
    return this.record;
  }
  write(record: T): void {
    this.onWrite?.('before');
    this.record = record;
    this.onWrite?.('after');
  }
}

export class MemoryArriving implements Arriving {
  private readonly sink = new CrashSink();
  private isRemoved = false;
  append(bytes: Uint8Array): void {
    this.sink.append(bytes);
  }
  sync(): void {
    this.sink.sync();
  }
  contents(): Uint8Array {
    if (this.isRemoved) throw new Error('what had arrived was removed');
    return this.sink.survivors();
  }
  remove(): void {
    this.isRemoved = true;
  }
}

export const HOST: HostClock = { monotonicMs: () => performance.now(), turn: () => new Promise((resolve) => setImmediate(resolve)) };

export interface Disks {
  readonly source: SourceFiles & { readonly verdict: MemoryJournal<SourceRecord> };
  readonly destination: DestinationFiles & { readonly intent: MemoryJournal<DestinationRecord> };
}
export function newDisks(): Disks {
  return { source: { verdict: new MemoryJournal() }, destination: { intent: new MemoryJournal(), arriving: new MemoryArriving() } };
}

export type Shape = Pick<SourceOptions, 'policy' | 'downtimeLimitMs' | 'bytesPerSecond'> & Partial<Pick<SourceOptions, 'latencyNs' | 'timeLimitNs' | 'postCopyAfterSync' | 'cancelled' | 'pace'>> & { readonly speed: number };

export function sourceOptions(guest: Guest, link: Duplex, disks: Disks, shape: Shape): SourceOptions {
  const { speed, ...rest } = shape;
  return { guest, link, pace: new VirtualPace(speed), files: disks.source, migration: 'm1', to: 'the other side', ...rest };
}
export function destinationOptions(disks: Disks, disk?: BlockBacking): DestinationOptions {
  return { files: disks.destination, module: loadCore(), childId: 'child', disk };
}

/** The moved guest, recorded on. */
export function goOn(moved: MovedGuest, id = 'child'): { readonly guest: Guest; readonly sink: CrashSink } {
  const sink = new CrashSink();
  const recorder = new Recorder({ recipe: decodeRecipe(moved.parent), images: { kernel: new Uint8Array(0) }, module: loadCore(), log: { sink, id, product: 'test' }, from: startOf(moved) });
  recorder.flush();
  return { guest: new Guest(recorder, moved.state.typed), sink };
}

/** A link on which the first `batches` of pages after a hand-over take `turns` each: the guest is ahead of them, and has to ask. */
export function slowAfterHandover(link: Duplex, batches: number, turns: number): Duplex {
  let isOver = false;
  let left = batches;
  return {
    ...link,
    write: async (bytes) => {
      if (isOver && bytes[0] === PAGES && left-- > 0) for (let i = 0; i < turns; i++) await HOST.turn();
      if (bytes[0] === GO) isOver = true;
      await link.write(bytes);
    },
  };
}

export async function move(guest: Guest, shape: Shape, disks = newDisks(), wrap: (link: Duplex) => Duplex = (link) => link, disk?: BlockBacking): Promise<{ readonly source: SourceEnd; readonly destination: DestinationEnd; readonly child: ReturnType<typeof goOn> | undefined; readonly waits: PageWaits }> {
  const [here, there] = memoryPipe();
  const waits: PageWaits = { requests: 0, blocktimeMs: 0, blocktimeMsMax: 0 };
  let child: ReturnType<typeof goOn> | undefined;
  const arrive = async (): Promise<DestinationEnd> => {
    const end = await receive(there, destinationOptions(disks, disk));
    if (end.kind !== 'owner') return end;
    child = goOn(end.moved);
    const { missing, machine } = end.moved;
    if (missing.size > 0) {
      const scout = new Scout(machine, loadCore(), missing, disk);
      const paged = await runPaged({ guest: child.guest, scout, missing, link: end.link, mailbox: end.mailbox, arriving: disks.destination.arriving, clock: HOST, waits });
      if (!paged.isComplete) throw new Error(paged.problem);
    }
    return end;
  };
  const [source, destination] = await Promise.all([migrate(sourceOptions(guest, wrap(here), disks, shape)), arrive()]);
  return { source, destination, child, waits };
}

/** Replays a chain of logs; returns the digest at its end. Throws if it is another run. */
export function replayed(logs: readonly Uint8Array[], { images }: LiveGuest): string {
  const readers = logs.map(openBytes);
  const { reader } = openChain(readers[readers.length - 1], ({ logId }) => readers.find(({ header }) => header.id === logId));
  const status = new Replayer({ reader, images, module: loadCore() }).run();
  if (status.kind !== 'identical') throw new Error('the replay diverged');
  return status.digest;
}

/** Somebody of this machine listens there. Asked of the kernel: a connection would be taken for a migration. */
export async function listening(port: number): Promise<void> {
  const place = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  const isThere = (): boolean => ['/proc/net/tcp', '/proc/net/tcp6'].some((file) => existsSync(file) && readFileSync(file, 'latin1').split('\n').some((line) => line.includes(place) && line.split(/\s+/)[4] === '0A'));
  while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 20));
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
