/**
 * A streaming reader of tar archives: takes chunks of any size, keeps only the wanted files in memory.
 *
 * Source: POSIX.1-2017 pax, "ustar Interchange Format", and the GNU extension for long names (type L), which is what
 * dpkg-deb writes. Hard links, sparse files and pax headers do not occur in what we read.
 */

const BLOCK_SIZE = 512;
/** Longer names than this are damage, not names. */
const LONG_NAME_MAX = 1 << 16;

const TYPE_FILE = '0';
const TYPE_FILE_OLD = '\0';
const TYPE_LONG_NAME = 'L';

export class TarReader {
  /** Contents by path, without a leading "./". */
  readonly files = new Map<string, Uint8Array>();
  readonly #wanted: (path: string) => boolean;
  readonly #header = new Uint8Array(BLOCK_SIZE);
  #headerSize = 0;
  /** The content that is being read, if it is kept. */
  #content: Uint8Array | undefined;
  #contentSize = 0;
  /** Bytes still to come: of the content, and of it with its padding. */
  #contentLeft = 0;
  #left = 0;
  #onContent: (bytes: Uint8Array) => void = () => {};
  #longName: string | undefined;
  #ended = false;

  constructor(wanted: (path: string) => boolean) {
    this.#wanted = wanted;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#ended) {
      if (this.#left > 0) {
        const take = Math.min(this.#left, chunk.length - at);
        const content = Math.min(this.#contentLeft, take);
        if (this.#content !== undefined && content > 0) {
          this.#content.set(chunk.subarray(at, at + content), this.#contentSize - this.#contentLeft);
        }
        this.#contentLeft -= content;
        this.#left -= take;
        at += take;
        if (this.#left === 0) this.#finish();
        continue;
      }
      const take = Math.min(BLOCK_SIZE - this.#headerSize, chunk.length - at);
      this.#header.set(chunk.subarray(at, at + take), this.#headerSize);
      this.#headerSize += take;
      at += take;
      if (this.#headerSize === BLOCK_SIZE) {
        this.#headerSize = 0;
        this.#start();
      }
    }
  }

  /** To be called after the last chunk: throws if the archive was cut off. */
  end(): void {
    if (!this.#ended) throw new Error('the tar archive is cut off');
  }

  #start(): void {
    const header = this.#header;
    if (header.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    // The checksum is the sum of all bytes, itself counted as spaces.
    let sum = 0;
    for (let index = 0; index < BLOCK_SIZE; index++) sum += index >= 148 && index < 156 ? 32 : header[index];
    if (sum !== this.#octal(148, 8)) throw new Error('the tar archive is damaged: the checksum of a header is wrong');
    const size = this.#octal(124, 12);
    const type = String.fromCharCode(header[156]);
    const prefix = this.#text(257, 5) === 'ustar' ? this.#text(345, 155) : '';
    const name = this.#longName ?? (prefix === '' ? this.#text(0, 100) : `${prefix}/${this.#text(0, 100)}`);
    const path = name.replace(/^\.?\/+/, '');

    this.#content = undefined;
    if (type === TYPE_LONG_NAME) {
      if (size > LONG_NAME_MAX) throw new Error(`the tar archive is damaged: a name of ${size} bytes`);
      this.#content = new Uint8Array(size);
      this.#onContent = (bytes) => {
        this.#longName = new TextDecoder().decode(bytes).replace(/\0.*$/s, '');
      };
    } else {
      this.#longName = undefined;
      if ((type === TYPE_FILE || type === TYPE_FILE_OLD) && this.#wanted(path)) {
        this.#content = new Uint8Array(size);
        this.#onContent = (bytes) => this.files.set(path, bytes);
      }
    }
    this.#contentSize = size;
    this.#contentLeft = size;
    this.#left = Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
    if (this.#left === 0) this.#finish();
  }

  #finish(): void {
    if (this.#content !== undefined) this.#onContent(this.#content);
    this.#content = undefined;
  }

  #text(offset: number, size: number): string {
    return new TextDecoder().decode(this.#header.subarray(offset, offset + size)).replace(/\0.*$/s, '');
  }

  #octal(offset: number, size: number): number {
    const text = this.#text(offset, size).trim();
    if (!/^[0-7]*$/.test(text)) throw new Error('the tar archive is damaged: a number is not octal');
    return text === '' ? 0 : Number.parseInt(text, 8);
  }
}
