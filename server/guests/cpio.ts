/**
 * Writer and reader of cpio archives in the "newc" format, the one an initramfs is made of.
 *
 * Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst. A member is a 110-byte ASCII header (a magic
 * and 13 fields of 8 hexadecimal digits), the name with a NUL, padding to 4 bytes, the data, padding to 4 bytes. The
 * member called TRAILER!!! ends the archive.
 *
 * The writer is deterministic: the same members give the same bytes. Inode numbers count from 1, times are 0, the
 * owner is root, and the order is the caller's.
 */

/** What a member of an archive is. Paths have no leading slash. Modes are permission bits only (0o755). */
export type CpioMember =
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'character-device';
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const MAGIC = '070701';
const HEADER_SIZE = 110;
const TRAILER = 'TRAILER!!!';

// File type bits of the mode field (inode(7)).
const TYPE_MASK = 0o170000;
const TYPE_FILE = 0o100000;
const TYPE_DIRECTORY = 0o040000;
const TYPE_LINK = 0o120000;
const TYPE_CHARACTER = 0o020000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Packs `members` in their order. A path that occurs twice or is not relative is a mistake of the caller. */
export function writeCpio(members: readonly CpioMember[]): Uint8Array {
  const seen = new Set<string>();
  const parts: Uint8Array[] = [];
  let inode = 0;
  for (const member of members) {
    if (member.path === '' || member.path.startsWith('/') || member.path.includes('\0') || seen.has(member.path)) {
      throw new Error(`cpio: bad or repeated path "${member.path}"`);
    }
    seen.add(member.path);
    inode += 1;
    parts.push(header(member, inode));
  }
  parts.push(entry(TRAILER, 0, 0, 1, 0, 0, new Uint8Array(0)));

  let size = 0;
  for (const part of parts) size += part.length;
  const archive = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

/** The members of an archive, in order; the trailer is required. */
export function readCpio(archive: Uint8Array): readonly CpioMember[] {
  const members: CpioMember[] = [];
  let at = 0;
  for (;;) {
    if (at + HEADER_SIZE > archive.length) throw new Error(`cpio: no trailer before the end, at byte ${at}`);
    const text = decoder.decode(archive.subarray(at, at + HEADER_SIZE));
    if (!text.startsWith(MAGIC)) throw new Error(`cpio: no member header at byte ${at}`);
    const field = (index: number): number => {
      const value = Number.parseInt(text.slice(6 + 8 * index, 14 + 8 * index), 16);
      if (Number.isNaN(value)) throw new Error(`cpio: bad field ${index} in the header at byte ${at}`);
      return value;
    };
    const mode = field(1);
    const fileSize = field(6);
    const nameSize = field(11);
    const nameAt = at + HEADER_SIZE;
    const dataAt = align4(nameAt + nameSize);
    if (dataAt + fileSize > archive.length) throw new Error(`cpio: the member at byte ${at} ends outside the archive`);
    const path = decoder.decode(archive.subarray(nameAt, nameAt + nameSize - 1));
    const bytes = archive.subarray(dataAt, dataAt + fileSize);
    at = align4(dataAt + fileSize);
    if (path === TRAILER) return members;
    const permissions = mode & ~TYPE_MASK;
    switch (mode & TYPE_MASK) {
      case TYPE_FILE:
        members.push({ kind: 'file', path, mode: permissions, bytes });
        break;
      case TYPE_DIRECTORY:
        members.push({ kind: 'directory', path, mode: permissions });
        break;
      case TYPE_LINK:
        members.push({ kind: 'link', path, target: decoder.decode(bytes) });
        break;
      case TYPE_CHARACTER:
        members.push({ kind: 'character-device', path, mode: permissions, major: field(9), minor: field(10) });
        break;
      default:
        throw new Error(`cpio: "${path}" has file type 0${(mode & TYPE_MASK).toString(8)}, which is not supported`);
    }
  }
}

function header(member: CpioMember, inode: number): Uint8Array {
  const none = new Uint8Array(0);
  switch (member.kind) {
    case 'file':
      return entry(member.path, inode, TYPE_FILE | member.mode, 1, 0, 0, member.bytes);
    case 'directory':
      return entry(member.path, inode, TYPE_DIRECTORY | member.mode, 2, 0, 0, none);
    case 'link':
      return entry(member.path, inode, TYPE_LINK | 0o777, 1, 0, 0, encoder.encode(member.target));
    case 'character-device':
      return entry(member.path, inode, TYPE_CHARACTER | member.mode, 1, member.major, member.minor, none);
  }
}

function entry(
  path: string,
  inode: number,
  mode: number,
  links: number,
  deviceMajor: number,
  deviceMinor: number,
  bytes: Uint8Array,
): Uint8Array {
  const name = encoder.encode(`${path}\0`);
  // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
  const fields = [inode, mode, 0, 0, links, 0, bytes.length, 0, 0, deviceMajor, deviceMinor, name.length, 0];
  const text = MAGIC + fields.map((value) => value.toString(16).toUpperCase().padStart(8, '0')).join('');
  const dataAt = align4(HEADER_SIZE + name.length);
  const out = new Uint8Array(align4(dataAt + bytes.length));
  out.set(encoder.encode(text), 0);
  out.set(name, HEADER_SIZE);
  out.set(bytes, dataAt);
  return out;
}

function align4(size: number): number {
  return (size + 3) & ~3;
}
