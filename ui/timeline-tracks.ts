/** The rows of the timeline, and how many events a pixel of one stands for: no DOM. */
import { KIND_COUNTS, KIND_DEVICE, KIND_DIGEST, KIND_DIRTY, KIND_END, KIND_EXIT, KIND_IDLE, KIND_INTERRUPT, type LogKind } from '../engine/log/events.ts';
import type { RingShares } from '../engine/protocol/events.ts';
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
  /** Dirty sets as a map of memory over time: where the guest writes. */
  | { readonly kind: 'heat'; readonly code: number; readonly name: LogKind }
  /** What the recorder says for its own sake: counts, digests, the end. */
  | { readonly kind: 'recorder'; readonly names: readonly LogKind[] }
  /** Part of what a kind has: a reason, a vector, a device, an amount. */
  | { readonly kind: 'detail'; readonly code: number; readonly track: string; readonly label: string }
  /** Hits of break- and watchpoints. */
  | { readonly kind: 'points' }
  | { readonly kind: 'notes' }
  /** The share of instructions that ran in ring 0. */
  | { readonly kind: 'ring' }
  /** System calls for each 1000 instructions; `most` is the highest rate, undefined while it is not known. */
  | { readonly kind: 'calls'; readonly most: number | undefined }
  /** Tasks of the guest. */
  | { readonly kind: 'tasks' }
  /** Cycles of a regime for each 1000 instructions. */
  | { readonly kind: 'costs'; readonly regime: string };

/** Stands for the recorder's own kinds among those that are open. */
export const RECORDER = -1;
const RECORDER_KINDS: readonly number[] = [KIND_COUNTS, KIND_DIGEST, KIND_END];

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
  readonly rings: RingShares | undefined;
  readonly hasTasks?: boolean;
  readonly costsOf?: string | undefined;
  /** Kinds whose parts are shown; RECORDER for those of the recorder. */
  readonly open: ReadonlySet<number>;
  /** Of the whole run: which parts there are. */
  readonly whole: WindowView | undefined;
}

export function trackRows({ counts, hasPoints, hasNotes, rings, hasTasks, costsOf, open, whole }: TracksAsked): readonly TrackRow[] {
  const rows: TrackRow[] = [];
  if (hasPoints) rows.push({ kind: 'points' });
  if (hasNotes) rows.push({ kind: 'notes' });
  // Their place is kept while the log is read: nothing on the page moves when they come.
  if ((counts?.counts ?? 0) > 0) {
    rows.push({ kind: 'ring' });
    const most = rings?.calls.reduce((highest, each) => Math.max(highest, each), 0);
    if (most !== 0) rows.push({ kind: 'calls', most });
  }
  if (hasTasks === true) rows.push({ kind: 'tasks' });
  if (costsOf !== undefined) rows.push({ kind: 'costs', regime: costsOf });
  const there = KIND_ORDER.filter((code) => (counts?.[kindName(code)] ?? 0) > 0);
  const ofRecorder = there.filter((code) => RECORDER_KINDS.includes(code));
  for (const code of there) {
    const name = kindName(code);
    if (ofRecorder[0] === code) rows.push({ kind: 'recorder', names: ofRecorder.map(kindName) });
    if (ofRecorder.includes(code) && !open.has(RECORDER)) continue;
    rows.push({ kind: code === KIND_DIRTY ? 'heat' : 'kind', code, name });
    if (open.has(code) && whole !== undefined) rows.push(...detailsOf(code, whole));
  }
  return rows;
}

/** Of the plain rows' height. */
export function linesOf(row: TrackRow): number {
  return row.kind === 'heat' ? 2 : 1;
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
  const begin = Math.max(0, Math.floor(view.from / bucket) - first);
  const over = Math.min(column.length, Math.ceil(view.to / bucket) - first);
  for (let i = begin; i < over; i++) {
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

/**
 * The window to ask for when `view` is shown in so many pixels: aligned and wider than the view, with buckets of a power of two, so that panning asks for another one
 * seldom and zooming once for each factor of two.
 */
export function windowAround(view: View, pixels: number, last: number): { readonly from: number; readonly to: number; readonly buckets: number } {
  const span = view.to - view.from;
  const shift = Math.max(0, Math.ceil(Math.log2(span / pixels)));
  const step = Math.max(2 ** shift, 2 ** Math.floor(Math.log2(span / 2)));
  const from = Math.max(0, (Math.floor(view.from / step) - 1) * step);
  const to = Math.min((Math.ceil(view.to / step) + 1) * step, Math.ceil((last + 1) / 2 ** shift) * 2 ** shift);
  return { from, to, buckets: Math.max(1, (to - from) / 2 ** shift) };
}

/** A track as pixels of a view: from `fine` where it reaches, from the window of the whole run where it does not yet. */
export function binWindows(track: string, fine: WindowView | undefined, whole: WindowView | undefined, view: View, width: number): Float64Array {
  const column = fine?.tracks.get(track);
  const bins = column === undefined || fine === undefined ? new Float64Array(width) : binWindow(column, fine, view, width);
  const coarse = whole?.tracks.get(track);
  if (whole === undefined || coarse === undefined) return bins;
  const reach = (at: number): number => Math.min(width, Math.max(0, Math.round(((at - view.from) / (view.to - view.from)) * width)));
  const from = fine === undefined ? width : reach(fine.first * 2 ** fine.shift);
  const to = fine === undefined ? width : reach((fine.first + fine.count) * 2 ** fine.shift);
  if (from === 0 && to === width) return bins;
  const rest = binWindow(coarse, whole, view, width);
  for (let x = 0; x < from; x++) bins[x] = rest[x];
  for (let x = to; x < width; x++) bins[x] = rest[x];
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
