/** What a server says of a request that it refuses, for people. */
import type { Problem } from '../engine/protocol/lab.ts';

/** Undefined: it did what was asked. No response: it was not there. */
export async function problemOf(response: Response | undefined): Promise<string | undefined> {
  if (response?.ok === true) return undefined;
  if (response === undefined) return 'The server cannot be reached: check that it still runs (npm start)';
  const { message, advice } = ((await response.json().catch(() => ({}))) as Partial<Problem>) ?? {};
  return message === undefined ? `The server answered ${response.status}` : `${message}${advice === undefined ? '' : `: ${advice}`}`;
}
