/**
 * The timeline: a ruler, a track for each kind of event, and the whole run in a strip below, on one canvas.
 *
 *     drag             moves the cursor          wheel          zooms around the pointer
 *     shift + drag     moves the window          shift + wheel  moves the window
 *     drag the strip   moves the window          double click   shows the whole run
 *
 * It is a slider to assistive technology; its value text is the event at the cursor, and the event table is its mirror.
 */
import { LitElement, css, html } from 'lit';
import { formatCount, formatInstructions } from './format.ts';
import { KIND_ORDER, KIND_SLOTS, kindName } from './kinds.ts';
import { ModelController } from './model-controller.ts';
import type { RunModel } from './run-model.ts';
import { type View, binEvents, clampView, panView, ticksOf, zoomView } from './timeline-view.ts';

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
  readonly kinds: readonly number[];
}

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
  /** The bins of the strip: they change only with the number of records and the width. */
  private stripKey = '';
  private stripBins: Uint32Array = new Uint32Array(0);

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
  fit(): void {
    this.setView(clampView(0, this.last, this.last));
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
      <div id="help">Arrow keys go from event to event, W and S zoom, A and D move the window, F shows the cursor or the whole run. The table of events below says the same in text.</div>`;
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
    const kinds = KIND_ORDER.filter((kind) => (model.summary?.counts[kindName(kind)] ?? 0) > 0);
    const width = Math.max(1, this.clientWidth);
    const height = Math.round((RULER + TRACK * Math.max(1, kinds.length) + STRIP + PAD) * rem);
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.height = `${height}px`;
    }
    this.drawn = { rem, width, height, kinds };
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
    const tracksBottom = rulerHeight + Math.round(TRACK * rem * kinds.length);
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
    const counts = binEvents(model.positions, model.kinds, model.count, view, bins, KIND_SLOTS);
    kinds.forEach((kind, index) => {
      const top = rulerHeight + Math.round(TRACK * rem * index);
      const bottom = rulerHeight + Math.round(TRACK * rem * (index + 1));
      context.strokeStyle = colour('line');
      context.beginPath();
      context.moveTo(0, top + 0.5);
      context.lineTo(width, top + 0.5);
      context.stroke();
      const middle = (top + bottom) / 2;
      context.fillStyle = colour(`kind-${kindName(kind)}`);
      context.fillRect(0.8 * rem, middle - 0.3 * rem, 0.6 * rem, 0.6 * rem);
      context.font = text;
      context.fillStyle = colour('text');
      context.fillText(kindName(kind), 1.8 * rem, middle + 0.03 * rem);
      const number = formatInstructions(model.summary?.counts[kindName(kind)] ?? 0);
      context.font = small;
      context.fillStyle = colour('muted');
      context.fillText(number, gutter - 0.8 * rem - context.measureText(number).width, middle + 0.03 * rem);
      const room = bottom - top - 0.5 * rem;
      let most = 1;
      for (let i = 0; i < bins; i++) most = Math.max(most, counts[kind * bins + i]);
      context.fillStyle = colour(`kind-${kindName(kind)}`);
      for (let i = 0; i < bins; i++) {
        const count = counts[kind * bins + i];
        if (count === 0) continue;
        const bar = Math.max(0.25 * rem, room * (Math.log1p(count) / Math.log1p(most)));
        context.fillRect(gutter + i * binWidth, bottom - 0.25 * rem - bar, binWidth, bar);
      }
      if (kindName(kind) === 'mark') this.drawMarks(context, top, bottom, xOf, gutter, plot, rem, colour, text);
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

  private drawMarks(
    context: CanvasRenderingContext2D, top: number, bottom: number, xOf: (position: number) => number, gutter: number, plot: number, rem: number, colour: (name: string) => string, font: string,
  ): void {
    const marks = this.model?.marks ?? [];
    context.font = font;
    let free = gutter;
    marks.forEach((mark, index) => {
      const x = xOf(mark.position) + 0.3 * rem;
      const next = marks[index + 1];
      const until = Math.min(gutter + plot, next === undefined ? Infinity : xOf(next.position)) - 0.2 * rem;
      const width = context.measureText(mark.name).width;
      if (x < Math.max(free, gutter) || x + width > until) return;
      context.fillStyle = colour('panel');
      context.fillRect(x - 1, top + 0.2 * rem, width + 2, bottom - top - 0.4 * rem);
      context.fillStyle = colour('text');
      context.fillText(mark.name, x, (top + bottom) / 2 + 0.03 * rem);
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
    const key = `${model.count} ${plot} ${this.last}`;
    if (key !== this.stripKey) {
      this.stripKey = key;
      this.stripBins = binEvents(model.positions, new Uint8Array(model.count), model.count, { from: 0, to: this.last }, Math.ceil(plot), 1);
    }
    const most = this.stripBins.reduce((a, b) => Math.max(a, b), 1);
    context.fillStyle = colour('line-strong');
    this.stripBins.forEach((count, x) => {
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
    const tracksBottom = (RULER + TRACK * (this.drawn?.kinds.length ?? 1)) * rem;
    return { x, share, position: view.from + share * (view.to - view.from), isInStrip: event.clientY - box.top > tracksBottom };
  }

  private readonly onWheel = (event: WheelEvent): void => {
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
