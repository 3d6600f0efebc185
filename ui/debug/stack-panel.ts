/** Who called the code at the cursor; a click goes to the call. */
import { css, html, nothing } from 'lit';
import { formatCount } from '../format.ts';
import { MomentPanel, failureNotice, hexText, panelStyles } from './moment-panel.ts';

const KINDS: Readonly<Record<string, string>> = { interrupt: 'interrupted', syscall: 'system call' };

export class StackPanel extends MomentPanel {
  static override styles = [
    ...panelStyles,
    css`
      ol {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        padding: 0.25rem 0;
        border-bottom: 1px solid var(--line);
      }
      li .where {
        font: 500 0.9rem/1.4 var(--mono);
        overflow-wrap: anywhere;
      }
      li .more {
        color: var(--muted);
        font-size: 0.85rem;
      }
    `,
  ];
  protected override readonly name = 'stack';

  protected override updated(changed: Map<PropertyKey, unknown>): void {
    super.updated(changed);
    this.model?.needStack();
  }

  protected override render(): unknown {
    const stack = this.model?.stack;
    const isHere = stack !== undefined && stack.position === this.model?.cursor.position;
    return html`<section class="panel" aria-label="Call stack" aria-busy=${isHere && stack.frames !== undefined ? 'false' : 'true'}>
      <header><h2>Call stack</h2><span class="muted">${stack?.frames === undefined ? 'looking back' : `${stack.frames.length} frames`}</span></header>
      <div class="body" tabindex="0" role="group" aria-label="Frames" data-testid="stack" data-position=${stack?.frames === undefined ? nothing : stack.position}>
        ${stack?.failure !== undefined ? failureNotice(stack.failure) : nothing}
        ${stack?.frames === undefined
          ? html`<p class="empty">The calls before the cursor are replayed to know which have not returned.</p>`
          : html`<ol class=${isHere ? '' : 'busy'}>
              ${stack.frames.map(
                ({ symbol, source, calledAt, kind, stackPointer, rip }) => html`<li>
                  <div class="where" title=${hexText(rip)}>${symbol}${KINDS[kind] === undefined ? nothing : html` <span class="badge">${KINDS[kind]}</span>`}</div>
                  <div class="more">
                    ${source ?? ''} ${calledAt === undefined ? nothing : html`<button class="link" @click=${() => this.model?.jumpToPosition(calledAt)}>called at @${formatCount(calledAt)}</button>`}
                    <button class="link" @click=${() => this.show('memory', hexText(stackPointer))}>stack ${hexText(stackPointer)}</button>
                  </div>
                </li>`,
              )}
            </ol>`}
      </div>
    </section>`;
  }
}
customElements.define('lab-stack', StackPanel);
