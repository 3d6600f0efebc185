/** Exits by what they are about and who makes them, as a flame graph and as tables. */
import { html, nothing } from 'lit';
import './charts/flame-chart.ts';
import { PROFILE_DIMENSIONS, type ExitProfile, type ProfileDimension } from '../engine/analysis/exit-profile/profile.ts';
import { REGIMES } from '../engine/regimes/catalogue.ts';
import { AnalysisPage, PAGE_PROPERTIES } from './analysis-page.ts';
import { analysis } from './analysis-styles.ts';
import { formatCount, formatNs } from './format.ts';
import { formatShare } from './quantities.ts';
import { controls, panels } from './styles.ts';

const ROWS_SHOWN = 25;

export class ProfilePage extends AnalysisPage {
  static override properties = { ...PAGE_PROPERTIES, profile: { state: true }, symbolProblem: { state: true } };
  static override styles = [controls, panels, analysis];
  declare profile: ExitProfile | undefined;
  declare symbolProblem: string | undefined;
  protected readonly heading = 'Exits';
  protected readonly purpose = 'Who leaves the guest, why and when: phase, guest function, reason, target.';

  private get from(): 'log' | 'replay' {
    return this.query['from'] === 'replay' ? 'replay' : 'log';
  }

  protected start(): void {
    const regime = REGIMES.find(({ id }) => id === this.query['regime'])?.id;
    void this.ask('Folding events', async (client, onReply) => {
      const { profile, problem } = await client.ask({ kind: 'profile', regime, from: this.from }, 'profiled', onReply);
      this.profile = profile;
      this.symbolProblem = problem;
    });
  }

  protected content(): unknown {
    const { profile, query } = this;
    return html`<section class="panel" aria-label="Settings"><div class="body"><form @submit=${(event: Event) => event.preventDefault()}>
        <label class="field">Under<select data-testid="regime" @change=${(event: Event) => { this.set({ regime: (event.target as HTMLSelectElement).value }); this.start(); }}>
          <option value="">no technique: architectural events, counted</option>${REGIMES.map(({ id, title }) => html`<option value=${id} ?selected=${id === query['regime']}>${title}</option>`)}</select></label>
        <label class="field">Known from<select data-testid="from" @change=${(event: Event) => { const { value } = event.target as HTMLSelectElement; this.set({ from: value === 'log' ? '' : value }); this.start(); }}>
          <option value="log" ?selected=${this.from === 'log'}>the log</option><option value="replay" ?selected=${this.from === 'replay'}>a replay: call stacks and tasks too</option></select></label>
        <label class="check"><input type="checkbox" .checked=${query['sleep'] === 'on'} @change=${(event: Event) => this.set({ sleep: (event.target as HTMLInputElement).checked ? 'on' : '' })} />with sleep (HLT)</label>
      </form></div></section>
      ${profile === undefined ? nothing : this.answer(profile)}`;
  }

  private answer(profile: ExitProfile): unknown {
    const { unit } = profile;
    const isWithSleep = this.query['sleep'] === 'on';
    const stacks = profile.stacks.filter(({ isIdle }) => isWithSleep || !isIdle).map(({ frames, count, cost }) => ({ frames, weight: unit === undefined ? count : (cost ?? 0) }));
    const views = PROFILE_DIMENSIONS.filter((dimension) => dimension !== 'time' && (profile.by[dimension]?.length ?? 0) > 0);
    const view = views.find((dimension) => dimension === this.query['by']) ?? views[0];
    const notes = [...(this.symbolProblem === undefined ? [] : [this.symbolProblem]), ...profile.notes];
    if (profile.exits + profile.idleExits === 0) return html`<div class="notice"><strong>Nothing left the guest</strong><span>Under this technique the recording has no exit: choose another, or none to count architectural events.</span></div>`;
    return html`<section class="panel" aria-label="Flame graph"><header><h2>Flame graph by ${unit === undefined ? 'count' : unit}</h2></header><div class="body">
        <lab-flame-chart data-testid="flame" .stacks=${stacks} unit=${unit ?? 'exits'}></lab-flame-chart>
        <p class="muted">${formatCount(profile.exits)} exits${profile.idleExits > 0 ? `, and ${formatCount(profile.idleExits)} to sleep` : ''}${profile.durationNs === undefined ? '' : ` in ${formatNs(profile.durationNs)}`}. From the top: ${profile.hasCallStacks !== true ? 'phase, guest function, reason, target. A log has no call stacks: take them from a replay.' : 'phase, task, guest call stack, reason, target.'}</p>
        ${notes.length === 0 ? nothing : html`<ul class="notes">${notes.map((each) => html`<li>${each}</li>`)}</ul>`}
      </div></section>
      ${view === undefined ? nothing : this.table(profile, view, views)}`;
  }

  private table(profile: ExitProfile, view: ProfileDimension, views: readonly ProfileDimension[]): unknown {
    const rows = [...(profile.by[view] ?? [])].sort((a, b) => (b.cost?.total ?? b.count) - (a.cost?.total ?? a.count));
    const { unit } = profile;
    return html`<section class="panel" aria-label="Exits as a table"><header><h2 class="grow">By ${view}</h2><label class="check">by<select data-testid="by" @change=${(event: Event) => this.set({ by: (event.target as HTMLSelectElement).value })}>${views.map((each) => html`<option ?selected=${each === view}>${each}</option>`)}</select></label></header>
      <div class="body scroll" tabindex="0" role="region" aria-label="Exits as a table"><table data-testid="profile-table">
        ${rows.length > ROWS_SHOWN ? html`<caption>The first ${ROWS_SHOWN} of ${formatCount(rows.length)}.</caption>` : nothing}
        <thead><tr><th scope="col">${view}</th><th scope="col" class="number">exits</th><th scope="col" class="number">a second</th>${unit === undefined ? nothing : html`<th scope="col" class="number">${unit}</th><th scope="col" class="number">share</th>`}<th scope="col" class="number">mean time between</th></tr></thead>
        <tbody>${rows.slice(0, ROWS_SHOWN).map((row) => html`<tr><th scope="row">${row.label}${row.detail === undefined ? nothing : html` <span class="muted">${row.detail}</span>`}${row.isIdle ? html` <span class="badge">sleep</span>` : nothing}</th><td class="number">${formatCount(row.count)}</td>
          <td class="number">${row.perSecond === undefined ? '–' : formatCount(Math.round(row.perSecond))}</td>${unit === undefined ? nothing : html`<td class="number">${row.cost === undefined ? '–' : formatCount(Math.round(row.cost.total))}</td><td class="number">${row.cost === undefined ? '–' : formatShare(row.cost.share)}</td>`}
          <td class="number">${row.betweenNs === undefined ? '–' : formatNs(Math.round(row.betweenNs.mean))}</td></tr>`)}</tbody></table></div></section>`;
  }
}
customElements.define('lab-profile', ProfilePage);
