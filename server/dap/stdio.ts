/** The adapter on two streams: the client starts it as a program. */
import type { Readable, Writable } from 'node:stream';
import type { OpenOptions, Opened } from '../debugger/open.ts';
import { Adapter } from './adapter.ts';
import { MessageDecoder, encodeMessage } from './framing.ts';

export interface AdapterOptions {
  readonly input: Readable;
  readonly output: Writable;
  readonly turn: () => Promise<void>;
  /** The recording, if it is not to come with `launch`. */
  readonly program: string | undefined;
  /** Where to begin. */
  readonly at: string | undefined;
  /** Throws what says why not. */
  readonly open: (file: string, options: OpenOptions) => Opened;
  readonly log: (text: string) => void;
}

export interface RunningAdapter {
  /** Resolves when the client has gone, or has said so. */
  readonly ended: Promise<void>;
  stop(): void;
}

export function runAdapter({ input, output, turn, program, at, open, log }: AdapterOptions): RunningAdapter {
  const decoder = new MessageDecoder();
  let resolve = (): void => {};
  const ended = new Promise<void>((done) => (resolve = done));
  const adapter = new Adapter({ program, at, open, turn, log, send: (message) => void output.write(encodeMessage(message)), onEnd: () => finish() });
  let isFinished = false;
  const finish = (): void => {
    if (isFinished) return;
    isFinished = true;
    input.off('data', onData);
    input.pause();
    void adapter.close().then(() => {
      // After what is written. A pipe that is only paused would keep the process.
      output.write('', () => {
        input.destroy();
        resolve();
      });
    });
  };
  const onData = (bytes: Buffer): void => {
    for (const frame of decoder.push(bytes)) {
      if (frame.kind === 'message') adapter.receive(frame.value);
      else {
        log(`the client sent ${frame.reason}`);
        adapter.tell(`what the client sent is no message: ${frame.reason}`);
      }
    }
  };
  input.on('data', onData);
  input.once('end', finish);
  input.once('error', finish);
  // A client that is gone reads nothing.
  output.on('error', () => {
    finish();
    resolve();
  });
  return { ended, stop: finish };
}
