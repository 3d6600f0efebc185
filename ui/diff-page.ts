/** Two recordings side by side: the first event that differs, the first instruction after which the machines do, and why. */
import { css, html, nothing } from 'lit';
import './charts/position-line.ts';
import type { DiffAnswer, DiffEvent, DiffSide } from '../engine/protocol/analysis.ts';
import type { OpenedRecording } from './analysis-client.ts';
import type { RecordingPlace } from './recording-place.ts';
import { AnalysisPage, PAGE_PROPERTIES } from './analysis-page.ts';
import { analysis } from './analysis-styles.ts';
import type { LinePlace } from './charts/position-line.ts';
import { formatCount, formatInstructions } from './format.ts';
import { kindName } from './kinds.ts';
import { localRecordings, serverRecordings } from './library.ts';
import { formatRoute } from './router.ts';
import { controls, panels } from './styles.ts';

interface Choice {
  readonly value: string;
  readonly title: string;
}

export class DiffPage extends AnalysisPage {
  static override properties = { ...PAGE_PROPERTIES, answer: { state: true }, choices: { state: true } };
  static override styles = [
    controls,
    panels,
    analysis,
    css`
      table.events {
        table-layout: fixed;
      }
      table.events .index {
        width: 6rem;
      }
      table.events td {
        overflow-wrap: anywhere;
      }
      tr.differs td {
        background: var(--changed);
      }
      tr.differs a.moment,
      tr.differs .kind {
        color: var(--text);
      }
      tr.first td,
      tr.first th {
        border-top: 2px solid var(--cursor);
      }
      td .kind {
        color: var(--muted);
      }
      select {
        max-width: min(40rem, 80vw);
      }
      .cause {
        margin-bottom: 0.8rem;
        font-weight: 560;
      }
    `,
  ];
  declare answer: DiffAnswer | undefined;
  declare choices: readonly Choice[] | undefined;
  protected readonly heading = 'Diff';
  protected readonly purpose = 'Where two recordings first differ: the event, then the instruction after which registers or memory are not the same, and what made them so.';

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private async load(): Promise<void> {
    const [server, local] = await Promise.all([serverRecordings(), localRecordings()]);
    const choices = [
      ...(server ?? []).flatMap(({ id, file, summary }) => (summary === undefined ? [] : [{ value: `server ${id}`, title: `${summary.guest}, ${file}, ${formatInstructions(summary.lastPosition)} instructions` }])),
      ...local.map(({ id, name, summary }) => ({ value: `local ${id}`, title: `${summary.guest}, ${name} (in this browser), ${formatInstructions(summary.lastPosition)} instructions` })),
    ];
    this.choices = choices.filter(({ value }) => value !== `${this.route.place} ${this.route.id}`);
  }

  private get other(): RecordingPlace | undefined {
    const [place, ...rest] = (this.query['other'] ?? '').split(' ');
    const id = rest.join(' ');
    return (place === 'server' || place === 'local') && id !== '' ? { place, id } : undefined;
  }

  protected start(): void {
    this.answer = undefined;
    const { other } = this;
    if (other === undefined) return;
    void this.ask('Comparing events', async (client, onReply) => {
      this.answer = await client.diff(other, onReply);
    });
  }

  protected content({ summary }: OpenedRecording): unknown {
    const { choices, answer, busy } = this;
    return html`<section class="panel" aria-label="Settings"><div class="body">
        ${choices === undefined
          ? html`<p class="muted">Looking for recordings…</p>`
          : choices.length === 0
            ? html`<div class="notice"><strong>There is no other recording</strong><span>Drop a second .cvlog file on this page, or record the guest again with another seed, then come back.</span></div>`
            : html`<form @submit=${(event: Event) => event.preventDefault()}>
                <span>A: <strong>${summary.guest}</strong>, this recording</span>
                <label class="field">B: the other recording
                  <select data-testid="other" @change=${(event: Event) => { this.set({ other: (event.target as HTMLSelectElement).value }); this.start(); }}>
                    <option value="">choose one</option>${choices.map(({ value, title }) => html`<option value=${value} ?selected=${value === this.query['other']}>${title}</option>`)}
                  </select></label></form>`}
      </div></section>
      ${answer === undefined ? (busy !== undefined || choices?.length === 0 ? nothing : html`<p class="muted" data-testid="diff-empty">Choose the recording to compare with. Two runs of the same guest, or a branch and what it left, say most.</p>`) : this.result(answer, summary.lastPosition)}`;
  }

  private hrefB(at: number): string {
    return formatRoute({ kind: 'run', ...this.other!, at });
  }

  private result(answer: DiffAnswer, lastA: number): unknown {
    const { divergence, state, headers, problem } = answer;
    const last = Math.max(lastA, answer.other.lastPosition);
    const places: LinePlace[] = [];
    if (divergence !== undefined) places.push({ position: divergence.position, name: 'the first event that differs', href: this.momentHref(divergence.position), isFound: true });
    if (state?.kind === 'different' && state.position !== divergence?.position) places.push({ position: state.position, name: 'the first difference of the machines', href: this.momentHref(state.position), isFound: false });
    return html`<section class="panel" aria-label="First divergence"><header><h2>${divergence === undefined ? 'No divergence' : 'First divergence'}</h2></header><div class="body">
        <lab-position-line .places=${places} .last=${last}></lab-position-line>
        ${divergence === undefined
          ? html`<p data-testid="diff-same">Both recordings hold the same ${formatCount(answer.other.records)} events.</p>`
          : html`<p data-testid="diff-divergence" data-position=${divergence.position}>Event ${formatCount(divergence.index)}, <a class="moment" href=${this.momentHref(divergence.position)}>@${formatCount(divergence.position)} in A</a>, <a class="moment" href=${this.hrefB(divergence.position)}>in B</a>.</p>`}
        ${state?.kind === 'different' ? this.cause(state) : state?.kind === 'same' ? html`<p>The guest sees the same up to @${formatCount(state.position)}.</p>` : nothing}
        ${problem === undefined ? nothing : html`<div class="notice"><strong>The machines could not be compared</strong><span>${problem.message}: ${problem.advice}. The events above and below are compared all the same.</span></div>`}
      </div></section>
      <section class="panel" aria-label="Events side by side"><header><h2>Events side by side</h2></header><div class="body scroll" tabindex="0" role="region" aria-label="Events side by side"><table class="events" data-testid="diff-events">
        <thead><tr><th scope="col" class="index">event</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
        <tbody>${answer.rows.map(({ index, a, b, isSame }) => html`<tr class="${isSame ? '' : 'differs'} ${index === divergence?.index ? 'first' : ''}"><th scope="row">${formatCount(index)}${index === divergence?.index ? html`<span class="visually-hidden">, the first that differs</span>` : nothing}</th>${[this.event(a, 'a'), this.event(b, 'b')]}</tr>`)}</tbody></table></div></section>
      ${headers.length === 0 ? nothing : html`<section class="panel" aria-label="Headers"><header><h2>What the recordings were made from</h2></header><div class="body scroll" tabindex="0" role="region" aria-label="Fields of the headers that differ"><table>
        <thead><tr><th scope="col">field</th><th scope="col">A</th><th scope="col">B</th></tr></thead><tbody>${headers.map(({ field, a, b }) => html`<tr><th scope="row"><code>${field}</code></th><td><code>${a}</code></td><td><code>${b}</code></td></tr>`)}</tbody></table></div></section>`}`;
  }

  private event(event: DiffEvent | undefined, side: 'a' | 'b'): unknown {
    if (event === undefined) return html`<td class="muted">no more events</td>`;
    const href = side === 'a' ? this.momentHref(event.position) : this.hrefB(event.position);
    return html`<td><a class="moment" href=${href}>@${formatCount(event.position)}</a> <span class="kind">${kindName(event.kind)}</span> ${event.text}</td>`;
  }

  private cause(state: Extract<NonNullable<DiffAnswer['state']>, { kind: 'different' }>): unknown {
    const side = (name: string, { code, assembly, before, events }: DiffSide): unknown => html`<dl class="facts">
      <dt>${name} executes</dt><dd><code>${code}</code><br /><code>${assembly}</code></dd>
      ${before === undefined ? nothing : html`<dt>last event</dt><dd>${before}</dd>`}${events.map((each) => html`<dt>then</dt><dd>${each}</dd>`)}</dl>`;
    return html`<p class="cause" data-testid="diff-cause">The first difference that the guest can see is at <a class="moment" href=${this.momentHref(state.position)}>@${formatCount(state.position)}</a>; at @${formatCount(state.from)} both are the same. ${state.cause}</p>
      <div class="columns">${side('A', state.a)}${side('B', state.b)}</div>
      <div class="columns">
        ${state.registers.length === 0 ? html`<p class="muted">No register differs there.</p>` : html`<div class="scroll" tabindex="0" role="region" aria-label="Registers that differ"><table><caption>Registers that differ there: ${state.registers.length}</caption><thead><tr><th scope="col">register</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
          <tbody>${state.registers.map(({ name, a, b }) => html`<tr><th scope="row"><code>${name}</code></th><td><code>${a}</code></td><td><code>${b}</code></td></tr>`)}</tbody></table></div>`}
        ${state.pageCount === 0 ? html`<p class="muted">No page of memory differs there.</p>` : html`<div class="scroll" tabindex="0" role="region" aria-label="Pages that differ"><table><caption>Pages of memory that differ there: ${formatCount(state.pageCount)}${state.pages.length < state.pageCount ? `, ${state.pages.length} shown` : ''}</caption><thead><tr><th scope="col">page</th><th scope="col" class="number">bytes</th><th scope="col">first at</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
          <tbody>${state.pages.map((each) => html`<tr><th scope="row"><code>0x${each.page.toString(16)}</code></th><td class="number">${each.bytes}</td><td><code>0x${each.address.toString(16)}</code></td><td><code>0x${each.a.toString(16)}</code></td><td><code>0x${each.b.toString(16)}</code></td></tr>`)}</tbody></table></div>`}
      </div>`;
  }
}
customElements.define('lab-diff', DiffPage);
