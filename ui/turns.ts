/**
 * Long work in turns: `await turns.next()` lets the worker read its messages when the turn has lasted long enough. The clock decides when
 * the worker listens, never what the engine does.
 */
export const TURN_MS = 24;

export class Turns {
  private readonly channel = new MessageChannel();
  private readonly waiting: (() => void)[] = [];
  private since = performance.now();

  constructor() {
    this.channel.port1.onmessage = () => {
      this.since = performance.now();
      this.waiting.shift()?.();
    };
  }

  get isOver(): boolean {
    return performance.now() - this.since >= TURN_MS;
  }

  /** Unlike a timer this is not slowed down by the browser. */
  next(): Promise<void> {
    if (!this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.channel.port2.postMessage(undefined);
    });
  }
}
