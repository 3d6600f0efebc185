/** What a verb gets from main.ts. */
import type { Arguments, VerbSpec } from './arguments.ts';
import type { Output } from './output.ts';
import type { Signals } from './signals.ts';

export interface Context {
  readonly out: Output;
  readonly err: Output;
  readonly signals: Signals;
}

export interface Verb {
  readonly spec: VerbSpec;
  /** Returns the exit code; throws what exit-codes.ts knows. */
  readonly run: (parsed: Arguments, context: Context) => Promise<number>;
}
