/**
 * A raw disk image that is never written, under an overlay of the 4 KiB pages that the guest wrote.
 *
 * save() hands out the overlay's own pages, and a page that was handed out is copied before it is written again. So a
 * checkpoint costs one reference a page, and a page that did not change between two checkpoints is the same object in
 * both: a caller may keep hashes by object (WeakMap).
 */

import type { SavedState } from '../device.ts';
import { savedBytesList, savedNumbers } from '../virtio/saved.ts';

/** A read-only image. */
export interface BlockBacking {
  readonly byteLength: number;
  /** Exactly `length` bytes; offset + length is at most byteLength. */
  read(offset: number, length: number): Uint8Array;
}

export const PAGE_BYTES = 4096;
/** Shared by all pages that were zeroed as a whole. Never owned, so never written. */
const ZERO_PAGE = new Uint8Array(PAGE_BYTES);

export class CopyOnWriteImage {
  private readonly base: BlockBacking;
  /** Pages that differ from the base, by page number. */
  private pages = new Map<number, Uint8Array>();
  /** Numbers of pages that nobody else holds, and that may be written in place. */
  private readonly owned = new Set<number>();

  constructor(base: BlockBacking) {
    this.base = base;
  }

  /** Number of pages in the overlay. */
  get overlayPageCount(): number {
    return this.pages.size;
  }

  /** The merged image; what lies past the end of the base is zero. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const at = offset + done;
      const number = Math.floor(at / PAGE_BYTES);
      const start = at % PAGE_BYTES;
      let count = Math.min(PAGE_BYTES - start, length - done);
      const page = this.pages.get(number);
      if (page !== undefined) {
        bytes.set(page.subarray(start, start + count), done);
      } else {
        // One call for a run of pages that the overlay does not have.
        while (done + count < length && !this.pages.has((at + count) / PAGE_BYTES)) {
          count += Math.min(PAGE_BYTES, length - done - count);
        }
        this.readBase(at, bytes.subarray(done, done + count));
      }
      done += count;
    }
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const number = Math.floor((offset + done) / PAGE_BYTES);
      const start = (offset + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - start, bytes.length - done);
      this.ownedPage(number, count === PAGE_BYTES).set(bytes.subarray(done, done + count), start);
      done += count;
    }
  }

  zero(offset: number, length: number): void {
    for (let done = 0; done < length; ) {
      const number = Math.floor((offset + done) / PAGE_BYTES);
      const start = (offset + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - start, length - done);
      if (count === PAGE_BYTES) {
        this.pages.set(number, ZERO_PAGE);
        this.owned.delete(number);
      } else {
        this.ownedPage(number, false).fill(0, start, start + count);
      }
      done += count;
    }
  }

  /** Forgets all writes. */
  discardOverlay(): void {
    this.pages.clear();
    this.owned.clear();
  }

  /** Page numbers in ascending order, and the pages in the same order. */
  save(): SavedState {
    const pageNumbers = [...this.pages.keys()].sort((a, b) => a - b);
    const pages = pageNumbers.map((number) => this.pages.get(number) ?? ZERO_PAGE);
    this.owned.clear();
    return { pageNumbers, pages };
  }

  restore(state: SavedState): void {
    const numbers = savedNumbers(state, 'pageNumbers');
    const pages = savedBytesList(state, 'pages');
    if (numbers.length !== pages.length) throw new Error('saved state: overlay page numbers and pages differ in count');
    this.pages = new Map(numbers.map((number, i) => [number, pages[i]]));
    this.owned.clear();
  }

  private ownedPage(number: number, overwritten: boolean): Uint8Array {
    const old = this.pages.get(number);
    if (old !== undefined && this.owned.has(number)) return old;
    const page = new Uint8Array(PAGE_BYTES);
    if (!overwritten) {
      if (old !== undefined) page.set(old);
      else this.readBase(number * PAGE_BYTES, page);
    }
    this.pages.set(number, page);
    this.owned.add(number);
    return page;
  }

  private readBase(offset: number, into: Uint8Array): void {
    const count = Math.max(0, Math.min(into.length, this.base.byteLength - offset));
    if (count === 0) return;
    const bytes = this.base.read(offset, count);
    if (bytes.length !== count) throw new Error(`disk image: asked for ${count} bytes at ${offset}, got ${bytes.length}`);
    into.set(bytes);
  }
}
