/** Questions about one recording: events, pyramids, console, reports, state. All are answered by its threads. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { LOG_KINDS, type LogKind } from '../../engine/log/events.ts';
import type { EventFilter, MemoryRange } from '../../engine/protocol/lab.ts';
import type { OptionValue } from '../../engine/regimes/regime.ts';
import { CONSOLE_ANSWER_BYTES, type DirtyArgs, type EventsArgs, type EventsPiece, type MigrationArgs } from '../runs/log-operations.ts';
import { HttpError } from './errors.ts';
import { type Lab, ask, recordingOf } from './lab.ts';
import {
  COMPARISON, COMPARISON_QUERY, CONSOLE_QUERY, DIRTY, DIRTY_QUERY, EVENTS_QUERY, ID_PARAMS, MARKS, MIGRATION, MIGRATION_REQUEST, PROFILE, PROFILE_QUERY, PYRAMID_QUERY, STATE_ANSWER, STATE_QUERY, WRITES,
  WRITES_QUERY,
} from './schemas.ts'; // prettier-ignore

export const COLUMNS_TYPE = 'application/vnd.chronovisor.columns';
const NDJSON_TYPE = 'application/x-ndjson';
const BUCKETS = 1000;
const LIMIT = 100_000;
const tags = ['questions'];
const NO_STORE = { 'cache-control': 'no-store' };

interface Of<Query> {
  readonly Params: { readonly id: string };
  readonly Querystring: Query;
}
interface EventsQuery {
  readonly from?: number;
  readonly to?: number;
  readonly record?: number;
  readonly limit?: number;
  readonly kinds?: string;
  readonly reasons?: string;
  readonly port?: number;
  readonly vector?: number;
  readonly match?: string;
  readonly format?: 'columns' | 'ndjson';
}

export function questionRoutes(server: FastifyInstance, lab: Lab): void {
  const json = (reply: FastifyReply, text: unknown): FastifyReply => reply.headers(NO_STORE).type('application/json').send(text as string);
  const at = (path: string): string => `/api/v1/recordings/:id/${path}`;

  server.get<Of<EventsQuery>>(
    at('events'),
    {
      schema: {
        summary: 'Events by range and filter, in a stream',
        description: `format=columns: batches of typed arrays, each with its length before it (engine/protocol/event-batches.ts); ndjson: a JSON object a line, as \`chronovisor events --json\`. ${LIMIT} events unless told`,
        tags, params: ID_PARAMS, querystring: EVENTS_QUERY, produces: COLUMNS_TYPE, response: { 200: {} },
      },
    },
    async (request, reply) => {
      const { query } = request;
      const { path, version, readableBytes } = await recordingOf(lab, request.params.id);
      const format = query.format ?? (request.headers.accept?.includes(NDJSON_TYPE) === true ? 'ndjson' : 'columns');
      const args: EventsArgs = { from: query.from ?? 0, to: query.to ?? Infinity, record: query.record ?? 0, rowsMax: query.limit ?? LIMIT, filter: filterOf(query), format, readableBytes };
      const piece = async (record: number, rowsMax: number): Promise<EventsPiece> => (await lab.pool.call('log', path, version, 'events', { ...args, record, rowsMax }, { timeoutMs: lab.limits.questionMs })) as EventsPiece;
      // The first is waited for, so that what is wrong has a status.
      const first = await piece(args.record, args.rowsMax);
      void reply.headers({ ...NO_STORE, 'content-type': format === 'columns' ? COLUMNS_TYPE : NDJSON_TYPE });
      return reply.send(Readable.from(pieces(first, args.rowsMax, piece), { objectMode: false }));
    },
  );

  server.get<Of<{ readonly from?: number; readonly to?: number; readonly buckets?: number; readonly tracks?: string }>>(
    at('pyramid'),
    {
      schema: {
        summary: 'What happens per bucket of positions, at any zoom',
        description: `Columns of f64 by track; meta has shift (a bucket is 2^shift instructions), first and count (engine/protocol/columns.ts, engine/analysis/pyramid). ${BUCKETS} buckets unless told`,
        tags, params: ID_PARAMS, querystring: PYRAMID_QUERY, produces: COLUMNS_TYPE, response: { 200: {} },
      },
    },
    async ({ params, query }, reply) => {
      const { entry } = await recordingOf(lab, params.id);
      const from = query.from ?? 0;
      const to = Math.max(query.to ?? (entry.summary?.lastPosition ?? 0) + 1, from + 1);
      const { bytes } = (await ask(lab, params.id, 'log', 'pyramid', { window: { from, to, buckets: query.buckets ?? BUCKETS, tracks: wordsOf(query.tracks) } })) as { readonly bytes: Uint8Array };
      return reply.headers({ ...NO_STORE, 'content-type': COLUMNS_TYPE }).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    },
  );

  server.get<Of<{ readonly to?: number; readonly bytes?: number }>>(
    at('console'),
    {
      schema: {
        summary: 'What the serial console had shown before a position: the last bytes of it', description: 'X-Console-From is the number of the first byte since power-on, X-Console-Total how many the recording has',
        tags, params: ID_PARAMS, querystring: CONSOLE_QUERY, produces: 'application/octet-stream', response: { 200: {} },
      },
    },
    async ({ params, query }, reply) => {
      const answer = (await ask(lab, params.id, 'log', 'console', { to: query.to ?? Infinity, bytesMax: query.bytes ?? CONSOLE_ANSWER_BYTES })) as { readonly bytes: Uint8Array; readonly from: number; readonly total: number };
      void reply.headers({ ...NO_STORE, 'content-type': 'application/octet-stream', 'x-console-from': answer.from, 'x-console-total': answer.total });
      return reply.send(Buffer.from(answer.bytes));
    },
  );

  server.get<Of<object>>(at('marks'), { schema: { summary: 'Its marks', tags, params: ID_PARAMS, response: { 200: MARKS } } }, async ({ params }, reply) => json(reply, await ask(lab, params.id, 'log', 'marks', {})));

  server.get<Of<{ readonly regime?: string; readonly cpu?: string; readonly options?: string }>>(
    at('profile'),
    { schema: { summary: 'Exits by reason, device, register, phase and time, with costs under a regime; as `chronovisor profile`', tags, params: ID_PARAMS, querystring: PROFILE_QUERY, response: { 200: PROFILE } } },
    async ({ params, query }, reply) => {
      if (query.regime === undefined && (query.cpu !== undefined || query.options !== undefined)) throw new HttpError('HTTP_BAD_REQUEST', { detail: 'cpu and options need a regime' });
      return json(reply, await ask(lab, params.id, 'log', 'profile', { name: params.id, regime: query.regime, cpu: query.cpu, options: optionsOf(query.options) }));
    },
  );

  server.get<Of<{ readonly regimes?: string; readonly cpu?: string; readonly cpi?: number; readonly advice?: boolean; readonly systemCalls?: number; readonly pageWalks?: number; readonly kernelShare?: number }>>(
    at('comparison'),
    { schema: { summary: 'What it would cost under each technique, phase by phase, and what would remove it; as `chronovisor compare`', tags, params: ID_PARAMS, querystring: COMPARISON_QUERY, response: { 200: COMPARISON } } },
    async ({ params, query }, reply) => {
      const rates = { systemCallsPerMillion: query.systemCalls, pageWalksPerMillion: query.pageWalks, kernelShare: query.kernelShare };
      return json(reply, await ask(lab, params.id, 'log', 'compare', { regimes: wordsOf(query.regimes), cpu: query.cpu, cyclesPerInstruction: query.cpi, hasAdvice: query.advice === true, rates }));
    },
  );

  server.get<Of<Partial<DirtyArgs>>>(
    at('dirty'),
    { schema: { summary: 'Pages written: the curve by slices of virtual time, and the heat map', tags, params: ID_PARAMS, querystring: DIRTY_QUERY, response: { 200: DIRTY } } },
    async ({ params, query }, reply) => {
      const { entry } = await recordingOf(lab, params.id);
      const virtualNs = entry.summary?.end?.virtualNs ?? entry.summary?.lastPosition ?? 0;
      return json(reply, await ask(lab, params.id, 'log', 'dirty', { sliceNs: query.sliceNs ?? Math.max(1e5, virtualNs / 200), rows: query.rows, columns: query.columns }));
    },
  );

  server.post<{ Params: { id: string }; Body: Partial<MigrationArgs> & Pick<MigrationArgs, 'bytesPerSecond'> }>(
    at('migration'),
    { schema: { summary: 'What migrating the guest would cost, by policy, over a link', tags, params: ID_PARAMS, body: MIGRATION_REQUEST, response: { 200: MIGRATION } } },
    async ({ params, body }, reply) => json(reply, await ask(lab, params.id, 'log', 'migration', { downtimeLimitMs: 300, ...body })),
  );

  server.get<Of<{ readonly at?: string; readonly memory?: string; readonly physical?: string; readonly translate?: string; readonly digest?: boolean }>>(
    at('state'),
    { schema: { summary: 'The machine at a position: registers, memory, translations, digest', tags, params: ID_PARAMS, querystring: STATE_QUERY, response: { 200: STATE_ANSWER } } },
    async ({ params, query }, reply) => {
      const memory = [...rangesOf(query.memory, false), ...rangesOf(query.physical, true)];
      return json(reply, await ask(lab, params.id, 'machine', 'state', { at: query.at ?? 'end', memory, translate: wordsOf(query.translate), hasDigest: query.digest }));
    },
  );

  server.get<Of<{ readonly address: string; readonly physical?: boolean; readonly before?: string; readonly from?: string; readonly count?: number }>>(
    at('writes'),
    { schema: { summary: 'The last stores to an address, the latest first; as `chronovisor last-write`', tags, params: ID_PARAMS, querystring: WRITES_QUERY, response: { 200: WRITES } } },
    async ({ params, query }, reply) => json(reply, await ask(lab, params.id, 'machine', 'writes', { address: query.address, isPhysical: query.physical, before: query.before ?? 'end', from: query.from ?? '@0', count: query.count ?? 1 })),
  );
}

/** One piece after the other, each when the reader wants it: what is slow is waited for, and nothing piles up. */
async function* pieces(first: EventsPiece, rowsMax: number, more: (record: number, rowsMax: number) => Promise<EventsPiece>): AsyncGenerator<Uint8Array> {
  let left = rowsMax;
  for (let piece = first; ; ) {
    if (piece.bytes.length > 0) yield piece.bytes;
    left -= piece.rows;
    if (piece.next === undefined || left <= 0) return;
    piece = await more(piece.next, left);
  }
}

function filterOf({ kinds, reasons, port, vector, match }: EventsQuery): EventFilter {
  const words = wordsOf(kinds);
  const unknown = words?.find((word) => !LOG_KINDS.includes(word as LogKind));
  if (unknown !== undefined) throw new HttpError('HTTP_BAD_REQUEST', { detail: `there is no kind "${unknown}"; there are ${LOG_KINDS.join(', ')}` });
  return { kinds: words as readonly LogKind[] | undefined, reasons: wordsOf(reasons), port, vector, match };
}

function wordsOf(text: string | undefined): readonly string[] | undefined {
  return text?.split(',').map((word) => word.trim()).filter((word) => word !== '');
}

function optionsOf(text: string | undefined): Readonly<Record<string, OptionValue>> | undefined {
  if (text === undefined) return undefined;
  const options: Record<string, OptionValue> = {};
  for (const word of wordsOf(text) ?? []) {
    const equals = word.indexOf('=');
    if (equals <= 0) throw new HttpError('HTTP_BAD_REQUEST', { detail: `"${word}" is no option: give name=value` });
    const value = word.slice(equals + 1);
    options[word.slice(0, equals)] = value === 'true' || value === 'on' ? true : value === 'false' || value === 'off' ? false : /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  }
  return options;
}

/** The schema has looked at the form. */
function rangesOf(text: string | undefined, isPhysical: boolean): readonly MemoryRange[] {
  return (wordsOf(text) ?? []).map((range) => {
    const [address, length] = range.split(':');
    return { address, length: Number(length), ...(isPhysical && { isPhysical }) };
  });
}
