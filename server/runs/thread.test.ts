import { parentPort } from 'node:worker_threads';
import { expect, it } from 'vitest';
import type { Problem } from '../../engine/protocol/lab.ts';
import { Thread } from './thread.ts';

/** A thread that answers by hand, as serve() does. */
const program = (body: string): URL =>
  new URL(`data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads';
    parentPort.on('message', ({ id, op, args }) => {
      const answer = (value) => parentPort.postMessage({ kind: 'value', id, value });
      ${body}
    });`)}`);

function start(body: string): { readonly thread: Thread; readonly closed: Promise<Problem | undefined> } {
  let thread: Thread | undefined;
  const closed = new Promise<Problem | undefined>((resolve) => (thread = new Thread({ program: program(body), data: undefined, heapMb: 64, onClosed: resolve })));
  return { thread: thread as Thread, closed };
}

it('answers, tells how far it is, and refuses', async () => {
  expect(parentPort).toBeNull();
  const { thread, closed } = start(`
    if (op === 'add') { parentPort.postMessage({ kind: 'progress', id, value: 1 }); answer(args.a + args.b); }
    else parentPort.postMessage({ kind: 'problem', id, problem: { code: 'usage', message: 'no ' + op } });`);
  const progress: unknown[] = [];
  expect(await thread.call('add', { a: 1, b: 2 }, { onProgress: (value) => progress.push(value) })).toBe(3);
  expect(progress).toEqual([1]);
  await expect(thread.call('divide', {})).rejects.toMatchObject({ problem: { code: 'usage', message: 'no divide' } });
  expect(thread.load).toBe(0);
  await thread.terminate();
  expect(await closed).toBeUndefined();
  await expect(thread.call('add', {})).rejects.toMatchObject({ problem: { code: 'thread-ended' } });
});

it('that hangs is ended when its time is over, and so is what waits behind', async () => {
  const { thread, closed } = start('for (;;);');
  const first = thread.call('hang', {}, { timeoutMs: 300 });
  const second = thread.call('wait', {});
  await expect(first).rejects.toMatchObject({ problem: { code: 'thread-timeout' } });
  await expect(second).rejects.toMatchObject({ problem: { code: 'thread-timeout' } });
  expect(await closed).toMatchObject({ code: 'thread-timeout' });
});

it('that dies says how', async () => {
  for (const [body, problem] of [
    ['throw new TypeError("planned")', { code: 'thread-failed', message: 'TypeError: planned' }],
    ['process.exit(9)', { code: 'thread-failed', message: 'the thread left with exit code 9' }],
    ['const all = []; for (;;) all.push(new Array(1e5).fill({}));', { code: 'thread-memory' }],
  ] as const) {
    const { thread, closed } = start(body);
    await expect(thread.call('do', {})).rejects.toMatchObject({ problem });
    expect(await closed).toMatchObject(problem);
    expect(thread.isClosed).toBe(true);
  }
});
