/**
 * What a migration of a recorded guest costs: simulate(truth, policy, link). Fed with first writes and a policy's own rules; nothing is fitted.
 *
 * The recording does not react: see `exactness` and `notes` of the outcome, and README.md.
 */
import { PAGE_BYTES, type DirtyTruth, grainOf } from '../dirty/truth.ts';
import { type MigratingGuest, RecordedGuest } from './guest.ts';
import { runLogShipping, type LogShippingResult } from './log-shipping.ts';
import type { MigrationOutcome } from './outcome.ts';
import type { Exactness, Link, MigrationPolicy, SimulationOptions } from './policy.ts';
import { runPostCopy, type PostCopyResult } from './post-copy.ts';
import { MULTIFD_EXTRA_BYTES, runQemu } from './qemu.ts';
import { runRounds, stopAndSend } from './rounds.ts';
import { Transfer } from './transfer.ts';
import type { XbzrleCache } from './xbzrle.ts';

interface Answer {
  readonly converges: boolean;
  readonly reason: string;
  readonly stoppedAtNs: number | undefined;
  readonly downtimeNs: number;
  readonly totalNs: number;
  readonly expectedDowntimeNs?: number | undefined;
  readonly dirtyPagesRate?: number | undefined;
  readonly precopyBytes: number;
  readonly downtimeBytes: number;
  readonly postCopy?: PostCopyResult | undefined;
  readonly xbzrle?: XbzrleCache | undefined;
  readonly shipping?: LogShippingResult | undefined;
}

/**
 * One migration of the guest that `truth` tells of, under a policy, over a link. Deterministic: equal arguments give equal outcomes. Time: proportional to the pages sent and the
 * first writes met. `guest`: what reacts; without it the recording, which does not. Throws RangeError for a link that carries nothing, or a start outside of the truth.
 */
export function simulate(truth: DirtyTruth, policy: MigrationPolicy, link: Link, options: SimulationOptions = {}, guest: MigratingGuest = new RecordedGuest(truth, options)): MigrationOutcome {
  const channels = policy.kind === 'qemu' ? policy.multifd?.channels : undefined;
  const transfer = new Transfer(truth, link, options, guest, channels === undefined ? {} : { channels, extraPageBytes: MULTIFD_EXTRA_BYTES });
  return outcomeOf(transfer, policy, answer(transfer, policy), channels !== undefined);
}

function answer(transfer: Transfer, policy: MigrationPolicy): Answer {
  switch (policy.kind) {
    case 'qemu':
      return runQemu(transfer, policy);
    case 'rounds': {
      const result = runRounds(transfer, policy);
      return { ...result, totalNs: transfer.nowNs, downtimeBytes: transfer.transferred - result.precopyBytes };
    }
    case 'stop-and-copy': {
      transfer.waitUntil(transfer.costs.setupNs);
      transfer.sync();
      const { stoppedAtNs, downtimeNs } = stopAndSend(transfer);
      return { converges: true, reason: 'stopped first', stoppedAtNs, downtimeNs, totalNs: transfer.nowNs, precopyBytes: 0, downtimeBytes: transfer.transferred };
    }
    case 'post-copy': {
      transfer.waitUntil(transfer.costs.setupNs);
      transfer.sync();
      const postCopy = runPostCopy(transfer);
      return { converges: true, reason: 'post-copy at once', stoppedAtNs: postCopy.stoppedAtNs, downtimeNs: postCopy.downtimeNs, totalNs: postCopy.endNs, precopyBytes: 0, downtimeBytes: 0, postCopy };
    }
    case 'log-shipping': {
      const shipping = runLogShipping(transfer, policy);
      return { ...shipping, precopyBytes: transfer.transferred - shipping.downtimeBytes, shipping };
    }
  }
}

function outcomeOf(transfer: Transfer, policy: MigrationPolicy, answer: Answer, isMultifd: boolean): MigrationOutcome {
  const { truth, costs } = transfer;
  const { xbzrle, postCopy, shipping } = answer;
  const totalMs = answer.totalNs / 1e6;
  const sentPages = transfer.normal + transfer.zero + transfer.encodedPages;
  return {
    policy: policy.name,
    exactness: exactnessOf(transfer, policy),
    converges: answer.converges,
    reason: answer.reason,
    totalTimeMs: totalMs,
    downtimeMs: answer.downtimeNs / 1e6,
    setupTimeMs: costs.setupNs / 1e6,
    expectedDowntimeMs: answer.expectedDowntimeNs === undefined ? undefined : answer.expectedDowntimeNs / 1e6,
    stoppedAtMs: answer.stoppedAtNs === undefined ? undefined : answer.stoppedAtNs / 1e6,
    ram: {
      transferred: transfer.transferred,
      remaining: answer.converges ? 0 : transfer.pendingPages * PAGE_BYTES,
      total: truth.pages * PAGE_BYTES,
      duplicate: transfer.zero,
      normal: transfer.normal,
      normalBytes: transfer.normal * PAGE_BYTES,
      dirtySyncCount: transfer.syncCount,
      dirtyPagesRate: answer.dirtyPagesRate ?? meanDirtyRate(transfer),
      mbps: totalMs > 0 ? (transfer.transferred * 8) / (totalMs * 1000) : 0,
      pageSize: PAGE_BYTES,
      pagesPerSecond: totalMs > 0 ? (sentPages * 1000) / totalMs : 0,
      precopyBytes: answer.precopyBytes,
      downtimeBytes: answer.downtimeBytes,
      postcopyBytes: postCopy?.bytes ?? 0,
      postcopyRequests: postCopy?.requests ?? 0,
      multifdBytes: isMultifd ? transfer.transferred : 0,
    },
    xbzrleCache:
      xbzrle === undefined
        ? undefined
        : { cacheSize: xbzrle.cacheBytes, bytes: xbzrle.bytes, pages: xbzrle.pages, cacheMiss: xbzrle.misses, cacheMissRate: xbzrle.missRate, overflow: xbzrle.overflows },
    cpuThrottlePercentage: transfer.throttlePercent,
    postcopyBlocktimeMs: (postCopy?.blocktimeNs ?? 0) / 1e6,
    postcopyBlocktimeMsMax: (postCopy?.blocktimeNsMax ?? 0) / 1e6,
    shipped: shipping === undefined ? undefined : { checkpointBytes: shipping.checkpointBytes, inputBytes: shipping.inputBytes, replayMs: shipping.replayNs / 1e6 },
    redundantPages: transfer.redundant,
    rounds: transfer.rounds,
    notes: notesOf(transfer, policy, answer),
  };
}

function closedLoopNotes({ guest }: Transfer, { postCopy }: Answer): string[] {
  return [
    ...(guest.isOver ? ['the guest came to its end, or waits for an input that will not come, before the migration was over: it writes nothing more'] : []),
    ...(postCopy === undefined ? [] : ['a guest that waits for a page does so right after the instruction that touched it; fetches of instructions are seen within 20 us, page walks are not']),
  ];
}

/** Over all rounds but the last, pages a second. */
function meanDirtyRate({ rounds }: Transfer): number {
  const whole = rounds.slice(0, -1);
  const ms = whole.reduce((sum, round) => sum + round.ms, 0);
  return ms > 0 ? (whole.reduce((sum, round) => sum + round.dirtied, 0) * 1000) / ms : 0;
}

function exactnessOf({ truth, options, throttlePercent, guest }: Transfer, policy: MigrationPolicy): Exactness {
  if (guest.isClosedLoop) return 'closed loop';
  if ((options.loggingSlowdown ?? 0) > 0 || throttlePercent > 0 || policy.kind === 'post-copy') return 'approximate';
  if (policy.kind !== 'qemu') return 'open loop';
  if (policy.postCopyAfterSync !== undefined) return 'approximate';
  if ((policy.xbzrle !== undefined || policy.compress === true) && truth.content?.isExact !== true) return 'approximate';
  return 'open loop';
}

function notesOf(transfer: Transfer, policy: MigrationPolicy, answer: Answer): string[] {
  if (transfer.guest.isClosedLoop) return closedLoopNotes(transfer, answer);
  const { truth, options, virtualNs } = transfer;
  const notes: string[] = [];
  const needsContent = policy.kind === 'qemu' && (policy.xbzrle !== undefined || policy.compress === true);
  if (truth.content === undefined) notes.push('which pages are zeros is not known: all count as others');
  if (needsContent && truth.content?.knowsBytes !== true) notes.push('what is in the pages is not known, so nothing is saved by coding them: take it from a replay');
  else if (needsContent && truth.content?.isExact === false) notes.push('the length of a code over several epochs is an estimate');
  if (transfer.throttlePercent > 0) {
    const idle = Math.round((1 - truth.busyShare) * 100);
    notes.push(`a guest throttled by ${transfer.throttlePercent} % would have done other things: here it is slower by what exceeds its idle share of ${idle} %`);
  }
  if (answer.postCopy !== undefined) {
    notes.push('a guest that waits for pages would have done other things afterwards');
    if (truth.touches === undefined) notes.push('reads are not known, so there are too few faults: take them from a replay');
  }
  if (virtualNs > truth.endNs) {
    const times = ((virtualNs - truth.endNs) / Math.max(1, truth.endNs - (options.repeatFromNs ?? truth.beginNs))).toFixed(1);
    notes.push(options.afterEnd === 'idle' ? 'the migration outlasts the recording: nothing is written after its end' : `the migration outlasts the recording, which is repeated ${times} times`);
  }
  const rounds = transfer.rounds.filter(({ ms }) => ms > 0);
  const grainNs = grainOf(truth);
  const shortest = rounds.slice(0, -1).reduce((least, { ms }) => Math.min(least, ms * 1e6), Infinity);
  if (grainNs > 0 && truth.times === 'epoch end' && Number.isFinite(shortest) && grainNs * (1 / (options.virtualPerWall ?? 1)) > shortest / 2) {
    const [epoch, round] = [grainNs, shortest].map((ns) => (ns / 1e6).toPrecision(3));
    notes.push(`writes are known by epochs of ${epoch} ms of the guest's time, and the shortest round takes ${round} ms: take them from a replay with shorter epochs`);
  }
  return notes;
}
