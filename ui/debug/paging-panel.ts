/** How an address is translated: the entries of the page tables, level by level. */
import { css, html, nothing } from 'lit';
import type { Look, PagingView } from '../../engine/protocol/moment.ts';
import { formatBytes } from '../format.ts';
import { MomentPanel, hexText, panelStyles } from './moment-panel.ts';

export class PagingPanel extends MomentPanel {
  static override properties = { ...MomentPanel.properties, at: { state: true } };
  static override styles = [
    ...panelStyles,
    css`
      .result {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.4rem;
        margin: 0.6rem 0;
      }
      td.flags {
        white-space: normal;
      }
    `,
  ];
  declare at: string;
  protected override readonly name = 'paging';

  constructor() {
    super();
    this.at = 'rip';
  }
  showAt(expression: string): void {
    this.at = expression;
  }
  protected override look(): Look {
    return { paging: { at: this.at } };
  }

  protected override render(): unknown {
    const paging = this.moment?.paging;
    return html`<section class="panel" aria-label="Page tables" aria-busy=${this.isBusy ? 'true' : 'false'}>
      <header>
        <h2>Page walk</h2>
        <form @submit=${this.onGo}><input type="text" name="at" aria-label="Translate" placeholder="rip, 0x…, symbol" spellcheck="false" autocomplete="off" .value=${this.at} /></form>
      </header>
      <div class="body" tabindex="0" role="group" aria-label="Page walk" data-testid="paging">
        ${paging === undefined ? this.empty() : 'problem' in paging ? html`<p class="empty">${paging.problem}. Give an address, a register or a symbol.</p>` : this.walk(paging)}
      </div>
    </section>`;
  }

  private walk({ address, mode, cr3, levels, paddr, pageBytes, rights }: PagingView): unknown {
    const right = (has: boolean, yes: string, no: string): unknown => html`<span class="badge ${has ? 'good' : ''}">${has ? yes : no}</span>`;
    return html`<p class="result">
        <code>${hexText(address)}</code> →
        ${paddr === undefined ? html`<strong>not mapped</strong>` : html`<code>physical ${hexText(paddr)}</code>`}
        ${mode === 'off'
          ? html`<span class="badge">paging is off</span>`
          : paddr === undefined
            ? nothing
            : html`<span class="badge">${formatBytes(pageBytes)} page</span>${right(rights.isWritable, 'writable', 'read-only')}${right(rights.isExecutable, 'executable', 'no execute')}<span class="badge">${rights.isUser ? 'user' : 'supervisor'}</span>`}
      </p>
      ${mode === 'off'
        ? nothing
        : html`<table>
            <thead><tr><th scope="col">table</th><th scope="col">index</th><th scope="col">entry at</th><th scope="col">entry</th><th scope="col">bits</th></tr></thead>
            <tbody>
              <tr><td>CR3</td><td></td><td></td><td>${hexText(cr3, 16)}</td><td>${mode}</td></tr>
              ${levels.map(({ name, index, paddr: at, entry, flags }) => html`<tr><td>${name}</td><td>${index}</td><td><button class="link" title="Last writer of this entry" @click=${() => this.trace(at, mode)}>${hexText(at)}</button></td><td>${hexText(entry, 16)}</td><td class="flags">${flags.length === 0 ? 'not present' : flags.join(' ')}</td></tr>`)}
            </tbody>
          </table>`}`;
  }

  private trace(paddr: number, mode: PagingView['mode']): void {
    const bytes = mode === '32-bit' ? 4 : 8;
    this.model?.trace({ kind: 'physical', paddr, bytes }, `the entry at physical ${hexText(paddr)}`);
    this.show('origin');
  }
  private readonly onGo = (event: Event): void => {
    event.preventDefault();
    const text = this.renderRoot.querySelector<HTMLInputElement>('input[name=at]')?.value.trim() ?? '';
    this.at = text === '' ? 'rip' : text;
  };
}
customElements.define('lab-paging', PagingPanel);
