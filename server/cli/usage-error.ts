/** The command line is wrong. The message says what, and what would be right. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  /** The verb whose help would tell more. */
  readonly verb: string | undefined;

  constructor(message: string, verb?: string) {
    super(message);
    this.verb = verb;
  }
}
