/**
 * Addresses inside the lab, in the hash so that the built folder works from anywhere:
 *
 *     #/                              recordings
 *     #/record                        a new recording
 *     #/record/NUMBER                 a run of the server, while it is recorded
 *     #/recording/ID?at=POSITION      one from the server; &from=&to= what the timeline shows, &panel= what is in front, &filter= and &kinds= of the events
 *     #/local/ID?at=POSITION          one kept in this browser
 *     #/recording/ID/PAGE?NAME=VALUE  what is analysed of it (ANALYSIS_PAGES), with the page's settings; also #/local/ID/PAGE
 */
export const ANALYSIS_PAGES = ['compare', 'profile', 'migration', 'bisect', 'diff', 'branches'] as const;
export type AnalysisPageName = (typeof ANALYSIS_PAGES)[number];

/** Characters of a filter that a link has. */
const FILTER_MAX = 200;

/** What a link to a run tells besides the position. */
export interface RunView {
  /** Positions that the timeline shows; undefined: all. */
  readonly window?: { readonly from: number; readonly to: number };
  readonly panel?: string;
  /** Of the events: words, and bit KIND_* of each kind. */
  readonly filter?: string;
  readonly kinds?: number;
}

export type Route =
  | { readonly kind: 'start' }
  /** run: one that goes on. */
  | { readonly kind: 'record'; readonly run?: string }
  | { readonly kind: 'run'; readonly place: 'server' | 'local'; readonly id: string; readonly at: number | undefined; readonly view?: RunView }
  | { readonly kind: 'analysis'; readonly page: AnalysisPageName; readonly place: 'server' | 'local'; readonly id: string; readonly query: Readonly<Record<string, string>> };

export function parseRoute(hash: string): Route {
  const [path, query] = hash.replace(/^#?\/?/, '').split('?', 2);
  const [first, second, third] = path.split('/');
  if (first === 'record') return /^\d{1,15}$/.test(second ?? '') ? { kind: 'record', run: second } : { kind: 'record' };
  if ((first === 'recording' || first === 'local') && second !== undefined && second !== '') {
    const at = Number(new URLSearchParams(query).get('at') ?? Number.NaN);
    let id: string;
    try {
      id = decodeURIComponent(second);
    } catch {
      return { kind: 'start' };
    }
    const page = ANALYSIS_PAGES.find((name) => name === third);
    if (page !== undefined) return { kind: 'analysis', page, place: first === 'local' ? 'local' : 'server', id, query: Object.fromEntries(new URLSearchParams(query)) };
    return { kind: 'run', place: first === 'local' ? 'local' : 'server', id, at: Number.isSafeInteger(at) && at >= 0 ? at : undefined, ...parseView(new URLSearchParams(query)) };
  }
  return { kind: 'start' };
}

export function formatRoute(route: Route): string {
  switch (route.kind) {
    case 'start':
      return '#/';
    case 'record':
      return route.run === undefined ? '#/record' : `#/record/${route.run}`;
    case 'run':
      return `#/${route.place === 'local' ? 'local' : 'recording'}/${encodeURIComponent(route.id)}${formatView(route.at, route.view)}`;
    case 'analysis': {
      const query = new URLSearchParams(route.query).toString();
      return `#/${route.place === 'local' ? 'local' : 'recording'}/${encodeURIComponent(route.id)}/${route.page}${query === '' ? '' : `?${query}`}`;
    }
    default:
      return route satisfies never;
  }
}

function parseView(query: URLSearchParams): { readonly view?: RunView } {
  const [from, to] = [Number(query.get('from') ?? Number.NaN), Number(query.get('to') ?? Number.NaN)];
  const panel = query.get('panel') ?? '';
  const filter = query.get('filter') ?? '';
  const kinds = query.get('kinds') ?? '';
  const view: RunView = {
    ...(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && to > from ? { window: { from, to } } : {}),
    ...(/^[a-z]+$/.test(panel) ? { panel } : {}),
    ...(filter.trim() !== '' && filter.length <= FILTER_MAX ? { filter } : {}),
    ...(/^\d{1,6}$/.test(kinds) ? { kinds: Number(kinds) } : {}),
  };
  return Object.keys(view).length === 0 ? {} : { view };
}

function formatView(at: number | undefined, { window, panel, filter, kinds }: RunView = {}): string {
  const parts = [...(at === undefined ? [] : [`at=${at}`]), ...(window === undefined ? [] : [`from=${Math.floor(window.from)}`, `to=${Math.ceil(window.to)}`]), ...(panel === undefined ? [] : [`panel=${panel}`]), ...(filter === undefined || filter.length > FILTER_MAX ? [] : [`filter=${encodeURIComponent(filter)}`]), ...(kinds === undefined ? [] : [`kinds=${kinds}`])];
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
