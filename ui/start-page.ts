/** The recordings, as cards, and runs that go on; where a person was last; a place to drop a file; the way to a new recording. */
import { LitElement, css, html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import './console-picture.ts';
import './recording-nav.ts';
import './theme-choice.ts';
import { describeEnd, formatBytes, formatCount, formatDate, formatInstructions, formatNs } from './format.ts';
import { saveFile } from './export.ts';
import { lastPlace } from './last-place.ts';
import { type LocalRecording, type ServerRecording, type StorageUse, deleteLocal, deleteOnServer, localLog, localRecordings, sendToServer, serverRecordings, storageUse } from './library.ts';
import type { RecordingPlace } from './recording-place.ts';
import type { RunStatus } from '../engine/protocol/lab.ts';
import type { LogSummary } from '../engine/protocol/summary.ts';
import { formatRoute } from './router.ts';
import { serverRuns } from './recording/server-run.ts';
import { heldHere } from './standalone/held.ts';
import { controls } from './styles.ts';

const REFRESH_MS = 2000;

/** The folder of recordings that come with the lab. */
const EXAMPLES = 'traces';

export class StartPage extends LitElement {
  static override properties = { problem: { attribute: false }, server: { state: true }, local: { state: true }, runs: { state: true }, use: { state: true }, isLoading: { state: true }, failure: { state: true } };
  static override styles = [
    controls,
    css`
      :host {
        display: block;
        max-width: 150rem;
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
      h2 small {
        margin-left: 0.6rem;
        font-size: 0.85rem;
        font-weight: 400;
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
        flex-wrap: wrap;
        align-items: center;
        gap: 0.4rem;
        margin-top: auto;
        min-height: 2.1rem;
        color: var(--muted);
        font-size: 0.88rem;
      }
      .so-far {
        align-self: start;
        color: var(--accent);
      }
      .so-far,
      .foot button {
        position: relative;
        z-index: 1;
      }
      lab-recording-nav {
        position: relative;
        z-index: 1;
        margin: 0 -0.4rem;
        font-size: 0.86rem;
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
      .drop label:focus-within {
        outline: 2px solid var(--accent);
        outline-offset: 1px;
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
  declare runs: readonly RunStatus[];
  declare use: StorageUse | undefined;
  declare isLoading: boolean;
  /** Of what was done to a recording. */
  declare failure: string;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.local = [];
    this.runs = [];
    this.isLoading = true;
    this.failure = '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.title = 'Chronovisor';
    void this.load();
    this.timer = setInterval(() => {
      if (!document.hidden && this.runs.length > 0) void this.load();
    }, REFRESH_MS);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  private async load(): Promise<void> {
    [this.server, this.local, this.runs] = await Promise.all([serverRecordings(), localRecordings(), serverRuns()]);
    this.isLoading = false;
    this.use = await storageUse();
  }
  /** Looks again at what there is. */
  refresh(): void {
    void this.load();
  }

  protected override render(): unknown {
    const held = heldHere();
    return html`<div class="hero">
        <div class="grow">
          <h1>Chronovisor</h1>
          <p>${held === undefined ? 'Recorded runs of whole machines. Open one, move the cursor to any moment of it, and prove that a replay in this page is the same run.' : 'This file holds a recorded run of a whole machine, and the machine. Open it, move the cursor to any moment of it, and prove that a replay in this page is the same run.'}</p>
        </div>
        <lab-theme></lab-theme>
        ${this.continueLink()}
        ${held === undefined ? html`<a class="button primary" href="#/record" data-testid="new-recording">New recording</a>` : nothing}
      </div>
      ${this.problem === undefined ? nothing : html`<div class="notice bad" role="alert"><strong>${this.problem.message}</strong><span>${this.problem.advice}.</span></div>`}
      ${this.failure === '' ? nothing : html`<div class="notice bad" role="alert"><strong>${this.failure}.</strong></div>`}
      ${this.runs.length === 0 ? nothing : html`<h2>Being recorded</h2><ul class="cards">${this.runs.map((each) => this.runCard(each))}</ul>`}
      ${this.local.length === 0 ? nothing : html`<h2>${held === undefined ? 'In this browser' : 'In this file'}${held === undefined && this.use !== undefined ? html` <small class="muted" data-testid="storage">${formatBytes(this.use.usedBytes)} of the ${formatBytes(this.use.bytesMax)} that it allows, with checkpoints and notes</small>` : nothing}</h2><ul class="cards">${repeat(this.local, ({ id }) => id, (each) => this.localCard(each))}</ul>`}
      ${held === undefined ? html`<h2>${this.server === undefined && !this.isLoading ? 'On a server' : 'Recordings'}</h2>${this.serverCards()}` : nothing}
      <div class="drop">
        <span>Drop <code>.cvlog</code> files anywhere on this page, or a kernel to record. They stay on this computer.</span>
        <label class="button">Open a file<input type="file" multiple class="visually-hidden" data-testid="open-file" @change=${this.onFile} /></label>
      </div>`;
  }

  /** Where a person was last, if that is still here. */
  private continueLink(): unknown {
    const place = lastPlace();
    if (place === undefined) return nothing;
    const { route, hash } = place;
    const summary = route.place === 'local' ? this.local.find(({ id }) => id === route.id)?.summary : this.server?.find(({ id }) => id === route.id)?.summary;
    if (summary === undefined) return nothing;
    const where = route.kind === 'analysis' ? route.page : route.at === undefined ? 'run' : `@${formatCount(route.at)}`;
    return html`<a class="button" href=${hash} data-testid="continue">Continue: ${summary.guest}, ${where}</a>`;
  }

  private runCard({ id, guest, progress, startedMs }: RunStatus): unknown {
    return html`<li data-testid="run-card">
      <div class="name"><a href=${formatRoute({ kind: 'record', run: id })}>${guest}</a><span class="badge warn">recording</span></div>
      <dl>
        <div><dt>Instructions</dt><dd>${formatInstructions(progress.position)}</dd></div>
        <div><dt>Log</dt><dd>${formatBytes(progress.logBytes)}</dd></div>
        <div><dt>Speed</dt><dd>${progress.isIdle ? 'waits' : `${progress.mips.toFixed(0)} MIPS`}</dd></div>
      </dl>
      ${this.soFar(id)}
      <div class="foot"><span>since ${formatDate(startedMs)}</span></div>
    </li>`;
  }

  /** What is written of a run can be looked at while it goes on. */
  private soFar(run: string): unknown {
    const file = this.server?.find((each) => each.run === run && each.summary !== undefined);
    if (file === undefined) return nothing;
    return html`<lab-console-picture .recording=${{ place: 'server', id: file.id }} version=${String(file.modifiedMs)}></lab-console-picture>
      <a class="so-far" href=${formatRoute({ kind: 'run', place: 'server', id: file.id, at: undefined })}>Look at what is recorded so far</a>`;
  }

  private serverCards(): unknown {
    if (this.isLoading) return html`<p class="muted">Looking for recordings…</p>`;
    if (this.server === undefined) {
      return html`<div class="notice"><strong>There is no server behind this page</strong><span>Recordings of this browser and dropped files work without one. Start it with <code>npm start</code> to see those in its folders.</span></div>`;
    }
    // What is recorded now has its card above.
    const kept = this.server.filter(({ run }) => !this.runs.some(({ id }) => id === run));
    if (kept.length === 0) {
      return html`<div class="notice"><strong>No recordings yet</strong><span>Make one with “New recording”, or with <code>chronovisor record lab -o recordings/first.cvlog</code>.</span></div>`;
    }
    return html`<ul class="cards">${repeat(inOrder(kept), ({ id }) => id, (each) => this.serverCard(each))}</ul>`;
  }

  private serverCard(recording: ServerRecording): unknown {
    const { summary, id, file, folder, modifiedMs, isWritable, run } = recording;
    const href = formatRoute({ kind: 'run', place: 'server', id, at: undefined });
    const remove = isWritable && run === undefined ? html`<button aria-label=${`Delete ${file}`} @click=${() => this.deleteOn(recording)}>Delete</button>` : nothing;
    if (summary === undefined) {
      return html`<li data-testid="recording-card">
        <div class="name"><strong>${file}</strong><span class="badge bad">cannot be opened</span></div>
        <span>${recording.problem?.message}</span><span class="muted">${recording.problem?.advice}</span>
        <div class="foot"><span class="grow"></span>${remove}</div>
      </li>`;
    }
    const foot = html`<span class="grow">${folder === EXAMPLES ? `example, ${file}` : `${file}, ${formatDate(modifiedMs)}`}</span>${remove}`;
    return this.card(href, summary, foot, { place: 'server', id }, String(modifiedMs), run === undefined ? describeEnd(summary.end) : { text: 'recording', tone: 'warn' });
  }

  private localCard(recording: LocalRecording): unknown {
    const { id, summary, origin, name, savedMs } = recording;
    const href = formatRoute({ kind: 'run', place: 'local', id, at: undefined });
    const foot = html`<span class="grow">${origin === 'recorded' ? '' : origin === 'held' ? name : `${name}, `}${origin === 'held' ? '' : formatDate(savedMs)}</span>
      <button aria-label=${`Save ${summary.guest} as a file`} @click=${() => this.save(recording)}>Save</button>
      ${this.server === undefined ? nothing : html`<button aria-label=${`Send ${summary.guest} to the server`} data-testid="send" @click=${() => this.send(recording)}>To the server</button>`}
      ${origin === 'held' ? nothing : html`<button aria-label=${`Delete ${summary.guest}`} @click=${() => this.forget(recording)}>Delete</button>`}`;
    return this.card(href, summary, foot, { place: 'local', id }, String(savedMs), describeEnd(summary.end));
  }

  private card(href: string, summary: LogSummary, foot: unknown, place: RecordingPlace, version: string, end: ReturnType<typeof describeEnd>): unknown {
    return html`<li data-testid="recording-card">
      <div class="name"><a href=${href}>${summary.guest}</a><span class="badge ${end.tone}">${end.text}</span></div>
      <code class="command" title=${summary.commandLine}>${summary.commandLine === '' ? 'no command line' : summary.commandLine}</code>
      <lab-console-picture .recording=${place} version=${version}></lab-console-picture>
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

  private async save({ id, name }: LocalRecording): Promise<void> {
    const bytes = await localLog(id);
    if (bytes === undefined) return;
    saveFile(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: 'application/octet-stream' }), `${name.replace(/\.cvlog$/, '')}.cvlog`);
  }

  private async send({ id, name, summary }: LocalRecording): Promise<void> {
    const bytes = await localLog(id);
    if (bytes !== undefined) this.failure = (await sendToServer(name, bytes, summary.id)).problem ?? '';
    await this.load();
  }

  private async forget(recording: LocalRecording): Promise<void> {
    if (!confirm(`Delete the recording of ${recording.summary.guest} from ${formatDate(recording.savedMs)}? It is kept in this browser only.`)) return;
    await deleteLocal(recording.id);
    this.local = await localRecordings();
  }

  private async deleteOn({ id, file }: ServerRecording): Promise<void> {
    if (!confirm(`Delete ${file} from the folder of the server, with its index, its marks and its notes? This cannot be undone.`)) return;
    this.failure = (await deleteOnServer(id)).problem ?? '';
    await this.load();
  }

  private readonly onFile = (event: Event): void => {
    const files = [...((event.target as HTMLInputElement).files ?? [])];
    if (files.length > 0) this.dispatchEvent(new CustomEvent('lab-files', { detail: files, bubbles: true, composed: true }));
  };
}
customElements.define('lab-start', StartPage);

/** A person's own, the newest first, and then the examples. */
function inOrder(recordings: readonly ServerRecording[]): readonly ServerRecording[] {
  const isExample = ({ folder }: ServerRecording): boolean => folder === EXAMPLES;
  return [...recordings].sort((a, b) => Number(isExample(a)) - Number(isExample(b)) || (isExample(a) ? 0 : b.modifiedMs - a.modifiedMs));
}
