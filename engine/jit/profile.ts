/**
 * What the compiler learnt of a guest's code, for the next run of it: which blocks were compiled, and which of them a region was made around. A block is known by what it is (codeKey() in
 * ../cpu/assembly/blocks.ts), not by where it is, so it does not matter where code is mapped, and one profile serves any number of guests. A profile changes when code is compiled, and nothing else.
 *
 * Its bytes, little-endian:
 *
 *      0  u8 x 8  "CVPROFIL"
 *      8  u32     VERSION: of these bytes, and of what codeKey() is
 *     12  u32     blocks, at most BLOCKS_MAX
 *     16  u32     FNV-1a of the blocks' bytes
 *     20  u32     0
 *     24  u64 x blocks, those that are kept longest first: key; bits 2 to 5: runs since it was compiled last, at most AGE_MAX; bits 0 and 1: its kind
 */
import type { Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';

const MAGIC = 'CVPROFIL';
const VERSION = 1;
const HEADER_BYTES = 24;
/** Of PROFILE's slots no more are used, so that a key is found within a few. The benchmark's guest has 3,000. */
const BLOCKS_MAX = L.PROFILE_SLOTS / 2;
export const PROFILE_BYTES_MAX = HEADER_BYTES + BLOCKS_MAX * 8;
const AGE_MAX = 15;
const KEY = ~((1n << BigInt(L.PROFILE_BITS)) - 1n);
/** codeKey() sets the lowest bit of a key, so none is 0. */
const KEY_BIT = 1n << BigInt(L.PROFILE_BITS);
/**
 * In one core. Compiling costs at most about as much as code has been interpreted before (README.md, 8), which does not hold for what begins hot: a guest that writes the same code again and again,
 * and runs it a few hundred times each, would have it compiled each time.
 */
const BEGINNINGS_MAX = 15;

/** soon, late: a region was made around it, soon or late after it was decoded. member: it was taken along only. In the order of what is kept. */
export const KINDS = ['soon', 'late', 'member'] as const;
export type BlockKind = (typeof KINDS)[number];
const NUMBERS: Readonly<Record<BlockKind, number>> = { soon: L.PROFILE_SOON, late: L.PROFILE_LATE, member: L.PROFILE_MEMBER };

interface Known {
  readonly kind: BlockKind;
  /** Runs since it was compiled last. */
  readonly age: number;
}

export type DecodedProfile = { readonly kind: 'profile'; readonly profile: CodeProfile } | { readonly kind: 'refused'; readonly reason: string };

export class CodeProfile {
  private blocks = new Map<bigint, Known>();
  private learnt = false;

  get size(): number {
    return this.blocks.size;
  }
  /** Whether anything was compiled since it was made. */
  get hasLearnt(): boolean {
    return this.learnt;
  }

  /** Undefined: it knows nothing of such a block. */
  kindOf(key: bigint): BlockKind | undefined {
    return this.blocks.get(key)?.kind;
  }

  /** A block was compiled. */
  learn(key: bigint, kind: BlockKind): void {
    const known = this.blocks.get(key);
    this.learnt = true;
    // In one run: of a block that is in several functions, and of several blocks with the same code.
    if (known?.age !== 0 || NUMBERS[kind] < NUMBERS[known.kind]) this.blocks.set(key, { kind, age: 0 });
    if (this.blocks.size > 2 * BLOCKS_MAX) this.blocks = new Map(this.inOrder().slice(0, BLOCKS_MAX));
  }

  /** The region that was made around a block is part of a larger one now. */
  demote(key: bigint): void {
    this.blocks.set(key, { kind: 'member', age: 0 });
  }

  /** The same, a run later. */
  older(): CodeProfile {
    const result = new CodeProfile();
    for (const [key, { kind, age }] of this.blocks) result.blocks.set(key, { kind, age: Math.min(age + 1, AGE_MAX) });
    return result;
  }

  /** Takes over what another knows: of a block that both know, what is younger. */
  merge(other: CodeProfile): void {
    for (const [key, theirs] of other.blocks) {
      const own = this.blocks.get(key);
      if (own === undefined || theirs.age < own.age || (theirs.age === own.age && NUMBERS[theirs.kind] < NUMBERS[own.kind])) this.blocks.set(key, theirs);
    }
  }

  /** Those that were compiled last first, and of these by kind. */
  private inOrder(): (readonly [bigint, Known])[] {
    return [...this.blocks].sort(([, a], [, b]) => a.age - b.age || NUMBERS[a.kind] - NUMBERS[b.kind]);
  }

  /** At most PROFILE_BYTES_MAX: the blocks that were not compiled for the most runs are left out. */
  encode(): Uint8Array<ArrayBuffer> {
    const blocks = this.inOrder().slice(0, BLOCKS_MAX);
    const bytes = new Uint8Array(HEADER_BYTES + blocks.length * 8);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < MAGIC.length; i++) bytes[i] = MAGIC.charCodeAt(i);
    view.setUint32(8, VERSION, true);
    view.setUint32(12, blocks.length, true);
    blocks.forEach(([key, { kind, age }], i) => view.setBigUint64(HEADER_BYTES + i * 8, key | BigInt((age << L.PROFILE_LEFT) | NUMBERS[kind]), true));
    view.setUint32(16, checksum(bytes.subarray(HEADER_BYTES)), true);
    return bytes;
  }

  /** The inverse, for bytes from anywhere. */
  static decode(bytes: Uint8Array): DecodedProfile {
    const refused = (reason: string): DecodedProfile => ({ kind: 'refused', reason });
    if (bytes.length < HEADER_BYTES || [...MAGIC].some((letter, i) => bytes[i] !== letter.charCodeAt(0))) return refused('it is no profile');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const version = view.getUint32(8, true);
    if (version !== VERSION) return refused(`its version is ${version}, this program reads ${VERSION}`);
    const count = view.getUint32(12, true);
    if (count > BLOCKS_MAX || bytes.length !== HEADER_BYTES + count * 8) return refused(`it has ${bytes.length} bytes, which is not the size of ${count} blocks`);
    if (view.getUint32(16, true) !== checksum(bytes.subarray(HEADER_BYTES))) return refused('its checksum is wrong');
    const profile = new CodeProfile();
    for (let at = HEADER_BYTES; at < bytes.length; at += 8) {
      const entry = view.getBigUint64(at, true);
      const bits = Number(entry & ~KEY);
      const kind = KINDS.find((each) => NUMBERS[each] === (bits & ((1 << L.PROFILE_LEFT) - 1)));
      if ((entry & KEY_BIT) === 0n || kind === undefined) return refused(`0x${entry.toString(16)} is no block`);
      profile.blocks.set(entry & KEY, { kind, age: bits >> L.PROFILE_LEFT });
    }
    return { kind: 'profile', profile };
  }

  /** Tells a new core. heats: what blocks begin with. Returns how many it now knows. */
  tell(core: Core, heats: Readonly<Record<BlockKind, number>>): number {
    let count = 0;
    for (const [key, { kind }] of this.inOrder().slice(0, BLOCKS_MAX)) {
      const home = Number(key >> 48n);
      for (let i = 0; i < L.PROFILE_PROBES; i++) {
        const at = (L.PROFILE >>> 3) + ((home + i) & (L.PROFILE_SLOTS - 1));
        if (core.u64[at] !== 0n) continue;
        core.u64[at] = key | BigInt((BEGINNINGS_MAX << L.PROFILE_LEFT) | NUMBERS[kind]);
        count++;
        break;
      }
    }
    core.u32[L.PROFILE_HEATS >>> 2] = count;
    for (const kind of KINDS) core.u32[(L.PROFILE_HEATS >>> 2) + NUMBERS[kind]] = heats[kind];
    return count;
  }
}

function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
