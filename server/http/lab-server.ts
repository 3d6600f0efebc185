/**
 * The lab's server, put together: recordings, images and pages, read only. It keeps nothing; files in folders are the store.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { Catalogue, type RecordingFolder } from './catalogue.ts';
import { HTTP_ERRORS, HttpError } from './errors.ts';
import { SECURITY_HEADERS, guard } from './guard.ts';
import { type ImagePlaces, Images } from './images.ts';
import { Pages } from './pages.ts';
import { parseRange } from './range.ts';

export interface LabServerOptions {
  readonly version: string;
  readonly folders: readonly RecordingFolder[];
  readonly images?: ImagePlaces;
  /** The built pages. */
  readonly uiFolder: string;
}

const ID_PARAMS = { type: 'object', required: ['id'], properties: { id: { type: 'string', minLength: 1, maxLength: 300 } } } as const;
const IMAGE_PARAMS = { type: 'object', required: ['sha256'], properties: { sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' } } } as const;

export function createLabServer(options: LabServerOptions): FastifyInstance {
  const catalogue = new Catalogue(options.folders);
  const images = new Images(options.images ?? { guests: undefined, files: [] });
  const pages = new Pages(options.uiFolder);
  const server = Fastify({ logger: false, bodyLimit: 4096, requestTimeout: 30_000, forceCloseConnections: true, routerOptions: { maxParamLength: 300 } });

  server.addHook('onRequest', async (request, reply) => {
    void reply.headers(SECURITY_HEADERS);
    guard(request.headers, request.url.startsWith('/api/'));
  });
  server.setErrorHandler((error: unknown, _request, reply) => refuse(reply, error));
  server.setNotFoundHandler((_request, reply) => refuse(reply, new HttpError('HTTP_NOT_FOUND')));

  server.get('/api/health', () => ({ status: 'ok', product: 'chronovisor', version: options.version }));
  server.get('/api/recordings', async (_request, reply) => {
    void reply.header('cache-control', 'no-store');
    return { recordings: await catalogue.list() };
  });
  server.get<{ Params: { id: string } }>('/api/recordings/:id/log', { schema: { params: ID_PARAMS } }, async (request, reply) => {
    const path = await catalogue.pathOf(request.params.id);
    if (path === undefined) throw new HttpError('HTTP_NO_RECORDING');
    return sendFile(request, reply, path, 'application/octet-stream', 'no-cache');
  });
  server.get<{ Params: { sha256: string } }>('/api/images/:sha256', { schema: { params: IMAGE_PARAMS } }, async (request, reply) => {
    const path = await images.pathOf(request.params.sha256);
    if (path === undefined) throw new HttpError('HTTP_NO_IMAGE');
    return sendFile(request, reply, path, 'application/octet-stream', 'private, max-age=31536000, immutable');
  });
  server.get('/*', async (request, reply) => {
    const url = request.url.split('?', 1)[0];
    const page = await pages.pageOf(url);
    if (page === undefined) throw new HttpError(url === '/' ? 'HTTP_UI_NOT_BUILT' : 'HTTP_NOT_FOUND');
    return sendFile(request, reply, page.path, page.type, page.immutable ? 'public, max-age=31536000, immutable' : 'no-cache');
  });
  return server;
}

/** Sends a file, or the range of it that was asked for. `path` is from a listing. */
async function sendFile(request: FastifyRequest, reply: FastifyReply, path: string, type: string, cacheControl: string): Promise<FastifyReply> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new HttpError('HTTP_NOT_FOUND', { cause: error });
  });
  try {
    const { size, mtimeMs } = await file.stat();
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

function refuse(reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof HttpError) return reply.code(error.statusCode).type('application/json').send({ code: error.code, message: error.message, advice: error.advice });
  // What Fastify itself refuses: a schema, a size, a header.
  if (error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode < 500) {
    const { message, advice } = HTTP_ERRORS.HTTP_NOT_FOUND;
    return reply.code(error.statusCode).type('application/json').send({ code: 'HTTP_NOT_FOUND', message: `${message}: ${error.message}`, advice });
  }
  console.error(error);
  const { message, advice, status } = HTTP_ERRORS.HTTP_INTERNAL;
  return reply.code(status).type('application/json').send({ code: 'HTTP_INTERNAL', message, advice });
}
