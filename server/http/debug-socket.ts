/**
 * A debug session: the engine's TimeTravel in a thread of its own, as long as the socket is open. Requests are answered in order; `interrupt` at once. While many answers
 * wait for a slow reader, nothing more is read from it; progress is only told when there is room, and then the newest.
 */
import { Ajv } from 'ajv';
import type { WebSocket } from 'ws';
import type { DebugReply, DebugRequest, Problem } from '../../engine/protocol/lab.ts';
import { problemOf } from '../runs/problem.ts';
import type { RecordingData } from '../runs/recording.ts';
import type { ThreadPool } from '../runs/thread-pool.ts';
import type { DebugThreadNotice } from '../runs/debug-operations.ts';
import { DEBUG_REQUEST } from './schemas.ts';

/** Requests without an answer. */
const WAITING_MAX = 64;
const COMMAND_MS = 600_000;
/** Closed by us because the thread is gone. */
const CLOSE_BROKEN = 1011;

const isRequest = new Ajv({ allErrors: false, strict: false }).compile(DEBUG_REQUEST);

export interface DebugSocketOptions {
  readonly pool: ThreadPool;
  readonly data: RecordingData;
  readonly bytesMax: number;
  readonly onClosed: () => void;
}

export function serveDebug(socket: WebSocket, { pool, data, bytesMax, onClosed }: DebugSocketOptions): void {
  let waiting = 0;
  let newest: DebugThreadNotice | undefined;
  const hasRoom = (): boolean => socket.readyState === socket.OPEN && socket.bufferedAmount < bytesMax;
  const sent = (): void => {
    if (!hasRoom()) return;
    if (socket.isPaused) socket.resume();
    if (newest !== undefined) {
      const notice = newest;
      newest = undefined;
      sendText(JSON.stringify(notice));
    }
  };
  const sendText = (text: string): void => {
    if (socket.readyState !== socket.OPEN) return;
    socket.send(text, sent);
    if (!hasRoom()) socket.pause();
  };
  const send = (reply: Extract<DebugReply, { kind: 'failed' }>): void => sendText(JSON.stringify(reply));
  const thread = pool.start(
    data,
    (problem) => {
      if (problem === undefined) return;
      sendText(JSON.stringify({ kind: 'ended', problem }));
      socket.close(CLOSE_BROKEN, 'the session is over');
    },
    (notice) => {
      newest = notice as DebugThreadNotice;
      if (socket.bufferedAmount < bytesMax / 16) sent();
    },
  );

  const ask = async (request: DebugRequest): Promise<void> => {
    const { id, ...command } = request;
    waiting++;
    try {
      const result = (await thread.call('debug', command, { timeoutMs: COMMAND_MS })) as string;
      sendText(`{"kind":"done","id":${id},"result":${result}}`);
    } catch (error) {
      send({ kind: 'failed', id, problem: problemOf(error) });
    } finally {
      waiting--;
    }
  };

  socket.on('message', (message, isBinary) => {
    const request = isBinary ? undefined : parsed((message as Buffer).toString('utf8'));
    if (request === undefined || !isRequest(request)) {
      const { id } = (request ?? {}) as { id?: unknown };
      send({ kind: 'failed', id: typeof id === 'number' && Number.isSafeInteger(id) ? id : 0, problem: bad(isRequest.errors?.[0]?.message) });
      return;
    }
    const { id, op } = request as DebugRequest;
    if (waiting >= WAITING_MAX && op !== 'interrupt') send({ kind: 'failed', id, problem: { code: 'busy', message: `${WAITING_MAX} requests wait already`, advice: 'wait for their answers' } });
    else void ask(request as DebugRequest);
  });
  socket.on('close', () => {
    onClosed();
    void thread.terminate();
  });

  void (async () => {
    try {
      const result = (await thread.call('debug', { op: 'place' }, { timeoutMs: COMMAND_MS })) as string;
      sendText(`{"kind":"opened",${result.slice(1)}`);
    } catch (error) {
      sendText(JSON.stringify({ kind: 'ended', problem: problemOf(error) }));
      socket.close(CLOSE_BROKEN, 'the recording cannot be opened');
    }
  })();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function bad(detail: string | undefined): Problem {
  return { code: 'usage', message: `this is no request${detail === undefined ? '' : `: it ${detail}`}`, advice: 'send { id, op, ... } as JSON (engine/protocol/lab.ts, DebugRequest)' };
}
