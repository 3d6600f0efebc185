/** What the routes share. */
import type { Jobs } from '../runs/jobs.ts';
import type { Runs } from '../runs/runs.ts';
import type { ThreadPool } from '../runs/thread-pool.ts';
import type { CallOptions } from '../runs/thread.ts';
import type { Catalogue, KnownRecording } from './catalogue.ts';
import { HttpError } from './errors.ts';
import type { Images } from './images.ts';
import type { Metrics } from './metrics.ts';

export interface LabLimits {
  /** Of a recording that is sent. */
  readonly uploadBytes: number;
  /** Of all other bodies. */
  readonly bodyBytes: number;
  /** For such a body to arrive; between two pieces of a recording. */
  readonly bodyMs: number;
  /** Debug sessions at a time. */
  readonly sessions: number;
  /** Answers about a machine or a whole log are given up after this time. */
  readonly questionMs: number;
  /** Bytes that may wait for a slow reader of a WebSocket. */
  readonly socketBytes: number;
}

export const LAB_LIMITS: LabLimits = { uploadBytes: 4 * 2 ** 30, bodyBytes: 65_536, bodyMs: 15_000, sessions: 8, questionMs: 120_000, socketBytes: 1 << 20 };

export interface Lab {
  readonly version: string;
  readonly catalogue: Catalogue;
  readonly images: Images;
  readonly runs: Runs;
  readonly pool: ThreadPool;
  readonly jobs: Jobs;
  readonly metrics: Metrics;
  readonly limits: LabLimits;
  /** Where recordings go, and the first part of their ids. */
  readonly writable: { readonly name: string; readonly path: string } | undefined;
}

/** Throws HttpError. */
export async function recordingOf(lab: Lab, id: string): Promise<KnownRecording> {
  const known = await lab.catalogue.find(id);
  if (known === undefined) throw new HttpError('HTTP_NO_RECORDING');
  return known;
}

/** Asks a thread that has the recording. `purpose`: log, or machine, so that a long look at the one does not hold up the other. Throws HttpError, ProblemError. */
export async function ask(lab: Lab, id: string, purpose: 'log' | 'machine', op: string, args: object, options: CallOptions = {}): Promise<unknown> {
  const { path, version, readableBytes } = await recordingOf(lab, id);
  return lab.pool.call(purpose, path, version, op, purpose === 'log' ? { ...args, readableBytes } : args, { timeoutMs: lab.limits.questionMs, ...options });
}
