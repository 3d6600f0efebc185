/** The pages of one recording, as a row of links. */
import { LitElement, css, html } from 'lit';
import { type AnalysisPageName, formatRoute } from './router.ts';
import type { RecordingPlace } from './analysis-client.ts';
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
      a {
        padding: 0.35rem 0.7rem;
        border-radius: 0.4rem;
        color: var(--muted);
        font-weight: 500;
        line-height: 1.3;
        text-decoration: none;
      }
      :host([of]) a {
        padding: 0.3rem 0.5rem;
      }
      a:hover {
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

  protected override render(): unknown {
    const { recording } = this;
    if (recording === undefined) return html``;
    const href = (page: 'run' | AnalysisPageName): string => formatRoute(page === 'run' ? { kind: 'run', ...recording, at: undefined } : { kind: 'analysis', page, ...recording, query: {} });
    return html`<nav aria-label=${`Pages of ${this.of ?? 'this recording'}`}>${TITLES.filter(([page]) => page !== 'run' || this.of === undefined).map(([page, title]) => html`<a href=${href(page)} aria-current=${page === this.current ? 'page' : 'false'}>${title}</a>`)}</nav>`;
  }
}
customElements.define('lab-recording-nav', RecordingNav);
