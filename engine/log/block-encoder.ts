/**
 * Rows to the payload of one event block: FORMAT.md, section 3. The twin of block-decoder.ts; they change together.
 */
import { assert } from './assert.ts';
import { ByteWriter, isShortZigzag, utf8Of } from './bytes.ts';
import { storedName } from './event-rows.ts';
import { NO_DELTA, NO_SITE, Predictor, SITES_MAX, STATE_ARRIVE, STATE_LAST_AUX, STATE_LAST_HI, STATE_LAST_LO, STATE_NEXT_DELTA, STATE_NEXT_SITE, STATE_SHIFT } from './predictor.ts';
import { HAS_AUX, HAS_BYTE, HAS_NAME, HAS_PAYLOAD, HAS_VALUE, SHAPE_KIND, SHAPE_TRAITS } from './shapes.ts';
import { BLOCK_HEADER_BYTES, KIND_SLOTS, RECORDS_MAX } from './block.ts';

/** Most bytes of one record without its payload, with a new site, a new string and the run before it. */
export const ROW_BYTES_MAX = 640;
const HASH_SLOTS = SITES_MAX * 2;

export class BlockEncoder {
  readonly out: ByteWriter;
  readonly counts = new Uint16Array(KIND_SLOTS);
  /** Records in the block. */
  count = 0;
  firstPosition = 0;
  lastPosition = 0;
  private readonly capacity: number;
  private readonly predictor = new Predictor();
  /** Open addressing; site + 1, 0 for a free slot. */
  private readonly hashSlots = new Uint16Array(HASH_SLOTS);
  private readonly strings = new Map<string, number>();
  private stringsWritten = 0;
  private newString = '';
  /** Foreseen records that are not written yet. */
  private run = 0;

  constructor(blockBytes: number) {
    this.capacity = blockBytes - BLOCK_HEADER_BYTES;
    this.out = new ByteWriter(this.capacity);
  }

  reset(): void {
    this.out.length = 0;
    this.counts.fill(0);
    this.count = 0;
    this.predictor.reset();
    this.hashSlots.fill(0);
    this.strings.clear();
    this.stringsWritten = 0;
    this.run = 0;
  }

  /** A function of the events only, so that blocks end at the same records in every run. */
  hasRoom(payloadBytes: number): boolean {
    return this.out.length + ROW_BYTES_MAX + payloadBytes <= this.capacity && this.count < RECORDS_MAX && this.predictor.siteCount < SITES_MAX;
  }

  intern(name: string): number {
    let index = this.strings.get(name);
    if (index === undefined) {
      const stored = storedName(name);
      if (stored !== name) return this.intern(stored);
      index = this.strings.size;
      this.strings.set(name, index);
      this.newString = name;
    }
    return index;
  }

  row(
    position: number, shape: number, f0: number, f1: number, f2: number, f3: number, ripLo: number, ripHi: number, addressLo: number, addressHi: number,
    valueLo: number, valueHi: number, aux: number, payload: Uint8Array,
  ): void {
    const p = this.predictor;
    const traits = SHAPE_TRAITS[shape];
    if (this.count === 0) {
      this.firstPosition = position;
      this.lastPosition = position;
    }
    const delta = position - this.lastPosition;
    this.lastPosition = position;
    this.count++;
    this.counts[SHAPE_KIND[shape]]++;

    // Which site, and what delta would be foreseen with it.
    const slot = p.pairSlot();
    let site = p.pair[slot * 2] - 1;
    let siteMode = 0;
    let foreseenDelta: number;
    if (
      site >= 0 && p.shape[site] === shape && p.f0[site] === f0 && p.f1[site] === f1 && p.f2[site] === f2 && p.f3[site] === f3 && p.ripLo[site] === ripLo &&
      p.ripHi[site] === ripHi && p.addressLo[site] === addressLo && p.addressHi[site] === addressHi && (traits & HAS_PAYLOAD) === 0
    ) {
      foreseenDelta = p.pair[slot * 2 + 1] >>> 0;
    } else {
      const hashSlot = this.find(shape, f0, f1, f2, f3, ripLo, ripHi, addressLo, addressHi);
      site = this.hashSlots[hashSlot] - 1;
      if (site < 0) {
        siteMode = 3;
        foreseenDelta = 0;
        this.hashSlots[hashSlot] = p.siteCount + 1;
      } else if (p.state[(p.previous << STATE_SHIFT) + STATE_NEXT_SITE] === site + 1) {
        siteMode = 1;
        foreseenDelta = p.state[(p.previous << STATE_SHIFT) + STATE_NEXT_DELTA] >>> 0;
      } else {
        siteMode = 2;
        foreseenDelta = p.state[(site << STATE_SHIFT) + STATE_ARRIVE] >>> 0;
      }
    }
    // The base must be looked up before the site is defined.
    let base = NO_SITE;
    if (siteMode === 3) {
      assert(SHAPE_KIND[shape] !== 0, `no such shape: ${shape}`);
      assert(isU32(f0) && isU32(f1) && isU32(f2) && isU32(f3), `a field of shape ${shape} is not 32 bits unsigned: ${f0} ${f1} ${f2} ${f3}`);
      base = p.baseOfShape[shape];
      site = p.define(shape, f0, f1, f2, f3, ripLo, ripHi, addressLo, addressHi);
    }

    let valueMode = 0;
    const isByte = (p.traits(site) & HAS_BYTE) !== 0;
    const at = site << STATE_SHIFT;
    const lastLo = p.state[at + STATE_LAST_LO] >>> 0;
    const lastHi = p.state[at + STATE_LAST_HI] >>> 0;
    const lastAux = p.state[at + STATE_LAST_AUX] >>> 0;
    if ((traits & HAS_VALUE) !== 0) {
      p.foreseeValue(site);
      const isSameAux = aux === lastAux;
      if (valueLo === p.guessLo && valueHi === p.guessHi && isSameAux) valueMode = 0;
      else if (valueLo === p.otherLo && valueHi === p.otherHi) valueMode = 3;
      else if (isByte || isShortZigzag(valueLo, valueHi, lastLo, lastHi)) valueMode = 1;
      else {
        const cached = p.cacheSlot(valueLo, valueHi);
        valueMode = p.cacheUsed[cached] === 1 && p.cacheLo[cached] === valueLo && p.cacheHi[cached] === valueHi ? 2 : 1;
      }
    }

    const isDeltaGiven = delta !== foreseenDelta || delta >= NO_DELTA;
    if (siteMode === 0 && !isDeltaGiven && valueMode === 0) {
      this.run++;
    } else {
      const out = this.out;
      this.token(siteMode, isDeltaGiven, valueMode);
      if (siteMode === 2) out.varint64(site, 0);
      else if (siteMode === 3) this.definition(site, base);
      if (isDeltaGiven) out.varint(delta);
      if (valueMode === 1) {
        assert(isU32(valueLo) && isU32(valueHi), 'a value is not 32 bits unsigned');
        if (isByte) {
          assert(valueLo < 256 && valueHi === 0, `not a byte: ${valueLo}`);
          out.u8(valueLo);
        } else {
          out.zigzag64(valueLo, valueHi, lastLo, lastHi);
          p.cacheStore(valueLo, valueHi);
        }
      } else if (valueMode === 2) {
        out.u8(p.cacheSlot(valueLo, valueHi));
      }
      if (valueMode !== 0 && (traits & HAS_AUX) !== 0) {
        assert(isU32(aux), `aux is not 32 bits unsigned: ${aux}`);
        out.zigzag64(aux, 0, lastAux, 0);
      }
      if ((traits & HAS_PAYLOAD) !== 0) {
        out.varint64(payload.length, 0);
        out.raw(payload);
      }
    }
    if ((traits & HAS_VALUE) !== 0) p.learnValue(site, valueLo, valueHi, aux);
    p.learnSite(slot, site, delta);
  }

  /** Writes the run that is pending; then the payload is complete in `out`. */
  finish(): void {
    if (this.run > 0) this.token(0, false, 0);
    assert(this.out.length <= this.capacity, 'a block is too long');
  }

  private token(siteMode: number, isDeltaGiven: boolean, valueMode: number): void {
    const run = this.run;
    this.run = 0;
    this.out.u8((run < 7 ? run : 7) | (siteMode << 3) | (isDeltaGiven ? 0x20 : 0) | (valueMode << 6));
    if (run >= 7) this.out.varint64(run - 7, 0);
  }

  private definition(site: number, base: number): void {
    const p = this.predictor;
    const out = this.out;
    const isNewString = (p.traits(site) & HAS_NAME) !== 0 && p.f0[site] === this.stringsWritten;
    const mask =
      (isNewString || p.f0[site] !== p.f0[base] ? 1 : 0) |
      (p.f1[site] !== p.f1[base] ? 2 : 0) |
      (p.f2[site] !== p.f2[base] ? 4 : 0) |
      (p.f3[site] !== p.f3[base] ? 8 : 0) |
      (p.ripLo[site] !== p.ripLo[base] || p.ripHi[site] !== p.ripHi[base] ? 16 : 0) |
      (p.addressLo[site] !== p.addressLo[base] || p.addressHi[site] !== p.addressHi[base] ? 32 : 0);
    out.u8(p.shape[site]);
    out.u8(mask);
    if (mask & 1) {
      out.varint64(p.f0[site], 0);
      if (isNewString) {
        const text = utf8Of(this.newString);
        out.u8(text.length);
        out.raw(text);
        this.stringsWritten++;
      }
    }
    if (mask & 2) out.varint64(p.f1[site], 0);
    if (mask & 4) out.varint64(p.f2[site], 0);
    if (mask & 8) out.varint64(p.f3[site], 0);
    if (mask & 16) {
      out.zigzag64(p.ripLo[site], p.ripHi[site], p.definedRipLo, p.definedRipHi);
      p.definedRipLo = p.ripLo[site];
      p.definedRipHi = p.ripHi[site];
    }
    if (mask & 32) out.zigzag64(p.addressLo[site], p.addressHi[site], p.addressLo[base], p.addressHi[base]);
  }

  /** The slot of an equal site, or the free slot for it. */
  private find(shape: number, f0: number, f1: number, f2: number, f3: number, ripLo: number, ripHi: number, addressLo: number, addressHi: number): number {
    const p = this.predictor;
    let hash = Math.imul(shape ^ ripLo, 0x9e3779b1) ^ Math.imul(f0 ^ addressLo, 0x85ebca6b) ^ Math.imul(f1 ^ (f2 << 8) ^ (f3 << 16) ^ addressHi ^ (ripHi << 4), 0xc2b2ae35);
    hash ^= hash >>> 15;
    for (let slot = hash & (HASH_SLOTS - 1); ; slot = (slot + 1) & (HASH_SLOTS - 1)) {
      const site = this.hashSlots[slot] - 1;
      if (
        site < 0 ||
        (p.ripLo[site] === ripLo && p.shape[site] === shape && p.f0[site] === f0 && p.f1[site] === f1 && p.f2[site] === f2 && p.f3[site] === f3 && p.ripHi[site] === ripHi &&
          p.addressLo[site] === addressLo && p.addressHi[site] === addressHi)
      ) {
        return slot;
      }
    }
  }
}

function isU32(n: number): boolean {
  return n >>> 0 === n;
}
