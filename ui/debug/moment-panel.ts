/** What the panels about the moment at the cursor share: they tell the model what they show while they are there. */
import { LitElement, type PropertyValues, css, html, nothing } from 'lit';
import type { Failure } from '../../engine/protocol/messages.ts';
import type { Look, Moment } from '../../engine/protocol/moment.ts';
import { ModelController } from '../model-controller.ts';
import type { RunModel } from '../run-model.ts';
import { controls, panelHost, panels } from '../styles.ts';

export const panelStyles = [
  controls,
  panels,
  panelHost,
  css`
    .panel > header form,
    .panel > header .fields {
      display: flex;
      flex: 1 1 9rem;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.35rem;
      min-width: 0;
      margin: 0;
    }
    header input[type='text'] {
      flex: 1 1 6rem;
      min-width: 0;
      min-height: 1.8rem;
      font-family: var(--mono);
      font-size: 0.88rem;
    }
    header select,
    header button {
      min-height: 1.8rem;
      padding: 0 0.55rem;
      font-size: 0.88rem;
    }
    .body {
      flex: 1;
      min-height: 0;
      overflow: auto;
      padding: 0.5rem 0.8rem 0.8rem;
    }
    .busy {
      opacity: 0.6;
    }
    table {
      border-collapse: collapse;
      font: 400 0.86rem/1.55 var(--mono);
      white-space: nowrap;
    }
    th {
      padding: 0 0.9rem 0.15rem 0;
      color: var(--muted);
      font-family: var(--sans);
      font-size: 0.8rem;
      font-weight: 600;
      text-align: left;
    }
    td {
      padding: 0 0.9rem 0 0;
      vertical-align: top;
    }
    button.link {
      display: inline;
      min-height: 0;
      padding: 0;
      border: 0;
      background: none;
      color: var(--accent);
      font: inherit;
      text-align: left;
    }
    button.link:hover:not(:disabled) {
      background: none;
      text-decoration: underline;
    }
    progress {
      width: 6rem;
      accent-color: var(--accent);
    }
    .empty {
      color: var(--muted);
    }
  `,
];

export abstract class MomentPanel extends LitElement {
  static override properties = { model: { attribute: false } };
  declare model: RunModel | undefined;
  /** Names what it looks at among the other panels' wishes. */
  protected abstract readonly name: string;

  constructor() {
    super();
    new ModelController(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.model?.want(this.name, undefined);
  }
  protected override updated(_changed: PropertyValues): void {
    this.model?.want(this.name, this.look());
  }

  /** Undefined: it needs nothing that is not there anyway. */
  protected look(): Look | undefined {
    return undefined;
  }

  protected get moment(): Moment | undefined {
    const state = this.model?.state;
    return state?.kind === 'known' || state?.kind === 'busy' ? state.moment : undefined;
  }
  protected get isBusy(): boolean {
    return this.model?.state.kind === 'busy' || this.model?.walk.kind === 'walking';
  }

  protected show(panel: string, at?: string): void {
    this.dispatchEvent(new CustomEvent('show-panel', { detail: { panel, at }, bubbles: true, composed: true }));
  }

  protected empty(): unknown {
    const state = this.model?.state;
    return state?.kind === 'failed' ? failureNotice(state.failure) : html`<p class="empty">The machine is replayed up to the cursor.</p>`;
  }
}

export function failureNotice({ message, advice }: Failure): unknown {
  return html`<div class="notice bad" role="alert"><strong>${message}</strong><span>${advice}.</span></div>`;
}

export function hexText(value: bigint | number, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

export function busyBar(share: number | undefined, label: string): unknown {
  return share === undefined ? nothing : html`<progress max="1" .value=${share} aria-label=${label}></progress>`;
}
