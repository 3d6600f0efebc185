/** The console as it was at the cursor. */
import { LitElement, css, html, nothing } from 'lit';
import type { ConsolePart } from '../engine/protocol/events.ts';
import { ConsoleText } from './console-text.ts';
import { formatCount } from './format.ts';
import { ModelController } from './model-controller.ts';
import type { RunModel } from './run-model.ts';
import type { GuestTerminal, TextRun } from './terminal.ts';
import { controls, panelHost, panels } from './styles.ts';
import { terminalStyles, terminalText } from './terminal-view.ts';

/** Of a look at the terminal's lines. */
const SLOW_MS = 4;

export class ConsoleView extends LitElement {
  static override properties = { model: { attribute: false } };
  static override styles = [
    controls,
    panels,
    panelHost,
    terminalStyles,
    css`
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
  /** Until the terminal is loaded. */
  private text = new ConsoleText();
  private terminal: GuestTerminal | undefined;
  private runs: readonly TextRun[] = [];
  private scrolledTo: readonly TextRun[] = this.runs;
  private shownPart: ConsolePart | undefined;
  /** Bytes of the part. */
  private shownBytes = 0;
  private isFeeding = false;

  constructor() {
    super();
    new ModelController(this);
  }

  /** The text is there first: the terminal is large. */
  private async loadTerminal(): Promise<void> {
    const { GuestTerminal: Terminal } = await import('./terminal.ts');
    if (!this.isConnected || this.terminal !== undefined) return;
    this.terminal = new Terminal();
    this.shownPart = undefined;
    this.requestUpdate();
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.terminal?.dispose();
    this.terminal = undefined;
  }

  protected override willUpdate(): void {
    const { model } = this;
    const part = model?.console.part;
    if (model === undefined || part === undefined) return;
    if (this.terminal !== undefined) return void this.feed(this.terminal);
    const length = model.console.lengthAt(model.cursor.row);
    if (part !== this.shownPart || length < this.shownBytes) {
      this.text = new ConsoleText();
      this.shownBytes = 0;
      this.shownPart = part;
    }
    for (; this.shownBytes < length; this.shownBytes++) this.text.write(part.bytes[this.shownBytes]);
    this.runs = [{ text: this.text.toString(), colour: undefined, isBold: false }];
    void model.firstDrawn.then(() => this.loadTerminal());
  }

  /** Until it shows what the cursor is at: that may move meanwhile. */
  private async feed(terminal: GuestTerminal): Promise<void> {
    if (this.isFeeding) return;
    this.isFeeding = true;
    for (;;) {
      const part = this.model?.console.part;
      const length = this.model?.console.lengthAt(this.model.cursor.row) ?? 0;
      if (part === undefined || (part === this.shownPart && length === this.shownBytes)) {
        this.isFeeding = false;
        return;
      }
      if (part !== this.shownPart || length < this.shownBytes) {
        terminal.reset();
        this.shownBytes = 0;
      }
      const from = this.shownBytes;
      this.shownPart = part;
      this.shownBytes = length;
      await terminal.write(part.bytes.subarray(from, length));
      if (terminal !== this.terminal) {
        this.isFeeding = false;
        return;
      }
      const since = performance.now();
      this.runs = terminal.runs();
      const took = performance.now() - since;
      this.requestUpdate();
      // A long console, while it plays: the rest of the page has its turns.
      if (took > SLOW_MS) await new Promise((resolve) => setTimeout(resolve, took * 3));
    }
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
      <pre tabindex="0" aria-label="Console text at the cursor" data-testid="console">${part === undefined ? '' : shown === 0 ? empty : terminalText(this.runs)}</pre>
    </section>`;
  }

  protected override updated(): void {
    // To ask for the height is to lay out the page.
    if (this.runs === this.scrolledTo) return;
    this.scrolledTo = this.runs;
    const pre = this.renderRoot.querySelector('pre');
    if (pre !== null) pre.scrollTop = pre.scrollHeight;
  }
}
customElements.define('lab-console', ConsoleView);
