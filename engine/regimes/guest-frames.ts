/**
 * Which guest frames a hypervisor has had to back with memory: first touches, taken from the dirty sets of a log. A shadow MMU of KVM maps no 2 MiB at once where one of its frames is a page table of the
 * guest, because that frame is write-protected (kvm_mmu_gfn_disallow_lpage): such a stretch is `split`, and is touched again in groups.
 */
import { RegimeError } from './regime.ts';

/** 4 GiB of 4 KiB frames; what lies above is not memory of this machine. */
const FRAMES_MAX = 1 << 20;
/** Frames that are backed at once, as a power of two: one, a group that one shadow fill takes along, a 2 MiB page. */
export const UNIT_FRAME = 0;
export const UNIT_GROUP = 3;
export const UNIT_HUGE = 9;

/** In `words`: bits of units, then of the groups of split stretches, then of those stretches. */
const GROUPS = FRAMES_MAX >>> 5;
const SPLITS = GROUPS + (FRAMES_MAX >>> (5 + UNIT_GROUP));
const WORDS = SPLITS + (FRAMES_MAX >>> (5 + UNIT_HUGE));

export class GuestFrames {
  private readonly words = new Uint32Array(WORDS);
  private readonly shift: number;

  /** unit: UNIT_*. */
  constructor(unit: number) {
    this.shift = unit;
  }

  /** From now on the 2 MiB around this frame are touched in groups. */
  split(frame: number): void {
    if (frame >= FRAMES_MAX) return;
    const stretch = frame >>> UNIT_HUGE;
    this.words[SPLITS + (stretch >>> 5)] |= 1 << (stretch & 31);
  }

  /** Takes the page runs of a dirty record (FORMAT.md, section 4) and returns how many units are touched for the first time. */
  touch(bytes: Uint8Array, start: number, length: number): number {
    const { words, shift } = this;
    const end = start + length;
    let at = start;
    let page = 0;
    let fresh = 0;
    while (at < end) {
      // Twice the gap, and whether a length follows. The gap is a sum of its own: a damaged log may hold one beyond 32 bits.
      let byte = bytes[at++];
      const hasLength = (byte & 1) !== 0;
      let gap = (byte & 0x7f) >>> 1;
      let scale = 64;
      while (byte >= 0x80 && at < end) {
        byte = bytes[at++];
        gap += (byte & 0x7f) * scale;
        scale *= 128;
      }
      let pages = 1;
      page += gap;
      if (hasLength) {
        pages = 2;
        scale = 1;
        while (at < end) {
          byte = bytes[at++];
          pages += (byte & 0x7f) * scale;
          if (byte < 0x80) break;
          scale *= 128;
        }
      }
      const last = Math.min(page + pages, FRAMES_MAX);
      for (let frame = page; frame < last; ) {
        const stretch = frame >>> UNIT_HUGE;
        const stretchEnd = Math.min((stretch + 1) << UNIT_HUGE, last);
        const isSplit = ((words[SPLITS + (stretch >>> 5)] >>> (stretch & 31)) & 1) !== 0;
        const unitShift = isSplit ? UNIT_GROUP : shift;
        const base = isSplit ? GROUPS : 0;
        const unitLast = (stretchEnd - 1) >>> unitShift;
        for (let unit = frame >>> unitShift; unit <= unitLast; unit++) {
          const bit = 1 << (unit & 31);
          if ((words[base + (unit >>> 5)] & bit) !== 0) continue;
          words[base + (unit >>> 5)] |= bit;
          fresh++;
        }
        frame = stretchEnd;
      }
      page += pages;
    }
    return fresh;
  }

  /** Pairs of word index and word. */
  save(): number[] {
    const pairs: number[] = [];
    this.words.forEach((word, i) => {
      if (word !== 0) pairs.push(i, word);
    });
    return pairs;
  }

  restore(pairs: readonly number[]): void {
    this.words.fill(0);
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      if (pairs[i] >= WORDS) throw new RegimeError(`a saved state names a frame beyond ${FRAMES_MAX}`);
      this.words[pairs[i]] = pairs[i + 1];
    }
  }
}
