/** Where a value comes from: its last writer, and the chain of copies before. A click on a link goes there. */
import { css, html, nothing } from 'lit';
import type { OriginLink } from '../../engine/protocol/moment.ts';
import { formatCount } from '../format.ts';
import { MomentPanel, busyBar, failureNotice, panelStyles } from './moment-panel.ts';

export class OriginPanel extends MomentPanel {
  static override styles = [
    ...panelStyles,
    css`
      ol {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        padding: 0.4rem 0;
        border-bottom: 1px solid var(--line);
      }
      .line {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        gap: 0.5rem;
      }
      code {
        overflow-wrap: anywhere;
      }
    `,
  ];
  protected override readonly name = 'origin';

  protected override render(): unknown {
    const origin = this.model?.origin;
    return html`<section class="panel" aria-label="Where a value comes from" aria-busy=${origin?.share === undefined ? 'false' : 'true'}>
      <header>
        <h2>Origin</h2>
        <span class="muted">${origin === undefined ? 'of a value' : `of ${origin.text} at @${formatCount(origin.position)}`}</span>
        ${origin?.share === undefined ? nothing : html`${busyBar(origin.share, 'Looking for the writer')}<button @click=${() => this.model?.stopTrace()}>Stop</button>`}
      </header>
      <div class="body" tabindex="0" role="group" aria-label="Links, the latest first" data-testid="origin" data-done=${origin !== undefined && origin.share === undefined ? 'true' : 'false'}>
        ${origin === undefined ? html`<p class="empty">Click the name of a register, or a byte of memory and “Last writer”: here is who wrote it, and what that was made from.</p>` : nothing}
        ${origin?.failure === undefined ? nothing : failureNotice(origin.failure)}
        ${origin === undefined || origin.links.length === 0
          ? nothing
          : html`<ol>
              ${origin.links.map((link) => this.link(link))}
            </ol>`}
      </div>
    </section>`;
  }

  private link({ kind, position, symbol, instruction, subject, value, inputs }: OriginLink): unknown {
    return html`<li>
      <div class="line">
        <button class="link" data-testid="origin-position" @click=${() => this.model?.jumpToPosition(position)}>@${formatCount(position)}</button>
        <span class="badge">${kind}</span><code>${subject}${value === undefined ? '' : ` = ${value}`}</code>
      </div>
      ${instruction === undefined ? nothing : html`<div><code>${instruction}</code> <span class="muted">${symbol ?? ''}</span></div>`}
      ${inputs.length === 0 ? nothing : html`<div class="muted">from ${inputs.join('; ')}</div>`}
    </li>`;
  }
}
customElements.define('lab-origin', OriginPanel);
