/** Pre-copy in rounds, as the papers and several hypervisors have it: a set is sent whole, and is replaced by what was written meanwhile. */
import { PAGE_BYTES } from '../dirty/truth.ts';
import type { RoundsPolicy } from './policy.ts';
import { PAGE_HEADER_BYTES, type Transfer } from './transfer.ts';

export interface RoundsResult {
  readonly converges: boolean;
  readonly reason: string;
  readonly stoppedAtNs: number | undefined;
  readonly downtimeNs: number;
  readonly expectedDowntimeNs: number | undefined;
  readonly precopyBytes: number;
}

export function runRounds(transfer: Transfer, policy: RoundsPolicy): RoundsResult {
  const { costs, truth } = transfer;
  const wireRate = transfer.bytesPerSecond;
  const adaptive = policy.adaptiveRate;
  if (adaptive !== undefined) transfer.bytesPerSecond = Math.min(wireRate, adaptive.min);
  transfer.waitUntil(costs.setupNs);
  transfer.sync();
  let expectedDowntimeNs: number | undefined;
  let reason: string | undefined;
  for (let round = 1; reason === undefined; round++) {
    const atNs = transfer.nowNs;
    const bytesBefore = transfer.transferred;
    sendSet(transfer, policy.skipsRewritten === true);
    const roundNs = transfer.nowNs - atNs;
    const roundBytes = transfer.transferred - bytesBefore;
    transfer.sync();
    const rate = roundNs > 0 && roundBytes > 0 ? roundBytes / roundNs : transfer.bytesPerSecond / 1e9;
    const wireBytes = transfer.pendingPages * (PAGE_BYTES + PAGE_HEADER_BYTES);
    expectedDowntimeNs = wireBytes / rate;
    if (policy.stopAtMs !== undefined && expectedDowntimeNs <= policy.stopAtMs * 1e6) reason = 'below the downtime limit';
    else if (policy.stopBelowPages !== undefined && transfer.pendingPages < policy.stopBelowPages) reason = `fewer than ${policy.stopBelowPages} pages`;
    else if (policy.stopAfterRounds !== undefined && round >= policy.stopAfterRounds) reason = `after round ${round}`;
    else if (policy.stopAboveRam !== undefined && transfer.transferred + wireBytes > policy.stopAboveRam * truth.pages * PAGE_BYTES) reason = `more than ${policy.stopAboveRam} times the RAM`;
    else if (adaptive !== undefined) {
      const wanted = (roundNs > 0 ? (transfer.pendingPages * PAGE_BYTES * 1e9) / roundNs : 0) + adaptive.add;
      if (wanted > adaptive.max) reason = 'dirtied faster than the largest rate';
      transfer.bytesPerSecond = Math.min(wireRate, Math.max(adaptive.min, wanted));
    }
    if (reason === undefined && transfer.nowNs > transfer.timeLimitNs) {
      return { converges: false, reason: `no stop rule held in ${Math.round(transfer.nowNs / 1e9)} s`, stoppedAtNs: undefined, downtimeNs: 0, expectedDowntimeNs, precopyBytes: transfer.transferred };
    }
  }
  if (adaptive !== undefined) transfer.bytesPerSecond = Math.min(wireRate, adaptive.max);
  const precopyBytes = transfer.transferred;
  const { stoppedAtNs, downtimeNs } = stopAndSend(transfer);
  return { converges: true, reason, stoppedAtNs, downtimeNs, expectedDowntimeNs, precopyBytes };
}

/** All that is pending; what was written again already waits if the policy says so. */
function sendSet(transfer: Transfer, skipsRewritten: boolean): void {
  if (!skipsRewritten) {
    for (let page = transfer.nextPending(); page >= 0; page = transfer.nextPending()) transfer.send(page);
    return;
  }
  for (let page = 0; page < transfer.pages; page++) {
    if (transfer.pending[page] === 0) continue;
    transfer.collect();
    if (!transfer.isRewritten(page)) transfer.send(page);
  }
}

/** Stops the guest and sends all that is left, what was written up to now included. */
export function stopAndSend(transfer: Transfer): { readonly stoppedAtNs: number; readonly downtimeNs: number } {
  const stoppedAtNs = transfer.nowNs;
  transfer.stopGuest();
  transfer.sync();
  for (let page = transfer.nextPending(); page >= 0; page = transfer.nextPending()) transfer.send(page);
  transfer.put(transfer.truth.deviceStateBytes ?? 0);
  transfer.waitUntil(transfer.nowNs + transfer.costs.switchoverNs);
  transfer.closeRound();
  return { stoppedAtNs, downtimeNs: transfer.nowNs - stoppedAtNs };
}
