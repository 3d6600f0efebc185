/** A lab for a test: a server on a port of its own, with folders of its own. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LabServerOptions, createLabServer } from '../../server/http/lab-server.ts';
import type { JobStatus, RunSettings, RunStatus } from '../../engine/protocol/lab.ts';

const TRACES = fileURLToPath(new URL('../../traces/', import.meta.url));

export interface TestLab {
  /** http://127.0.0.1:PORT */
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  readonly recordings: string;
  /** Throws when the status is another one. Undefined without a body. */
  json<T>(path: string, options?: JsonOptions): Promise<T>;
  /** Records a guest for as long as the settings say. */
  record(settings: RunSettings): Promise<RunStatus>;
  job(recording: string, settings: object): Promise<JobStatus>;
  close(): Promise<void>;
}
export interface JsonOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly status?: number;
}

/** traces: names of recordings of traces/ that it shows, read only. */
export async function startLab(options: Partial<LabServerOptions> = {}, traces: readonly string[] = []): Promise<TestLab> {
  const folder = mkdtempSync(join(tmpdir(), 'chronovisor-lab-'));
  const recordings = join(folder, 'recordings');
  mkdirSync(recordings);
  mkdirSync(join(folder, 'traces'));
  for (const name of traces) cpSync(join(TRACES, `${name}.cvlog`), join(folder, 'traces', `${name}.cvlog`));
  const server = createLabServer({
    version: '0.0.0',
    folders: [{ name: 'traces', path: join(folder, 'traces') }, { name: 'recordings', path: recordings }],
    writable: 'recordings',
    uiFolder: join(folder, 'ui'),
    ...options,
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const address = server.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const url = `http://127.0.0.1:${port}`;
  const json = async <T>(path: string, { method = 'GET', body, status = 200 }: JsonOptions = {}): Promise<T> => {
    const response = await fetch(`${url}${path}`, { method, ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) });
    const text = await response.text();
    if (response.status !== status) throw new Error(`${method} ${path}: ${response.status} instead of ${status}: ${text.slice(0, 1000)}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  };
  return {
    url, port, folder, recordings, json,
    record: async (settings) => {
      const { id } = await json<RunStatus>('/api/v1/runs', { method: 'POST', body: { isUnattended: true, ...settings }, status: 201 });
      return until(() => json<RunStatus>(`/api/v1/runs/${id}`), ({ state }) => state === 'ended' || state === 'failed');
    },
    job: async (recording, settings) => {
      const { id } = await json<JobStatus>('/api/v1/jobs', { method: 'POST', body: { recording, settings }, status: 201 });
      return until(() => json<JobStatus>(`/api/v1/jobs/${id}`), ({ state }) => state !== 'waiting' && state !== 'running');
    },
    close: async () => {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Asks again until the answer is as it should be; the test's own timeout ends it. */
export async function until<T>(ask: () => Promise<T> | T, isSo: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Instructions of the lab's guest to its first workloads: a fraction of a second. */
export const SHORT_RUN: RunSettings = { guest: 'lab', seed: '7', wallClockNs: '1700000000000000000', untilPosition: 4_000_000, digestInstructions: 1_000_000, epochInstructions: 500_000 };
