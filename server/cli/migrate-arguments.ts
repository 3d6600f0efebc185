/** Arguments that `migrate --live` has for every guest. */
import { type Place, parseTarget } from '../migration/leaving.ts';
import type { Arguments } from './arguments.ts';
import { UsageError } from './usage-error.ts';

/** --to */
export function targetOf(parsed: Arguments): Place & { readonly text: string } {
  const text = parsed.text('to');
  if (text === undefined) throw new UsageError('give --to HOST:PORT', 'migrate');
  const place = parseTarget(text);
  if (place === undefined) throw parsed.wrong('to', text, 'HOST:PORT, such as 127.0.0.1:4444');
  return { ...place, text };
}
export function speedOf(parsed: Arguments): number | undefined {
  const text = parsed.text('speed');
  if (text === undefined) return undefined;
  if (!(Number(text) > 0)) throw parsed.wrong('speed', text, "a number above 0: seconds of the guest's time in a second of the wall");
  return Number(text);
}
