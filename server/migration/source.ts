/**
 * The side that the guest leaves. It runs and records the guest while its memory moves, by QEMU's rules (engine/analysis/migration/qemu.ts has them, and their source), then hands it over:
 *
 *     offered ──► rounds ──► stop ──► STATE ──► READY? ──► `handed-over` on disk ──► GO ──► STARTED
 *        └──────────┴─────────┴─────────┴─────────┴──► `kept` on disk: the guest goes on here
 *
 * README.md has the argument why there is one live copy at any moment.
 */
import type { Measured } from '../../engine/analysis/migration/measured.ts';
import { FirstWriteProbe } from '../../engine/analysis/dirty/first-writes.ts';
import { WINDOW_NS } from '../../engine/analysis/migration/qemu.ts';
import type { Core } from '../../engine/cpu/core.ts';
import { PAGE_BYTES, isZeroPage, pageHashes, pageView } from '../../engine/machine/snapshot.ts';
import { type Duplex, FRAME_HEADER_BYTES, type Frame, LinkError, Mailbox, frame, withTimeout } from './duplex.ts';
import type { SourceFiles, SourceRecord } from './journal.ts';
import { Meter } from './measured.ts';
import { COMPLETE, GO, HELLO, KEPT, MISSING, PAGES, PROTOCOL_VERSION, PageBatch, READY, REFUSED, REQUEST, STARTED, STATE, WELCOME, decodeFrames, encodeMissing, encodeState, json, parseJson } from './messages.ts';
import type { Guest, Pace } from './pace.ts';

/** MAX_WAIT, and pages between looks at the clock: migration/ram.c. */
const PASS_NS_MAX = 50e6;
const PAGES_PER_LOOK = 64;
const PERIOD_NS = 1000e6;

export type LivePolicy = 'precopy' | 'postcopy' | 'hybrid';
export const LIVE_POLICIES: readonly LivePolicy[] = ['precopy', 'postcopy', 'hybrid'];

export interface SourceOptions {
  readonly guest: Guest;
  readonly link: Duplex;
  readonly pace: Pace;
  readonly files: SourceFiles;
  /** Identity of this migration; never used again. */
  readonly migration: string;
  /** Where to, for people. */
  readonly to: string;
  readonly policy: LivePolicy;
  /** hybrid: post-copy once so many syncs were counted; the set-up is sync 1. */
  readonly postCopyAfterSync?: number;
  readonly downtimeLimitMs: number;
  /** Infinity: as the link takes it. */
  readonly bytesPerSecond: number;
  /** One way; what a virtual clock charges for each message that is waited for. 0 on a real link, which takes its own time. */
  readonly latencyNs?: number;
  /** Given up after this time; default: 30 times a full copy, at least 60 s. */
  readonly timeLimitNs?: number;
  /** Longest wait for an answer, ms; Infinity unless given. */
  readonly answerMs?: number | undefined;
  /** Asked between passes; a text is the reason to give it up. */
  readonly cancelled?: () => string | undefined;
  readonly onProgress?: (state: SourceProgress) => void;
}

export interface SourceProgress {
  readonly phase: 'precopy' | 'stopped' | 'postcopy';
  readonly sync: number;
  readonly remainingPages: number;
  readonly transferred: number;
  readonly nowNs: number;
}

export type SourceEnd =
  /** The destination runs the guest, and has said so unless isConfirmed is false: then it must be told (tellVerdict()). */
  | { readonly kind: 'moved'; readonly isConfirmed: boolean; readonly measured: Measured; readonly digest: string; readonly problem?: string }
  /** Post-copy, and the link broke: the guest waits at the destination for pages that are only here. serve() over a new link. */
  | { readonly kind: 'paging'; readonly measured: Measured; readonly digest: string; readonly pager: Pager; readonly problem: string }
  /** The guest goes on here. */
  | { readonly kind: 'kept'; readonly reason: string; readonly measured: Measured };

/** The migration is given up; the guest stays. */
class GivenUp extends Error {
  override readonly name = 'GivenUp';
}

export async function migrate(options: SourceOptions): Promise<SourceEnd> {
  const { files, migration, to, guest } = options;
  const { header } = guest.recorder;
  if (header === undefined) throw new Error('a guest that is not recorded cannot be migrated: its log is what the other side goes on from');
  const record: SourceRecord = { migration, verdict: 'offered', logId: header.id, to };
  files.verdict.write(record);
  const source = new Source(options);
  try {
    return await source.run(record);
  } catch (error) {
    if (!(error instanceof LinkError) && !(error instanceof GivenUp)) throw error;
    // Nothing was handed over, and nothing will be.
    files.verdict.write({ ...record, verdict: 'kept' });
    source.resume();
    options.link.write(frame(KEPT, json({ reason: error.message }))).then(
      () => options.link.close(),
      () => options.link.close(),
    );
    return { kind: 'kept', reason: error.message, measured: source.measured(false, error.message, 0) };
  }
}

class Source {
  private readonly options: SourceOptions;
  private readonly guest: Guest;
  private readonly core: Core;
  private readonly mailbox: Mailbox;
  private readonly probe: FirstWriteProbe;
  private readonly meter = new Meter();
  private readonly pending: Uint8Array;
  private pendingPages: number;
  private scanAt = 0;
  private readonly batch = new PageBatch(PAGES_PER_LOOK);
  private wireFreeNs = 0;
  private running: Guest | undefined;
  private readonly startVirtualNs: number;
  private periodAtNs = 0;
  private periodDirty = 0;

  constructor(options: SourceOptions) {
    this.options = options;
    this.guest = options.guest;
    const { machine } = options.guest.recorder;
    this.core = machine.core;
    this.mailbox = new Mailbox(options.link);
    this.probe = new FirstWriteProbe(machine);
    this.pendingPages = this.core.ramBytes / PAGE_BYTES;
    this.pending = new Uint8Array(this.pendingPages).fill(1);
    this.running = options.guest;
    this.startVirtualNs = options.guest.nowNs;
  }

  /** The guest may go on as if nothing had been. */
  resume(): void {
    this.guest.isSealed = false;
    this.probe.detach();
  }

  measured(converges: boolean, reason: string, downtimeNs: number): Measured {
    return this.meter.result(this.options.policy, {
      converges, reason, downtimeNs, nowNs: this.options.pace.nowNs(), wallNs: this.options.pace.wallNs(), pages: this.pending.length, remaining: converges ? 0 : this.pendingPages, startVirtualNs: this.startVirtualNs,
    }); // prettier-ignore
  }

  async run(record: SourceRecord): Promise<SourceEnd> {
    const { pace, policy } = this.options;
    this.probe.attach();
    await this.send(HELLO, json({ version: PROTOCOL_VERSION, migration: record.migration, header: this.guest.recorder.header }));
    await this.expect(WELCOME);
    this.meter.setupNs = pace.nowNs();
    this.periodAtNs = pace.nowNs();
    this.probe.take();
    this.meter.sync(pace.nowNs(), this.guest.nowNs, 0, this.pendingPages);
    const isPostCopy = policy === 'postcopy' ? true : await this.rounds();
    return this.switchOver(record, isPostCopy);
  }

  // ---- pre-copy ----

  private sync(): void {
    const { pages } = this.probe.take();
    let added = 0;
    for (const page of pages) {
      if (this.pending[page] !== 0) continue;
      this.pending[page] = 1;
      added++;
    }
    const remaining = this.pendingPages;
    this.pendingPages += added;
    this.periodDirty += added;
    const now = this.options.pace.nowNs();
    this.meter.sync(now, this.guest.nowNs, pages.length, remaining);
    if (now <= this.periodAtNs + PERIOD_NS) return;
    this.meter.dirtyPagesRate = (this.periodDirty * 1e9) / (now - this.periodAtNs);
    this.periodAtNs = now;
    this.periodDirty = 0;
  }

  /** QEMU 7.2's loop without max-bandwidth. True: post-copy is due. */
  private async rounds(): Promise<boolean> {
    const { pace, downtimeLimitMs, policy } = this.options;
    // As in a prediction.
    const timeLimitNs = this.options.timeLimitNs ?? Math.max(60e9, (30 * this.core.ramBytes * 1e9) / this.options.bytesPerSecond);
    let thresholdBytes = 0;
    let windowAtNs = pace.nowNs();
    let windowBytes = this.meter.transferred;
    const remaining = (): number => this.pendingPages * PAGE_BYTES;
    for (;;) {
      this.check();
      if (remaining() < thresholdBytes) this.sync();
      if (remaining() === 0 || remaining() < thresholdBytes) return false;
      if (policy === 'hybrid' && this.meter.syncCount >= (this.options.postCopyAfterSync ?? 2)) return true;
      const passAtNs = pace.nowNs();
      for (let i = 0; ; i++) {
        const isMore = this.addNext();
        if (i % PAGES_PER_LOOK !== 0 && isMore) continue;
        await this.flushBatch();
        if (!isMore || pace.nowNs() - passAtNs > PASS_NS_MAX) break;
      }
      const now = pace.nowNs();
      if (now >= windowAtNs + WINDOW_NS) {
        const bandwidth = (this.meter.transferred - windowBytes) / (now - windowAtNs);
        thresholdBytes = bandwidth * downtimeLimitMs * 1e6;
        if (this.meter.dirtyPagesRate > 0 && this.meter.transferred - windowBytes > 10_000) this.meter.expectedDowntimeNs = remaining() / bandwidth;
        windowAtNs = now;
        windowBytes = this.meter.transferred;
      }
      if (this.pendingPages === 0) await pace.until(now + 1e6, this.running);
      if (now > timeLimitNs) throw new GivenUp(`did not come below the downtime limit in ${(now / 1e9).toFixed(1)} s`);
    }
  }

  /** A pending page in the order of addresses, round again, to the batch. False if there is none. */
  private addNext(): boolean {
    if (this.pendingPages === 0) return false;
    let page = this.pending.indexOf(1, this.scanAt);
    if (page < 0) page = this.pending.indexOf(1);
    this.put(page);
    this.scanAt = page + 1;
    return true;
  }
  private put(page: number): void {
    const view = pageView(this.core, page);
    const isZero = isZeroPage(view);
    this.meter.transferred += this.batch.add(page, isZero ? undefined : view);
    if (isZero) this.meter.zero++;
    else this.meter.normal++;
    this.pending[page] = 0;
    this.pendingPages--;
  }
  private async flushBatch(): Promise<void> {
    if (this.batch.bytes === 0) return;
    const bytes = this.batch.take();
    this.meter.transferred -= bytes.length;
    await this.send(PAGES, bytes);
    this.options.onProgress?.({ phase: this.running === undefined ? 'stopped' : 'precopy', sync: this.meter.syncCount, remainingPages: this.pendingPages, transferred: this.meter.transferred, nowNs: this.options.pace.nowNs() });
  }

  // ---- hand-over ----

  private async switchOver(record: SourceRecord, isPostCopy: boolean): Promise<SourceEnd> {
    const { pace, files, link, latencyNs = 0 } = this.options;
    const { recorder } = this.guest;
    this.check();
    const stoppedNs = pace.nowNs();
    const stoppedWallNs = pace.wallNs();
    this.meter.stoppedNs = stoppedNs;
    this.meter.precopyBytes = this.meter.transferred;
    this.running = undefined;
    this.meter.stopVirtualNs = this.guest.nowNs;
    this.sync();
    this.probe.detach();
    this.guest.isSealed = true;
    const state = { checkpoint: recorder.save(), digest: recorder.machine.digest().digest, typed: this.guest.waiting, isPostCopy };
    const { position, records } = state.checkpoint;
    // The parent has all records that come before the child's.
    recorder.flush();
    let missing: Uint32Array | undefined;
    if (isPostCopy) missing = await this.sendWhatCannotWait();
    else while (this.addNext()) if (this.batch.isFull) await this.flushBatch();
    await this.flushBatch();
    const encoded = encodeState(state);
    this.meter.stateBytes = encoded.length;
    await this.send(STATE, encoded);
    if (missing !== undefined) {
      const all = pageHashes(this.core);
      const hashes = new Uint32Array(missing.length * 2);
      missing.forEach((each, i) => hashes.set(all.subarray(each * 2, each * 2 + 2), i * 2));
      await this.send(MISSING, encodeMissing({ frames: missing, hashes }));
    }
    const ready = await this.expect(READY);
    await pace.until(pace.nowNs() + 2 * latencyNs, undefined);
    const { digest } = parseJson<{ digest: string }>(ready.payload);
    if (digest !== state.digest) throw new GivenUp(`the destination has another state (${digest}) than the guest had when it was stopped (${state.digest})`);
    this.check();

    // The decision. Before this line is on disk the guest is here, after it is there.
    files.verdict.write({ ...record, verdict: 'handed-over', position, records, digest });
    const pager = new Pager(this.core, missing ?? new Uint32Array(0), this.meter);
    let problem: string;
    try {
      const told = link.write(frame(GO, new Uint8Array(0)));
      // While GO is on its way: all records are on disk, what comes is the log's end.
      recorder.stop('user', `migrated to ${this.options.to}: migration ${record.migration}`);
      await told;
      this.meter.transferred += FRAME_HEADER_BYTES;
      for (let next = await this.answer(); next.kind !== STARTED; next = await this.answer()) if (next.kind === REQUEST) pager.request(decodeFrames(next.payload));
      await pace.until(pace.nowNs() + latencyNs, undefined);
      const downtimeNs = pace.wallNs() - stoppedWallNs;
      this.meter.closeRound(pace.nowNs(), 0, pager.left);
      if (isPostCopy) {
        try {
          await pager.serve(link, this.mailbox, pace, this.options.bytesPerSecond, this.options.onProgress);
        } catch (error) {
          if (!(error instanceof LinkError)) throw error;
          return { kind: 'paging', measured: this.measured(true, 'post-copy', downtimeNs), digest, pager, problem: error.message };
        }
      }
      link.close();
      return { kind: 'moved', isConfirmed: true, digest, measured: this.measured(true, isPostCopy ? 'post-copy' : 'below the downtime limit', downtimeNs) };
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      problem = error.message;
      link.close();
    }
    const measured = this.measured(true, 'handed over, not confirmed', pace.wallNs() - stoppedWallNs);
    return isPostCopy ? { kind: 'paging', measured, digest, pager, problem } : { kind: 'moved', isConfirmed: false, measured, digest, problem };
  }

  /** Post-copy: page tables and the dirty set of the log's running epoch go with the state; zeros are named only. Returns what comes later. */
  private async sendWhatCannotWait(): Promise<Uint32Array> {
    const { tableFrames, dirtyFrames } = this.guest.recorder.machine.save();
    for (const each of [...tableFrames, ...dirtyFrames]) {
      if (this.pending[each] === 0) continue;
      this.put(each);
      if (this.batch.isFull) await this.flushBatch();
    }
    await this.flushBatch();
    const later: number[] = [];
    for (let page = this.pending.indexOf(1); page >= 0; page = this.pending.indexOf(1, page + 1)) later.push(page);
    return Uint32Array.from(later);
  }

  // ---- the link ----

  private check(): void {
    if (this.guest.ended !== undefined) throw new GivenUp(`the guest has ended: ${this.guest.ended.reason}`);
    const reason = this.options.cancelled?.();
    if (reason !== undefined) throw new GivenUp(reason);
    // Until it is asked, the destination says only that it cannot.
    const early = this.mailbox.poll();
    if (early !== undefined) this.refuse(early.kind, early.payload);
  }

  /** Over the link, at its bandwidth. */
  private async send(kind: number, payload: Uint8Array): Promise<void> {
    const { pace, link, bytesPerSecond } = this.options;
    const bytes = frame(kind, payload);
    this.meter.transferred += bytes.length;
    this.wireFreeNs = Math.max(this.wireFreeNs, pace.nowNs() - pace.burstNs) + (bytes.length / bytesPerSecond) * 1e9;
    await pace.wait(link.write(bytes), this.running);
    if (this.wireFreeNs - pace.grainNs > pace.nowNs()) await pace.until(this.wireFreeNs, this.running);
  }

  private async expect(kind: number): Promise<{ readonly payload: Uint8Array }> {
    const next = await this.options.pace.wait(this.answer(), this.running);
    if (next.kind !== kind) this.refuse(next.kind, next.payload);
    return next;
  }
  /** A side that neither answers nor hangs up must not keep the guest stopped. */
  private answer(): Promise<Frame> {
    return withTimeout(this.mailbox.take(), this.options.answerMs);
  }
  private refuse(kind: number, payload: Uint8Array): never {
    if (kind === REFUSED) throw new GivenUp(`the destination refused: ${parseJson<{ reason: string }>(payload).reason}`);
    throw new LinkError(`a frame of kind ${kind} that nobody waits for`);
  }
}

/** Sends the pages of a stopped guest to the side that runs it: those asked for first, the others in the background, on from the last one asked for. */
export class Pager {
  readonly core: Core;
  private readonly isLeft: Uint8Array;
  private readonly meter: Meter | undefined;
  private readonly asked: number[] = [];
  private at = 0;
  left: number;

  constructor(core: Core, frames: Uint32Array, meter?: Meter) {
    this.core = core;
    this.meter = meter;
    this.isLeft = new Uint8Array(core.ramBytes / PAGE_BYTES);
    for (const each of frames) this.isLeft[each] = 1;
    this.left = frames.length;
  }

  request(frames: readonly number[]): void {
    if (this.meter !== undefined) this.meter.postcopyRequests++;
    this.asked.push(...frames);
  }

  /** Until the destination has everything. Rejects with LinkError. */
  async serve(link: Duplex, mailbox: Mailbox, pace: Pace, bytesPerSecond: number, onProgress?: SourceOptions['onProgress']): Promise<void> {
    const batch = new PageBatch(PAGES_PER_LOOK);
    let wireFreeNs = 0;
    for (;;) {
      for (let next = mailbox.poll(); next !== undefined; next = mailbox.poll()) {
        if (next.kind === COMPLETE) return;
        if (next.kind === REQUEST) this.request(decodeFrames(next.payload));
      }
      this.fill(batch);
      if (batch.bytes === 0) {
        const next = await mailbox.take();
        if (next.kind === COMPLETE) return;
        if (next.kind === REQUEST) this.request(decodeFrames(next.payload));
        continue;
      }
      const bytes = frame(PAGES, batch.take());
      if (this.meter !== undefined) {
        this.meter.transferred += bytes.length;
        this.meter.postcopyBytes += bytes.length;
      }
      wireFreeNs = Math.max(wireFreeNs, pace.nowNs() - pace.burstNs) + (bytes.length / bytesPerSecond) * 1e9;
      await link.write(bytes);
      await pace.until(wireFreeNs, undefined);
      onProgress?.({ phase: 'postcopy', sync: this.meter?.syncCount ?? 0, remainingPages: this.left, transferred: this.meter?.transferred ?? 0, nowNs: pace.nowNs() });
    }
  }

  /** What was asked for, alone; else a batch in the background. Asked-for pages that were sent before go again: the destination may have lost them. */
  private fill(batch: PageBatch): void {
    if (this.asked.length > 0) {
      for (const each of this.asked.splice(0, PAGES_PER_LOOK)) {
        this.add(batch, each);
        this.at = each + 1;
      }
      return;
    }
    for (let i = 0; i < PAGES_PER_LOOK / 4 && this.left > 0; i++) {
      let page = this.isLeft.indexOf(1, this.at);
      if (page < 0) page = this.isLeft.indexOf(1);
      this.add(batch, page);
      this.at = page + 1;
    }
  }
  private add(batch: PageBatch, page: number): void {
    const view = pageView(this.core, page);
    const isZero = isZeroPage(view);
    batch.add(page, isZero ? undefined : view);
    if (this.meter !== undefined) this.meter[isZero ? 'zero' : 'normal']++;
    if (this.isLeft[page] === 0) return;
    this.isLeft[page] = 0;
    this.left--;
  }
}
