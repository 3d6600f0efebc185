/** A log that the worker analyses, with those that it goes on from, and its images. */
import { LogReader } from '../../engine/log/reader.ts';
import { Sha256 } from '../../engine/log/sha256.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import type { LogPlace } from '../../engine/protocol/messages.ts';
import { type LogSummary, summarize } from '../../engine/protocol/summary.ts';
import { ChainError, openChain } from '../../engine/recording/chain.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { Refusal } from './refusal.ts';

/** Images up to this size are read from the log again each time. */
const KEPT_BYTES_MIN = 1 << 20;

export class AnalysedLog {
  readonly summary: LogSummary;
  readonly reader: LogReader;
  private readonly bytes: Uint8Array;
  private readonly parents: readonly Uint8Array[];
  private readonly images = new Map<string, Uint8Array>();
  readonly imageUrl: string | undefined;

  /** Throws LogError, Refusal. */
  constructor(bytes: Uint8Array, parents: readonly Uint8Array[], imageUrl: string | undefined) {
    this.bytes = bytes;
    this.parents = parents;
    this.imageUrl = imageUrl;
    this.reader = this.newReader();
    this.summary = summarize(this.reader, bytes.length);
  }

  static async open(log: LogPlace, parents: readonly LogPlace[], imageUrl: string | undefined): Promise<AnalysedLog> {
    return new AnalysedLog(await bytesOf(log), await Promise.all(parents.map(bytesOf)), imageUrl);
  }

  /** Each replay has a reader of its own, for the sake of its cache. */
  newReader(): LogReader {
    const readers = this.parents.map((each) => LogReader.open(new MemorySource(each)));
    try {
      return openChain(LogReader.open(new MemorySource(this.bytes)), ({ logId }) => readers.find(({ header }) => header.id === logId)).reader;
    } catch (error) {
      if (!(error instanceof ChainError)) throw error;
      const advice = error.code === 'parent-missing' ? 'put the log that it goes on from beside it, or drop it on the page too' : 'open the log that it goes on from itself';
      throw new Refusal(error.message, advice, error.code === 'parent-missing' ? { missingParent: error.parent.logId } : {});
    }
  }

  /** Throws Refusal for a file that is not one of the images. */
  give(bytes: Uint8Array): string {
    const sha256 = new Sha256().update(bytes).digestHex();
    const image = this.summary.images.find((each) => each.sha256 === sha256);
    if (image === undefined) throw new Refusal('This is not an image of this recording', `its SHA-256 is ${sha256}; the recording's page shows those that are needed`);
    this.images.set(sha256, bytes);
    return image.name;
  }

  /** Throws Refusal. */
  async runImages(): Promise<RunImages> {
    const found = new Map<string, Uint8Array>();
    const missing: string[] = [];
    for (const { name, sha256, bytes } of this.summary.images) {
      const image = this.images.get(sha256) ?? this.reader.image(sha256) ?? (await this.offered(sha256, bytes));
      if (image === undefined) missing.push(sha256);
      else {
        found.set(name, image);
        if (bytes > KEPT_BYTES_MIN) this.images.set(sha256, image);
      }
    }
    const kernel = found.get('kernel');
    if (missing.length > 0 || kernel === undefined) {
      const names = this.summary.images.filter(({ sha256 }) => missing.includes(sha256)).map(({ name, bytes }) => `${name} (${bytes} bytes)`);
      throw new Refusal(`The recording does not hold its ${names.join(' and ')}`, 'give the file: it is recognised by its hash', { missingImages: missing });
    }
    const initrd = found.get('initrd');
    const disk = found.get('disk');
    return {
      kernel,
      ...(initrd !== undefined && { initrd }),
      ...(disk !== undefined && { disk: { byteLength: disk.length, read: (offset: number, length: number) => disk.slice(offset, offset + length) } }),
    };
  }

  private async offered(sha256: string, bytes: number): Promise<Uint8Array | undefined> {
    if (this.imageUrl === undefined) return undefined;
    const response = await fetch(`${this.imageUrl}${sha256}`).catch(() => undefined);
    if (response?.ok !== true) return undefined;
    const image = new Uint8Array(await response.arrayBuffer());
    return image.length === bytes && new Sha256().update(image).digestHex() === sha256 ? image : undefined;
  }
}

async function bytesOf(place: LogPlace): Promise<Uint8Array> {
  if (place.kind === 'bytes') return place.bytes;
  if (place.kind === 'blob') return new Uint8Array(await place.blob.arrayBuffer());
  let response: Response;
  try {
    response = await fetch(place.url);
  } catch (error) {
    throw new Refusal(`the recording could not be loaded: ${error instanceof Error ? error.message : String(error)}`, 'check that the server still runs (npm start), then reload the page');
  }
  if (!response.ok) throw new Refusal(`the recording could not be loaded: the server answered ${response.status}`, 'it may have been moved or deleted: go back to the recordings');
  return new Uint8Array(await response.arrayBuffer());
}
