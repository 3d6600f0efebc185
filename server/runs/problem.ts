/** Errors as what a person is told. In threads, before they cross over: an Error loses its class there. */
import { ExpressionError } from '../../engine/debug/expression.ts';
import { StepError } from '../../engine/debug/steps.ts';
import { SymbolError } from '../../engine/debug/symbols.ts';
import { DivergedError, SeekError } from '../../engine/debug/time-travel.ts';
import type { Problem } from '../../engine/protocol/lab.ts';
import { failureOf } from '../cli/exit-codes.ts';
import { DebuggerError } from '../debugger/error.ts';
import { StoreError } from '../store/errors.ts';

/** A problem that is an answer: thrown in a thread, it arrives as it is. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;

  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.message, options);
    this.problem = problem;
  }
}

/** Codes that say that the request is wrong; all others say that what it is about cannot be used. */
export const REQUEST_CODES: ReadonlySet<string> = new Set(['usage', 'script', 'regime', 'seek', 'expression', 'debugger', 'range', 'guest-unknown', 'bad-settings']);
/** A bug. */
export const BUG_CODE = 'bug';

export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof SeekError) return { code: 'seek', message: error.message };
  if (error instanceof DivergedError) return { code: 'diverged', message: error.message, advice: '`chronovisor replay` says more' };
  if (error instanceof ExpressionError || error instanceof SymbolError) return { code: 'expression', message: error.message };
  if (error instanceof DebuggerError || error instanceof StepError) return { code: 'debugger', message: error.message };
  // A path is nobody's business but the operator's.
  if (error instanceof StoreError && error.code.startsWith('file')) return { code: error.code, message: 'a file of the store cannot be used', advice: 'look at the output of the server' };
  const failure = failureOf(error);
  if (failure !== undefined) return { code: failure.code, message: failure.message };
  if (error instanceof RangeError) return { code: 'range', message: error.message };
  return { code: BUG_CODE, message: error instanceof Error ? `${error.name}: ${error.message}` : String(error), advice: 'please report it' };
}
