/** Runs of the server: started over HTTP, followed by WebSocket. They go on when the page is closed. */
import { Observable } from 'rxjs';
import { decodeConsoleFrame } from '../../engine/protocol/console-frame.ts';
import type { LiveNotice, Problem, RunProgress, RunStatus } from '../../engine/protocol/lab.ts';
import type { Failure } from '../../engine/protocol/messages.ts';
import { EngineFailure } from '../engine-client.ts';
import { heldHere } from '../standalone/held.ts';
import type { RecordedRun, RunAsked, RunNews } from './recorded-run.ts';

export interface ServerGuest {
  readonly name: string;
  readonly state: 'ready' | 'to be fetched' | 'damaged';
  readonly description: string;
  readonly memoryBytes?: number;
  readonly commandLine?: string;
  /** It boots under this one only. */
  readonly regime?: string;
}

const RETRY_MS = 1000;
/** The server answers in a second or not at all. */
const RETRIES_MAX = 20;
/** As the server closes the socket of a run that is over. */
const CLOSE_NORMAL = 1000;

export async function answerOf<T>(response: Response): Promise<T> {
  const json = (await response.json().catch(() => undefined)) as (T & Partial<Problem>) | undefined;
  if (response.ok && json !== undefined) return json;
  throw new EngineFailure({ message: json?.message ?? `the server answered ${response.status}`, advice: json?.advice ?? 'check that the server still runs (npm start)' });
}

/** Undefined: there is no server, or it records nothing. */
export async function serverGuests(): Promise<readonly ServerGuest[] | undefined> {
  if (heldHere() !== undefined) return undefined;
  const response = await fetch('./api/v1/guests').catch(() => undefined);
  if (response?.ok !== true || response.headers.get('content-type')?.includes('json') !== true) return undefined;
  const { guests, canRecord } = (await response.json()) as { guests: readonly ServerGuest[]; canRecord: boolean };
  return canRecord ? guests : undefined;
}

/** Those that go on now; none without a server. */
export async function serverRuns(): Promise<readonly RunStatus[]> {
  if (heldHere() !== undefined) return [];
  const response = await fetch('./api/v1/runs').catch(() => undefined);
  if (response?.ok !== true || response.headers.get('content-type')?.includes('json') !== true) return [];
  const { runs } = (await response.json()) as { runs: readonly RunStatus[] };
  return runs.filter(({ state }) => state === 'starting' || state === 'running');
}

/** Throws EngineFailure. */
export async function startOnServer({ guest, commandLine, memoryBytes, regime, script }: RunAsked): Promise<RecordedRun> {
  const seed = `0x${crypto.getRandomValues(new BigUint64Array(1))[0].toString(16)}`;
  const body = { guest, commandLine, memoryBytes, regime, seed, ...(script !== '' && { script }) };
  const response = await fetch('./api/v1/runs', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }).catch((error: unknown) => {
    throw new EngineFailure({ message: `the server cannot be reached: ${error instanceof Error ? error.message : String(error)}`, advice: 'check that it still runs (npm start)' });
  });
  return new ServerRun((await answerOf<RunStatus>(response)).id);
}

/** The socket's address: beside this page, wherever that is served from. */
function liveUrl(id: string, from: number): string {
  const url = new URL(`./api/v1/runs/${encodeURIComponent(id)}/live?from=${from}`, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = '';
  return url.href;
}

export class ServerRun implements RecordedRun {
  readonly id: string;
  readonly news: Observable<RunNews>;
  private socket: WebSocket | undefined;

  constructor(id: string) {
    this.id = id;
    this.news = new Observable((subscriber) => {
      /** Console bytes that were taken. */
      let at = 0;
      let retries = 0;
      let timer: ReturnType<typeof setTimeout> | undefined;
      let status: RunStatus | undefined;
      const end = (news: RunNews): void => {
        subscriber.next(news);
        subscriber.complete();
      };
      const progress = ({ position, logBytes, readableBytes, isIdle, mips }: RunProgress): void => subscriber.next({ kind: 'progress', position, logBytes, keptBytes: readableBytes, isIdle, mips });
      const hear = (notice: LiveNotice): void => {
        switch (notice.kind) {
          case 'status':
            status = notice.run;
            return progress(status.progress);
          case 'progress':
            return progress(notice.progress);
          case 'gap':
            at = notice.to;
            return subscriber.next({ kind: 'notice', text: `this page was too slow for ${notice.to - notice.from} bytes of the console; the recording has them` });
          case 'problem':
            return subscriber.next({ kind: 'notice', text: notice.problem.message });
          default:
            return notice satisfies never;
        }
      };
      const over = (): void => {
        if (status?.state === 'ended' && status.recording !== undefined) end({ kind: 'ended', place: 'server', id: status.recording, problem: undefined, movedTo: status.end?.cause === 'moved' ? status.migration?.settings.to : undefined });
        else end({ kind: 'failed', failure: failureOf(status?.problem), recording: status?.recording });
      };
      const follow = (): void => {
        const socket = new WebSocket(liveUrl(id, at));
        socket.binaryType = 'arraybuffer';
        this.socket = socket;
        socket.onopen = () => (retries = 0);
        socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
          if (typeof data === 'string') return hear(JSON.parse(data) as LiveNotice);
          const frame = decodeConsoleFrame(new Uint8Array(data));
          if (frame === undefined) return;
          at = frame.from + frame.bytes.length;
          subscriber.next({ kind: 'console', bytes: frame.bytes });
        };
        socket.onclose = ({ code }) => {
          if (subscriber.closed) return;
          if (code === CLOSE_NORMAL || status?.state === 'ended' || status?.state === 'failed') return over();
          if (++retries > RETRIES_MAX) return end({ kind: 'failed', failure: { message: 'The server does not answer any more', advice: 'start it again (npm start): what was recorded is among the recordings' }, recording: undefined });
          if (retries === 2) subscriber.next({ kind: 'notice', text: 'the connection to the server was lost; trying again' });
          timer = setTimeout(follow, RETRY_MS);
        };
      };
      follow();
      return () => {
        clearTimeout(timer);
        this.socket?.close();
      };
    });
  }

  type(bytes: Uint8Array): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(bytes as Uint8Array<ArrayBuffer>);
  }
  stop(): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ kind: 'stop' }));
  }
}

function failureOf(problem: Problem | undefined): Failure {
  return { message: problem?.message ?? 'The run is not known to the server any more', advice: problem?.advice ?? 'what was written of it is among the recordings' };
}
