/** What a person asked of the debugger cannot be done: the message says why and what can. */
export class DebuggerError extends Error {
  override readonly name = 'DebuggerError';
}
