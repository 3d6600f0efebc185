/** A branch of a recording of the server: where it leaves, what is changed there, how long it runs. The server makes it; it is a recording like any other. */
import { LitElement, css, html, nothing } from 'lit';
import type { Failure } from '../engine/protocol/messages.ts';
import { branchOf } from './branch-texts.ts';
import { failureOf } from './engine-client.ts';
import { serverJob } from './server-jobs.ts';
import { controls, panels } from './styles.ts';

export class BranchForm extends LitElement {
  static override properties = { recording: {}, at: {}, name: {}, share: { state: true }, failure: { state: true } };
  static override styles = [
    controls,
    panels,
    css`
      :host {
        display: block;
      }
      form {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr));
        align-items: end;
        gap: 0.7rem 0.9rem;
        padding: 0.8rem;
      }
      label {
        display: grid;
        gap: 0.25rem;
        min-width: 0;
        color: var(--muted);
        font-size: 0.88rem;
      }
      .wide {
        grid-column: 1 / -1;
      }
    `,
  ];
  /** Id at the server. */
  declare recording: string;
  /** Where it is to leave. */
  declare at: string;
  declare name: string;
  /** 0 to 1 while it is made. */
  declare share: number | undefined;
  declare failure: Failure | undefined;
  private giving: AbortController | undefined;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.giving?.abort();
  }

  private readonly onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const data = new FormData(event.target as HTMLFormElement);
    const text = (field: string): string => String(data.get(field) ?? '').trim();
    this.failure = undefined;
    this.giving = new AbortController();
    try {
      const settings = { kind: 'branch' as const, ...branchOf({ name: text('name'), at: text('at'), registers: text('registers'), memory: text('memory'), typed: String(data.get('typed') ?? ''), until: text('until'), inputs: text('inputs') }) };
      this.share = 0;
      const { state } = await serverJob(this.recording, settings, (share) => (this.share = share), this.giving.signal);
      if (state === 'cancelled') this.failure = { message: 'Given up', advice: 'what it had written is listed as cut off' };
      this.dispatchEvent(new CustomEvent('branched'));
    } catch (error) {
      this.failure = failureOf(error);
    } finally {
      this.share = undefined;
    }
  };

  protected override render(): unknown {
    const isBusy = this.share !== undefined;
    return html`<section class="panel" aria-label="New branch"><header><h2>New branch</h2><span class="muted">goes on from a moment, with something changed; all before it is shared</span></header>
      <form @submit=${this.onSubmit}>
        <label>Leaves at<input class="mono" name="at" required .value=${this.at} data-testid="branch-at" /></label>
        <label>Name<input name="name" required pattern="[A-Za-z0-9][A-Za-z0-9 ._\\-]*" maxlength="80" .value=${this.name} data-testid="branch-name" /></label>
        <label>Registers there<input class="mono" name="registers" placeholder="rax=7, rip=power_off" data-testid="branch-registers" /></label>
        <label>Memory there<input class="mono" name="memory" placeholder="ticks=00000000" /></label>
        <label>Typed there<input class="mono" name="typed" placeholder="poweroff\\n" /></label>
        <label>Runs until<input class="mono" name="until" placeholder="@60000000, or a text of the console" data-testid="branch-until" /></label>
        <label>Later input of the recording<select name="inputs"><option value="keep">typed again</option><option value="none">left out</option></select></label>
        ${isBusy
          ? html`<div class="spread"><progress aria-label="The branch is made" max="1" .value=${this.share ?? 0}></progress><button type="button" @click=${() => this.giving?.abort()}>Cancel</button></div>`
          : html`<button class="primary" data-testid="make-branch">Make the branch</button>`}
        ${this.failure === undefined ? nothing : html`<div class="notice bad wide" role="alert"><strong>${this.failure.message}</strong><span>${this.failure.advice}.</span></div>`}
      </form></section>`;
  }
}
customElements.define('lab-branch-form', BranchForm);
