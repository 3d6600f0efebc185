/** XBZRLE's page cache and what it saves: migration/page_cache.c and save_xbzrle_page() of migration/ram.c. Off in the first round. */
import { PAGE_BYTES } from '../dirty/truth.ts';
import type { PageMemento } from './guest.ts';
import { PAGE_HEADER_BYTES, type Transfer } from './transfer.ts';

/** CACHED_PAGE_LIFETIME, in syncs */
const LIFETIME = 2;
/** ENCODING_FLAG_XBZRLE and be16 length */
const EXTRA_BYTES = PAGE_HEADER_BYTES + 1 + 2;

export class XbzrleCache {
  readonly cacheBytes: number;
  private readonly slots: number;
  /** Page in a slot, -1 for none; sync at which it was used; what it held then. */
  private readonly page: Int32Array;
  private readonly age: Int32Array;
  private readonly held: PageMemento[];
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
    this.held = new Array<PageMemento>(this.slots).fill(0);
  }

  /** True if the page was sent here (or needs not be). False: it goes whole. */
  send(transfer: Transfer, page: number, isLast: boolean): boolean {
    const { guest } = transfer;
    if (guest.isZero(page)) return false;
    const slot = page % this.slots;
    if (this.page[slot] !== page) {
      this.misses++;
      // Pages of a last pass are not kept; a young holder stays.
      if (!isLast && (this.page[slot] < 0 || this.age[slot] + LIFETIME <= transfer.syncCount)) this.put(slot, page, transfer.syncCount, guest.keep(page));
      return false;
    }
    this.age[slot] = transfer.syncCount;
    const bytes = guest.deltaBytes(page, this.held[slot]);
    if (!isLast) this.held[slot] = guest.keep(page);
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

  private put(slot: number, page: number, age: number, held: PageMemento): void {
    this.page[slot] = page;
    this.age[slot] = age;
    this.held[slot] = held;
  }

  get missRate(): number {
    const looked = this.misses + this.pages + this.overflows;
    return looked === 0 ? 0 : this.misses / looked;
  }
}
