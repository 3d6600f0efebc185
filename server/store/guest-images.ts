/**
 * From the name of a guest to its images, and from the hashes in a recording back to them.
 *
 *     record:  "lab", "linux", ... or --kernel FILE ──► openNamedGuest ──► NamedGuest
 *     replay:  hash ──► embedded in the log ──► given by option ──► --images FOLDER ──► lab images ──► guest store
 *
 * Whatever the way, what is handed out has the hash that was asked for.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageName, RunImages } from '../../engine/recording/recipe.ts';
import type { BlockBacking } from '../../engine/devices/virtio-block/virtio-block.ts';
import type { ImageReference } from '../../engine/log/header.ts';
import { LogError } from '../../engine/log/errors.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { guestsFolder, listGuests, openGuest, readGuestImage } from '../guests/store.ts';
import { StoreError, fileError } from './errors.ts';
import { FileSource, readImage } from './files.ts';
import { newHostHash } from './host-hash.ts';
import { FETCHABLE } from './guest-list.ts';
import { labImages, readLabImage } from './lab-guests.ts';
import { nearest } from './suggest.ts';

export interface NamedGuest {
  readonly name: string;
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array | undefined;
  readonly commandLine: string;
  readonly memoryBytes: number;
  /** It finds virtio devices by its command line rather than by ACPI. */
  readonly isLab: boolean;
  /** It boots under this regime only. */
  readonly regime?: 'para' | undefined;
}

/** Throws StoreError, GuestError. */
export async function openNamedGuest(name: string): Promise<NamedGuest> {
  const lab = labImages();
  const image = lab.find((each) => each.name === name);
  if (image !== undefined) {
    return { name, kernel: readLabImage(image), initrd: undefined, commandLine: image.commandLine, memoryBytes: image.memoryBytes, isLab: true, regime: image.regime };
  }
  const stored = await listGuests();
  const fetchable = Object.keys(FETCHABLE);
  if (!stored.includes(name) && !fetchable.includes(name)) {
    const known = [...new Set([...lab.map((each) => each.name), ...fetchable, ...stored])];
    const near = nearest(name, known);
    throw new StoreError('guest-unknown', { name, known: known.join(', '), suggestion: near === undefined ? '' : ` (did you mean "${near}"?)` });
  }
  const guest = await openGuest(name);
  return {
    name,
    kernel: await readGuestImage(guest, guest.guest.kernel),
    initrd: await readGuestImage(guest, guest.guest.initrd),
    commandLine: guest.guest.commandLine,
    memoryBytes: guest.guest.memoryBytes,
    isLab: false,
  };
}

/** Where a person says the images of a recording are. */
export interface ImagePlaces {
  readonly kernel?: string | undefined;
  readonly initrd?: string | undefined;
  readonly disk?: string | undefined;
  /** A folder that has them under any name. */
  readonly folder?: string | undefined;
}

export interface FoundImage {
  readonly reference: ImageReference;
  /** Undefined if it is nowhere. */
  readonly place: ImagePlace | undefined;
}
export type ImagePlace = { readonly kind: 'embedded' } | { readonly kind: 'file'; readonly path: string };

/** Looks for every image of a recording. Throws StoreError for a file that was given and is not the right one. */
export function findImages(reader: LogReader, places: ImagePlaces): readonly FoundImage[] {
  const candidates = candidatesIn(places.folder);
  return reader.header.images.map((reference) => ({ reference, place: findImage(reader, reference, places, candidates) }));
}

/**
 * All images of a recording, ready for the machine. Throws StoreError if one is missing. A kernel or initrd that was not given is read and hashed when it is first asked for, since who
 * opens a recording at a checkpoint needs neither: a file of its size counts until then, and that may throw StoreError, too.
 */
export function openImages(reader: LogReader, places: ImagePlaces): RunImages {
  const candidates = candidatesIn(places.folder);
  const found = reader.header.images.map((reference) => {
    const isLater = reference.name !== 'disk' && isFileSomewhere(reader, reference, places, candidates);
    return { reference, isLater, place: isLater ? undefined : findImage(reader, reference, places, candidates) };
  });
  const missing = found.filter(({ place, isLater }) => place === undefined && !isLater).map(({ reference }) => reference);
  if (missing.length > 0) throw missingError(reader, missing);
  const read = (name: ImageName): Uint8Array | undefined => {
    const image = found.find(({ reference }) => reference.name === name);
    if (image === undefined) return undefined;
    const { reference, isLater } = image;
    const place = isLater ? findImage(reader, reference, places, candidates) : image.place;
    if (place === undefined) throw missingError(reader, [reference]);
    return place.kind === 'embedded' ? reader.image(reference.sha256) : readImage(place.path, `the ${name} of the recording`);
  };
  const disk = found.find(({ reference }) => reference.name === 'disk');
  const known: { kernel?: Uint8Array; initrd?: Uint8Array | undefined } = {};
  return {
    get kernel() {
      return (known.kernel ??= read('kernel') ?? new Uint8Array(0));
    },
    get initrd() {
      return (known.initrd ??= read('initrd'));
    },
    disk: disk?.place?.kind === 'file' ? openDisk(disk.place.path) : undefined,
  };
}

function missingError(reader: LogReader, missing: readonly ImageReference[]): StoreError {
  const { guest } = reader.header.config;
  return new StoreError('images-missing', {
    list: missing.map(({ name, sha256, bytes }) => `  ${name}, ${bytes} bytes, SHA-256 ${sha256}`).join('\n'),
    options: missing.map(({ name }) => `--${name} FILE`).join(', '),
    hint: (guest === 'linux' || guest === 'linux-full') && missing.some(({ name }) => name !== 'disk') ? `; the recording is of the guest "${guest}": \`chronovisor guest fetch ${guest}\`` : '',
  });
}

/** The base image of a disk. Throws StoreError. */
export function openDisk(path: string): BlockBacking {
  return new FileSource(path, '--disk');
}

interface Candidate {
  readonly path: string;
  readonly bytes: number;
  /** Undefined: to be computed. */
  readonly sha256: string | undefined;
}

function isCandidate(candidate: Candidate, { bytes, sha256 }: ImageReference): boolean {
  return candidate.bytes === bytes && (candidate.sha256 === undefined || candidate.sha256 === sha256);
}
/** Neither given nor in the log, and there is a file that may be it. */
function isFileSomewhere(reader: LogReader, reference: ImageReference, places: ImagePlaces, candidates: readonly Candidate[]): boolean {
  const isGiven = (reference.name === 'kernel' || reference.name === 'initrd' || reference.name === 'disk') && places[reference.name] !== undefined;
  return !isGiven && candidates.some((candidate) => isCandidate(candidate, reference)) && !hasEmbedded(reader, reference.sha256);
}

function findImage(reader: LogReader, reference: ImageReference, places: ImagePlaces, candidates: readonly Candidate[]): ImagePlace | undefined {
  const given = reference.name === 'kernel' || reference.name === 'initrd' || reference.name === 'disk' ? places[reference.name] : undefined;
  if (given !== undefined) {
    const actual = hashFile(given, `--${reference.name}`);
    if (actual !== reference.sha256) throw new StoreError('image-mismatch', { file: given, image: reference.name, actual, expected: reference.sha256 });
    return { kind: 'file', path: given };
  }
  if (hasEmbedded(reader, reference.sha256)) return { kind: 'embedded' };
  for (const candidate of candidates) {
    if (!isCandidate(candidate, reference)) continue;
    if (hashFile(candidate.path, candidate.path) === reference.sha256) return { kind: 'file', path: candidate.path };
  }
  return undefined;
}

/** A torn log may have lost a part of an image; then it counts as absent. */
function hasEmbedded(reader: LogReader, sha256: string): boolean {
  try {
    return reader.image(sha256) !== undefined;
  } catch (error) {
    if (error instanceof LogError && error.code === 'LOG_IMAGE_INCOMPLETE') return false;
    throw error;
  }
}

/** Files that may be images, in order of preference: those of the folder that was given, the lab's, those of the guest store. */
function candidatesIn(folder: string | undefined): readonly Candidate[] {
  const candidates: Candidate[] = [];
  if (folder !== undefined) {
    for (const path of filesOf(folder, true)) candidates.push({ path, bytes: statSync(path).size, sha256: undefined });
  }
  for (const { path, bytes, sha256 } of labImages()) candidates.push({ path, bytes, sha256 });
  for (const path of filesOf(guestsFolder(), false)) candidates.push({ path, bytes: statSync(path).size, sha256: undefined });
  return candidates;
}

/** Plain files of a folder, and of the folders in it. */
function filesOf(folder: string, isGiven: boolean, depth = 1): readonly string[] {
  const files: string[] = [];
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isFile()) files.push(path);
      else if (entry.isDirectory() && depth > 0) files.push(...filesOf(path, false, depth - 1));
    }
  } catch (error) {
    if (isGiven) throw fileError(error, 'read', folder, '--images');
  }
  return files.sort();
}

const HASH_CHUNK_BYTES = 1 << 20;

function hashFile(path: string, what: string): string {
  const source = new FileSource(path, what);
  try {
    const hash = newHostHash();
    for (let at = 0; at < source.length; at += HASH_CHUNK_BYTES) hash.update(source.read(at, Math.min(HASH_CHUNK_BYTES, source.length - at)));
    return hash.digestHex();
  } finally {
    source.close();
  }
}
