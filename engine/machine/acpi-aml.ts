/**
 * An encoder for the little of AML that our DSDT needs: objects and resources as data, no methods. The interpreter of a
 * guest runs many thousand instructions a term, so what can be a constant is one. ACPI 6.5, chapter 20 (AML) and 6.4
 * (resource data).
 */

// ---- opcodes: ACPI 6.5, 20.3 ----
const ZERO_OP   = 0x00;
const ONE_OP    = 0x01;
const NAME_OP   = 0x08;
const BYTE_PREFIX  = 0x0a;
const WORD_PREFIX  = 0x0b;
const DWORD_PREFIX = 0x0c;
const STRING_PREFIX = 0x0d;
const SCOPE_OP  = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const EXTENDED_PREFIX = 0x5b;
const DEVICE_OP = 0x82;

/** Encoded AML. */
export type Aml = Uint8Array;

export function concat(...parts: readonly Aml[]): Aml {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** An integer of at most 32 bits, in its shortest form (20.2.3). */
export function integer(value: number): Aml {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw new RangeError(`AML integer ${value}`);
  if (value === 0) return Uint8Array.of(ZERO_OP);
  if (value === 1) return Uint8Array.of(ONE_OP);
  if (value <= 0xff) return Uint8Array.of(BYTE_PREFIX, value);
  if (value <= 0xffff) return Uint8Array.of(WORD_PREFIX, ...littleEndian(value, 2));
  return Uint8Array.of(DWORD_PREFIX, ...littleEndian(value, 4));
}

export function string(value: string): Aml {
  return Uint8Array.of(STRING_PREFIX, ...ascii(value), 0);
}

/** A hardware identifier such as PNP0501, as a compressed EISA identifier (19.6.36). */
export function eisaId(id: string): Aml {
  const match = /^([A-Z]{3})([0-9A-F]{4})$/.exec(id);
  if (match === null) throw new RangeError(`EISA identifier "${id}"`);
  const [, letters, digits] = match;
  const [a, b, c] = [...letters].map((letter) => letter.charCodeAt(0) - 0x40);
  const product = parseInt(digits, 16);
  // Big endian in memory: 5 bits a letter, then the product number.
  return Uint8Array.of(DWORD_PREFIX, (a << 2) | (b >> 3), ((b & 7) << 5) | c, product >> 8, product & 0xff);
}

/** PkgLength (20.2.4): counts itself. One byte holds 6 bits; more bytes hold 4 bits and 8 a byte. */
function packageLength(contentLength: number): Aml {
  if (contentLength + 1 <= 0x3f) return Uint8Array.of(contentLength + 1);
  for (let extra = 1; extra <= 3; extra++) {
    const length = contentLength + 1 + extra;
    if (length < 2 ** (4 + 8 * extra)) return Uint8Array.of((extra << 6) | (length & 0xf), ...littleEndian(length >>> 4, extra));
  }
  throw new RangeError(`AML package of ${contentLength} bytes`);
}

/** A name of one segment, filled up with underscores; a leading backslash makes it absolute (20.2.2). */
function nameString(name: string): Aml {
  const root = name.startsWith('\\');
  const segment = root ? name.slice(1) : name;
  if (!/^([A-Z_][A-Z0-9_]{0,3})?$/.test(segment)) throw new RangeError(`AML name "${name}"`);
  // Root alone is "\" and a null name.
  const encoded = segment === '' ? [0] : ascii(segment.padEnd(4, '_'));
  return Uint8Array.of(...(root ? [0x5c] : []), ...encoded);
}

function enclosed(opcode: readonly number[], content: Aml): Aml {
  return concat(Uint8Array.from(opcode), packageLength(content.length), content);
}

/** Name (name, value) */
export function name(objectName: string, value: Aml): Aml {
  return concat(Uint8Array.of(NAME_OP), nameString(objectName), value);
}

/** Scope (name) { ... } */
export function scope(objectName: string, ...terms: readonly Aml[]): Aml {
  return enclosed([SCOPE_OP], concat(nameString(objectName), ...terms));
}

/** Device (name) { ... } */
export function device(objectName: string, ...terms: readonly Aml[]): Aml {
  return enclosed([EXTENDED_PREFIX, DEVICE_OP], concat(nameString(objectName), ...terms));
}

/** Package () { ... } */
export function packageOf(...elements: readonly Aml[]): Aml {
  return enclosed([PACKAGE_OP], concat(Uint8Array.of(elements.length), ...elements));
}

/** ResourceTemplate () { ... }: a buffer of descriptors with an end tag, whose checksum 0 means "not used" (6.4.2.9). */
export function resourceTemplate(...descriptors: readonly Aml[]): Aml {
  const bytes = concat(...descriptors, Uint8Array.of(0x79, 0));
  return enclosed([BUFFER_OP], concat(integer(bytes.length), bytes));
}

// ---- resource descriptors ----

/** IO (Decode16, first, first, 1, count): 6.4.2.5. */
export function ioPorts(first: number, count: number): Aml {
  return Uint8Array.of(0x47, 1, ...littleEndian(first, 2), ...littleEndian(first, 2), 1, count);
}

/** IRQNoFlags () { irq }: edge, active high, exclusive; 6.4.2.1. */
export function isaIrq(irq: number): Aml {
  if (irq < 0 || irq > 15) throw new RangeError(`ISA IRQ ${irq}`);
  return Uint8Array.of(0x22, ...littleEndian(1 << irq, 2));
}

/** Memory32Fixed (ReadWrite, base, length): 6.4.3.4. */
export function memory32Fixed(base: number, length: number): Aml {
  return Uint8Array.of(0x86, ...littleEndian(9, 2), 1, ...littleEndian(base, 4), ...littleEndian(length, 4));
}

/** Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { gsi }: 6.4.3.6, "extended interrupt". */
export function levelInterrupt(gsi: number): Aml {
  const consumer = 1; // bit 1 edge, bit 2 active low, bit 3 shared, bit 4 wake: all clear
  return Uint8Array.of(0x89, ...littleEndian(6, 2), consumer, 1, ...littleEndian(gsi, 4));
}

/** The low `count` bytes of an unsigned integer, least significant first. */
export function littleEndian(value: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(value / 256 ** i) % 256);
}

export function ascii(value: string): number[] {
  return [...value].map((character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20 || code > 0x7e) throw new RangeError(`not ASCII: "${value}"`);
    return code;
  });
}
