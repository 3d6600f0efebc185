/** Builders of small synthetic images for the tests of this folder. */

export interface ElfParts {
  readonly class?: 32 | 64;
  readonly machine?: number;
  readonly type?: number;
  readonly entry?: bigint;
  readonly loads?: readonly { readonly paddr: bigint; readonly vaddr?: bigint; readonly bytes: Uint8Array; readonly memorySize?: number }[];
  readonly notes?: readonly { readonly name: string; readonly type: number; readonly description: Uint8Array }[];
  /** Bytes before the program headers, after the ELF header: a place for a Multiboot header. */
  readonly prefix?: Uint8Array;
}

/** An ELF executable with the given segments. */
export function buildElf(parts: ElfParts = {}): Uint8Array {
  const wide = (parts.class ?? 64) === 64;
  const loads = parts.loads ?? [{ paddr: 0x100000n, bytes: Uint8Array.of(0xf4) }];
  const notes = buildNotes(parts.notes ?? []);
  const headerSize = wide ? 64 : 52;
  const entrySize = wide ? 56 : 32;
  const prefix = parts.prefix ?? new Uint8Array(0);
  const tableAt = headerSize + Math.ceil(prefix.length / 8) * 8;
  const count = loads.length + (notes.length > 0 ? 1 : 0);
  const segments = loads.map((load) => ({
    type: 1,
    paddr: load.paddr,
    vaddr: load.vaddr ?? load.paddr,
    bytes: load.bytes,
    memorySize: load.memorySize ?? load.bytes.length,
    align: 0x1000n,
  }));
  if (notes.length > 0) {
    segments.push({ type: 4, paddr: 0n, vaddr: 0n, bytes: notes, memorySize: notes.length, align: 4n });
  }
  let size = tableAt + count * entrySize;
  const offsets = segments.map((segment) => {
    const at = size;
    size += segment.bytes.length;
    return at;
  });
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  const word = (at: number, value: bigint): void => {
    if (wide) view.setBigUint64(at, value, true);
    else view.setUint32(at, Number(value), true);
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, parts.type ?? 2, true);
  view.setUint16(18, parts.machine ?? (wide ? 62 : 3), true);
  view.setUint32(20, 1, true);
  word(24, parts.entry ?? loads[0].paddr);
  word(wide ? 32 : 28, BigInt(tableAt));
  view.setUint16(wide ? 52 : 40, headerSize, true);
  view.setUint16(wide ? 54 : 42, entrySize, true);
  view.setUint16(wide ? 56 : 44, count, true);
  file.set(prefix, headerSize);
  segments.forEach((segment, index) => {
    const at = tableAt + index * entrySize;
    view.setUint32(at, segment.type, true);
    const fields = [BigInt(offsets[index]), segment.vaddr, segment.paddr, BigInt(segment.bytes.length), BigInt(segment.memorySize)];
    fields.forEach((value, field) => word(at + (wide ? 8 + 8 * field : 4 + 4 * field), value));
    word(at + (wide ? 48 : 28), segment.align);
    view.setUint32(at + (wide ? 4 : 24), 7, true);
    file.set(segment.bytes, offsets[index]);
  });
  return file;
}

function buildNotes(notes: NonNullable<ElfParts['notes']>): Uint8Array {
  const out: number[] = [];
  for (const note of notes) {
    const name = [...new TextEncoder().encode(`${note.name}\0`)];
    const push32 = (value: number): void => void out.push(value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24);
    push32(name.length);
    push32(note.description.length);
    push32(note.type);
    out.push(...name);
    while (out.length % 4 !== 0) out.push(0);
    out.push(...note.description);
    while (out.length % 4 !== 0) out.push(0);
  }
  return Uint8Array.from(out);
}

/** The PVH note for an entry point. */
export function pvhNote(entry: number): NonNullable<ElfParts['notes']>[number] {
  const description = new Uint8Array(8);
  new DataView(description.buffer).setUint32(0, entry, true);
  return { name: 'Xen', type: 18, description };
}

export interface BzImageParts {
  readonly payload?: Uint8Array;
  readonly protocol?: number;
  readonly loadFlags?: number;
  readonly extendedLoadFlags?: number;
  readonly commandLineMax?: number;
  readonly preferredAddress?: number;
  readonly initSize?: number;
  readonly initrdAddressMax?: number;
}

/** A bzImage of one setup sector and a decompressor of 512 bytes of NOPs before the payload. */
export function buildBzImage(parts: BzImageParts = {}): Uint8Array {
  const payload = parts.payload ?? packLz4(buildElf({ notes: [pvhNote(0x100000)] }));
  const codeSize = Math.ceil((1024 + payload.length) / 16) * 16;
  const file = new Uint8Array(1024 + codeSize);
  const view = new DataView(file.buffer);
  view.setUint8(0x1f1, 1);
  view.setUint32(0x1f4, codeSize / 16, true);
  view.setUint16(0x1fe, 0xaa55, true);
  file.set([0xeb, 0x6a], 0x200);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, parts.protocol ?? 0x20f, true);
  view.setUint8(0x211, parts.loadFlags ?? 1);
  view.setUint32(0x22c, parts.initrdAddressMax ?? 0x7fffffff, true);
  view.setUint32(0x230, 0x200000, true);
  view.setUint8(0x234, 1);
  view.setUint16(0x236, parts.extendedLoadFlags ?? 1, true);
  view.setUint32(0x238, parts.commandLineMax ?? 2047, true);
  view.setUint32(0x248, 1024, true);
  view.setUint32(0x24c, payload.length, true);
  view.setBigUint64(0x258, BigInt(parts.preferredAddress ?? 0x1000000), true);
  view.setUint32(0x260, parts.initSize ?? 0x200000, true);
  file.fill(0x90, 1024, 2048);
  file.set(payload, 2048);
  return file;
}

/** An LZ4 block of literals only. */
export function literalBlock(bytes: Uint8Array): Uint8Array {
  const head: number[] = [Math.min(bytes.length, 15) << 4];
  if (bytes.length >= 15) {
    let rest = bytes.length - 15;
    for (; rest >= 255; rest -= 255) head.push(255);
    head.push(rest);
  }
  const block = new Uint8Array(head.length + bytes.length);
  block.set(head);
  block.set(bytes, head.length);
  return block;
}

/** An LZ4 legacy frame of blocks, and the unpacked size that Linux appends. */
export function frameLz4(blocks: readonly Uint8Array[], size: number): Uint8Array {
  const total = blocks.reduce((sum, block) => sum + 4 + block.length, 8);
  const frame = new Uint8Array(total);
  const view = new DataView(frame.buffer);
  view.setUint32(0, 0x184c2102, true);
  let at = 4;
  for (const block of blocks) {
    view.setUint32(at, block.length, true);
    frame.set(block, at + 4);
    at += 4 + block.length;
  }
  view.setUint32(at, size, true);
  return frame;
}

export function packLz4(bytes: Uint8Array): Uint8Array {
  return frameLz4([literalBlock(bytes)], bytes.length);
}

/** A Multiboot header with its checksum; `addresses` are header, load, load end, bss end, entry. */
export function multibootHeader(flags: number, addresses: readonly number[] = []): Uint8Array {
  const words = [0x1badb002, flags, -(0x1badb002 + flags) >>> 0, ...addresses];
  const bytes = new Uint8Array(words.length * 4);
  words.forEach((word, index) => new DataView(bytes.buffer).setUint32(index * 4, word, true));
  return bytes;
}
