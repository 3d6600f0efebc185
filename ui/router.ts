/**
 * Addresses inside the lab, in the hash so that the built folder works from anywhere:
 *
 *     #/                              recordings
 *     #/record                        a new recording
 *     #/recording/ID?at=POSITION      one from the server
 *     #/local/ID?at=POSITION          one kept in this browser
 */
export type Route =
  | { readonly kind: 'start' }
  | { readonly kind: 'record' }
  | { readonly kind: 'run'; readonly place: 'server' | 'local'; readonly id: string; readonly at: number | undefined };

export function parseRoute(hash: string): Route {
  const [path, query] = hash.replace(/^#?\/?/, '').split('?', 2);
  const [first, second] = path.split('/');
  if (first === 'record') return { kind: 'record' };
  if ((first === 'recording' || first === 'local') && second !== undefined && second !== '') {
    const at = Number(new URLSearchParams(query).get('at') ?? Number.NaN);
    let id: string;
    try {
      id = decodeURIComponent(second);
    } catch {
      return { kind: 'start' };
    }
    return { kind: 'run', place: first === 'local' ? 'local' : 'server', id, at: Number.isSafeInteger(at) && at >= 0 ? at : undefined };
  }
  return { kind: 'start' };
}

export function formatRoute(route: Route): string {
  switch (route.kind) {
    case 'start':
      return '#/';
    case 'record':
      return '#/record';
    case 'run':
      return `#/${route.place === 'local' ? 'local' : 'recording'}/${encodeURIComponent(route.id)}${route.at === undefined ? '' : `?at=${route.at}`}`;
    default:
      return route satisfies never;
  }
}
