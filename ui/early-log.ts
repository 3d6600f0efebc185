/** The recording that the address names is opened before the pages are made: its worker reads while they are. Imported first. */
import type { LogEnd } from '../engine/protocol/events.ts';
import { LogClient } from './engine-client.ts';
import { serverLogUrl } from './library.ts';
import { parseRoute } from './router.ts';

export interface EarlyLog {
  readonly client: LogClient;
  readonly opened: Promise<LogEnd>;
}

let early: (EarlyLog & { readonly url: string }) | undefined;

const route = parseRoute(location.hash);
if (route.kind === 'run' && route.place === 'server') {
  const url = serverLogUrl(route.id);
  const client = new LogClient();
  const opened = client.once({ kind: 'open', log: { kind: 'url', url } });
  // Who takes it hears of a failure.
  opened.catch(() => undefined);
  early = { url, client, opened };
}

/** Once: who takes it closes it. Undefined: it was not begun. */
export function takeEarly(url: string): EarlyLog | undefined {
  const taken = early;
  early = undefined;
  if (taken === undefined || taken.url === url) return taken;
  taken.client.close();
  return undefined;
}
