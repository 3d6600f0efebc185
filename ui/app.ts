/** The frame around the pages: which page it is, and files that are dropped on any of them. */
import { LitElement, css, html, nothing } from 'lit';
import './record-page.ts';
import './run-page.ts';
import './start-page.ts';
import { analysisPage } from './analysis-pages.ts';
import { LogError } from '../engine/log/errors.ts';
import { openLog } from '../engine/log/open-log.ts';
import { MemorySource } from '../engine/log/storage.ts';
import { summarize } from '../engine/protocol/summary.ts';
import { keepPlace } from './last-place.ts';
import { keepRecording } from './library.ts';
import { heldHere } from './standalone/held.ts';
import { giveKernel, isKernel } from './recording/given-kernel.ts';
import { type Route, formatRoute, parseRoute } from './router.ts';

export class App extends LitElement {
  static override properties = { route: { state: true }, problem: { state: true }, isDropping: { state: true } };
  static override styles = css`
    :host {
      display: block;
      height: 100%;
    }
    main {
      height: 100%;
    }
    .dropping {
      position: fixed;
      inset: 0.8rem;
      z-index: 10;
      display: grid;
      place-content: center;
      border: 2px dashed var(--accent);
      border-radius: 0.8rem;
      background: color-mix(in srgb, var(--page) 88%, transparent);
      font-size: 1.4rem;
      font-weight: 600;
      pointer-events: none;
    }
  `;
  declare route: Route;
  declare problem: { readonly message: string; readonly advice: string } | undefined;
  declare isDropping: boolean;

  constructor() {
    super();
    const held = heldHere();
    if (held !== undefined && location.hash === '') history.replaceState(history.state, '', formatRoute({ kind: 'run', place: 'local', id: held.logs[0].id, at: held.at }));
    this.route = parseRoute(location.hash);
    this.isDropping = false;
    this.addEventListener('lab-file', (event) => void this.openFile((event as CustomEvent<File>).detail));
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('hashchange', this.onHash);
    addEventListener('pagehide', this.onHide);
    addEventListener('dragover', this.onDragOver);
    addEventListener('dragleave', this.onDragLeave);
    addEventListener('drop', this.onDrop);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('hashchange', this.onHash);
    removeEventListener('pagehide', this.onHide);
    removeEventListener('dragover', this.onDragOver);
    removeEventListener('dragleave', this.onDragLeave);
    removeEventListener('drop', this.onDrop);
  }

  private readonly onHide = (): void => keepPlace(location.hash);
  private readonly onHash = ({ oldURL }: HashChangeEvent): void => {
    keepPlace(new URL(oldURL).hash);
    this.route = parseRoute(location.hash);
    if (this.route.kind !== 'start') this.problem = undefined;
  };
  private readonly onDragOver = (event: DragEvent): void => {
    if (event.dataTransfer?.types.includes('Files') !== true) return;
    event.preventDefault();
    this.isDropping = true;
  };
  private readonly onDragLeave = (event: DragEvent): void => {
    if (event.relatedTarget === null) this.isDropping = false;
  };
  private readonly onDrop = (event: DragEvent): void => {
    const file = event.dataTransfer?.files[0];
    this.isDropping = false;
    if (file === undefined) return;
    event.preventDefault();
    void this.openFile(file);
  };

  private async openFile(file: File): Promise<void> {
    this.problem = undefined;
    try {
      const given = new Uint8Array(await file.arrayBuffer());
      if (isKernel(given)) {
        giveKernel({ name: file.name, kernel: given, initrd: undefined });
        dispatchEvent(new Event('kernel-given'));
        location.hash = formatRoute({ kind: 'record' });
        return;
      }
      const { reader, torn } = openLog(new MemorySource(given));
      const bytes = torn === undefined ? given : given.slice(0, torn.offset);
      const summary = summarize(reader, bytes.length);
      const id = crypto.randomUUID();
      await keepRecording({ id, name: file.name, origin: 'dropped', savedMs: Date.now(), summary }, bytes);
      location.hash = formatRoute({ kind: 'run', place: 'local', id, at: undefined });
    } catch (error) {
      this.problem =
        error instanceof LogError
          ? { message: `${file.name}: ${error.message}`, advice: error.advice }
          : { message: `${file.name} could not be read: ${error instanceof Error ? error.message : String(error)}`, advice: 'try another file' };
      location.hash = formatRoute({ kind: 'start' });
    }
  }

  protected override render(): unknown {
    return html`<main>${this.page()}</main>
      ${this.isDropping ? html`<div class="dropping">Drop a recording to open it, or a kernel to record it</div>` : nothing}`;
  }

  private page(): unknown {
    switch (this.route.kind) {
      case 'start':
        return html`<lab-start .problem=${this.problem}></lab-start>`;
      case 'record':
        return html`<lab-record .route=${this.route}></lab-record>`;
      case 'run':
        return html`<lab-run .route=${this.route}></lab-run>`;
      case 'analysis':
        return analysisPage(this.route);
      default:
        return this.route satisfies never;
    }
  }
}
customElements.define('lab-app', App);
