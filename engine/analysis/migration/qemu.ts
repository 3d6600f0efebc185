/**
 * QEMU's migration thread, step by step: migration_thread(), migration_iteration_run() and migration_update_counters() of migration/migration.c,
 * ram_save_iterate() and migration_bitmap_sync() of migration/ram.c (stable-7.2; where 8.2 differs it is said).
 *
 *     window of 100 ms: [ switch-over test ─► pass of at most 50 ms ]* until max-bandwidth/10 is used ─► sleep ─► bandwidth, threshold ─► ...
 */
import { PAGE_BYTES } from '../dirty/truth.ts';
import type { AutoConverge, QemuPolicy } from './policy.ts';
import { runPostCopy, type PostCopyResult } from './post-copy.ts';
import { PAGE_HEADER_BYTES, type Transfer } from './transfer.ts';
import { XbzrleCache } from './xbzrle.ts';

/** BUFFER_DELAY */
export const WINDOW_NS = 100e6;
/** MAX_WAIT */
const PASS_NS_MAX = 50e6;
/** Pages between looks at the clock. */
const PAGES_PER_LOOK = 64;
const PERIOD_NS = 1000e6;
/** MULTIFD_PACKET_SIZE / page; header with room for as many offsets (migration/multifd.h). */
const MULTIFD_PAGES = 128;
export const MULTIFD_PACKET_HEADER_BYTES = 320 + 8 * MULTIFD_PAGES;
/** A page on a multifd channel has no header of its own. */
export const MULTIFD_EXTRA_BYTES = MULTIFD_PACKET_HEADER_BYTES / MULTIFD_PAGES - PAGE_HEADER_BYTES;
/** RAM_SAVE_FLAG_COMPRESS_PAGE: header, be32 length. */
const COMPRESSED_EXTRA_BYTES = PAGE_HEADER_BYTES + 4;

export interface QemuResult {
  readonly converges: boolean;
  readonly reason: string;
  readonly stoppedAtNs: number | undefined;
  readonly downtimeNs: number;
  readonly totalNs: number;
  readonly expectedDowntimeNs: number | undefined;
  readonly dirtyPagesRate: number;
  readonly precopyBytes: number;
  readonly downtimeBytes: number;
  readonly xbzrle: XbzrleCache | undefined;
  readonly postCopy: PostCopyResult | undefined;
}

export function runQemu(transfer: Transfer, policy: QemuPolicy): QemuResult {
  const { costs } = transfer;
  const windowBytes = policy.maxBandwidth > 0 ? policy.maxBandwidth / 10 : Infinity;
  const throttle = policy.autoConverge === undefined ? undefined : new Throttle(policy.autoConverge);
  const xbzrle = policy.xbzrle === undefined ? undefined : new XbzrleCache(policy.xbzrle.cacheBytes);
  let isLast = false;
  const sendNext = (): boolean => {
    const page = transfer.nextPending();
    if (page < 0) return false;
    if (xbzrle !== undefined && transfer.wraps > 0 && xbzrle.send(transfer, page, isLast)) return true;
    if (policy.compress === true && !transfer.guest.isZero(page)) {
      const bytes = transfer.guest.compressedBytes(page);
      // What does not become shorter goes as it is.
      if (bytes + COMPRESSED_EXTRA_BYTES < PAGE_BYTES) {
        transfer.sendAs(page, bytes + COMPRESSED_EXTRA_BYTES);
        return true;
      }
    }
    transfer.send(page);
    return true;
  };

  transfer.waitUntil(costs.setupNs);
  // ---- periods of a second: dirty-pages-rate, auto-converge ----
  let periodAtNs = transfer.nowNs;
  let periodDirty = 0;
  let periodBytes = transfer.transferred;
  let dirtyPagesRate = 0;
  const sync = (): void => {
    periodDirty += transfer.sync();
    if (transfer.nowNs <= periodAtNs + PERIOD_NS) return;
    const bytes = transfer.transferred - periodBytes;
    throttle?.look(transfer, periodDirty * PAGE_BYTES, bytes);
    dirtyPagesRate = (periodDirty * 1e9) / (transfer.nowNs - periodAtNs);
    periodAtNs = transfer.nowNs;
    periodDirty = 0;
    periodBytes = transfer.transferred;
  };
  // Sync 1: all pages are pending anyway.
  transfer.sync();

  let thresholdBytes = 0;
  let expectedDowntimeNs: number | undefined;
  let windowAtNs = transfer.nowNs;
  let windowStartBytes = transfer.transferred;
  const isUsedUp = (): boolean => transfer.transferred - windowStartBytes > windowBytes;
  const remaining = (): number => transfer.pendingPages * PAGE_BYTES;
  const isBelow = (): boolean => {
    // Post-copy asked for: a sync at the threshold comes first, whatever follows.
    if (policy.release === '7.2' ? remaining() < thresholdBytes : remaining() <= thresholdBytes) sync();
    return remaining() === 0 || remaining() < thresholdBytes;
  };

  for (;;) {
    if (!isUsedUp()) {
      if (isBelow()) break;
      if (policy.postCopyAfterSync !== undefined && transfer.syncCount >= policy.postCopyAfterSync) {
        const precopyBytes = transfer.transferred;
        const afterSync = transfer.syncCount;
        const postCopy = runPostCopy(transfer);
        return {
          converges: true, reason: `post-copy after sync ${afterSync}`, stoppedAtNs: postCopy.stoppedAtNs, downtimeNs: postCopy.downtimeNs, totalNs: postCopy.endNs,
          expectedDowntimeNs, dirtyPagesRate, precopyBytes, downtimeBytes: 0, xbzrle, postCopy,
        }; // prettier-ignore
      }
      const passAtNs = transfer.nowNs;
      for (let i = 0; !isUsedUp(); i++) {
        if (!sendNext()) break;
        if (i % PAGES_PER_LOOK === 0 && transfer.nowNs - passAtNs > PASS_NS_MAX) break;
      }
    }
    if (transfer.nowNs >= windowAtNs + WINDOW_NS) {
      const bandwidth = (transfer.transferred - windowStartBytes) / (transfer.nowNs - windowAtNs);
      thresholdBytes = ((policy.availSwitchoverBandwidth ?? 0) > 0 ? policy.availSwitchoverBandwidth! / 1e9 : bandwidth) * policy.downtimeLimitMs * 1e6;
      if (dirtyPagesRate > 0 && transfer.transferred - windowStartBytes > 10_000) expectedDowntimeNs = remaining() / bandwidth;
      windowAtNs = transfer.nowNs;
      windowStartBytes = transfer.transferred;
    }
    if (isUsedUp()) transfer.waitUntil(windowAtNs + WINDOW_NS);
    // Nothing left, and the threshold is not known or not reached yet: QEMU spins; a look a millisecond is as good.
    else if (transfer.pendingPages === 0) transfer.waitUntil(transfer.nowNs + 1e6);
    if (transfer.nowNs > transfer.timeLimitNs) {
      transfer.closeRound();
      return {
        converges: false, reason: `did not come below the downtime limit in ${Math.round(transfer.nowNs / 1e9)} s`, stoppedAtNs: undefined, downtimeNs: 0, totalNs: transfer.nowNs,
        expectedDowntimeNs, dirtyPagesRate, precopyBytes: transfer.transferred, downtimeBytes: 0, xbzrle, postCopy: undefined,
      }; // prettier-ignore
    }
  }

  // Completion: the rate limit is lifted, the wire's is not.
  const stoppedAtNs = transfer.nowNs;
  const precopyBytes = transfer.transferred;
  transfer.stopGuest();
  transfer.sync();
  isLast = true;
  while (sendNext());
  transfer.put(transfer.truth.deviceStateBytes ?? 0);
  transfer.waitUntil(transfer.nowNs + costs.switchoverNs);
  transfer.closeRound();
  return {
    converges: true, reason: 'below the downtime limit', stoppedAtNs, downtimeNs: transfer.nowNs - stoppedAtNs, totalNs: transfer.nowNs,
    expectedDowntimeNs, dirtyPagesRate, precopyBytes, downtimeBytes: transfer.transferred - precopyBytes, xbzrle, postCopy: undefined,
  }; // prettier-ignore
}

/** migration_trigger_throttle(), mig_throttle_guest_down(). */
class Throttle {
  private readonly options: Required<AutoConverge>;
  private highCount = 0;

  constructor(options: AutoConverge) {
    this.options = { triggerPercent: 50, initialPercent: 20, incrementPercent: 10, maxPercent: 99, tailSlow: false, ...options };
  }

  look(transfer: Transfer, dirtyBytes: number, sentBytes: number): void {
    const { triggerPercent, initialPercent, incrementPercent, maxPercent, tailSlow } = this.options;
    const threshold = (sentBytes * triggerPercent) / 100;
    if (dirtyBytes <= threshold || ++this.highCount < 2) return;
    this.highCount = 0;
    const now = transfer.throttlePercent;
    if (now === 0) {
      transfer.throttle(initialPercent);
      return;
    }
    const left = 100 - now;
    const step = tailSlow ? Math.min(left - left * (threshold / dirtyBytes), incrementPercent) : incrementPercent;
    transfer.throttle(Math.min(now + step, maxPercent));
  }
}
