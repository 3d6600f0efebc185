/** Runs and jobs: start, look, stop. What they show meanwhile goes over WebSockets (sockets.ts). */
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { JobSettings, RunMigrationSettings, RunSettings } from '../../engine/protocol/lab.ts';
import { PARA_REGIME } from '../../engine/recording/recipe.ts';
import type { Job } from '../runs/jobs.ts';
import { ProblemError } from '../runs/problem.ts';
import { LOG_SUFFIX, type Run } from '../runs/runs.ts';
import { LAB_GUEST, LAB_PV_GUEST } from '../store/lab-guests.ts';
import { nearest } from '../store/suggest.ts';
import { guestRows } from '../store/guest-list.ts';
import { HttpError } from './errors.ts';
import { type Lab, recordingOf } from './lab.ts';
import { JOB, JOBS, JOB_REQUEST, NUMBER_PARAMS, RUN, RUNS, RUN_MIGRATION_SETTINGS, RUN_CONSOLE_QUERY, RUN_SETTINGS, record, shortText } from './schemas.ts';

interface OfId {
  readonly Params: { readonly id: string };
}
const STOPPED_BY = 'stopped by a person in the lab';

export function runOf({ runs }: Lab, id: string): Run {
  const run = runs.get(id);
  if (run === undefined) throw new HttpError('HTTP_NO_RUN');
  return run;
}

export function runRoutes(server: FastifyInstance, lab: Lab): void {
  const tags = ['runs'];
  server.get('/api/v1/runs', { schema: { summary: 'Runs of this server: those that go on, and the last that have ended', tags, response: { 200: RUNS } } }, () => ({ runs: lab.runs.list.map(({ status }) => status) }));
  server.post<{ Body: RunSettings }>('/api/v1/runs', { schema: { summary: 'Records a guest, in a thread of its own', tags, body: RUN_SETTINGS, response: { 201: RUN } } }, async (request, reply) => {
    if (lab.writable === undefined) throw new HttpError('HTTP_READ_ONLY');
    const run = await lab.runs.start(request.body, await memoryOf(request.body));
    return reply.code(201).send(run.status);
  });
  server.get<OfId>('/api/v1/runs/:id', { schema: { summary: 'One run', tags, params: NUMBER_PARAMS, response: { 200: RUN } } }, ({ params }) => runOf(lab, params.id).status);
  server.get<OfId & { Querystring: { from?: number } }>(
    '/api/v1/runs/:id/console',
    {
      schema: {
        summary: 'The last MiB of its console', description: 'X-Console-From is the number of the first byte since power-on',
        tags, params: NUMBER_PARAMS, querystring: RUN_CONSOLE_QUERY, produces: 'application/octet-stream', response: { 200: {} },
      },
    }, // prettier-ignore
    ({ params, query }, reply) => {
      const { console: shown } = runOf(lab, params.id);
      const from = Math.min(Math.max(query.from ?? 0, shown.begin), shown.end);
      void reply.headers({ 'content-type': 'application/octet-stream', 'cache-control': 'no-store', 'x-console-from': from });
      return reply.send(Buffer.from(shown.read(from, Infinity)));
    },
  );
  const input = { summary: 'Types at it', tags, params: NUMBER_PARAMS, body: record({ text: shortText(32_768) }), response: { 204: {} } };
  server.post<OfId & { Body: { text: string } }>('/api/v1/runs/:id/input', { schema: input }, ({ params, body }, reply) => {
    runOf(lab, params.id).tell({ kind: 'input', bytes: new TextEncoder().encode(body.text) });
    return reply.code(204).send();
  });
  const mark = { summary: 'Sets a mark where it is', tags, params: NUMBER_PARAMS, body: record({ name: shortText(200) }), response: { 204: {} } };
  server.post<OfId & { Body: { name: string } }>('/api/v1/runs/:id/marks', { schema: mark }, ({ params, body }, reply) => {
    runOf(lab, params.id).tell({ kind: 'mark', name: body.name });
    return reply.code(204).send();
  });
  const migration = {
    summary: 'Moves it to another process', description: '`chronovisor migrate --listen` waits there. The run has its `migration` from now on: how far it is, what became of it',
    tags, params: NUMBER_PARAMS, body: RUN_MIGRATION_SETTINGS, response: { 202: RUN },
  }; // prettier-ignore
  server.post<OfId & { Body: RunMigrationSettings }>('/api/v1/runs/:id/migration', { schema: migration }, ({ params, body }, reply) => {
    if (lab.writable === undefined) throw new HttpError('HTTP_READ_ONLY');
    const run = runOf(lab, params.id);
    run.migrate(body);
    return reply.code(202).send(run.status);
  });
  server.delete<OfId>('/api/v1/runs/:id/migration', { schema: { summary: 'Gives its migration up: the guest stays, unless it was handed over already', tags, params: NUMBER_PARAMS, response: { 202: RUN } } }, ({ params }, reply) => {
    const run = runOf(lab, params.id);
    run.keep();
    return reply.code(202).send(run.status);
  });
  server.post<OfId>('/api/v1/runs/:id/stop', { schema: { summary: 'Ends it and closes its log', tags, params: NUMBER_PARAMS, response: { 200: RUN } } }, async ({ params }) => {
    const run = runOf(lab, params.id);
    if (!run.isOver) {
      run.tell({ kind: 'stop', detail: STOPPED_BY });
      await run.closed;
    }
    return run.status;
  });
}

/** What the guest gets when nothing is said. Throws ProblemError. */
async function memoryOf({ guest, memoryBytes, regime }: RunSettings): Promise<number> {
  const name = regime === PARA_REGIME && guest === LAB_GUEST ? LAB_PV_GUEST : guest;
  const rows = await guestRows();
  const row = rows.find((each) => each.name === name);
  if (row?.state === 'ready') return memoryBytes ?? row.memoryBytes ?? 0;
  const near = nearest(name, rows.map((each) => each.name));
  if (row === undefined) throw new ProblemError({ code: 'guest-unknown', message: `there is no guest "${name}"${near === undefined ? '' : `; did you mean ${near}?`}`, advice: 'GET /api/v1/guests has them' });
  throw new ProblemError({ code: 'guest-not-ready', message: row.problem ?? `the guest "${name}" is not here yet`, advice: `\`chronovisor guest fetch ${name}\` gets it` });
}

/** The file of a new recording. Throws HttpError. */
async function outputOf({ writable, catalogue, jobs }: Lab, name: string): Promise<string> {
  if (writable === undefined) throw new HttpError('HTTP_READ_ONLY');
  const path = join(writable.path, `${name}${LOG_SUFFIX}`);
  const isPlanned = jobs.list.some((job) => job.output === path && !job.isOver);
  if (isPlanned || (await catalogue.find(`${writable.name}:${name}`)) !== undefined) throw new HttpError('HTTP_NAME_TAKEN');
  return path;
}

export function jobRoutes(server: FastifyInstance, lab: Lab): void {
  const tags = ['jobs'];
  const jobOf = (id: string): Job => {
    const job = lab.jobs.get(id);
    if (job === undefined) throw new HttpError('HTTP_NO_JOB');
    return job;
  };
  server.get('/api/v1/jobs', { schema: { summary: 'Jobs: those that go on, and the last that are over', tags, response: { 200: JOBS } } }, () => ({ jobs: lab.jobs.list.map(({ status }) => status) }));
  server.post<{ Body: { recording: string; settings: JobSettings } }>(
    '/api/v1/jobs',
    { schema: { summary: 'Starts a job over a recording: an index, a replay, a bisection, a branch', tags, body: JOB_REQUEST, response: { 201: JOB } } },
    async ({ body }, reply) => {
      const { path, entry } = await recordingOf(lab, body.recording);
      if (entry.state === 'recording') throw new HttpError('HTTP_IN_USE', { detail: 'it is being written' });
      const output = body.settings.kind === 'branch' ? await outputOf(lab, body.settings.name) : undefined;
      return reply.code(201).send(lab.jobs.start(body.recording, path, body.settings, output).status);
    },
  );
  server.get<OfId>('/api/v1/jobs/:id', { schema: { summary: 'One job: how far it is, and its result', tags, params: NUMBER_PARAMS, response: { 200: JOB } } }, ({ params }) => jobOf(params.id).status);
  server.delete<OfId>('/api/v1/jobs/:id', { schema: { summary: 'Cancels it; what it has done is given up', tags, params: NUMBER_PARAMS, response: { 200: JOB } } }, async ({ params }) => {
    const job = jobOf(params.id);
    await lab.jobs.cancel(job);
    return job.status;
  });
}
