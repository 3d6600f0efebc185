/**
 * One reader of a live run. Nothing is queued for it: it has a place in the console's ring, and what it is told of progress is the newest. A reader that is slow gets
 * larger pieces less often; one that falls off the ring is told what it missed.
 */
import type { WebSocket } from 'ws';
import { encodeConsoleFrame } from '../../engine/protocol/console-frame.ts';
import type { LiveCommand, LiveNotice, Problem } from '../../engine/protocol/lab.ts';
import { problemOf } from '../runs/problem.ts';
import type { Run } from '../runs/runs.ts';
import type { Metrics } from './metrics.ts';

const FRAME_BYTES = 64 << 10;
const MARK_LENGTH_MAX = 200;
const STOPPED_BY = 'stopped by a person in the lab';
/** Closed by us because the run is over. */
const CLOSE_NORMAL = 1000;

export interface LiveOptions {
  /** Number of the first console byte that is wanted. */
  readonly from: number;
  /** Bytes that may wait in the socket. */
  readonly bytesMax: number;
  readonly metrics: Metrics;
}

/** What a reader sees of a run. */
export type FollowedRun = Pick<Run, 'console' | 'status' | 'isOver' | 'listeners' | 'tell'>;

export function serveLive(socket: WebSocket, run: FollowedRun, { from, bytesMax, metrics }: LiveOptions): void {
  let at = Math.min(from, run.console.end);
  let toldState = '';
  let toldProgress: unknown;
  const send = (notice: LiveNotice): void => socket.send(JSON.stringify(notice), pump);
  const hasRoom = (): boolean => socket.readyState === socket.OPEN && socket.bufferedAmount < bytesMax;

  function pump(): void {
    const { status } = run;
    while (hasRoom() && at < run.console.end) {
      const { begin } = run.console;
      if (at < begin) {
        metrics.gapBytes += begin - at;
        send({ kind: 'gap', from: at, to: begin });
        at = begin;
      }
      const bytes = run.console.read(at, FRAME_BYTES);
      socket.send(encodeConsoleFrame({ from: at, bytes }), { binary: true }, pump);
      at += bytes.length;
    }
    if (!hasRoom()) return;
    const state = `${status.state} ${status.problem?.message ?? ''}`;
    if (state !== toldState) {
      toldState = state;
      toldProgress = status.progress;
      send({ kind: 'status', run: status });
    } else if (status.progress !== toldProgress) {
      toldProgress = status.progress;
      send({ kind: 'progress', progress: status.progress });
    }
    if (run.isOver && at >= run.console.end) socket.close(CLOSE_NORMAL, 'the run is over');
  }

  socket.on('message', (data, isBinary) => {
    try {
      if (isBinary) run.tell({ kind: 'input', bytes: new Uint8Array(data as Buffer) });
      else command((data as Buffer).toString('utf8'));
    } catch (error) {
      if (hasRoom()) send({ kind: 'problem', problem: problemOf(error) });
    }
  });

  function command(text: string): void {
    const asked = liveCommand(text);
    if ('problem' in asked) {
      if (hasRoom()) send({ kind: 'problem', problem: asked.problem });
      return;
    }
    if (asked.kind === 'stop') run.tell({ kind: 'stop', detail: STOPPED_BY });
    else if (asked.kind === 'mark') run.tell({ kind: 'mark', name: asked.name });
    else run.tell({ kind: 'input', bytes: new TextEncoder().encode(asked.text) });
  }

  run.listeners.add(pump);
  socket.on('close', () => run.listeners.delete(pump));
  pump();
}

function liveCommand(text: string): LiveCommand | { readonly problem: Problem } {
  const bad = (message: string): { readonly problem: Problem } => ({ problem: { code: 'usage', message, advice: 'send { kind: "input", text }, { kind: "mark", name } or { kind: "stop" }, or bytes to type' } });
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return bad('this is not JSON');
  }
  const { kind, text: typed, name } = (typeof message === 'object' && message !== null ? message : {}) as { kind?: unknown; text?: unknown; name?: unknown };
  if (kind === 'stop') return { kind };
  if (kind === 'input' && typeof typed === 'string') return { kind, text: typed };
  if (kind === 'mark' && typeof name === 'string' && name !== '' && name.length <= MARK_LENGTH_MAX) return { kind, name };
  return bad('this is no command for a run');
}
