/** The worker's side of engine/protocol/events.ts: one log that is open. It has no machine, so it is small and there at once; what needs one is engine-worker.ts. */
import { countingWindow } from '../engine/analysis/pyramid/pyramid.ts';
import { LogError } from '../engine/log/errors.ts';
import type { Failure } from '../engine/protocol/messages.ts';
import { type LogReply, type LogRequest, isLogEnd } from '../engine/protocol/events.ts';
import { SourceError } from './byte-sources.ts';
import { KEPT_FROM_RECORDS, keepFold, readFold } from './fold-cache.ts';
import { openLogPlace } from './log-place.ts';
import { OpenedLog } from './opened-log.ts';
import { Refusal } from './refusal.ts';
import { RowFilter } from './row-filter.ts';
import { Turns } from './turns.ts';

/** What the DOM's types do not say of a worker's global object. */
const door = globalThis as unknown as {
  postMessage(message: LogReply, transfer: readonly Transferable[]): void;
  onmessage: ((event: MessageEvent<LogRequest>) => void) | undefined;
};

const turns = new Turns();
let log: OpenedLog | undefined;
/** Numbers of the newest request of a kind that supersedes its elders; `window` by use. */
const newest = new Map<string, number>();
/** Requests that were ended by the page. */
const cancelled = new Set<number>();

function send(reply: LogReply, transfer: readonly Transferable[] = []): void {
  if (isLogEnd(reply)) cancelled.delete(reply.id);
  door.postMessage(reply, transfer);
}

function opened(): OpenedLog {
  if (log === undefined) throw new Error('no log is open');
  return log;
}

/** Runs a generator to its end, in turns; undefined if it is not wanted any more. */
async function inTurns<Y, T>(id: number, kind: string | undefined, steps: Generator<Y, T, void>, onStep?: (value: Y) => void): Promise<{ readonly value: T } | undefined> {
  if (kind !== undefined) newest.set(kind, id);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return { value: step.value };
    const isTurnOver = turns.isOver;
    if (isTurnOver) onStep?.(step.value);
    await turns.next();
    if (!isTurnOver) continue;
    if (cancelled.has(id) || (kind !== undefined && newest.get(kind) !== id)) {
      steps.return(undefined as never);
      send({ kind: 'superseded', id });
      return undefined;
    }
  }
}

function open(id: number, log: OpenedLog, at: number | undefined): void {
  const near = log.near(at);
  const part = log.consoleSoon(near.row);
  send({ kind: 'opened', id, summary: log.summary, near, console: part }, part === undefined ? [] : [part.rows.buffer as ArrayBuffer, part.bytes.buffer as ArrayBuffer]);
}

async function fold(id: number): Promise<void> {
  const from = opened();
  const { summary } = from;
  const isLong = summary.records >= KEPT_FROM_RECORDS;
  const kept = isLong ? await readFold(summary.id) : undefined;
  if (kept === undefined || !from.restoreFold(kept)) {
    const done = await inTurns(id, undefined, from.fold(), (records) => send({ kind: 'folding', id, records }));
    if (done === undefined) return;
    const state = isLong ? from.saveFold() : undefined;
    if (state !== undefined) void keepFold(summary.id, state);
  }
  const { folded } = from;
  if (folded === undefined) return;
  const { REGIMES } = await import('../engine/regimes/catalogue.ts');
  send({ kind: 'folded', id, ...folded, regimes: REGIMES.map(({ id: regime, title }) => ({ id: regime, title })) });
}

async function filter({ id, wanted }: Extract<LogRequest, { kind: 'filter' }>): Promise<void> {
  const from = opened();
  newest.set('filter', id);
  from.filter = wanted === undefined ? undefined : new RowFilter(from.reader, wanted.kinds, wanted.text);
  const { filter: made } = from;
  if (made !== undefined) {
    const done = await inTurns(id, 'filter', made.scan(), (scanned) => send({ kind: 'matching', id, shown: made.shown, scanned }));
    if (done === undefined) return;
  }
  send({ kind: 'filtered', id, shown: from.shown });
}

function record(id: number, row: number | undefined): void {
  const from = opened();
  const text = row === undefined || from.reader.records === 0 ? undefined : from.text(Math.min(Math.max(0, row), from.reader.records - 1));
  const index = text === undefined ? 0 : from.indexOf(text.row);
  send({ kind: 'record', id, text, index, isShown: from.filter === undefined || from.filter.rowOf(index) === text?.row });
}

async function beside({ id, row, direction, kinds }: Extract<LogRequest, { kind: 'beside' }>): Promise<void> {
  const done = await inTurns(id, 'beside', opened().beside(row, direction, kinds));
  if (done !== undefined) record(id, done.value);
}

async function consolePart({ id, row }: Extract<LogRequest, { kind: 'console' }>): Promise<void> {
  const done = await inTurns(id, 'console', opened().consoleAround(row));
  if (done === undefined) return;
  const { rows, bytes } = done.value;
  send({ kind: 'console', id, part: done.value }, [rows.buffer, bytes.buffer]);
}

async function window({ id, use, from, to, buckets, tracks: wanted }: Extract<LogRequest, { kind: 'window' }>): Promise<void> {
  const query = { from, to, buckets, tracks: wanted };
  const kept = opened().pyramid.window(query);
  const done = kept === undefined ? await inTurns(id, `window ${use}`, countingWindow(opened().reader, query)) : { value: kept };
  if (done === undefined) return;
  const { shift, first, count, tracks } = done.value;
  const columns = [...tracks.values()];
  send({ kind: 'window', id, shift, first, count, names: [...tracks.keys()], columns }, columns.map(({ buffer }) => buffer as ArrayBuffer));
}

async function interrupts({ id, from, to }: Extract<LogRequest, { kind: 'interrupts' }>): Promise<void> {
  const done = await inTurns(id, 'interrupts', opened().interrupts(from, to));
  if (done !== undefined) send({ kind: 'interrupts', id, arrows: done.value });
}

async function costs({ id, regime }: Extract<LogRequest, { kind: 'costs' }>): Promise<void> {
  const { costsOf } = await import('./cost-fold.ts');
  const done = await inTurns(id, 'costs', costsOf(opened().reader, regime), (records) => send({ kind: 'folding', id, records }));
  if (done !== undefined) send({ kind: 'costs', id, costs: done.value }, [done.value.cycles.buffer]);
}

async function answer(request: LogRequest): Promise<void> {
  const { id } = request;
  switch (request.kind) {
    case 'open':
      log = new OpenedLog(await openLogPlace(request.log));
      return open(id, log, request.at);
    case 'fold':
      return fold(id);
    case 'rows':
      return send({ kind: 'rows', id, first: request.first, texts: opened().texts(request.first, request.count) });
    case 'at':
      return record(id, opened().rowAt(request.position));
    case 'row':
      return record(id, request.row);
    case 'beside':
      return beside(request);
    case 'filter':
      return filter(request);
    case 'console':
      return consolePart(request);
    case 'window':
      return window(request);
    case 'interrupts':
      return interrupts(request);
    case 'costs':
      return costs(request);
    case 'cancel':
      cancelled.add(request.target);
      return undefined;
    default:
      request satisfies never;
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof Refusal) return error.failure;
  if (error instanceof LogError) return { message: error.what, advice: error.advice };
  if (error instanceof SourceError) return { message: error.message, advice: error.advice };
  const message = error instanceof Error ? error.message : String(error);
  console.error(error);
  return { message, advice: 'reload the page; if it happens again, keep the recording and report it' };
}

door.onmessage = ({ data }) => {
  answer(data).catch((error: unknown) => send({ kind: 'failed', id: data.id, failure: failureOf(error) }));
};
