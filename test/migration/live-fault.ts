/**
 * Migrations in which something dies: at a drawn byte of the link, or at a drawn write of a record, a side or the link goes. A dead side is a promise that never resolves: it does
 * nothing any more, and what it had in memory is gone; its disk keeps what was synced. Then whoever is left, and who comes back, settle who has the guest.
 */
import { Recorder } from '../../engine/recording/recorder.ts';
import { decodeRecipe } from '../../engine/recording/recipe.ts';
import { type DestinationEnd, type MovedGuest, receive, recoverDestination, settle } from '../../server/migration/destination.ts';
import { type Duplex, LinkError, memoryPipe } from '../../server/migration/duplex.ts';
import { Guest } from '../../server/migration/pace.ts';
import { Pager, type SourceEnd, migrate } from '../../server/migration/source.ts';
import { Scout, runPaged } from '../../server/migration/post-copy.ts';
import { sourceMayRun, tellVerdict } from '../../server/migration/verdict.ts';
import { BranchError, branchPoint } from '../../engine/debug/branch-point.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { openChain } from '../../engine/recording/chain.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { CrashSink, type LiveGuest, digestAt, openBytes, startGuest } from './live-guests.ts';
import { type Disks, HOST, type Shape, destinationOptions, goOn, newDisks, replayed, sourceOptions } from './live-sides.ts';

export type Victim = 'source' | 'destination' | 'link';
export interface Fault {
  readonly victim: Victim;
  /** After so many bytes in both directions; or at the n-th write of a record (both sides counted), before or after it is on disk. */
  readonly at: { readonly bytes: number } | { readonly write: number; readonly moment: 'before' | 'after' };
}

const NEVER = new Promise<never>(() => undefined);

/** What happened, and where the guest is at the end. */
export interface Story {
  readonly fault: Fault;
  readonly hasStruck: boolean;
  readonly liveAt: 'source' | 'destination';
  /** Before anybody came back. */
  readonly source: string;
  readonly destination: string;
  /** The live guest went on, and its chain of logs replays. */
  readonly digest: string;
}

class Struck extends Error {}

/** Runs one migration with a fault. Throws when there is not exactly one live copy, or when something of the run is lost. */
export async function runFault(live: LiveGuest, at: number, shape: Shape, fault: Fault, more = 300_000): Promise<Story> {
  const disks = newDisks();
  const { recorder, sink } = startGuest(live, 'root');
  const guest = new Guest(recorder);
  guest.runTo(at);
  recorder.flush();
  const [a, b] = memoryPipe();
  const dead = new Set<Victim>();
  let hasStruck = false;
  let bytes = 0;
  let writes = 0;
  const strike = (): void => {
    hasStruck = true;
    dead.add(fault.victim);
    a.close();
  };
  const own = (side: 'source' | 'destination', link: Duplex): Duplex => ({
    write: async (data) => {
      if (dead.has(side)) return NEVER;
      if ('bytes' in fault.at && !hasStruck && bytes + data.length > fault.at.bytes) {
        const part = Math.max(0, fault.at.bytes - bytes);
        if (part > 0) await link.write(data.subarray(0, part));
        strike();
        if (dead.has(side)) return NEVER;
        throw new LinkError('the link was cut');
      }
      bytes += data.length;
      await link.write(data);
    },
    read: async () => {
      if (dead.has(side)) return NEVER;
      const got = await link.read();
      return dead.has(side) ? NEVER : got;
    },
    close: () => {
      if (!dead.has(side)) link.close();
    },
  });
  const onWrite = (moment: 'before' | 'after', side: 'source' | 'destination'): void => {
    if (dead.has(side)) throw new Struck('a dead side writes');
    if (!('write' in fault.at) || hasStruck) return;
    if (moment === 'before') writes++;
    if (writes !== fault.at.write || moment !== fault.at.moment) return;
    strike();
    if (dead.has(side)) throw new Struck('dies here');
  };
  disks.source.verdict.onWrite = (moment) => onWrite(moment, 'source');
  disks.destination.intent.onWrite = (moment) => onWrite(moment, 'destination');

  // A side that dies in the middle of its own work throws Struck: whatever it would do next is not done.
  const lives = <T>(side: 'source' | 'destination', promise: Promise<T>): Promise<T | undefined> =>
    Promise.race([promise.catch((error: unknown) => {
      if (error instanceof Struck) return undefined;
      throw error;
    }), died(side)]);
  const died = async (side: 'source' | 'destination'): Promise<undefined> => {
    for (;;) {
      await HOST.turn();
      if (dead.has(side)) return undefined;
      if (isOver) return NEVER;
    }
  };
  let isOver = false;
  let child: ReturnType<typeof goOn> | undefined;
  let paged: MovedGuest | undefined;
  const arrive = async (): Promise<DestinationEnd> => {
    const end = await receive(own('destination', b), destinationOptions(disks));
    if (end.kind !== 'owner' || dead.has('destination')) return end;
    child = goOn(end.moved, 'child');
    if (end.moved.missing.size > 0) {
      const done = await runPaged({ ...pagedOptions(child.guest, end.moved, disks), link: end.link, mailbox: end.mailbox });
      if (!done.isComplete) paged = end.moved;
    }
    return end;
  };
  const [source, destination] = await Promise.all([lives('source', migrate(sourceOptions(guest, own('source', a), disks, shape))), lives('destination', arrive())]);
  isOver = true;
  disks.source.verdict.onWrite = disks.destination.intent.onWrite = undefined;
  return settleStory(live, fault, hasStruck, { disks, guest, sink, source: dead.has('source') ? undefined : source, destination: dead.has('destination') ? undefined : destination, child: dead.has('destination') ? undefined : child, paged, more });
}

function pagedOptions(guest: Guest, moved: MovedGuest, disks: Disks): Omit<Parameters<typeof runPaged>[0], 'link' | 'mailbox'> {
  return { guest, scout: new Scout(moved.machine, loadCore(), moved.missing), missing: moved.missing, arriving: disks.destination.arriving, clock: HOST, waits: { requests: 0, blocktimeMs: 0, blocktimeMsMax: 0 } };
}

interface Aftermath {
  readonly disks: Disks;
  readonly guest: Guest;
  readonly sink: CrashSink;
  /** Undefined: it died. */
  readonly source: SourceEnd | undefined;
  readonly destination: DestinationEnd | undefined;
  readonly child: ReturnType<typeof goOn> | undefined;
  readonly paged: MovedGuest | undefined;
  readonly more: number;
}

/** Everybody comes back, and they talk. */
async function settleStory(live: LiveGuest, fault: Fault, hasStruck: boolean, after: Aftermath): Promise<Story> {
  const { disks, source, destination, more } = after;
  const before = { source: source?.kind ?? 'dead', destination: destination?.kind ?? 'dead' };

  // The source: its process goes on, or it comes back with its disk.
  const isHere = source === undefined ? sourceMayRun(disks.source) : source.kind === 'kept';
  const verdict = disks.source.verdict.read();
  if (isHere === (verdict?.verdict === 'handed-over')) throw new Error(`the source ${isHere ? 'runs' : 'does not run'} the guest, and its record says ${verdict?.verdict}`);

  // The destination: the same.
  let { child } = after;
  let isThere = destination?.kind === 'owner';
  let moved: MovedGuest | undefined = destination?.kind === 'in-doubt' ? destination.moved : after.paged;
  if (destination === undefined) {
    const recovered = await recoverDestination(destinationOptions(disks));
    isThere = recovered?.record.state === 'owner';
    moved = recovered?.moved;
    if (isThere && isHere) throw new Error('both sides say that they have the guest');
  }
  // Before they have talked no two may run it; one that is in doubt does not.
  if (isHere && isThere) throw new Error('two live copies');

  if (moved !== undefined && verdict !== undefined && (!isThere || moved.missing.size > 0)) {
    const [a, b] = memoryPipe();
    const [said, heard] = await Promise.all([tellVerdict(a, verdict), settle(b, moved, disks.destination)]);
    isThere = heard.kind === 'owner';
    if (heard.kind === 'owner') {
      child ??= goOn(moved, 'child again');
      if (said.missing.length > 0) {
        // The source's process still has the memory, or makes it again from its log.
        const core = source?.kind === 'paging' ? source.pager.core : replayedCore(live, after.sink.survivors(), verdict.position!, verdict.records!);
        const options = sourceOptions(after.guest, a, disks, { policy: 'postcopy', downtimeLimitMs: 0, bytesPerSecond: Infinity, speed: 1 });
        await Promise.all([new Pager(core, Uint32Array.from(said.missing)).serve(a, said.mailbox, options.pace, Infinity), runPaged({ ...pagedOptions(child.guest, moved, disks), link: heard.link, mailbox: heard.mailbox })]);
      }
    }
  }
  if (isHere === isThere) throw new Error(isHere ? 'two live copies' : 'no live copy');

  const logs: Uint8Array[] = [];
  let digest: string;
  if (isHere && source !== undefined) {
    // It never stopped, or went on.
    digest = finish(live, after.guest, more);
    logs.push(after.sink.toBytes());
  } else if (isHere) {
    const root = after.sink.survivors();
    const again = fromTheEnd(live, [root], 'source again');
    digest = finish(live, again.guest, more);
    logs.push(root, again.sink.toBytes());
  } else {
    const root = source === undefined ? after.sink.survivors() : after.sink.toBytes();
    if (child !== undefined) {
      digest = finish(live, child.guest, more);
      logs.push(root, child.sink.toBytes());
    } else {
      // The owner died and came back: from what had arrived, as its own log has nothing that was synced but its header.
      const again = goOn(moved!, 'child again');
      digest = finish(live, again.guest, more);
      logs.push(root, again.sink.toBytes());
    }
  }
  const replay = replayed(logs, live);
  if (replay !== digest) throw new Error(`the chain replays to ${replay}, the guest ended with ${digest}`);
  return { fault, hasStruck, liveAt: isHere ? 'source' : 'destination', ...before, digest };
}

/** Runs the live copy on. Its state is that of the guest to which nothing happened. */
function finish(live: LiveGuest, guest: Guest, more: number): string {
  guest.advance(guest.recorder.position + more);
  const { position } = guest.recorder;
  const end = guest.recorder.stop('limit', 'long enough');
  if (end.kind !== 'ended') throw new Error('it did not stop');
  const expected = digestAt(live, position);
  if (end.digest !== expected) throw new Error(`the live copy is at ${end.digest}; a guest that was never moved is at ${expected} there`);
  return end.digest;
}

function fromTheEnd({ images }: LiveGuest, logs: readonly Uint8Array[], id: string): ReturnType<typeof goOn> {
  const readers = logs.map(openBytes);
  const chain = openChain(readers[readers.length - 1], ({ logId }) => readers.find(({ header }) => header.id === logId));
  const travel = new TimeTravel({ reader: chain.reader, images, module: loadCore() });
  travel.seek(Math.max(0, chain.reader.lastPosition - 1));
  const point = branchPoint(travel, chain, images, loadCore());
  return goOnWith(point.start, chain.reader, images, id);
}
function goOnWith(start: ReturnType<typeof branchPoint>['start'], { header }: ReturnType<typeof openBytes>, images: LiveGuest['images'], id: string): ReturnType<typeof goOn> {
  const sink = new CrashSink();
  return { guest: new Guest(new Recorder({ recipe: decodeRecipe(header), images, module: loadCore(), from: start, log: { sink, id, product: 'test' } })), sink };
}
function replayedCore(live: LiveGuest, log: Uint8Array, position: number, records: number): Guest['recorder']['machine']['core'] {
  const reader = openBytes(log);
  const replayer = new Replayer({ reader, images: live.images, module: loadCore(), stop: { position, records } });
  while (!replayer.isStopped) if (replayer.step(1_000_000).kind !== 'running') throw new BranchError('the log does not replay to the hand-over');
  return replayer.machine.core;
}
