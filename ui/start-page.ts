/** The recordings, as cards; a place to drop one; the way to a new one. */
import { LitElement, css, html, nothing } from 'lit';
import './recording-nav.ts';
import { describeEnd, formatBytes, formatCount, formatDate, formatInstructions, formatNs } from './format.ts';
import { type LocalRecording, type ServerRecording, deleteLocal, localLog, localRecordings, serverRecordings } from './library.ts';
import type { RecordingPlace } from './analysis-client.ts';
import type { LogSummary } from '../engine/protocol/summary.ts';
import { formatRoute } from './router.ts';
import { controls } from './styles.ts';

export class StartPage extends LitElement {
  static override properties = { problem: { attribute: false }, server: { state: true }, local: { state: true }, isLoading: { state: true } };
  static override styles = [
    controls,
    css`
      :host {
        display: block;
        max-width: 92rem;
        margin: 0 auto;
        padding: 2.2rem 1.6rem 4rem;
      }
      .hero {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 1rem 2rem;
        margin-bottom: 1.8rem;
      }
      h1 {
        font-size: 2rem;
        font-weight: 680;
        letter-spacing: -0.02em;
        line-height: 1.15;
      }
      .hero p {
        max-width: 44rem;
        margin-top: 0.35rem;
        color: var(--muted);
        font-size: 1.05rem;
      }
      h2 {
        margin: 2rem 0 0.8rem;
        font-size: 1.1rem;
        font-weight: 620;
      }
      .cards {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr));
        gap: 1rem;
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        position: relative;
        display: flex;
        flex-direction: column;
        gap: 0.7rem;
        min-width: 0;
        padding: 1rem 1.1rem 1.1rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--panel);
      }
      li:hover {
        border-color: var(--accent);
      }
      li:focus-within {
        border-color: var(--accent);
      }
      .name {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        justify-content: space-between;
        gap: 0.3rem 0.6rem;
      }
      .name a {
        min-width: 0;
        overflow: hidden;
        color: inherit;
        font-size: 1.15rem;
        font-weight: 640;
        text-decoration: none;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .name a::after {
        content: '';
        position: absolute;
        inset: 0;
      }
      .command {
        overflow: hidden;
        color: var(--muted);
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      dl {
        display: grid;
        grid-template-columns: repeat(3, minmax(0, 1fr));
        gap: 0.6rem 0.8rem;
        margin: 0;
      }
      dt {
        color: var(--muted);
        font-size: 0.82rem;
      }
      dd {
        margin: 0;
        font-variant-numeric: tabular-nums;
        font-weight: 520;
        white-space: nowrap;
      }
      .foot {
        display: flex;
        align-items: center;
        gap: 0.4rem;
        margin-top: auto;
        min-height: 2.1rem;
        color: var(--muted);
        font-size: 0.88rem;
      }
      .foot button {
        position: relative;
        z-index: 1;
      }
      lab-recording-nav {
        position: relative;
        z-index: 1;
        margin: 0 -0.5rem;
        font-size: 0.9rem;
      }
      .drop {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        justify-content: space-between;
        gap: 0.8rem;
        margin-top: 2rem;
        padding: 1.2rem 1.4rem;
        border: 1.5px dashed var(--line-strong);
        border-radius: var(--radius);
        color: var(--muted);
      }
      .drop input {
        display: none;
      }
      .notice {
        margin-bottom: 1rem;
      }
    `,
  ];
  /** Of a file that was dropped. */
  declare problem: { readonly message: string; readonly advice: string } | undefined;
  declare server: readonly ServerRecording[] | undefined;
  declare local: readonly LocalRecording[];
  declare isLoading: boolean;

  constructor() {
    super();
    this.local = [];
    this.isLoading = true;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private async load(): Promise<void> {
    [this.server, this.local] = await Promise.all([serverRecordings(), localRecordings()]);
    this.isLoading = false;
  }

  protected override render(): unknown {
    return html`<div class="hero">
        <div class="grow">
          <h1>Chronovisor</h1>
          <p>Recorded runs of whole machines. Open one, move the cursor to any moment of it, and prove that a replay in this page is the same run.</p>
        </div>
        <a class="button primary" href="#/record" data-testid="new-recording">New recording</a>
      </div>
      ${this.problem === undefined ? nothing : html`<div class="notice bad" role="alert"><strong>${this.problem.message}</strong><span>${this.problem.advice}.</span></div>`}
      ${this.local.length === 0 ? nothing : html`<h2>In this browser</h2><ul class="cards">${this.local.map((each) => this.localCard(each))}</ul>`}
      <h2>Recordings</h2>
      ${this.serverCards()}
      <div class="drop">
        <span>Drop a <code>.cvlog</code> file anywhere on this page. It stays on this computer.</span>
        <label class="button">Open a file<input type="file" accept=".cvlog" data-testid="open-file" @change=${this.onFile} /></label>
      </div>`;
  }

  private serverCards(): unknown {
    if (this.isLoading) return html`<p class="muted">Looking for recordings…</p>`;
    if (this.server === undefined) {
      return html`<div class="notice"><strong>There is no server behind this page</strong><span>Recordings of this browser and dropped files work without one. Start it with <code>npm start</code> to see those in its folders.</span></div>`;
    }
    if (this.server.length === 0) {
      return html`<div class="notice"><strong>No recordings yet</strong><span>Make one with “New recording”, or with <code>chronovisor record lab-kernel -o recordings/first.cvlog</code>.</span></div>`;
    }
    return html`<ul class="cards">${this.server.map((each) => this.serverCard(each))}</ul>`;
  }

  private serverCard(recording: ServerRecording): unknown {
    const { summary } = recording;
    const href = formatRoute({ kind: 'run', place: 'server', id: recording.id, at: undefined });
    if (summary === undefined) {
      return html`<li data-testid="recording-card">
        <div class="name"><strong>${recording.file}</strong><span class="badge bad">cannot be opened</span></div>
        <span>${recording.problem?.message}</span><span class="muted">${recording.problem?.advice}</span>
      </li>`;
    }
    const foot = html`<span>${recording.folder === 'traces' ? `example, ${recording.file}` : `${recording.file}, ${formatDate(recording.modifiedMs)}`}</span>`;
    return this.card(href, summary, foot, { place: 'server', id: recording.id });
  }

  private localCard(recording: LocalRecording): unknown {
    const href = formatRoute({ kind: 'run', place: 'local', id: recording.id, at: undefined });
    const foot = html`<span class="grow">${recording.origin === 'recorded' ? '' : `${recording.name}, `}${formatDate(recording.savedMs)}</span>
      <button @click=${() => this.save(recording)}>Save</button>
      <button @click=${() => this.forget(recording)}>Delete</button>`;
    return this.card(href, recording.summary, foot, { place: 'local', id: recording.id });
  }

  private card(href: string, summary: LogSummary, foot: unknown, place: RecordingPlace): unknown {
    const end = describeEnd(summary.end);
    return html`<li data-testid="recording-card">
      <div class="name"><a href=${href}>${summary.guest}</a><span class="badge ${end.tone}">${end.text}</span></div>
      <code class="command" title=${summary.commandLine}>${summary.commandLine === '' ? 'no command line' : summary.commandLine}</code>
      <dl>
        <div><dt>Duration</dt><dd>${summary.end === undefined ? 'not known' : formatNs(summary.end.virtualNs)}</dd></div>
        <div><dt>Instructions</dt><dd>${formatInstructions(summary.lastPosition)}</dd></div>
        <div><dt>Events</dt><dd>${formatCount(summary.records)}</dd></div>
        <div><dt>Memory</dt><dd>${formatBytes(summary.memoryBytes)}</dd></div>
        <div><dt>Log</dt><dd>${formatBytes(summary.bytes)}</dd></div>
        <div><dt>Typed input</dt><dd>${summary.counts.input > 1 ? 'yes' : 'none'}</dd></div>
      </dl>
      <lab-recording-nav .recording=${place} of=${summary.guest}></lab-recording-nav>
      <div class="foot">${foot}</div>
    </li>`;
  }

  private async save(recording: LocalRecording): Promise<void> {
    const bytes = await localLog(recording.id);
    if (bytes === undefined) return;
    const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: 'application/octet-stream' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = `${recording.name.replace(/\.cvlog$/, '')}.cvlog`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  private async forget(recording: LocalRecording): Promise<void> {
    if (!confirm(`Delete the recording of ${recording.summary.guest} from ${formatDate(recording.savedMs)}? It is kept in this browser only.`)) return;
    await deleteLocal(recording.id);
    this.local = await localRecordings();
  }

  private readonly onFile = (event: Event): void => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (file !== undefined) this.dispatchEvent(new CustomEvent('lab-file', { detail: file, bubbles: true, composed: true }));
  };
}
customElements.define('lab-start', StartPage);
