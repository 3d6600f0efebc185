/**
 * A new recording: of a guest of the server, by the server, or of one of the lab's guests or a kernel that was dropped, in this page. Settings, the live console, then the
 * recording. A run of the server is followed by its number in the address, after a reload as well.
 */
import { LitElement, type PropertyValues, css, html, nothing } from 'lit';
import type { Subscription } from 'rxjs';
import { PARA_REGIME, RECORDED_REGIMES } from '../engine/recording/recipe.ts';
import type { Failure } from '../engine/protocol/messages.ts';
import { failureOf } from './engine-client.ts';
import { formatBytes, formatInstructions } from './format.ts';
import { GUESTS } from './guests.ts';
import type { MoveDialog } from './move-dialog.ts';
import { type GivenKernel, giveKernel, givenKernel, isKernel } from './recording/given-kernel.ts';
import { PageRun } from './recording/page-run.ts';
import type { RecordedRun, RunAsked, RunNews } from './recording/recorded-run.ts';
import { ServerRun, serverGuests, startOnServer } from './recording/server-run.ts';
import { type Route, formatRoute } from './router.ts';
import { heldHere } from './standalone/held.ts';
import { controls, panels } from './styles.ts';
import type { GuestTerminal, TextRun } from './terminal.ts';
import { terminalStyles, terminalText } from './terminal-view.ts';

const MEMORY_MIB: readonly number[] = [16, 32, 64, 128, 256, 512, 1024];
const REGIMES: Readonly<Record<string, string>> = {
  native: 'native: none', full: 'full: binary translation', hw: 'hw: VT-x with EPT', 'hw-shadow': 'hw-shadow: VT-x, shadow page tables', para: 'para: paravirtual, under a VMM',
}; // prettier-ignore
/** The guest with a build for PARA_REGIME has this name for the server; in the page it is its image. */
const LAB_GUEST = 'lab';
const LAB_KERNEL = 'lab-kernel';
const LAB_PV = 'lab-pv';
const GIVEN = '';

/** What can be chosen. */
interface GuestChoice {
  readonly name: string;
  readonly description: string;
  readonly commandLine: string;
  readonly memoryBytes: number;
  /** Undefined: it is here. */
  readonly missing: string | undefined;
}

type Phase =
  | { readonly kind: 'settings' | 'starting' }
  | { readonly kind: 'running'; readonly progress: Extract<RunNews, { kind: 'progress' }> | undefined; readonly isStopping: boolean }
  | { readonly kind: 'saved'; readonly id: string; readonly problem: string }
  | { readonly kind: 'moved'; readonly id: string; readonly to: string }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly recording: string | undefined };

export class RecordPage extends LitElement {
  static override properties = {
    route: { attribute: false }, phase: { state: true }, place: { state: true }, onServer: { state: true }, guest: { state: true }, commandLine: { state: true }, memoryMib: { state: true },
    regime: { state: true }, script: { state: true }, given: { state: true }, notice: { state: true },
  }; // prettier-ignore
  static override styles = [
    controls,
    panels,
    terminalStyles,
    css`
      :host {
        display: grid;
        grid-template-rows: auto auto auto minmax(18rem, 1fr);
        gap: 1rem;
        max-width: 84rem;
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
        grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr));
        align-items: end;
        gap: 0.8rem;
      }
      label:not(.button) {
        display: grid;
        min-width: 0;
        gap: 0.3rem;
        color: var(--muted);
        font-size: 0.88rem;
      }
      label > select,
      label > input {
        width: 100%;
        min-width: 0;
      }
      form .wide,
      form p {
        grid-column: 1 / -1;
      }
      form p {
        color: var(--muted);
      }
      textarea {
        min-height: 5.5rem;
        margin-top: 0.4rem;
        padding: 0.5rem 0.6rem;
        border: 1px solid var(--line-strong);
        border-radius: 0.4rem;
        background: var(--panel);
        color: var(--text);
        font: 400 0.92rem/1.4 var(--mono);
      }
      summary {
        width: max-content;
        color: var(--muted);
        font-weight: 500;
        cursor: pointer;
      }
      .given {
        color: var(--text);
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
      @media (max-width: 52rem) {
        form {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];
  declare route: Extract<Route, { kind: 'record' }> | undefined;
  declare phase: Phase;
  declare place: 'server' | 'page';
  /** Guests of the server; undefined: there is none that records. */
  declare onServer: readonly GuestChoice[] | undefined;
  declare guest: string;
  declare commandLine: string;
  declare memoryMib: number;
  declare regime: string;
  declare script: string;
  declare given: GivenKernel | undefined;
  declare notice: string;
  private run: RecordedRun | undefined;
  private subscription: Subscription | undefined;
  private terminal: GuestTerminal | undefined;
  /** Console bytes that it has not shown yet. */
  private unread: Uint8Array[] = [];
  private runs: readonly TextRun[] = [];
  private isFeeding = false;

  constructor() {
    super();
    this.phase = { kind: 'settings' };
    this.place = 'page';
    this.guest = GUESTS[0].name;
    this.commandLine = GUESTS[0].commandLine;
    this.memoryMib = GUESTS[0].memoryBytes / 2 ** 20;
    this.regime = RECORDED_REGIMES[0];
    this.script = '';
    this.notice = '';
    this.takeGiven();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.title = 'New recording · Chronovisor';
    addEventListener('kernel-given', this.takeGiven);
    void serverGuests().then((guests) => {
      this.onServer = guests?.map(({ name, description, commandLine = '', memoryBytes = 0, state }) => ({
        name, description, commandLine, memoryBytes,
        missing: state === 'ready' ? undefined : state === 'damaged' ? 'it is damaged' : `chronovisor guest fetch ${name}`,
      })); // prettier-ignore
      if (this.onServer !== undefined && this.phase.kind === 'settings' && this.given === undefined) this.choosePlace('server');
    });
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('kernel-given', this.takeGiven);
    this.subscription?.unsubscribe();
    this.terminal?.dispose();
    this.terminal = undefined;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const id = this.route?.run;
    if (changed.has('route') && id !== undefined && this.run?.id !== id) this.follow(new ServerRun(id));
  }

  private readonly takeGiven = (): void => {
    this.given = givenKernel();
    if (this.given === undefined) return;
    this.place = 'page';
    this.guest = GIVEN;
    this.commandLine = 'console=ttyS0';
  };

  private get choices(): readonly GuestChoice[] {
    if (this.place === 'server') return this.onServer ?? [];
    const own = this.given === undefined ? [] : [{ name: GIVEN, description: `${this.given.name}, which was dropped here${this.given.initrd === undefined ? '' : `, with ${this.given.initrd.name}`}`, commandLine: this.commandLine, memoryBytes: 256 * 2 ** 20, missing: undefined }];
    return [...own, ...GUESTS.map((guest) => ({ ...guest, missing: undefined }))];
  }
  private get choice(): GuestChoice | undefined {
    return this.choices.find(({ name }) => name === this.guest);
  }

  private choosePlace(place: 'server' | 'page'): void {
    this.place = place;
    const { choices } = this;
    this.chooseGuest(choices.some(({ name }) => name === this.guest) ? this.guest : (choices[0]?.name ?? ''));
  }
  private chooseGuest(name: string): void {
    this.guest = name;
    const { choice } = this;
    if (choice === undefined) return;
    this.commandLine = choice.commandLine;
    if (choice.memoryBytes > 0) this.memoryMib = choice.memoryBytes / 2 ** 20;
    if (!this.regimes.includes(this.regime)) this.regime = this.regimes[0];
  }
  /** Those that this guest can be recorded under. */
  private get regimes(): readonly string[] {
    if (this.guest === LAB_PV) return [PARA_REGIME];
    return RECORDED_REGIMES.filter((regime) => regime !== PARA_REGIME || this.guest === LAB_GUEST);
  }

  private readonly start = async (event: Event): Promise<void> => {
    event.preventDefault();
    const { commandLine, regime, script, choice } = this;
    if (choice === undefined) return;
    const asked: RunAsked = { guest: choice.name === GIVEN ? (this.given?.name ?? '') : choice.name, commandLine, memoryBytes: this.memoryMib * 2 ** 20, regime, script: script.trim() };
    this.phase = { kind: 'starting' };
    this.notice = '';
    try {
      const run = this.place === 'server' ? await startOnServer(asked) : new PageRun(asked, await this.images(choice.name));
      if (run.id !== undefined) history.replaceState(history.state, '', formatRoute({ kind: 'record', run: run.id }));
      this.follow(run);
      await this.updateComplete;
      this.renderRoot.querySelector('pre')?.focus();
    } catch (error) {
      this.phase = { kind: 'failed', failure: failureOf(error), recording: undefined };
    }
  };

  private async images(name: string): Promise<{ readonly kernel: Uint8Array; readonly initrd: Uint8Array | undefined }> {
    if (name === GIVEN && this.given !== undefined) return { kernel: this.given.kernel, initrd: this.given.initrd?.bytes };
    const guest = GUESTS.find((each) => each.name === name) ?? GUESTS[0];
    const response = await fetch(guest.url);
    if (!response.ok) throw new Error(`the image of the guest could not be loaded (${response.status})`);
    return { kernel: new Uint8Array(await response.arrayBuffer()), initrd: undefined };
  }

  private follow(run: RecordedRun): void {
    this.subscription?.unsubscribe();
    this.run = run;
    this.unread = [];
    this.runs = [];
    this.terminal?.reset();
    this.phase = { kind: 'running', progress: undefined, isStopping: false };
    this.subscription = run.news.subscribe((news) => this.take(news));
  }

  private take(news: RunNews): void {
    switch (news.kind) {
      case 'console':
        this.unread.push(news.bytes);
        return void this.feed();
      case 'progress':
        if (this.phase.kind === 'running') this.phase = { ...this.phase, progress: news };
        return;
      case 'notice':
        this.notice = news.text;
        return;
      case 'ended': {
        const { place, id, problem, movedTo } = news;
        if (movedTo !== undefined) this.phase = { kind: 'moved', id, to: movedTo };
        else if (problem === undefined) location.hash = formatRoute({ kind: 'run', place, id, at: undefined });
        else this.phase = { kind: 'saved', id, problem };
        return;
      }
      case 'failed':
        this.phase = { kind: 'failed', failure: news.failure, recording: news.recording };
        return;
      default:
        news satisfies never;
    }
  }

  private readonly stop = (): void => {
    if (this.phase.kind !== 'running') return;
    this.run?.stop();
    this.phase = { ...this.phase, isStopping: true };
  };

  private readonly onKey = (event: KeyboardEvent): void => {
    if (this.phase.kind !== 'running' || event.metaKey || event.altKey || event.isComposing) return;
    const bytes = bytesOfKey(event);
    if (bytes === undefined) return;
    event.preventDefault();
    this.run?.type(bytes);
  };
  private readonly onPaste = (event: ClipboardEvent): void => {
    const text = event.clipboardData?.getData('text') ?? '';
    if (this.phase.kind === 'running' && text !== '') this.run?.type(new TextEncoder().encode(text.replaceAll('\r\n', '\n').replaceAll('\n', '\r')));
  };
  private readonly onInitrd = async (event: Event): Promise<void> => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (file === undefined || this.given === undefined) return;
    giveKernel({ ...this.given, initrd: { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) } });
    this.given = givenKernel();
  };
  private readonly onKernel = async (event: Event): Promise<void> => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (file === undefined) return;
    const kernel = new Uint8Array(await file.arrayBuffer());
    if (!isKernel(kernel)) {
      this.phase = { kind: 'failed', failure: { message: `${file.name} is no kernel`, advice: 'give an ELF file or a Linux bzImage' }, recording: undefined };
      return;
    }
    this.phase = { kind: 'settings' };
    giveKernel({ name: file.name, kernel, initrd: undefined });
    this.takeGiven();
  };

  protected override render(): unknown {
    const head = html`<div class="spread"><a class="back" href="#/">← Recordings</a><h1>${this.run?.id === undefined ? 'New recording' : `Run ${this.run.id}`}</h1></div>`;
    if (heldHere() !== undefined) {
      return html`${head}<div class="notice"><strong>This page holds one recording</strong><span>It has no guests to record: start the lab with <code>npm start</code> for new ones.</span></div>`;
    }
    return html`${head}${this.form()}
      <div>${this.result()}${this.notice === '' ? nothing : html`<p class="muted" role="status">${this.notice}.</p>`}${this.run?.id === undefined ? nothing : html`<lab-move .run=${this.run.id}></lab-move>`}</div>
      <section class="panel" aria-label="Console">
        <header>
          <h2>Console</h2>
          <span class="muted" role="status" data-testid="run-status">${this.status()}</span>
        </header>
        <pre tabindex="0" role="textbox" aria-multiline="true" aria-label="Console of the guest: what is typed here goes to it" data-testid="live-console" @keydown=${this.onKey} @paste=${this.onPaste}>${terminalText(this.runs)}</pre>
      </section>`;
  }

  /** One piece after the other: lines are looked at when all that has come is shown. */
  private async feed(): Promise<void> {
    if (this.isFeeding) return;
    this.isFeeding = true;
    this.terminal ??= new (await import('./terminal.ts')).GuestTerminal();
    const { terminal } = this;
    while (this.unread.length > 0) {
      const pieces = this.unread;
      this.unread = [];
      for (const piece of pieces) await terminal.write(piece);
      const since = performance.now();
      this.runs = terminal.runs(this.isRunning);
      this.requestUpdate();
      // A guest that writes without end: keys and buttons have their turns.
      await new Promise((resolve) => setTimeout(resolve, 3 * (performance.now() - since)));
    }
    this.isFeeding = false;
  }

  private get isRunning(): boolean {
    return this.phase.kind === 'running';
  }

  private form(): unknown {
    const isBusy = this.isRunning || this.phase.kind === 'starting';
    const { choice } = this;
    const text = (name: 'commandLine' | 'script') => (event: Event) => (this[name] = (event.target as HTMLInputElement).value);
    if (this.phase.kind === 'moved') return nothing;
    if (this.isRunning && this.run?.id !== undefined) return html`<div class="spread"><span class="muted">It goes on when this page is closed. Its recording is a file of the server as it is made.</span><span class="grow"></span><button type="button" data-testid="move-open" @click=${this.openMove}>Move to another host…</button>${this.stopButton()}</div>`;
    return html`<form @submit=${this.start}>
        <label>Recorded by<select data-testid="place-choice" ?disabled=${isBusy} @change=${(event: Event) => this.choosePlace((event.target as HTMLSelectElement).value as 'server' | 'page')}>
          <option value="server" ?disabled=${this.onServer === undefined} ?selected=${this.place === 'server'}>${this.onServer === undefined ? 'the server (there is none)' : 'the server, as a file'}</option>
          <option value="page" ?selected=${this.place === 'page'}>this browser</option>
        </select></label>
        <label>Guest<select data-testid="guest-choice" ?disabled=${isBusy} @change=${(event: Event) => this.chooseGuest((event.target as HTMLSelectElement).value)}>
          ${this.choices.map(({ name, missing }) => html`<option value=${name} ?selected=${name === this.guest} ?disabled=${missing !== undefined}>${name === GIVEN ? (this.given?.name ?? '') : name}${missing === undefined ? '' : ' (not here)'}</option>`)}
        </select></label>
        <label>Technique offered<select data-testid="regime-choice" title=${REGIMES[this.regime] ?? this.regime} ?disabled=${isBusy} @change=${(event: Event) => (this.regime = (event.target as HTMLSelectElement).value)}>
          ${this.regimes.map((regime) => html`<option value=${regime} ?selected=${regime === this.regime}>${REGIMES[regime] ?? regime}</option>`)}
        </select></label>
        <label>Memory<select data-testid="memory-choice" ?disabled=${isBusy} @change=${(event: Event) => (this.memoryMib = Number((event.target as HTMLSelectElement).value))}>
          ${MEMORY_MIB.map((size) => html`<option value=${size} ?selected=${size === this.memoryMib}>${size} MiB</option>`)}
        </select></label>
        ${isBusy ? this.stopButton() : html`<button class="primary" data-testid="record" ?disabled=${choice === undefined}>Record</button>`}
        <label class="wide">Command line<input class="mono" data-testid="command-line" spellcheck="false" .value=${this.commandLine} ?disabled=${isBusy} @input=${text('commandLine')} /></label>
        <details class="wide" ?open=${this.script !== ''}>
          <summary>Input script</summary>
          <label>Types by itself, a step a line: expect "text", send "text\n", mark "name", until "text". Idle time is skipped, and the run ends with the script.
            <textarea data-testid="script" spellcheck="false" .value=${this.script} ?disabled=${isBusy} @input=${text('script')} placeholder=${'expect "$ "\nsend "echo hello\\n"\nuntil "hello"'}></textarea></label>
        </details>
        <p>${choice?.description ?? 'No guest is chosen'}.
          ${this.guest === GIVEN
            ? html`<label class="button">${this.given?.initrd === undefined ? 'Give an initrd' : 'Another initrd'}<input class="visually-hidden" type="file" @change=${this.onInitrd} /></label>`
            : choice?.name === LAB_KERNEL || choice?.name === LAB_GUEST
              ? html`Without <code>poweroff</code> in <code>run="…"</code> the shell stays: type <code>help</code> at its prompt.`
              : nothing}
          ${isBusy ? nothing : html`<label class="button">A kernel of your own<input class="visually-hidden" type="file" data-testid="kernel-file" @change=${this.onKernel} /></label>`}</p>
        ${this.missing()}
      </form>`;
  }

  /** Loaded when it is wanted. */
  private readonly openMove = async (): Promise<void> => {
    await import('./move-dialog.ts');
    await this.renderRoot.querySelector<MoveDialog>('lab-move')?.open();
  };

  private stopButton(): unknown {
    const isStopping = this.phase.kind === 'running' && this.phase.isStopping;
    return html`<button type="button" data-testid="stop" ?disabled=${!this.isRunning || isStopping} @click=${this.stop}>${isStopping ? 'Stopping…' : 'Stop and keep'}</button>`;
  }

  /** How to get those that are not here. */
  private missing(): unknown {
    const missing = this.choices.filter((each) => each.missing !== undefined);
    return missing.length === 0 ? nothing : html`<p>Not here yet: ${missing.map((each, i) => html`${i === 0 ? '' : ', '}${each.name} (<code>${each.missing}</code>)`)}.</p>`;
  }

  private result(): unknown {
    switch (this.phase.kind) {
      case 'failed': {
        const { failure, recording } = this.phase;
        return html`<div class="notice bad" role="alert"><strong>${failure.message}</strong><span>${failure.advice}.</span>
          ${recording === undefined ? nothing : html`<span><a class="button" href=${formatRoute({ kind: 'run', place: 'server', id: recording, at: undefined })}>Show what was recorded</a></span>`}
          ${this.route?.run === undefined ? nothing : html`<span><a class="button" href="#/record">Another recording</a></span>`}</div>`;
      }
      case 'saved':
        return html`<div class="notice" role="status">
          <strong>${this.phase.problem}</strong><span>It is open until this page is closed: <a href=${formatRoute({ kind: 'run', place: 'local', id: this.phase.id, at: undefined })}>show the recording</a>.</span>
        </div>`;
      case 'moved':
        return html`<div class="notice" role="status" data-testid="moved">
          <strong>The guest goes on at ${this.phase.to}</strong><span>What happened here is <a href=${formatRoute({ kind: 'run', place: 'server', id: this.phase.id, at: undefined })}>the recording up to there</a>; the one over there goes on from it.</span><span><a class="button" href="#/record">Another recording</a></span>
        </div>`;
      case 'settings':
      case 'starting':
      case 'running':
        return nothing;
      default:
        return this.phase satisfies never;
    }
  }

  private status(): string {
    const { phase } = this;
    switch (phase.kind) {
      case 'running': {
        const { progress } = phase;
        if (progress === undefined) return 'the guest starts';
        const kept = progress.keptBytes === undefined ? 'which this browser does not keep' : `${formatBytes(progress.keptBytes)} of it safe`;
        return `recording, @${formatInstructions(progress.position)}, ${progress.isIdle ? 'the guest waits' : `${progress.mips.toFixed(0)} MIPS`}, log ${formatBytes(progress.logBytes)}, ${kept}`;
      }
      case 'settings':
        return 'what the guest writes appears here';
      case 'starting':
        return 'the guest starts';
      case 'moved':
        return 'moved';
      case 'saved':
      case 'failed':
        return 'ended';
      default:
        return phase satisfies never;
    }
  }

  protected override updated(): void {
    const pre = this.renderRoot.querySelector('pre');
    if (pre !== null && this.isRunning) pre.scrollTop = pre.scrollHeight;
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
