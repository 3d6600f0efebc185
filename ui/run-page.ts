/** One recording: head, timeline, transport, events, console, registers. */
import { LitElement, type PropertyValues, css, html, nothing } from 'lit';
import { Subscription, debounceTime } from 'rxjs';
import './console-view.ts';
import './event-table.ts';
import './info-panel.ts';
import './register-panel.ts';
import './timeline.ts';
import { COMMANDS, type CommandTargets, belongsToControl } from './commands.ts';
import type { EventTable } from './event-table.ts';
import { describeEnd, formatCount, formatInstructions, formatNs } from './format.ts';
import { localLog, serverImageUrl, serverLogUrl } from './library.ts';
import { ModelController } from './model-controller.ts';
import { type Route, formatRoute } from './router.ts';
import { RunModel, failureOf } from './run-model.ts';
import { controls } from './styles.ts';
import type { Timeline } from './timeline.ts';

/** Instructions a second of real time at speed 1: the lab kernel's run in about half a minute. */
const PLAY_INSTRUCTIONS = 4_000_000;
const SPEEDS: readonly number[] = [0.01, 0.1, 1, 4, 16];
const ADDRESS_DELAY_MS = 300;

type RunRoute = Extract<Route, { kind: 'run' }>;

export class RunPage extends LitElement {
  static override properties = { route: { attribute: false }, model: { state: true }, speed: { state: true }, tab: { state: true } };
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        grid-template-rows: auto auto auto minmax(0, 1fr);
        gap: 0.6rem;
        height: 100%;
        min-height: 46rem;
        padding: 0.6rem 0.8rem 0.8rem;
      }
      .top {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.5rem 0.9rem;
        min-height: 2.4rem;
      }
      .back {
        color: var(--muted);
        text-decoration: none;
        font-weight: 500;
      }
      .back:hover {
        color: var(--text);
        text-decoration: underline;
      }
      h1 {
        font-size: 1.3rem;
        font-weight: 650;
        letter-spacing: -0.01em;
      }
      .command {
        flex: 1 1 8rem;
        min-width: 0;
        overflow: hidden;
        color: var(--muted);
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .verify {
        display: flex;
        align-items: center;
        gap: 0.6rem;
        min-width: 0;
      }
      .verify .badge {
        display: inline-block;
        max-width: 34rem;
        overflow: hidden;
        text-overflow: ellipsis;
      }
      progress {
        width: 8rem;
        accent-color: var(--accent);
      }
      .frame {
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--panel);
        overflow: hidden;
      }
      .transport {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.35rem 0.6rem;
      }
      .buttons {
        display: flex;
        gap: 0.25rem;
      }
      .transport label {
        display: flex;
        align-items: center;
        gap: 0.45rem;
        color: var(--muted);
      }
      .transport input {
        width: 11.5rem;
      }
      svg {
        width: 1.1rem;
        height: 1.1rem;
        fill: currentColor;
      }
      .event {
        flex: 1 1 12rem;
        min-width: 0;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .panels {
        display: grid;
        grid-template-columns: minmax(0, 1.5fr) minmax(0, 1fr) minmax(0, 0.85fr);
        grid-template-rows: minmax(0, 1fr);
        gap: 0.6rem;
        min-height: 0;
      }
      .side {
        display: grid;
        grid-template-rows: auto minmax(0, 1fr);
        gap: 0.4rem;
        min-width: 0;
        min-height: 0;
      }
      .tabs {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.3rem;
      }
      .tabs button[aria-selected='true'] {
        border-color: var(--accent);
        background: var(--accent-soft);
      }
      .side[data-tab='registers'] lab-info,
      .side[data-tab='recording'] lab-registers {
        display: none;
      }
      @media (min-width: 1800px) and (min-height: 900px) {
        .side {
          grid-template-rows: minmax(0, 1.35fr) minmax(0, 1fr);
          gap: 0.6rem;
        }
        .tabs {
          display: none;
        }
        .side[data-tab] lab-info,
        .side[data-tab] lab-registers {
          display: flex;
        }
      }
      .problem {
        align-self: start;
        justify-self: center;
        max-width: 44rem;
        margin-top: 3rem;
      }
      dialog {
        width: min(42rem, 92vw);
        padding: 1.2rem 1.4rem 1.4rem;
        border: 1px solid var(--line-strong);
        border-radius: var(--radius);
        background: var(--panel);
        color: var(--text);
      }
      dialog::backdrop {
        background: rgb(0 0 0 / 45%);
      }
      .sheet {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr));
        gap: 0.45rem 2rem;
        margin: 0.9rem 0 0;
      }
      .sheet div {
        display: flex;
        align-items: baseline;
        gap: 0.8rem;
      }
      .sheet dt {
        flex: none;
        width: 5.6rem;
      }
      .sheet dd {
        margin: 0;
      }
      .hint {
        margin-top: 1rem;
      }
      @media (max-width: 60rem) {
        :host {
          height: auto;
        }
        .panels {
          grid-template: none / minmax(0, 1fr);
        }
        .panels > * {
          grid-row: auto;
          height: 24rem;
        }
      }
    `,
  ];
  declare route: RunRoute | undefined;
  declare model: RunModel | undefined;
  declare speed: number;
  /** On small windows one of the two is shown. */
  declare tab: 'registers' | 'recording';
  private playing: { readonly from: number; readonly since: number } | undefined;
  private frame = 0;
  private following: Subscription | undefined;
  private openedAs = '';

  constructor() {
    super();
    this.speed = 1;
    this.tab = 'registers';
    new ModelController(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('keydown', this.onKey);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('keydown', this.onKey);
    this.pause();
    this.closeModel();
  }

  private closeModel(): void {
    this.following?.unsubscribe();
    this.model?.close();
    this.model = undefined;
    this.openedAs = '';
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const { route } = this;
    if (route === undefined || !changed.has('route')) return;
    const name = `${route.place} ${route.id}`;
    if (name !== this.openedAs) {
      this.closeModel();
      this.openedAs = name;
      void this.openRoute(route);
    } else if (route.at !== undefined && this.model?.isLoaded === true) {
      // The address was changed by hand: what this page writes there makes no new route.
      this.model.moveToPosition(route.at);
    }
  }

  private async openRoute(route: RunRoute): Promise<void> {
    const model = new RunModel();
    this.model = model;
    this.following = model.changes.pipe(debounceTime(ADDRESS_DELAY_MS)).subscribe(() => this.writeAddress(route));
    if (route.place === 'server') return model.open({ kind: 'url', url: serverLogUrl(route.id) }, serverImageUrl(), route.at);
    try {
      const bytes = await localLog(route.id);
      if (bytes === undefined) model.failure = { message: 'This browser does not keep such a recording', advice: 'it may have been deleted, or it was made in another browser: go back to the recordings' };
      else model.open({ kind: 'bytes', bytes }, serverImageUrl(), route.at);
    } catch (error) {
      model.failure = failureOf(error);
    }
    this.requestUpdate();
  }

  /** A link to this moment. */
  private writeAddress(route: RunRoute): void {
    const { model } = this;
    if (model?.isLoaded !== true || this.playing !== undefined) return;
    const address = formatRoute({ ...route, at: model.cursor.position });
    if (location.hash !== address) history.replaceState(history.state, '', address);
  }

  // ---- playing ----

  private readonly togglePlay = (): void => {
    if (this.playing !== undefined) this.pause();
    else this.play();
  };
  private play(): void {
    const { model } = this;
    if (model === undefined) return;
    const from = model.cursor.position >= model.lastPosition ? 0 : model.cursor.position;
    this.playing = { from, since: performance.now() };
    const tick = (): void => {
      if (this.playing === undefined) return;
      const position = this.playing.from + ((performance.now() - this.playing.since) / 1000) * PLAY_INSTRUCTIONS * this.speed;
      model.moveToPosition(position);
      if (position >= model.lastPosition) this.pause();
      else this.frame = requestAnimationFrame(tick);
    };
    tick();
    this.requestUpdate();
  }
  private pause(): void {
    cancelAnimationFrame(this.frame);
    this.playing = undefined;
    this.requestUpdate();
  }
  private readonly onSpeed = (event: Event): void => {
    this.speed = Number((event.target as HTMLSelectElement).value);
    if (this.playing !== undefined) this.playing = { from: this.model?.cursor.position ?? 0, since: performance.now() };
  };

  // ---- keys ----

  private targets(model: RunModel): CommandTargets {
    return {
      model,
      timeline: this.renderRoot.querySelector<Timeline>('lab-timeline') ?? undefined,
      table: this.renderRoot.querySelector<EventTable>('lab-event-table') ?? undefined,
      togglePlay: this.togglePlay,
      focusPosition: () => this.renderRoot.querySelector<HTMLInputElement>('#position')?.select(),
      toggleHelp: this.toggleHelp,
    };
  }
  private readonly onKey = (event: KeyboardEvent): void => {
    if (this.model?.isLoaded !== true || belongsToControl(event)) return;
    const isHelpOpen = this.renderRoot.querySelector('dialog')?.open === true;
    const command = COMMANDS.find((each) => each.matches(event));
    if (command === undefined || (isHelpOpen && !command.keys.includes('?'))) return;
    event.preventDefault();
    if (!command.keys.includes('Space')) this.pause();
    command.run(this.targets(this.model));
  };
  private readonly toggleHelp = (): void => {
    const dialog = this.renderRoot.querySelector('dialog');
    if (dialog?.open === true) dialog.close();
    else dialog?.showModal();
  };

  // ---- view ----

  protected override render(): unknown {
    const { model } = this;
    const summary = model?.summary;
    if (model?.failure !== undefined && summary === undefined) {
      return html`<div class="top"><a class="back" href="#/">← Recordings</a></div>
        <div class="notice bad problem" role="alert"><strong>${model.failure.message}</strong><span>${model.failure.advice}.</span><span><a class="button" href="#/">Show the recordings</a></span></div>`;
    }
    const end = describeEnd(summary?.end);
    return html`<div class="top">
        <a class="back" href="#/">← Recordings</a>
        <h1 data-testid="guest">${summary?.guest ?? 'Opening…'}</h1>
        ${summary === undefined ? nothing : html`<span class="badge ${end.tone}">${end.text}</span>`}
        <code class="command" title=${summary?.commandLine ?? ''}>${summary?.commandLine ?? ''}</code>
        ${this.verification()}
        <button class="icon" aria-label="Keys" title="Keys (?)" @click=${this.toggleHelp}>?</button>
      </div>
      <div class="frame"><lab-timeline .model=${model}></lab-timeline></div>
      ${this.transport()}
      <div class="panels">
        <lab-event-table .model=${model}></lab-event-table>
        <lab-console .model=${model}></lab-console>
        <div class="side" data-tab=${this.tab}>
          <div class="tabs" role="tablist" aria-label="Beside the console">${this.tabButton('registers', 'Registers')}${this.tabButton('recording', 'Recording')}</div>
          <lab-registers .model=${model}></lab-registers>
          <lab-info .model=${model}></lab-info>
        </div>
      </div>
      ${this.keySheet()}`;
  }

  private verification(): unknown {
    const view = this.model?.verification ?? { kind: 'none' as const };
    // Not disabled while it runs: a disabled button that has the focus swallows the keys of the page.
    const button = html`<button class="primary" data-testid="verify" ?disabled=${this.model?.isLoaded !== true} aria-disabled=${view.kind === 'running' ? 'true' : 'false'} title="Runs the recording again in this page and compares every event and the state (V)" @click=${() => this.model?.verify()}>
      Replay and verify
    </button>`;
    switch (view.kind) {
      case 'none':
        return html`<div class="verify" data-testid="verify-result" data-outcome="none">${button}</div>`;
      case 'running':
        return html`<div class="verify" data-testid="verify-result" data-outcome="running"><progress max="1" .value=${view.share} aria-label="Replaying"></progress>${button}</div>`;
      case 'failed':
        return html`<div class="verify" data-testid="verify-result" data-outcome="failed">
          <span class="badge bad" role="status" title="${view.failure.message}: ${view.failure.advice}">not replayed: ${view.failure.message}</span>${button}
        </div>`;
      case 'done': {
        const { outcome } = view;
        if (outcome.kind === 'identical') {
          return html`<div class="verify" data-testid="verify-result" data-outcome="identical" data-digest=${outcome.digest} data-position=${outcome.position} data-records=${outcome.records}>
            <span class="badge good" role="status" title="${formatCount(outcome.records)} events and the state at the end are the same${outcome.complete ? '' : '; the log was cut off'}. State ${outcome.digest}"
              >✓ identical${outcome.complete ? '' : ' up to the cut'} <code>${outcome.digest.slice(0, 12)}</code></span
            >${button}
          </div>`;
        }
        return html`<div class="verify" data-testid="verify-result" data-outcome="diverged" data-position=${outcome.position} data-expected=${outcome.expected} data-actual=${outcome.actual}>
          <span class="badge bad" role="status" title=${`expected: ${outcome.expected}\nactual: ${outcome.actual}`}>✗ diverged at @${formatCount(outcome.position)}</span>
          <button @click=${() => this.model?.moveToRow(outcome.row)}>Go there</button>${button}
        </div>`;
      }
    }
  }

  private transport(): unknown {
    const { model } = this;
    const cursor = model?.cursor ?? { row: 0, position: 0 };
    const text = model?.text(cursor.row);
    const isOff = model?.isLoaded !== true;
    const step = (label: string, path: string, action: () => void): unknown =>
      html`<button class="icon" aria-label=${label} title=${label} ?disabled=${isOff} @click=${action}><svg viewBox="0 0 16 16" aria-hidden="true"><path d=${path} /></svg></button>`;
    const isPlaying = this.playing !== undefined;
    return html`<div class="transport" role="group" aria-label="Cursor">
      <div class="buttons">
        ${step('Start (Home)', 'M3 3h2v10H3zM13 3v10L6 8z', () => model?.moveToRow(0))}
        ${step('Previous event (←)', 'M11 3v10L4 8z', () => model?.moveToShown(-1))}
        ${step(isPlaying ? 'Pause (Space)' : 'Play (Space)', isPlaying ? 'M4 3h3v10H4zM9 3h3v10H9z' : 'M4 2.5v11L13 8z', this.togglePlay)}
        ${step('Next event (→)', 'M5 3v10l7-5z', () => model?.moveToShown(1))}
        ${step('End (End)', 'M11 3h2v10h-2zM3 3v10l7-5z', () => model?.moveToRow((model?.count ?? 1) - 1))}
      </div>
      <label>Speed <select @change=${this.onSpeed} aria-label="Playing speed, instructions a second">
        ${SPEEDS.map((speed) => html`<option value=${speed} ?selected=${speed === this.speed}>${formatInstructions(speed * PLAY_INSTRUCTIONS)}/s</option>`)}
      </select></label>
      <label>Position <input id="position" class="mono" data-testid="position" inputmode="numeric" spellcheck="false" .value=${`@${formatCount(cursor.position)}`} ?disabled=${isOff} @change=${this.onPosition} @keydown=${this.onPositionKey} /></label>
      <span class="muted">event #${formatCount(cursor.row)} of ${formatCount(model?.count ?? 0)}${text === undefined ? '' : html`, ${formatNs(text.timeNs)}`}</span>
      <code class="event" aria-live="polite" data-testid="cursor-event">${text?.text ?? ''}</code>
    </div>`;
  }

  private readonly onPosition = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    const digits = input.value.replace(/[@,_\s]/g, '');
    if (/^\d{1,16}$/.test(digits)) this.model?.moveToPosition(Number(digits));
    input.value = `@${formatCount(this.model?.cursor.position ?? 0)}`;
  };
  private readonly onPositionKey = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' || event.key === 'Escape') (event.target as HTMLElement).blur();
  };

  private tabButton(tab: 'registers' | 'recording', label: string): unknown {
    return html`<button role="tab" aria-selected=${this.tab === tab ? 'true' : 'false'} data-testid="tab-${tab}" @click=${() => (this.tab = tab)}>${label}</button>`;
  }

  private keySheet(): unknown {
    return html`<dialog aria-labelledby="keys">
      <div class="spread"><h1 id="keys">Keys</h1><span class="grow"></span><button @click=${this.toggleHelp}>Close</button></div>
      <dl class="sheet">
        ${COMMANDS.map(
          ({ keys, title }) =>
            html`<div><dt>${keys.map((name) => html`<kbd>${name}</kbd> `)}</dt><dd>${title}</dd></div>`,
        )}
      </dl>
      <p class="muted hint">Drag on the timeline to move the cursor, turn the wheel to zoom, hold Shift to move the window.</p>
    </dialog>`;
  }
}
customElements.define('lab-run', RunPage);
