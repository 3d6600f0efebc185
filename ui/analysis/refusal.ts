/** Something that a person can mend. */
import type { AnalysisFailure } from '../../engine/protocol/analysis.ts';

export class Refusal extends Error {
  readonly failure: AnalysisFailure;

  constructor(message: string, advice: string, more: Omit<AnalysisFailure, 'message' | 'advice'> = {}) {
    super(message);
    this.failure = { message, advice, ...more };
  }
}
