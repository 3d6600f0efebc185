/**
 * Which functions an address is in, inlined ones included: .debug_info of an ELF file. The roots of all units are read at first; the rest of a unit when one of
 * its addresses is asked for.
 *
 * Source: DWARF 5, sections 2.17, 3.3, 7.5 to 7.7 and 7.25 to 7.29; for versions 2 to 4 their own chapter 7. Nothing is believed: every offset is checked, and a
 * unit that is damaged tells nothing.
 */
import { type ElfSections, SymbolError, textAt } from '../machine/boot/elf-sections.ts';
import { debugSection } from './lines-program.ts';
import { DwarfReader } from './lines-reader.ts';

/** Units whose functions are kept. */
const PARSED_MAX = 32;
/** Parts of one function's code. */
const RANGES_MAX = 4096;
/** Of all functions of a unit. */
const UNIT_RANGES_MAX = 1 << 20;
/** From an inlined function to its definition, its declaration, its name. */
const ORIGINS_MAX = 8;

const DW_TAG_inlined_subroutine = 0x1d;
const DW_TAG_subprogram = 0x2e;

const DW_AT_name = 0x03;
const DW_AT_stmt_list = 0x10;
const DW_AT_low_pc = 0x11;
const DW_AT_high_pc = 0x12;
const DW_AT_comp_dir = 0x1b;
const DW_AT_abstract_origin = 0x31;
const DW_AT_specification = 0x47;
const DW_AT_ranges = 0x55;
const DW_AT_call_file = 0x58;
const DW_AT_call_line = 0x59;
const DW_AT_str_offsets_base = 0x72;
const DW_AT_addr_base = 0x73;
const DW_AT_rnglists_base = 0x74;
const DW_AT_GNU_ranges_base = 0x2132;
const DW_AT_GNU_addr_base = 0x2133;

const DW_FORM_addr = 0x01;
const DW_FORM_implicit_const = 0x21;
const DW_FORM_indirect = 0x16;

interface AttributeForm {
  readonly name: number;
  readonly form: number;
  readonly constant: number;
}

interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeForm[];
}

/** What a value is read to: an address, a number, a text, or what has to be looked up in another section when all bases are known. */
type Value =
  | { readonly kind: 'address'; readonly value: bigint }
  | { readonly kind: 'number' | 'reference' | 'address-index' | 'text-index' | 'list-index' | 'list-offset'; readonly value: number }
  | { readonly kind: 'text'; readonly value: string };

interface Range {
  readonly low: bigint;
  readonly high: bigint;
}

interface Unit {
  /** Of its header, and of its end, in .debug_info. */
  readonly start: number;
  readonly end: number;
  /** Of its first entry. */
  readonly entries: number;
  readonly version: number;
  readonly offsetBytes: 4 | 8;
  readonly addressBytes: number;
  readonly abbreviations: ReadonlyMap<number, Abbreviation>;
  low: bigint;
  stringBase: number;
  addressBase: number;
  listBase: number;
  /** Its lines, in .debug_line. */
  lines: number | undefined;
}

/** A function, or the copy of one that was inlined into another. */
interface Scope {
  readonly ranges: readonly Range[];
  /** The function that it is in; -1 for none. */
  readonly parent: number;
  readonly isInlined: boolean;
  /** The entry that has its name, or leads to it. */
  readonly entry: number;
  readonly callFile: number;
  readonly callLine: number;
}

/** One function, and where the function around it (the next of the chain) calls it if it was inlined. */
export interface InlineFrame {
  readonly function: string | undefined;
  readonly callFile: number;
  readonly callLine: number;
}

export class DebugUnits {
  /** Why something was left out: the first reason. */
  problem: string | undefined;
  private readonly info: Uint8Array;
  private readonly sections: Readonly<Record<'abbrev' | 'str' | 'lineStr' | 'strOffsets' | 'addr' | 'ranges' | 'rnglists', Uint8Array>>;
  private readonly units: Unit[] = [];
  /** Ascending. */
  private readonly places: { readonly low: bigint; readonly high: bigint; readonly unit: Unit }[] = [];
  private readonly abbreviations = new Map<number, ReadonlyMap<number, Abbreviation>>();
  private readonly parsed = new Map<Unit, readonly Scope[]>();
  private readonly directoryOf = new Map<number, string>();
  private attributes = 0;

  /** Throws SymbolError: compressed. */
  constructor(elf: ElfSections) {
    const section = (name: string): Uint8Array => debugSection(elf, name) ?? new Uint8Array(0);
    this.info = section('.debug_info');
    this.sections = {
      abbrev: section('.debug_abbrev'), str: section('.debug_str'), lineStr: section('.debug_line_str'), strOffsets: section('.debug_str_offsets'),
      addr: section('.debug_addr'), ranges: section('.debug_ranges'), rnglists: section('.debug_rnglists'),
    }; // prettier-ignore
    const reader = new DwarfReader(this.info, '.debug_info');
    while (reader.left > 0) {
      const start = reader.at;
      try {
        const { offsetBytes, rest } = reader.unit();
        this.readUnit(start, offsetBytes, rest);
      } catch (error) {
        this.leaveOut(error);
        if (reader.at <= start + 12) break;
      }
    }
    this.places.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
  }

  /** Where the compiler ran, by the offset of a unit's lines. */
  get directories(): ReadonlyMap<number, string> {
    return this.directoryOf;
  }

  /** The functions that an address is in, innermost first, and the unit's lines; undefined: no unit has it. */
  framesOf(address: bigint): { readonly frames: readonly InlineFrame[]; readonly lines: number | undefined } | undefined {
    for (const unit of this.unitsAt(address)) {
      const scopes = this.scopesOf(unit);
      // Children come after their parents, so the last one that holds the address is the innermost.
      let i = scopes.findLastIndex(({ ranges }) => holds(ranges, address));
      if (i < 0) continue;
      const frames: InlineFrame[] = [];
      for (; i >= 0; i = scopes[i].isInlined ? scopes[i].parent : -1) {
        const { entry, callFile, callLine } = scopes[i];
        frames.push({ function: this.nameOf(unit, entry), callFile, callLine });
      }
      return { frames, lines: unit.lines };
    }
    return undefined;
  }

  private leaveOut(error: unknown): void {
    if (!(error instanceof SymbolError)) throw error;
    this.problem ??= error.message;
  }

  private unitsAt(address: bigint): Unit[] {
    let low = 0;
    let high = this.places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.places[middle].low <= address) low = middle + 1;
      else high = middle;
    }
    const units = new Set<Unit>();
    // Units overlap in damaged files only.
    for (let i = low - 1; i >= 0 && i >= low - 8; i--) if (address < this.places[i].high) units.add(this.places[i].unit);
    return [...units];
  }

  // ---- units ----

  private readUnit(start: number, offsetBytes: 4 | 8, reader: DwarfReader): void {
    const end = reader.at + reader.left;
    const version = reader.u16();
    if (version < 2 || version > 5) throw new SymbolError(`.debug_info has a unit of version ${version}; 2 to 5 are known`);
    let addressBytes: number;
    let abbreviationsAt: number;
    if (version >= 5) {
      const type = reader.u8();
      addressBytes = reader.u8();
      abbreviationsAt = reader.offset(offsetBytes);
      // DW_UT_compile 1 and DW_UT_partial 3 have no more; of the others only a skeleton (4) has addresses, and its entries are in another file.
      if (type !== 1 && type !== 3) return;
    } else {
      abbreviationsAt = reader.offset(offsetBytes);
      addressBytes = reader.u8();
    }
    const unit: Unit = {
      start, end, entries: reader.at, version, offsetBytes, addressBytes, abbreviations: this.abbreviationsAt(abbreviationsAt),
      low: 0n, stringBase: offsetBytes === 4 ? 8 : 16, addressBase: offsetBytes === 4 ? 8 : 16, listBase: offsetBytes === 4 ? 12 : 20, lines: undefined,
    }; // prettier-ignore
    this.units.push(unit);
    const root = this.readEntry(unit, reader);
    if (root === undefined) return;
    const { values } = root;
    const number = (name: number): number | undefined => {
      const value = values.get(name);
      return value === undefined || value.kind === 'text' || value.kind === 'address' ? undefined : value.value;
    };
    unit.stringBase = number(DW_AT_str_offsets_base) ?? unit.stringBase;
    unit.addressBase = number(DW_AT_addr_base) ?? number(DW_AT_GNU_addr_base) ?? unit.addressBase;
    unit.listBase = number(DW_AT_rnglists_base) ?? number(DW_AT_GNU_ranges_base) ?? unit.listBase;
    unit.lines = number(DW_AT_stmt_list);
    unit.low = this.addressOf(unit, values.get(DW_AT_low_pc)) ?? 0n;
    const directory = this.textOf(unit, values.get(DW_AT_comp_dir));
    if (unit.lines !== undefined && directory !== undefined) this.directoryOf.set(unit.lines, directory);
    for (const { low, high } of this.rangesOf(unit, values)) this.places.push({ low, high, unit });
  }

  private abbreviationsAt(offset: number): ReadonlyMap<number, Abbreviation> {
    const known = this.abbreviations.get(offset);
    if (known !== undefined) return known;
    const reader = new DwarfReader(this.sections.abbrev, '.debug_abbrev', Math.min(offset, this.sections.abbrev.length));
    const table = new Map<number, Abbreviation>();
    for (let code = reader.uleb(); code !== 0; code = reader.uleb()) {
      const tag = reader.uleb();
      const hasChildren = reader.u8() !== 0;
      const attributes: AttributeForm[] = [];
      for (;;) {
        const name = reader.uleb();
        const form = reader.uleb();
        const constant = form === DW_FORM_implicit_const ? reader.sleb() : 0;
        if (name === 0 && form === 0) break;
        attributes.push({ name, form, constant });
        // Each has two bytes or more, unless tables overlap, and are read again and again.
        if (++this.attributes > this.sections.abbrev.length) throw new SymbolError('.debug_abbrev is damaged: its tables overlap');
      }
      this.attributes++;
      table.set(code, { tag, hasChildren, attributes });
    }
    this.abbreviations.set(offset, table);
    return table;
  }

  // ---- entries ----

  /** Undefined for the entry that ends a list of children. */
  private readEntry(unit: Unit, reader: DwarfReader): { readonly abbreviation: Abbreviation; readonly values: ReadonlyMap<number, Value> } | undefined {
    const code = reader.uleb();
    if (code === 0) return undefined;
    const abbreviation = unit.abbreviations.get(code);
    if (abbreviation === undefined) throw new SymbolError(`.debug_info is damaged: an entry of the unknown kind ${code}`);
    const values = new Map<number, Value>();
    for (const { name, form, constant } of abbreviation.attributes) {
      const value = form === DW_FORM_implicit_const ? ({ kind: 'number', value: constant } as const) : this.readValue(unit, reader, form);
      if (value !== undefined) values.set(name, value);
    }
    return { abbreviation, values };
  }

  /** DWARF 5, table 7.6, and four of GNU's. Undefined for what nobody asks for. */
  private readValue(unit: Unit, reader: DwarfReader, form: number): Value | undefined {
    const { offsetBytes } = unit;
    const number = (value: number): Value => ({ kind: 'number', value });
    const inUnit = (value: number): Value => ({ kind: 'reference', value: unit.start + value });
    switch (form) {
      case DW_FORM_addr:
        return { kind: 'address', value: reader.address(unit.addressBytes) };
      case 0x03:
        return void reader.skip(reader.u16());
      case 0x04:
        return void reader.skip(reader.u32());
      case 0x05:
        return number(reader.u16());
      case 0x06:
        return number(reader.u32());
      case 0x07:
        return number(Number(reader.u64()));
      case 0x08:
        return { kind: 'text', value: reader.text() };
      case 0x09:
      case 0x18:
        return void reader.skip(reader.uleb());
      case 0x0a:
        return void reader.skip(reader.u8());
      case 0x0b:
      case 0x0c:
        return number(reader.u8());
      case 0x0d:
        return number(reader.sleb());
      case 0x0e:
        return { kind: 'text', value: this.stringAt(this.sections.str, reader.offset(offsetBytes)) };
      case 0x0f:
        return number(reader.uleb());
      case 0x10:
        // In version 2 as long as an address.
        return { kind: 'reference', value: unit.version === 2 ? Number(reader.address(unit.addressBytes)) : reader.offset(offsetBytes) };
      case 0x11:
        return inUnit(reader.u8());
      case 0x12:
        return inUnit(reader.u16());
      case 0x13:
        return inUnit(reader.u32());
      case 0x14:
        return inUnit(Number(reader.u64()));
      case 0x15:
        return inUnit(reader.uleb());
      case DW_FORM_indirect: {
        const actual = reader.uleb();
        if (actual === DW_FORM_indirect || actual === DW_FORM_implicit_const) throw new SymbolError('.debug_info is damaged: an indirect form of an indirect form');
        return this.readValue(unit, reader, actual);
      }
      case 0x17:
        return { kind: 'list-offset', value: reader.offset(offsetBytes) };
      case 0x19:
        return number(1);
      case 0x1a:
      case 0x1f02:
        return { kind: 'text-index', value: reader.uleb() };
      case 0x1b:
      case 0x1f01:
        return { kind: 'address-index', value: reader.uleb() };
      case 0x1c:
        return void reader.skip(4);
      case 0x1d:
      case 0x1f20:
      case 0x1f21:
        return void reader.skip(offsetBytes);
      case 0x1e:
        return void reader.skip(16);
      case 0x1f:
        return { kind: 'text', value: this.stringAt(this.sections.lineStr, reader.offset(offsetBytes)) };
      case 0x20:
      case 0x24:
        return void reader.skip(8);
      case 0x22:
        return void reader.uleb();
      case 0x23:
        return { kind: 'list-index', value: reader.uleb() };
      case 0x25:
        return { kind: 'text-index', value: reader.u8() };
      case 0x26:
        return { kind: 'text-index', value: reader.u16() };
      case 0x27:
        return { kind: 'text-index', value: reader.u24() };
      case 0x28:
        return { kind: 'text-index', value: reader.u32() };
      case 0x29:
        return { kind: 'address-index', value: reader.u8() };
      case 0x2a:
        return { kind: 'address-index', value: reader.u16() };
      case 0x2b:
        return { kind: 'address-index', value: reader.u24() };
      case 0x2c:
        return { kind: 'address-index', value: reader.u32() };
      default:
        throw new SymbolError(`.debug_info has an attribute of the unknown form 0x${form.toString(16)}`);
    }
  }

  private stringAt(section: Uint8Array, offset: number): string {
    return offset < section.length ? textAt(section, offset) : '';
  }

  private textOf(unit: Unit, value: Value | undefined): string | undefined {
    if (value?.kind === 'text') return value.value;
    if (value?.kind !== 'text-index') return undefined;
    const at = unit.stringBase + value.value * unit.offsetBytes;
    return this.stringAt(this.sections.str, new DwarfReader(this.sections.strOffsets, '.debug_str_offsets', Math.min(at, this.sections.strOffsets.length)).offset(unit.offsetBytes));
  }

  private addressOf(unit: Unit, value: Value | undefined): bigint | undefined {
    if (value?.kind === 'address') return value.value;
    return value?.kind === 'address-index' ? this.indexedAddress(unit, value.value) : undefined;
  }

  private indexedAddress(unit: Unit, index: number): bigint {
    const at = unit.addressBase + index * unit.addressBytes;
    return new DwarfReader(this.sections.addr, '.debug_addr', Math.min(at, this.sections.addr.length)).address(unit.addressBytes);
  }

  // ---- ranges ----

  private rangesOf(unit: Unit, values: ReadonlyMap<number, Value>): readonly Range[] {
    const list = values.get(DW_AT_ranges);
    if (list !== undefined && list.kind !== 'text' && list.kind !== 'address') return unit.version >= 5 ? this.rangeList5(unit, list.kind === 'list-index', list.value) : this.rangeList(unit, list.value);
    const low = this.addressOf(unit, values.get(DW_AT_low_pc));
    const high = values.get(DW_AT_high_pc);
    if (low === undefined || high === undefined || high.kind === 'text') return [];
    const end = high.kind === 'number' ? (Number.isSafeInteger(high.value) ? low + BigInt(high.value) : low) : this.addressOf(unit, high);
    return end !== undefined && end > low ? [{ low, high: end }] : [];
  }

  /** Versions 3 and 4: pairs of addresses, DWARF 4, 2.17.3. */
  private rangeList(unit: Unit, offset: number): readonly Range[] {
    const { addressBytes } = unit;
    const reader = new DwarfReader(this.sections.ranges, '.debug_ranges', Math.min(offset, this.sections.ranges.length));
    const isBase = (1n << BigInt(addressBytes * 8)) - 1n;
    const ranges: Range[] = [];
    for (let base = unit.low; ranges.length < RANGES_MAX; ) {
      const from = reader.address(addressBytes);
      const to = reader.address(addressBytes);
      if (from === 0n && to === 0n) return ranges;
      if (from === isBase) base = to;
      else if (to > from) ranges.push({ low: base + from, high: base + to });
    }
    return ranges;
  }

  /** Version 5: 7.25. */
  private rangeList5(unit: Unit, isIndex: boolean, value: number): readonly Range[] {
    const { rnglists } = this.sections;
    const open = (at: number): DwarfReader => new DwarfReader(rnglists, '.debug_rnglists', Math.min(at, rnglists.length));
    const reader = open(isIndex ? unit.listBase + open(unit.listBase + value * unit.offsetBytes).offset(unit.offsetBytes) : value);
    const ranges: Range[] = [];
    const add = (low: bigint, high: bigint): void => {
      if (high > low) ranges.push({ low, high });
    };
    const length = (): bigint => BigInt(reader.uleb());
    for (let base = unit.low; ranges.length < RANGES_MAX; ) {
      const kind = reader.u8();
      switch (kind) {
        case 0:
          return ranges;
        case 1:
          base = this.indexedAddress(unit, reader.uleb());
          break;
        case 2:
          add(this.indexedAddress(unit, reader.uleb()), this.indexedAddress(unit, reader.uleb()));
          break;
        case 3: {
          const low = this.indexedAddress(unit, reader.uleb());
          add(low, low + length());
          break;
        }
        case 4:
          add(base + length(), base + length());
          break;
        case 5:
          base = reader.address(unit.addressBytes);
          break;
        case 6:
          add(reader.address(unit.addressBytes), reader.address(unit.addressBytes));
          break;
        case 7: {
          const low = reader.address(unit.addressBytes);
          add(low, low + length());
          break;
        }
        default:
          throw new SymbolError(`.debug_rnglists is damaged: an entry of the unknown kind ${kind}`);
      }
    }
    return ranges;
  }

  // ---- functions ----

  private scopesOf(unit: Unit): readonly Scope[] {
    const known = this.parsed.get(unit);
    if (known !== undefined) return known;
    const scopes: Scope[] = [];
    try {
      this.readScopes(unit, scopes);
    } catch (error) {
      this.leaveOut(error);
    }
    if (this.parsed.size >= PARSED_MAX) this.parsed.delete(this.parsed.keys().next().value!);
    this.parsed.set(unit, scopes);
    return scopes;
  }

  private readScopes(unit: Unit, scopes: Scope[]): void {
    const reader = new DwarfReader(this.info, '.debug_info', unit.entries, unit.end);
    /** The function around the entries of each level. */
    const around: number[] = [];
    let parent = -1;
    let ranges = 0;
    while (reader.left > 0 && ranges < UNIT_RANGES_MAX) {
      const entry = reader.at;
      const read = this.readEntry(unit, reader);
      if (read === undefined) {
        if (around.length === 0) return;
        parent = around.pop()!;
        continue;
      }
      const { abbreviation, values } = read;
      let inner = parent;
      const isInlined = abbreviation.tag === DW_TAG_inlined_subroutine;
      if (isInlined || abbreviation.tag === DW_TAG_subprogram) {
        const own = this.rangesOf(unit, values);
        ranges += own.length;
        if (own.length > 0) {
          const number = (name: number): number => {
            const value = values.get(name);
            return value?.kind === 'number' ? value.value : 0;
          };
          inner = scopes.push({ ranges: own, parent, isInlined, entry, callFile: number(DW_AT_call_file), callLine: number(DW_AT_call_line) }) - 1;
        }
      }
      if (abbreviation.hasChildren) {
        around.push(parent);
        parent = inner;
      } else if (around.length === 0) return;
    }
  }

  /** The name of an entry's function, which may be that of another entry, or of another unit's. */
  private nameOf(unit: Unit, entry: number): string | undefined {
    try {
      let at = entry;
      let owner: Unit | undefined = unit;
      for (let i = 0; i < ORIGINS_MAX; i++) {
        if (at < owner.entries || at >= owner.end) owner = this.units.find(({ entries, end }) => at >= entries && at < end);
        if (owner === undefined) return undefined;
        const read = this.readEntry(owner, new DwarfReader(this.info, '.debug_info', at, owner.end));
        if (read === undefined) return undefined;
        const name = this.textOf(owner, read.values.get(DW_AT_name));
        if (name !== undefined) return name === '' ? undefined : name;
        const next = read.values.get(DW_AT_abstract_origin) ?? read.values.get(DW_AT_specification);
        if (next?.kind !== 'reference') return undefined;
        at = next.value;
      }
    } catch (error) {
      this.leaveOut(error);
    }
    return undefined;
  }
}

function holds(ranges: readonly Range[], address: bigint): boolean {
  return ranges.some(({ low, high }) => address >= low && address < high);
}
