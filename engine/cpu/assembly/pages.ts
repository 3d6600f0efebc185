/**
 * Pages of RAM that come back from a checkpoint, unpacked where they belong: an LZ4 block (lz4 doc/lz4_Block_format.md; ../../machine/boot/lz4.ts is
 * the same in TypeScript) that gives a page, or the page as it is.
 */
import { RAM, STAGING } from "../layout";

const PAGE: u32 = 4096;

/**
 * `length` bytes at STAGING + `offset` to the page frame; the caller has told the caches (deviceWrite) and checks the page by its hash. False for what does not
 * unpack to exactly a page; then the page is anything, and nothing beside it was written.
 */
export function unpackPage(offset: u32, length: u32, frame: u32): bool {
  let from: usize = STAGING + offset;
  const end = from + length;
  const begin: usize = RAM + (frame << 12);
  const limit = begin + PAGE;
  let to = begin;
  if (length == PAGE) {
    memory.copy(to, from, PAGE);
    return true;
  }
  while (from < end) {
    const token: u32 = load<u8>(from++);
    let count: usize = token >> 4;
    if (count == 15) {
      let more: u32 = 255;
      while (more == 255) {
        if (from >= end) return false;
        more = load<u8>(from++);
        count += more;
      }
    }
    if (count > end - from || count > limit - to) return false;
    // Sixteen bytes at a time may write up to fifteen too many, which are written again.
    if (to + count + 15 <= limit) {
      for (let i: usize = 0; i < count; i += 16) v128.store(to + i, v128.load(from + i));
    } else memory.copy(to, from, count);
    from += count;
    to += count;
    if (from == end) return to == limit;

    if (end - from < 2) return false;
    const distance: usize = load<u16>(from);
    from += 2;
    if (distance == 0 || distance > to - begin) return false;
    count = (token & 15) + 4;
    if (count == 19) {
      let more: u32 = 255;
      while (more == 255) {
        if (from >= end) return false;
        more = load<u8>(from++);
        count += more;
      }
    }
    if (count > limit - to) return false;
    const last = to + count;
    if (distance >= 16 && last + 15 <= limit) {
      for (; to < last; to += 16) v128.store(to, v128.load(to - distance));
    } else if (distance >= 8 && last + 7 <= limit) {
      for (; to < last; to += 8) store<u64>(to, load<u64>(to - distance));
    } else if (distance == 1) memory.fill(to, load<u8>(to - 1), count);
    // A match may overlap what it writes: byte by byte repeats a pattern.
    else for (; to < last; to++) store<u8>(to, load<u8>(to - distance));
    to = last;
  }
  return false;
}
