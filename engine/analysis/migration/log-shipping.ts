/**
 * Log shipping: a checkpoint goes over, then the inputs since, again and again, and the other side replays. What has to be caught up shrinks each time
 * if the replay is faster than the guest; at the end the guest is stopped for the rest of both.
 *
 *     source  run ────────────────────────────────┤ stopped ├
 *     wire    [checkpoint][inputs][inputs][in][i]..
 *     target              [replay    ][replay ][rep][r]      go on
 */
import { momentInRecording } from './guest.ts';
import type { LogShippingPolicy } from './policy.ts';
import type { Transfer } from './transfer.ts';

export interface LogShippingResult {
  readonly converges: boolean;
  readonly reason: string;
  readonly stoppedAtNs: number | undefined;
  readonly downtimeNs: number;
  readonly totalNs: number;
  readonly downtimeBytes: number;
  readonly checkpointBytes: number;
  readonly inputBytes: number;
  readonly replayNs: number;
}

/** Idle time costs a replay nothing: `replaySpeed` is about the rest. */
export function runLogShipping(transfer: Transfer, { replaySpeed, downtimeLimitMs }: LogShippingPolicy): LogShippingResult {
  if (!(replaySpeed > 0)) throw new RangeError(`a replay of speed ${replaySpeed} never arrives`);
  const { truth, costs } = transfer;
  const inputs = (fromNs: number, toNs: number): number => {
    const { inputBytes } = truth;
    if (inputBytes === undefined) return 0;
    const length = truth.endNs - (transfer.options.repeatFromNs ?? truth.beginNs);
    const perRepeat = inputBytes(truth.endNs) - inputBytes(truth.endNs - length);
    const repeats = (ns: number): number => (ns > truth.endNs && length > 0 ? Math.floor((ns - truth.endNs) / length + 1) : 0);
    const upTo = (ns: number): number => inputBytes(momentInRecording(truth, transfer.options, ns)) + repeats(ns) * perRepeat;
    return Math.max(0, upTo(toNs) - upTo(fromNs));
  };
  const replayTime = (virtualNs: number): number => (virtualNs * truth.busyShare) / (replaySpeed * transfer.guest.speed);
  transfer.waitUntil(costs.setupNs);
  // The checkpoint is of this moment: pages are copied when they are first written after it, so the guest goes on.
  const checkpointVirtualNs = transfer.startVirtualNs;
  transfer.sync();
  const isZero = Uint8Array.from(transfer.pending, (_, page) => (transfer.guest.isZero(page) ? 1 : 0));
  for (let page = transfer.nextPending(); page >= 0; page = transfer.nextPending()) transfer.send(page, isZero[page] === 1);
  transfer.put(truth.deviceStateBytes ?? 0);
  const checkpointBytes = transfer.transferred;
  transfer.waitUntil(transfer.wireNs);
  transfer.runGuest();
  /** How far the other side is, or will be at `replayedAtNs`. */
  let shippedNs = checkpointVirtualNs;
  let replayedAtNs = transfer.nowNs + transfer.latencyNs;
  let replayNs = 0;
  const ship = (): void => {
    transfer.runGuest();
    const to = transfer.virtualNs;
    transfer.put(inputs(shippedNs, to));
    transfer.waitUntil(transfer.wireNs);
    const takes = replayTime(to - shippedNs);
    replayNs += takes;
    replayedAtNs = Math.max(replayedAtNs, transfer.nowNs + transfer.latencyNs) + takes;
    shippedNs = to;
  };
  for (;;) {
    // What a stop now would cost: the rest of the replay under way, and that of what is not shipped.
    transfer.runGuest();
    const behindNs = Math.max(0, replayedAtNs - transfer.nowNs) + replayTime(transfer.virtualNs - shippedNs);
    if (behindNs <= downtimeLimitMs * 1e6) break;
    if (transfer.nowNs > transfer.timeLimitNs) {
      transfer.closeRound();
      return {
        converges: false, reason: `the replay did not catch up in ${Math.round(transfer.nowNs / 1e9)} s`, stoppedAtNs: undefined, downtimeNs: 0, totalNs: transfer.nowNs, downtimeBytes: 0,
        checkpointBytes, inputBytes: transfer.transferred - checkpointBytes, replayNs,
      }; // prettier-ignore
    }
    ship();
    transfer.waitUntil(Math.max(replayedAtNs - (downtimeLimitMs * 1e6) / 4, transfer.nowNs + 1e6));
  }
  const stoppedAtNs = transfer.nowNs;
  transfer.stopGuest();
  const before = transfer.transferred;
  ship();
  transfer.waitUntil(replayedAtNs + costs.switchoverNs);
  transfer.closeRound();
  return {
    converges: true, reason: 'the replay caught up', stoppedAtNs, downtimeNs: transfer.nowNs - stoppedAtNs, totalNs: transfer.nowNs, downtimeBytes: transfer.transferred - before,
    checkpointBytes, inputBytes: transfer.transferred - checkpointBytes, replayNs,
  }; // prettier-ignore
}
