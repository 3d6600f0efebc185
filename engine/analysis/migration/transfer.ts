/**
 * A migration under way: the guest's clock, the set of pages to send, the wire. Policies drive it; it knows none.
 *
 *     guest: virtual time goes on with wall time while it runs ──► writes since the last sync ──► sync() ──► pending
 *     sender: send() a pending page ──► its buffer ──► the wire
 */
import { PAGE_BYTES, type DirtyTruth } from '../dirty/truth.ts';
import type { MigratingGuest } from './guest.ts';
import type { Round } from './outcome.ts';
import { type Costs, LATENCY_NS_DEFAULT, type Link, type SimulationOptions, costsOf } from './policy.ts';

/** QEMU: be64 of address and flags; flags and a fill byte for a zero page (migration/ram.c, save_page_header, save_zero_page). */
export const PAGE_HEADER_BYTES = 8;
export const ZERO_PAGE_BYTES = PAGE_HEADER_BYTES + 1;

const NS_PER_S = 1e9;

export class Transfer {
  readonly truth: DirtyTruth;
  readonly options: SimulationOptions;
  readonly costs: Costs;
  readonly link: Link;
  readonly pages: number;
  /** Wall-clock ns since the begin, as the sender's thread sees it. */
  nowNs = 0;
  readonly guest: MigratingGuest;
  readonly startVirtualNs: number;
  private guestAtNs = 0;
  private running = true;
  throttlePercent = 0;
  /** Bytes a second of what the sender uses; the wire's unless a policy sets it. */
  bytesPerSecond: number;
  private wireFreeNs = 0;
  private readonly bufferBytes: number;
  readonly latencyNs: number;

  /** 1: to send. */
  readonly pending: Uint8Array;
  pendingPages: number;
  /** Written since the last sync, each once. */
  private readonly rewritten: Uint8Array;
  private readonly rewrittenList: Uint32Array;
  private rewrittenCount = 0;
  /** Virtual ns at which a page was sent last; of a page's last write since the sync. */
  readonly sentAtNs: Float64Array;
  private readonly lastWriteNs: Float64Array;
  private scanAt = 0;

  syncCount = 0;
  transferred = 0;
  normal = 0;
  zero = 0;
  encodedPages = 0;
  redundant = 0;
  readonly rounds: Round[] = [];
  private roundAtNs = 0;
  private roundBytes = 0;
  private roundPages = 0;
  private roundZero = 0;
  private roundVirtualNs = 0;
  private readonly extraPageBytes: number;
  private readonly pageCostNs: number;

  /** extraPageBytes: beyond QEMU's header of a page. pageCostShare: of the page cost, as channels share it. */
  constructor(truth: DirtyTruth, link: Link, options: SimulationOptions, guest: MigratingGuest, shape: { readonly extraPageBytes?: number; readonly channels?: number } = {}) {
    if (!(link.bytesPerSecond > 0)) throw new RangeError(`a link of ${link.bytesPerSecond} bytes a second carries nothing`);
    this.truth = truth;
    this.link = link;
    this.options = options;
    this.pages = truth.pages;
    this.costs = costsOf(options, truth.pages * PAGE_BYTES);
    const channels = shape.channels ?? 1;
    this.bytesPerSecond = Math.min(link.bytesPerSecond, (link.channelBytesPerSecond ?? Infinity) * channels);
    this.pageCostNs = this.costs.pageCostNs / channels;
    this.extraPageBytes = shape.extraPageBytes ?? 0;
    this.bufferBytes = link.bufferBytes ?? 0;
    this.latencyNs = link.latencyNs ?? LATENCY_NS_DEFAULT;
    this.guest = guest;
    this.startVirtualNs = guest.nowNs;
    if (!(this.startVirtualNs >= truth.beginNs && this.startVirtualNs <= truth.endNs)) {
      throw new RangeError(`a migration cannot start at ${this.startVirtualNs} ns: what is known of the guest reaches from ${truth.beginNs} to ${truth.endNs} ns`);
    }
    this.pending = new Uint8Array(this.pages).fill(1);
    this.pendingPages = this.pages;
    this.rewritten = new Uint8Array(this.pages);
    this.rewrittenList = new Uint32Array(this.pages);
    this.sentAtNs = new Float64Array(this.pages).fill(-1);
    this.lastWriteNs = new Float64Array(this.pages);
  }

  // ---- the guest ----

  /** Of the guest, which goes on with the wall unless it is stopped. */
  get virtualNs(): number {
    return this.guest.nowNs;
  }
  /** Brings the guest's clock to the wall's. */
  runGuest(): void {
    if (this.running && this.nowNs > this.guestAtNs) this.guest.pass(this.nowNs - this.guestAtNs);
    this.guestAtNs = this.nowNs;
  }
  throttle(percent: number): void {
    this.runGuest();
    this.throttlePercent = percent;
    this.guest.throttle(percent);
  }
  stopGuest(): void {
    this.runGuest();
    this.running = false;
  }

  /** Takes note of what the guest wrote up to now. */
  collect(): void {
    this.runGuest();
    this.guest.writes((page, atNs) => {
      this.lastWriteNs[page] = atNs;
      if (this.rewritten[page] !== 0) return;
      this.rewritten[page] = 1;
      this.rewrittenList[this.rewrittenCount++] = page;
    });
  }
  isRewritten(page: number): boolean {
    return this.rewritten[page] !== 0;
  }

  /** Adds what was written since the last sync to what is to send, and counts one. Returns the pages that were not pending before. */
  sync(): number {
    this.nowNs += this.costs.syncNs;
    this.collect();
    this.closeRound();
    let added = 0;
    for (let i = 0; i < this.rewrittenCount; i++) {
      const page = this.rewrittenList[i];
      this.rewritten[page] = 0;
      if (this.pending[page] !== 0) continue;
      this.pending[page] = 1;
      added++;
      if (this.lastWriteNs[page] < this.sentAtNs[page]) this.redundant++;
    }
    this.pendingPages += added;
    this.rewrittenCount = 0;
    this.guest.cleared();
    this.syncCount++;
    return added;
  }

  /** What was sent since the sync before becomes a round. */
  closeRound(): void {
    if (this.syncCount > 0) {
      this.rounds.push({
        sync: this.syncCount,
        atMs: this.roundAtNs / 1e6,
        ms: (this.nowNs - this.roundAtNs) / 1e6,
        pages: this.roundPages,
        zeroPages: this.roundZero,
        bytes: this.roundBytes,
        dirtied: this.rewrittenCount,
        remaining: this.pendingPages,
        virtualNs: this.roundVirtualNs,
        throttlePercent: this.throttlePercent,
      });
    }
    this.roundAtNs = this.nowNs;
    this.roundVirtualNs = this.virtualNs;
    this.roundBytes = this.roundPages = this.roundZero = 0;
  }

  // ---- the sender ----

  /** The next pending page in the order of addresses, from where the last one was found and round again; -1 if there is none. `wrapped` tells that the end was passed. */
  nextPending(): number {
    if (this.pendingPages === 0) return -1;
    let page = this.pending.indexOf(1, this.scanAt);
    if (page < 0) {
      this.wraps++;
      page = this.pending.indexOf(1);
    }
    return page;
  }
  /** How often the scan began again at page 0. */
  wraps = 0;

  /** Hands a pending page to the wire, whole or as zeros: as it is now, unless a copy of it was made before. Returns its bytes. */
  send(page: number, zero = this.guest.isZero(page)): number {
    const bytes = zero ? ZERO_PAGE_BYTES : PAGE_HEADER_BYTES + PAGE_BYTES + this.extraPageBytes;
    if (zero) this.zero++;
    else this.normal++;
    this.done(page, bytes, zero);
    return bytes;
  }
  /** The same in another form. */
  sendAs(page: number, bytes: number): number {
    this.encodedPages++;
    this.done(page, bytes, false);
    return bytes;
  }
  private done(page: number, bytes: number, zero: boolean): void {
    this.pending[page] = 0;
    this.pendingPages--;
    this.scanAt = page + 1;
    this.roundPages++;
    if (zero) this.roundZero++;
    this.nowNs += this.pageCostNs;
    this.runGuest();
    this.sentAtNs[page] = this.virtualNs;
    this.guest.sent(page);
    this.put(bytes);
  }
  /** Bytes to the wire: the sender waits while the buffer is full. */
  put(bytes: number): void {
    this.transferred += bytes;
    this.roundBytes += bytes;
    this.wireFreeNs = Math.max(this.wireFreeNs, this.nowNs) + (bytes / this.bytesPerSecond) * NS_PER_S;
    const aheadNs = (this.bufferBytes / this.bytesPerSecond) * NS_PER_S;
    if (this.wireFreeNs - aheadNs > this.nowNs) this.nowNs = this.wireFreeNs - aheadNs;
  }
  /** When the last byte so far has left. */
  get wireNs(): number {
    return this.wireFreeNs;
  }
  set wireNs(ns: number) {
    this.wireFreeNs = ns;
  }
  setScan(page: number): void {
    this.scanAt = page;
  }
  waitUntil(ns: number): void {
    if (ns > this.nowNs) this.nowNs = ns;
  }
  get timeLimitNs(): number {
    return this.options.timeLimitNs ?? Math.max(60e9, (30 * this.pages * PAGE_BYTES * NS_PER_S) / this.bytesPerSecond);
  }
}
