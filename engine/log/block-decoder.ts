/**
 * The payload of one event block to a batch: FORMAT.md, section 3. The twin of block-encoder.ts; they change together.
 */
import type { BlockEntry } from './block.ts';
import { BLOCK_HEADER_BYTES, KIND_SLOTS, recordsOf } from './block.ts';
import { ByteReader, numberOf, textOf, zigzag64At } from './bytes.ts';
import { LogError } from './errors.ts';
import type { EventBatch } from './event-batch.ts';
import { KIND_NAMES } from './events.ts';
import {
  NO_DELTA, NO_SITE, Predictor, SITES_MAX, STATE_ARRIVE, STATE_COST, STATE_FOLLOWS, STATE_LAST_AUX, STATE_LAST_HI, STATE_LAST_LO, STATE_NEXT_DELTA, STATE_NEXT_SITE, STATE_RECORDS, STATE_SHIFT,
  STATE_TRAITS,
} from './predictor.ts';
import { HAS_AUX, HAS_BYTE, HAS_NAME, HAS_PAYLOAD, HAS_VALUE, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_IDLE, SHAPE_KIND, SHAPE_TRAITS } from './shapes.ts';

/** Low and high word of what zigzag64At() read. */
const wide = new Int32Array(2);
/** NO_DELTA as a word of Predictor.state. */
const NO_DELTA_WORD = -1;
/** Beside the HAS_* in STATE_TRAITS: the value is time without instructions. */
const IS_IDLE = 32;
const MISPLACED = 'a run without a record is not the last token';
const PAST_END = 'a record goes past the end of its block';

/** What the records of a block are decoded to. */
class Columns {
  readonly positions: Float64Array;
  readonly timeOffsetsNs: Float64Array;
  readonly sites: Uint16Array;
  readonly kinds: Uint8Array;
  // Only what a record has is written to these.
  readonly valuesLo: Uint32Array;
  readonly valuesHi: Uint32Array;
  readonly auxes: Uint32Array;
  readonly payloadStarts: Uint32Array;
  readonly payloadLengths: Uint32Array;

  /** With room for so many records, or the front of others that have it. */
  constructor(records: number, of?: Columns) {
    this.positions = of?.positions.subarray(0, records) ?? new Float64Array(records);
    this.timeOffsetsNs = of?.timeOffsetsNs.subarray(0, records) ?? new Float64Array(records);
    this.sites = of?.sites.subarray(0, records) ?? new Uint16Array(records);
    this.kinds = of?.kinds.subarray(0, records) ?? new Uint8Array(records);
    const words = (column: Uint32Array | undefined): Uint32Array => column?.subarray(0, records).fill(0) ?? new Uint32Array(records);
    this.valuesLo = words(of?.valuesLo);
    this.valuesHi = words(of?.valuesHi);
    this.auxes = words(of?.auxes);
    this.payloadStarts = words(of?.payloadStarts);
    this.payloadLengths = words(of?.payloadLengths);
  }
}

export class BlockDecoder {
  // Large tables; one decoder serves many blocks.
  private readonly predictor = new Predictor();
  /** Those of batches that pass: for the largest block so far. */
  private passing = new Columns(0);

  /** The batch keeps `payload`; it must not change afterwards. isPassing: its columns are those of the next such batch, too. */
  decode(entry: BlockEntry, payload: Uint8Array, isPassing = false): EventBatch {
    const p = this.predictor;
    p.reset();
    const total = recordsOf(entry) | 0;
    const fileOffset = entry.offset + BLOCK_HEADER_BYTES;
    const reader = new ByteReader(payload, fileOffset);
    if (isPassing && this.passing.positions.length < total) this.passing = new Columns(total);
    const columns = new Columns(total, isPassing ? this.passing : undefined);
    const counts = new Uint16Array(KIND_SLOTS);
    const strings: string[] = [];

    const clock = Float64Array.of(entry.firstPosition, entry.timeOffsetNs);
    const at = this.decodeRecords(reader, total, clock, strings, columns);
    const [position, timeOffsetNs] = clock;
    reader.at = payload.length;
    const n = p.siteCount;
    for (let site = 0; site < n; site++) counts[SHAPE_KIND[p.shape[site]]] += p.state[(site << STATE_SHIFT) + STATE_RECORDS];
    if (at !== total) reader.fail(`${at} records, but the header says ${total}`);
    if (position !== entry.lastPosition) reader.fail(`the last record is at @${position}, but the header says @${entry.lastPosition}`);
    if (!(position + timeOffsetNs <= Number.MAX_SAFE_INTEGER)) reader.fail('virtual time is not a safe integer');
    for (let kind = 0; kind < KIND_SLOTS; kind++) {
      if (counts[kind] !== entry.counts[kind]) reader.fail(`${counts[kind]} records of kind ${KIND_NAMES[kind] ?? kind}, but the header says ${entry.counts[kind]}`);
    }
    const kindOfSite = new Uint8Array(n);
    for (let site = 0; site < n; site++) kindOfSite[site] = SHAPE_KIND[p.shape[site]];
    setKinds(columns.kinds, columns.sites, kindOfSite);
    return {
      count: total,
      firstRecord: entry.firstRecord,
      fileOffset,
      position: columns.positions,
      timeOffsetNs: columns.timeOffsetsNs,
      kind: columns.kinds,
      site: columns.sites,
      valueLo: columns.valuesLo,
      valueHi: columns.valuesHi,
      aux: columns.auxes,
      payloadStart: columns.payloadStarts,
      payloadLength: columns.payloadLengths,
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

  /**
   * All tokens; returns the number of records. clock: position and time offset, before and after.
   *
   * V8 compiles such a loop while it runs, from its middle on (on-stack replacement), and may run no other code of it for long. Then it knows no types of locals that change: floats among them would be
   * number objects, so those are in `clock`. And what comes after the loop has not run when it is compiled, so it is left there for slow code each time: hence nothing comes after it but the return.
   */
  private decodeRecords(reader: ByteReader, total: number, clock: Float64Array, strings: string[], columns: Columns): number {
    const p = this.predictor;
    const { positions, timeOffsetsNs, sites, valuesLo, valuesHi, auxes, payloadStarts, payloadLengths } = columns;
    const { state, pair, cacheLo, cacheHi, cacheUsed } = p;
    const payload = reader.bytes;
    const length = payload.length;
    // The place in the payload is in a local variable; what is rare is read by `reader`, and the two are brought together for it.
    // Numbers of up to three bytes are read here, in the two places that most of them have: a function that reads them would need the place in memory.
    let cursor = 0;
    let at = 0;
    // p.previous, p.beforePrevious and p.valueLo, p.valueHi, in registers.
    let previous = NO_SITE;
    let beforePrevious = NO_SITE;
    let valueLo = 0;
    let valueHi = 0;

    while (cursor < length) {
      const token = payload[cursor];
      cursor = (cursor + 1) | 0;
      let run = token & 7;
      if (run === 7) {
        reader.at = cursor;
        const more = reader.varintU32();
        cursor = reader.at | 0;
        if (more > total) failAt(reader, cursor, token < 8 && cursor < length ? MISPLACED : tooMany(total));
        run = (more + 7) | 0;
      }
      const isRunOnly = token < 8;
      if (isRunOnly && cursor < length) failAt(reader, cursor, MISPLACED);
      if (at + run + (isRunOnly ? 0 : 1) > total) failAt(reader, cursor, tooMany(total));

      // Records of a run: what was foreseen is learnt already, but for where it came from.
      for (const last = (at + run) | 0; at < last; at = (at + 1) | 0) {
        const slot = ((Math.imul(previous, 0x9e3779b1) ^ Math.imul(beforePrevious, 0x85ebca6b)) >>> 20) * 2;
        const site = (pair[slot] - 1) | 0;
        const delta = pair[slot + 1];
        if (site < 0) failAt(reader, cursor, 'nothing is foreseen here');
        const words = site << STATE_SHIFT;
        const traits = state[words + STATE_TRAITS];
        if ((traits & HAS_PAYLOAD) !== 0) failAt(reader, cursor, 'a record with a payload in a run');
        if (delta === NO_DELTA_WORD) failAt(reader, cursor, 'no delta is foreseen here');
        clock[0] += delta >>> 0;
        positions[at] = clock[0];
        timeOffsetsNs[at] = clock[1];
        sites[at] = site;
        if ((traits & HAS_VALUE) !== 0) {
          if (state[words + STATE_FOLLOWS] !== 0) {
            state[words + STATE_LAST_LO] = valueLo;
            state[words + STATE_LAST_HI] = valueHi;
          } else {
            valueLo = state[words + STATE_LAST_LO];
            valueHi = state[words + STATE_LAST_HI];
          }
          valuesLo[at] = valueLo;
          valuesHi[at] = valueHi;
          if ((traits & HAS_AUX) !== 0) auxes[at] = state[words + STATE_LAST_AUX];
          if ((traits & IS_IDLE) !== 0) clock[1] += numberOf(valueLo >>> 0, valueHi >>> 0);
        }
        clock[1] += state[words + STATE_COST] >>> 0;
        state[words + STATE_RECORDS]++;
        state[words + STATE_ARRIVE] = delta;
        const from = previous << STATE_SHIFT;
        state[from + STATE_NEXT_SITE] = site + 1;
        state[from + STATE_NEXT_DELTA] = delta;
        beforePrevious = previous;
        previous = site;
      }
      if (isRunOnly) break;

      const slot = ((Math.imul(previous, 0x9e3779b1) ^ Math.imul(beforePrevious, 0x85ebca6b)) >>> 20) * 2;
      const from = previous << STATE_SHIFT;
      const siteMode = (token >> 3) & 3;
      let site: number;
      /** As a word; what is given and has more bits is NO_DELTA_WORD, and `position` has moved. */
      let delta: number;
      if (siteMode === 0) {
        site = (pair[slot] - 1) | 0;
        delta = pair[slot + 1];
      } else if (siteMode === 1) {
        site = (state[from + STATE_NEXT_SITE] - 1) | 0;
        delta = state[from + STATE_NEXT_DELTA];
      } else if (siteMode === 2) {
        site = payload[cursor];
        if (cursor < length && site < 0x80) cursor = (cursor + 1) | 0;
        else {
          reader.at = cursor;
          const given = reader.varintU32();
          cursor = reader.at | 0;
          site = given < NO_SITE ? given | 0 : NO_SITE;
          if (given >= p.siteCount) failAt(reader, cursor, `site ${given} is not defined`);
        }
        if (site >= p.siteCount) failAt(reader, cursor, `site ${site} is not defined`);
        delta = state[(site << STATE_SHIFT) + STATE_ARRIVE];
      } else {
        reader.at = cursor;
        site = readDefinition(reader, p, strings) | 0;
        cursor = reader.at | 0;
        delta = 0;
      }
      if (site < 0) failAt(reader, cursor, 'nothing is foreseen here');
      const words = site << STATE_SHIFT;
      const traits = state[words + STATE_TRAITS];
      if (siteMode === 0 && (traits & HAS_PAYLOAD) !== 0) failAt(reader, cursor, 'a record with a payload in a run');
      if ((token & 0x20) !== 0) {
        if (cursor + 3 < length && (payload[cursor] & payload[cursor + 1] & payload[cursor + 2] & 0x80) === 0) {
          delta = payload[cursor];
          cursor = (cursor + 1) | 0;
          if (delta > 0x7f) {
            const second = payload[cursor];
            cursor = (cursor + 1) | 0;
            delta = (delta & 0x7f) | ((second & 0x7f) << 7);
            if (second > 0x7f) {
              delta |= payload[cursor] << 14;
              cursor = (cursor + 1) | 0;
            }
          }
          clock[0] += delta;
        } else {
          reader.at = cursor;
          const given = reader.varint();
          cursor = reader.at | 0;
          clock[0] += given;
          delta = given < NO_DELTA ? given | 0 : NO_DELTA_WORD;
        }
      } else if (delta === NO_DELTA_WORD) failAt(reader, cursor, 'no delta is foreseen here');
      else clock[0] += delta >>> 0;
      positions[at] = clock[0];
      timeOffsetsNs[at] = clock[1];
      sites[at] = site;

      if ((traits & HAS_VALUE) !== 0) {
        const lastLo = state[words + STATE_LAST_LO];
        const lastHi = state[words + STATE_LAST_HI];
        const follows = state[words + STATE_FOLLOWS] !== 0;
        const valueMode = token >> 6;
        let lo: number;
        let hi: number;
        if (valueMode === 1) {
          if ((traits & HAS_BYTE) !== 0) {
            if (cursor >= length) failAt(reader, cursor, PAST_END);
            lo = payload[cursor];
            cursor = (cursor + 1) | 0;
            hi = 0;
          } else {
            if (cursor + 3 < length && (payload[cursor] & payload[cursor + 1] & payload[cursor + 2] & 0x80) === 0) {
              let folded = payload[cursor];
              cursor = (cursor + 1) | 0;
              if (folded > 0x7f) {
                const second = payload[cursor];
                cursor = (cursor + 1) | 0;
                folded = (folded & 0x7f) | ((second & 0x7f) << 7);
                if (second > 0x7f) {
                  folded |= payload[cursor] << 14;
                  cursor = (cursor + 1) | 0;
                }
              }
              const difference = (folded >>> 1) ^ -(folded & 1);
              lo = (lastLo + difference) | 0;
              hi = (lastHi + (difference >> 31) + (lo >>> 0 < lastLo >>> 0 ? 1 : 0)) | 0;
            } else {
              cursor = zigzag64At(reader, cursor, lastLo, lastHi, wide);
              lo = wide[0];
              hi = wide[1];
            }
            const cached = (Math.imul(lo, 0x9e3779b1) ^ Math.imul(hi, 0x85ebca6b)) >>> 24;
            cacheLo[cached] = lo;
            cacheHi[cached] = hi;
            cacheUsed[cached] = 1;
          }
        } else if (valueMode === 2) {
          if (cursor >= length) failAt(reader, cursor, PAST_END);
          const cached = payload[cursor];
          cursor = (cursor + 1) | 0;
          if (cacheUsed[cached] === 0) failAt(reader, cursor, 'an empty slot of the value cache');
          lo = cacheLo[cached] | 0;
          hi = cacheHi[cached] | 0;
        } else if ((valueMode === 0) === follows) {
          lo = valueLo;
          hi = valueHi;
        } else {
          lo = lastLo;
          hi = lastHi;
        }
        if ((traits & HAS_AUX) !== 0) {
          let aux = state[words + STATE_LAST_AUX];
          if (valueMode !== 0) {
            cursor = zigzag64At(reader, cursor, aux, 0, wide);
            if (wide[1] !== 0) failAt(reader, cursor, 'aux is larger than 32 bits');
            aux = wide[0];
            state[words + STATE_LAST_AUX] = aux;
          }
          auxes[at] = aux;
        }
        const isLast = lo === lastLo && hi === lastHi;
        const isFollowing = lo === valueLo && hi === valueHi;
        if (isLast !== isFollowing) state[words + STATE_FOLLOWS] = isFollowing ? 1 : 0;
        state[words + STATE_LAST_LO] = lo;
        state[words + STATE_LAST_HI] = hi;
        valueLo = lo;
        valueHi = hi;
        valuesLo[at] = lo;
        valuesHi[at] = hi;
        if ((traits & IS_IDLE) !== 0) clock[1] += numberOf(lo >>> 0, hi >>> 0);
      } else if (token >> 6 !== 0) {
        failAt(reader, cursor, 'a value where the shape has none');
      }
      if ((traits & HAS_PAYLOAD) !== 0) {
        reader.at = cursor;
        const bytes = reader.varintU32();
        payloadStarts[at] = reader.at;
        payloadLengths[at] = bytes;
        reader.raw(bytes);
        cursor = reader.at | 0;
      }
      at = (at + 1) | 0;
      clock[1] += state[words + STATE_COST] >>> 0;
      state[words + STATE_RECORDS]++;
      pair[slot] = site + 1;
      pair[slot + 1] = delta;
      state[words + STATE_ARRIVE] = delta;
      state[from + STATE_NEXT_SITE] = site + 1;
      state[from + STATE_NEXT_DELTA] = delta;
      beforePrevious = previous;
      previous = site;
    }
    return at;
  }
}

function setKinds(kinds: Uint8Array, sites: Uint16Array, kindOfSite: Uint8Array): void {
  for (let i = 0; i < kinds.length; i++) kinds[i] = kindOfSite[sites[i]];
}

const tooMany = (total: number): string => `more records than the ${total} that the header says`;

function failAt(reader: ByteReader, cursor: number, detail: string): never {
  reader.at = cursor;
  reader.fail(detail);
}

function readDefinition(reader: ByteReader, p: Predictor, strings: string[]): number {
  if (p.siteCount >= SITES_MAX) reader.fail('too many sites');
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
  const site = p.define(shape, f0, f1, f2, f3, ripLo, ripHi, addressLo, addressHi);
  const words = site << STATE_SHIFT;
  if (shape === SHAPE_EXIT_IO || shape === SHAPE_EXIT_MMIO) p.state[words + STATE_COST] = f2;
  else if (shape === SHAPE_IDLE) p.state[words + STATE_TRAITS] |= IS_IDLE;
  return site;
}
