/**
 * Where members of the kernel's structures are: from the type information that a kernel carries for BPF (CONFIG_DEBUG_INFO_BTF), between __start_BTF and __stop_BTF.
 *
 * Source: Linux, Documentation/bpf/btf.rst. The bytes are the guest's, so nothing is believed.
 */
import { textAt } from '../machine/boot/elf-sections.ts';

const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;
const STRUCT = 4;
const UNION = 5;
/** Structures without a name inside of structures without a name. */
const NESTING_MAX = 8;

/** Bytes after a type's 12 common ones, by kind: so many, and so many for each of its `vlen` parts. */
const EXTRA: Readonly<Record<number, readonly [number, number]>> = {
  1: [4, 0], 2: [0, 0], 3: [12, 0], 4: [0, 12], 5: [0, 12], 6: [0, 8], 7: [0, 0], 8: [0, 0], 9: [0, 0], 10: [0, 0],
  11: [0, 0], 12: [0, 0], 13: [0, 8], 14: [4, 0], 15: [0, 12], 16: [0, 0], 17: [4, 0], 18: [0, 0], 19: [0, 12],
}; // prettier-ignore

/** Byte offsets of members of a structure, those of unnamed structures in it included. Undefined: not told, or one is missing. */
export function memberOffsets<Name extends string>(btf: Uint8Array, structure: string, members: readonly Name[]): Readonly<Record<Name, number>> | undefined {
  if (btf.length < HEADER_BYTES) return undefined;
  const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength);
  const u32 = (at: number): number => view.getUint32(at, true);
  if (view.getUint16(0, true) !== MAGIC || btf[2] !== 1) return undefined;
  const headerBytes = u32(4);
  const typesAt = headerBytes + u32(8);
  const typesEnd = typesAt + u32(12);
  const textsAt = headerBytes + u32(16);
  const textsEnd = textsAt + u32(20);
  if (typesEnd > btf.length || textsEnd > btf.length) return undefined;
  const texts = btf.subarray(textsAt, textsEnd);
  const name = (at: number): string => (at < texts.length ? textAt(texts, at) : '');

  /** Where each type is; number 0 is void. */
  const places = [0];
  const structures: number[] = [];
  for (let at = typesAt; at + 12 <= typesEnd; ) {
    const info = u32(at + 4);
    const kind = (info >>> 24) & 31;
    const extra = EXTRA[kind];
    if (extra === undefined) return undefined;
    const next = at + 12 + extra[0] + extra[1] * (info & 0xffff);
    if (next > typesEnd) return undefined;
    if (kind === STRUCT && name(u32(at)) === structure) structures.push(at);
    places.push(at);
    at = next;
  }

  const found = new Map<string, number>();
  const wanted = new Set<string>(members);
  let left = 1 << 16;
  const collect = (at: number, base: number, depth: number): void => {
    const info = u32(at + 4);
    const kind = (info >>> 24) & 31;
    if (kind !== STRUCT && kind !== UNION) return;
    // With this bit a member's offset shares its word with the size of a bit field.
    const hasSizes = info >>> 31 === 1;
    for (let i = 0; i < (info & 0xffff) && left-- > 0; i++) {
      const member = at + 12 + i * 12;
      const bits = base + (hasSizes ? u32(member + 8) & 0xff_ffff : u32(member + 8));
      const own = name(u32(member));
      if (own !== '' && wanted.has(own) && !found.has(own) && bits % 8 === 0) found.set(own, bits / 8);
      const type = places.at(u32(member + 4));
      if (own === '' && type !== undefined && type !== 0 && depth < NESTING_MAX) collect(type, bits, depth + 1);
    }
  };
  for (const at of structures) {
    found.clear();
    collect(at, 0, 0);
    if (members.every((member) => found.has(member))) return Object.fromEntries(members.map((member) => [member, found.get(member)!])) as Record<Name, number>;
  }
  return undefined;
}
