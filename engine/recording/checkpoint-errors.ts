/** Why checkpoints that were kept cannot be used. They are never needed: whoever meets this goes on without, or makes them anew. */
export type CheckpointProblem =
  /** Bytes are not what was written. */
  | 'damaged'
  /** Of another log, or of a log that has changed. */
  | 'foreign'
  /** Of another version of the machine or of the format. */
  | 'version';

export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly problem: CheckpointProblem;

  constructor(problem: CheckpointProblem, detail: string, options?: ErrorOptions) {
    super(`the checkpoints cannot be used: ${detail}`, options);
    this.problem = problem;
  }
}
