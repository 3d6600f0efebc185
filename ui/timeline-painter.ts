/** What the timeline is painted with: places, colours and shapes on a canvas. Knows tracks by their rows only, and no model. */
import type { DirtyHeat } from '../engine/protocol/events.ts';
import type { View } from './timeline-view.ts';
import { lowerBound } from './timeline-view.ts';

/** Sizes in rem. */
export const GUTTER = 9.8;
export const RULER = 1.9;
export const TRACK = 1.5;
export const STRIP = 1.9;
export const PAD = 0.5;
const WIDTHS_MAX = 2000;
const HEADS_MAX = 200;

/** Custom properties of the page, looked up once. */
export class Palette {
  readonly rem: number;
  private readonly root = getComputedStyle(document.documentElement);
  private readonly known = new Map<string, string>();
  private readonly widths = new Map<string, number>();
  /** One for all frames. */
  heat: HTMLCanvasElement | undefined;
  private readonly most = new WeakMap<Float64Array, number>();
  /** Names of rows, by what they say. */
  readonly heads = new Map<string, HTMLCanvasElement>();
  /** The strip of the whole run as it was painted last. */
  strip: { readonly column: Float64Array; readonly height: number; readonly picture: HTMLCanvasElement } | undefined;

  constructor() {
    this.rem = Number.parseFloat(this.root.fontSize);
  }
  get(name: string): string {
    let value = this.known.get(name);
    if (value === undefined) {
      value = this.root.getPropertyValue(`--${name}`).trim();
      this.known.set(name, value);
    }
    return value;
  }
  /** Of a column that does not change; at least 1. */
  mostOf(column: Float64Array): number {
    let most = this.most.get(column);
    if (most === undefined) this.most.set(column, (most = column.reduce((highest, each) => Math.max(highest, each), 1)));
    return most;
  }
  /** Of a text in the context's font. */
  width(context: CanvasRenderingContext2D, text: string): number {
    const key = `${context.font}|${text}`;
    let width = this.widths.get(key);
    if (width === undefined) {
      if (this.widths.size > WIDTHS_MAX) this.widths.clear();
      width = context.measureText(text).width;
      this.widths.set(key, width);
    }
    return width;
  }
}

/** A stretch with a name, such as a task that runs. */
export interface NamedSpan {
  readonly from: number;
  readonly to: number;
  readonly name: string;
  /** Of the palette. */
  readonly colour: string;
}

export interface Arrow {
  readonly from: number;
  readonly to: number;
  /** Where what it leads to is over; undefined: not in the recording. */
  readonly until: number | undefined;
  readonly name: string;
}

export class TimelinePainter {
  readonly rem: number;
  readonly gutter: number;
  /** Width of the part with positions, pixels. */
  readonly plot: number;
  readonly binWidth: number;
  readonly bins: number;
  readonly rulerHeight: number;
  readonly context: CanvasRenderingContext2D;
  private readonly view: View;
  private readonly palette: Palette;
  private readonly scale: number;

  constructor(context: CanvasRenderingContext2D, palette: Palette, view: View, width: number) {
    this.context = context;
    this.palette = palette;
    this.view = view;
    this.rem = palette.rem;
    this.gutter = Math.round(GUTTER * this.rem);
    this.plot = Math.max(1, width - this.gutter - Math.round(PAD * this.rem));
    this.binWidth = Math.max(1, Math.round(this.rem / 8));
    this.bins = Math.ceil(this.plot / this.binWidth);
    this.rulerHeight = Math.round(RULER * this.rem);
    this.scale = this.plot / (view.to - view.from);
  }

  x(position: number): number {
    return this.gutter + (position - this.view.from) * this.scale;
  }
  colour(name: string): string {
    return this.palette.get(name);
  }
  get text(): string {
    return `${0.85 * this.rem}px ${this.colour('sans')}`;
  }
  get small(): string {
    return `${0.78 * this.rem}px ${this.colour('mono')}`;
  }
  top(index: number): number {
    return this.rulerHeight + Math.round(TRACK * this.rem * index);
  }

  line(x0: number, y0: number, x1: number, y1: number, colour: string): void {
    const { context } = this;
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
  }

  /** tag: a position whose tag will stand over it, with what that says; labels make room for it. */
  ruler(ticks: readonly number[], label: (at: number) => string, bottom: number, tag?: { readonly at: number; readonly label: string }): void {
    const { context, gutter, plot, rem, rulerHeight } = this;
    context.font = this.small;
    context.fillStyle = this.colour('muted');
    const covered = tag === undefined ? undefined : this.tagBox(this.x(tag.at), tag.label);
    for (const at of ticks) {
      const x = Math.round(this.x(at)) + 0.5;
      this.line(x, rulerHeight - 0.3 * rem, x, bottom, this.colour('line'));
      const text = label(at);
      const width = this.palette.width(context, text);
      const left = Math.min(Math.max(x - width / 2, gutter), gutter + plot - width);
      if (covered !== undefined && left + width > covered.left && left < covered.left + covered.width) continue;
      context.fillText(text, left, rulerHeight / 2 - 0.1 * rem);
    }
    context.font = this.text;
    context.fillText('instructions', 0.8 * rem, rulerHeight / 2 - 0.1 * rem);
  }

  /** Name and number of a row. Text is dear without a graphics card, so a row's is kept as a picture. */
  head(top: number, bottom: number, ink: string, label: string, number: string, isDetail: boolean): void {
    const { palette, gutter } = this;
    const height = bottom - top;
    const key = `${ink}|${label}|${number}|${isDetail}|${height}`;
    let picture = palette.heads.get(key);
    if (picture === undefined) {
      if (palette.heads.size > HEADS_MAX) palette.heads.clear();
      picture = this.headPicture(height, ink, label, number, isDetail);
      palette.heads.set(key, picture);
    }
    this.context.drawImage(picture, 0, top + 1, gutter, height - 1);
  }

  private headPicture(height: number, ink: string, label: string, number: string, isDetail: boolean): HTMLCanvasElement {
    const { gutter, rem, palette } = this;
    const picture = document.createElement('canvas');
    const scale = devicePixelRatio;
    picture.width = Math.round(gutter * scale);
    picture.height = Math.round((height - 1) * scale);
    const context = picture.getContext('2d', { alpha: false })!;
    context.setTransform(scale, 0, 0, scale, 0, -scale);
    context.textBaseline = 'middle';
    const middle = height / 2;
    context.fillStyle = this.colour('panel');
    context.fillRect(0, 0, gutter, height);
    context.fillStyle = ink;
    if (!isDetail) context.fillRect(0.8 * rem, middle - 0.3 * rem, 0.6 * rem, 0.6 * rem);
    context.font = this.small;
    const taken = palette.width(context, number);
    context.font = isDetail ? this.small : this.text;
    context.fillStyle = this.colour(isDetail ? 'muted' : 'text');
    const left = (isDetail ? 2.3 : 1.8) * rem;
    let shown = label;
    while (shown.length > 2 && left + palette.width(context, shown) > gutter - 1.1 * rem - taken) shown = `${shown.slice(0, -2)}…`;
    context.fillText(shown, left, middle + 0.03 * rem);
    context.font = this.small;
    context.fillStyle = this.colour('muted');
    context.fillText(number, gutter - 0.8 * rem - taken, middle + 0.03 * rem);
    return picture;
  }

  /** Heights by logarithm: one event among thousands is seen. */
  bars(top: number, bottom: number, ink: string, column: ArrayLike<number>): void {
    const { context, rem, binWidth, gutter, bins } = this;
    const room = bottom - top - 0.5 * rem;
    const least = 0.25 * rem;
    const floor = Math.round(bottom - 0.25 * rem);
    let most = 1;
    for (let i = 0; i < bins; i++) if (column[i] > most) most = column[i];
    const scale = room / Math.log1p(most);
    context.fillStyle = ink;
    for (let i = 0; i < bins; ) {
      const count = column[i];
      if (count === 0) {
        i++;
        continue;
      }
      // Neighbours of one height are one rectangle.
      let end = i + 1;
      while (end < bins && column[end] === count) end++;
      // Whole pixels are painted faster.
      const bar = Math.round(Math.max(least, scale * Math.log1p(count)));
      context.fillRect(gutter + i * binWidth, floor - bar, (end - i) * binWidth, bar);
      i = end;
    }
  }

  /** Steps of an amount from positions[i] to positions[i + 1]; several in a pixel are drawn as their largest. */
  steps(top: number, bottom: number, ink: string, positions: Float64Array, amounts: Float64Array, most: number): void {
    const { context, gutter, plot, rem } = this;
    const { from, to } = this.view;
    const room = bottom - top - 0.4 * rem;
    context.fillStyle = ink;
    let right = gutter;
    let height = 0;
    for (let i = Math.max(0, lowerBound(positions, positions.length, from) - 1); i < amounts.length && positions[i] < to; i++) {
      const start = Math.max(gutter, this.x(positions[i]));
      const end = Math.min(gutter + plot, this.x(positions[i + 1]));
      height = Math.max(height, room * Math.min(1, amounts[i] / most));
      if (end - right < 0.75 && i + 1 < amounts.length && positions[i + 1] < to) continue;
      if (end > right && height > 0) context.fillRect(Math.min(start, right), bottom - 0.2 * rem - height, Math.max(0.5, end - Math.min(start, right)), height);
      right = end;
      height = 0;
    }
  }

  /** Memory upward, time to the right; what is written most in an epoch is darkest, by logarithm. */
  heat(top: number, bottom: number, ink: string, { positions, ranges, values }: DirtyHeat): void {
    const { context, palette, bins, binWidth, gutter, plot, view } = this;
    const picture = (palette.heat ??= document.createElement('canvas'));
    if (picture.width !== bins) picture.width = bins;
    if (picture.height !== ranges) picture.height = ranges;
    const own = picture.getContext('2d')!;
    const cells = own.createImageData(bins, ranges);
    const most = Math.log1p(palette.mostOf(values));
    const [red, green, blue] = rgbOf(own, ink);
    const step = (view.to - view.from) / bins;
    let stretch = Math.max(0, lowerBound(positions, positions.length, view.from) - 1);
    for (let x = 0; x < bins && stretch < positions.length - 1; x++) {
      const to = view.from + (x + 1) * step;
      for (let range = 0; range < ranges; range++) {
        let value = 0;
        // What begins and ends within a pixel is in it, too.
        for (let i = stretch; i < positions.length - 1 && positions[i] < to; i++) value = Math.max(value, values[i * ranges + range]);
        if (value === 0) continue;
        const at = 4 * ((ranges - 1 - range) * bins + x);
        cells.data[at] = red;
        cells.data[at + 1] = green;
        cells.data[at + 2] = blue;
        cells.data[at + 3] = 70 + (185 * Math.log1p(value)) / most;
      }
      while (stretch < positions.length - 1 && positions[stretch + 1] <= to) stretch++;
    }
    own.putImageData(cells, 0, 0);
    context.save();
    context.beginPath();
    context.rect(gutter, top, plot, bottom - top);
    context.clip();
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, gutter, top + 2, bins * binWidth, bottom - top - 3);
    context.restore();
  }

  /** The row that keys are about. */
  chosen(top: number, bottom: number): void {
    this.context.fillStyle = this.colour('accent');
    this.context.fillRect(0, top + 1, 0.25 * this.rem, bottom - top - 1);
  }

  /** Stretches, with their names where there is room. */
  spans(top: number, bottom: number, spans: readonly NamedSpan[]): void {
    const { context, gutter, plot, rem } = this;
    context.font = this.small;
    const y = top + 0.2 * rem;
    const height = bottom - top - 0.4 * rem;
    let covered = gutter;
    for (const { from, to, name, colour } of spans) {
      if (to <= this.view.from || from >= this.view.to) continue;
      const left = Math.max(gutter, this.x(from));
      const right = Math.min(gutter + plot, this.x(to));
      if (right - covered < 0.5) continue;
      covered = right;
      context.fillStyle = this.colour(colour);
      context.fillRect(left, y, Math.max(0.5, right - left - (right - left > 3 ? 0.5 : 0)), height);
      if (right - left < 2.4 * rem) continue;
      context.fillStyle = this.colour('panel');
      this.clipped(name, left + 0.3 * rem, y + height / 2 + 0.03 * rem, right - left - 0.6 * rem);
    }
  }

  /** From where something is asked for to where it begins, and how long it lasts. */
  arrows(top: number, bottom: number, ink: string, arrows: readonly Arrow[]): void {
    const { context, gutter, plot, rem } = this;
    const high = top + 0.42 * rem;
    const low = bottom - 0.42 * rem;
    context.save();
    context.beginPath();
    context.rect(gutter, top, plot, bottom - top);
    context.clip();
    context.font = this.small;
    for (const { from, to, until, name } of arrows) {
      const x0 = this.x(from);
      const x1 = this.x(to);
      const end = until === undefined ? x1 : this.x(until);
      context.fillStyle = ink;
      context.globalAlpha = 0.3;
      context.fillRect(x1, low - 0.18 * rem, Math.max(1, end - x1), 0.36 * rem);
      context.globalAlpha = 1;
      context.strokeStyle = ink;
      context.lineWidth = 1.2;
      context.beginPath();
      context.moveTo(x0, high);
      context.lineTo(x1, low);
      // The end of what it led to goes back up to what was interrupted.
      if (until !== undefined) context.lineTo(end, low);
      if (until !== undefined && end - x1 > 0.3 * rem) context.lineTo(end + 0.2 * rem, high);
      context.stroke();
      context.beginPath();
      context.arc(x0, high, 0.14 * rem, 0, 2 * Math.PI);
      context.fill();
      context.beginPath();
      context.moveTo(x1 + 0.05 * rem, low + 0.05 * rem);
      context.lineTo(x1 - 0.3 * rem, low - 0.16 * rem);
      context.lineTo(x1 + 0.1 * rem, low - 0.36 * rem);
      context.fill();
      context.fillStyle = this.colour('text');
      if (end - x1 > 2.6 * rem) this.clipped(name, x1 + 0.35 * rem, (high + low) / 2 - 0.08 * rem, end - x1 - 0.5 * rem);
    }
    context.lineWidth = 1;
    context.restore();
  }

  /** Names beside places, each only where it does not run into the next. */
  names(places: readonly { readonly position: number; readonly text: string }[], top: number, bottom: number): void {
    const { context, gutter, plot, rem } = this;
    context.font = this.text;
    let free = gutter;
    const first = lowerBoundBy(places, this.view.from);
    for (let index = Math.max(0, first - 1); index < places.length && places[index].position <= this.view.to; index++) {
      const place = places[index];
      const x = this.x(place.position) + 0.3 * rem;
      const next = places[index + 1];
      const until = Math.min(gutter + plot, next === undefined ? Infinity : this.x(next.position)) - 0.2 * rem;
      // Too near to its neighbour for any name: not measured.
      if (x < Math.max(free, gutter) || until - x < rem) continue;
      const width = this.palette.width(context, place.text);
      if (x + width > until) continue;
      context.fillStyle = this.colour('panel');
      context.fillRect(x - 1, top + 0.2 * rem, width + 2, bottom - top - 0.4 * rem);
      context.fillStyle = this.colour('text');
      context.fillText(place.text, x, (top + bottom) / 2 + 0.03 * rem);
      free = x + width;
    }
  }

  /** A position over the ruler. */
  tag(x: number, label: string, fill: string, ink: string, line: string): void {
    const { context, rem, rulerHeight } = this;
    context.font = this.small;
    const { left, width } = this.tagBox(x, label);
    const top = 0.2 * rem;
    context.beginPath();
    context.roundRect(left, top, width, rulerHeight - 0.55 * rem, 0.25 * rem);
    context.fillStyle = this.colour(fill);
    context.fill();
    context.strokeStyle = this.colour(line);
    context.stroke();
    context.fillStyle = this.colour(ink);
    context.fillText(label, left + 0.45 * rem, top + (rulerHeight - 0.55 * rem) / 2 + 0.03 * rem);
  }

  /** In the small font. */
  private tagBox(x: number, label: string): { readonly left: number; readonly width: number } {
    const { context, gutter, plot, rem } = this;
    const width = this.palette.width(context, label) + 0.9 * rem;
    return { left: Math.min(Math.max(x - width / 2, gutter), gutter + plot - width), width };
  }

  /** The whole run, and the window in it. `column`: events by pixel of the plot. */
  strip(top: number, column: Float64Array, last: number, cursor: number): void {
    const { context, gutter, plot, rem, view } = this;
    const y = top + 0.45 * rem;
    const height = (STRIP - 0.6) * rem;
    context.font = this.text;
    context.fillStyle = this.colour('muted');
    context.fillText('whole run', 0.8 * rem, y + height / 2);
    context.fillStyle = this.colour('raised');
    context.fillRect(gutter, y, plot, height);
    context.drawImage(this.stripPicture(column, height), gutter, y, column.length, height);
    const from = gutter + (view.from / last) * plot;
    const width = Math.max(3, (Math.min(view.to, last) / last) * plot - (view.from / last) * plot);
    context.globalAlpha = 0.16;
    context.fillStyle = this.colour('accent');
    context.fillRect(from, y, width, height);
    context.globalAlpha = 1;
    context.strokeStyle = this.colour('accent');
    context.strokeRect(from + 0.5, y + 0.5, Math.max(2, width - 1), height - 1);
    context.fillStyle = this.colour('cursor');
    context.fillRect(gutter + (cursor / last) * plot - 0.75, y, 1.5, height);
  }

  private stripPicture(column: Float64Array, height: number): HTMLCanvasElement {
    const { palette } = this;
    if (palette.strip?.column === column && palette.strip.height === height) return palette.strip.picture;
    const picture = document.createElement('canvas');
    picture.width = column.length;
    picture.height = Math.ceil(height);
    const context = picture.getContext('2d')!;
    let most = 1;
    for (const count of column) if (count > most) most = count;
    context.fillStyle = this.colour('line-strong');
    column.forEach((count, x) => {
      const bar = count === 0 ? 0 : Math.max(1, (picture.height - 2) * (Math.log1p(count) / Math.log1p(most)));
      context.fillRect(x, picture.height - bar, 1, bar);
    });
    palette.strip = { column, height, picture };
    return picture;
  }

  private clipped(text: string, x: number, y: number, width: number): void {
    const { context } = this;
    const letter = this.palette.width(context, 'm');
    const room = Math.floor(width / letter);
    if (room < 1) return;
    context.fillText(text.length <= room ? text : `${text.slice(0, Math.max(1, room - 1))}…`, x, y);
  }
}

function rgbOf(context: CanvasRenderingContext2D, colour: string): readonly [red: number, green: number, blue: number] {
  context.fillStyle = colour;
  // It reads as #rrggbb, however it was written.
  const value = Number.parseInt(String(context.fillStyle).slice(1), 16);
  return [value >> 16, (value >> 8) & 0xff, value & 0xff];
}

function lowerBoundBy(places: readonly { readonly position: number }[], at: number): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (places[middle].position < at) low = middle + 1;
    else high = middle;
  }
  return low;
}
