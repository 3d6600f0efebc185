/** Something that a person can mend, as a worker tells it. */
import type { Failure } from '../engine/protocol/messages.ts';

export class Refusal extends Error {
  readonly failure: Failure;

  constructor(message: string, advice: string, more: Omit<Failure, 'message' | 'advice'> = {}) {
    super(message);
    this.failure = { message, advice, ...more };
  }
}
