/** XBZRLE's page cache and what it saves: migration/page_cache.c and save_xbzrle_page() of migration/ram.c. Off in the first round. */
import { PAGE_BYTES } from '../dirty/truth.ts';
import { PAGE_HEADER_BYTES, type Transfer } from './transfer.ts';

/** CACHED_PAGE_LIFETIME, in syncs */
const LIFETIME = 2;
/** ENCODING_FLAG_XBZRLE and be16 length */
const EXTRA_BYTES = PAGE_HEADER_BYTES + 1 + 2;

export class XbzrleCache {
  readonly cacheBytes: number;
  private readonly slots: number;
  /** Page in a slot, -1 for none; sync at which it was used; virtual ns of its content. */
  private readonly page: Int32Array;
  private readonly age: Int32Array;
  private readonly contentNs: Float64Array;
  pages = 0;
  bytes = 0;
  misses = 0;
  overflows = 0;

  constructor(cacheBytes: number) {
    this.cacheBytes = cacheBytes;
    // A power of two, as QEMU makes it.
    this.slots = 2 ** Math.floor(Math.log2(Math.max(1, cacheBytes / PAGE_BYTES)));
    this.page = new Int32Array(this.slots).fill(-1);
    this.age = new Int32Array(this.slots);
    this.contentNs = new Float64Array(this.slots);
  }

  /** True if the page was sent here (or needs not be). False: it goes whole. */
  send(transfer: Transfer, page: number, isLast: boolean): boolean {
    if (transfer.isZero(page)) return false;
    const slot = page % this.slots;
    const now = transfer.virtualNs;
    if (this.page[slot] !== page) {
      this.misses++;
      // Pages of a last pass are not kept; a young holder stays.
      if (!isLast && (this.page[slot] < 0 || this.age[slot] + LIFETIME <= transfer.syncCount)) this.put(slot, page, transfer.syncCount, now);
      return false;
    }
    const before = this.contentNs[slot];
    this.age[slot] = transfer.syncCount;
    const { content } = transfer.truth;
    const bytes = content === undefined ? PAGE_BYTES + 1 : deltaBytes(transfer, page, before, now);
    if (!isLast) this.contentNs[slot] = now;
    if (bytes > PAGE_BYTES) {
      this.overflows++;
      return false;
    }
    this.pages++;
    const sent = bytes === 0 ? 0 : bytes + EXTRA_BYTES;
    this.bytes += sent;
    transfer.sendAs(page, sent);
    return true;
  }

  private put(slot: number, page: number, age: number, atNs: number): void {
    this.page[slot] = page;
    this.age[slot] = age;
    this.contentNs[slot] = atNs;
  }

  get missRate(): number {
    const looked = this.misses + this.pages + this.overflows;
    return looked === 0 ? 0 : this.misses / looked;
  }
}

/** Over the recording's end the same stretch is taken again, so a change from its end to its begin is unknown: at least that of both parts. */
function deltaBytes(transfer: Transfer, page: number, fromNs: number, toNs: number): number {
  const content = transfer.truth.content!;
  const { endNs } = transfer.truth;
  const from = transfer.virtualInRecording(fromNs);
  const to = transfer.virtualInRecording(toNs);
  if (fromNs <= endNs === toNs <= endNs && from <= to) return content.deltaBytes(page, from, to);
  const begin = transfer.options.repeatFromNs ?? transfer.truth.beginNs;
  return content.deltaBytes(page, from, endNs) + content.deltaBytes(page, begin, to);
}
