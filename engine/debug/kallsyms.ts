/**
 * The symbols that a Linux kernel carries in its memory for its own messages (CONFIG_KALLSYMS): found by their structure, since no header leads to them.
 *
 *     until 6.4:  offsets  base  count  names  markers  [sequence, from 6.2]  tokens  token index
 *     from 6.5:                  count  names  markers                        tokens  token index  offsets  base  sequence
 *
 * All are aligned to 8 bytes. A name is a length and as many bytes, each of which stands for a token, a text of one or more letters; the first letter is the
 * symbol's type, as nm(1) has it. Markers tell where every 256th name begins. The search starts at the tokens of the ten digits, which stand for themselves, and
 * goes on only with what agrees in every entry, so nothing else is ever taken for the table.
 *
 * Source: the layouts as scripts/kallsyms.c of Linux 4.6 to 6.12 writes them and kernel/kallsyms.c reads them; kernels before 4.6 have addresses instead of offsets.
 */
import { textAt } from '../machine/boot/elf-sections.ts';
import { kindOfLetter } from '../machine/boot/symbol-file.ts';
import { type GuestSymbol, SymbolTable } from './symbols.ts';

export interface KernelSymbol {
  readonly name: string;
  /** As in /proc/kallsyms: upper case for a global one. */
  readonly type: string;
  readonly address: bigint;
}

const TOKENS = 256;
const TOKEN_BYTES_MAX = 64 * TOKENS;
const COUNT_MIN = 256;
const COUNT_MAX = 1 << 21;
const NAME_BYTES_MAX = 512;
/** From the count to the tokens: names of 12 bytes, markers, and 3 bytes of sequence a symbol. */
const SPAN_BYTES_MAX = 64 << 20;
/** Names that are looked at in vain before the search is given up: a guest's memory may be made to look like many tables. */
const WORK_MAX = 1 << 26;
const TYPES = 'aAbBcCdDgGiInNpPrRsStTuUvVwW';

/** In the order of the table, which is that of addresses. Undefined: there is none in these bytes. */
export function findKallsyms(ram: Uint8Array): readonly KernelSymbol[] | undefined {
  const work = { left: WORK_MAX };
  for (const digits of digitTokens(ram)) {
    work.left -= TOKENS;
    if (work.left <= 0) return undefined;
    const tokens = readTokens(ram, digits);
    if (tokens === undefined) continue;
    const names = findNames(ram, tokens, work);
    if (names === undefined) continue;
    const addresses = readAddresses(ram, names, tokens);
    if (addresses !== undefined) return decode(ram, tokens, names, addresses);
  }
  return undefined;
}

/** As a table for debuggers. The kernel's own choice among several names of one address is the one to show. */
export function tableOf(symbols: readonly KernelSymbol[]): SymbolTable {
  const entries: GuestSymbol[] = [];
  for (let from = 0, to = 0; from < symbols.length; from = to) {
    while (to < symbols.length && symbols[to].address === symbols[from].address) to++;
    for (let i = to - 1; i >= from; i--) {
      const { name, type, address } = symbols[i];
      entries.push({ name, file: undefined, address, size: 0, kind: kindOfLetter(type) ?? 'other' });
    }
  }
  return new SymbolTable(entries, true);
}

/** Where "0\0" "1\0" ... "9\0" stand in a row. One word in sixteen bytes is looked at: the row is 20 bytes long. */
function* digitTokens(ram: Uint8Array): Generator<number, void, void> {
  const lead = (4 - (ram.byteOffset & 3)) & 3;
  const words = new Uint32Array(ram.buffer, ram.byteOffset + lead, Math.max(0, Math.floor((ram.length - lead) / 4)));
  for (let i = 0; i < words.length; i += 4) {
    const word = words[i];
    // Digit, 0, next digit, 0; or 0, digit, 0, next digit.
    const isOdd = (word & 0xff) === 0;
    const pair = isOdd ? word >>> 8 : word;
    const digit = pair & 0xffff;
    if (digit < 0x30 || digit > 0x38 || pair >>> 16 !== digit + 1) continue;
    const start = lead + i * 4 + (isOdd ? 1 : 0) - (digit - 0x30) * 2;
    if (start < 0 || start + 20 > ram.length) continue;
    let isRow = true;
    for (let k = 0; k < 10 && isRow; k++) isRow = ram[start + k * 2] === 0x30 + k && ram[start + k * 2 + 1] === 0;
    if (isRow) yield start;
  }
}

interface Work {
  left: number;
}

interface Tokens {
  readonly start: number;
  /** After the index. */
  readonly end: number;
  readonly texts: readonly string[];
}

/** All 256 tokens, from the digits among them: the index behind them says where each begins. */
function readTokens(ram: Uint8Array, digits: number): Tokens | undefined {
  let at = digits;
  for (let token = 0x30; token < TOKENS; token++) {
    const nul = ram.indexOf(0, at);
    if (nul < 0 || nul - digits > TOKEN_BYTES_MAX) return undefined;
    at = nul + 1;
  }
  for (const align of [8, 4]) {
    const index = alignUp(at, align);
    if (index + TOKENS * 2 > ram.length) continue;
    const offsetOf = (token: number): number => ram[index + token * 2] | (ram[index + token * 2 + 1] << 8);
    const start = digits - offsetOf(0x30);
    if (start < 0 || offsetOf(0) !== 0) continue;
    const texts: string[] = [];
    for (let token = 0; token < TOKENS; token++) {
      const from = start + offsetOf(token);
      const to = token + 1 < TOKENS ? start + offsetOf(token + 1) : at;
      if (to <= from || to > at || ram.indexOf(0, from) !== to - 1) break;
      texts.push(textAt(ram, from));
    }
    if (texts.length === TOKENS) return { start, end: index + TOKENS * 2, texts };
  }
  return undefined;
}

interface Names {
  /** Of the count. */
  readonly at: number;
  readonly count: number;
  /** Of the first name. */
  readonly start: number;
}

/** The count and the names, from the tokens backward: as many names as the count says must end where the markers begin, and each marker must be right. */
function findNames(ram: Uint8Array, { start, texts }: Tokens, work: Work): Names | undefined {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  const misaligned = alignUp(start, 8) - start;
  for (let at = start - (misaligned === 0 ? 8 : 8 - misaligned); at >= 0 && at > start - SPAN_BYTES_MAX && work.left > 0; at -= 8) {
    work.left -= 1 / 16;
    if (ram[at + 3] !== 0 || ram[at + 2] > COUNT_MAX >>> 16) continue;
    const count = view.getUint32(at, true);
    if (count < COUNT_MIN || count > COUNT_MAX) continue;
    // The count has 4 bytes; the names come at the next multiple of 8, or of 4 in old kernels.
    for (const names of view.getUint32(at + 4, true) === 0 ? [at + 8, at + 4] : [at + 4]) {
      if (isNameList(ram, view, names, count, start, texts, work)) return { at, count, start: names };
    }
  }
  return undefined;
}

function isNameList(ram: Uint8Array, view: DataView, start: number, count: number, end: number, texts: readonly string[], work: Work): boolean {
  const markers: number[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    if (work.left-- <= 0) return false;
    if ((i & 0xff) === 0) markers.push(at - start);
    const length = ram[at] < 128 ? ram[at] : (ram[at] & 127) | (ram[at + 1] << 7);
    at += ram[at] < 128 ? 1 : 2;
    if (length === 0 || length > NAME_BYTES_MAX || at + length > end || !TYPES.includes(texts[ram[at]][0])) return false;
    at += length;
  }
  for (const align of [8, 4]) {
    const table = alignUp(at, align);
    if (table + markers.length * 4 <= end && markers.every((marker, i) => view.getUint32(table + i * 4, true) === marker)) return true;
  }
  return false;
}

/** All addresses, ascending; undefined: what is there are none. */
function readAddresses(ram: Uint8Array, names: Names, tokens: Tokens): BigUint64Array | undefined {
  const { count } = names;
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  const bytes = Math.ceil((count * 4) / 8) * 8;
  // Before the names, with the base behind the offsets; or after the tokens, likewise; or, in old kernels, whole addresses before the names.
  const behind = alignUp(tokens.end, 8);
  for (const offsets of [names.at - 8 - bytes, behind]) {
    if (offsets < 0 || offsets + bytes + 8 > ram.length) continue;
    const base = view.getBigUint64(offsets + bytes, true);
    if (base < 0xffff_8000_0000_0000n) continue;
    // With CONFIG_KALLSYMS_ABSOLUTE_PERCPU a positive one is a number and a negative one counts on from the base; without it all count from the base.
    const read = (at: number): bigint => {
      const offset = view.getInt32(at, true);
      return offset >= 0 ? BigInt(offset) : base - 1n - BigInt(offset);
    };
    const found = ascending(count, base, (i) => read(offsets + i * 4)) ?? ascending(count, base, (i) => base + BigInt(view.getUint32(offsets + i * 4, true)));
    if (found !== undefined) return found;
  }
  const addresses = names.at - count * 8;
  if (addresses < 0) return undefined;
  return ascending(count, 0xffff_8000_0000_0000n, (i) => view.getBigUint64(addresses + i * 8, true));
}

/** Undefined if an address is less than the one before it, or the last one less than `lastMin`. */
function ascending(count: number, lastMin: bigint, addressOf: (i: number) => bigint): BigUint64Array | undefined {
  const addresses = new BigUint64Array(count);
  for (let i = 0; i < count; i++) {
    addresses[i] = addressOf(i);
    if (i > 0 && addresses[i] < addresses[i - 1]) return undefined;
  }
  return addresses[count - 1] < lastMin || addresses[0] === addresses[count - 1] ? undefined : addresses;
}

function decode(ram: Uint8Array, { texts }: Tokens, { start, count }: Names, addresses: BigUint64Array): readonly KernelSymbol[] {
  const symbols: KernelSymbol[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const length = ram[at] < 128 ? ram[at] : (ram[at] & 127) | (ram[at + 1] << 7);
    at += ram[at] < 128 ? 1 : 2;
    let text = '';
    for (const end = at + length; at < end; at++) text += texts[ram[at]];
    symbols.push({ name: text.slice(1), type: text[0], address: addresses[i] });
  }
  return symbols;
}

/** The bytes begin at physical address 0, so an offset is aligned as its address is. */
function alignUp(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}
