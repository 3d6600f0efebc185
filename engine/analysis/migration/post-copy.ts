/**
 * Post-copy: the guest runs at the destination, and waits at the first access to each page that is not there.
 *
 *     guest  ──run──┤ wait ├──run────┤ wait ├──►
 *     wire   ▒▒▒▒▒▒▒▒[page]▒▒▒▒▒▒▒▒▒▒▒[page]▒▒▒     ▒ pages in the background, on from the page that was asked for
 */
import { PAGE_BYTES } from '../dirty/truth.ts';
import { LATENCY_NS_DEFAULT } from './policy.ts';
import { PAGE_HEADER_BYTES, type Transfer } from './transfer.ts';

export interface PostCopyResult {
  readonly stoppedAtNs: number;
  readonly downtimeNs: number;
  readonly endNs: number;
  readonly bytes: number;
  readonly requests: number;
  readonly blocktimeNs: number;
  readonly blocktimeNsMax: number;
}

/** Stops the guest, moves its state without the pending pages, and goes on at the destination. */
export function runPostCopy(transfer: Transfer): PostCopyResult {
  const { truth, costs, guest } = transfer;
  const latencyNs = transfer.link.latencyNs ?? LATENCY_NS_DEFAULT;
  const stoppedAtNs = transfer.nowNs;
  transfer.stopGuest();
  transfer.sync();
  const bytesBefore = transfer.transferred;
  const laterPages = transfer.pendingPages;
  transfer.put((truth.deviceStateBytes ?? 0) + laterPages * costs.laterBytesPerPage);
  // What is in the buffer is on the wire before the state.
  transfer.waitUntil(transfer.wireNs + costs.switchoverNs + laterPages * costs.laterCostNsPerPage + latencyNs);
  const resumedNs = transfer.nowNs;
  const downtimeNs = resumedNs - stoppedAtNs;

  const arrived = guest.arrive(transfer.pending);
  const arrivesNs = new Float64Array(transfer.pages);
  const { speed } = guest;
  let wallNs = resumedNs;
  let virtualNs = transfer.virtualNs;
  let requests = 0;
  let blocktimeNs = 0;
  let blocktimeNsMax = 0;
  const sendPage = (page: number): void => {
    transfer.send(page);
    arrivesNs[page] = transfer.wireNs + latencyNs;
  };
  /** Background pages that the sender hands over before a moment. */
  const sendUntil = (ns: number): void => {
    while (transfer.nowNs < ns) {
      const page = transfer.nextPending();
      if (page < 0) return;
      sendPage(page);
    }
  };
  const waitFor = (page: number): void => {
    const waitNs = arrivesNs[page] - wallNs;
    if (waitNs <= 0) return;
    blocktimeNs += waitNs;
    blocktimeNsMax = Math.max(blocktimeNsMax, waitNs);
    wallNs = arrivesNs[page];
    virtualNs += arrived.waited(waitNs * speed);
  };
  while (transfer.pendingPages > 0) {
    // By then all would be there without a request.
    const lastNs = Math.max(wallNs, transfer.nowNs) + transfer.pendingPages * (((PAGE_BYTES + PAGE_HEADER_BYTES) * 1e9) / transfer.bytesPerSecond + costs.pageCostNs) + 1e6;
    const touch = arrived.next(virtualNs + (lastNs - wallNs) * speed);
    if (touch === undefined) break;
    const { page, atNs } = touch;
    if (atNs > virtualNs) {
      wallNs += (atNs - virtualNs) / speed;
      virtualNs = atNs;
    }
    sendUntil(wallNs);
    if (transfer.pending[page] === 0) {
      waitFor(page);
      continue;
    }
    // The request reaches the source, which is in the midst of another page or waits.
    requests++;
    sendUntil(wallNs + latencyNs);
    if (transfer.pending[page] !== 0) {
      transfer.waitUntil(wallNs + latencyNs);
      sendPage(page);
    }
    waitFor(page);
  }
  sendUntil(Infinity);
  transfer.waitUntil(transfer.wireNs);
  transfer.closeRound();
  return { stoppedAtNs, downtimeNs, endNs: transfer.nowNs + latencyNs, bytes: transfer.transferred - bytesBefore, requests, blocktimeNs, blocktimeNsMax };
}
