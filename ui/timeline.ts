/**
 * The timeline: a ruler, a track for each kind of event and for hits and notes, and the whole run in a strip below, on one canvas.
 *
 *     drag             moves the cursor          wheel          zooms around the pointer
 *     shift + drag     moves the window          shift + wheel  moves the window
 *     drag the strip   moves the window          double click   shows the whole run
 *     click a kind     shows its parts: exits by reason, interrupts by vector, devices, dirty pages
 *
 * It is a slider to assistive technology; its value text is the event at the cursor, and the event table is its mirror.
 */
import { LitElement, css, html } from 'lit';
import { formatCount, formatInstructions } from './format.ts';
import { KIND_SLOTS, kindName } from './kinds.ts';
import { ModelController } from './model-controller.ts';
import type { RunModel } from './run-model.ts';
import { type TrackRow, binPositions, binWindow, hasDetails, trackRows } from './timeline-tracks.ts';
import { type View, binEvents, clampView, lowerBound, panView, ticksOf, zoomView } from './timeline-view.ts';

/** Sizes in rem. */
const GUTTER = 9.8;
const RULER = 1.9;
const TRACK = 1.5;
const STRIP = 1.9;
const PAD = 0.5;

interface Drawn {
  readonly rem: number;
  readonly width: number;
  readonly height: number;
  readonly rows: readonly TrackRow[];
}

/** More events than these in view are not counted one by one: the worker's pyramid has the counts. */
const COUNTED_MAX = 200_000;

export class Timeline extends LitElement {
  static override properties = { model: { attribute: false } };
  static override styles = css`
    :host {
      display: block;
      position: relative;
      min-width: 0;
    }
    canvas {
      display: block;
      width: 100%;
      touch-action: none;
      cursor: crosshair;
      border-radius: var(--radius);
    }
    canvas:focus-visible {
      outline: 2px solid var(--accent);
      outline-offset: 2px;
    }
    #help {
      position: absolute;
      width: 1px;
      height: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
  `;
  declare model: RunModel | undefined;
  private view: View | undefined;
  private drawn: Drawn | undefined;
  private hover: number | undefined;
  private drag: { readonly kind: 'cursor' | 'window' | 'strip'; x: number } | undefined;
  private readonly resize = new ResizeObserver(() => this.requestUpdate());
  private readonly scheme = matchMedia('(prefers-color-scheme: dark)');
  /** Kinds whose parts are shown. */
  private open: ReadonlySet<number> = new Set();

  constructor() {
    super();
    new ModelController(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.resize.observe(this);
    this.scheme.addEventListener('change', this.redraw);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.resize.disconnect();
    this.scheme.removeEventListener('change', this.redraw);
  }
  private readonly redraw = (): void => this.requestUpdate();

  zoom(factor: number): void {
    const view = this.shown();
    const { position } = this.model?.cursor ?? { position: 0 };
    const isVisible = position >= view.from && position <= view.to;
    this.setView(zoomView(view, factor, isVisible ? position : (view.from + view.to) / 2, this.last));
  }
  pan(share: number): void {
    const view = this.shown();
    this.setView(panView(view, (view.to - view.from) * share, this.last));
  }
  /** Around the cursor; when it is there already, the whole run. */
  focusCursor(): void {
    const view = this.shown();
    const position = this.model?.cursor.position ?? 0;
    const span = this.last / 50;
    if (view.to - view.from <= span * 1.01) this.fit();
    else this.setView(clampView(position - span / 2, span, this.last));
  }
  /** The parts of all kinds, or of none. */
  toggleDetails(): void {
    const all = (this.drawn?.rows ?? []).flatMap((row) => (row.kind === 'kind' && hasDetails(row.code) ? [row.code] : []));
    this.open = this.open.size > 0 ? new Set() : new Set(all);
    this.requestUpdate();
  }
  fit(): void {
    this.setView(clampView(0, this.last, this.last));
  }

  /** What is shown, unless it is all. */
  get window(): View | undefined {
    const { view } = this;
    return view === undefined || (view.from <= 0 && view.to >= this.last) ? undefined : view;
  }
  set window(view: View | undefined) {
    if (view !== undefined) this.setView(clampView(view.from, view.to - view.from, this.last));
  }

  private get last(): number {
    return Math.max(1, this.model?.lastPosition ?? 1);
  }
  private shown(): View {
    return this.view ?? clampView(0, this.last, this.last);
  }
  private setView(view: View): void {
    this.view = view;
    this.requestUpdate();
    this.dispatchEvent(new CustomEvent('view-changed'));
  }

  protected override render(): unknown {
    const { model } = this;
    const { row, position } = model?.cursor ?? { row: 0, position: 0 };
    const text = model?.text(row);
    const valueText = `position ${formatCount(position)}, event #${formatCount(row)} of ${formatCount(model?.count ?? 0)}${text === undefined ? '' : `: ${kindName(text.kind)}, ${text.text}`}`;
    return html`<canvas
        tabindex="0"
        role="slider"
        aria-label="Timeline cursor"
        aria-describedby="help"
        aria-valuemin="0"
        aria-valuemax=${this.last}
        aria-valuenow=${position}
        aria-valuetext=${valueText}
        @wheel=${this.onWheel}
        @pointerdown=${this.onPointerDown}
        @pointermove=${this.onPointerMove}
        @pointerup=${this.onPointerUp}
        @pointercancel=${this.onPointerUp}
        @pointerleave=${this.onPointerLeave}
        @dblclick=${() => this.fit()}
      ></canvas>
      <div id="help">Arrow keys go from event to event, W and S zoom, A and D move the window, F shows the cursor or the whole run, T shows exits by reason, interrupts by vector and devices. The table of events below says the same in text.</div>`;
  }

  protected override updated(): void {
    // A cursor that was moved from outside stays in the window.
    const view = this.view;
    const position = this.model?.cursor.position;
    if (view !== undefined && position !== undefined && position !== this.followed && this.drag === undefined) {
      if (position < view.from || position > view.to) this.view = clampView(position - (view.to - view.from) / 2, view.to - view.from, this.last);
    }
    this.followed = position;
    this.draw();
  }
  private followed: number | undefined;

  private draw(): void {
    const canvas = this.renderRoot.querySelector('canvas');
    const context = canvas?.getContext('2d');
    const { model } = this;
    if (canvas === null || context === null || context === undefined || model === undefined) return;
    const root = getComputedStyle(document.documentElement);
    const rem = Number.parseFloat(root.fontSize);
    const colour = (name: string): string => root.getPropertyValue(`--${name}`).trim();
    const width = Math.max(1, this.clientWidth);
    const whole = model.window('whole', 0, this.last + 1, Math.max(1, Math.ceil(width)));
    const rows = trackRows({ counts: model.summary?.counts, hasPoints: model.points.all.length > 0, hasNotes: model.notes.length > 0, hasRings: (model.rings?.shares.length ?? 0) > 0, open: this.open, whole });
    const height = Math.round((RULER + TRACK * Math.max(1, rows.length) + STRIP + PAD) * rem);
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.height = `${height}px`;
    }
    this.drawn = { rem, width, height, rows };
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = colour('panel');
    context.fillRect(0, 0, width, height);
    const gutter = Math.round(GUTTER * rem);
    const plot = Math.max(1, width - gutter - Math.round(PAD * rem));
    const view = this.shown();
    const span = view.to - view.from;
    const xOf = (position: number): number => gutter + ((position - view.from) / span) * plot;
    const text = `${0.85 * rem}px ${colour('sans')}`;
    const small = `${0.78 * rem}px ${colour('mono')}`;
    context.textBaseline = 'middle';

    // ruler
    const rulerHeight = Math.round(RULER * rem);
    const tracksBottom = rulerHeight + Math.round(TRACK * rem * rows.length);
    const { ticks, step } = ticksOf(view, Math.floor(plot / (7.5 * rem)));
    context.font = small;
    for (const at of ticks) {
      const x = Math.round(xOf(at)) + 0.5;
      context.strokeStyle = colour('line');
      context.beginPath();
      context.moveTo(x, rulerHeight - 0.3 * rem);
      context.lineTo(x, tracksBottom);
      context.stroke();
      context.fillStyle = colour('muted');
      const label = step >= 1000 ? formatInstructions(at) : formatCount(at);
      const labelWidth = context.measureText(label).width;
      context.fillText(label, Math.min(Math.max(x - labelWidth / 2, gutter), gutter + plot - labelWidth), rulerHeight / 2 - 0.1 * rem);
    }
    context.font = text;
    context.fillStyle = colour('muted');
    context.fillText('instructions', 0.8 * rem, rulerHeight / 2 - 0.1 * rem);

    // tracks
    const binWidth = Math.max(1, Math.round(rem / 8));
    const bins = Math.ceil(plot / binWidth);
    const inView = lowerBound(model.positions, model.count, view.to + 1) - lowerBound(model.positions, model.count, view.from);
    const isCounted = inView <= COUNTED_MAX;
    const counts = isCounted ? binEvents(model.positions, model.kinds, model.count, view, bins, KIND_SLOTS) : undefined;
    // What moves while it is dragged is drawn from what has come, in its new place.
    const window = isCounted && this.open.size === 0 ? undefined : model.window('view', Math.max(0, Math.floor(view.from)), Math.ceil(view.to) + 1, bins);
    const none = new Float64Array(bins);
    const ofTrack = (track: string): Float64Array => {
      const column = window?.tracks.get(track);
      return column === undefined || window === undefined ? none : binWindow(column, window, view, bins);
    };
    rows.forEach((row, index) => {
      const top = rulerHeight + Math.round(TRACK * rem * index);
      const bottom = rulerHeight + Math.round(TRACK * rem * (index + 1));
      context.strokeStyle = colour('line');
      context.beginPath();
      context.moveTo(0, top + 0.5);
      context.lineTo(width, top + 0.5);
      context.stroke();
      const middle = (top + bottom) / 2;
      const isDetail = row.kind === 'detail';
      const ink = row.kind === 'points' ? colour('bad') : row.kind === 'notes' ? colour('cursor') : row.kind === 'ring' ? colour('accent') : colour(`kind-${kindName(row.code)}`);
      const label = row.kind === 'kind' ? row.name : isDetail ? row.label : row.kind === 'points' ? 'hits' : row.kind === 'ring' ? 'ring 0' : 'notes';
      const canOpen = row.kind === 'kind' && hasDetails(row.code);
      context.fillStyle = ink;
      if (!isDetail) context.fillRect(0.8 * rem, middle - 0.3 * rem, 0.6 * rem, 0.6 * rem);
      context.font = isDetail ? small : text;
      context.fillStyle = colour(isDetail ? 'muted' : 'text');
      const shownLabel = isDetail && label.length > 10 ? `${label.slice(0, 9)}…` : label;
      context.fillText(`${shownLabel}${canOpen ? (this.open.has(row.code) ? ' ▾' : ' ▸') : ''}`, (isDetail ? 2.3 : 1.8) * rem, middle + 0.03 * rem);
      const total =
        row.kind === 'kind' ? (model.summary?.counts[row.name] ?? 0)
        : row.kind === 'points' ? model.points.all.reduce((sum, { hits }) => sum + hits.length, 0)
        : row.kind === 'notes' ? model.notes.length
        : row.kind === 'ring' ? 0
        : (whole?.tracks.get(row.track)?.reduce((sum, each) => sum + each, 0) ?? 0); // prettier-ignore
      const number = row.kind === 'ring' ? 'share' : total >= 1e12 ? `${(total / 1e12).toFixed(1)} T` : formatInstructions(total);
      context.font = small;
      context.fillStyle = colour('muted');
      context.fillText(number, gutter - 0.8 * rem - context.measureText(number).width, middle + 0.03 * rem);
      const column = ((): ArrayLike<number> => {
        switch (row.kind) {
          case 'kind':
            return counts === undefined ? ofTrack(`kind:${row.name}`) : counts.subarray(row.code * bins, (row.code + 1) * bins);
          case 'detail':
            return ofTrack(row.track);
          case 'points':
            return model.points.all.reduce((sum, { hits }) => binPositions(hits, view, bins).map((each, i) => each + sum[i]), none);
          case 'notes':
            return binPositions(Float64Array.from(model.notes, ({ position }) => position), view, bins);
          case 'ring':
            return none;
          default:
            return row satisfies never;
        }
      })();
      if (row.kind === 'ring') this.drawRings(context, top, bottom, xOf, gutter, plot, rem, ink);
      const room = bottom - top - 0.5 * rem;
      let most = 1;
      for (let i = 0; i < bins; i++) most = Math.max(most, column[i]);
      context.fillStyle = ink;
      for (let i = 0; i < bins; i++) {
        const count = column[i];
        if (count === 0) continue;
        const bar = Math.max(0.25 * rem, room * (Math.log1p(count) / Math.log1p(most)));
        context.fillRect(gutter + i * binWidth, bottom - 0.25 * rem - bar, binWidth, bar);
      }
      if (row.kind === 'kind' && row.name === 'mark') this.drawNames(model.marks.map(({ position, name }) => ({ position, text: name })), context, top, bottom, xOf, gutter, plot, rem, colour, text);
      if (row.kind === 'notes') this.drawNames(model.notes, context, top, bottom, xOf, gutter, plot, rem, colour, text);
    });
    context.strokeStyle = colour('line');
    context.beginPath();
    context.moveTo(0, tracksBottom + 0.5);
    context.lineTo(width, tracksBottom + 0.5);
    context.moveTo(gutter + 0.5, rulerHeight);
    context.lineTo(gutter + 0.5, tracksBottom);
    context.stroke();

    this.drawStrip(context, tracksBottom, gutter, plot, view, rem, colour, text);
    if (model.count < (model.summary?.records ?? 0)) {
      context.fillStyle = colour('muted');
      context.font = text;
      context.fillText(`reading events: ${formatCount(model.count)}`, gutter + rem, rulerHeight + TRACK * rem * 0.5);
    }

    // pointer and cursor
    if (this.hover !== undefined && this.drag === undefined) {
      const x = Math.round(xOf(this.hover)) + 0.5;
      context.strokeStyle = colour('line-strong');
      context.setLineDash([3, 3]);
      context.beginPath();
      context.moveTo(x, rulerHeight - 0.3 * rem);
      context.lineTo(x, tracksBottom);
      context.stroke();
      context.setLineDash([]);
      this.tag(context, x, rulerHeight, `@${formatCount(Math.round(this.hover))}`, colour('raised'), colour('text'), colour('line-strong'), gutter, plot, rem, small);
    }
    const cursor = model.cursor.position;
    if (cursor >= view.from && cursor <= view.to) {
      const x = Math.round(xOf(cursor)) + 0.5;
      context.strokeStyle = colour('cursor');
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x, rulerHeight - 0.4 * rem);
      context.lineTo(x, tracksBottom);
      context.stroke();
      context.lineWidth = 1;
      if (this.hover === undefined || this.drag !== undefined) {
        this.tag(context, x, rulerHeight, `@${formatCount(cursor)}`, colour('cursor'), colour('panel'), colour('cursor'), gutter, plot, rem, small);
      }
    }
  }

  private tag(
    context: CanvasRenderingContext2D, x: number, rulerHeight: number, label: string, fill: string, ink: string, line: string, gutter: number, plot: number, rem: number, font: string,
  ): void {
    context.font = font;
    const width = context.measureText(label).width + 0.9 * rem;
    const left = Math.min(Math.max(x - width / 2, gutter), gutter + plot - width);
    const top = 0.2 * rem;
    context.beginPath();
    context.roundRect(left, top, width, rulerHeight - 0.55 * rem, 0.25 * rem);
    context.fillStyle = fill;
    context.fill();
    context.strokeStyle = line;
    context.stroke();
    context.fillStyle = ink;
    context.fillText(label, left + 0.45 * rem, top + (rulerHeight - 0.55 * rem) / 2 + 0.03 * rem);
  }

  /** Steps from one count to the next. */
  private drawRings(context: CanvasRenderingContext2D, top: number, bottom: number, xOf: (position: number) => number, gutter: number, plot: number, rem: number, ink: string): void {
    const { positions, shares } = this.model!.rings!;
    const { from, to } = this.shown();
    const room = bottom - top - 0.4 * rem;
    context.fillStyle = ink;
    for (let i = Math.max(0, lowerBound(positions, positions.length, from) - 1); i < shares.length && positions[i] < to; i++) {
      const left = Math.max(gutter, xOf(positions[i]));
      const right = Math.min(gutter + plot, xOf(positions[i + 1]));
      const height = room * shares[i];
      if (right > left) context.fillRect(left, bottom - 0.2 * rem - height, Math.max(0.5, right - left), height);
    }
  }

  private drawNames(
    places: readonly { readonly position: number; readonly text: string }[], context: CanvasRenderingContext2D, top: number, bottom: number, xOf: (position: number) => number, gutter: number, plot: number, rem: number, colour: (name: string) => string, font: string,
  ): void {
    context.font = font;
    let free = gutter;
    places.forEach((place, index) => {
      const x = xOf(place.position) + 0.3 * rem;
      const next = places[index + 1];
      const until = Math.min(gutter + plot, next === undefined ? Infinity : xOf(next.position)) - 0.2 * rem;
      const width = context.measureText(place.text).width;
      if (x < Math.max(free, gutter) || x + width > until) return;
      context.fillStyle = colour('panel');
      context.fillRect(x - 1, top + 0.2 * rem, width + 2, bottom - top - 0.4 * rem);
      context.fillStyle = colour('text');
      context.fillText(place.text, x, (top + bottom) / 2 + 0.03 * rem);
      free = x + width;
    });
  }

  /** The whole run, and the window in it. */
  private drawStrip(context: CanvasRenderingContext2D, top: number, gutter: number, plot: number, view: View, rem: number, colour: (name: string) => string, font: string): void {
    const model = this.model!;
    const y = top + 0.45 * rem;
    const height = (STRIP - 0.6) * rem;
    context.font = font;
    context.fillStyle = colour('muted');
    context.fillText('whole run', 0.8 * rem, y + height / 2);
    context.fillStyle = colour('raised');
    context.fillRect(gutter, y, plot, height);
    const whole = model.window('whole', 0, this.last + 1, Math.max(1, Math.ceil(this.clientWidth)));
    const bins = new Float64Array(Math.ceil(plot));
    if (whole !== undefined) {
      for (const [track, column] of whole.tracks) if (track.startsWith('kind:')) binWindow(column, whole, { from: 0, to: this.last }, bins.length).forEach((count, x) => (bins[x] += count));
    }
    const most = bins.reduce((a, b) => Math.max(a, b), 1);
    context.fillStyle = colour('line-strong');
    bins.forEach((count, x) => {
      const bar = count === 0 ? 0 : Math.max(1, (height - 2) * (Math.log1p(count) / Math.log1p(most)));
      context.fillRect(gutter + x, y + height - bar, 1, bar);
    });
    const from = gutter + (view.from / this.last) * plot;
    const width = Math.max(3, (Math.min(view.to, this.last) / this.last) * plot - (view.from / this.last) * plot);
    context.globalAlpha = 0.16;
    context.fillStyle = colour('accent');
    context.fillRect(from, y, width, height);
    context.globalAlpha = 1;
    context.strokeStyle = colour('accent');
    context.strokeRect(from + 0.5, y + 0.5, Math.max(2, width - 1), height - 1);
    const cursor = gutter + (model.cursor.position / this.last) * plot;
    context.fillStyle = colour('cursor');
    context.fillRect(cursor - 0.75, y, 1.5, height);
  }

  /** Where a pointer event is. */
  private place(event: MouseEvent): { readonly x: number; readonly share: number; readonly position: number; readonly isInStrip: boolean } {
    const box = this.getBoundingClientRect();
    const rem = this.drawn?.rem ?? 16;
    const gutter = Math.round(GUTTER * rem);
    const plot = Math.max(1, box.width - gutter - Math.round(PAD * rem));
    const x = event.clientX - box.left;
    const share = Math.min(1, Math.max(0, (x - gutter) / plot));
    const view = this.shown();
    const tracksBottom = (RULER + TRACK * (this.drawn?.rows.length ?? 1)) * rem;
    return { x, share, position: view.from + share * (view.to - view.from), isInStrip: event.clientY - box.top > tracksBottom };
  }

  private readonly onWheel = (event: WheelEvent): void => {
    // Over the names the tracks are scrolled, if they need it.
    if (event.clientX - this.getBoundingClientRect().left < GUTTER * (this.drawn?.rem ?? 16)) return;
    event.preventDefault();
    const view = this.shown();
    const amount = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = (event.deltaX === 0 ? event.deltaY : event.deltaX) * amount;
      this.setView(panView(view, (by / 1000) * (view.to - view.from), this.last));
    } else this.setView(zoomView(view, Math.exp(event.deltaY * amount * 0.002), this.place(event).position, this.last));
  };

  private readonly onPointerDown = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    const box = this.getBoundingClientRect();
    const { rem = 16, rows = [] } = this.drawn ?? {};
    if (event.clientX - box.left < Math.round(GUTTER * rem)) {
      const row = rows[Math.floor(((event.clientY - box.top) / rem - RULER) / TRACK)];
      if (row !== undefined && (row.kind === 'kind' || row.kind === 'detail') && hasDetails(row.code)) {
        const open = new Set(this.open);
        if (!open.delete(row.code)) open.add(row.code);
        this.open = open;
        this.requestUpdate();
        return;
      }
    }
    (event.target as HTMLElement).setPointerCapture(event.pointerId);
    const { x, isInStrip } = this.place(event);
    this.drag = { kind: isInStrip ? 'strip' : event.shiftKey ? 'window' : 'cursor', x };
    this.dragTo(event);
  };
  private readonly onPointerMove = (event: PointerEvent): void => {
    const { position, isInStrip } = this.place(event);
    this.hover = isInStrip ? undefined : position;
    if (this.drag !== undefined) this.dragTo(event);
    this.requestUpdate();
  };
  private readonly onPointerUp = (): void => {
    this.drag = undefined;
    this.requestUpdate();
  };
  private readonly onPointerLeave = (): void => {
    this.hover = undefined;
    this.requestUpdate();
  };

  private dragTo(event: PointerEvent): void {
    const { drag } = this;
    if (drag === undefined) return;
    const view = this.shown();
    const span = view.to - view.from;
    const { x, share, position } = this.place(event);
    switch (drag.kind) {
      case 'cursor':
        this.model?.moveToPosition(position);
        break;
      case 'window':
        this.setView(panView(view, ((drag.x - x) / Math.max(1, this.clientWidth - GUTTER * (this.drawn?.rem ?? 16))) * span, this.last));
        drag.x = x;
        break;
      case 'strip':
        this.setView(clampView(share * this.last - span / 2, span, this.last));
        break;
      default:
        drag.kind satisfies never;
    }
  }
}
customElements.define('lab-timeline', Timeline);
