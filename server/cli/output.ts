/** The two outputs of a command: results on stdout, everything for people on stderr. A reader that goes away ends the command quietly. */

/** Thrown when nobody reads stdout any more. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

export class Output {
  /** Nobody reads stdout any more. */
  isClosed = false;
  private readonly stream: NodeJS.WriteStream;
  private failure: Error | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') this.isClosed = true;
      else this.failure = error;
    });
  }

  get isTerminal(): boolean {
    return this.stream.isTTY === true;
  }

  /** For what is small, or must not wait. */
  write(bytes: string | Uint8Array): void {
    if (this.failure !== undefined) throw this.failure;
    if (!this.isClosed) this.stream.write(bytes);
  }

  /** Waits while the reader is slow; throws OutputClosed when it is gone. For bulk. */
  async push(text: string): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    if (this.isClosed) throw new OutputClosed();
    if (this.stream.write(text)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.stream.off('drain', done);
        this.stream.off('close', done);
        this.stream.off('error', done);
        resolve();
      };
      this.stream.once('drain', done).once('close', done).once('error', done);
    });
  }

  /** Resolves when all was handed to the system. */
  async end(): Promise<void> {
    if (this.isClosed || this.failure !== undefined) return;
    await new Promise<void>((resolve) => {
      this.stream.write('', () => resolve());
    });
  }
}

export interface Outputs {
  readonly out: Output;
  readonly err: Output;
}

/** JSON of events and reports: bigints as hexadecimal text, bytes as hexadecimal text, numbers of pages as numbers. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_, each: unknown) => {
      if (typeof each === 'bigint') return `0x${each.toString(16)}`;
      if (each instanceof Uint8Array) return Buffer.from(each).toString('hex');
      if (each instanceof Uint32Array) return Array.from(each);
      return each;
    },
    indent,
  );
}
