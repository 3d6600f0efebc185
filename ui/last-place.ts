/** Where a person was last: kept in the browser, offered on the start page. */
import { type Route, parseRoute } from './router.ts';

const KEY = 'chronovisor-last-place';

export type Place = Extract<Route, { kind: 'run' | 'analysis' }>;

/** A hash that is no place in a recording is passed over. */
export function keepPlace(hash: string): void {
  const { kind } = parseRoute(hash);
  if (kind !== 'run' && kind !== 'analysis') return;
  try {
    localStorage.setItem(KEY, hash);
  } catch {
    // A private window: then there is nothing to go on with.
  }
}

export function lastPlace(): { readonly hash: string; readonly route: Place } | undefined {
  try {
    const hash = localStorage.getItem(KEY) ?? '';
    const route = parseRoute(hash);
    return route.kind === 'run' || route.kind === 'analysis' ? { hash, route } : undefined;
  } catch {
    return undefined;
  }
}
