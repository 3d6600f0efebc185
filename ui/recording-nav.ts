/** The pages of one recording, as a row of links, and its export. */
import { LitElement, css, html, nothing } from 'lit';
import type { ExportDialog } from './export-dialog.ts';
import { type AnalysisPageName, formatRoute, parseRoute } from './router.ts';
import type { RecordingPlace } from './recording-place.ts';
import { controls } from './styles.ts';

const TITLES: readonly (readonly [page: 'run' | AnalysisPageName, title: string])[] = [
  ['run', 'Run'], ['compare', 'Compare'], ['profile', 'Exits'], ['migration', 'Migration'], ['bisect', 'Bisect'], ['diff', 'Diff'], ['branches', 'Branches'],
]; // prettier-ignore

export class RecordingNav extends LitElement {
  static override properties = { recording: { attribute: false }, current: {}, of: {} };
  static override styles = [
    controls,
    css`
      :host {
        display: block;
      }
      nav {
        display: flex;
        flex-wrap: wrap;
        gap: 0.15rem;
      }
      a,
      button {
        min-height: 0;
        padding: 0.35rem 0.7rem;
        border: 0;
        background: none;
        border-radius: 0.4rem;
        color: var(--muted);
        font: 500 1em/1.3 var(--sans);
        text-decoration: none;
      }
      :host([of]) :is(a, button) {
        padding: 0.3rem 0.4rem;
      }
      a:hover,
      button:hover:not(:disabled) {
        background: var(--raised);
        color: var(--text);
      }
      a[aria-current='page'] {
        background: var(--accent-soft);
        color: var(--text);
      }
    `,
  ];
  declare recording: RecordingPlace | undefined;
  declare current: 'run' | AnalysisPageName | undefined;
  /** On a card: of which recording, for those who hear it. The card itself is the link to the run. */
  declare of: string | undefined;

  /** From the moment of the cursor. */
  private readonly onBranches = (event: Event): void => {
    const route = parseRoute(location.hash);
    if (this.current !== 'run' || this.recording === undefined || route.kind !== 'run' || route.at === undefined) return;
    event.preventDefault();
    location.hash = formatRoute({ kind: 'analysis', page: 'branches', ...this.recording, query: { at: String(route.at) } });
  };

  /** Loaded when it is wanted. */
  private async openExport(recording: RecordingPlace): Promise<void> {
    await import('./export-dialog.ts');
    this.renderRoot.querySelector<ExportDialog>('lab-export')?.open(recording);
  }

  protected override render(): unknown {
    const { recording } = this;
    if (recording === undefined) return html``;
    const href = (page: 'run' | AnalysisPageName): string => formatRoute(page === 'run' ? { kind: 'run', ...recording, at: undefined } : { kind: 'analysis', page, ...recording, query: {} });
    return html`<nav aria-label=${`Pages of ${this.of ?? 'this recording'}`}>${TITLES.filter(([page]) => page !== 'run' || this.of === undefined).map(([page, title]) => html`<a href=${href(page)} aria-current=${page === this.current ? 'page' : 'false'} @click=${page === 'branches' ? this.onBranches : nothing}>${title}</a>`)}<button data-testid="export" aria-label=${`Export ${this.of ?? 'this recording'} as one file`} @click=${() => void this.openExport(recording)}>Export</button></nav><lab-export></lab-export>`;
  }
}
customElements.define('lab-recording-nav', RecordingNav);
