/** The server itself: health, version, metrics, guests, regimes, its own documentation. */
import type { FastifyInstance } from 'fastify';
import { namedPolicies } from '../../engine/analysis/migration/policy.ts';
import { FORMAT_MAJOR, FORMAT_MINOR } from '../../engine/log/header.ts';
import { RECORDED_REGIMES } from '../../engine/recording/recipe.ts';
import { REGIMES, candidate } from '../../engine/regimes/catalogue.ts';
import { CPUS } from '../../engine/regimes/costs/cpus.ts';
import { PLATFORMS } from '../../engine/regimes/platforms/platforms.ts';
import { guestRows } from '../store/guest-list.ts';
import type { Lab } from './lab.ts';
import type { ApiDocument } from './openapi.ts';
import { GUESTS, HEALTH, REGIMES_ANSWER, VERSION } from './schemas.ts';

const PRODUCT = 'chronovisor';
const API_VERSION = 1;
/** For the list of policies; a request has limits of its own. */
const DOWNTIME_LIMIT_MS = 300;

export function systemRoutes(server: FastifyInstance, lab: Lab, document: ApiDocument, isStopping: () => boolean): void {
  const tags = ['server'];
  const health = (): object => ({ status: isStopping() ? 'stopping' : 'ok', product: PRODUCT, version: lab.version });
  server.get('/api/health', health);
  server.get('/api/v1/health', { schema: { summary: 'Whether it works', tags, response: { 200: HEALTH } } }, health);
  const version = { product: PRODUCT, version: lab.version, api: API_VERSION, logFormat: `${FORMAT_MAJOR}.${FORMAT_MINOR}`, node: process.version };
  server.get('/api/v1/version', { schema: { summary: 'Versions of program, API and log format', tags, response: { 200: VERSION } } }, () => version);
  server.get('/metrics', { schema: { summary: 'For Prometheus', tags, produces: 'text/plain', response: { 200: {} } } }, (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(metricsText(lab)));
  server.get('/api', (_request, reply) => reply.type('text/html; charset=utf-8').send(document.toHtml()));
  server.get('/api/openapi.json', () => document.toJson());
  server.get('/api/v1/guests', { schema: { summary: 'Guests: those that can be recorded, and those that can be fetched', tags: ['runs'], response: { 200: GUESTS } } }, async () => ({ guests: await guestRows(), canRecord: lab.writable !== undefined }));
  server.get('/api/v1/regimes', { schema: { summary: 'Virtualisation techniques, platforms built on them, CPUs with costs, migration policies', tags: ['questions'], response: { 200: REGIMES_ANSWER } } }, () => ({
    regimes: REGIMES.map(({ id, title, summary, options, limits }) => ({ id, title, summary, isRecordable: RECORDED_REGIMES.includes(id), options, limits, defaults: candidate(id).options })),
    platforms: PLATFORMS,
    cpus: CPUS,
    policies: [...namedPolicies(DOWNTIME_LIMIT_MS, 0).values()],
  }));
}

function metricsText({ metrics, runs, jobs, pool }: Lab): string {
  const { active } = runs;
  const { heapUsed, rss } = process.memoryUsage();
  const gauge = (name: string, help: string, value: number) => ({ name, help, value, type: 'gauge' as const });
  const counter = (name: string, help: string, value: number) => ({ name, help, value, type: 'counter' as const });
  return metrics.text([
    gauge('runs_active', 'guests that are recorded now', active.length),
    counter('runs_started_total', 'runs that were started', runs.started),
    counter('runs_failed_total', 'runs whose thread died, hung or could not begin', runs.failed),
    gauge('runs_mips', 'millions of instructions a second, of all runs', active.reduce((sum, { status }) => sum + status.progress.mips, 0)),
    gauge('runs_log_bytes', 'bytes of the logs that are written now', active.reduce((sum, { status }) => sum + status.progress.logBytes, 0)),
    gauge('jobs_running', 'jobs that go on', jobs.list.filter(({ state }) => state === 'running').length),
    gauge('jobs_waiting', 'jobs that wait', jobs.list.filter(({ state }) => state === 'waiting').length),
    gauge('recording_threads', 'threads that have a recording open', pool.size),
    gauge('recording_questions', 'questions that wait for an answer', pool.load),
    counter('recording_threads_lost_total', 'threads of recordings that died or hung', pool.lost),
    gauge('heap_bytes', 'JavaScript objects of the main thread', heapUsed),
    gauge('resident_bytes', 'memory of the process', rss),
    gauge('uptime_seconds', 'time since the process began', process.uptime()),
  ]);
}
