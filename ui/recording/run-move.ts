/** A run of the server that moves to another process, where `chronovisor migrate --listen` waits: asked for, watched, given up. */
import { type Observable, defer, distinctUntilChanged, exhaustMap, map, takeWhile, timer } from 'rxjs';
import type { RunMigration, RunMigrationSettings, RunStatus } from '../../engine/protocol/lab.ts';
import { EngineFailure } from '../engine-client.ts';
import { answerOf } from './server-run.ts';

const LOOK_MS = 250;

async function ask(run: string, method: 'GET' | 'POST' | 'DELETE', path: string, body?: RunMigrationSettings): Promise<RunStatus> {
  const response = await fetch(`./api/v1/runs/${encodeURIComponent(run)}${path}`, { method, ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) }).catch((error: unknown) => {
    throw new EngineFailure({ message: `the server cannot be reached: ${error instanceof Error ? error.message : String(error)}`, advice: 'check that it still runs (npm start)' });
  });
  return answerOf<RunStatus>(response);
}

/** Throws EngineFailure: it was not begun. */
export async function beginMove(run: string, settings: RunMigrationSettings): Promise<void> {
  await ask(run, 'POST', '/migration', settings);
}
/** Throws EngineFailure: it is over already. */
export async function giveMoveUp(run: string): Promise<void> {
  await ask(run, 'DELETE', '/migration');
}

/** How its migration stands, until it is over: the last value is what became of it. Undefined: it was never asked to move. */
export function watchMove(run: string): Observable<RunMigration | undefined> {
  return timer(0, LOOK_MS).pipe(
    exhaustMap(() => defer(() => ask(run, 'GET', ''))),
    map(({ migration }) => migration),
    distinctUntilChanged((a, b) => JSON.stringify(a) === JSON.stringify(b)),
    takeWhile((migration) => migration?.state === 'moving', true),
  );
}
