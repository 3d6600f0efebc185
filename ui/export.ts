/** A recording with all that it needs, as one HTML file (engine/protocol/self-contained.ts). */
import { LogReader } from '../engine/log/reader.ts';
import { Sha256 } from '../engine/log/sha256.ts';
import { MemorySource } from '../engine/log/storage.ts';
import { SELF_CONTAINED_BYTES_MAX, type SelfContained, selfContainedPieces } from '../engine/protocol/self-contained.ts';
import { type ImageSummary, type LogSummary, summarize } from '../engine/protocol/summary.ts';
import type { LogFile } from '../engine/protocol/messages.ts';
import { type RecordingPlace, logOfIdentity, placeOf } from './recording-place.ts';
import { EngineFailure } from './worker-client.ts';
import { formatBytes } from './format.ts';
import { serverImageUrl } from './server-urls.ts';
import { notesOf } from './notes.ts';
import { serverNotes } from './server-notes.ts';
import { heldHere, heldImages } from './standalone/held.ts';

export interface Exportable {
  readonly summary: LogSummary;
  readonly content: Omit<SelfContained, 'images' | 'at'>;
  /** That no log of it holds: they are of others, or large. */
  readonly images: readonly ImageSummary[];
}

/** Throws EngineFailure. */
export async function exportable(recording: RecordingPlace): Promise<Exportable> {
  const log = await bytesOf(await placeOf(recording));
  const summary = summarize(LogReader.open(new MemorySource(log)), log.length);
  const parents: Uint8Array[] = [];
  for (let parent = LogReader.open(new MemorySource(log)).header.parent; parent !== undefined; ) {
    const place = await logOfIdentity(parent.logId);
    if (place === undefined) throw new EngineFailure({ message: 'The recording goes on from another one that is not here', advice: 'drop that one on the page first' });
    parents.push(await bytesOf(place));
    parent = LogReader.open(new MemorySource(parents[parents.length - 1])).header.parent;
  }
  const readers = [log, ...parents].map((bytes) => LogReader.open(new MemorySource(bytes)));
  const images = summary.images.filter(({ sha256 }) => readers.every((reader) => reader.image(sha256) === undefined));
  const there = recording.place === 'server' ? await serverNotes(recording.id) : undefined;
  const notes = (there?.isWritable === true ? there.notes : await notesOf(summary.id)).map(({ position, text }) => ({ position, text }));
  return { summary, images, content: { name: `${summary.guest}.cvlog`, notes, log, parents } };
}

/** at: where the cursor is to stand. Throws EngineFailure. */
export async function exportedFile({ content, images }: Exportable, hasImages: boolean, at: number | undefined): Promise<Blob> {
  const chosen = hasImages ? await Promise.all(images.map(imageOf)) : [];
  const bytes = [content.log, ...content.parents, ...chosen].reduce((sum, { length }) => sum + length, 0);
  if (bytes > SELF_CONTAINED_BYTES_MAX) {
    throw new EngineFailure({ message: `With ${formatBytes(bytes)} it is too large for one file: a browser opens ${formatBytes(SELF_CONTAINED_BYTES_MAX)}`, advice: 'leave the images out, or pass on the .cvlog file' });
  }
  return new Blob([...selfContainedPieces(await template(), { ...content, at, images: chosen })], { type: 'text/html' });
}

async function template(): Promise<string> {
  const held = heldHere();
  if (held !== undefined) return held.template;
  const response = await fetch('./standalone.html').catch(() => undefined);
  if (response?.ok !== true) throw new EngineFailure({ message: 'The page for the file could not be loaded', advice: 'check that the server still runs (npm start), then try again' });
  return response.text();
}

async function imageOf({ name, sha256 }: ImageSummary): Promise<Uint8Array> {
  const held = heldImages().find((image) => new Sha256().update(image).digestHex() === sha256);
  if (held !== undefined) return held;
  const response = await fetch(`${serverImageUrl()}${sha256}`).catch(() => undefined);
  if (response?.ok === true) return new Uint8Array(await response.arrayBuffer());
  throw new EngineFailure({ message: `The ${name} of the recording is not here`, advice: 'leave the images out, or start the server with --image FILE' });
}

async function bytesOf(place: LogFile): Promise<Uint8Array> {
  if (place.kind === 'bytes') return place.bytes;
  if (place.kind === 'blob') return new Uint8Array(await place.blob.arrayBuffer());
  const response = await fetch(place.url).catch(() => undefined);
  if (response?.ok !== true) throw new EngineFailure({ message: 'The recording could not be loaded', advice: 'check that the server still runs (npm start), then try again' });
  return new Uint8Array(await response.arrayBuffer());
}

/** The browser's download. */
export function saveFile(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
