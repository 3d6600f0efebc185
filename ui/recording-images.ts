/** Images of a recording in a worker: from the log, from the server, or handed in by a person. Whatever the way, they have the hash that was recorded. */
import type { LogReader } from '../engine/log/reader.ts';
import { Sha256 } from '../engine/log/sha256.ts';
import type { LogSummary } from '../engine/protocol/summary.ts';
import type { RunImages } from '../engine/recording/recipe.ts';
import { Refusal } from './refusal.ts';

/** Images up to this size are read from the log again each time. */
const KEPT_BYTES_MIN = 1 << 20;

const sha256Of = (bytes: Uint8Array): string => new Sha256().update(bytes).digestHex();

export class RecordingImages {
  private readonly summary: LogSummary;
  private readonly reader: LogReader;
  private readonly url: string | undefined;
  /** By SHA-256. */
  private readonly kept = new Map<string, Uint8Array>();

  /** url: what an image's SHA-256 is put behind. */
  constructor(summary: LogSummary, reader: LogReader, url: string | undefined) {
    this.summary = summary;
    this.reader = reader;
    this.url = url;
  }

  /** Throws Refusal for a file that is not one of the images. */
  give(bytes: Uint8Array): string {
    const sha256 = sha256Of(bytes);
    const image = this.summary.images.find((each) => each.sha256 === sha256);
    if (image === undefined) throw new Refusal('This is not an image of this recording', `its SHA-256 is ${sha256}; the panel “Recording” of its page shows those that are needed`);
    this.kept.set(sha256, bytes);
    return image.name;
  }

  /** Throws Refusal with those that are missing. */
  async load(): Promise<RunImages> {
    const found = new Map<string, Uint8Array>();
    const missing: string[] = [];
    for (const { name, sha256, bytes } of this.summary.images) {
      const image = this.kept.get(sha256) ?? this.reader.image(sha256) ?? (await this.offered(sha256, bytes));
      if (image === undefined) missing.push(sha256);
      else {
        found.set(name, image);
        if (bytes > KEPT_BYTES_MIN) this.kept.set(sha256, image);
      }
    }
    const kernel = found.get('kernel');
    if (missing.length > 0 || kernel === undefined) {
      const names = this.summary.images.filter(({ sha256 }) => missing.includes(sha256)).map(({ name, bytes }) => `${name} (${bytes} bytes)`);
      throw new Refusal(`The recording does not hold its ${names.join(' and ')}`, 'give the file: it is recognised by its hash. Events and console can be read without it', { missingImages: missing });
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
    if (this.url === undefined) return undefined;
    const response = await fetch(`${this.url}${sha256}`).catch(() => undefined);
    if (response?.ok !== true) return undefined;
    const image = new Uint8Array(await response.arrayBuffer());
    return image.length === bytes && sha256Of(image) === sha256 ? image : undefined;
  }
}
