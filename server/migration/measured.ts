/** What a migration takes, counted while it runs. */
import type { Measured } from '../../engine/analysis/migration/measured.ts';
import type { Round } from '../../engine/analysis/migration/outcome.ts';
import { PAGE_BYTES } from '../../engine/machine/snapshot.ts';

export class Meter {
  transferred = 0;
  normal = 0;
  zero = 0;
  syncCount = 0;
  postcopyRequests = 0;
  postcopyBytes = 0;
  stateBytes = 0;
  precopyBytes = 0;
  dirtyPagesRate = 0;
  expectedDowntimeNs: number | undefined;
  setupNs = 0;
  stoppedNs: number | undefined;
  stopVirtualNs: number | undefined;
  readonly rounds: Round[] = [];
  private roundAtNs = 0;
  private roundVirtualNs = 0;
  private roundFrom = { transferred: 0, normal: 0, zero: 0 };

  /** A sync: what was sent since the last one becomes a round. */
  sync(nowNs: number, virtualNs: number, dirtied: number, remaining: number): void {
    this.closeRound(nowNs, dirtied, remaining);
    this.syncCount++;
    this.roundVirtualNs = virtualNs;
  }
  closeRound(nowNs: number, dirtied: number, remaining: number): void {
    const { roundFrom: from } = this;
    const zeroPages = this.zero - from.zero;
    if (this.syncCount > 0) {
      this.rounds.push({
        sync: this.syncCount, atMs: this.roundAtNs / 1e6, ms: (nowNs - this.roundAtNs) / 1e6, pages: this.normal - from.normal + zeroPages, zeroPages,
        bytes: this.transferred - from.transferred, dirtied, remaining, virtualNs: this.roundVirtualNs, throttlePercent: 0,
      }); // prettier-ignore
    }
    this.roundAtNs = nowNs;
    this.roundFrom = { transferred: this.transferred, normal: this.normal, zero: this.zero };
  }

  result(policy: string, end: { readonly converges: boolean; readonly reason: string; readonly nowNs: number; readonly wallNs: number; readonly downtimeNs: number; readonly pages: number; readonly remaining: number; readonly startVirtualNs: number }): Measured {
    const totalTimeMs = end.wallNs / 1e6;
    const perSecond = (count: number): number => (totalTimeMs > 0 ? (count * 1000) / totalTimeMs : 0);
    return {
      policy,
      converges: end.converges,
      reason: end.reason,
      totalTimeMs,
      heldMs: (end.wallNs - end.nowNs) / 1e6,
      downtimeMs: end.downtimeNs / 1e6,
      setupTimeMs: this.setupNs / 1e6,
      expectedDowntimeMs: this.expectedDowntimeNs === undefined ? undefined : this.expectedDowntimeNs / 1e6,
      stoppedAtMs: this.stoppedNs === undefined ? undefined : this.stoppedNs / 1e6,
      ram: {
        transferred: this.transferred,
        remaining: end.remaining * PAGE_BYTES,
        total: end.pages * PAGE_BYTES,
        duplicate: this.zero,
        normal: this.normal,
        normalBytes: this.normal * PAGE_BYTES,
        dirtySyncCount: this.syncCount,
        dirtyPagesRate: this.dirtyPagesRate,
        mbps: perSecond(this.transferred * 8) / 1e6,
        pageSize: PAGE_BYTES,
        pagesPerSecond: perSecond(this.normal + this.zero),
        precopyBytes: this.precopyBytes,
        downtimeBytes: Math.max(0, this.transferred - this.precopyBytes - this.postcopyBytes),
        postcopyBytes: this.postcopyBytes,
        postcopyRequests: this.postcopyRequests,
      },
      rounds: this.rounds,
      virtualNs: { start: end.startVirtualNs, stop: this.stopVirtualNs },
      stateBytes: this.stateBytes,
    };
  }
}
