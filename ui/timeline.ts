/**
 * The timeline: a ruler, a track for each kind of event and for hits and notes, and the whole run in a strip below, on one canvas.
 *
 *     drag             moves the cursor          wheel          zooms around the pointer
 *     shift + drag     moves the window          shift + wheel  moves the window
 *     drag the strip   moves the window          double click   shows the whole run
 *     click a name     chooses a track for the keys; of a kind, shows its parts: exits by reason, interrupts by vector, devices, dirty pages
 *
 * It is a slider to assistive technology; its value text is the event at the cursor, and the event table is its mirror.
 */
import { LitElement, type PropertyValues, css, html } from 'lit';
import type { Subscription } from 'rxjs';
import { formatBytes, formatCount, formatInstructions } from './format.ts';
import { kindName } from './kinds.ts';
import { ModelController } from './model-controller.ts';
import type { RunModel } from './run-model.ts';
import { onThemeChange } from './theme.ts';
import { type Arrow, GUTTER, type NamedSpan, PAD, Palette, RULER, STRIP, TRACK, TimelinePainter } from './timeline-painter.ts';
import { type TrackRow, type WindowView, binPositions, binWindow, binWindows, RECORDER, hasDetails, linesOf, trackRows, windowAround } from './timeline-tracks.ts';
import { type View, clampView, lowerBound, panView, tickText, ticksOf, zoomView } from './timeline-view.ts';
import { modesOf } from './vcpu-modes.ts';

interface Drawn {
  readonly rem: number;
  readonly width: number;
  readonly height: number;
  readonly rows: readonly TrackRow[];
  /** Where each begins, and the last one ends, in heights of a plain row. */
  readonly lines: readonly number[];
}

const ALL_TRACKS = ['*'];
const PAGE_BYTES = 4096;
const ARROWS_SHOWN = 120;
/** Of the palette; neighbours are told apart by their names, too. */
const TASK_COLOURS = ['kind-exit', 'kind-device', 'kind-input', 'kind-interrupt', 'kind-digest', 'kind-mark', 'kind-dirty', 'kind-counts'];

function keyOf(row: TrackRow): string {
  return row.kind === 'detail' ? `detail ${row.track}` : 'code' in row ? `kind ${row.code}` : row.kind;
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
      position: relative;
      touch-action: none;
      cursor: crosshair;
      border-radius: var(--radius);
    }
    canvas:focus-visible {
      outline: 2px solid var(--accent);
      outline-offset: 2px;
    }
    .hidden {
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
  private readonly resize = new ResizeObserver(() => this.repaint());
  private stopWatching: (() => void) | undefined;
  /** The track that keys are about: keyOf its row. */
  private chosen: string | undefined;
  /** Kinds whose parts are shown. */
  private open: ReadonlySet<number> = new Set();
  private palette: Palette | undefined;
  /** Of the strip: made again when the counts of the whole run are others. */
  private strip: { readonly whole: WindowView; readonly column: Float64Array } | undefined;
  private counting: Subscription | undefined;

  constructor() {
    super();
    new ModelController(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.resize.observe(this);
    this.stopWatching = onThemeChange(this.repaint);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.resize.disconnect();
    this.stopWatching?.();
    this.counting?.unsubscribe();
    this.counting = undefined;
  }
  private readonly repaint = (): void => {
    this.palette = undefined;
    this.requestUpdate();
  };

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has('model') && this.counting !== undefined) return;
    this.counting?.unsubscribe();
    this.counting = this.model?.windowChanges.subscribe(() => this.requestUpdate());
  }

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
    const all = (this.drawn?.rows ?? []).flatMap((row) => ((row.kind === 'kind' || row.kind === 'heat') && hasDetails(row.code) ? [row.code] : []));
    this.open = this.open.size > 0 ? new Set() : new Set(all);
    this.requestUpdate();
  }
  /** Its parts, if it has some. */
  private toggleRow(row: TrackRow): boolean {
    const code = row.kind === 'recorder' ? RECORDER : (row.kind === 'kind' || row.kind === 'detail' || row.kind === 'heat') && hasDetails(row.code) ? row.code : undefined;
    if (code === undefined) return false;
    const open = new Set(this.open);
    if (!open.delete(code)) open.add(code);
    this.open = open;
    this.requestUpdate();
    return true;
  }

  // ---- the track that keys are about ----

  private get chosenRow(): TrackRow | undefined {
    return this.chosen === undefined ? undefined : this.drawn?.rows.find((row) => keyOf(row) === this.chosen);
  }
  chooseTrack(direction: 1 | -1): void {
    const { rows = [] } = this.drawn ?? {};
    if (rows.length === 0) return;
    const at = rows.findIndex((row) => keyOf(row) === this.chosen);
    this.chosen = keyOf(rows[at < 0 ? (direction === 1 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + direction))]);
    this.requestUpdate();
  }
  toggleTrack(): void {
    const { chosenRow } = this;
    if (chosenRow !== undefined) this.toggleRow(chosenRow);
  }
  /** To the next (1) or previous (-1) event of the chosen track; of the kind at the cursor, if none is chosen. */
  goInTrack(direction: 1 | -1): void {
    const { model, chosenRow: row } = this;
    if (model === undefined) return;
    const beside = (positions: ArrayLike<number>): void => {
      const { position } = model.cursor;
      const at = direction === 1 ? lowerBound(positions, positions.length, position + 1) : lowerBound(positions, positions.length, position) - 1;
      if (at >= 0 && at < positions.length) model.jumpToPosition(positions[at]);
    };
    switch (row?.kind) {
      case 'kind':
      case 'detail':
      case 'heat':
        return model.moveToSameKind(direction, row.code);
      case 'points':
        return beside(Float64Array.from(model.points.all.flatMap(({ hits }) => [...hits])).sort());
      case 'notes':
        return beside(model.notes.map(({ position }) => position));
      case 'tasks':
        return beside(model.tasks.kind === 'known' ? model.tasks.spans.positions : []);
      case 'ring':
      case 'calls':
        return beside(model.rings?.positions ?? []);
      case 'recorder':
      case 'costs':
      case undefined:
        return model.moveToSameKind(direction);
      default:
        row satisfies never;
    }
  }
  /** What a screen reader says of the chosen track. */
  private chosenText(): string {
    const { chosenRow: row, model } = this;
    if (row === undefined || model === undefined) return '';
    const parts = (code: number): string => (hasDetails(code) ? (this.open.has(code) ? ', its parts are shown' : ', Enter shows its parts') : '');
    switch (row.kind) {
      case 'kind':
      case 'heat':
        return `Track ${row.name}: ${formatCount(model.summary?.counts[row.name] ?? 0)} events${parts(row.code)}`;
      case 'recorder':
        return `Track recorder: ${row.names.join(', ')}${this.open.has(RECORDER) ? '' : ', Enter shows its parts'}`;
      case 'detail':
        return `Track ${row.label}, part of ${kindName(row.code)}`;
      case 'points':
        return `Track hits: ${formatCount(model.points.all.reduce((sum, { hits }) => sum + hits.length, 0))}`;
      case 'notes':
        return `Track notes: ${formatCount(model.notes.length)}`;
      case 'ring':
        return `Track vCPU: ${this.modeNames(model).findLast(({ position }) => position <= model.cursor.position)?.text ?? 'mode not known'}, ${Math.round(100 * this.shareAt(model.rings?.shares))} % in ring 0 at the cursor`;
      case 'calls':
        return `Track system calls: ${this.shareAt(model.rings?.calls).toPrecision(2)} for each 1000 instructions at the cursor`;
      case 'tasks':
        return `Track tasks: ${this.taskAtCursor() ?? 'none'} at the cursor`;
      case 'costs':
        return `Track cost of ${row.regime}`;
      default:
        return row satisfies never;
    }
  }
  private shareAt(column: Float64Array | undefined): number {
    const positions = this.model?.rings?.positions;
    if (column === undefined || positions === undefined) return 0;
    return column[Math.max(0, lowerBound(positions, positions.length, (this.model?.cursor.position ?? 0) + 1) - 1)] ?? 0;
  }
  private taskAtCursor(): string | undefined {
    if (this.model?.tasks.kind !== 'known') return undefined;
    const { names, positions, tasks } = this.model.tasks.spans;
    return names[tasks[lowerBound(positions, positions.length, this.model.cursor.position + 1) - 1]];
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
    const { row, position, text } = model?.cursor ?? { row: 0, position: 0, text: undefined };
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
      <div id="track" class="hidden" aria-live="polite" data-testid="track">${this.chosenText()}</div>
      <div id="help" class="hidden">Left and right go from event to event, up and down choose a track, dot and comma go to its next and previous event, Enter shows its parts, W and S zoom, A and D move the window, F shows the cursor or the whole run, T shows exits by reason, interrupts by vector and devices. The table of events below says the same in text.</div>`;
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
    const context = canvas?.getContext('2d', { alpha: false });
    const { model } = this;
    if (canvas === null || context === null || context === undefined || model === undefined) return;
    const palette = (this.palette ??= new Palette());
    const { rem } = palette;
    // On whole pixels of the screen: otherwise all of it is filtered anew in each frame, and looks it.
    const scale = devicePixelRatio;
    const box = this.getBoundingClientRect();
    const snap = (at: number): number => Math.ceil(at * scale) / scale - at;
    const width = Math.max(1, Math.floor((box.width - snap(box.left)) * scale) / scale);
    const whole = model.window('whole', 0, this.last + 1, Math.max(1, Math.ceil(width)), ALL_TRACKS);
    const rows = trackRows({ counts: model.summary?.counts, hasPoints: model.points.all.length > 0, hasNotes: model.notes.length > 0, rings: model.rings, hasTasks: model.tasks.kind === 'known', costsOf: model.costs.kind === 'known' ? model.costs.costs.regime : undefined, open: this.open, whole });
    const lines = [0];
    for (const row of rows) lines.push(lines[lines.length - 1] + linesOf(row));
    const height = Math.round((RULER + TRACK * Math.max(1, lines[rows.length]) + STRIP + PAD) * rem);
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const [left, top] = [`${snap(box.left)}px`, `${snap(box.top)}px`];
    if (canvas.style.left !== left) canvas.style.left = left;
    if (canvas.style.top !== top) canvas.style.top = top;
    this.drawn = { rem, width, height, rows, lines };
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = palette.get('panel');
    context.fillRect(0, 0, width, height);
    context.textBaseline = 'middle';
    const view = this.shown();
    const painter = new TimelinePainter(context, palette, view, width);
    const { gutter, plot, bins, rulerHeight } = painter;
    const bottom = painter.top(lines[rows.length]);
    const { ticks, step } = ticksOf(view, Math.floor(plot / (7.5 * rem)));
    const cursor = model.cursor.position;
    const isHovered = this.hover !== undefined && this.drag === undefined;
    const tagged = isHovered ? Math.round(this.hover!) : cursor >= view.from && cursor <= view.to ? cursor : undefined;
    painter.ruler(ticks, (at) => tickText(at, step), bottom, tagged === undefined ? undefined : { at: tagged, label: `@${formatCount(tagged)}` });

    const asked = windowAround(view, bins, this.last);
    const tracks = rows.flatMap((row) => (row.kind === 'kind' || row.kind === 'heat' ? [`kind:${row.name}`] : row.kind === 'recorder' ? row.names.map((name) => `kind:${name}`) : row.kind === 'detail' ? [row.track] : []));
    const fine = model.window('view', asked.from, asked.to, asked.buckets, tracks);
    rows.forEach((row, index) => {
      const [top, end] = [painter.top(lines[index]), painter.top(lines[index + 1])];
      this.drawRow(painter, palette, row, top, end, fine, whole);
      if (keyOf(row) === this.chosen) painter.chosen(top, end);
    });
    painter.line(0, bottom + 0.5, width, bottom + 0.5, palette.get('line'));
    painter.line(gutter + 0.5, rulerHeight, gutter + 0.5, bottom, palette.get('line'));
    painter.strip(bottom, this.stripColumn(whole, Math.ceil(plot)), this.last, model.cursor.position);

    if (this.hover !== undefined && this.drag === undefined) {
      const x = Math.round(painter.x(this.hover)) + 0.5;
      context.setLineDash([3, 3]);
      painter.line(x, rulerHeight - 0.3 * rem, x, bottom, palette.get('line-strong'));
      context.setLineDash([]);
      painter.tag(x, `@${formatCount(Math.round(this.hover))}`, 'raised', 'text', 'line-strong');
    }
    if (cursor < view.from || cursor > view.to) return;
    const x = Math.round(painter.x(cursor)) + 0.5;
    context.lineWidth = 1.5;
    painter.line(x, rulerHeight - 0.4 * rem, x, bottom, palette.get('cursor'));
    context.lineWidth = 1;
    if (this.hover === undefined || this.drag !== undefined) painter.tag(x, `@${formatCount(cursor)}`, 'cursor', 'panel', 'cursor');
  }

  private drawRow(painter: TimelinePainter, palette: Palette, row: TrackRow, top: number, bottom: number, fine: WindowView | undefined, whole: WindowView | undefined): void {
    const model = this.model!;
    const view = this.shown();
    const { bins } = painter;
    const kindLabel = (code: number, name: string): string => `${name}${hasDetails(code) ? (this.open.has(code) ? ' ▾' : ' ▸') : ''}`;
    painter.line(0, top + 0.5, painter.gutter + painter.plot + PAD * painter.rem, top + 0.5, painter.colour('line'));
    switch (row.kind) {
      case 'kind': {
        const ink = painter.colour(`kind-${row.name}`);
        painter.head(top, bottom, ink, kindLabel(row.code, row.name), formatInstructions(model.summary?.counts[row.name] ?? 0), false);
        const column = binWindows(`kind:${row.name}`, fine, whole, view, bins);
        // Where there are few enough to be told apart they are arrows. Each has up to four events.
        const arrows = row.name === 'interrupt' && column.reduce((sum, each) => sum + each, 0) <= 4 * ARROWS_SHOWN ? this.arrowsIn(view) : [];
        if (arrows.length > 0) painter.arrows(top, bottom, ink, arrows);
        else painter.bars(top, bottom, ink, column);
        if (row.name === 'mark') painter.names(this.markNames(model), top, bottom);
        return;
      }
      case 'recorder': {
        const ink = painter.colour('kind-digest');
        const counts = model.summary?.counts;
        painter.head(top, bottom, ink, `recorder${this.open.has(RECORDER) ? ' ▾' : ' ▸'}`, formatInstructions(row.names.reduce((sum, name) => sum + (counts?.[name] ?? 0), 0)), false);
        const sum = new Float64Array(bins);
        for (const name of row.names) binWindows(`kind:${name}`, fine, whole, view, bins).forEach((count, i) => (sum[i] += count));
        painter.bars(top, bottom, ink, sum);
        return;
      }
      case 'heat': {
        const ink = painter.colour(`kind-${row.name}`);
        const { heat } = model;
        painter.head(top, bottom, ink, kindLabel(row.code, row.name), heat === undefined ? '' : `${formatBytes(heat.pagesOfRange * heat.ranges * PAGE_BYTES)}`, false);
        if (heat !== undefined && heat.values.length > 0) painter.heat(top, bottom, ink, heat);
        else painter.bars(top, bottom, ink, binWindows(`kind:${row.name}`, fine, whole, view, bins));
        return;
      }
      case 'detail': {
        const ink = painter.colour(`kind-${kindName(row.code)}`);
        const sum = this.totalOf(whole?.tracks.get(row.track));
        painter.head(top, bottom, ink, row.label.length > 10 ? `${row.label.slice(0, 9)}…` : row.label, sum >= 1e12 ? `${(sum / 1e12).toFixed(1)} T` : formatInstructions(sum), true);
        painter.bars(top, bottom, ink, binWindows(row.track, fine, whole, view, bins));
        return;
      }
      case 'points': {
        const ink = painter.colour('bad');
        painter.head(top, bottom, ink, 'hits', formatInstructions(model.points.all.reduce((sum, { hits }) => sum + hits.length, 0)), false);
        const sum = new Float64Array(bins);
        for (const { hits } of model.points.all) binPositions(hits, view, bins).forEach((count, i) => (sum[i] += count));
        painter.bars(top, bottom, ink, sum);
        return;
      }
      case 'notes': {
        const ink = painter.colour('cursor');
        painter.head(top, bottom, ink, 'notes', formatInstructions(model.notes.length), false);
        painter.bars(top, bottom, ink, binPositions(Float64Array.from(model.notes, ({ position }) => position), view, bins));
        painter.names(model.notes, top, bottom);
        return;
      }
      case 'ring':
        painter.head(top, bottom, painter.colour('accent'), 'vCPU', 'ring 0', false);
        if (model.rings !== undefined) painter.steps(top, bottom, painter.colour('accent'), model.rings.positions, model.rings.shares, 1);
        painter.names(this.modeNames(model), top, bottom);
        return;
      case 'calls':
        painter.head(top, bottom, painter.colour('accent'), 'syscalls', row.most === undefined ? '' : callRate(row.most), false);
        if (model.rings !== undefined && row.most !== undefined) painter.steps(top, bottom, painter.colour('accent'), model.rings.positions, model.rings.calls, row.most);
        return;
      case 'tasks': {
        if (model.tasks.kind !== 'known') return;
        const { names, positions, tasks } = model.tasks.spans;
        painter.head(top, bottom, painter.colour('accent'), 'tasks', formatInstructions(names.length), false);
        const spans: NamedSpan[] = [];
        for (let i = Math.max(0, lowerBound(positions, positions.length, view.from) - 1); i < tasks.length && positions[i] < view.to; i++) {
          spans.push({ from: positions[i], to: positions[i + 1], name: names[tasks[i]], colour: TASK_COLOURS[tasks[i] % TASK_COLOURS.length] });
        }
        painter.spans(top, bottom, spans);
        return;
      }
      case 'costs': {
        if (model.costs.kind !== 'known') return;
        const { cycles, shift, regime } = model.costs.costs;
        const most = palette.mostOf(cycles);
        const ink = painter.colour('warn');
        painter.head(top, bottom, ink, regime, `${formatInstructions(Math.round((1000 * most) / 2 ** shift))}/k`, false);
        const first = Math.max(0, Math.floor(view.from / 2 ** shift));
        const count = Math.min(cycles.length, Math.ceil(view.to / 2 ** shift) + 1) - first;
        if (count > 0) painter.steps(top, bottom, ink, Float64Array.from({ length: count + 1 }, (_, i) => (first + i) * 2 ** shift), cycles.subarray(first, first + count).map((each) => Math.log1p(each)), Math.log1p(most));
        return;
      }
      default:
        row satisfies never;
    }
  }

  private arrowsIn(view: View): readonly Arrow[] {
    // Aligned, so that panning asks seldom.
    const { from, to } = windowAround(view, 1, this.last);
    return this.model!.interrupts(from, to).map(({ vector, line, ...places }) => ({ ...places, name: `vector ${vector}${line === undefined ? '' : `, IRQ ${line}`}` }));
  }

  private markNames({ marks }: RunModel): readonly { readonly position: number; readonly text: string }[] {
    if (this.marked?.of !== marks) this.marked = { of: marks, names: marks.map(({ position, name }) => ({ position, text: name })) };
    return this.marked.names;
  }
  private marked: { readonly of: RunModel['marks']; readonly names: readonly { readonly position: number; readonly text: string }[] } | undefined;

  private modeNames({ modes, symbols }: RunModel): readonly { readonly position: number; readonly text: string }[] {
    if (this.moded?.of !== modes || this.moded.powerOn !== symbols?.powerOn) this.moded = { of: modes, powerOn: symbols?.powerOn, names: modesOf(modes, symbols?.powerOn) };
    return this.moded.names;
  }
  private moded: { readonly of: RunModel['modes']; readonly powerOn: unknown; readonly names: ReturnType<typeof modesOf> } | undefined;

  private totalOf(column: Float64Array | undefined): number {
    if (column === undefined) return 0;
    let total = this.totals.get(column);
    if (total === undefined) this.totals.set(column, (total = column.reduce((sum, each) => sum + each, 0)));
    return total;
  }
  private readonly totals = new WeakMap<Float64Array, number>();

  private stripColumn(whole: WindowView | undefined, width: number): Float64Array {
    if (whole === undefined) return new Float64Array(width);
    if (this.strip?.whole === whole && this.strip.column.length === width) return this.strip.column;
    const column = new Float64Array(width);
    for (const [track, counts] of whole.tracks) if (track.startsWith('kind:')) binWindow(counts, whole, { from: 0, to: this.last }, width).forEach((count, x) => (column[x] += count));
    this.strip = { whole, column };
    return column;
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
    const tracksBottom = (RULER + TRACK * (this.drawn?.lines.at(-1) ?? 1)) * rem;
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
    const { rem = 16, rows = [], lines = [] } = this.drawn ?? {};
    if (event.clientX - box.left < Math.round(GUTTER * rem)) {
      const line = ((event.clientY - box.top) / rem - RULER) / TRACK;
      const row = line < 0 ? undefined : rows[lines.findLastIndex((each) => each <= line)];
      if (row !== undefined) this.chosen = keyOf(row);
      if (row !== undefined && this.toggleRow(row)) return;
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

/** Of system calls in a thousand instructions; in a million where that is next to nothing. */
function callRate(perThousand: number): string {
  const [rate, unit] = perThousand < 0.1 ? [1000 * perThousand, 'M'] : [perThousand, 'k'];
  return `${rate < 10 ? rate.toPrecision(2) : formatInstructions(Math.round(rate))}/${unit}`;
}
