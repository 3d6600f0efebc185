/** SIGINT, SIGTERM and SIGHUP as a flag that loops look at. A second signal ends the process at once. */
import { exitCode } from './exit-codes.ts';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

const SIGNALS: Readonly<Record<StopSignal, 'interrupted' | 'terminated' | 'hangup'>> = { SIGINT: 'interrupted', SIGTERM: 'terminated', SIGHUP: 'hangup' };

export function signalStatus(signal: StopSignal): number {
  return exitCode(SIGNALS[signal]);
}

export class Signals {
  /** The first that came. */
  received: StopSignal | undefined;
  /** Called when one comes, for waits that it is to end. */
  onSignal: (() => void) | undefined;
  /** Called before the process ends at once. */
  onAbort: (() => void) | undefined;
  private readonly handlers: readonly (readonly [StopSignal, () => void])[];

  constructor() {
    this.handlers = (Object.keys(SIGNALS) as StopSignal[]).map((signal) => [signal, () => this.receive(signal)] as const);
    for (const [signal, handler] of this.handlers) process.on(signal, handler);
  }

  /** Work that does not let the event loop run, or not for long: signals end the process as if nobody had asked for them. */
  letThrough<T>(work: () => T): T {
    const listen = (): void => {
      for (const [signal, handler] of this.handlers) process.on(signal, handler);
    };
    this.close();
    let result: T | undefined;
    try {
      result = work();
      return result instanceof Promise ? (result.finally(listen) as T) : result;
    } finally {
      if (!(result instanceof Promise)) listen();
    }
  }

  close(): void {
    for (const [signal, handler] of this.handlers) process.off(signal, handler);
  }

  private receive(signal: StopSignal): void {
    if (this.received !== undefined) {
      this.onAbort?.();
      process.exit(signalStatus(signal));
    }
    this.received = signal;
    this.onSignal?.();
  }
}
