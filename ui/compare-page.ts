/** What the recording would cost under each technique: side by side, by phase, why, what would remove it, and where the costs come from. */
import { css, html, nothing } from 'lit';
import './charts/slowdown-chart.ts';
import type { ComparisonReport, RegimeReport, SegmentReport } from '../engine/analysis/comparison/report.ts';
import { REGIMES } from '../engine/regimes/catalogue.ts';
import { CPUS } from '../engine/regimes/costs/cpus.ts';
import { PLATFORMS } from '../engine/regimes/platforms/platforms.ts';
import type { MissingTotal } from '../engine/regimes/regime.ts';
import { TLBS } from '../engine/regimes/costs/tlbs.ts';
import type { CompareAnswer, CompareAsked } from '../engine/protocol/analysis.ts';
import { AnalysisPage, PAGE_PROPERTIES } from './analysis-page.ts';
import { analysis } from './analysis-styles.ts';
import { formatCount, formatNs } from './format.ts';
import { formatRatio, formatShare } from './quantities.ts';
import { controls, panels } from './styles.ts';

const DEFAULT_REGIMES = REGIMES.map(({ id }) => id);
/** Rows of the lists of one technique. */
const ROWS_SHOWN = 10;
const MISSING_TEXT: Readonly<Record<MissingTotal, string>> = { systemCalls: 'system calls', pageWalks: 'TLB misses', kernelInstructions: 'kernel instructions', pauses: 'pause-loop exits' };

export class ComparePage extends AnalysisPage {
  static override properties = { ...PAGE_PROPERTIES, report: { state: true }, tlb: { state: true } };
  static override styles = [
    controls,
    panels,
    analysis,
    css`
      tbody tr.chosen {
        background: var(--accent-soft);
      }
      tbody th button {
        min-height: 1.6rem;
        padding: 0 0.5rem;
      }
      details > summary {
        color: var(--muted);
        font-size: 0.88rem;
        cursor: pointer;
      }
    `,
  ];
  declare report: ComparisonReport | undefined;
  declare tlb: CompareAnswer['tlb'];
  protected readonly heading = 'Compare';
  protected readonly purpose = 'What this run would cost under each virtualisation technique: time against the bare machine, sleep left out.';

  private get regimes(): readonly string[] {
    const known = [...REGIMES, ...PLATFORMS].map(({ id }) => id);
    const asked = this.query['regimes']?.split(',').filter((id) => known.includes(id)) ?? [];
    return asked.length === 0 ? DEFAULT_REGIMES : asked;
  }
  private get cyclesPerInstruction(): number {
    const value = Number(this.query['cpi'] ?? 1);
    return value > 0 && value <= 1000 ? value : 1;
  }

  private get from(): CompareAsked['from'] {
    const text = this.query['from'];
    return text === 'replay' ? text : (TLBS.find(({ id }) => id === text)?.id ?? 'log');
  }

  protected start(): void {
    const { query, regimes, cyclesPerInstruction } = this;
    const cpu = CPUS.some(({ id }) => id === query['cpu']) ? query['cpu'] : undefined;
    void this.ask('Folding events', async (client, onReply) => {
      const asked = { regimes, cpu, cyclesPerInstruction, guestKpti: query['kpti'] === 'on', from: this.from };
      ({ report: this.report, tlb: this.tlb } = (await client.ask({ kind: 'compare', asked }, 'compared', onReply)).answer);
    });
  }

  private change(changes: Readonly<Record<string, string>>): void {
    this.set(changes);
    this.start();
  }

  protected content(): unknown {
    const { report } = this;
    return html`${this.settings()} ${report === undefined ? nothing : report.events === 0 ? html`<div class="notice"><strong>There is nothing to compare</strong><span>The recording holds no event: record the guest for longer.</span></div>` : this.answer(report)}`;
  }

  private settings(): unknown {
    const { regimes, query } = this;
    const toggle = (id: string, isOn: boolean): void => {
      const next = isOn ? [...regimes, id] : regimes.filter((each) => each !== id);
      this.change({ regimes: next.length === 0 || (next.length === DEFAULT_REGIMES.length && DEFAULT_REGIMES.every((each) => next.includes(each))) ? '' : next.join(',') });
    };
    const box = ({ id, title }: { readonly id: string; readonly title: string }): unknown =>
      html`<label class="check" title=${title}><input type="checkbox" .checked=${regimes.includes(id)} @change=${(event: Event) => toggle(id, (event.target as HTMLInputElement).checked)} />${id}</label>`;
    return html`<section class="panel" aria-label="Settings"><div class="body"><form @submit=${(event: Event) => event.preventDefault()}>
      <fieldset><legend>Techniques</legend>${REGIMES.map(box)}</fieldset>
      <label class="field">Costs of the CPU
        <select .value=${query['cpu'] ?? ''} @change=${(event: Event) => this.change({ cpu: (event.target as HTMLSelectElement).value })}>
          <option value="">default of each</option>${CPUS.map(({ id, title, year }) => html`<option value=${id} ?selected=${id === query['cpu']}>${title}, ${year}</option>`)}
        </select></label>
      <label class="field">Native cycles an instruction (assumed)
        <input type="number" min="0.1" max="1000" step="any" .value=${String(this.cyclesPerInstruction)} @change=${(event: Event) => this.change({ cpi: (event.target as HTMLInputElement).value })} /></label>
      <label class="check"><input type="checkbox" .checked=${query['kpti'] === 'on'} @change=${(event: Event) => this.change({ kpti: (event.target as HTMLInputElement).checked ? 'on' : '' })} />guest with KPTI</label>
      <label class="field">Known from<select data-testid="from" @change=${(event: Event) => { const { value } = event.target as HTMLSelectElement; this.change({ from: value === 'log' ? '' : value }); }}>
        <option value="log" ?selected=${this.from === 'log'}>the log</option><option value="replay" ?selected=${this.from === 'replay'}>a replay</option>
        ${TLBS.map(({ id, title }) => html`<option value=${id} ?selected=${this.from === id}>a replay with the TLBs of ${title}</option>`)}</select></label>
      <details ?open=${regimes.some((id) => PLATFORMS.some((platform) => platform.id === id))}><summary>Platforms</summary><fieldset><legend class="visually-hidden">Platforms</legend>${PLATFORMS.map(box)}</fieldset></details>
    </form></div></section>`;
  }

  private answer(report: ComparisonReport): unknown {
    const phase = this.phaseIndex(report);
    const segmentOf = (regime: RegimeReport): SegmentReport => (phase === undefined ? regime.run : regime.phases[phase]);
    const chosen = report.regimes.find(({ id }) => id === this.query['of']) ?? report.regimes.reduce((worst, each) => (segmentOf(each).slowdown.typical > segmentOf(worst).slowdown.typical ? each : worst));
    const span = phase === undefined ? report : report.phases[phase];
    const caveats = caveatsOf(report, report.regimes.map(segmentOf));
    return html`<section class="panel" aria-label="Slowdown">
        <header><h2 class="grow">Slowdown</h2>
          <label class="check">Stretch
            <select data-testid="phase" @change=${(event: Event) => this.set({ phase: (event.target as HTMLSelectElement).value })}>
              <option value="" ?selected=${phase === undefined}>the whole run</option>
              ${report.phases.length < 2 ? nothing : report.phases.map(({ name, from, to }, i) => html`<option value=${i} ?selected=${i === phase}>${name}, @${formatCount(from)} to @${formatCount(to)}</option>`)}
            </select></label></header>
        <div class="body">
          <lab-slowdown-chart .bars=${report.regimes.map((regime) => ({ name: regime.id, slowdown: segmentOf(regime).slowdown }))} chosen=${chosen.id}></lab-slowdown-chart>
          <div class="scroll" tabindex="0" role="region" aria-label="Slowdown as a table"><table data-testid="slowdowns">
            <caption>${formatCount(span.instructions)} instructions at ${report.cyclesPerInstruction} cycle${report.cyclesPerInstruction === 1 ? '' : 's'} (assumed), ${formatNs(span.idleNs)} asleep. Slowdown is (instructions × CPI + cycles of events) against the same on the bare machine.</caption>
            <thead><tr><th scope="col">technique</th><th scope="col" class="number">slowdown</th><th scope="col" class="number">range</th><th scope="col" class="number">exits</th><th scope="col" class="number">per million</th><th scope="col" class="number">cycles of events</th><th scope="col" class="number">assumed</th><th scope="col">what costs most</th></tr></thead>
            <tbody>${report.regimes.map((regime) => this.row(regime, segmentOf(regime), regime === chosen))}</tbody>
          </table></div>
          ${this.tlb === undefined ? nothing : this.counted(this.tlb, report)}
          ${caveats.length === 0 ? nothing : html`<ul class="notes">${caveats.map((each) => html`<li>${each}</li>`)}</ul>`}
        </div>
      </section>
      ${report.phases.length < 2 ? nothing : this.phases(report, phase)} ${this.details(chosen, segmentOf(chosen))}`;
  }

  private counted({ title, source, walks, secondLevelHits, dataUser, dataKernel, fetchUser, fetchKernel }: NonNullable<CompareAnswer['tlb']>, { instructions }: ComparisonReport): unknown {
    return html`<p data-testid="tlb">With the TLBs of ${title}: ${formatCount(walks)} page walks, ${((walks / Math.max(1, instructions)) * 1e6).toFixed(1)} per million instructions; data ${formatCount(dataUser)} user and ${formatCount(dataKernel)} kernel,
      fetches ${formatCount(fetchUser)} user and ${formatCount(fetchKernel)} kernel. The second level had ${formatCount(secondLevelHits)} more, which are not charged. <span class="muted">Sizes: ${source}.</span></p>`;
  }

  private phaseIndex({ phases }: ComparisonReport): number | undefined {
    const text = this.query['phase'];
    const index = text === undefined ? Number.NaN : Number(text);
    return Number.isInteger(index) && index >= 0 && index < phases.length ? index : undefined;
  }

  private row(regime: RegimeReport, { slowdown, exits, exitsPerMillion, cycles, dominant }: SegmentReport, isChosen: boolean): unknown {
    return html`<tr class=${isChosen ? 'chosen' : ''}>
      <th scope="row"><button title=${regime.title} aria-pressed=${isChosen} @click=${() => this.set({ of: regime.id })}>${regime.id}</button></th>
      <td class="number" data-testid=${`slowdown-${regime.id}`}>${formatRatio(slowdown.typical)}</td><td class="number">${slowdown.low.toFixed(2)} to ${slowdown.high.toFixed(2)}</td>
      <td class="number">${formatCount(exits)}</td><td class="number">${exitsPerMillion.toFixed(1)}</td><td class="number">${formatCount(Math.round(cycles.typical))}</td>
      <td class="number">${assumedShare(regime)}</td><td>${dominant === undefined ? '–' : `${dominant.name}, ${formatShare(dominant.share)}`}</td></tr>`;
  }

  private phases(report: ComparisonReport, chosen: number | undefined): unknown {
    return html`<section class="panel" aria-label="Phases"><header><h2>Phases, from mark to mark</h2></header>
      <div class="body scroll" tabindex="0" role="region" aria-label="Slowdown by phase"><table>
        <thead><tr><th scope="col">phase</th><th scope="col" class="number">from</th><th scope="col" class="number">instructions</th>${report.regimes.map(({ id }) => html`<th scope="col" class="number">${id}</th>`)}</tr></thead>
        <tbody>${report.phases.map(({ name, from, instructions }, i) => html`<tr class=${i === chosen ? 'chosen' : ''}>
          <th scope="row"><button aria-pressed=${i === chosen} @click=${() => this.set({ phase: i === chosen ? '' : String(i) })}>${name}</button></th>
          <td class="number"><a class="moment" href=${this.momentHref(from)}>@${formatCount(from)}</a></td><td class="number">${formatCount(instructions)}</td>
          ${report.regimes.map(({ phases }) => html`<td class="number">${formatRatio(phases[i].slowdown.typical)}</td>`)}</tr>`)}</tbody>
      </table></div></section>`;
  }

  private details(regime: RegimeReport, segment: SegmentReport): unknown {
    const { removals, sensitivity, sources, notes } = regime;
    const signed = (value: number): string => `${value > 0 ? '−' : value < 0 ? '+' : ''}${formatCount(Math.abs(Math.round(value)))}`;
    return html`<h2 class="visually-hidden">${regime.title}</h2>
      <div class="columns" data-testid="details">
        <section class="panel" aria-label="Exits by reason"><header><h2>${regime.title}: exits by reason</h2></header><div class="body scroll" tabindex="0" role="region" aria-label="Exits by reason">
          ${segment.reasons.length + segment.direct.length === 0 ? html`<p class="muted">None: nothing of this stretch leaves the guest.</p>` : html`<table>
            <thead><tr><th scope="col">reason</th><th scope="col">handler</th><th scope="col" class="number">exits</th><th scope="col" class="number">cycles</th><th scope="col" class="number">range</th></tr></thead>
            <tbody>${[...segment.reasons].sort((a, b) => b.typical - a.typical).slice(0, ROWS_SHOWN).map((row) => html`<tr><th scope="row">${row.name}</th><td>${row.handler}</td><td class="number">${formatCount(row.count)}</td><td class="number">${formatCount(Math.round(row.typical))}</td><td class="number">${formatCount(Math.round(row.low))} to ${formatCount(Math.round(row.high))}</td></tr>`)}
            ${segment.direct.map((row) => html`<tr><th scope="row">${row.kind}</th><td>no exit</td><td class="number">${formatCount(Math.round(row.count))}</td><td class="number">${formatCount(Math.round(row.typical))}</td><td class="number">${formatCount(Math.round(row.low))} to ${formatCount(Math.round(row.high))}</td></tr>`)}</tbody></table>`}
        </div></section>
        <section class="panel" aria-label="What would remove it"><header><h2>What would remove it, over the whole run</h2></header><div class="body scroll" tabindex="0" role="region" aria-label="What would remove it">
          ${removals.length === 0 ? html`<p class="muted">No feature of this technique changes what this run costs.</p>` : html`<table>
            <thead><tr><th scope="col">change</th><th scope="col" class="number">exits</th><th scope="col" class="number">cycles</th><th scope="col" class="number">slowdown then</th></tr></thead>
            <tbody>${removals.slice(0, ROWS_SHOWN).map((row) => html`<tr><th scope="row">${row.title}<br /><code class="muted">${row.option} = ${String(row.to)}</code></th><td class="number">${signed(row.exitsSaved)}</td><td class="number">${signed(row.cyclesSaved.typical)}</td><td class="number">${formatRatio(row.slowdown)}</td></tr>`)}</tbody></table>`}
        </div></section>
        <section class="panel" aria-label="What the answer depends on"><header><h2>What the answer depends on</h2></header><div class="body scroll" tabindex="0" role="region" aria-label="What the answer depends on"><table>
          <thead><tr><th scope="col">cost</th><th scope="col" class="number">uses</th><th scope="col" class="number">cycles</th><th scope="col" class="number">slowdown at low to high</th></tr></thead>
          <tbody>${sensitivity.slice(0, ROWS_SHOWN).map((row) => html`<tr><th scope="row"><code>${row.parameter}</code></th><td class="number">${formatCount(Math.round(row.uses))}</td><td class="number">${formatCount(row.typical)} (${formatCount(row.low)} to ${formatCount(row.high)})</td><td class="number">${row.slowdownLow.toFixed(3)} to ${row.slowdownHigh.toFixed(3)}</td></tr>`)}</tbody></table>
        </div></section>
        <section class="panel" aria-label="Sources"><header><h2>Where the costs come from: ${regime.cpu}</h2></header><div class="body scroll" tabindex="0" role="region" aria-label="Sources"><table data-testid="sources">
          <thead><tr><th scope="col">cost</th><th scope="col" class="number">cycles</th><th scope="col">trust</th><th scope="col">source</th></tr></thead>
          <tbody>${sources.map((row) => html`<tr><th scope="row"><code>${row.parameter}</code></th><td class="number">${formatCount(row.typical)}</td><td><span class="badge ${row.trust === 'assumed' ? 'warn' : row.trust === 'primary' ? 'good' : ''}">${row.trust}</span></td><td>${row.source}, ${row.year}${row.borrowedFrom === undefined ? '' : `; measured on ${row.borrowedFrom}`}</td></tr>`)}</tbody></table>
          ${notes.length === 0 ? nothing : html`<ul class="notes">${notes.map((each) => html`<li>${each}</li>`)}</ul>`}
        </div></section>
      </div>`;
  }
}
customElements.define('lab-compare', ComparePage);

/** How much of the cycles rests on costs that were measured elsewhere or nowhere. */
function assumedShare({ sensitivity }: RegimeReport): string {
  const sum = (rows: RegimeReport['sensitivity']): number => rows.reduce((cycles, { uses, typical }) => cycles + uses * typical, 0);
  const all = sum(sensitivity);
  return all === 0 ? '–' : formatShare(sum(sensitivity.filter(({ trust }) => trust === 'assumed')) / all);
}

/** What a reader of the numbers has to know. */
function caveatsOf({ regimes }: ComparisonReport, segments: readonly SegmentReport[]): string[] {
  const lines: string[] = [];
  if (segments.some(({ slowdown }) => slowdown.typical < 1)) lines.push('Below 1: a device register costs more on the bus of a bare machine than an exit that ends in the hypervisor.');
  for (const need of new Set(regimes.flatMap(({ missing }) => missing))) {
    lines.push(`Not charged, because the log does not hold it: ${MISSING_TEXT[need]} (${regimes.filter(({ missing }) => missing.includes(need)).map(({ id }) => id).join(', ')}).`);
  }
  lines.push('Assumed: the share of the cycles that rests on costs of another CPU, or that nobody measured; the sources below say which.');
  return lines;
}
