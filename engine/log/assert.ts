/** Stops on a bug, in production too: a log that is wrong is worse than none. Damage in a file is no bug; that is a LogError. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`engine/log: ${message}`);
}
