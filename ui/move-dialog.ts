/** Moves a run of the server to another host while it goes on: where to and how, round by round, what became of it. */
import { LitElement, css, html, nothing } from 'lit';
import type { Subscription } from 'rxjs';
import type { MigrationOutcome } from '../engine/analysis/migration/outcome.ts';
import type { RunMigration, RunMigrationSettings } from '../engine/protocol/lab.ts';
import type { Failure } from '../engine/protocol/messages.ts';
import { failureOf } from './engine-client.ts';
import { formatBytes, formatCount } from './format.ts';
import { formatBandwidth, formatWall } from './quantities.ts';
import { beginMove, giveMoveUp, watchMove } from './recording/run-move.ts';
import { controls, dialogs, formDialogs } from './styles.ts';

type Policy = NonNullable<RunMigrationSettings['policy']>;

const POLICIES: readonly (readonly [policy: Policy, title: string])[] = [
  ['precopy', 'pre-copy: pages first, again if they are written'], ['postcopy', 'post-copy: the guest first, its pages when it needs them'], ['hybrid', 'hybrid: a round of pre-copy, then post-copy'],
]; // prettier-ignore
/** Bytes a second. */
const BANDWIDTHS: readonly number[] = [125e3, 1.25e6, 12.5e6, 125e6, 1.25e9];
const DOWNTIME_MS = 300;
const ADDRESS = /^(\[[0-9a-fA-F:]+\]|[^\s:/[\]]+):(\d{1,5})$/;
/** Rounds that are listed, the last ones. */
const ROUNDS_SHOWN = 8;

/** What is filled in; undefined: as the server has it. */
type Form = { readonly [name in Exclude<keyof RunMigrationSettings, 'speed'>]-?: RunMigrationSettings[name] | undefined } & { readonly to: string };

interface Round {
  readonly sync: number;
  readonly transferred: number;
  readonly remainingPages: number;
}

type State =
  | { readonly kind: 'closed' | 'asking' }
  /** The last attempt's end, if there was one. */
  | { readonly kind: 'settings'; readonly failure: Failure | undefined }
  | { readonly kind: 'watched'; readonly migration: RunMigration; readonly isGivenUp: boolean };

export class MoveDialog extends LitElement {
  static override properties = { run: {}, state: { state: true } };
  static override styles = [
    controls,
    dialogs,
    formDialogs,
    css`
      dialog {
        width: min(44rem, 94vw);
      }
      .fields {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
        gap: 0.8rem;
      }
      label {
        display: grid;
        gap: 0.3rem;
        min-width: 0;
        color: var(--muted);
        font-size: 0.88rem;
      }
      label > * {
        width: 100%;
        min-width: 0;
      }
      progress {
        width: 100%;
        accent-color: var(--accent);
      }
      table {
        border-collapse: collapse;
        font-variant-numeric: tabular-nums;
      }
      :is(th, td) {
        padding: 0.2rem 0.8rem 0.2rem 0;
        text-align: right;
      }
      :is(th, td):first-child {
        text-align: left;
      }
      th {
        color: var(--muted);
        font-weight: 500;
      }
    `,
  ];
  /** Its number on the server. */
  declare run: string | undefined;
  declare state: State;
  private settings: Form = { to: '', policy: 'precopy', bytesPerSecond: undefined, downtimeLimitMs: DOWNTIME_MS, timeLimitMs: undefined };
  private rounds: readonly Round[] = [];
  private watching: Subscription | undefined;

  constructor() {
    super();
    this.state = { kind: 'closed' };
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.watching?.unsubscribe();
  }

  /** It may be on its way already: asked for by another page, or before a reload. */
  async open(): Promise<void> {
    if (this.run === undefined || this.state.kind !== 'closed') return;
    this.state = { kind: 'asking' };
    await this.updateComplete;
    this.renderRoot.querySelector('dialog')?.showModal();
    this.watch(false);
  }
  private readonly close = (): void => {
    this.renderRoot.querySelector('dialog')?.close();
    this.watching?.unsubscribe();
    this.state = { kind: 'closed' };
  };

  /** isAsked: by this page, just now: what became of an earlier one is not shown. */
  private watch(isAsked: boolean): void {
    this.watching?.unsubscribe();
    this.rounds = [];
    this.watching = watchMove(this.run ?? '').subscribe({
      next: (migration) => {
        if (migration === undefined || (!isAsked && migration.state !== 'moving' && this.state.kind === 'asking')) {
          this.state = { kind: 'settings', failure: undefined };
          return;
        }
        this.take(migration);
      },
      error: (error: unknown) => (this.state = { kind: 'settings', failure: failureOf(error) }),
    });
  }
  private take(migration: RunMigration): void {
    const { progress } = migration;
    if (progress !== undefined) {
      const { sync, transferred, remainingPages } = progress;
      this.rounds = [...this.rounds.filter((round) => round.sync !== sync), { sync, transferred, remainingPages }];
    }
    this.state = { kind: 'watched', migration, isGivenUp: this.state.kind === 'watched' && this.state.isGivenUp };
  }

  private readonly begin = async (event: Event): Promise<void> => {
    event.preventDefault();
    const { run, settings } = this;
    const match = ADDRESS.exec(settings.to);
    if (run === undefined) return;
    if (match === null || Number(match[2]) < 1 || Number(match[2]) > 65_535) {
      this.state = { kind: 'settings', failure: { message: settings.to === '' ? 'No address was given' : `"${settings.to}" is no address`, advice: 'write HOST:PORT as `chronovisor migrate --listen` was started with, such as localhost:4444' } };
      return;
    }
    this.state = { kind: 'asking' };
    try {
      await beginMove(run, Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as unknown as RunMigrationSettings);
      this.watch(true);
    } catch (error) {
      this.state = { kind: 'settings', failure: failureOf(error) };
    }
  };
  private readonly giveUp = async (): Promise<void> => {
    if (this.state.kind !== 'watched' || this.run === undefined) return;
    this.state = { ...this.state, isGivenUp: true };
    // That it is over meanwhile is shown by what became of it.
    await giveMoveUp(this.run).catch(() => undefined);
  };
  private readonly again = (): void => void (this.state = { kind: 'settings', failure: undefined });

  protected override render(): unknown {
    const { state } = this;
    return html`<dialog aria-labelledby="move-title" @close=${this.close}>
      <h2 id="move-title">Move to another host</h2>
      ${state.kind === 'settings' ? this.form(state.failure) : state.kind === 'watched' ? this.watched(state.migration, state.isGivenUp) : html`<p class="body" role="status" data-testid="move" data-state=${state.kind}>Asking the server…</p>`}
    </dialog>`;
  }

  private form(failure: Failure | undefined): unknown {
    const { settings } = this;
    const set = (changed: Partial<Form>): void => void (this.settings = { ...this.settings, ...changed });
    const number = (event: Event): number | undefined => Number((event.target as HTMLInputElement).value) || undefined;
    return html`<form @submit=${this.begin} novalidate>
      <div class="body" data-testid="move" data-state="settings">
        <p>The guest goes on while its memory is copied, and then goes on over there. On the other host, first: <code>chronovisor migrate --listen 0.0.0.0:4444 -o arrived.cvlog</code></p>
        <div class="fields">
          <label>Address<input class="mono" name="to" data-testid="move-to" autofocus spellcheck="false" autocomplete="off" placeholder="HOST:4444" .value=${settings.to} @input=${(event: Event) => set({ to: (event.target as HTMLInputElement).value.trim() })} /></label>
          <label>Way<select data-testid="move-policy" @change=${(event: Event) => set({ policy: (event.target as HTMLSelectElement).value as Policy })}>${POLICIES.map(([policy, title]) => html`<option value=${policy} ?selected=${policy === settings.policy}>${title}</option>`)}</select></label>
          <label>Bandwidth<select data-testid="move-bandwidth" @change=${(event: Event) => set({ bytesPerSecond: number(event) })}>
            <option value="" ?selected=${settings.bytesPerSecond === undefined}>as the link takes it</option>
            ${BANDWIDTHS.map((each) => html`<option value=${each} ?selected=${each === settings.bytesPerSecond}>at most ${formatBandwidth(each)}</option>`)}
          </select></label>
          <label>Stops when the rest takes less than, ms<input type="number" data-testid="move-downtime" min="1" max="2000000" .value=${String(settings.downtimeLimitMs ?? DOWNTIME_MS)} @input=${(event: Event) => set({ downtimeLimitMs: number(event) })} /></label>
          <label>Given up after, s<input type="number" data-testid="move-time" min="1" placeholder="never" .value=${settings.timeLimitMs === undefined ? '' : String(settings.timeLimitMs / 1000)} @input=${(event: Event) => set({ timeLimitMs: (number(event) ?? 0) * 1000 || undefined })} /></label>
        </div>
        ${failure === undefined ? nothing : html`<div class="notice bad" role="alert"><strong>${failure.message}</strong><span>${failure.advice}.</span></div>`}
      </div>
      <div class="spread"><span class="grow"></span><button type="button" @click=${this.close}>Cancel</button><button class="primary" data-testid="move-start">Move it</button></div>
    </form>`;
  }

  private watched(migration: RunMigration, isGivenUp: boolean): unknown {
    const { state, settings } = migration;
    const isMoving = state === 'moving';
    return html`<div class="body" data-testid="move" data-state=${state}>
        <div role="status">${this.verdict(migration, isGivenUp)}</div>
        ${isMoving ? this.progress(migration) : nothing}
        ${this.roundList(isMoving)}
        ${this.figures(migration)}
      </div>
      <div class="spread"><span class="muted">${settings.policy ?? 'precopy'} to <code>${settings.to}</code></span><span class="grow"></span>
        ${isMoving ? html`<button data-testid="move-cancel" ?disabled=${isGivenUp} @click=${this.giveUp}>${isGivenUp ? 'Giving up…' : 'Keep it here'}</button>` : nothing}
        ${state === 'kept' ? html`<button data-testid="move-again" @click=${this.again}>Try again</button>` : nothing}
        <button @click=${this.close}>${isMoving ? 'Hide' : 'Close'}</button></div>`;
  }

  private verdict({ state, settings, reason, digest, progress }: RunMigration, isGivenUp: boolean): unknown {
    switch (state) {
      case 'moving': {
        const phase = progress === undefined ? 'the speed is measured and the other host is asked' : progress.phase === 'precopy' ? `round ${progress.sync} of pre-copy: the guest goes on here` : progress.phase === 'stopped' ? 'the guest stands still: the rest is sent' : 'the guest goes on over there, and fetches its pages';
        return isGivenUp ? 'It is being given up: the guest stays, unless it was handed over already.' : html`On its way: ${phase}.`;
      }
      case 'kept':
        return html`<div class="notice bad"><strong>The guest was not moved, and goes on here</strong><span>${reason ?? 'it was given up'}.</span></div>`;
      case 'moved':
        return html`<div class="notice"><strong>The guest goes on at ${settings.to}</strong><span>Its recording there begins where the one here ends${digest === undefined ? '' : html`, in state <code>${digest.slice(0, 12)}</code>`}.</span></div>`;
      case 'unconfirmed':
        return html`<div class="notice bad"><strong>Nobody has confirmed that the guest arrived</strong><span>${reason ?? 'the link broke after it was handed over'}. It stands still here. Look over there; <code>chronovisor migrate --resolve LOG --to ${settings.to}</code> settles who has it.</span></div>`;
      default:
        return state satisfies never;
    }
  }

  private progress({ progress }: RunMigration): unknown {
    if (progress === undefined) return html`<progress aria-label="Moving"></progress>`;
    const most = Math.max(1, ...this.rounds.map(({ remainingPages }) => remainingPages));
    return html`<progress max="1" .value=${1 - progress.remainingPages / most} aria-label="Pages sent of this migration"></progress>
      <span data-testid="move-progress">${formatBytes(progress.transferred)} sent, ${formatCount(progress.remainingPages)} pages left, ${formatWall(progress.nowNs / 1e6)}</span>`;
  }

  private roundList(isMoving: boolean): unknown {
    const rounds = this.rounds.slice(-ROUNDS_SHOWN);
    if (rounds.length < (isMoving ? 2 : 1)) return nothing;
    return html`<table>
      <thead><tr><th scope="col">Round</th><th scope="col">sent in all</th><th scope="col">pages left</th></tr></thead>
      <tbody>${rounds.map(({ sync, transferred, remainingPages }) => html`<tr><td>${sync}</td><td>${formatBytes(transferred)}</td><td>${formatCount(remainingPages)}</td></tr>`)}</tbody>
    </table>`;
  }

  /** What it took, beside what was expected before it began. */
  private figures({ measured, prediction }: RunMigration): unknown {
    if (measured === undefined) return nothing;
    const expected = prediction?.outcome;
    type Figures = Pick<MigrationOutcome, 'totalTimeMs' | 'downtimeMs'> & { readonly ram: Pick<MigrationOutcome['ram'], 'transferred' | 'normal' | 'dirtySyncCount'> };
    const row = (name: string, of: (each: Figures) => string): unknown => html`<tr><td>${name}</td><td>${of(measured)}</td><td>${expected === undefined ? '–' : of(expected)}</td></tr>`;
    return html`<table data-testid="move-figures">
      <thead><tr><th scope="col"></th><th scope="col">measured</th><th scope="col">foreseen</th></tr></thead>
      <tbody>
        ${row('Total time', ({ totalTimeMs }) => formatWall(totalTimeMs))}
        ${row('Downtime', ({ downtimeMs }) => formatWall(downtimeMs))}
        ${row('Sent', ({ ram }) => formatBytes(ram.transferred))}
        ${row('Pages sent whole', ({ ram }) => formatCount(ram.normal))}
        ${row('Rounds', ({ ram }) => formatCount(ram.dirtySyncCount))}
      </tbody>
    </table>`;
  }
}
customElements.define('lab-move', MoveDialog);
