/** What a live migration of the recorded guest would cost: what it writes, one migration round by round, and many as a table. */
import { css, html, nothing } from 'lit';
import './charts/dirty-chart.ts';
import './charts/rounds-chart.ts';
import { namedPolicies } from '../engine/analysis/migration/policy.ts';
import type { Prediction, Range } from '../engine/analysis/migration/predict.ts';
import type { TableCell } from '../engine/analysis/migration/table.ts';
import type { DirtAnswer } from '../engine/protocol/analysis.ts';
import type { AnalysisClient } from './analysis-client.ts';
import { AnalysisPage, PAGE_PROPERTIES } from './analysis-page.ts';
import { analysis } from './analysis-styles.ts';
import { formatBytes, formatCount, formatNs } from './format.ts';
import { formatBandwidth, formatShare, formatWall } from './quantities.ts';
import { controls, panels } from './styles.ts';

const POLICIES = [...namedPolicies(300, 0).keys()];
const MBIT = 125_000;
const DEFAULTS = { policy: 'qemu-7.2', mbit: 1000, downtimeMs: 300, startPercent: 0 } as const;
/** Axes of Gudkov's table (qemu-devel, 2023). */
const TABLE_MBIT = [100, 1000, 2000, 2500, 5000, 10_000, 25_000, 40_000];
const TABLE_DOWNTIMES_MS = [125, 250, 500, 1000, 5000];

export class MigrationPage extends AnalysisPage {
  static override properties = { ...PAGE_PROPERTIES, dirt: { state: true }, prediction: { state: true }, cells: { state: true } };
  static override styles = [
    controls,
    panels,
    analysis,
    css`
      td.cell {
        padding: 0.4rem 0.7rem;
        border: 1px solid var(--line);
        text-align: center;
      }
      td.cell button {
        display: grid;
        gap: 0.2rem;
        width: 100%;
        min-height: 3rem;
        border-color: transparent;
        background: transparent;
      }
      td.good {
        background: var(--good-soft);
      }
      td.warn {
        background: var(--warn-soft);
      }
      td.bad {
        background: var(--bad-soft);
      }
      td.good span {
        color: var(--good);
      }
      td.warn span {
        color: var(--warn);
      }
      td.bad span {
        color: var(--bad);
      }
      td small {
        color: var(--text);
        font-size: 0.82rem;
      }
      .verdict {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.5rem 1rem;
        margin-bottom: 0.6rem;
      }
      .verdict strong {
        font-size: 1.15rem;
      }
      form input[type='number'] {
        width: 8rem;
      }
      form input[type='range'] {
        width: 14rem;
        padding: 0;
        accent-color: var(--accent);
      }
    `,
  ];
  declare dirt: DirtAnswer | undefined;
  declare prediction: Prediction | undefined;
  declare cells: readonly TableCell[];
  /** What the worker that has folded it is known by. */
  private folded: { readonly client: AnalysisClient; readonly generation: number; readonly from: DirtAnswer['from'] } | undefined;
  protected readonly heading = 'Migration';
  protected readonly purpose = 'What a live migration of this guest would cost, from what it writes: rounds, bytes, total time, downtime, and whether it converges.';

  constructor() {
    super();
    this.cells = [];
  }

  private get from(): DirtAnswer['from'] {
    return this.query['from'] === 'replay' ? 'replay' : 'log';
  }
  private number(name: string, otherwise: number, max: number): number {
    const value = Number(this.query[name] ?? otherwise);
    return value >= 0 && value <= max ? value : otherwise;
  }
  private get settings(): { readonly policy: string; readonly mbit: number; readonly downtimeMs: number; readonly startPercent: number } {
    const policy = this.query['policy'] ?? DEFAULTS.policy;
    return {
      policy: POLICIES.includes(policy) ? policy : DEFAULTS.policy,
      mbit: this.number('mbit', DEFAULTS.mbit, 1e6) || DEFAULTS.mbit,
      downtimeMs: this.number('downtime', DEFAULTS.downtimeMs, 1e7) || DEFAULTS.downtimeMs,
      startPercent: this.number('start', DEFAULTS.startPercent, 100),
    };
  }
  private startNs({ beginNs, endNs }: DirtAnswer): number {
    return beginNs + ((endNs - beginNs) * this.settings.startPercent) / 100;
  }

  protected start(): void {
    void this.ask('Reading what the guest writes', async (client, onReply) => {
      const dirt = await this.fold(client, onReply);
      const { policy, mbit, downtimeMs } = this.settings;
      const asked = { policy, bytesPerSecond: mbit * MBIT, downtimeLimitMs: downtimeMs, startNs: this.startNs(dirt) };
      this.prediction = (await client.ask({ kind: 'migrate', asked }, 'migrated', onReply)).prediction;
    });
  }

  /** Once for each worker: one that was given up has forgotten it. */
  private async fold(client: AnalysisClient, onReply: Parameters<Parameters<MigrationPage['ask']>[1]>[1]): Promise<DirtAnswer> {
    const { from, folded, dirt } = this;
    if (dirt !== undefined && folded?.client === client && folded.generation === client.generation && folded.from === from) return dirt;
    await client.open();
    const { generation } = client;
    const answer = (await client.ask({ kind: 'dirt', from }, 'dirt', onReply)).dirt;
    this.folded = { client, generation, from };
    this.dirt = answer;
    return answer;
  }

  private change(changes: Readonly<Record<string, string>>): void {
    this.set(changes);
    if (!('mbit' in changes) && !('downtime' in changes)) this.cells = [];
    this.start();
  }

  private readonly workOutTable = (): void => {
    this.cells = [];
    void this.ask('Simulating', async (client, onReply) => {
      const dirt = await this.fold(client, onReply);
      const asked = { policy: this.settings.policy, startNs: this.startNs(dirt), bytesPerSecond: TABLE_MBIT.map((each) => each * MBIT), downtimeLimitMs: TABLE_DOWNTIMES_MS };
      await client.ask({ kind: 'table', asked }, 'table', (reply) => {
        if (reply.kind === 'cell') this.cells = [...this.cells, reply.cell];
        else onReply(reply);
      });
    });
  };

  protected content(): unknown {
    const { dirt, prediction } = this;
    return html`${this.form(dirt)}
      ${dirt === undefined
        ? nothing
        : html`<section class="panel" aria-label="What the guest writes"><header><h2>What the guest writes</h2></header><div class="body">
            <lab-dirty-chart .curve=${dirt.curve} .heat=${dirt.heat} .pages=${dirt.pages} .marks=${dirt.marks} .endNs=${dirt.endNs} .startNs=${this.startNs(dirt)} .stops=${this.stops(dirt)}></lab-dirty-chart>
            <p class="muted">Above: distinct pages a second. Below: where in memory (darker or lighter with more first writes). ${formatCount(dirt.pagesWritten)} of ${formatCount(dirt.pages)} pages are written at all; instructions run in ${formatShare(dirt.busyShare)} of ${formatNs(Math.round(dirt.endNs - dirt.beginNs))}.
              The line in full colour is the start; thin lines are syncs, dotted ones marks.</p>
            ${dirt.notes.length === 0 ? nothing : html`<ul class="notes">${dirt.notes.map((each) => html`<li>${each}</li>`)}</ul>`}
          </div></section>
          ${prediction === undefined ? nothing : this.single(prediction)} ${this.table()}`}`;
  }

  /** Syncs before the recording ends; what comes after is a repetition. */
  private stops({ endNs }: DirtAnswer): number[] {
    return (this.prediction?.outcome.rounds ?? []).map(({ virtualNs }) => virtualNs).filter((ns) => ns <= endNs).slice(0, 64);
  }

  private form(dirt: DirtAnswer | undefined): unknown {
    const { policy, mbit, downtimeMs, startPercent } = this.settings;
    const value = (event: Event): string => (event.target as HTMLInputElement | HTMLSelectElement).value;
    return html`<section class="panel" aria-label="Settings"><div class="body"><form @submit=${(event: Event) => event.preventDefault()}>
      <label class="field">Policy<select data-testid="policy" @change=${(event: Event) => this.change({ policy: value(event) })}>${POLICIES.map((name) => html`<option ?selected=${name === policy}>${name}</option>`)}</select></label>
      <label class="field">Bandwidth, Mbit/s<input type="number" min="1" max="1000000" step="any" data-testid="mbit" .value=${String(mbit)} @change=${(event: Event) => this.change({ mbit: value(event) })} /></label>
      <label class="field">Downtime limit, ms<input type="number" min="1" max="10000000" step="any" data-testid="downtime" .value=${String(downtimeMs)} @change=${(event: Event) => this.change({ downtime: value(event) })} /></label>
      <label class="field">Start${dirt === undefined ? '' : `: ${formatNs(Math.round(this.startNs(dirt)))} (${startPercent} %)`}<input type="range" min="0" max="99" step="1" .value=${String(startPercent)} @change=${(event: Event) => this.change({ start: value(event) === '0' ? '' : value(event) })} /></label>
      <label class="field">Known from<select @change=${(event: Event) => this.change({ from: value(event) === 'log' ? '' : value(event) })}>
        <option value="log" ?selected=${this.from === 'log'}>the log</option><option value="replay" ?selected=${this.from === 'replay'}>a replay: reads and contents too</option></select></label>
    </form></div></section>`;
  }

  private single({ outcome, totalTimeMs, downtimeMs, transferred, syncs, convergesShare, isUnstable, samples }: Prediction): unknown {
    const range = ({ p5, p95 }: Range, text: (value: number) => string): string => (text(p5) === text(p95) ? '' : ` (${text(p5)} to ${text(p95)})`);
    const { ram } = outcome;
    const tone = isUnstable ? 'warn' : outcome.converges ? 'good' : 'bad';
    return html`<section class="panel" aria-label="One migration"><header><h2>One migration: ${outcome.policy}</h2></header><div class="body">
      <div class="verdict" data-testid="verdict" data-converges=${outcome.converges}><strong class="badge ${tone}">${outcome.converges ? 'converges' : 'does not converge'}${isUnstable ? `, unstable: ${formatShare(convergesShare)} of the samples do` : ''}</strong><span>${outcome.reason}</span><span class="badge">${outcome.exactness}</span></div>
      <div class="columns"><dl class="facts">
        <dt>total time</dt><dd data-testid="total">${formatWall(outcome.totalTimeMs)}${range(totalTimeMs, formatWall)}</dd>
        <dt>downtime</dt><dd data-testid="down">${formatWall(outcome.downtimeMs)}${range(downtimeMs, formatWall)}</dd>
        <dt>transferred</dt><dd>${formatBytes(ram.transferred)}${range(transferred, formatBytes)} of ${formatBytes(ram.total)} of memory</dd>
        <dt>syncs</dt><dd>${ram.dirtySyncCount}${range(syncs, String)}</dd>
      </dl><dl class="facts">
        <dt>pages</dt><dd>${formatCount(ram.normal)} whole, ${formatCount(ram.duplicate)} of zeros, ${formatCount(outcome.redundantPages)} sent in vain</dd>
        <dt>dirty pages a second</dt><dd>${formatCount(Math.round(ram.dirtyPagesRate))}</dd>
        ${outcome.cpuThrottlePercentage > 0 ? html`<dt>throttled</dt><dd>${outcome.cpuThrottlePercentage} %</dd>` : nothing}
        ${outcome.postcopyBlocktimeMs > 0 ? html`<dt>waiting for pages</dt><dd>${formatWall(outcome.postcopyBlocktimeMs)}, at most ${formatWall(outcome.postcopyBlocktimeMsMax)} at once</dd>` : nothing}
        <dt>ranges</dt><dd>5th to 95th percentile of ${samples} simulations: bandwidth ±3 %, start ±50 ms</dd>
      </dl></div>
      <h3>Round by round</h3><lab-rounds-chart .outcome=${outcome}></lab-rounds-chart>
      ${outcome.notes.length === 0 ? nothing : html`<ul class="notes">${outcome.notes.map((each) => html`<li>${each}</li>`)}</ul>`}
    </div></section>`;
  }

  private table(): unknown {
    const { cells } = this;
    const cellAt = (mbit: number, downtimeMs: number): TableCell | undefined => cells.find(({ bytesPerSecond, downtimeLimitMs }) => bytesPerSecond === mbit * MBIT && downtimeLimitMs === downtimeMs);
    return html`<section class="panel" aria-label="Bandwidth and downtime"><header><h2 class="grow">Bandwidth × downtime limit: ${this.settings.policy}</h2><button data-testid="table-start" ?disabled=${this.busy !== undefined} @click=${this.workOutTable}>Work it out</button></header>
      <div class="body scroll" tabindex="0" role="region" aria-label="Bandwidth by downtime limit">${cells.length === 0
        ? html`<p class="muted">Forty migrations, each with four more for how stable it is: a few seconds. A cell then says total time and downtime, and chooses its settings.</p>`
        : html`<table data-testid="table"><thead><tr><th scope="col">bandwidth</th>${TABLE_DOWNTIMES_MS.map((ms) => html`<th scope="col">limit ${formatWall(ms)}</th>`)}</tr></thead>
            <tbody>${TABLE_MBIT.map((mbit) => html`<tr><th scope="row">${formatBandwidth(mbit * MBIT)}</th>${TABLE_DOWNTIMES_MS.map((ms) => this.cell(cellAt(mbit, ms), mbit, ms))}</tr>`)}</tbody></table>`}</div></section>`;
  }

  private cell(cell: TableCell | undefined, mbit: number, downtimeMs: number): unknown {
    if (cell === undefined) return html`<td class="cell muted">…</td>`;
    const [tone, verdict] = cell.isUnstable ? ['warn', 'unstable'] : cell.converges ? ['good', 'converges'] : ['bad', 'never'];
    return html`<td class="cell ${tone}"><button title="Show this migration" @click=${() => this.change({ mbit: String(mbit), downtime: String(downtimeMs) })}><span>${verdict}</span>${cell.converges ? html`<small>${formatWall(cell.totalTimeMs)}, down ${formatWall(cell.downtimeMs)}</small>` : nothing}</button></td>`;
  }
}
customElements.define('lab-migration', MigrationPage);
