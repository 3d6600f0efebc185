/** The frame around the pages: which page it is, and files that are dropped on any of them. */
import { LitElement, css, html, nothing } from 'lit';
import type { StartPage } from './start-page.ts';
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
import { controls } from './styles.ts';

interface KeptFile {
  /** In this browser. */
  readonly id: string;
  readonly logId: string;
  /** Of the log that it goes on from. */
  readonly parent: string | undefined;
}

export class App extends LitElement {
  static override properties = { route: { state: true }, problem: { state: true }, warning: { state: true }, isDropping: { state: true } };
  static override styles = [controls, css`
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
    .warning {
      position: fixed;
      right: 1rem;
      bottom: 1rem;
      z-index: 9;
      max-width: 34rem;
      box-shadow: 0 0.3rem 1.2rem rgb(0 0 0 / 0.3);
    }
  `];
  declare route: Route;
  declare problem: { readonly message: string; readonly advice: string } | undefined;
  /** Of a recording that is open, and that the browser does not keep. */
  declare warning: string;
  declare isDropping: boolean;

  constructor() {
    super();
    const held = heldHere();
    if (held !== undefined && location.hash === '') history.replaceState(history.state, '', formatRoute({ kind: 'run', place: 'local', id: held.logs[0].id, at: held.at }));
    this.route = parseRoute(location.hash);
    this.isDropping = false;
    this.warning = '';
    this.addEventListener('lab-files', (event) => void this.openFiles((event as CustomEvent<readonly File[]>).detail));
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
    const files = [...(event.dataTransfer?.files ?? [])];
    this.isDropping = false;
    if (files.length === 0) return;
    event.preventDefault();
    void this.openFiles(files);
  };

  /** One is opened; of several that which goes on from another, or all are on the start page. */
  private async openFiles(files: readonly File[]): Promise<void> {
    this.problem = undefined;
    this.warning = '';
    const kept: KeptFile[] = [];
    for (const file of files) {
      const each = await this.keepFile(file);
      if (each === undefined) return;
      if (each !== 'kernel') kept.push(each);
    }
    if (kept.length === 0) return;
    const children = kept.filter(({ parent }) => kept.some(({ logId }) => logId === parent));
    const [shown] = kept.length === 1 ? kept : children.length === 1 ? children : [];
    location.hash = formatRoute(shown === undefined ? { kind: 'start' } : { kind: 'run', place: 'local', id: shown.id, at: undefined });
    // The start page was there already, and has not looked.
    this.renderRoot.querySelector<StartPage>('lab-start')?.refresh?.();
  }

  /** Undefined: it could not be opened, which is said on the start page. */
  private async keepFile(file: File): Promise<KeptFile | 'kernel' | undefined> {
    try {
      const given = new Uint8Array(await file.arrayBuffer());
      if (isKernel(given)) {
        giveKernel({ name: file.name, kernel: given, initrd: undefined });
        dispatchEvent(new Event('kernel-given'));
        location.hash = formatRoute({ kind: 'record' });
        return 'kernel';
      }
      const { reader, torn } = openLog(new MemorySource(given));
      const bytes = torn === undefined ? given : given.slice(0, torn.offset);
      const summary = summarize(reader, bytes.length);
      const id = crypto.randomUUID();
      const { problem } = await keepRecording({ id, name: file.name, origin: 'dropped', savedMs: Date.now(), summary }, bytes);
      if (problem !== undefined) this.warning = problem;
      return { id, logId: summary.id, parent: reader.header.parent?.logId };
    } catch (error) {
      this.problem =
        error instanceof LogError
          ? { message: `${file.name}: ${error.message}`, advice: error.advice }
          : { message: `${file.name} could not be read: ${error instanceof Error ? error.message : String(error)}`, advice: 'try another file' };
      location.hash = formatRoute({ kind: 'start' });
      return undefined;
    }
  }

  protected override render(): unknown {
    return html`<main>${this.page()}</main>
      ${this.warning === '' ? nothing : html`<div class="notice bad warning" role="alert"><strong>${this.warning}.</strong><span>Until this page is closed it is open all the same.</span><button @click=${() => (this.warning = '')}>Close</button></div>`}
      ${this.isDropping ? html`<div class="dropping">Drop a recording to open it, or a kernel to record it</div>` : nothing}`;
  }

  private page(): unknown {
    // Each is loaded when it is opened.
    switch (this.route.kind) {
      case 'start':
        void import('./start-page.ts');
        return html`<lab-start .problem=${this.problem}></lab-start>`;
      case 'record':
        void import('./record-page.ts');
        return html`<lab-record .route=${this.route}></lab-record>`;
      case 'run':
        void import('./run-page.ts');
        return html`<lab-run .route=${this.route}></lab-run>`;
      case 'analysis':
        return analysisPage(this.route);
      default:
        return this.route satisfies never;
    }
  }
}
customElements.define('lab-app', App);
