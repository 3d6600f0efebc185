/**
 * The code at the cursor: symbols, source lines, breakpoints by click. The wheel walks: down one instruction on, up one back; with Shift it moves the list.
 */
import { css, html, nothing } from 'lit';
import type { ListingRow, Look, WalkDirection, WalkUnit } from '../../engine/protocol/moment.ts';
import { formatCount } from '../format.ts';
import { SourceTexts, hasSources } from './sources.ts';
import { MomentPanel, busyBar, hexText, panelStyles } from './moment-panel.ts';

const ROW_REM = 1.42;
const ROWS_MIN = 8;
/** Pixels of the wheel for one instruction. */
const WHEEL_PIXELS = 40;

export class CodePanel extends MomentPanel {
  static override properties = { ...MomentPanel.properties, pinned: { state: true }, rows: { state: true }, skip: { state: true } };
  static override styles = [
    ...panelStyles,
    css`
      .travel {
        display: grid;
        grid-template-columns: repeat(5, 1fr);
        gap: 0.25rem;
        padding: 0.4rem 0.8rem;
        border-bottom: 1px solid var(--line);
      }
      .travel button {
        min-height: 1.9rem;
        gap: 0.25rem;
        padding: 0 0.3rem;
        font-size: 0.88rem;
      }
      @container panel (min-width: 46rem) {
        .travel {
          grid-template-columns: repeat(10, 1fr);
        }
      }
      :host {
        container: panel / inline-size;
      }
      .status {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        min-height: 1.9rem;
        padding: 0.1rem 0.8rem;
        border-bottom: 1px solid var(--line);
        font-size: 0.88rem;
      }
      .status code {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .body {
        container-type: inline-size;
        padding: 0.3rem 0.4rem;
      }
      table {
        width: 100%;
      }
      td {
        padding: 0 0.6rem 0 0;
      }
      /* What is left over belongs to the instruction. */
      td.address,
      td.bytes {
        width: 1%;
      }
      td.gutter {
        width: 1.4rem;
        padding: 0;
      }
      td.gutter button {
        display: flex;
        width: 1.3rem;
        height: 1.3rem;
        min-height: 0;
        padding: 0;
        border: 0;
        border-radius: 50%;
        background: none;
      }
      td.gutter button::after {
        content: '';
        flex: none;
        width: 0.75rem;
        height: 0.75rem;
        border: 1px solid transparent;
        border-radius: 50%;
      }
      td.gutter button:hover::after,
      td.gutter button:focus-visible::after {
        border-color: var(--bad);
      }
      td.gutter button[aria-pressed='true']::after {
        border-color: var(--bad);
        background: var(--bad);
      }
      .line {
        margin-left: 0.9rem;
        color: var(--text);
      }
      tr.current td {
        background: var(--accent-soft);
      }
      td.address button {
        color: var(--muted);
      }
      tr.label td,
      tr.source td {
        color: var(--muted);
      }
      tr.label td {
        padding-top: 0.25rem;
        color: var(--text);
        font-weight: 600;
      }
      .bytes {
        color: var(--muted);
      }
      @container (max-width: 46rem) {
        td.bytes {
          display: none;
        }
      }
      /* Mnemonics are padded to a column of operands. */
      .instruction {
        white-space: pre;
      }
      .target {
        color: var(--muted);
      }
    `,
  ];
  /** An expression whose code is shown, instead of that at rip. */
  declare pinned: string | undefined;
  declare rows: number;
  /** Rows that the list was moved by. */
  declare skip: number;
  protected override readonly name = 'code';
  private wheel = 0;
  private readonly resize = new ResizeObserver(() => this.measure());

  constructor() {
    super();
    this.rows = 16;
    this.skip = 0;
  }
  override connectedCallback(): void {
    super.connectedCallback();
    this.resize.observe(this);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.resize.disconnect();
  }
  private measure(): void {
    const body = this.renderRoot.querySelector('.body');
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    if (body !== null) this.rows = Math.max(ROWS_MIN, Math.floor(body.clientHeight / (ROW_REM * rem)));
  }

  showAt(expression: string | undefined): void {
    this.pinned = expression;
    this.skip = 0;
  }

  protected override look(): Look {
    const before = Math.max(0, Math.floor(this.rows / 3) - this.skip);
    return { listing: { at: this.pinned, before, after: Math.max(1, this.rows - before + Math.max(0, this.skip - Math.floor(this.rows / 3))) } };
  }

  protected override render(): unknown {
    const { moment, model } = this;
    const listing = moment?.listing;
    const walk = model?.walk;
    return html`<section class="panel" aria-label="Code" aria-busy=${this.isBusy ? 'true' : 'false'}>
      <header>
        <h2>Code</h2>
        <form @submit=${this.onGo}>
          <input type="text" name="at" aria-label="Show code at" placeholder="follows rip: address, symbol, register" spellcheck="false" autocomplete="off" .value=${this.pinned ?? ''} data-testid="code-at" />
          ${this.pinned === undefined && this.skip === 0 ? nothing : html`<button type="button" @click=${() => this.showAt(undefined)}>Follow rip</button>`}
        </form>
      </header>
      <div class="travel" role="group" aria-label="Travel">${this.buttons()}</div>
      <div class="status" role="status" data-testid="walk" data-kind=${walk?.kind ?? 'none'}>
        ${walk?.kind === 'walking'
          ? html`${busyBar((model?.lastPosition ?? 0) === 0 ? 0 : walk.position / model!.lastPosition, 'Walking')}<span>${walk.direction === 'forward' ? 'forward' : 'back'}, at @${formatCount(walk.position)}</span>
              <button @click=${() => model?.interrupt()}>Stop here</button>`
          : walk?.kind === 'failed'
            ? html`<span class="badge bad" title=${walk.failure.advice}>${walk.failure.message}</span>`
            : html`<code title=${moment?.source ?? ''}>${moment?.symbol ?? ''}${moment?.source === undefined ? '' : ` · ${moment.source}`}</code>
                ${moment?.task === undefined ? nothing : html`<span class="badge">task ${moment.task}</span>`}
                ${moment?.isBetween === true ? html`<span class="badge warn" title="An interrupt or a fault was delivered, and its handler has not begun">delivered</span>` : nothing}
                ${walk?.kind === 'ended' && walk.text !== '' ? html`<span class="badge">${walk.text}</span>` : nothing}`}
      </div>
      <div class="body" tabindex="0" role="group" aria-label="Instructions; the wheel walks through time" data-testid="code" data-rip=${moment === undefined ? nothing : hexText(moment.rip)} @wheel=${this.onWheel}>
        ${listing === undefined || moment === undefined ? this.empty() : 'problem' in listing ? html`<p class="empty">${listing.problem}</p>` : this.table(listing, moment.rip)}
      </div>
    </section>`;
  }

  private buttons(): unknown {
    const isOff = this.model?.isLoaded !== true;
    const button = (label: string, title: string, unit: WalkUnit, direction: WalkDirection, id: string): unknown => {
      const isBack = direction === 'backward';
      const glyph = (unit === 'continue' ? '▷▷' : '▷').replaceAll('▷', isBack ? '◁' : '▷');
      // The name begins with what is seen, so that it can be spoken.
      return html`<button title=${title} ?disabled=${isOff} data-testid=${id} @click=${() => this.model?.travel(unit, direction)}>
        ${isBack ? html`<span aria-hidden="true">${glyph}</span>` : nothing}<span>${label}<span class="visually-hidden"> ${isBack ? 'back' : 'forward'}</span></span>${isBack ? nothing : html`<span aria-hidden="true">${glyph}</span>`}
      </button>`;
    };
    return html`${button('Run', 'Run back to the point before (Shift+F9)', 'continue', 'backward', 'reverse-continue')}
      ${button('Out', 'Back to the call of this function (Shift+F8)', 'out', 'backward', 'reverse-out')}
      ${button('Line', 'Back to the line before (Shift+F7)', 'over-line', 'backward', 'reverse-line')}
      ${button('Over', 'Step back over calls (Shift+F6)', 'over', 'backward', 'reverse-over')}
      ${button('Step', 'One instruction back (Shift+←)', 'instruction', 'backward', 'reverse-step')}
      ${button('Step', 'One instruction on (Shift+→)', 'instruction', 'forward', 'step')}
      ${button('Over', 'Step over calls (F6)', 'over', 'forward', 'over')}
      ${button('Line', 'To the next line of the source (F7)', 'over-line', 'forward', 'line')}
      ${button('Out', 'Run until this function returns (F8)', 'out', 'forward', 'out')}
      ${button('Run', 'Run to the next point (F9)', 'continue', 'forward', 'continue')}`;
  }

  private table(rows: readonly ListingRow[], rip: bigint): unknown {
    const from = Math.min(Math.max(0, this.skip - Math.floor(this.rows / 3)), Math.max(0, rows.length - 1));
    return html`<table class=${this.isBusy ? 'busy' : ''}>
      <caption class="visually-hidden">Instructions around ${this.pinned ?? 'the next one'}</caption>
      <tbody>
        ${rows.slice(from).map((row) => this.row(row, rip))}
      </tbody>
    </table>`;
  }

  private row(row: ListingRow, rip: bigint): unknown {
    const address = hexText(row.address);
    const point = this.model?.points.breakpointAt(row.address);
    const isCurrent = row.address === rip;
    return html`${row.label === undefined ? nothing : html`<tr class="label"><td></td><td colspan="3">${row.label}:</td></tr>`}
      ${row.source === undefined ? nothing : html`<tr class="source"><td></td><td colspan="3">${row.source}${this.sourceText(row.source)}</td></tr>`}
      <tr class=${isCurrent ? 'current' : ''} aria-current=${isCurrent ? 'step' : nothing} data-address=${address}>
        <td class="gutter">
          <button aria-pressed=${point === undefined ? 'false' : 'true'} aria-label="Breakpoint at ${address}" title=${point === undefined ? 'Break here' : 'Remove the breakpoint'} @click=${() => this.toggle(row)}></button>
        </td>
        <td class="address"><button class="link" title="Run to here (with Shift: back to here)" aria-label="Run to ${address.slice(2).padStart(16, '0')}" @click=${(event: MouseEvent) => this.model?.travel('continue', event.shiftKey ? 'backward' : 'forward', row.address)}>${address.slice(2).padStart(16, '0')}</button></td>
        <td class="bytes">${row.bytes.length > 16 ? `${row.bytes.slice(0, 16)}…` : row.bytes}</td>
        <td class="instruction">${row.text}${row.target === undefined || row.target.name.startsWith('0x') ? nothing : html` <button class="link target" title="Show what is there" @click=${() => this.follow(row)}>&lt;${row.target.name}&gt;</button>`}</td>
      </tr>`;
  }

  private sourceText(place: string): unknown {
    const summary = this.model?.summary;
    const text = summary === undefined || !hasSources(summary) ? undefined : this.sources.line(place);
    return text === undefined || text === '' ? nothing : html`<code class="line" data-testid="source-line">${text}</code>`;
  }
  private readonly sources = new SourceTexts(() => this.requestUpdate());

  private toggle(row: ListingRow): void {
    this.model?.points.toggleBreakpoint(row.address, row.label ?? hexText(row.address));
  }
  private follow(row: ListingRow): void {
    if (row.target === undefined) return;
    if (/^(call|j|loop)/.test(row.text)) this.showAt(hexText(row.target.address));
    else this.show('memory', hexText(row.target.address));
  }

  private readonly onGo = (event: Event): void => {
    event.preventDefault();
    const input = this.renderRoot.querySelector<HTMLInputElement>('input[name=at]');
    const text = input?.value.trim() ?? '';
    this.showAt(text === '' ? undefined : text);
  };

  private readonly onWheel = (event: WheelEvent): void => {
    const { model } = this;
    if (model?.isLoaded !== true || event.ctrlKey) return;
    event.preventDefault();
    this.wheel += (event.deltaY === 0 ? event.deltaX : event.deltaY) * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1);
    const steps = Math.trunc(this.wheel / WHEEL_PIXELS);
    if (steps === 0) return;
    this.wheel -= steps * WHEEL_PIXELS;
    if (event.shiftKey) this.skip += steps;
    else model.moveToPosition(model.cursor.position + steps);
  };
}
customElements.define('lab-code', CodePanel);
