/**
 * The part of a digest that covers RAM: a hash for each page, renewed only for pages that were written, and their sum.
 * A page of zeros has hash 0, so memory nobody touched costs nothing. The page hash is four lanes of multiply and rotate
 * (the shape of XXH64), seeded with the page's number, so equal pages at different places differ.
 */
import { RAM, RAM_SIZE, PAGE_ATTR, PAGE_DIRTY, PAGE_HASH, DIRTY_LIST, DIRTY_COUNT } from "../layout";
import { tlbDropWrites } from "./memory";

const P1: u64 = 0x9e3779b185ebca87;
const P2: u64 = 0xc2b2ae3d27d4eb4f;
const P3: u64 = 0x165667b19e3779f9;
const P4: u64 = 0x85ebca77c2b2ae63;

let ramSum: u64 = 0;

// @ts-ignore: decorator
@inline
function round(lane: u64, v: u64): u64 {
  return rotl<u64>(lane + v * P2, 31) * P1;
}
function finish(h: u64): u64 {
  h = (h ^ (h >> 33)) * P2;
  h = (h ^ (h >> 29)) * P3;
  return h ^ (h >> 32);
}

/** Hash of `length` bytes (a multiple of 8) at a host address. */
export function hashBytes(at: usize, length: u32, seed: u64): u64 {
  let a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
  let p = at;
  const wide = at + (length & ~31);
  while (p < wide) {
    a = round(a, load<u64>(p));
    b = round(b, load<u64>(p, 8));
    c = round(c, load<u64>(p, 16));
    d = round(d, load<u64>(p, 24));
    p += 32;
  }
  let h = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
  while (p < at + length) {
    h = rotl<u64>(h ^ round(0, load<u64>(p)), 27) * P1 + P4;
    p += 8;
  }
  return finish(h + length);
}

function isZero(at: usize): bool {
  let any: v128 = v128.load(at);
  for (let i: usize = 16; i < 4096; i += 16) any = v128.or(any, v128.load(at + i));
  return !v128.any_true(any);
}

/** Renews the hashes of the pages on the dirty list (which stays) and returns the sum over all of RAM. */
export function hashDirtyPages(): u64 {
  const count = load<u32>(DIRTY_COUNT);
  for (let i: u32 = 0; i < count; i++) {
    const frame = load<u32>(DIRTY_LIST + (i << 2));
    const at = <usize>(RAM + (frame << 12));
    const h = isZero(at) ? 0 : hashBytes(at, 4096, <u64>frame * P3);
    const slot = PAGE_HASH + (frame << 3);
    ramSum += h - load<u64>(slot);
    store<u64>(slot, h);
  }
  return ramSum;
}

/** Begins a new epoch: the dirty list is empty and every first store is seen again. */
export function newEpoch(): void {
  const count = load<u32>(DIRTY_COUNT);
  for (let i: u32 = 0; i < count; i++) store<u8>(PAGE_DIRTY + load<u32>(DIRTY_LIST + (i << 2)), 0);
  store<u32>(DIRTY_COUNT, 0);
  tlbDropWrites();
}

/** Page tables of the engine as at power-on: nothing dirty, all of RAM taken as zeros. */
export function pagesReset(): void {
  memory.fill(PAGE_ATTR, 0, 0x80000);
  memory.fill(PAGE_DIRTY, 0, 0x80000);
  memory.fill(PAGE_HASH, 0, 0x400000);
  store<u32>(DIRTY_COUNT, 0);
  ramSum = 0;
}
