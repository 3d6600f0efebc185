/**
 * Runs a guest of which pages are still elsewhere. The engine is synchronous and the network is not, so a scout goes ahead:
 *
 *     scout   ──run──► touches a page that is not here (or the slice ends) ──► position p is safe
 *     guest   ──run to p──► events to the log       ──► fetch the page ──► scout takes over the guest's state, and goes on
 *
 * The scout is a second machine with the guest's state and no log. Both are the same pure function, so up to p the guest does what the scout did, and touches nothing that is not
 * here. What the scout does after a touch is thrown away, so it may read garbage. It sees every access:
 *
 *     loads, stores, A and D bits      the core's watch on the frames that are not here
 *     instruction fetches              a page that is not here is full of LOCK prefixes, which fault in any mode; of instructions that may reach into the next page each is observed
 *     page walks                       LOCK is 0xf0: as an entry, not present. The fault is told before it is delivered, and the tables are walked again here
 *     devices, paravirtual clocks      Observer.device(): at a register access, in the midst of an instruction, or at a timer, between two; p is then one less
 */
import { CR0, CR3, CR4, EFER, PAGE_WATCH, RAM, WATCHING, WATCH_READ, WATCH_WRITE } from '../../engine/cpu/layout.ts';
import type { Core } from '../../engine/cpu/core.ts';
import type { EventSink } from '../../engine/log/event-sink.ts';
import type { BlockBacking } from '../../engine/devices/virtio-block/virtio-block.ts';
import { Machine } from '../../engine/machine/machine.ts';
import { PAGE_BYTES, pageHashes, pageView } from '../../engine/machine/snapshot.ts';
import { placePages } from './destination.ts';
import { type Duplex, type Frame, LinkError, type Mailbox, frame } from './duplex.ts';
import type { Arriving } from './journal.ts';
import { COMPLETE, PAGES, REQUEST, encodeFrames } from './messages.ts';
import type { Guest, HostClock } from './pace.ts';

const SLICE_INSTRUCTIONS = 200_000;
/** Longest instruction, less one. */
const TAIL_BYTES = 14;
const LOCK = 0xf0;
const NOWHERE = 0xffff_ffff_ffff_ffffn;

export class Scout {
  private readonly machine: Machine;
  private readonly guest: Machine;
  /** Frames that are not here. */
  private readonly missing: ReadonlyMap<number, unknown>;
  private readonly touched = new Set<number>();

  /** `disk`: the base image of the guest's. */
  constructor(guest: Machine, module: WebAssembly.Module, missing: ReadonlyMap<number, unknown>, disk?: BlockBacking) {
    this.guest = guest;
    this.missing = missing;
    this.machine = new Machine({ config: guest.config, module, ...(disk !== undefined && { disk }) });
    this.machine.attach(this.sink());
    this.machine.observe({
      start: () => this.tail(),
      access: (_kind, paddr, size) => {
        this.touchAll(paddr, size);
        return this.touched.size > 0;
      },
      device: (paddr, size) => {
        if (this.touched.size > 0) return;
        this.touchAll(paddr, size);
        if (this.touched.size === 0) return;
        // The guest would do what is due at this position before it stops there.
        this.touchedAt--;
        throw STOPPED;
      },
    });
    this.machine.core.observeCode(Array.from({ length: TAIL_BYTES }, (_, i) => BigInt(PAGE_BYTES - 1 - i)), false);
  }

  /** From where the guest is: how far it may run without touching what is not here (undefined: no step), and what it touches there. */
  look(): { readonly position: number | undefined; readonly wanted: readonly number[] } {
    const { machine, guest, missing } = this;
    const hashes = pageHashes(guest.core);
    for (const each of missing.keys()) hashes[each * 2] = hashes[each * 2 + 1] = 0;
    machine.restore(guest.save(), { hashes, read: (each) => pageView(guest.core, each) });
    this.watch();
    this.touched.clear();
    const from = machine.position();
    try {
      machine.run(from + SLICE_INSTRUCTIONS);
    } catch (error) {
      // Garbage may break what a guest cannot.
      if (this.touched.size === 0) throw error;
    }
    const wanted = [...this.touched];
    if (wanted.length === 0) return { position: machine.position(), wanted };
    return { position: this.touchedAt < from ? undefined : this.touchedAt, wanted };
  }

  /** Each page that came has the hash that its frame had at the source. Throws RestoreError. */
  verify(): void {
    const { machine, guest } = this;
    machine.restore(guest.save(), { hashes: pageHashes(guest.core), read: (each) => pageView(guest.core, each) });
  }

  private touchedAt = 0;
  private touchAll(paddr: number, size: number): void {
    for (let at = paddr >>> 12; at <= (paddr + Math.max(1, size) - 1) >>> 12; at++) this.touch(at);
  }
  private touch(frame: number): void {
    if (!this.missing.has(frame)) return;
    if (this.touched.size === 0) this.touchedAt = this.machine.position();
    this.touched.add(frame);
  }

  private watch(): void {
    const { core } = this.machine;
    core.u8.fill(0, PAGE_WATCH, PAGE_WATCH + core.ramBytes / PAGE_BYTES);
    for (const each of this.missing.keys()) {
      core.u8[PAGE_WATCH + each] = WATCH_READ | WATCH_WRITE;
      // Its hash stays that of zeros: the next restore leaves it, or empties it if garbage was written there.
      const at = RAM + each * PAGE_BYTES;
      if (core.u8[at] !== LOCK) core.u8.fill(LOCK, at, at + PAGE_BYTES);
    }
    core.u32[WATCHING >>> 2] = this.missing.size;
    core.exports.tlbFlushAll();
  }

  /** An instruction that may reach into the next page is about to run. True stops before it. */
  private tail(): boolean {
    this.lookUp(this.rip + BigInt(TAIL_BYTES));
    return this.touched.size > 0;
  }
  private get rip(): bigint {
    const { core } = this.machine;
    return (BigInt(core.ripHigh()) << 32n) | BigInt(core.ripLow());
  }
  private lookUp(linear: bigint): void {
    const physical = BigInt.asUintN(64, this.machine.core.exports.inspectAddress(BigInt.asIntN(64, linear)));
    if (physical === NOWHERE) this.walk(linear);
    else this.touch(Number(physical >> 12n));
  }

  /** An exception is about to be delivered: it may be one of garbage. */
  private exception(vector: number, address: bigint): void {
    const { rip } = this;
    if (vector === 14) this.walk(address);
    this.lookUp(rip);
    this.lookUp(rip + BigInt(TAIL_BYTES));
    // Out of the core at once: the state it leaves behind is thrown away.
    if (this.touched.size > 0) throw STOPPED;
  }

  /** Every table on the way to an address. */
  private walk(linear: bigint): void {
    for (const each of tablesTo(this.machine.core, linear)) this.touch(each);
  }

  private sink(): EventSink {
    const quiet: Partial<EventSink> = {
      exitCr: (_position, _low, _high, cr, _access, _gpr, valueLo) => {
        // PAE: the pointers are read with CR3.
        if (cr === 3) this.touch(valueLo >>> 12);
      },
      exitException: (_position, _low, _high, vector, _error, addressLo, addressHi) => this.exception(vector, (BigInt(addressHi >>> 0) << 32n) | BigInt(addressLo >>> 0)),
    };
    return new Proxy(quiet, { get: (target, name) => target[name as keyof EventSink] ?? (() => undefined) }) as EventSink;
  }
}

export interface PagedEnd {
  /** False: the link broke; over the next one it goes on. */
  readonly isComplete: boolean;
  readonly problem?: string;
}

export interface PagedOptions {
  readonly guest: Guest;
  readonly scout: Scout;
  readonly missing: Map<number, readonly [number, number]>;
  readonly link: Duplex;
  readonly mailbox: Mailbox;
  readonly arriving: Pick<Arriving, 'append'>;
  readonly clock: HostClock;
  /** Counts requests and waits, over all links. */
  readonly waits: PageWaits;
  /** The guest does not run beyond this position; the pages still come. */
  readonly until?: number | undefined;
  /** Asked between slices: the guest is to stop here. */
  readonly stopWanted?: () => boolean;
  readonly onTurn?: () => void;
}

/** As `postcopy-requests` and `postcopy-blocktime` of query-migrate. */
export interface PageWaits {
  requests: number;
  blocktimeMs: number;
  blocktimeMsMax: number;
}

/** Runs the guest until all of its pages are here, or it ends, or is to stop. */
export async function runPaged(options: PagedOptions): Promise<PagedEnd> {
  const { guest, scout, missing, link, mailbox, arriving, clock, waits } = options;
  const until = options.until ?? Infinity;
  const { core } = guest.recorder.machine;
  const place = (next: Frame): void => {
    if (next.kind !== PAGES) throw new LinkError(`a frame of kind ${next.kind} where pages are waited for`);
    arriving.append(frame(next.kind, next.payload));
    placePages(core, next.payload, missing);
  };
  try {
    while (missing.size > 0 && guest.ended === undefined && guest.recorder.position < until && options.stopWanted?.() !== true) {
      for (let next = mailbox.poll(); next !== undefined; next = mailbox.poll()) place(next);
      if (missing.size === 0) break;
      guest.feed();
      guest.recorder.feed();
      const { position, wanted } = scout.look();
      if (position !== undefined) guest.advance(Math.min(position, until));
      const needed = guest.recorder.position < until ? wanted.filter((each) => missing.has(each)) : [];
      if (needed.length > 0) {
        waits.requests++;
        const fromMs = clock.monotonicMs();
        await link.write(frame(REQUEST, encodeFrames(needed)));
        while (needed.some((each) => missing.has(each))) place(await mailbox.take());
        const ms = clock.monotonicMs() - fromMs;
        waits.blocktimeMs += ms;
        waits.blocktimeMsMax = Math.max(waits.blocktimeMsMax, ms);
      }
      options.onTurn?.();
      await clock.turn();
    }
    // A guest that has ended still needs its memory: its digest is of all of it, and somebody may look at it.
    while (missing.size > 0) place(await mailbox.take());
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    return { isComplete: false, problem: error.message };
  }
  scout.verify();
  await link.write(frame(COMPLETE, new Uint8Array(0))).catch(() => undefined);
  return { isComplete: true };
}

const STOPPED = Object.freeze({ stopped: true });

const PHYSICAL = 0xf_ffff_ffff_f000n;

/** Frames of the tables that a walk to a linear address reads, as far as it comes (SDM vol. 3A 4.3 to 4.5). */
export function tablesTo(core: Core, linear: bigint): readonly number[] {
  const cr3 = core.big(CR3);
  if ((core.big(CR0) & 0x8000_0000n) === 0n) return [];
  const isPae = (core.big(CR4) & 0x20n) !== 0n;
  const isLong = (core.big(EFER) & 0x400n) !== 0n;
  const [levels, bits, width] = isLong ? [4, 9n, 8] : isPae ? [3, 9n, 8] : [2, 10n, 4];
  const frames: number[] = [];
  let table = cr3 & (isPae && !isLong ? 0xffff_ffe0n : PHYSICAL);
  for (let level = levels - 1; level >= 0; level--) {
    const index = (linear >> (12n + BigInt(level) * bits)) & ((1n << (isPae && !isLong && level === 2 ? 2n : bits)) - 1n);
    const at = Number(table) + Number(index) * width;
    if (at + width > core.ramBytes) break;
    frames.push(Math.floor(at / PAGE_BYTES));
    const host = RAM + at;
    const entry = width === 8 ? core.u64[host >>> 3] : BigInt(core.u32[host >>> 2]);
    if ((entry & 1n) === 0n || (level > 0 && level < 3 && (entry & 0x80n) !== 0n)) break;
    table = entry & (width === 8 ? PHYSICAL : 0xffff_f000n);
  }
  return frames;
}
