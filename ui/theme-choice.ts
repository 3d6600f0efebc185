/** Chooses the theme. */
import { LitElement, css, html } from 'lit';
import { controls } from './styles.ts';
import { THEMES, type Theme, chooseTheme, onThemeChange, theme } from './theme.ts';

const NAMES: Readonly<Record<Theme, string>> = { system: 'As the system', light: 'Light', dark: 'Dark' };

export class ThemeChoice extends LitElement {
  static override styles = [
    controls,
    css`
      label {
        display: flex;
        align-items: center;
        gap: 0.45rem;
        color: var(--muted);
      }
    `,
  ];
  private stop: (() => void) | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.stop = onThemeChange(() => this.requestUpdate());
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.stop?.();
  }

  protected override render(): unknown {
    return html`<label>Theme <select data-testid="theme" @change=${(event: Event) => chooseTheme((event.target as HTMLSelectElement).value as Theme)}>
      ${THEMES.map((each) => html`<option value=${each} ?selected=${each === theme()}>${NAMES[each]}</option>`)}
    </select></label>`;
  }
}
customElements.define('lab-theme', ThemeChoice);
