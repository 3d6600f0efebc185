/** Breakpoints and watchpoints, with their hits over all of the recording. */
import { css, html, nothing } from 'lit';
import type { WatchAccess } from '../../engine/protocol/moment.ts';
import { formatCount } from '../format.ts';
import { ALL_KINDS } from '../kinds.ts';
import { lowerBound } from '../timeline-view.ts';
import { MomentPanel, busyBar, failureNotice, panelStyles } from './moment-panel.ts';
import type { ListedPoint } from './point-list.ts';

const ACCESS_TEXT: Readonly<Record<WatchAccess, string>> = { change: 'changes', write: 'written', read: 'read', access: 'accessed' };

export class PointsPanel extends MomentPanel {
  static override styles = [
    ...panelStyles,
    css`
      form.new {
        display: flex;
        flex-wrap: wrap;
        gap: 0.35rem;
        margin-bottom: 0.6rem;
      }
      form.new input[type='text'] {
        flex: 1 1 8rem;
        min-width: 0;
      }
      ul {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.4rem;
        padding: 0.35rem 0;
        border-bottom: 1px solid var(--line);
      }
      li code {
        flex: 1 1 8rem;
        overflow-wrap: anywhere;
      }
      li button {
        min-height: 1.8rem;
        padding: 0 0.5rem;
        font-size: 0.88rem;
      }
    `,
  ];
  protected override readonly name = 'points';

  protected override render(): unknown {
    const points = this.model?.points;
    return html`<section class="panel" aria-label="Points">
      <header><h2>Points</h2><span class="muted">where a run stops</span></header>
      <div class="body" tabindex="0" role="group" aria-label="Breakpoints and watchpoints" data-testid="points">
        <form class="new" @submit=${this.onAdd}>
          <select name="kind" aria-label="Kind"><option value="breakpoint">breakpoint</option><option value="watchpoint">watchpoint</option><option value="event">event</option><option value="console">console text</option></select>
          <input type="text" name="text" aria-label="Where" placeholder="symbol if rdi == 1, file.c:12, 0x…,8, words" title="A breakpoint may have a condition: accounting_exit if rdi == 1" spellcheck="false" autocomplete="off" data-testid="point-text" />
          <button>Add</button>
        </form>
        ${points?.failure === undefined ? nothing : failureNotice(points.failure)}
        ${points === undefined || points.all.length === 0
          ? html`<p class="empty">No points yet: click left of an instruction for a breakpoint, on a byte of memory for a watchpoint, or add one here. Their hits show on the timeline.</p>`
          : html`<ul>
              ${points.all.map((each) => this.point(each))}
            </ul>`}
      </div>
    </section>`;
  }

  private point(listed: ListedPoint): unknown {
    const { id, point, isEnabled, hits, scanned, isFull, failure } = listed;
    const { model } = this;
    const kind = point.kind === 'watchpoint' ? ACCESS_TEXT[point.access] : point.kind;
    return html`<li data-hits=${hits.length} data-done=${scanned === undefined ? 'true' : 'false'}>
      <input type="checkbox" aria-label="Stop at ${point.text}" .checked=${isEnabled} @change=${(event: Event) => model?.points.enable(id, (event.target as HTMLInputElement).checked)} />
      <code>${point.text}</code><span class="badge">${kind}</span>
      ${failure === undefined ? html`<span class="muted">${formatCount(hits.length)}${isFull ? ' or more' : ''} ${hits.length === 1 ? 'hit' : 'hits'}</span>` : html`<span class="badge bad" title=${failure.advice}>${failure.message}</span>`}
      ${scanned === undefined ? nothing : busyBar((model?.lastPosition ?? 0) === 0 ? 0 : scanned / model!.lastPosition, 'Looking for hits')}
      <button aria-label="Previous hit of ${point.text}" title="Previous hit" @click=${() => this.goTo(hits, -1)}>◁</button>
      <button aria-label="Next hit of ${point.text}" title="Next hit" @click=${() => this.goTo(hits, 1)}>▷</button>
      <button aria-label="Remove ${point.text}" title="Remove" @click=${() => model?.points.remove(id)}>✕</button>
    </li>`;
  }

  private goTo(hits: Float64Array, direction: 1 | -1): void {
    const { model } = this;
    if (model === undefined) return;
    const at = model.cursor.position;
    const to = direction === 1 ? hits[lowerBound(hits, hits.length, at + 1)] : hits[lowerBound(hits, hits.length, at) - 1];
    if (to !== undefined) model.jumpToPosition(to);
  }

  private readonly onAdd = (event: Event): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const data = new FormData(form);
    const text = String(data.get('text') ?? '').trim();
    const { model } = this;
    if (model === undefined || text === '') return;
    const kind = String(data.get('kind'));
    if (kind === 'console') model.points.add({ kind: 'console', text });
    else if (kind === 'event') model.points.add({ kind: 'event', text, kinds: ALL_KINDS, words: text });
    else if (kind === 'watchpoint') {
      const [where, bytes = '8'] = text.split(',');
      void model.points.ask(model.cursor.position, { kind: 'watchpoint', text: where.trim(), bytes: Number(bytes), isPhysical: false, access: 'change' });
    } else void model.points.ask(model.cursor.position, { kind: 'breakpoint', text });
    form.reset();
  };
}
customElements.define('lab-points', PointsPanel);
