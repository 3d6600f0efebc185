/**
 * The events as a table of any length: only the rows in view exist. Browsers end at some tens of millions of pixels, so beyond
 * SPACER_MAX the scroll bar stands for a share of the rows, not for pixels.
 *
 * Styles are set as properties: the content security policy allows no style attributes.
 */
import { LitElement, css, html, nothing } from 'lit';
import { classMap } from 'lit/directives/class-map.js';
import { repeat } from 'lit/directives/repeat.js';
import { formatCount, formatNs } from './format.ts';
import { ALL_KINDS, KIND_ORDER, kindName } from './kinds.ts';
import { ModelController } from './model-controller.ts';
import type { EventText } from '../engine/protocol/events.ts';
import type { RunModel } from './run-model.ts';
import { controls, panelHost, panels } from './styles.ts';

const ROW = 1.75;
const SPACER_MAX = 8_000_000;
const OVERSCAN = 8;
const FILTER_DELAY_MS = 150;
/** Width of a digit in a row. */
const DIGIT_REM = 0.54;

export class EventTable extends LitElement {
  static override properties = { model: { attribute: false } };
  static override styles = [
    controls,
    panels,
    panelHost,
    css`
      .chips {
        display: flex;
        flex-wrap: wrap;
        gap: 0.3rem;
      }
      .chip {
        min-height: 1.6rem;
        padding: 0 0.5rem;
        border-radius: 1rem;
        font-size: 0.82rem;
        color: var(--muted);
      }
      .chip i {
        width: 0.6rem;
        height: 0.6rem;
        border: 1.5px solid var(--dot);
        border-radius: 0.15rem;
      }
      .chip[aria-pressed='true'] {
        color: var(--text);
      }
      .chip[aria-pressed='true'] i {
        background: var(--dot);
      }
      .count {
        font-variant-numeric: tabular-nums;
      }
      input {
        flex: 1 1 8rem;
        min-width: 8rem;
      }
      .head,
      .row {
        display: grid;
        grid-template-columns: 4.6rem max(8rem, var(--position)) 6.4rem 6.2rem minmax(10rem, 1fr) 9.6rem;
        align-items: center;
        gap: 0.6rem;
        padding: 0 0.8rem;
      }
      .head {
        flex: none;
        height: 1.9rem;
        border-bottom: 1px solid var(--line);
        background: var(--raised);
        color: var(--muted);
        font-size: 0.82rem;
        font-weight: 600;
        scrollbar-gutter: stable;
        overflow: hidden;
      }
      .scroller {
        position: relative;
        flex: 1;
        min-height: 0;
        overflow: hidden auto;
        scrollbar-gutter: stable;
        overscroll-behavior: contain;
      }
      .scroller:focus-visible {
        outline-offset: -2px;
      }
      .window {
        position: absolute;
        inset: 0 0 auto;
      }
      .row {
        height: 1.75rem;
        font-family: var(--mono);
        font-size: 0.88rem;
        cursor: default;
      }
      .row > * {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .row:hover {
        background: var(--raised);
      }
      .row.current {
        background: var(--accent-soft);
        box-shadow: inset 3px 0 0 var(--cursor);
      }
      .row.after {
        color: var(--muted);
      }
      .number {
        text-align: right;
      }
      .kind {
        display: flex;
        align-items: center;
        gap: 0.4rem;
        font-family: var(--sans);
      }
      .kind i {
        flex: none;
        width: 0.55rem;
        height: 0.55rem;
        border-radius: 0.15rem;
        background: var(--dot);
      }
      .k1 { --dot: var(--kind-input); }
      .k2 { --dot: var(--kind-exit); }
      .k3 { --dot: var(--kind-interrupt); }
      .k4 { --dot: var(--kind-device); }
      .k5 { --dot: var(--kind-idle); }
      .k6 { --dot: var(--kind-dirty); }
      .k7 { --dot: var(--kind-digest); }
      .k8 { --dot: var(--kind-mark); }
      .k9 { --dot: var(--kind-end); }
      .k10 { --dot: var(--kind-counts); }
      .empty {
        display: grid;
        place-content: center;
        justify-items: center;
        gap: 0.6rem;
        height: 100%;
        padding: 1.5rem;
        text-align: center;
      }
      .narrow .head,
      .narrow .row {
        grid-template-columns: 4rem var(--position) 6rem minmax(7rem, 1fr);
      }
      .tight .head,
      .tight .row {
        grid-template-columns: var(--position) 5.2rem minmax(7rem, 1fr);
      }
      .tight .row-number,
      .narrow .time,
      .narrow .rip {
        display: none;
      }
    `,
  ];
  declare model: RunModel | undefined;
  private top = 0;
  private height = 0;
  private isNarrow = false;
  private isTight = false;
  private rem = 16;
  private followed = '';
  private shownFilter = '';
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly resize = new ResizeObserver(() => this.measure());

  constructor() {
    super();
    new ModelController(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.resize.observe(this);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.resize.disconnect();
    clearTimeout(this.timer);
  }

  focusFilter(): void {
    this.renderRoot.querySelector('input')?.focus();
  }

  private measure(): void {
    this.rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.height = this.renderRoot.querySelector('.scroller')?.clientHeight ?? 0;
    this.isNarrow = this.clientWidth < 58 * this.rem;
    this.isTight = this.clientWidth < 34 * this.rem;
    // Another height shows other rows: the cursor's stays among them.
    this.followed = '';
    this.requestUpdate();
  }

  private get total(): number {
    return this.model?.shownCount ?? 0;
  }
  private get rowHeight(): number {
    return ROW * this.rem;
  }
  private get spacer(): number {
    return Math.min(SPACER_MAX, this.total * this.rowHeight);
  }
  /** Index of the row at the top of the view, with its fraction. */
  private firstInView(): number {
    const scrollable = this.spacer - this.height;
    const rows = this.total - this.height / this.rowHeight;
    return scrollable <= 0 || rows <= 0 ? 0 : (Math.min(this.top, scrollable) / scrollable) * rows;
  }
  private scrollToIndex(index: number): void {
    const scroller = this.renderRoot.querySelector('.scroller');
    if (scroller === null || this.height === 0) return;
    const first = this.firstInView();
    const visible = this.height / this.rowHeight;
    if (index >= first && index + 1 <= first + visible) return;
    const wanted = Math.max(0, Math.min(this.total - visible, index - visible / 2));
    const rows = this.total - visible;
    scroller.scrollTop = rows <= 0 ? 0 : (wanted / rows) * (this.spacer - this.height);
    this.top = scroller.scrollTop;
  }

  protected override firstUpdated(): void {
    this.measure();
  }

  /** Positions are seen whole, however long the run is. */
  protected override willUpdate(): void {
    this.style.setProperty('--position', `${Math.max(6.6, DIGIT_REM * formatCount(this.model?.lastPosition ?? 0).length)}rem`);
  }
  protected override updated(): void {
    const { model } = this;
    if (model === undefined) return;
    // A filter that came with a link, or was set by something else.
    const input = this.renderRoot.querySelector('input');
    if (input !== null && input.value !== model.filter.text && this.shownFilter !== model.filter.text) input.value = model.filter.text;
    this.shownFilter = model.filter.text;
    // When the cursor moves, the table follows; when a person scrolls, it does not jump back.
    const { index } = model.cursor;
    const key = `${model.filter.kinds} ${model.filter.text} ${index}`;
    if (key === this.followed || this.total === 0) return;
    this.followed = key;
    const before = this.top;
    this.scrollToIndex(Math.min(index, this.total - 1));
    if (this.top !== before) this.requestUpdate();
  }

  protected override render(): unknown {
    const { model } = this;
    if (model === undefined) return nothing;
    const first = Math.max(0, Math.floor(this.firstInView()) - OVERSCAN);
    const end = Math.min(this.total, Math.ceil(this.firstInView() + this.height / this.rowHeight) + OVERSCAN);
    const indexes = Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
    model.pages.need(first, end);
    const offset = this.top - (this.firstInView() - first) * this.rowHeight;
    const { filter } = model;
    // The longest that it can be keeps its room: nothing moves under a pointer between two clicks.
    const countRoom = 2 * formatCount(model.count).length + ' of  …'.length;
    const count = filter.shown === undefined ? `${formatCount(model.count)}` : `${formatCount(filter.shown)} of ${formatCount(model.count)}${filter.isBusy ? ' …' : ''}`;
    return html`<section class="panel ${this.isNarrow ? 'narrow' : ''} ${this.isTight ? 'tight' : ''}" aria-label="Events">
      <header>
        <h2>Events</h2>
        <span class="muted count" .style=${`min-width: ${countRoom}ch`} aria-live="polite" data-testid="event-count">${count}</span>
        <input
          type="search"
          aria-label="Filter events by text"
          placeholder="Filter: #PF -idle"
          data-testid="event-filter"
          spellcheck="false"
          @input=${this.onText}
          @keydown=${this.onFilterKey}
        />
        <div class="chips" role="group" aria-label="Kinds of events">
          ${KIND_ORDER.filter((kind) => (model.summary?.counts[kindName(kind)] ?? 0) > 0).map(
            (kind) =>
              html`<button class="chip k${kind}" aria-pressed=${((filter.kinds >> kind) & 1) === 1 ? 'true' : 'false'} title="Click: show or hide. Double click: only this kind" @click=${() => this.toggle(kind)} @dblclick=${() => this.only(kind)}>
                <i></i>${kindName(kind)}
              </button>`,
          )}
        </div>
      </header>
      <div class="head" aria-hidden="true">
        <span class="number row-number">#</span><span class="number">position</span><span class="number time">time</span><span>kind</span><span>event</span><span class="rip">rip</span>
      </div>
      <div
        class="scroller"
        role="grid"
        tabindex="0"
        aria-label="Events"
        aria-rowcount=${this.total}
        data-testid="event-table"
        @scroll=${this.onScroll}
      >
        ${this.total === 0 ? this.empty() : nothing}
        <div role="presentation" .style=${`height: ${this.spacer}px`}></div>
        <div class="window" role="rowgroup" .style=${`transform: translateY(${offset}px)`}>
          ${repeat(
            indexes,
            (index) => index,
            (index) => this.row(index, model.pages.at(index)),
          )}
        </div>
      </div>
    </section>`;
  }

  private row(index: number, text: EventText | undefined): unknown {
    const model = this.model!;
    if (text === undefined) return html`<div class="row" role="row" aria-rowindex=${index + 1}><span role="gridcell" class="number row-number muted">${model.filter.shown === undefined ? formatCount(index) : ''}</span><span role="gridcell" class="number">…</span></div>`;
    const current = model.cursor.row === text.row;
    return html`<div
      class=${classMap({ row: true, current, after: text.row > model.cursor.row })}
      role="row"
      aria-rowindex=${index + 1}
      aria-selected=${current ? 'true' : 'false'}
      @click=${() => model.moveToText(text, index)}
    >
      <span role="gridcell" class="number row-number muted">${formatCount(text.row)}</span>
      <span role="gridcell" class="number">${formatCount(text.position)}</span>
      <span role="gridcell" class="number time">${formatNs(text.timeNs)}</span>
      <span role="gridcell" class="kind k${text.kind}"><i></i>${kindName(text.kind)}</span>
      <span role="gridcell" title=${text.text}>${text.text}</span>
      <span role="gridcell" class="rip muted">${text.rip ?? ''}</span>
    </div>`;
  }

  private empty(): unknown {
    const model = this.model!;
    if (model.filter.isBusy) return html`<div class="empty muted">Looking…</div>`;
    if (model.filter.shown !== undefined) {
      return html`<div class="empty">
        <p>No event answers this filter.</p>
        <button @click=${this.clear}>Show all events</button>
      </div>`;
    }
    return html`<div class="empty muted">${model.isLoaded ? 'This recording has no events.' : 'Reading events…'}</div>`;
  }

  private readonly clear = (): void => {
    clearTimeout(this.timer);
    const input = this.renderRoot.querySelector('input');
    if (input !== null) input.value = '';
    this.model?.setFilter(ALL_KINDS, '');
  };
  private toggle(kind: number): void {
    const { filter } = this.model!;
    this.model!.setFilter(filter.kinds ^ (1 << kind), filter.text);
  }
  private only(kind: number): void {
    this.model!.setFilter(1 << kind, this.model!.filter.text);
  }
  private readonly onText = (event: InputEvent): void => {
    const text = (event.target as HTMLInputElement).value;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.model?.setFilter(this.model.filter.kinds, text), FILTER_DELAY_MS);
  };
  private readonly onFilterKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape') return;
    this.clear();
    (event.target as HTMLElement).blur();
  };
  private readonly onScroll = (event: Event): void => {
    this.top = (event.target as HTMLElement).scrollTop;
    this.requestUpdate();
  };
}
customElements.define('lab-event-table', EventTable);
