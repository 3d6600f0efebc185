/** Memory at an address, or where a register points. Bytes that changed since the cursor stopped here before are marked; a click on one offers its last writer and a watchpoint. */
import { css, html, nothing } from 'lit';
import type { Look, MemoryRow, WatchAccess } from '../../engine/protocol/moment.ts';
import { MomentPanel, hexText, panelStyles } from './moment-panel.ts';

const ROW_REM = 1.4;
const ROW_BYTES = 16;
const ACCESSES: readonly (readonly [WatchAccess, string])[] = [['change', 'changes'], ['write', 'is written'], ['read', 'is read'], ['access', 'is accessed']]; // prettier-ignore

export class MemoryPanel extends MomentPanel {
  static override properties = { ...MomentPanel.properties, at: { state: true }, isPhysical: { state: true }, skip: { state: true }, rows: { state: true }, selected: { state: true }, length: { state: true }, access: { state: true } };
  static override styles = [
    ...panelStyles,
    css`
      .body {
        container-type: inline-size;
      }
      td.bytes {
        padding-right: 0.6rem;
      }
      td.bytes button {
        display: inline;
        min-height: 0;
        padding: 0 0.14em;
        border: 0;
        border-radius: 0.15em;
        background: none;
        font: inherit;
      }
      td.bytes button:nth-of-type(8) {
        margin-right: 0.5em;
      }
      /* All sixteen bytes and their text are seen where the panel is narrow. */
      @container (max-width: 36rem) {
        table {
          margin: 0 -0.5rem;
          font-size: 0.72rem;
        }
        td,
        td.bytes {
          padding-right: 0.2rem;
        }
        td.bytes button {
          padding: 0 0.06em;
        }
        td.bytes button:nth-of-type(8) {
          margin-right: 0.3em;
        }
      }
      td.bytes button.zero {
        color: var(--muted);
      }
      td.bytes button.changed {
        background: var(--changed);
        color: inherit;
      }
      td.bytes button.watched {
        outline: 1px solid var(--bad);
      }
      td.bytes button[aria-pressed='true'] {
        background: var(--accent);
        color: var(--accent-text);
      }
      .address {
        color: var(--muted);
      }
      .actions {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.35rem;
        padding: 0.4rem 0.8rem;
        border-top: 1px solid var(--line);
        font-size: 0.88rem;
      }
      .actions button,
      .actions select,
      .actions input {
        min-height: 1.8rem;
        padding: 0 0.5rem;
        font-size: 0.88rem;
      }
      .actions input {
        width: 4.2rem;
      }
    `,
  ];
  declare at: string;
  declare isPhysical: boolean;
  declare skip: number;
  declare rows: number;
  /** Address of a byte. */
  declare selected: bigint | undefined;
  declare length: number;
  declare access: WatchAccess;
  protected override readonly name = 'memory';
  /** What was shown where the cursor stopped before: bytes by address. */
  private shown = new Map<bigint, Uint8Array>();
  private earlier = new Map<bigint, Uint8Array>();
  private shownAt = -1;
  private readonly resize = new ResizeObserver(() => this.measure());

  constructor() {
    super();
    this.at = 'rsp';
    this.isPhysical = false;
    this.skip = 0;
    this.rows = 16;
    this.length = 8;
    this.access = 'change';
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
    if (body !== null) this.rows = Math.max(4, Math.floor(body.clientHeight / (ROW_REM * rem)) - 1);
  }

  showAt(expression: string): void {
    this.at = expression;
    this.isPhysical = false;
    this.skip = 0;
    this.selected = undefined;
  }

  protected override look(): Look {
    return { memory: { at: this.at, skip: this.skip, rows: this.rows, isPhysical: this.isPhysical } };
  }

  protected override willUpdate(): void {
    const { moment } = this;
    const memory = moment?.memory;
    if (moment === undefined || memory === undefined || 'problem' in memory) return;
    const { position } = moment.machine;
    if (position !== this.shownAt) {
      this.earlier = this.shown;
      this.shown = new Map();
      this.shownAt = position;
    }
    for (const { address, bytes } of memory.rows) this.shown.set(address, bytes);
  }

  protected override render(): unknown {
    const memory = this.moment?.memory;
    return html`<section class="panel" aria-label="Memory" aria-busy=${this.isBusy ? 'true' : 'false'}>
      <header>
        <h2>Memory</h2>
        <form @submit=${this.onGo}>
          <input type="text" name="at" aria-label="Memory at" placeholder="rsp, 0x…, symbol, u64(rbp)+8" spellcheck="false" autocomplete="off" .value=${this.at} data-testid="memory-at" />
          <select aria-label="Address space" @change=${this.onSpace}><option value="linear" ?selected=${!this.isPhysical}>virtual</option><option value="physical" ?selected=${this.isPhysical}>physical</option></select>
          <button type="button" aria-label="Lower addresses" @click=${() => (this.skip -= Math.max(1, this.rows - 2))}>↑</button>
          <button type="button" aria-label="Higher addresses" @click=${() => (this.skip += Math.max(1, this.rows - 2))}>↓</button>
        </form>
      </header>
      <div class="body" tabindex="0" role="group" aria-label="Bytes" data-testid="memory" @wheel=${this.onWheel}>
        ${memory === undefined ? this.empty() : 'problem' in memory ? html`<p class="empty">${memory.problem}. Give an address, a register or a symbol.</p>` : this.table(memory.rows, memory.at)}
      </div>
      ${this.selected === undefined ? nothing : this.actions(this.selected)}
    </section>`;
  }

  private table(rows: readonly MemoryRow[], at: bigint): unknown {
    return html`<table class=${this.isBusy ? 'busy' : ''}>
      <thead><tr><th scope="col">address</th><th scope="col">bytes</th><th scope="col">text</th></tr></thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr data-address=${hexText(row.address)}>
            <td class="address" title=${row.paddr === undefined ? 'not mapped' : `physical ${hexText(row.paddr)}`}>${hexText(row.address, 16).slice(2)}</td>
            ${row.bytes.length === 0
              ? html`<td class="address" colspan="2">not mapped</td>`
              : html`<td class="bytes">${this.bytes(row, at)}</td><td>${Array.from(row.bytes, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·')).join('')}</td>`}
          </tr>`,
        )}
      </tbody>
    </table>`;
  }

  private bytes({ address, paddr, bytes }: MemoryRow, at: bigint): unknown {
    const before = this.earlier.get(address);
    return Array.from(bytes, (byte, i) => {
      const own = address + BigInt(i);
      const isChanged = before !== undefined && before[i] !== undefined && before[i] !== byte;
      const isWatched = paddr !== undefined && this.model?.points.watchpointAt(paddr + i) !== undefined;
      const names = [byte === 0 ? 'zero' : '', isChanged ? 'changed' : '', isWatched ? 'watched' : ''].join(' ');
      // One stop of the Tab key for all bytes; arrows go on from there.
      return html`<button class=${names} tabindex=${own === (this.selected ?? at) ? '0' : '-1'} aria-pressed=${this.selected === own ? 'true' : 'false'} aria-label="${hexText(own)}: ${byte.toString(16).padStart(2, '0')}" title=${isChanged ? `was ${before[i].toString(16).padStart(2, '0')}` : hexText(own)} data-byte=${hexText(own)} @click=${() => (this.selected = own)} @keydown=${this.onByteKey}>${byte.toString(16).padStart(2, '0')}</button>`;
    });
  }

  private actions(address: bigint): unknown {
    return html`<div class="actions" role="group" aria-label="The byte at ${hexText(address)}">
      <code>${hexText(address)}</code>
      <button class="primary" data-testid="last-writer" @click=${() => this.trace(address)}>Last writer</button>
      <label>of <input type="number" min="1" max="4096" aria-label="Bytes" .value=${String(this.length)} @change=${this.onLength} /> bytes</label>
      <button data-testid="watch" @click=${() => this.watch(address)}>Stop when it</button>
      <select aria-label="Kind of access" @change=${this.onAccess}>${ACCESSES.map(([access, text]) => html`<option value=${access} ?selected=${access === this.access}>${text}</option>`)}</select>
      <button @click=${() => this.show('paging', this.isPhysical ? undefined : hexText(address))} ?disabled=${this.isPhysical}>Page walk</button>
    </div>`;
  }

  private trace(address: bigint): void {
    const { length, isPhysical } = this;
    this.model?.trace(isPhysical ? { kind: 'physical', paddr: Number(address), bytes: length } : { kind: 'memory', address, bytes: length }, `${length} ${length === 1 ? 'byte' : 'bytes'} at ${hexText(address)}`);
    this.show('origin');
  }
  private watch(address: bigint): void {
    const { model } = this;
    void model?.points.ask(model.cursor.position, { kind: 'watchpoint', text: hexText(address), bytes: this.length, isPhysical: this.isPhysical, access: this.access });
    this.show('points');
  }

  private readonly onGo = (event: Event): void => {
    event.preventDefault();
    const text = this.renderRoot.querySelector<HTMLInputElement>('input[name=at]')?.value.trim() ?? '';
    this.at = text === '' ? 'rsp' : text;
    this.skip = 0;
    this.selected = undefined;
  };
  private readonly onSpace = (event: Event): void => {
    this.isPhysical = (event.target as HTMLSelectElement).value === 'physical';
    this.selected = undefined;
  };
  private readonly onAccess = (event: Event): void => {
    this.access = (event.target as HTMLSelectElement).value as WatchAccess;
  };
  private readonly onLength = (event: Event): void => {
    const length = Math.trunc(Number((event.target as HTMLInputElement).value));
    if (length >= 1 && length <= 4096) this.length = length;
    this.requestUpdate();
  };
  private readonly onWheel = (event: WheelEvent): void => {
    if (event.ctrlKey || event.deltaY === 0) return;
    event.preventDefault();
    this.skip += Math.sign(event.deltaY) * 3;
  };
  private readonly onByteKey = (event: KeyboardEvent): void => {
    const by: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -ROW_BYTES, ArrowDown: ROW_BYTES };
    const move = by[event.key];
    if (move === undefined || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    const to = BigInt((event.currentTarget as HTMLElement).dataset['byte'] ?? '0') + BigInt(move);
    this.selected = to;
    void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>(`[data-byte="${hexText(to)}"]`)?.focus());
  };
}
customElements.define('lab-memory', MemoryPanel);
