/** Sends a file, or the range of it that was asked for. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';
import { parseRange } from './range.ts';

export interface SentFile {
  /** From a listing. */
  readonly path: string;
  readonly type: string;
  readonly cacheControl: string;
  /** Of it, no more than these. */
  readonly bytesMax?: number | undefined;
}

export async function sendFile(request: FastifyRequest, reply: FastifyReply, { path, type, cacheControl, bytesMax }: SentFile): Promise<FastifyReply> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new HttpError('HTTP_NOT_FOUND', { cause: error });
  });
  try {
    const { size: fileBytes, mtimeMs } = await file.stat();
    const size = Math.min(fileBytes, bytesMax ?? Infinity);
    const tag = `"${size.toString(36)}-${Math.floor(mtimeMs).toString(36)}"`;
    void reply.headers({ 'content-type': type, 'cache-control': cacheControl, 'accept-ranges': 'bytes', etag: tag });
    if (request.headers['if-none-match'] === tag) return await reply.code(304).send();
    const condition = request.headers['if-range'];
    const range = condition === undefined || condition === tag ? parseRange(request.headers.range, size) : { kind: 'whole' as const };
    if (range.kind === 'outside') {
      void reply.header('content-range', `bytes */${size}`);
      throw new HttpError('HTTP_BAD_RANGE');
    }
    const first = range.kind === 'part' ? range.first : 0;
    const last = range.kind === 'part' ? range.last : size - 1;
    void reply.header('content-length', last - first + 1);
    if (range.kind === 'part') void reply.code(206).header('content-range', `bytes ${first}-${last}/${size}`);
    // With an empty stream Fastify leaves the length as it is; without a payload it would be 0.
    if (request.method === 'HEAD' || size === 0) return await reply.send(Readable.from([]));
    // By path again, because a stream closes its own descriptor in every case. `size` bounds it if the file grows meanwhile.
    return await reply.send(createReadStream(path, { start: first, end: last }));
  } finally {
    await file.close();
  }
}
