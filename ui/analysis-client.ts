/**
 * The page's side of engine/protocol/analysis.ts: one recording and its worker. Who cancels ends the worker; the next question opens the log again.
 */
import { type AnalysisEnd, type AnalysisReply, type AnalysisRequest, type DiffAnswer, isAnalysisEnd } from '../engine/protocol/analysis.ts';
import type { LogSummary } from '../engine/protocol/summary.ts';
import analysisWorker from './analysis-worker.ts?worker&url';
import { heldImages, startWorker } from './standalone/held.ts';
import { serverRecordings } from './library.ts';
import { serverImageUrl } from './server-urls.ts';
import { type RecordingPlace, placeOf, withParents } from './recording-place.ts';
import { EngineFailure } from './worker-client.ts';

/** A request without its number. */
type Asked = AnalysisRequest extends infer R ? (R extends AnalysisRequest ? Omit<R, 'id'> : never) : never;

/** A question that was given up. */
export class Cancelled extends Error {}

export interface OpenedRecording {
  readonly summary: LogSummary;
  readonly marks: readonly { readonly name: string; readonly position: number }[];
}

export class AnalysisClient {
  readonly recording: RecordingPlace;
  private worker: Worker | undefined;
  private opening: Promise<OpenedRecording> | undefined;
  private readonly listeners = new Map<number, { readonly reply: (reply: AnalysisReply) => void; readonly fail: (error: Error) => void }>();
  /** Handed in by a person; given again when the worker is another. */
  private readonly images: Uint8Array[] = [...heldImages()];
  private nextId = 1;
  /** Grows when the worker is given up: what it had worked out is gone with it. */
  generation = 0;

  constructor(recording: RecordingPlace) {
    this.recording = recording;
  }

  open(): Promise<OpenedRecording> {
    return (this.opening ??= this.openLog().catch((error: unknown) => {
      this.opening = undefined;
      throw error;
    }));
  }

  /** The answer to a question about the recording. Throws EngineFailure, Cancelled. */
  async ask<K extends AnalysisEnd['kind']>(request: Asked, kind: K, onReply?: (reply: AnalysisReply) => void): Promise<Extract<AnalysisEnd, { kind: K }>> {
    await this.open();
    return this.post(request, kind, onReply);
  }

  /** Against another recording. Throws EngineFailure, Cancelled. */
  async diff(against: RecordingPlace, onReply?: (reply: AnalysisReply) => void): Promise<DiffAnswer> {
    await this.open();
    const place = await placeOf(against);
    return withParents(place, async (other) => (await this.post({ kind: 'diff', other }, 'diffed', onReply)).answer);
  }

  /** Throws EngineFailure for a file that is not one of the images. */
  async giveImage(bytes: Uint8Array): Promise<string> {
    const { name } = await this.ask({ kind: 'image', bytes }, 'image-taken');
    this.images.push(bytes);
    return name;
  }

  cancel(): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.opening = undefined;
    this.generation++;
    const waiting = [...this.listeners.values()];
    this.listeners.clear();
    for (const { fail } of waiting) fail(new Cancelled('given up'));
  }

  private async openLog(): Promise<OpenedRecording> {
    const log = await placeOf(this.recording);
    const imageUrl = this.recording.place === 'server' || (await serverRecordings()) !== undefined ? serverImageUrl() : undefined;
    const { summary, marks } = await withParents(log, (place) => this.post({ kind: 'open', log: place, imageUrl }, 'opened'));
    for (const bytes of this.images) await this.post({ kind: 'image', bytes }, 'image-taken');
    return { summary, marks };
  }

  private post<K extends AnalysisEnd['kind']>(request: Asked, kind: K, onReply?: (reply: AnalysisReply) => void): Promise<Extract<AnalysisEnd, { kind: K }>> {
    const worker = (this.worker ??= this.start());
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.listeners.set(id, {
        fail: reject,
        reply: (reply) => {
          if (!isAnalysisEnd(reply)) return onReply?.(reply);
          this.listeners.delete(id);
          if (reply.kind === 'failed') reject(new EngineFailure(reply.failure));
          else if (reply.kind === kind) resolve(reply as Extract<AnalysisEnd, { kind: K }>);
          else reject(new Error(`${reply.kind} in answer to ${request.kind}`));
        },
      });
      worker.postMessage({ ...request, id });
    });
  }

  private start(): Worker {
    const worker = startWorker(analysisWorker, 'analysis-worker');
    worker.onmessage = ({ data }: MessageEvent<AnalysisReply>) => this.listeners.get(data.id)?.reply(data);
    worker.onerror = (event) => {
      event.preventDefault();
      const waiting = [...this.listeners.values()];
      this.listeners.clear();
      for (const { fail } of waiting) fail(new EngineFailure({ message: `the engine stopped: ${event.message || 'its worker could not be started'}`, advice: 'reload the page' }));
    };
    return worker;
  }
}

let shared: { readonly client: AnalysisClient; users: number } | undefined;

/** The pages of one recording share a worker. Each `borrow` is followed by `giveBack`. */
export function borrowClient(recording: RecordingPlace): AnalysisClient {
  if (shared === undefined || shared.client.recording.id !== recording.id || shared.client.recording.place !== recording.place) {
    const left = shared;
    shared = { client: new AnalysisClient(recording), users: 0 };
    if (left?.users === 0) left.client.cancel();
  }
  shared.users++;
  return shared.client;
}

export function giveBack(client: AnalysisClient): void {
  if (shared?.client !== client) return client.cancel();
  shared.users--;
  // The next page of the same recording comes in the same turn.
  setTimeout(() => {
    if (shared?.client !== client || shared.users > 0) return;
    shared = undefined;
    client.cancel();
  }, 1000);
}
