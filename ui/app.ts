/** The frame around the pages: which page it is, and files that are dropped on any of them. */
import { LitElement, css, html, nothing } from 'lit';
import type { TakenFile } from './dropped-files.ts';
import type { StartPage } from './start-page.ts';
import { analysisPage, loadAnalysisPage } from './analysis-pages.ts';
import { keepPlace } from './last-place.ts';
import { heldHere } from './standalone/held.ts';
import { type Route, formatRoute, parseRoute } from './router.ts';
import './run-page.ts';
import { controls } from './styles.ts';

export class App extends LitElement {
  static override properties = { route: { state: true }, problem: { state: true }, warning: { state: true }, isMissing: { state: true }, isDropping: { state: true } };
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
    .missing {
      max-width: 44rem;
      margin: 4rem auto;
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
  /** The script of the page did not come: the server ended, or has those of another build. */
  declare isMissing: boolean;
  declare isDropping: boolean;

  constructor() {
    super();
    const held = heldHere();
    if (held !== undefined && location.hash === '') history.replaceState(history.state, '', formatRoute({ kind: 'run', place: 'local', id: held.logs[0].id, at: held.at }));
    this.route = parseRoute(location.hash);
    this.isDropping = false;
    this.isMissing = false;
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
    this.isMissing = false;
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
    const { takeFile } = await import('./dropped-files.ts');
    const kept: Extract<TakenFile, { kind: 'kept' }>[] = [];
    for (const file of files) {
      const taken = await takeFile(file);
      if (taken.kind === 'kernel') location.hash = formatRoute({ kind: 'record' });
      else if (taken.kind === 'refused') {
        this.problem = taken;
        location.hash = formatRoute({ kind: 'start' });
        return;
      } else {
        if (taken.warning !== undefined) this.warning = taken.warning;
        kept.push(taken);
      }
    }
    if (kept.length === 0) return;
    const children = kept.filter(({ parent }) => kept.some(({ logId }) => logId === parent));
    const [shown] = kept.length === 1 ? kept : children.length === 1 ? children : [];
    location.hash = formatRoute(shown === undefined ? { kind: 'start' } : { kind: 'run', place: 'local', id: shown.id, at: undefined });
    // The start page was there already, and has not looked.
    this.renderRoot.querySelector<StartPage>('lab-start')?.refresh?.();
  }

  protected override render(): unknown {
    return html`<main>${this.page()}</main>
      ${this.warning === '' ? nothing : html`<div class="notice bad warning" role="alert"><strong>${this.warning}.</strong><span>Until this page is closed it is open all the same.</span><button @click=${() => (this.warning = '')}>Close</button></div>`}
      ${this.isDropping ? html`<div class="dropping">Drop a recording to open it, or a kernel to record it</div>` : nothing}`;
  }

  private load(script: Promise<unknown>): void {
    script.catch((error: unknown) => {
      console.warn(error);
      this.isMissing = true;
    });
  }

  private page(): unknown {
    if (this.isMissing) {
      return html`<div class="notice bad missing" role="alert"><strong>This page could not be loaded</strong>
        <span>The server does not answer, or it was updated meanwhile: check that it runs (<code>npm start</code>), then reload.</span>
        <span><button @click=${() => location.reload()}>Reload</button></span></div>`;
    }
    // Each but the run is loaded when it is opened.
    switch (this.route.kind) {
      case 'start':
        this.load(import('./start-page.ts'));
        return html`<lab-start .problem=${this.problem}></lab-start>`;
      case 'record':
        this.load(import('./record-page.ts'));
        return html`<lab-record .route=${this.route}></lab-record>`;
      case 'run':
        return html`<lab-run .route=${this.route}></lab-run>`;
      case 'analysis':
        this.load(loadAnalysisPage(this.route));
        return analysisPage(this.route);
      default:
        return this.route satisfies never;
    }
  }
}
export function showApp(): void {
  customElements.define('lab-app', App);
}
