/**
 * The lab's server, put together. Files in folders are the store; what is kept in memory (runs, jobs, threads) belongs to this process alone.
 *
 *     request ──► guard (Host, Origin, rate, token) ──► schema ──► route ──► thread
 */
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { Jobs } from '../runs/jobs.ts';
import { BUG_CODE, problemOf } from '../runs/problem.ts';
import { type RunServerLimits, Runs } from '../runs/runs.ts';
import { ThreadPool } from '../runs/thread-pool.ts';
import { Catalogue, type RecordingFolder } from './catalogue.ts';
import { HTTP_ERRORS, HttpError, type HttpErrorCode, statusOfProblem } from './errors.ts';
import { SECURITY_HEADERS, checkToken, guard } from './guard.ts';
import { type ImagePlaces, Images } from './images.ts';
import { LAB_LIMITS, type Lab, type LabLimits } from './lab.ts';
import { Metrics } from './metrics.ts';
import { ApiDocument } from './openapi.ts';
import { Pages } from './pages.ts';
import { questionRoutes } from './question-routes.ts';
import { RATE_LIMIT, type RateLimit, RateLimiter } from './rate.ts';
import { bookmarkRoutes, noteRoutes, recordingRoutes } from './recording-routes.ts';
import { jobRoutes, runRoutes } from './run-routes.ts';
import { ID_PARAMS, NUMBER_PARAMS, RUN_CONSOLE_QUERY } from './schemas.ts';
import { sendFile } from './send-file.ts';
import { Sockets } from './sockets.ts';
import { systemRoutes } from './system-routes.ts';
import { isSameSecret, tokenCookie } from './token.ts';

export interface LabServerOptions {
  readonly version: string;
  readonly folders: readonly RecordingFolder[];
  /** Name of the folder that runs and uploads go to; without one the server is read only. */
  readonly writable?: string | undefined;
  readonly images?: ImagePlaces;
  /** The built pages. */
  readonly uiFolder: string;
  /** Needed to listen beyond loopback: then every request must give it. */
  readonly token?: string | undefined;
  /** Names of this host that are answered to, with a token. */
  readonly hostNames?: readonly string[];
  /** Where what was computed is kept; undefined: in memory alone. */
  readonly cacheFolder?: string | undefined;
  readonly limits?: Partial<LabLimits>;
  readonly runLimits?: Partial<RunServerLimits>;
  readonly rate?: RateLimit;
  /** In place of the programs of the threads. */
  readonly programs?: { readonly run?: URL; readonly recording?: URL };
}

/** Threads that have a recording open, for questions. */
const THREADS_MAX = 8;
const HEAP_MB = 1024;
const JOBS_RUNNING = 2;
const JOBS_WAITING = 64;
const JOB_MS = 3_600_000;
const CONNECTIONS_MAX = 2000;
/** Between two looks for connections whose head does not arrive. */
const CHECK_MS = 5000;

export function createLabServer(options: LabServerOptions): FastifyInstance {
  const limits = { ...LAB_LIMITS, ...options.limits };
  const writable = options.folders.find(({ name }) => name === options.writable);
  const runs = new Runs({
    folder: writable?.path ?? '', folderName: writable?.name ?? '', product: `chronovisor ${options.version}`, program: options.programs?.run,
    ...(options.runLimits !== undefined && { limits: options.runLimits }),
  }); // prettier-ignore
  const pool = new ThreadPool({ threadsMax: THREADS_MAX, heapMb: HEAP_MB, cacheFolder: options.cacheFolder, folders: options.folders.map(({ path }) => path), program: options.programs?.recording });
  const lab: Lab = {
    version: options.version, writable, runs, pool, limits,
    catalogue: new Catalogue(options.folders, { writableFolder: writable?.name, writing: (path) => runs.writing(path), lookClosely: (path) => pool.look(path) }),
    images: new Images(options.images ?? { guests: undefined, files: [] }),
    jobs: new Jobs({ pool, runningMax: JOBS_RUNNING, waitingMax: JOBS_WAITING, timeoutMs: JOB_MS }),
    metrics: new Metrics(),
  };
  const rate = new RateLimiter(options.rate ?? RATE_LIMIT);
  const guardOptions = { token: options.token, hostNames: options.hostNames };
  const document = new ApiDocument(options.version);
  let isStopping = false;

  const server = Fastify({
    logger: false, bodyLimit: limits.bodyBytes, forceCloseConnections: true, routerOptions: { maxParamLength: 900 },
    // What a schema does not know is refused, not dropped.
    ajv: { customOptions: { removeAdditional: false, allErrors: false, strict: false } },
    // Long bodies have a timer of their own: see slow().
    requestTimeout: 0,
    http: { connectionsCheckingInterval: Math.min(CHECK_MS, limits.bodyMs) },
  });
  server.server.headersTimeout = limits.bodyMs;
  server.server.maxConnections = CONNECTIONS_MAX;
  // Answers are as their routes make them; tests hold them against their schemas.
  server.setSerializerCompiler(() => (value) => JSON.stringify(value));
  server.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));

  server.addHook('onRequest', async (request, reply) => {
    void reply.headers(SECURITY_HEADERS);
    // A whole address, as proxies get them, names another host.
    if (!request.url.startsWith('/')) throw new HttpError('HTTP_BAD_HOST');
    const isApi = request.url.startsWith('/api') || request.url.startsWith('/metrics');
    guard(request.headers, isApi, guardOptions);
    if (!rate.take(request.ip)) throw new HttpError('HTTP_TOO_MANY');
    if (options.token !== undefined && (await takeToken(request.url, options.token, reply))) return reply;
    checkToken(request.headers, guardOptions);
    if (request.headers['content-type'] !== 'application/octet-stream' && request.method !== 'GET' && request.method !== 'HEAD') slow(request.raw, reply, limits.bodyMs);
    return undefined;
  });
  server.addHook('onResponse', async (request, reply) => lab.metrics.request(request.method, request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1000));
  server.setErrorHandler((error: unknown, _request, reply) => refuse(reply, error));
  server.setNotFoundHandler((_request, reply) => refuse(reply, new HttpError('HTTP_NOT_FOUND')));

  document.watch(server);
  systemRoutes(server, lab, document, () => isStopping);
  recordingRoutes(server, lab);
  bookmarkRoutes(server, lab);
  noteRoutes(server, lab);
  runRoutes(server, lab);
  questionRoutes(server, lab);
  jobRoutes(server, lab);
  document.add('GET', '/api/v1/runs/:id/live', {
    summary: 'Follows a run, and types at it', tags: ['runs'], params: NUMBER_PARAMS, querystring: RUN_CONSOLE_QUERY,
    socket: 'LiveNotice as JSON and console bytes (console-frame.ts) come; LiveCommand as JSON and bytes to type go (engine/protocol).',
  }); // prettier-ignore
  document.add('GET', '/api/v1/recordings/:id/debug', {
    summary: 'A debug session: walks through a recording in both directions', tags: ['questions'], params: ID_PARAMS,
    socket: 'DebugRequest goes; DebugReply and DebugNotice come, as JSON (engine/protocol/lab.ts).',
  }); // prettier-ignore

  const pages = new Pages(options.uiFolder);
  server.get('/*', async (request, reply) => {
    const url = request.url.split('?', 1)[0];
    const page = await pages.pageOf(url);
    if (page === undefined) throw new HttpError(url === '/' ? 'HTTP_UI_NOT_BUILT' : 'HTTP_NOT_FOUND');
    return sendFile(request, reply, { path: page.path, type: page.type, cacheControl: page.immutable ? 'public, max-age=31536000, immutable' : 'no-cache' });
  });

  const sockets = new Sockets(server.server, lab, guardOptions, rate);
  // Before connections are cut: who follows a run is told how it ended.
  server.addHook('preClose', async () => {
    isStopping = true;
    await runs.close();
    await Promise.all([lab.jobs.close(), pool.close(), sockets.close()]);
  });
  return server;
}

/** A link with the token, for people: the cookie takes its place, so that it does not stay in the address. True: it is answered. */
async function takeToken(url: string, token: string, reply: FastifyReply): Promise<boolean> {
  if (!url.startsWith('/?token=')) return false;
  const given = new URLSearchParams(url.slice(2)).get('token') ?? '';
  if (!isSameSecret(given, token)) throw new HttpError('HTTP_NO_TOKEN');
  await reply.header('set-cookie', tokenCookie(token)).redirect('/', 303);
  return true;
}

/** A body that does not arrive in time is not waited for. */
function slow(request: NodeJS.ReadableStream & { readonly complete?: boolean }, reply: FastifyReply, ms: number): void {
  const timer = setTimeout(() => {
    if (request.complete === true || reply.sent) return;
    void reply.header('connection', 'close');
    refuse(reply, new HttpError('HTTP_SLOW'));
    reply.raw.once('finish', () => reply.raw.socket?.destroy());
  }, ms);
  const stop = (): void => clearTimeout(timer);
  request.once('end', stop);
  request.once('close', stop);
}

const FRAMEWORK_CODES: Readonly<Record<number, HttpErrorCode>> = { 408: 'HTTP_SLOW', 413: 'HTTP_TOO_LARGE' };

function refuse(reply: FastifyReply, error: unknown): FastifyReply {
  const send = (status: number, code: string, message: string, advice: string | undefined): FastifyReply => {
    // A stream that had begun to be described.
    for (const name of ['content-length', 'content-range', 'accept-ranges', 'etag']) if (status !== 416 || name === 'content-length') void reply.removeHeader(name);
    return reply.code(status).type('application/json').send({ code, message, ...(advice !== undefined && { advice }) });
  };
  if (error instanceof HttpError) return send(error.statusCode, error.code, error.message, error.advice);
  // What Fastify itself refuses: a schema, a size, a header.
  if (error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode < 500) {
    const code = FRAMEWORK_CODES[error.statusCode] ?? 'HTTP_BAD_REQUEST';
    return send(error.statusCode, code, `${HTTP_ERRORS[code].message}: ${error.message}`, HTTP_ERRORS[code].advice);
  }
  // What the engine and the store expect to go wrong. A RangeError in this thread is a bug.
  const problem = problemOf(error);
  if (problem.code !== BUG_CODE && !(error instanceof RangeError)) return send(statusOfProblem(problem), problem.code, problem.message, problem.advice);
  console.error(error);
  const { message, advice, status } = HTTP_ERRORS.HTTP_INTERNAL;
  return send(status, 'HTTP_INTERNAL', message, advice);
}
