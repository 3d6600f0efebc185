/** One recording: head, timeline, transport, events, console, registers. */
import { LitElement, type PropertyValues, css, html, nothing } from 'lit';
import { Subject, Subscription, debounceTime, merge } from 'rxjs';
import './console-view.ts';
import './event-table.ts';
import './recording-nav.ts';
import './timeline.ts';
import type { CommandPalette } from './command-palette.ts';
import { COMMANDS, COMMAND_GROUPS, type CommandTargets, belongsToControl } from './commands.ts';
import { delay } from './after-paint.ts';
import { takeEarly } from './early-log.ts';
import type { EventTable } from './event-table.ts';
import { describeEnd, formatCount, formatInstructions, formatNs, isGuestFailure } from './format.ts';
import { ALL_KINDS } from './kinds.ts';
import { ModelController } from './model-controller.ts';
import { type Route, type RunView, formatRoute } from './router.ts';
import { failureOf } from './engine-client.ts';
import { RunModel } from './run-model.ts';
import { serverImageUrl, serverLogUrl } from './server-urls.ts';
import { heldImages } from './standalone/held.ts';
import { controls, dialogs } from './styles.ts';
import { nextTheme } from './theme.ts';
import type { Timeline } from './timeline.ts';

/** Instructions a second of real time; at 4 million the lab kernel's run takes about half a minute. */
const SPEEDS: readonly number[] = [1, 10, 100, 1000, 40_000, 400_000, 4_000_000, 16_000_000, 64_000_000];
const DEFAULT_SPEED = 4_000_000;
const ADDRESS_DELAY_MS = 300;
/** The longest that the other panels wait for what is seen first. */
const PANELS_MS = 1500;

type RunRoute = Extract<Route, { kind: 'run' }>;

const PANELS = [
  ['registers', 'Registers'], ['stack', 'Stack'], ['memory', 'Memory'], ['paging', 'Pages'], ['devices', 'Devices'], ['points', 'Points'], ['origin', 'Origin'], ['notes', 'Notes'], ['recording', 'Recording'],
] as const; // prettier-ignore
type PanelName = (typeof PANELS)[number][0];

export class RunPage extends LitElement {
  static override properties = { route: { attribute: false }, model: { state: true }, speed: { state: true }, tab: { state: true } };
  static override styles = [
    controls,
    dialogs,
    css`
      :host {
        display: grid;
        grid-template: auto auto auto minmax(0, 1fr) / minmax(0, 1fr);
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
      .why {
        margin-left: -0.2rem;
        color: var(--accent);
        font-weight: 550;
      }
      .command {
        flex: 1 1 0;
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
      .tracks {
        max-height: 42vh;
        overflow-y: auto;
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
      /* As wide as what takes turns here: nothing beside it moves. */
      .more {
        display: flex;
        flex: none;
        align-items: center;
        gap: 0.35rem 0.6rem;
        min-width: 19rem;
      }
      .more progress {
        flex: 1 1 4rem;
        width: 4rem;
      }
      .more .verify {
        flex: 1;
      }
      .where,
      .event {
        min-width: 0;
        overflow: hidden;
        font-variant-numeric: tabular-nums;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .event {
        flex: 1 1 0;
      }
      @media (min-width: 1200px) {
        .top,
        .transport {
          flex-wrap: nowrap;
        }
      }
      .panels {
        display: grid;
        grid-template-columns: minmax(0, 1fr) minmax(0, 1.15fr) minmax(0, 1fr);
        grid-template-rows: minmax(0, 1fr);
        gap: 0.6rem;
        min-height: 0;
      }
      .log {
        display: grid;
        grid-template-rows: minmax(0, 1.2fr) minmax(0, 1fr);
        gap: 0.6rem;
        min-width: 0;
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
        display: flex;
        flex-wrap: wrap;
        gap: 0.25rem;
      }
      .tabs button {
        flex: 1 1 auto;
        min-height: 1.9rem;
        padding: 0 0.5rem;
        font-size: 0.88rem;
      }
      .tabs button[aria-selected='true'] {
        border-color: var(--accent);
        background: var(--accent-soft);
      }
      .tabpanel {
        display: grid;
        min-width: 0;
        min-height: 0;
      }
      .always {
        display: none;
      }
      /* They come when what is read from the log alone has been drawn. */
      :is(lab-code, lab-registers):not(:defined) {
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--panel);
      }
      /* Where there is room, registers are always there. */
      @media (min-width: 1800px) and (min-height: 900px) {
        .panels {
          grid-template-columns: minmax(0, 1fr) minmax(0, 1.2fr) minmax(0, 0.8fr) minmax(0, 1fr);
        }
        .always {
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
        width: min(72rem, 94vw);
      }
      .sheet {
        columns: 17rem 3;
        column-gap: 2rem;
        margin: 0.9rem 0 0;
        font-size: 0.93rem;
      }
      .sheet section {
        padding-bottom: 0.9rem;
        break-inside: avoid;
      }
      .sheet h2 {
        margin: 0 0 0.35rem;
        color: var(--muted);
        font-size: 0.88rem;
      }
      .sheet dl {
        display: grid;
        gap: 0.2rem;
        margin: 0;
      }
      .sheet div {
        display: flex;
        align-items: baseline;
        gap: 0.8rem;
      }
      .sheet dt {
        flex: none;
        width: 5.4rem;
      }
      .sheet dd {
        margin: 0;
      }
      .hint {
        margin-top: 0.2rem;
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
          height: 28rem;
        }
        .panels > .log {
          height: 44rem;
        }
      }
    `,
  ];
  declare route: RunRoute | undefined;
  declare model: RunModel | undefined;
  declare speed: number;
  /** The panel that is in front. */
  declare tab: PanelName;
  private playing: { readonly from: number; readonly since: number } | undefined;
  private frame = 0;
  /** Made when it is first opened. */
  private hasKeySheet = false;
  private following: Subscription | undefined;
  private openedAs = '';
  /** What the link asked for besides the position; not shown yet. */
  private asked: RunView | undefined;
  /** The timeline or the panel in front is another. */
  private readonly views = new Subject<void>();

  constructor() {
    super();
    this.speed = DEFAULT_SPEED;
    this.tab = 'registers';
    this.addEventListener('show-panel', this.onShowPanel);
    new ModelController(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('keydown', this.onKey);
    this.wide.addEventListener('change', this.onWide);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('keydown', this.onKey);
    this.wide.removeEventListener('change', this.onWide);
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
    if (changed.has('tab')) this.views.next();
    if (route === undefined || !changed.has('route')) return;
    const name = `${route.place} ${route.id}`;
    if (name !== this.openedAs) {
      this.closeModel();
      this.openedAs = name;
      void this.openRoute(route);
    } else if (route.at !== undefined && this.model?.isLoaded === true) {
      // The address was changed by hand: what this page writes there makes no new route.
      this.model.jumpToPosition(route.at);
    }
  }

  private async openRoute(route: RunRoute): Promise<void> {
    const url = route.place === 'server' ? serverLogUrl(route.id) : undefined;
    const early = url === undefined ? undefined : takeEarly(url);
    const model = new RunModel(early?.client);
    model.onServer = route.place === 'server' ? route.id : undefined;
    this.model = model;
    this.asked = route.view;
    // What is not seen at first comes after what is.
    void Promise.race([model.firstDrawn, delay(PANELS_MS)]).then(() => import('./run-panels.ts'));
    const panel = PANELS.find(([name]) => name === route.view?.panel);
    if (panel !== undefined) [this.tab] = panel;
    this.following = merge(model.changes, this.views).pipe(debounceTime(ADDRESS_DELAY_MS)).subscribe(() => this.writeAddress(route));
    if (url !== undefined) return model.open({ kind: 'url', url }, serverImageUrl(), route.at, early);
    try {
      const { localBlob } = await import('./library.ts');
      const blob = await localBlob(route.id);
      if (blob === undefined) model.failure = { message: 'This browser does not keep such a recording', advice: 'it may have been deleted, or it was made in another browser: go back to the recordings' };
      else model.open({ kind: 'blob', blob }, serverImageUrl(), route.at);
      for (const image of heldImages()) await model.giveImage(image);
    } catch (error) {
      model.failure = failureOf(error);
    }
    this.requestUpdate();
  }

  /** A link to this moment. */
  private writeAddress(route: RunRoute): void {
    const { model } = this;
    if (model?.isLoaded !== true || this.playing !== undefined) return;
    if (this.asked !== undefined) {
      // What the link asked for can be shown now.
      const { window, filter, kinds } = this.asked;
      this.asked = undefined;
      if (filter !== undefined || kinds !== undefined) model.setFilter((kinds ?? ALL_KINDS) & ALL_KINDS, filter ?? '');
      if (window !== undefined) this.renderRoot.querySelector<Timeline>('lab-timeline')!.window = window;
    }
    const window = this.renderRoot.querySelector<Timeline>('lab-timeline')?.window;
    const { text, kinds } = model.filter;
    const view: RunView = { ...(window === undefined ? {} : { window }), ...(this.tab === 'registers' ? {} : { panel: this.tab }), ...(text.trim() === '' ? {} : { filter: text }), ...(kinds === ALL_KINDS ? {} : { kinds }) };
    const address = formatRoute({ ...route, at: model.cursor.position, view });
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
      const position = this.playing.from + ((performance.now() - this.playing.since) / 1000) * this.speed;
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
      toggleHelp: () => void this.toggleHelp(),
      nextTheme,
      showPanel: (panel, at) => void this.showPanel(panel, at),
      openPalette: () => this.palette?.open?.(),
    };
  }
  private get palette(): CommandPalette | undefined {
    return this.renderRoot.querySelector<CommandPalette>('lab-palette') ?? undefined;
  }
  private readonly onShowPanel = (event: Event): void => {
    const { panel, at } = (event as CustomEvent<{ panel: string; at: string | undefined }>).detail;
    void this.showPanel(panel, at);
  };
  private async showPanel(panel: string, at: string | undefined): Promise<void> {
    const known = PANELS.find(([name]) => name === panel);
    if (known === undefined) return;
    [this.tab] = known;
    if (at === undefined) return;
    await this.updateComplete;
    const shown = this.renderRoot.querySelector('.tabpanel > *') as (HTMLElement & { showAt?(at: string): void }) | null;
    shown?.showAt?.(at);
  }
  private readonly onKey = (event: KeyboardEvent): void => {
    if (this.model?.isLoaded !== true || belongsToControl(event) || this.palette?.isOpen === true) return;
    const isHelpOpen = this.renderRoot.querySelector('dialog')?.open === true;
    const command = COMMANDS.find((each) => each.matches(event));
    if (command === undefined || (isHelpOpen && !command.keys.includes('?'))) return;
    event.preventDefault();
    if (!command.keys.includes('Space')) this.pause();
    command.run(this.targets(this.model));
  };
  private readonly toggleHelp = async (): Promise<void> => {
    if (!this.hasKeySheet) {
      this.hasKeySheet = true;
      this.requestUpdate();
      await this.updateComplete;
    }
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
        ${this.why(summary?.end)}
        <code class="command" title=${summary?.commandLine ?? ''}>${summary?.commandLine ?? ''}</code>
        ${this.route === undefined ? nothing : html`<lab-recording-nav current="run" .recording=${{ place: this.route.place, id: this.route.id }}></lab-recording-nav>`}
        ${this.verification()}
        <button class="icon" aria-label="Keys" title="Keys (?)" @click=${this.toggleHelp}>?</button>
      </div>
      <div class="frame tracks"><lab-timeline .model=${model} @view-changed=${() => this.views.next()}></lab-timeline></div>
      ${this.transport()}
      <div class="panels">
        <div class="log">
          <lab-event-table .model=${model}></lab-event-table>
          <lab-console .model=${model}></lab-console>
        </div>
        <lab-code .model=${model}></lab-code>
        ${this.isWide ? html`<lab-registers class="always" .model=${model}></lab-registers>` : nothing}
        <div class="side">
          <div class="tabs" role="tablist" aria-label="About the moment" @keydown=${this.onTabKey}>${PANELS.filter(([name]) => !(this.isWide && name === 'registers')).map(([name, label]) => this.tabButton(name, label))}</div>
          <div class="tabpanel" role="tabpanel" aria-labelledby="tab-${this.shownTab}">${this.panel(this.shownTab, model)}</div>
        </div>
      </div>
      <lab-palette .targets=${() => (this.model === undefined ? undefined : this.targets(this.model))}></lab-palette>
      ${this.hasKeySheet ? this.keySheet() : nothing}`;
  }

  /** To where a failure begins, for who does not know that bisecting finds it. */
  private why(end: Parameters<typeof isGuestFailure>[0]): unknown {
    if (this.route === undefined || !isGuestFailure(end)) return nothing;
    const { place, id } = this.route;
    return html`<a class="why" data-testid="why" href=${formatRoute({ kind: 'analysis', page: 'bisect', place, id, query: { question: 'panic' } })} title="Finds the instruction at which the kernel panics, and who called it">Why?</a>`;
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
    const text = model?.cursor.text;
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
        ${SPEEDS.map((speed) => html`<option value=${speed} ?selected=${speed === this.speed}>${formatInstructions(speed)}/s</option>`)}
      </select></label>
      <label>Position <input id="position" class="mono" data-testid="position" inputmode="numeric" spellcheck="false" .value=${`@${formatCount(cursor.position)}`} ?disabled=${isOff} @change=${this.onPosition} @keydown=${this.onPositionKey} /></label>
      <span class="more">${this.folding() ?? this.moreTracks()}</span>
      <span class="muted where">event #${formatCount(cursor.row)} of ${formatCount(model?.count ?? 0)}${text === undefined ? '' : html`, ${formatNs(text.timeNs)}`}</span>
      <code class="event" aria-live="polite" data-testid="cursor-event">${text?.text ?? ''}</code>
    </div>`;
  }

  /** The one reading of all events: seen only where it takes a while, in place of the tracks that need it. */
  private folding(): unknown {
    const { model } = this;
    if (model?.isLoaded !== true || model.fold.kind === 'done') return undefined;
    const { kind, records } = model.fold;
    const share = model.count === 0 ? 1 : records / model.count;
    if (kind === 'running' && records === 0) return undefined;
    return html`<span class="verify" data-testid="fold" title="The counts of the timeline come from one reading of all events. Everything else works meanwhile">
      <progress max="1" .value=${share} aria-label="Reading events for the timeline"></progress><span class="muted">${Math.floor(share * 100)} % read</span>
      ${kind === 'running' ? html`<button @click=${() => model.stopFold()}>Stop</button>` : html`<button @click=${() => model.startFold()}>Read on</button>`}
    </span>`;
  }

  /** Tracks that are made when they are asked for. */
  private moreTracks(): unknown {
    const { model } = this;
    if (model?.isLoaded !== true) return nothing;
    const { tasks, costs } = model;
    return html`${tasks.kind === 'busy'
        ? html`<span class="verify"><progress max="1" .value=${tasks.share} aria-label="Looking for tasks"></progress><button @click=${() => model.stopTasks()}>Stop</button></span>`
        : tasks.kind === 'known'
          ? nothing
          : html`<button data-testid="find-tasks" ?disabled=${tasks.kind === 'unknown'} title=${tasks.kind === 'unknown' ? 'Nothing tells which task of this guest runs: its kernel has no symbols' : 'Replays the recording and shows which task runs when'} @click=${() => model.findTasks()}>
              ${tasks.kind === 'unknown' ? 'No tasks' : 'Tasks'}
            </button>`}
      <label>Cost <select data-testid="cost-of" aria-label="Cost of a technique over the run" @change=${(event: Event) => model.showCosts((event.target as HTMLSelectElement).value || undefined)}>
        <option value="">none</option>
        ${model.regimes.map(({ id, title }) => html`<option value=${id} title=${title} ?selected=${costs.kind === 'known' && costs.costs.regime === id}>${id}</option>`)}
      </select></label>
      ${costs.kind === 'busy' ? html`<progress max="1" .value=${costs.share} aria-label="Adding up costs"></progress>` : nothing}`;
  }

  private readonly onPosition = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    const digits = input.value.replace(/[@,_\s]/g, '');
    if (/^\d{1,16}$/.test(digits)) this.model?.jumpToPosition(Number(digits));
    input.value = `@${formatCount(this.model?.cursor.position ?? 0)}`;
  };
  private readonly onPositionKey = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' || event.key === 'Escape') (event.target as HTMLElement).blur();
  };

  private readonly wide = matchMedia('(min-width: 1800px) and (min-height: 900px)');
  private readonly onWide = (): void => this.requestUpdate();
  private get isWide(): boolean {
    return this.wide.matches;
  }
  private get shownTab(): PanelName {
    return this.isWide && this.tab === 'registers' ? 'memory' : this.tab;
  }

  private tabButton(tab: PanelName, label: string): unknown {
    const isShown = this.shownTab === tab;
    return html`<button role="tab" id="tab-${tab}" tabindex=${isShown ? '0' : '-1'} aria-selected=${isShown ? 'true' : 'false'} data-testid="tab-${tab}" @click=${() => (this.tab = tab)}>${label}</button>`;
  }
  private readonly onTabKey = (event: KeyboardEvent): void => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (by === 0 || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    const tabs = [...this.renderRoot.querySelectorAll<HTMLElement>('[role=tab]')];
    const next = tabs[(tabs.findIndex((tab) => tab.ariaSelected === 'true') + by + tabs.length) % tabs.length];
    next?.click();
    next?.focus();
  };

  private panel(tab: PanelName, model: RunModel | undefined): unknown {
    switch (tab) {
      case 'registers':
        return html`<lab-registers .model=${model}></lab-registers>`;
      case 'stack':
        return html`<lab-stack .model=${model}></lab-stack>`;
      case 'memory':
        return html`<lab-memory .model=${model}></lab-memory>`;
      case 'paging':
        return html`<lab-paging .model=${model}></lab-paging>`;
      case 'devices':
        return html`<lab-devices .model=${model}></lab-devices>`;
      case 'points':
        return html`<lab-points .model=${model}></lab-points>`;
      case 'origin':
        return html`<lab-origin .model=${model}></lab-origin>`;
      case 'notes':
        return html`<lab-notes .model=${model}></lab-notes>`;
      case 'recording':
        return html`<lab-info .model=${model}></lab-info>`;
      default:
        return tab satisfies never;
    }
  }

  private keySheet(): unknown {
    return html`<dialog class="keys" aria-labelledby="keys">
      <div class="spread"><h1 id="keys">Keys</h1><span class="grow"></span><button @click=${this.toggleHelp}>Close</button></div>
      <div class="sheet">
        ${COMMAND_GROUPS.map(
          ({ title: group, commands }) =>
            html`<section><h2>${group}</h2><dl>${commands.map(({ keys, title }) => html`<div><dt>${keys.map((name) => html`<kbd>${name}</kbd> `)}</dt><dd>${title}</dd></div>`)}</dl></section>`,
        )}
      </div>
      <p class="muted hint">Drag on the timeline to move the cursor, turn the wheel to zoom, hold Shift to move the window. Over the code the wheel walks: down is forward, up is back.</p>
    </dialog>`;
  }
}
customElements.define('lab-run', RunPage);
