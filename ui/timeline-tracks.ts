/** The rows of the timeline, and how many events a pixel of one stands for: no DOM. */
import { KIND_DEVICE, KIND_DIRTY, KIND_EXIT, KIND_IDLE, KIND_INTERRUPT, type LogKind } from '../engine/log/events.ts';
import { KIND_ORDER, kindName } from './kinds.ts';
import { type View, lowerBound } from './timeline-view.ts';

/** Counts by bucket of positions, as the worker's pyramid has them. */
export interface WindowView {
  /** Instructions of a bucket: 2^shift. */
  readonly shift: number;
  readonly first: number;
  readonly count: number;
  readonly tracks: ReadonlyMap<string, Float64Array>;
}

export type TrackRow =
  | { readonly kind: 'kind'; readonly code: number; readonly name: LogKind }
  /** Part of what a kind has: a reason, a vector, a device, an amount. */
  | { readonly kind: 'detail'; readonly code: number; readonly track: string; readonly label: string }
  /** Hits of break- and watchpoints. */
  | { readonly kind: 'points' }
  | { readonly kind: 'notes' }
  /** The share of instructions that ran in ring 0. */
  | { readonly kind: 'ring' };

/** Of one kind; what is rarer is in the row of the kind only. */
const DETAILS_MAX = 6;

const PREFIXES: readonly (readonly [code: number, prefix: string])[] = [[KIND_EXIT, 'exit:'], [KIND_INTERRUPT, 'interrupt:'], [KIND_DEVICE, 'device:']]; // prettier-ignore
const AMOUNTS: readonly (readonly [code: number, track: string, label: string])[] = [
  [KIND_DIRTY, 'dirty-pages', 'pages'], [KIND_IDLE, 'idle-ns', 'idle ns'],
]; // prettier-ignore

export interface TracksAsked {
  readonly counts: Readonly<Record<LogKind, number>> | undefined;
  readonly hasPoints: boolean;
  readonly hasNotes: boolean;
  readonly hasRings: boolean;
  /** Kinds whose parts are shown. */
  readonly open: ReadonlySet<number>;
  /** Of the whole run: which parts there are. */
  readonly whole: WindowView | undefined;
}

export function trackRows({ counts, hasPoints, hasNotes, hasRings, open, whole }: TracksAsked): readonly TrackRow[] {
  const rows: TrackRow[] = [];
  if (hasPoints) rows.push({ kind: 'points' });
  if (hasNotes) rows.push({ kind: 'notes' });
  if (hasRings) rows.push({ kind: 'ring' });
  for (const code of KIND_ORDER) {
    const name = kindName(code);
    if ((counts?.[name] ?? 0) === 0) continue;
    rows.push({ kind: 'kind', code, name });
    if (open.has(code) && whole !== undefined) rows.push(...detailsOf(code, whole));
  }
  return rows;
}

export function hasDetails(code: number): boolean {
  return PREFIXES.some(([each]) => each === code) || AMOUNTS.some(([each]) => each === code);
}

function detailsOf(code: number, { tracks }: WindowView): readonly TrackRow[] {
  const prefix = PREFIXES.find(([each]) => each === code)?.[1];
  const parts = prefix === undefined ? [] : [...tracks].filter(([track]) => track.startsWith(prefix)).map(([track, column]) => ({ track, label: track.slice(prefix.length), total: column.reduce((sum, each) => sum + each, 0) }));
  const most = parts.sort((a, b) => b.total - a.total).slice(0, DETAILS_MAX);
  const amounts = AMOUNTS.filter(([each, track]) => each === code && tracks.has(track)).map(([, track, label]) => ({ track, label }));
  return [...most, ...amounts].map(({ track, label }) => ({ kind: 'detail', code, track, label: code === KIND_INTERRUPT ? `vector ${label}` : label }));
}

/** A column of a window as pixels of a view: the sum of the buckets that begin in each; a bucket wider than a pixel fills all of its pixels. */
export function binWindow(column: Float64Array, { shift, first }: WindowView, view: View, width: number): Float64Array {
  const bins = new Float64Array(width);
  const scale = width / (view.to - view.from);
  const bucket = 2 ** shift;
  for (let i = 0; i < column.length; i++) {
    if (column[i] === 0) continue;
    const from = ((first + i) * bucket - view.from) * scale;
    const to = from + bucket * scale;
    if (to <= 0 || from >= width) continue;
    const start = Math.max(0, Math.floor(from));
    const end = Math.max(start + 1, Math.min(width, Math.floor(to)));
    for (let x = start; x < end && x < width; x++) bins[x] += column[i];
  }
  return bins;
}

/** 1 where any of the ascending positions is. Costs a search a pixel, however many there are. */
export function binPositions(positions: Float64Array, view: View, width: number): Float64Array {
  const bins = new Float64Array(width);
  const step = (view.to - view.from) / width;
  let from = lowerBound(positions, positions.length, view.from);
  for (let x = 0; x < width; x++) {
    const to = lowerBound(positions, positions.length, view.from + (x + 1) * step);
    bins[x] = to - from;
    from = to;
  }
  return bins;
}
