/** A new recording of one of the lab's guests, made in this page: settings, the live console, then the recording. */
import { LitElement, css, html, nothing } from 'lit';
import type { Subscription } from 'rxjs';
import type { Failure, Reply } from '../engine/protocol/messages.ts';
import { ConsoleText } from './console-text.ts';
import { EngineClient } from './engine-client.ts';
import { formatBytes, formatInstructions } from './format.ts';
import { GUESTS } from './guests.ts';
import { keepRecording } from './library.ts';
import { formatRoute } from './router.ts';
import { failureOf } from './engine-client.ts';
import { controls, panels } from './styles.ts';

const MEMORY_MIB: readonly number[] = [16, 32, 64, 128, 256];
const PRODUCT = 'chronovisor (browser)';

type Phase =
  | { readonly kind: 'settings' }
  | { readonly kind: 'running'; readonly position: number; readonly logBytes: number; readonly idle: boolean; readonly mips: number }
  | { readonly kind: 'saved'; readonly id: string; readonly problem: string }
  | { readonly kind: 'failed'; readonly failure: Failure };

export class RecordPage extends LitElement {
  static override properties = { phase: { state: true }, guest: { state: true }, commandLine: { state: true }, memoryMib: { state: true } };
  static override styles = [
    controls,
    panels,
    css`
      :host {
        display: grid;
        grid-template-rows: auto auto minmax(0, 1fr);
        gap: 1rem;
        max-width: 76rem;
        height: 100%;
        min-height: 36rem;
        margin: 0 auto;
        padding: 1.4rem 1.6rem 1.6rem;
      }
      h1 {
        font-size: 1.6rem;
        font-weight: 660;
        letter-spacing: -0.015em;
      }
      .back {
        color: var(--muted);
        font-weight: 500;
        text-decoration: none;
      }
      form {
        display: grid;
        grid-template-columns: minmax(12rem, 1fr) minmax(16rem, 2fr) 9rem auto;
        align-items: end;
        gap: 0.8rem;
      }
      label {
        display: grid;
        gap: 0.3rem;
        color: var(--muted);
        font-size: 0.88rem;
      }
      form p {
        grid-column: 1 / -1;
        color: var(--muted);
      }
      pre {
        flex: 1;
        min-height: 0;
        margin: 0;
        padding: 0.8rem 0.9rem;
        overflow: auto;
        background: var(--console);
        color: var(--console-text);
        font: 400 0.95rem/1.4 var(--mono);
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      pre:focus-visible {
        outline-offset: -2px;
      }
      .caret {
        background: var(--console-text);
        color: var(--console);
      }
      @media (max-width: 52rem) {
        form {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];
  declare phase: Phase;
  declare guest: string;
  declare commandLine: string;
  declare memoryMib: number;
  private client: EngineClient | undefined;
  private subscription: Subscription | undefined;
  private text = new ConsoleText();
  private startedMs = 0;

  constructor() {
    super();
    this.phase = { kind: 'settings' };
    this.guest = GUESTS[0].name;
    this.commandLine = GUESTS[0].commandLine;
    this.memoryMib = GUESTS[0].memoryBytes / 2 ** 20;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.subscription?.unsubscribe();
    this.client?.close();
  }

  private readonly start = async (event: Event): Promise<void> => {
    event.preventDefault();
    const guest = GUESTS.find(({ name }) => name === this.guest) ?? GUESTS[0];
    this.text = new ConsoleText();
    this.startedMs = performance.now();
    this.phase = { kind: 'running', position: 0, logBytes: 0, idle: false, mips: 0 };
    try {
      const response = await fetch(guest.url);
      if (!response.ok) throw new Error(`the image of the guest could not be loaded (${response.status})`);
      const kernel = new Uint8Array(await response.arrayBuffer());
      this.client?.close();
      this.client = new EngineClient();
      // The door hands in what the engine has not: identity, entropy and a clock.
      const seed = crypto.getRandomValues(new BigUint64Array(1))[0].toString(16).padStart(16, '0');
      const settings = {
        guest: guest.name,
        commandLine: this.commandLine,
        memoryBytes: this.memoryMib * 2 ** 20,
        seed,
        wallClockNs: (BigInt(Date.now()) * 1_000_000n).toString(),
        logId: crypto.randomUUID(),
        product: PRODUCT,
      };
      this.subscription = this.client.ask({ kind: 'record', settings, kernel }).subscribe({
        next: (reply) => void this.take(reply),
        error: (error: unknown) => {
          this.phase = { kind: 'failed', failure: failureOf(error) };
        },
      });
      await this.updateComplete;
      this.renderRoot.querySelector('pre')?.focus();
    } catch (error) {
      this.phase = { kind: 'failed', failure: failureOf(error) };
    }
  };

  private async take(reply: Reply): Promise<void> {
    if (reply.kind === 'live') {
      for (const byte of reply.console) this.text.write(byte);
      const seconds = (performance.now() - this.startedMs) / 1000;
      this.phase = { kind: 'running', position: reply.position, logBytes: reply.logBytes, idle: reply.idle, mips: reply.position / 1e6 / Math.max(seconds, 0.001) };
    } else if (reply.kind === 'recorded') {
      const { summary, bytes } = reply;
      const id = summary.id;
      const { problem } = await keepRecording({ id, name: `${summary.guest}-${id.slice(0, 8)}`, origin: 'recorded', savedMs: Date.now(), summary }, bytes);
      if (problem === undefined) location.hash = formatRoute({ kind: 'run', place: 'local', id, at: undefined });
      else this.phase = { kind: 'saved', id, problem };
    }
  }

  private readonly onKey = (event: KeyboardEvent): void => {
    if (this.phase.kind !== 'running' || event.metaKey || event.altKey || event.isComposing) return;
    const bytes = bytesOfKey(event);
    if (bytes === undefined) return;
    event.preventDefault();
    this.client?.tell({ kind: 'input', bytes });
  };
  private readonly onPaste = (event: ClipboardEvent): void => {
    const text = event.clipboardData?.getData('text') ?? '';
    if (this.phase.kind === 'running' && text !== '') this.client?.tell({ kind: 'input', bytes: new TextEncoder().encode(text.replaceAll('\r\n', '\n').replaceAll('\n', '\r')) });
  };
  private readonly onGuest = (event: Event): void => {
    this.guest = (event.target as HTMLSelectElement).value;
    const guest = GUESTS.find(({ name }) => name === this.guest);
    if (guest !== undefined) this.commandLine = guest.commandLine;
  };

  protected override render(): unknown {
    const isRunning = this.phase.kind === 'running';
    const guest = GUESTS.find(({ name }) => name === this.guest);
    return html`<div class="spread"><a class="back" href="#/">← Recordings</a><h1>New recording</h1></div>
      <form @submit=${this.start}>
        <label>Guest<select data-testid="guest-choice" ?disabled=${isRunning} @change=${this.onGuest}>
          ${GUESTS.map(({ name }) => html`<option value=${name} ?selected=${name === this.guest}>${name}</option>`)}
        </select></label>
        <label>Command line<input class="mono" data-testid="command-line" spellcheck="false" .value=${this.commandLine} ?disabled=${isRunning} @input=${(event: Event) => (this.commandLine = (event.target as HTMLInputElement).value)} /></label>
        <label>Memory<select ?disabled=${isRunning} @change=${(event: Event) => (this.memoryMib = Number((event.target as HTMLSelectElement).value))}>
          ${MEMORY_MIB.map((size) => html`<option value=${size} ?selected=${size === this.memoryMib}>${size} MiB</option>`)}
        </select></label>
        ${isRunning
          ? html`<button type="button" data-testid="stop" @click=${() => this.client?.tell({ kind: 'stop' })}>Stop and keep</button>`
          : html`<button class="primary" data-testid="record">Record</button>`}
        <p>${guest?.description}. Without <code>poweroff</code> in <code>run="…"</code> the shell stays: type <code>help</code> at its prompt.</p>
      </form>
      ${this.result()}
      <section class="panel" aria-label="Console">
        <header>
          <h2>Console</h2>
          <span class="muted" role="status">${this.status()}</span>
        </header>
        <pre tabindex="0" role="textbox" aria-multiline="true" aria-label="Console of the guest: what is typed here goes to it" data-testid="live-console" @keydown=${this.onKey} @paste=${this.onPaste}>${this.text.toString()}${isRunning ? html`<span class="caret"> </span>` : nothing}</pre>
      </section>`;
  }

  private result(): unknown {
    switch (this.phase.kind) {
      case 'failed':
        return html`<div class="notice bad" role="alert"><strong>${this.phase.failure.message}</strong><span>${this.phase.failure.advice}.</span></div>`;
      case 'saved':
        return html`<div class="notice" role="status">
          <strong>${this.phase.problem}</strong><span>It is open until this page is closed: <a href=${formatRoute({ kind: 'run', place: 'local', id: this.phase.id, at: undefined })}>show the recording</a>.</span>
        </div>`;
      case 'settings':
      case 'running':
        return nothing;
    }
  }

  private status(): string {
    switch (this.phase.kind) {
      case 'running':
        return `recording, @${formatInstructions(this.phase.position)}, ${this.phase.idle ? 'the guest waits' : `${this.phase.mips.toFixed(0)} MIPS`}, log ${formatBytes(this.phase.logBytes)}`;
      case 'settings':
        return 'what the guest writes appears here';
      case 'saved':
      case 'failed':
        return 'ended';
    }
  }

  protected override updated(): void {
    const pre = this.renderRoot.querySelector('pre');
    if (pre !== null && this.phase.kind === 'running') pre.scrollTop = pre.scrollHeight;
  }
}

/** As a terminal sends it. Undefined: the key is the browser's. */
function bytesOfKey(event: KeyboardEvent): Uint8Array | undefined {
  const named: Readonly<Record<string, string>> = { Enter: '\r', Backspace: '\x7f', Escape: '\x1b', ArrowUp: '\x1b[A', ArrowDown: '\x1b[B', ArrowRight: '\x1b[C', ArrowLeft: '\x1b[D' };
  if (event.ctrlKey) {
    // Ctrl-C with a selection copies; other combinations of the browser are left alone.
    return /^[cdluz]$/i.test(event.key) && (event.key !== 'c' || getSelection()?.isCollapsed !== false) ? Uint8Array.of(event.key.toLowerCase().charCodeAt(0) - 96) : undefined;
  }
  const text = named[event.key] ?? ([...event.key].length === 1 ? event.key : undefined);
  return text === undefined ? undefined : new TextEncoder().encode(text);
}
customElements.define('lab-record', RecordPage);
