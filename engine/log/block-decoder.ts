/**
 * The payload of one event block to a batch: FORMAT.md, section 3. The twin of block-encoder.ts; they change together.
 */
import type { BlockEntry } from './block.ts';
import { BLOCK_HEADER_BYTES, KIND_SLOTS, recordsOf } from './block.ts';
import { ByteReader, numberOf, textOf } from './bytes.ts';
import { LogError } from './errors.ts';
import type { EventBatch } from './event-batch.ts';
import { KIND_NAMES } from './events.ts';
import { NO_DELTA, Predictor } from './predictor.ts';
import { HAS_AUX, HAS_BYTE, HAS_NAME, HAS_PAYLOAD, HAS_VALUE, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_IDLE, SHAPE_KIND, SHAPE_TRAITS } from './shapes.ts';

export class BlockDecoder {
  // Large tables; one decoder serves many blocks.
  private readonly predictor = new Predictor();

  /** The batch keeps `payload`; it must not change afterwards. */
  decode(entry: BlockEntry, payload: Uint8Array): EventBatch {
    const p = this.predictor;
    p.reset();
    const total = recordsOf(entry);
    const fileOffset = entry.offset + BLOCK_HEADER_BYTES;
    const reader = new ByteReader(payload, fileOffset);
    const positions = new Float64Array(total);
    const timeOffsetsNs = new Float64Array(total);
    const kinds = new Uint8Array(total);
    const sites = new Uint16Array(total);
    const valuesLo = new Uint32Array(total);
    const valuesHi = new Uint32Array(total);
    const auxes = new Uint32Array(total);
    const payloadStarts = new Uint32Array(total);
    const payloadLengths = new Uint32Array(total);
    const counts = new Uint16Array(KIND_SLOTS);
    const strings: string[] = [];

    let at = 0;
    let position = entry.firstPosition;
    let timeOffsetNs = entry.timeOffsetNs;

    while (!reader.done) {
      const token = reader.u8();
      let run = token & 7;
      if (run === 7) run += reader.varintU32();
      const isRunOnly = token >> 3 === 0;
      if (isRunOnly && !reader.done) reader.fail('a run without a record is not the last token');
      const last = at + run + (isRunOnly ? 0 : 1);
      if (last > total) reader.fail(`more records than the ${total} that the header says`);

      for (; at < last; at++) {
        const isForeseen = at < last - 1 || isRunOnly;
        const slot = p.pairSlot();
        let site: number;
        let delta: number;
        const siteMode = isForeseen ? 0 : (token >> 3) & 3;
        if (siteMode === 0) {
          site = p.pairSite[slot] - 1;
          delta = p.pairDelta[slot];
        } else if (siteMode === 1) {
          site = p.nextSite[p.previous] - 1;
          delta = p.nextDelta[p.previous];
        } else if (siteMode === 2) {
          site = reader.varintU32();
          if (site >= p.siteCount) reader.fail(`site ${site} is not defined`);
          delta = p.arrive[site];
        } else {
          site = readDefinition(reader, p, strings);
          delta = 0;
        }
        if (site < 0) reader.fail('nothing is foreseen here');
        const traits = p.traits[site];
        const shape = p.shape[site];
        if (siteMode === 0 && (traits & HAS_PAYLOAD) !== 0) reader.fail('a record with a payload in a run');
        if (!isForeseen && (token & 0x20) !== 0) delta = reader.varint();
        else if (delta === NO_DELTA) reader.fail('no delta is foreseen here');
        position += delta;

        if ((traits & HAS_VALUE) !== 0) {
          const valueMode = isForeseen ? 0 : token >> 6;
          p.foreseeValue(site);
          let lo = p.guessLo;
          let hi = p.guessHi;
          let aux = p.lastAux[site];
          if (valueMode === 1) {
            if ((traits & HAS_BYTE) !== 0) {
              lo = reader.u8();
              hi = 0;
            } else {
              reader.zigzag64(p.lastLo[site], p.lastHi[site]);
              lo = reader.lo;
              hi = reader.hi;
              p.cacheStore(lo, hi);
            }
          } else if (valueMode === 2) {
            const cached = reader.u8();
            if (p.cacheUsed[cached] === 0) reader.fail('an empty slot of the value cache');
            lo = p.cacheLo[cached];
            hi = p.cacheHi[cached];
          } else if (valueMode === 3) {
            lo = p.otherLo;
            hi = p.otherHi;
          }
          if (valueMode !== 0 && (traits & HAS_AUX) !== 0) {
            reader.zigzag64(aux, 0);
            if (reader.hi !== 0) reader.fail('aux is larger than 32 bits');
            aux = reader.lo;
          }
          p.learnValue(site, lo, hi, aux);
          valuesLo[at] = lo;
          valuesHi[at] = hi;
          auxes[at] = aux;
        } else if (!isForeseen && token >> 6 !== 0) {
          reader.fail('a value where the shape has none');
        }
        if ((traits & HAS_PAYLOAD) !== 0) {
          const length = reader.varintU32();
          payloadStarts[at] = reader.at;
          payloadLengths[at] = length;
          reader.raw(length);
        }
        p.learnSite(slot, site, delta);

        positions[at] = position;
        timeOffsetsNs[at] = timeOffsetNs;
        sites[at] = site;
        const kind = SHAPE_KIND[shape];
        kinds[at] = kind;
        counts[kind]++;
        if (shape === SHAPE_EXIT_IO || shape === SHAPE_EXIT_MMIO) timeOffsetNs += p.f2[site];
        else if (shape === SHAPE_IDLE) timeOffsetNs += numberOf(valuesLo[at], valuesHi[at]);
      }
    }

    if (at !== total) reader.fail(`${at} records, but the header says ${total}`);
    if (position !== entry.lastPosition) reader.fail(`the last record is at @${position}, but the header says @${entry.lastPosition}`);
    if (!(position + timeOffsetNs <= Number.MAX_SAFE_INTEGER)) reader.fail('virtual time is not a safe integer');
    for (let kind = 0; kind < KIND_SLOTS; kind++) {
      if (counts[kind] !== entry.counts[kind]) reader.fail(`${counts[kind]} records of kind ${KIND_NAMES[kind] ?? kind}, but the header says ${entry.counts[kind]}`);
    }
    const n = p.siteCount;
    return {
      count: total,
      firstRecord: entry.firstRecord,
      fileOffset,
      position: positions,
      timeOffsetNs: timeOffsetsNs,
      kind: kinds,
      site: sites,
      valueLo: valuesLo,
      valueHi: valuesHi,
      aux: auxes,
      payloadStart: payloadStarts,
      payloadLength: payloadLengths,
      bytes: payload,
      sites: {
        count: n,
        shape: p.shape.slice(0, n),
        f0: p.f0.slice(0, n),
        f1: p.f1.slice(0, n),
        f2: p.f2.slice(0, n),
        f3: p.f3.slice(0, n),
        ripLo: p.ripLo.slice(0, n),
        ripHi: p.ripHi.slice(0, n),
        addressLo: p.addressLo.slice(0, n),
        addressHi: p.addressHi.slice(0, n),
      },
      strings,
      endTimeOffsetNs: timeOffsetNs,
    };
  }
}

function readDefinition(reader: ByteReader, p: Predictor, strings: string[]): number {
  if (p.siteCount >= p.lastLo.length) reader.fail('too many sites');
  const shape = reader.u8();
  if (SHAPE_KIND[shape] === 0) throw new LogError('LOG_UNKNOWN_RECORD', reader.fileOffset + reader.at - 1, 1, `shape ${shape}`);
  const base = p.baseOfShape[shape];
  const mask = reader.u8();
  if (mask > 63) reader.fail(`definition mask ${mask}`);
  const f0 = mask & 1 ? reader.varintU32() : p.f0[base];
  if ((SHAPE_TRAITS[shape] & HAS_NAME) !== 0) {
    if (f0 > strings.length || (f0 === strings.length && (mask & 1) === 0)) reader.fail(`string ${f0} is not defined`);
    if (f0 === strings.length) strings.push(textOf(reader.raw(reader.u8())) ?? reader.fail('a string is not UTF-8'));
  }
  const f1 = mask & 2 ? reader.varintU32() : p.f1[base];
  const f2 = mask & 4 ? reader.varintU32() : p.f2[base];
  const f3 = mask & 8 ? reader.varintU32() : p.f3[base];
  let ripLo = p.ripLo[base];
  let ripHi = p.ripHi[base];
  if (mask & 16) {
    reader.zigzag64(p.definedRipLo, p.definedRipHi);
    p.definedRipLo = ripLo = reader.lo;
    p.definedRipHi = ripHi = reader.hi;
  }
  let addressLo = p.addressLo[base];
  let addressHi = p.addressHi[base];
  if (mask & 32) {
    reader.zigzag64(addressLo, addressHi);
    addressLo = reader.lo;
    addressHi = reader.hi;
  }
  return p.define(shape, f0, f1, f2, f3, ripLo, ripHi, addressLo, addressHi);
}
