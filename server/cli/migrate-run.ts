/** `migrate --live RUN`: a run that the lab's server executes now (server/runs/leaving.ts moves it); this side asks, watches and reports. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Problem, RunMigration, RunMigrationSettings, RunStatus } from '../../engine/protocol/lab.ts';
import { LinkError } from '../migration/duplex.ts';
import { LIVE_POLICIES, type LivePolicy } from '../migration/source.ts';
import type { Arguments } from './arguments.ts';
import type { Context } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { monotonicMs } from './host.ts';
import { speedOf, targetOf } from './migrate-arguments.ts';
import { progressText, resultLines } from './migrate-text.ts';
import { toJson } from './output.ts';
import { bandwidth, duration } from './quantities.ts';
import { UsageError } from './usage-error.ts';

const SERVER_DEFAULT = 'http://localhost:4600';
const TOKEN_VARIABLE = 'CHRONOVISOR_TOKEN';
const LOOK_MS = 250;
const SHOWN_MS = 500;
const REQUEST_MS = 15_000;
/** A lab that does not answer while its run moves is asked again for so long. */
const SILENCE_MS = 5_000;
/** Of connections that were there: a request may have gone over them. */
const BROKEN = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'];

/** Nothing came back. */
class SilenceError extends LinkError {
  /** The request may have been heard. */
  readonly mayBeHeard: boolean;

  constructor(server: string, cause: Error) {
    super(`the lab at ${server} does not answer: ${cause.message}`, { cause });
    this.mayBeHeard = cause.name === 'TimeoutError' || BROKEN.includes(String((cause as { readonly code?: unknown }).code));
  }
}

export interface RunAddress {
  /** http://HOST:PORT */
  readonly server: string;
  readonly id: string;
}

/** The operand as a run of a lab: an address that ends in /runs/ID or /run/ID (as the pages have it), or a number with --server or no file of that name. Undefined: it is none. */
export function runAddress(parsed: Arguments): RunAddress | undefined {
  const operand = parsed.operands.at(0);
  if (operand === undefined) return undefined;
  if (/^\d{1,15}$/.test(operand)) return { server: serverOf(parsed, parsed.text('server') ?? SERVER_DEFAULT), id: operand };
  if (parsed.has('server')) throw new UsageError(`--server needs the number of a run, not "${operand}": GET /api/v1/runs has them`, 'migrate');
  if (!/^https?:\/\//.test(operand)) return undefined;
  const match = /\/runs?\/(?:server\/)?(\d{1,15})(?:[/?].*)?$/.exec(operand);
  if (match === null) throw new UsageError(`"${operand}" is no run: an address such as ${SERVER_DEFAULT}/runs/3`, 'migrate');
  return { server: serverOf(parsed, operand), id: match[1] };
}
function serverOf(parsed: Arguments, text: string): string {
  try {
    const url = new URL(text);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url.origin;
  } catch {
    // Below.
  }
  throw parsed.wrong('server', text, `an address such as ${SERVER_DEFAULT}`);
}

async function ask<T>({ server, id }: RunAddress, method: string, path: string, body?: object): Promise<T> {
  const token = process.env[TOKEN_VARIABLE];
  let response: Response;
  try {
    response = await fetch(`${server}/api/v1/runs/${id}${path}`, {
      method, signal: AbortSignal.timeout(REQUEST_MS),
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...(token !== undefined && token !== '' && { authorization: `Bearer ${token}` }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }); // prettier-ignore
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new SilenceError(server, error.cause instanceof Error ? error.cause : error);
  }
  if (response.ok) return (await response.json()) as T;
  const problem = (await response.json().catch(() => undefined)) as Problem | undefined;
  throw new LinkError(problem === undefined ? `${server} answered with status ${response.status}: is it a lab?` : `${problem.message}${problem.advice === undefined ? '' : ` (${problem.advice})`}`);
}

/** What the lab says of the run. It is given SILENCE_MS to answer. Rejects with LinkError. */
async function look(run: RunAddress): Promise<RunStatus> {
  const from = monotonicMs();
  for (;;) {
    try {
      return await ask<RunStatus>(run, 'GET', '');
    } catch (error) {
      if (!(error instanceof SilenceError) || monotonicMs() - from > SILENCE_MS) throw error;
      await sleep(LOOK_MS);
    }
  }
}

/** Rejects with LinkError: the guest was not moved. */
export async function leaveRun(run: RunAddress, parsed: Arguments, context: Context): Promise<number> {
  let isAsked = false;
  try {
    return await watch(run, parsed, context, () => (isAsked = true));
  } catch (error) {
    if (!(error instanceof SilenceError) || !(isAsked || error.mayBeHeard)) throw error;
    const message = `${error.message}. What became of the migration is not known here: the guest is at exactly one side, and the run and its log say at which when the lab is back`;
    const status = exitCode('unconfirmed');
    context.err.write(`chronovisor: ${message}\n`);
    if (parsed.has('json')) context.out.write(`${toJson({ verb: 'migrate', error: { code: 'link', message }, exitCode: status })}\n`);
    return status;
  }
}

async function watch(run: RunAddress, parsed: Arguments, { out, err, signals }: Context, onAsked: () => void): Promise<number> {
  const to = targetOf(parsed);
  const policy = (parsed.text('policy') ?? 'precopy') as LivePolicy;
  if (!LIVE_POLICIES.includes(policy)) throw parsed.wrong('policy', policy, `with --live, one of ${LIVE_POLICIES.join(', ')}`);
  for (const name of ['output', 'at', 'after', 'until', 'prediction', 'latency', 'switchover', 'samples']) if (parsed.has(name)) throw new UsageError(`--${name} does not go with a run of the lab, which has its log already`, 'migrate');
  const bytesPerSecond = bandwidth(parsed, 'bandwidth');
  const downtimeNs = duration(parsed, 'downtime');
  const giveUpNs = duration(parsed, 'give-up');
  const speed = speedOf(parsed);
  const settings: RunMigrationSettings = {
    to: to.text, policy, ...(bytesPerSecond !== undefined && { bytesPerSecond }), ...(downtimeNs !== undefined && { downtimeLimitMs: downtimeNs / 1e6 }), ...(speed !== undefined && { speed }),
    ...(giveUpNs !== undefined && { timeLimitMs: giveUpNs / 1e6 }),
  }; // prettier-ignore
  const isQuiet = parsed.has('quiet');
  const say = (text: string): void => {
    if (!isQuiet) err.write(`chronovisor: ${text}\n`);
  };
  const asked = await ask<RunStatus>(run, 'POST', '/migration', settings);
  onAsked();
  const { id } = asked.migration!;
  let migration: RunMigration = asked.migration!;
  let status = asked;
  let isCancelled = false;
  let shownMs = monotonicMs();
  while (migration.state === 'moving') {
    await sleep(LOOK_MS);
    if (signals.received !== undefined && !isCancelled) {
      isCancelled = true;
      // It may be over by now: the next look tells.
      await ask(run, 'DELETE', '/migration').catch((error: unknown) => say(error instanceof Error ? error.message : String(error)));
    }
    status = await look(run);
    if (status.migration?.id !== id) throw new LinkError(`the run ${run.id} is moved by somebody else meanwhile`);
    ({ migration } = status);
    if (migration.progress === undefined || monotonicMs() - shownMs < SHOWN_MS) continue;
    shownMs = monotonicMs();
    say(progressText(migration.progress));
  }
  const isKept = migration.state === 'kept';
  const exit = isKept ? exitCode(isCancelled ? 'cancelled' : 'not-moved') : exitCode(migration.state === 'moved' ? 'ok' : 'unconfirmed');
  const { measured } = migration;
  const predicted = migration.prediction?.outcome;
  if (parsed.has('json')) {
    out.write(`${toJson({ verb: 'migrate', mode: 'live', run: { server: run.server, id: run.id, recording: status.recording }, result: isKept ? 'kept' : 'moved', ...(isKept && { reason: migration.reason }), isConfirmed: migration.state === 'moved', migration: id, policy, downtimeLimitMs: settings.downtimeLimitMs, bytesPerSecond, virtualPerWall: migration.virtualPerWall, measured, prediction: predicted, digest: migration.digest, log: { recording: status.recording, position: status.progress.position, records: status.progress.records }, exitCode: exit })}\n`);
    return exit;
  }
  if (isQuiet) return exit;
  if (isKept) say(`the guest was not moved: ${migration.reason}. It goes on at ${run.server}`);
  else if (migration.state === 'unconfirmed') say(migration.reason ?? 'the other side has not confirmed it');
  if (measured !== undefined) err.write(`${resultLines(measured, predicted).join('\n')}\n`);
  if (!isKept) say(`moved at @${grouped(status.progress.position)}, digest ${migration.digest}; its log so far is the recording ${status.recording} of the lab`);
  return exit;
}
