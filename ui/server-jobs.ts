/** Long work of the server: started, followed, given up. */
import type { JobSettings, JobStatus, Problem } from '../engine/protocol/lab.ts';
import { EngineFailure } from './worker-client.ts';

const POLL_MS = 300;

/** Until it is over. Throws EngineFailure; a job that is given up (by the signal) is cancelled at the server, and its status says so. */
export async function serverJob(recording: string, settings: JobSettings, onProgress: (share: number) => void, signal: AbortSignal): Promise<JobStatus> {
  let job = await answer<JobStatus>(fetch('./api/v1/jobs', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ recording, settings }) }));
  const url = `./api/v1/jobs/${encodeURIComponent(job.id)}`;
  while (job.state === 'waiting' || job.state === 'running') {
    if (signal.aborted) return answer<JobStatus>(fetch(url, { method: 'DELETE' }));
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    job = await answer<JobStatus>(fetch(url));
    if (job.progress !== undefined) onProgress(job.progress.of === 0 ? 0 : Math.min(1, job.progress.position / job.progress.of));
  }
  if (job.state === 'failed') throw new EngineFailure({ message: job.problem?.message ?? 'the job failed', advice: job.problem?.advice ?? 'change it and try again' });
  return job;
}

async function answer<T>(asked: Promise<Response>): Promise<T> {
  const response = await asked.catch(() => undefined);
  const json = (await response?.json().catch(() => undefined)) as (T & Partial<Problem>) | undefined;
  if (response?.ok === true && json !== undefined) return json;
  throw new EngineFailure({ message: json?.message ?? 'The server does not answer', advice: json?.advice ?? 'check that it still runs (npm start)' });
}
