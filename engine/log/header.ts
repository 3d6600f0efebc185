/**
 * The file header: FORMAT.md, section 1.
 */
import { assert } from './assert.ts';
import { BLOCK_BYTES_MAX, BLOCK_BYTES_MIN } from './block.ts';
import { textOf, utf8Of, viewOf } from './bytes.ts';
import { canonicalJson } from './canonical-json.ts';
import type { JsonObject } from './canonical-json.ts';
import { crc32c } from './crc32c.ts';
import { LogError } from './errors.ts';
import type { Position } from './position.ts';
import type { ByteSource } from './storage.ts';

export const FORMAT_MAJOR = 1;
export const FORMAT_MINOR = 3;
export const LOG_MAGIC: readonly number[] = [0x89, 0x43, 0x56, 0x4c, 0x4f, 0x47, 0x0d, 0x0a];
export const HEADER_FIXED_BYTES = 20;
export const HEADER_JSON_BYTES_MAX = 1_048_576;

/** All that the machine is built from, besides images and inputs. */
export interface LogConfiguration {
  readonly guest: string;
  readonly memoryBytes: number;
  readonly regime: string;
  readonly seed: string;
  readonly tscHz: number;
  readonly commandLine: string;
  /** In bus order. */
  readonly devices: readonly string[];
  readonly cpuModel: string;
  /** Instructions between dirty records; 0: none. */
  readonly epochInstructions: number;
  /** Instructions between digests; 0: none. */
  readonly digestInstructions: number;
  /** What later machines need. */
  readonly options: JsonObject;
}

/** An image is identified by its hash; it may be embedded in image blocks. */
export interface ImageReference {
  readonly name: string;
  /** 64 lower-case hex digits */
  readonly sha256: string;
  readonly bytes: number;
}

export interface LogParent {
  readonly logId: string;
  readonly position: Position;
  /** Records of that log, its own from 0, that come before the branch. */
  readonly records?: number;
}

export interface LogHeader {
  /** Identity of the log; branches refer to it. The engine has no randomness, so it is handed in. */
  readonly id: string;
  /** Product version, for people. */
  readonly product: string;
  /** Largest block, bytes. */
  readonly blockBytes: number;
  /** Past behaviours of the machine that a replay must repeat. */
  readonly quirks: readonly string[];
  /** Wall clock at power-on, ns since 1970-01-01 UTC, decimal. */
  readonly wallClockNs: string;
  readonly config: LogConfiguration;
  readonly images: readonly ImageReference[];
  readonly parent?: LogParent;
}

export interface ParsedHeader {
  readonly header: LogHeader;
  readonly major: number;
  readonly minor: number;
  /** Where the first block begins. */
  readonly endOffset: number;
}

export function encodeHeader(header: LogHeader): Uint8Array {
  const json: JsonObject = { ...header, config: { ...header.config }, images: header.images.map((image) => ({ ...image })), parent: header.parent && { ...header.parent } };
  const wrong = wrongField(json);
  assert(wrong === undefined, `header field ${wrong}`);
  const text = utf8Of(canonicalJson(json));
  assert(text.length <= HEADER_JSON_BYTES_MAX, `the header is longer than ${HEADER_JSON_BYTES_MAX} bytes`);
  const bytes = new Uint8Array(HEADER_FIXED_BYTES + text.length);
  const view = viewOf(bytes);
  bytes.set(LOG_MAGIC);
  view.setUint16(8, FORMAT_MAJOR, true);
  view.setUint16(10, FORMAT_MINOR, true);
  view.setUint32(12, text.length, true);
  bytes.set(text, HEADER_FIXED_BYTES);
  view.setUint32(16, headerCrc(bytes), true);
  return bytes;
}

/** Throws LogError. */
export function parseHeader(source: ByteSource): ParsedHeader {
  const available = Math.min(source.length, HEADER_FIXED_BYTES);
  const fixed = source.read(0, available);
  const isMagic = LOG_MAGIC.every((byte, i) => i >= available || fixed[i] === byte);
  if (!isMagic) throw new LogError('LOG_NOT_A_LOG', 0, LOG_MAGIC.length, 'the magic is missing');
  if (available < HEADER_FIXED_BYTES) throw new LogError('LOG_HEADER_DAMAGED', 0, source.length, `the file has ${source.length} bytes`);
  const jsonBytes = viewOf(fixed).getUint32(12, true);
  const endOffset = HEADER_FIXED_BYTES + jsonBytes;
  if (jsonBytes > HEADER_JSON_BYTES_MAX || endOffset > source.length) {
    throw new LogError('LOG_HEADER_DAMAGED', 0, source.length, `a header of ${endOffset} bytes in a file of ${source.length}`);
  }
  // A copy, because sources may reuse what they return.
  const bytes = source.read(0, endOffset).slice();
  const view = viewOf(bytes);
  const damaged = (detail: string): LogError => new LogError('LOG_HEADER_DAMAGED', 0, endOffset, detail);
  if (view.getUint32(16, true) !== headerCrc(bytes)) throw damaged('the CRC is wrong');
  const major = view.getUint16(8, true);
  const minor = view.getUint16(10, true);
  if (major > FORMAT_MAJOR) throw new LogError('LOG_NEWER_VERSION', 8, 4, `format ${major}.${minor}, this program reads up to ${FORMAT_MAJOR}`);
  let json: unknown;
  try {
    json = JSON.parse(textOf(bytes.subarray(HEADER_FIXED_BYTES)) ?? '');
  } catch (error) {
    throw new LogError('LOG_HEADER_DAMAGED', 0, endOffset, 'the JSON cannot be parsed', { cause: error });
  }
  const wrong = wrongField(json);
  if (wrong !== undefined) throw damaged(`field ${wrong}`);
  return { header: json as LogHeader, major, minor, endOffset };
}

function headerCrc(bytes: Uint8Array): number {
  return crc32c(bytes, HEADER_FIXED_BYTES, bytes.length, crc32c(bytes, 0, 16));
}

/** Name of the first field that is not as FORMAT.md says. The one place where header JSON is narrowed. */
function wrongField(json: unknown): string | undefined {
  if (!isRecord(json)) return 'of the whole';
  const { config, images, parent } = json;
  if (!isText(json.id) || json.id === '') return 'id';
  if (!isText(json.product)) return 'product';
  if (!isCount(json.blockBytes) || json.blockBytes < BLOCK_BYTES_MIN || json.blockBytes > BLOCK_BYTES_MAX) return 'blockBytes';
  if (!isTexts(json.quirks)) return 'quirks';
  if (!isText(json.wallClockNs) || !/^\d{1,20}$/.test(json.wallClockNs)) return 'wallClockNs';
  if (!isRecord(config)) return 'config';
  for (const field of ['guest', 'regime', 'seed', 'commandLine', 'cpuModel']) if (!isText(config[field])) return `config.${field}`;
  for (const field of ['memoryBytes', 'tscHz', 'epochInstructions', 'digestInstructions']) if (!isCount(config[field])) return `config.${field}`;
  if (!isTexts(config.devices)) return 'config.devices';
  if (!isRecord(config.options)) return 'config.options';
  if (!Array.isArray(images)) return 'images';
  for (const image of images as readonly unknown[]) {
    if (!isRecord(image) || !isText(image.name) || !isText(image.sha256) || !/^[0-9a-f]{64}$/.test(image.sha256) || !isCount(image.bytes)) return 'images';
  }
  if (parent !== undefined && !(isRecord(parent) && isText(parent.logId) && isCount(parent.position) && (parent.records === undefined || isCount(parent.records)))) return 'parent';
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
