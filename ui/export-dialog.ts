/** What a self-contained file of a recording will hold, and the button that saves it. */
import { LitElement, css, html, nothing } from 'lit';
import type { RecordingPlace } from './recording-place.ts';
import { EngineFailure } from './worker-client.ts';
import { type Exportable, exportable, exportedFile, saveFile } from './export.ts';
import { formatBytes, formatCount } from './format.ts';
import { parseRoute } from './router.ts';
import { controls, dialogs, formDialogs } from './styles.ts';

type State =
  | { readonly kind: 'closed' | 'reading' }
  | { readonly kind: 'ready' | 'saving'; readonly found: Exportable }
  | { readonly kind: 'saved'; readonly name: string; readonly bytes: number }
  | { readonly kind: 'failed'; readonly message: string; readonly advice: string };

export class ExportDialog extends LitElement {
  static override properties = { state: { state: true }, hasImages: { state: true } };
  static override styles = [
    controls,
    dialogs,
    formDialogs,
    css`
      dialog {
        width: min(38rem, 94vw);
      }
      ul {
        margin: 0;
        padding-left: 1.2rem;
      }
      label {
        display: flex;
        align-items: baseline;
        gap: 0.6rem;
      }
      input {
        min-height: 0;
        accent-color: var(--accent);
      }
    `,
  ];
  declare state: State;
  declare hasImages: boolean;
  private recording: RecordingPlace | undefined;

  constructor() {
    super();
    this.state = { kind: 'closed' };
    this.hasImages = false;
  }

  async open(recording: RecordingPlace): Promise<void> {
    this.recording = recording;
    this.hasImages = false;
    this.state = { kind: 'reading' };
    await this.updateComplete;
    this.renderRoot.querySelector('dialog')?.showModal();
    await this.attempt(async () => {
      this.state = { kind: 'ready', found: await exportable(recording) };
    });
  }

  private readonly close = (): void => {
    this.renderRoot.querySelector('dialog')?.close();
    this.state = { kind: 'closed' };
  };

  private readonly save = async (): Promise<void> => {
    const { state, recording } = this;
    if (state.kind !== 'ready') return;
    const { found } = state;
    this.state = { kind: 'saving', found };
    await this.attempt(async () => {
      const route = parseRoute(location.hash);
      const at = route.kind === 'run' && route.id === recording?.id ? route.at : undefined;
      const file = await exportedFile(found, this.hasImages, at);
      const name = `${found.summary.guest}.html`;
      saveFile(file, name);
      this.state = { kind: 'saved', name, bytes: file.size };
    });
  };

  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { message, advice } = error instanceof EngineFailure ? error.failure : { message: error instanceof Error ? error.message : String(error), advice: 'reload the page' };
      this.state = { kind: 'failed', message, advice };
    }
  }

  protected override render(): unknown {
    const { state } = this;
    const canSave = state.kind === 'ready';
    return html`<dialog aria-labelledby="export-title" @close=${this.close}>
      <h2 id="export-title">Export as one file</h2>
      <div class="body" role="status" data-testid="export-state" data-state=${state.kind}>${this.body()}</div>
      <div class="spread"><span class="grow"></span>
        <button @click=${this.close}>${state.kind === 'saved' || state.kind === 'failed' ? 'Close' : 'Cancel'}</button>
        ${state.kind === 'saved' || state.kind === 'failed' ? nothing : html`<button class="primary" ?disabled=${!canSave} data-testid="export-save" @click=${this.save}>Save the file</button>`}
      </div>
    </dialog>`;
  }

  private body(): unknown {
    const { state } = this;
    switch (state.kind) {
      case 'closed':
        return nothing;
      case 'reading':
        return html`<p>Reading the recording…</p>`;
      case 'saving':
        return html`<p>Writing the file…</p>`;
      case 'saved':
        return html`<p><strong>${state.name}</strong>, ${formatBytes(state.bytes)}, is with your downloads. It opens from disk in any browser, without a server, and replays there.</p>`;
      case 'failed':
        return html`<div class="notice bad" role="alert"><strong>${state.message}</strong><span>${state.advice}.</span></div>`;
      case 'ready':
        return this.contents(state.found);
    }
  }

  private contents({ summary, content, images }: Exportable): unknown {
    const { parents, notes } = content;
    return html`<p>An HTML file that opens from disk and replays: whoever gets it steps through the run as you do. It holds</p>
      <ul>
        <li>the recording of ${summary.guest}, ${formatBytes(summary.bytes)}, with everything that was typed${parents.length === 0 ? '' : `, and ${formatCount(parents.length)} that it goes on from`}</li>
        <li>${notes.length === 0 ? 'no notes' : `${formatCount(notes.length)} notes`}, and the place of the cursor</li>
        <li>these pages with the engine, about 1 MB</li>
      </ul>
      ${images.length === 0
        ? nothing
        : html`<label><input type="checkbox" data-testid="export-images" .checked=${this.hasImages} @change=${(event: Event) => (this.hasImages = (event.target as HTMLInputElement).checked)} />
            <span>Put in what the log does not hold: ${images.map(({ name, bytes }) => `${name} (${formatBytes(bytes)})`).join(' and ')}. Check that you may pass it on.</span></label>
          ${this.hasImages ? nothing : html`<p class="muted">Without it the file shows events, console and analyses; to replay, its reader needs these images.</p>`}`}`;
  }
}
customElements.define('lab-export', ExportDialog);
