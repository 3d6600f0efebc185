/**
 * Logs and images as files: the ByteSink, ByteSource and BlockBacking that the engine asks for. Twins: FileSink writes, FileSource reads.
 */
import { closeSync, existsSync, fdatasync, fdatasyncSync, fstatSync, fsyncSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ByteSink, ByteSource } from '../../engine/log/storage.ts';
import { StoreError, fileError } from './errors.ts';

/** A kernel or an initrd is held in memory as a whole. */
export const IMAGE_BYTES_MAX = 1 << 30;

/**
 * A new file. It is made by the first append, so what fails before that leaves nothing behind, and it never replaces anything.
 */
export class FileSink implements ByteSink {
  readonly path: string;
  private readonly option: string;
  private fd: number | undefined;
  private isNameSynced = false;

  /** `option` names what gave the path, for messages. Throws StoreError if there is such a file. */
  constructor(path: string, option: string) {
    this.path = path;
    this.option = option;
    if (existsSync(path)) throw new StoreError('output-exists', { file: path, option });
  }

  append(bytes: Uint8Array): void {
    this.fd ??= this.create();
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
  }

  sync(): void {
    if (this.fd === undefined) return;
    fdatasyncSync(this.fd);
    if (this.isNameSynced) return;
    // A new file survives a crash only if its folder was synced too.
    const folder = openSync(dirname(this.path), 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
    this.isNameSynced = true;
  }

  /** Begins to write to the disk what there is, and does not wait: the next sync() has less to do, and says what fails. */
  syncSoon(): void {
    if (this.fd !== undefined) fdatasync(this.fd, () => undefined);
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  /** Removes the file again, if this sink made it: for failures before anything worth keeping was written. Returns true if it did. */
  discard(): boolean {
    if (this.fd === undefined) return false;
    this.close();
    rmSync(this.path, { force: true });
    return true;
  }

  private create(): number {
    try {
      return openSync(this.path, 'wx', 0o644);
    } catch (error) {
      throw fileError(error, 'write', this.path, this.option);
    }
  }
}

/** A file that is read in pieces. Also serves as the base image of a disk. */
export class FileSource implements ByteSource {
  readonly path: string;
  readonly length: number;
  private readonly fd: number;

  /** Throws StoreError. */
  constructor(path: string, what: string) {
    this.path = path;
    try {
      this.fd = openSync(path, 'r');
    } catch (error) {
      throw fileError(error, 'read', path, what);
    }
    const stat = fstatSync(this.fd);
    if (!stat.isFile()) {
      closeSync(this.fd);
      throw new StoreError('file-not-regular', { file: path, what, kind: stat.isDirectory() ? 'a folder' : 'a device or pipe' });
    }
    this.length = stat.size;
  }

  get byteLength(): number {
    return this.length;
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.readInto(offset, bytes);
    return bytes;
  }

  readInto(offset: number, target: Uint8Array): void {
    const { length } = target;
    for (let at = 0; at < length; ) {
      const count = readSync(this.fd, target, at, length - at, offset + at);
      if (count === 0) throw new Error(`${this.path} became shorter while it was read: ${length} bytes at ${offset} were asked for`);
      at += count;
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** A whole image. Throws StoreError. */
export function readImage(path: string, what: string): Uint8Array {
  const source = new FileSource(path, what);
  try {
    if (source.length > IMAGE_BYTES_MAX) {
      throw new StoreError('file-too-large', { file: path, size: String(source.length), limit: String(IMAGE_BYTES_MAX), what });
    }
    return source.read(0, source.length);
  } finally {
    source.close();
  }
}

/** A text file; `-` is the standard input. Throws StoreError. */
export function readText(path: string, what: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw fileError(error, 'read', path, what);
  }
}
