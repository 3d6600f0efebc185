/** A recording that is sent: streamed into a draft beside the others, looked at, and only then given its name. */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Look, look } from '../runs/look.ts';
import { LOG_SUFFIX } from '../runs/runs.ts';
import { HttpError } from './errors.ts';

export interface UploadOptions {
  readonly folder: string;
  readonly name: string;
  readonly bytesMax: number;
  /** Longest time between two pieces. */
  readonly silenceMs: number;
  readonly lookClosely: (path: string) => Promise<Look>;
}

/** Throws HttpError; then nothing is left behind. */
export async function takeUpload(body: Readable, { folder, name, bytesMax, silenceMs, lookClosely }: UploadOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  // No listing shows it: its name does not end as those of recordings do.
  const draft = join(folder, `.${randomUUID()}.part`);
  try {
    await write(body, draft, bytesMax, silenceMs);
    // A log that was cut off will do; one that is damaged, or no log, will not.
    const found = look(draft, undefined) ?? (await lookClosely(draft));
    if (found.kind === 'unusable') throw new HttpError('HTTP_NOT_A_LOG', { detail: found.problem.message });
    // A link, because it fails if the name is taken, and a rename would not.
    await link(draft, join(folder, `${name}${LOG_SUFFIX}`)).catch((error: unknown) => {
      throw error instanceof Error && 'code' in error && error.code === 'EEXIST' ? new HttpError('HTTP_NAME_TAKEN', { cause: error }) : error;
    });
  } finally {
    await rm(draft, { force: true });
  }
}

/** By hand, because whatever else would end the request with the connection, and nobody would be told why. */
function write(body: Readable, draft: string, bytesMax: number, silenceMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const out = createWriteStream(draft, { flags: 'wx', mode: 0o644 });
    let bytes = 0;
    let isOver = false;
    const end = (error: unknown): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      body.off('data', take);
      body.pause();
      out.once('close', () => (error === undefined ? resolve() : reject(error)));
      if (error === undefined) out.end();
      else out.destroy();
    };
    const timer = setTimeout(() => end(new HttpError('HTTP_SLOW')), silenceMs);
    const take = (chunk: Buffer): void => {
      timer.refresh();
      bytes += chunk.length;
      if (bytes > bytesMax) end(new HttpError('HTTP_TOO_LARGE', { detail: `more than ${bytesMax} bytes` }));
      else if (!out.write(chunk)) {
        body.pause();
        out.once('drain', () => isOver || body.resume());
      }
    };
    out.once('error', end);
    body.on('data', take);
    body.once('end', () => end(undefined));
    body.once('error', end);
    body.once('close', () => end(new HttpError('HTTP_BAD_REQUEST', { detail: 'the connection ended before the recording' })));
  });
}
