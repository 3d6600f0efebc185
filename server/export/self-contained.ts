/** A recording as one HTML file that opens from disk and replays: the built page with log, parents, images and marks in it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LogReader } from '../../engine/log/reader.ts';
import { SELF_CONTAINED_BYTES_MAX, type SelfContainedNote, selfContainedPieces } from '../../engine/protocol/self-contained.ts';
import { StoreError } from '../store/errors.ts';
import { readImage } from '../store/files.ts';
import { type ImagePlaces, findImages } from '../store/guest-images.ts';
import { ownPackage } from '../store/package-root.ts';

export interface SelfContainedOptions {
  readonly reader: LogReader;
  /** The log, and those that it goes on from, root first. */
  readonly paths: readonly string[];
  readonly places: ImagePlaces;
  readonly notes: readonly SelfContainedNote[];
  /** Images that the logs do not hold: put in, left out, or refused because nobody has said. */
  readonly images: 'with' | 'without' | undefined;
}

/** Throws StoreError. */
export function* selfContainedFile({ reader, paths, places, notes, images }: SelfContainedOptions): Generator<Uint8Array> {
  const page = join(ownPackage().root, 'dist/ui/standalone.html');
  if (!existsSync(page)) throw new StoreError('page-missing', { file: page });
  const found = findImages(reader, places).filter(({ place }) => place?.kind !== 'embedded');
  const list = found.map(({ reference: { name, bytes, sha256 } }) => `  ${name}, ${bytes} bytes, SHA-256 ${sha256}`).join('\n');
  if (found.length > 0 && images === undefined) throw new StoreError('images-not-chosen', { list });
  const chosen = images === 'with' ? found : [];
  if (chosen.some(({ place }) => place === undefined)) throw new StoreError('images-missing', { list, options: found.map(({ reference }) => `--${reference.name} FILE`).join(', '), hint: '' });
  const logs = paths.map((path) => new Uint8Array(readFileSync(path)));
  const log = logs[logs.length - 1];
  const bytes = [...logs.map(({ length }) => length), ...chosen.map(({ reference }) => reference.bytes)].reduce((sum, each) => sum + each, 0);
  if (bytes > SELF_CONTAINED_BYTES_MAX) throw new StoreError('too-large-for-page', { bytes: String(bytes), most: String(SELF_CONTAINED_BYTES_MAX) });
  const path = paths[paths.length - 1];
  const encoder = new TextEncoder();
  const content = {
    name: path.replace(/^.*[\\/]/, ''), notes, log, parents: logs.slice(0, -1).reverse(),
    images: chosen.map(({ reference, place }) => readImage(place?.kind === 'file' ? place.path : '', `the ${reference.name} of the recording`)),
  }; // prettier-ignore
  for (const piece of selfContainedPieces(readFileSync(page, 'utf8'), content)) yield encoder.encode(piece);
}
