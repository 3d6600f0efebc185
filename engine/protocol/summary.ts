/**
 * What a list of recordings or the head of a page says of a log: plain data, so that it can go over HTTP or into a worker's message.
 */
import { BLOCK_IMAGE } from '../log/block.ts';
import { hexOf } from '../log/bytes.ts';
import type { EndReason, KindCounts } from '../log/events.ts';
import type { LogReader } from '../log/reader.ts';

export interface LogSummary {
  readonly id: string;
  /** Version of the program that wrote it. */
  readonly product: string;
  readonly formatVersion: string;
  readonly guest: string;
  readonly commandLine: string;
  readonly memoryBytes: number;
  readonly devices: readonly string[];
  readonly cpuModel: string;
  readonly seed: string;
  /** Of the guest's clock at power-on, ns since 1970-01-01 UTC, decimal. */
  readonly wallClockNs: string;
  /** Bytes of the log. */
  readonly bytes: number;
  readonly lastPosition: number;
  readonly records: number;
  readonly counts: KindCounts;
  /** Undefined for a log that was cut off. */
  readonly end: EndSummary | undefined;
  readonly images: readonly ImageSummary[];
}

export interface EndSummary {
  readonly reason: EndReason;
  readonly detail: string;
  readonly digest: string | undefined;
  readonly virtualNs: number;
}

export interface ImageSummary {
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
  /** The log holds it. */
  readonly embedded: boolean;
}

/** Reads the index, the last event and the heads of image blocks. Throws LogError. */
export function summarize(reader: LogReader, bytes: number): LogSummary {
  const { header } = reader;
  let end: EndSummary | undefined;
  for (const event of reader.events({ kinds: ['end'], from: reader.lastPosition })) {
    if (event.kind === 'end') end = { reason: event.reason, detail: event.detail, digest: event.digest, virtualNs: event.totals?.virtualNs ?? event.position };
  }
  const embedded = new Set<string>();
  for (const block of reader.blocks) if (block.type === BLOCK_IMAGE) embedded.add(hexOf(reader.payload(block).subarray(0, 32)));
  return {
    id: header.id,
    product: header.product,
    formatVersion: `${reader.version.major}.${reader.version.minor}`,
    guest: header.config.guest,
    commandLine: header.config.commandLine,
    memoryBytes: header.config.memoryBytes,
    devices: header.config.devices,
    cpuModel: header.config.cpuModel,
    seed: header.config.seed,
    wallClockNs: header.wallClockNs,
    bytes,
    lastPosition: reader.lastPosition,
    records: reader.records,
    counts: reader.counts,
    end,
    images: header.images.map(({ name, sha256, bytes: size }) => ({ name, sha256, bytes: size, embedded: embedded.has(sha256) })),
  };
}
