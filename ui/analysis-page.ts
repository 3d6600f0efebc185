/**
 * What the pages that analyse a recording share: its head and links, one question at a time with progress and a way to give it up, what went wrong, and settings that are
 * part of the address.
 *
 *     route ──► opened(recording) ──► the page asks: ask(work) ──► busy ──► the page shows ──► settings change: set() ──► asks again
 */
import { LitElement, type PropertyValues, html, nothing } from 'lit';
import './recording-nav.ts';
import type { AnalysisReply } from '../engine/protocol/analysis.ts';
import type { Failure } from '../engine/protocol/messages.ts';
import { type AnalysisClient, Cancelled, type OpenedRecording, borrowClient, giveBack } from './analysis-client.ts';
import type { AnalysisRoute } from './analysis-pages.ts';
import { formatBytes, formatCount, formatInstructions } from './format.ts';
import { formatRoute } from './router.ts';
import { EngineFailure } from './worker-client.ts';

interface Busy {
  readonly what: string;
  readonly share: number | undefined;
}

/** Properties of every page; a page's own come beside them. */
export const PAGE_PROPERTIES = { route: { attribute: false }, opened: { state: true }, busy: { state: true }, failure: { state: true }, wasCancelled: { state: true }, query: { state: true } } as const;

export abstract class AnalysisPage extends LitElement {
  declare route: AnalysisRoute;
  declare opened: OpenedRecording | undefined;
  declare busy: Busy | undefined;
  declare failure: Failure | undefined;
  declare wasCancelled: boolean;
  /** Settings that are part of the address. */
  declare query: Readonly<Record<string, string>>;
  protected client: AnalysisClient | undefined;
  private newest = 0;

  constructor() {
    super();
    this.wasCancelled = false;
    this.query = {};
  }

  /** Title of the page, and what it is for: a sentence. */
  protected abstract readonly heading: string;
  protected abstract readonly purpose: string;
  /** Asks what the settings ask for. Called when the recording is open, and when settings changed. */
  protected abstract start(): void;
  protected abstract content(opened: OpenedRecording): unknown;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.leave();
  }
  override connectedCallback(): void {
    super.connectedCallback();
    if (this.client === undefined && this.hasUpdated) this.enter();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('route')) return;
    const { place, id } = this.client?.recording ?? {};
    this.query = this.route.query;
    if (place !== this.route.place || id !== this.route.id) this.enter();
    else if (this.opened !== undefined) this.start();
  }

  private enter(): void {
    this.leave();
    this.opened = undefined;
    this.client = borrowClient({ place: this.route.place, id: this.route.id });
    this.again();
  }
  private leave(): void {
    this.newest++;
    if (this.client !== undefined) giveBack(this.client);
    this.client = undefined;
  }

  /** Opens the recording if it is not, and asks. */
  protected readonly again = (): void => {
    const { client } = this;
    if (client === undefined) return;
    void this.ask('Opening the recording', async () => {
      const opened = await client.open();
      if (this.client !== client) return;
      this.opened = opened;
      document.title = `${this.heading} · ${opened.summary.guest} · Chronovisor`;
    }).then(() => {
      if (this.client === client && this.opened !== undefined && this.isIdle) this.start();
    });
  };

  /** One question at a time: the one before is given up. */
  protected async ask(what: string, work: (client: AnalysisClient, onReply: (reply: AnalysisReply) => void) => Promise<void>): Promise<void> {
    const { client } = this;
    if (client === undefined) return;
    if (this.busy !== undefined) client.cancel();
    const number = ++this.newest;
    const isNewest = (): boolean => number === this.newest;
    this.busy = { what, share: undefined };
    this.failure = undefined;
    this.wasCancelled = false;
    try {
      await work(client, (reply) => {
        if (isNewest() && reply.kind === 'progress') this.busy = { what: reply.what, share: reply.share };
      });
    } catch (error) {
      if (!isNewest()) return;
      if (error instanceof Cancelled) this.wasCancelled = true;
      else if (error instanceof EngineFailure) this.failure = error.failure;
      else this.failure = { message: error instanceof Error ? error.message : String(error), advice: 'reload the page' };
    } finally {
      if (isNewest()) this.busy = undefined;
    }
  }

  /** Nothing is asked, nothing went wrong. */
  private get isIdle(): boolean {
    return this.busy === undefined && this.failure === undefined && !this.wasCancelled;
  }

  protected readonly cancel = (): void => this.client?.cancel();

  /** Changes settings, and the address with them. An empty value is the default. */
  protected set(changes: Readonly<Record<string, string>>): void {
    this.query = Object.fromEntries(Object.entries({ ...this.query, ...changes }).filter(([, value]) => value !== ''));
    history.replaceState(history.state, '', formatRoute({ ...this.route, query: this.query }));
  }

  /** A link to a moment on the recording's own page. */
  protected momentHref(at: number): string {
    return formatRoute({ kind: 'run', place: this.route.place, id: this.route.id, at });
  }

  protected override render(): unknown {
    const { opened, route } = this;
    return html`<header class="head">
        <a class="back" href="#/">← Recordings</a>
        <h1>${this.heading}${opened === undefined ? nothing : html` <span class="muted">${opened.summary.guest}</span>`}</h1>
        <lab-recording-nav .recording=${{ place: route.place, id: route.id }} current=${route.page}></lab-recording-nav>
      </header>
      <p class="muted purpose">${this.purpose}
        ${opened === undefined ? nothing : html`<span>${formatInstructions(opened.summary.lastPosition)} instructions, ${formatCount(opened.summary.records)} events, ${formatBytes(opened.summary.memoryBytes)} of memory.</span>`}</p>
      ${this.progress()} ${this.problem()} ${opened === undefined ? nothing : this.content(opened)}`;
  }

  private progress(): unknown {
    const { busy } = this;
    return html`<div class="busy" role="status" data-testid="busy" ?data-busy=${busy !== undefined}>
      ${busy === undefined
        ? nothing
        : html`<span>${busy.what}…</span><progress aria-label=${busy.what} max="1" .value=${busy.share ?? 0} ?data-unknown=${busy.share === undefined}></progress>
            <button @click=${this.cancel} data-testid="cancel">Cancel</button>`}
    </div>`;
  }

  private problem(): unknown {
    const { failure } = this;
    if (this.wasCancelled) return html`<div class="notice" data-testid="cancelled"><strong>Cancelled</strong><span class="spread">Nothing was changed. <button @click=${this.again}>Start again</button></span></div>`;
    if (failure === undefined) return nothing;
    // Of an expression that cannot be read: the expression, and where.
    const lines = failure.message.split('\n');
    return html`<div class="notice bad" role="alert" data-testid="failure">${lines.length === 1 ? html`<strong>${lines[0]}</strong>` : html`<strong>${lines[0]}</strong><code>${lines.slice(1).join('\n')}</code>`}<span>${failure.advice}.</span>
      <span class="spread">
        ${failure.missingImages === undefined ? nothing : html`<label class="button">Give a file<input type="file" class="visually-hidden" @change=${this.onImage} /></label>`}
        <button @click=${this.again}>Try again</button>
      </span></div>`;
  }

  private readonly onImage = (event: Event): void => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (file === undefined) return;
    void this.ask('Reading the file', async (client) => {
      await client.giveImage(new Uint8Array(await file.arrayBuffer()));
    }).then(() => {
      if (this.isIdle) this.start();
    });
  };
}
