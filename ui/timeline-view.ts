/** What a timeline shows and where: no DOM, so that it can be tested without one. Positions are exact; only pixels are floats. */

/** Fewest instructions that fill the window. */
export const SPAN_MIN = 50;

export interface View {
  readonly from: number;
  readonly to: number;
}

export function clampView(from: number, span: number, last: number): View {
  const whole = Math.max(last, SPAN_MIN);
  const wide = Math.min(Math.max(span, SPAN_MIN), whole);
  const start = Math.min(Math.max(0, from), whole - wide);
  return { from: start, to: start + wide };
}

/** factor < 1 zooms in; `around` stays where it is. */
export function zoomView(view: View, factor: number, around: number, last: number): View {
  const span = (view.to - view.from) * factor;
  const share = (around - view.from) / (view.to - view.from);
  return clampView(around - Math.max(span, SPAN_MIN) * share, span, last);
}

export function panView(view: View, by: number, last: number): View {
  return clampView(view.from + by, view.to - view.from, last);
}

/** First index of an ascending column whose value is `at` or more. */
export function lowerBound(positions: ArrayLike<number>, count: number, at: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (positions[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A position on a ruler, with as many digits as its neighbour, a step away, needs to be another. */
export function tickText(at: number, step: number): string {
  const [unit, name] = at >= 1e9 ? [1e9, ' G'] : at >= 1e6 ? [1e6, ' M'] : at >= 1e4 ? [1e3, ' k'] : [1, ''];
  if (step < 1000 || unit === 1) return at.toLocaleString('en-US');
  return (at / unit).toFixed(Math.max(0, Math.ceil(Math.log10(unit / step) - 1e-9))) + name;
}

/** Round positions for a ruler, at most `most` of them. */
export function ticksOf(view: View, most: number): { readonly step: number; readonly ticks: readonly number[] } {
  const raw = (view.to - view.from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(Math.max(raw, 1)));
  const step = Math.max(1, [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw) ?? power * 10);
  const ticks: number[] = [];
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) ticks.push(at);
  return { step, ticks };
}
