/** The console as it was at the cursor. */
import { LitElement, css, html, nothing } from 'lit';
import type { ConsolePart } from '../engine/protocol/events.ts';
import { ConsoleText } from './console-text.ts';
import { formatCount } from './format.ts';
import { ModelController } from './model-controller.ts';
import type { RunModel } from './run-model.ts';
import { controls, panels } from './styles.ts';

export class ConsoleView extends LitElement {
  static override properties = { model: { attribute: false } };
  static override styles = [
    controls,
    panels,
    css`
      :host {
        display: flex;
        min-width: 0;
        min-height: 0;
      }
      .panel {
        flex: 1;
      }
      pre {
        flex: 1;
        min-height: 0;
        margin: 0;
        padding: 0.7rem 0.8rem;
        overflow: auto;
        background: var(--console);
        color: var(--console-text);
        font: 400 0.9rem/1.4 var(--mono);
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      pre:focus-visible {
        outline-offset: -2px;
      }
    `,
  ];
  declare model: RunModel | undefined;
  private text = new ConsoleText();
  private shownPart: ConsolePart | undefined;
  /** Bytes of the part. */
  private shownBytes = 0;

  constructor() {
    super();
    new ModelController(this);
  }

  protected override willUpdate(): void {
    const { model } = this;
    const part = model?.console.part;
    if (model === undefined || part === undefined) return;
    const length = model.console.lengthAt(model.cursor.row);
    if (part !== this.shownPart || length < this.shownBytes) {
      this.text = new ConsoleText();
      this.shownBytes = 0;
      this.shownPart = part;
    }
    for (; this.shownBytes < length; this.shownBytes++) this.text.write(part.bytes[this.shownBytes]);
  }

  protected override render(): unknown {
    const part = this.shownPart;
    const shown = part?.first === undefined ? undefined : part.first + this.shownBytes;
    const empty = part?.total === 0 ? 'The guest wrote nothing to its serial console.' : 'Nothing on the console yet: move the cursor to the right.';
    return html`<section class="panel" aria-label="Console">
      <header>
        <h2>Console</h2>
        <span class="muted" data-testid="console-bytes">at the cursor${shown === undefined ? nothing : html`, ${formatCount(shown)} of ${part?.total === undefined ? '…' : formatCount(part.total)} bytes`}</span>
      </header>
      <pre tabindex="0" aria-label="Console text at the cursor" data-testid="console">${part === undefined ? '' : shown === 0 ? empty : this.text.toString()}</pre>
    </section>`;
  }

  protected override updated(): void {
    const pre = this.renderRoot.querySelector('pre');
    if (pre !== null) pre.scrollTop = pre.scrollHeight;
  }
}
customElements.define('lab-console', ConsoleView);
