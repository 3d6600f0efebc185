/** The registers at the cursor; those that differ from the cursor before are marked. */
import { LitElement, css, html, nothing } from 'lit';
import type { MachineState } from '../engine/protocol/messages.ts';
import { flagNames } from './machine-state.ts';
import { ModelController } from './model-controller.ts';
import { GENERAL_REGISTERS } from '../engine/debug/inspect.ts';
import { failureOf } from './engine-client.ts';
import type { RunModel } from './run-model.ts';
import { controls, panelHost, panels } from './styles.ts';

/** Those whose values may be addresses. */
const ADDRESSES: ReadonlySet<string> = new Set([...GENERAL_REGISTERS, 'rip', 'cr2', 'fs.base', 'gs.base']);
/** Its last writer is the instruction before. */
const UNTRACED: ReadonlySet<string> = new Set(['rip']);

export class RegisterPanel extends LitElement {
  static override properties = { model: { attribute: false } };
  static override styles = [
    controls,
    panels,
    panelHost,
    css`
      .body {
        flex: 1;
        min-height: 0;
        overflow: auto;
        padding: 0.5rem 0.8rem 0.8rem;
      }
      h3 {
        margin: 0.7rem 0 0.25rem;
        color: var(--muted);
        font-size: 0.8rem;
        font-weight: 600;
      }
      h3:first-child {
        margin-top: 0.1rem;
      }
      dl {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(16.5em, 1fr));
        gap: 0 1.2rem;
        margin: 0;
        font: 400 0.88rem/1.6 var(--mono);
      }
      dl.wide {
        grid-template-columns: repeat(auto-fill, minmax(25em, 1fr));
      }
      .register {
        display: flex;
        gap: 0.6rem;
      }
      dt {
        flex: none;
        width: 4.2em;
        color: var(--muted);
        white-space: nowrap;
      }
      dd {
        margin: 0;
        padding: 0 0.25em;
        border-radius: 0.2em;
        white-space: nowrap;
      }
      dd .zeros {
        color: var(--muted);
      }
      dd.changed {
        background: var(--changed);
      }
      dd.changed .zeros {
        color: inherit;
      }
      button.name,
      button.value {
        display: inline;
        min-height: 0;
        padding: 0;
        border: 0;
        border-radius: 0.2em;
        background: none;
        color: inherit;
        font: inherit;
      }
      button.name:hover:not(:disabled),
      button.value:hover:not(:disabled) {
        background: none;
        color: var(--accent);
        text-decoration: underline;
      }
      .flags {
        margin-top: 0.3rem;
        font: 400 0.85rem/1.5 var(--mono);
      }
      .busy {
        opacity: 0.55;
      }
      progress {
        width: 6rem;
        accent-color: var(--accent);
      }
    `,
  ];
  declare model: RunModel | undefined;
  private given = '';

  constructor() {
    super();
    new ModelController(this);
  }

  protected override render(): unknown {
    const view = this.model?.state ?? { kind: 'none' as const };
    const badge =
      view.kind === 'known'
        ? html`<span class="badge">ring ${view.moment.machine.cpl}</span>${view.moment.machine.halted ? html`<span class="badge">halted</span>` : nothing}`
        : view.kind === 'busy'
          ? html`<progress max="1" .value=${view.share} aria-label="Replaying to the cursor"></progress>`
          : nothing;
    return html`<section class="panel" aria-label="Registers" aria-busy=${view.kind === 'busy' ? 'true' : 'false'}>
      <header>
        <h2>Registers</h2>
        <span class="muted">${view.kind === 'busy' ? 'replaying to the cursor' : 'by replay'}</span>
        <span class="grow"></span>${badge}
      </header>
      <div class="body" tabindex="0" role="group" aria-label="Register values" data-testid="registers" data-position=${view.kind === 'known' ? view.moment.machine.position : nothing}>${this.body()}</div>
    </section>`;
  }

  private body(): unknown {
    const view = this.model?.state;
    switch (view?.kind) {
      case 'known':
        return this.registers(view.moment.machine, view.before, false);
      case 'busy':
        return view.moment === undefined ? html`<p class="muted">The machine is replayed up to the cursor to know its registers.</p>` : this.registers(view.moment.machine, view.before, true);
      case 'failed':
        return html`<div class="notice bad" role="alert"><strong>${view.failure.message}</strong><span>${view.failure.advice}.</span></div>
          ${view.failure.missingImages === undefined
            ? nothing
            : html`<p><label>Image file <input type="file" @change=${this.onImage} /></label></p>
                <p class="muted">${this.given}</p>`}`;
      case 'none':
      case undefined:
        return html`<p class="muted">The machine is replayed up to the cursor to know its registers.</p>`;
    }
  }

  private registers(state: MachineState, before: MachineState | undefined, isBusy: boolean): unknown {
    const old = new Map(before?.groups.flatMap(({ registers }) => registers));
    return html`<div class=${isBusy ? 'busy' : ''}>
      ${state.groups.map(
        ({ name, registers }) =>
          html`<h3>${name}</h3>
            <dl class=${name === 'SSE' ? 'wide' : ''}>
              ${registers.map(([register, value]) => {
                const digits = /^0*(?=.)/.exec(value)?.[0].length ?? 0;
                const shown = html`<span class="zeros">${value.slice(0, digits)}</span>${value.slice(digits)}`;
                const changed = !isBusy && before !== undefined && old.get(register) !== value;
                return html`<div class="register">
                  <dt>${!UNTRACED.has(register) ? html`<button class="name" title="Who wrote ${register} last?" aria-label="Last writer of ${register}" @click=${() => this.trace(register)}>${register}</button>` : register}</dt>
                  <dd class=${changed ? 'changed' : ''} title=${changed ? `was ${old.get(register) ?? 'unknown'} at the cursor before` : ''}>
                    ${ADDRESSES.has(register) ? html`<button class="value" title="Memory at ${register}" @click=${() => this.showMemory(register)}>${shown}</button>` : shown}
                  </dd>
                </div>`;
              })}
            </dl>
            ${name === 'General' ? html`<div class="flags"><span class="muted">flags</span> ${flagNames(registers.find(([register]) => register === 'rflags')?.[1] ?? '0') || 'none'}</div>` : nothing}`,
      )}
    </div>`;
  }

  private trace(register: string): void {
    this.model?.trace({ kind: 'register', name: register }, register);
    this.dispatchEvent(new CustomEvent('show-panel', { detail: { panel: 'origin' }, bubbles: true, composed: true }));
  }
  private showMemory(register: string): void {
    this.dispatchEvent(new CustomEvent('show-panel', { detail: { panel: 'memory', at: register }, bubbles: true, composed: true }));
  }

  private readonly onImage = async (event: Event): Promise<void> => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (file === undefined) return;
    try {
      this.given = `${await this.model?.giveImage(new Uint8Array(await file.arrayBuffer()))}: taken`;
    } catch (error) {
      const { message, advice } = failureOf(error);
      this.given = `${message}: ${advice}`;
    }
    this.requestUpdate();
  };
}
customElements.define('lab-registers', RegisterPanel);
