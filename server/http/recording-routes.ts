/** Recordings: list, take, give, delete. */
import { rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Bookmark, Bookmarks, bookmarksPath } from '../debugger/bookmarks.ts';
import type { RecordingNote } from '../../engine/protocol/lab.ts';
import { indexPath } from '../store/checkpoints.ts';
import { Notes, notesPath } from '../store/notes.ts';
import { HttpError } from './errors.ts';
import { type Lab, recordingOf } from './lab.ts';
import { BOOKMARK, BOOKMARKS, BRANCHES, CREATED_RECORDING, ID_PARAMS, IMAGE_PARAMS, NAME, NOTE, NOTES, NOTE_QUERY, RECORDING, RECORDINGS, record, shortText } from './schemas.ts';
import { sendFile } from './send-file.ts';
import { takeUpload } from './upload.ts';

const BYTES = 'application/octet-stream';
const tags = ['recordings'];

export function recordingRoutes(server: FastifyInstance, lab: Lab): void {
  const list = async (_request: FastifyRequest, reply: FastifyReply): Promise<object> => {
    void reply.header('cache-control', 'no-store');
    return { recordings: await lab.catalogue.list() };
  };
  const log = async (request: FastifyRequest<{ Params: { id: string } }>, reply: FastifyReply): Promise<FastifyReply> => {
    const { path, readableBytes } = await recordingOf(lab, request.params.id);
    return sendFile(request, reply, { path, type: BYTES, cacheControl: 'no-cache', bytesMax: readableBytes });
  };
  const image = async (request: FastifyRequest<{ Params: { sha256: string } }>, reply: FastifyReply): Promise<FastifyReply> => {
    const path = await lab.images.pathOf(request.params.sha256);
    if (path === undefined) throw new HttpError('HTTP_NO_IMAGE');
    return sendFile(request, reply, { path, type: BYTES, cacheControl: 'private, max-age=31536000, immutable' });
  };

  // The pages of the first version ask here.
  server.get('/api/recordings', list);
  server.get('/api/recordings/:id/log', { schema: { params: ID_PARAMS } }, log);
  server.get('/api/images/:sha256', { schema: { params: IMAGE_PARAMS } }, image);

  server.get('/api/v1/recordings', { schema: { summary: 'All recordings, with what is known of each', tags, response: { 200: RECORDINGS } } }, list);
  server.get<{ Params: { id: string } }>('/api/v1/recordings/:id', { schema: { summary: 'One recording', tags, params: ID_PARAMS, response: { 200: RECORDING } } }, async ({ params }) => (await recordingOf(lab, params.id)).entry);
  server.get('/api/v1/recordings/:id/log', { schema: { summary: 'The log itself, or a range of it; of one that is being written, what is whole', tags, params: ID_PARAMS, produces: BYTES, response: { 200: {}, 206: {} } } }, log);
  server.get('/api/v1/images/:sha256', { schema: { summary: 'A guest image that a recording does not hold', tags, params: IMAGE_PARAMS, produces: BYTES, response: { 200: {}, 206: {} } } }, image);
  server.get('/api/v1/branches', { schema: { summary: 'Recordings as trees: branches under what they go on from', tags, response: { 200: BRANCHES } } }, async () => ({ roots: await lab.catalogue.branches() }));

  server.post<{ Querystring: { name: string } }>(
    '/api/v1/recordings',
    {
      bodyLimit: lab.limits.uploadBytes,
      schema: { summary: 'Takes a recording (.cvlog), however it was cut off; a damaged one is refused', tags, querystring: record({ name: NAME }), consumes: BYTES, response: { 201: CREATED_RECORDING } },
    },
    async (request, reply) => {
      const { writable } = lab;
      if (writable === undefined) throw new HttpError('HTTP_READ_ONLY');
      const { name } = request.query;
      const id = `${writable.name}:${name}`;
      if (!isStream(request.body)) throw new HttpError('HTTP_BAD_REQUEST', { detail: `the body is the recording, as ${BYTES}` });
      if ((await lab.catalogue.find(id)) !== undefined) throw new HttpError('HTTP_NAME_TAKEN');
      // If it is refused, the rest of it is not waited for.
      void reply.header('connection', 'close');
      await takeUpload(request.body, { folder: writable.path, name, bytesMax: lab.limits.uploadBytes, silenceMs: lab.limits.bodyMs, lookClosely: (path) => lab.pool.look(path) });
      return reply.code(201).send({ recording: (await recordingOf(lab, id)).entry });
    },
  );

  server.delete<{ Params: { id: string }; Querystring: { confirm?: string } }>(
    '/api/v1/recordings/:id',
    {
      schema: {
        summary: 'Deletes a recording with its index, its marks and its notes', description: 'The id must be given again, as X-Confirm (percent-encoded) or confirm', tags, params: ID_PARAMS, querystring: record({ confirm: shortText(300) }, 'all'),
        headers: { type: 'object', properties: { 'x-confirm': shortText(900) } }, response: { 204: {} },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { path, entry } = await recordingOf(lab, id);
      const header = request.headers['x-confirm'];
      const confirmed = typeof header === 'string' ? decoded(header) : request.query.confirm;
      if (confirmed !== id) throw new HttpError('HTTP_NOT_CONFIRMED');
      if (!entry.isWritable) throw new HttpError('HTTP_READ_ONLY');
      if (entry.state === 'recording') throw new HttpError('HTTP_IN_USE', { detail: 'it is being written' });
      const children = (await lab.catalogue.list()).filter(({ parent, id: other }) => parent?.logId === entry.summary?.id && parent !== undefined && other !== id);
      const copies = (await lab.catalogue.list()).filter(({ summary, id: other }) => summary?.id === entry.summary?.id && summary !== undefined && other !== id);
      if (children.length > 0 && copies.length === 0) throw new HttpError('HTTP_IN_USE', { detail: `${children.map((child) => child.id).join(', ')} ${children.length === 1 ? 'goes' : 'go'} on from it` });
      await Promise.all([lab.jobs.forget(path), lab.pool.forget(path)]);
      for (const file of [path, indexPath(path), bookmarksPath(path), notesPath(path)]) await rm(file, { force: true });
      return reply.code(204).send();
    },
  );
}

/** Marks that people set, beside the recording: those of the debugger (`chronovisor debug`). */
export function bookmarkRoutes(server: FastifyInstance, lab: Lab): void {
  const url = '/api/v1/recordings/:id/bookmarks';
  const opened = async (id: string, isToWrite: boolean): Promise<Bookmarks> => {
    const { path, entry } = await recordingOf(lab, id);
    if (isToWrite && !entry.isWritable) throw new HttpError('HTTP_READ_ONLY');
    if (entry.summary === undefined) throw new HttpError('HTTP_NOT_A_LOG', { detail: entry.problem?.message ?? '' });
    return new Bookmarks(path, entry.summary.id);
  };
  const answer = ({ list, problem }: Bookmarks): object => ({ bookmarks: list, ...(problem !== undefined && { problem: 'the file of bookmarks was not usable; a new one replaces it' }) });
  const response = { 200: BOOKMARKS };
  server.get<{ Params: { id: string } }>(url, { schema: { summary: 'Its bookmarks', tags, params: ID_PARAMS, response } }, async ({ params }) => answer(await opened(params.id, false)));
  server.put<{ Params: { id: string }; Body: Bookmark }>(url, { schema: { summary: 'Sets a bookmark, in place of one of this name', tags, params: ID_PARAMS, body: BOOKMARK, response } }, async ({ params, body }) => {
    const bookmarks = await opened(params.id, true);
    bookmarks.set(body.name, body.position);
    return answer(bookmarks);
  });
  const one = { summary: 'Removes a bookmark', tags, params: ID_PARAMS, querystring: record({ name: shortText(100) }), response };
  server.delete<{ Params: { id: string }; Querystring: { name: string } }>(url, { schema: one }, async ({ params, query }) => {
    const bookmarks = await opened(params.id, true);
    if (!bookmarks.delete(query.name)) throw new HttpError('HTTP_NOT_FOUND', { detail: `no bookmark "${query.name}"` });
    return answer(bookmarks);
  });
}

/** Notes that people write, beside the recording. Each request reads the file anew, so the last one to arrive wins, note by note. */
export function noteRoutes(server: FastifyInstance, lab: Lab): void {
  const url = '/api/v1/recordings/:id/notes';
  const opened = async (id: string, isToWrite: boolean): Promise<{ readonly notes: Notes; readonly isWritable: boolean }> => {
    const { path, entry } = await recordingOf(lab, id);
    if (isToWrite && !entry.isWritable) throw new HttpError('HTTP_READ_ONLY');
    if (entry.summary === undefined) throw new HttpError('HTTP_NOT_A_LOG', { detail: entry.problem?.message ?? '' });
    return { notes: new Notes(path, entry.summary.id), isWritable: entry.isWritable };
  };
  const answer = ({ notes, isWritable }: Awaited<ReturnType<typeof opened>>): object => ({ notes: notes.list, isWritable, ...(notes.problem !== undefined && { problem: 'some of the notes were not usable' }) });
  const response = { 200: NOTES };
  server.get<{ Params: { id: string } }>(url, { schema: { summary: 'Its notes', tags, params: ID_PARAMS, response } }, async ({ params }) => answer(await opened(params.id, false)));
  server.put<{ Params: { id: string }; Body: Omit<RecordingNote, 'changedMs'> }>(url, { schema: { summary: 'Keeps a note, in place of one with this id', tags, params: ID_PARAMS, body: NOTE, response } }, async ({ params, body }) => {
    const kept = await opened(params.id, true);
    if (!kept.notes.set({ ...body, changedMs: Date.now() })) throw new HttpError('HTTP_NOTES_FULL');
    return answer(kept);
  });
  const one = { summary: 'Removes a note', tags, params: ID_PARAMS, querystring: NOTE_QUERY, response };
  server.delete<{ Params: { id: string }; Querystring: { id: string } }>(url, { schema: one }, async ({ params, query }) => {
    const kept = await opened(params.id, true);
    if (!kept.notes.delete(query.id)) throw new HttpError('HTTP_NOT_FOUND', { detail: `no note "${query.id}"` });
    return answer(kept);
  });
}

function isStream(body: unknown): body is Readable {
  return typeof body === 'object' && body !== null && 'pipe' in body;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
