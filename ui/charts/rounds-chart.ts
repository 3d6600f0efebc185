/** A migration round by round, as it happens: what is still to be sent, what each round sends, and the stop. Plays, steps by keys, and stands still where motion is not wanted. */
import { LitElement, type PropertyValues, css, html, nothing, svg } from 'lit';
import type { MigrationOutcome, Round } from '../../engine/analysis/migration/outcome.ts';
import { formatBytes, formatCount } from '../format.ts';
import { formatWall, ticks } from '../quantities.ts';
import { controls } from '../styles.ts';
import { WidthController } from './width-controller.ts';

const HEIGHT = 260;
const LEFT = 84;
const BOTTOM = 226;
/** A migration is shown in this time, however long it takes. */
const PLAY_MS = 6000;
/** More are drawn without gaps, and are not told one by one. */
const ROUNDS_LISTED = 40;

export class RoundsChart extends LitElement {
  static override properties = { outcome: { attribute: false }, atMs: { state: true }, isPlaying: { state: true } };
  static override styles = [
    controls,
    css`
      :host {
        display: block;
      }
      svg {
        display: block;
        width: 100%;
        height: auto;
      }
      text {
        fill: var(--muted);
        font: 400 12px var(--sans);
        font-variant-numeric: tabular-nums;
      }
      .grid {
        stroke: var(--line);
      }
      .sent {
        fill: var(--kind-exit);
        opacity: 0.85;
      }
      .dirtied {
        fill: var(--kind-dirty);
        opacity: 0.9;
      }
      .later {
        opacity: 0.18;
      }
      .stopped {
        fill: var(--bad-soft);
      }
      .now {
        stroke: var(--cursor);
        stroke-width: 2;
      }
      .transport {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.6rem;
        margin-top: 0.4rem;
      }
      .transport input {
        flex: 1 1 16rem;
        padding: 0;
        accent-color: var(--accent);
      }
      .key {
        display: inline-block;
        width: 0.8rem;
        height: 0.8rem;
        border-radius: 0.15rem;
      }
      .key.sent {
        background: var(--kind-exit);
      }
      .key.dirtied {
        background: var(--kind-dirty);
      }
      .key.stopped {
        border: 1px solid var(--bad);
        background: var(--bad-soft);
      }
    `,
  ];
  private readonly size = new WidthController(this);
  declare outcome: MigrationOutcome | undefined;
  /** Wall-clock ms since the migration began. */
  declare atMs: number;
  declare isPlaying: boolean;
  private frame = 0;
  private since = 0;

  constructor() {
    super();
    this.atMs = 0;
    this.isPlaying = false;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    cancelAnimationFrame(this.frame);
    this.isPlaying = false;
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('outcome') || this.outcome === undefined) return;
    cancelAnimationFrame(this.frame);
    this.isPlaying = false;
    this.atMs = this.outcome.totalTimeMs;
  }

  private readonly toggle = (): void => {
    const { outcome } = this;
    if (outcome === undefined) return;
    this.isPlaying = !this.isPlaying;
    if (!this.isPlaying) return cancelAnimationFrame(this.frame);
    if (this.atMs >= outcome.totalTimeMs) this.atMs = 0;
    this.since = performance.now();
    this.frame = requestAnimationFrame(this.play);
  };
  private readonly play = (now: number): void => {
    const { outcome } = this;
    if (outcome === undefined || !this.isPlaying) return;
    this.atMs = Math.min(outcome.totalTimeMs, this.atMs + (Math.max(0, now - this.since) / PLAY_MS) * outcome.totalTimeMs);
    this.since = now;
    if (this.atMs >= outcome.totalTimeMs) this.isPlaying = false;
    else this.frame = requestAnimationFrame(this.play);
  };

  private step(direction: 1 | -1): void {
    const { outcome, atMs } = this;
    if (outcome === undefined) return;
    this.isPlaying = false;
    const edges = [0, ...outcome.rounds.map((round) => round.atMs + round.ms), outcome.totalTimeMs];
    this.atMs = direction === 1 ? (edges.find((edge) => edge > atMs + 1e-6) ?? outcome.totalTimeMs) : (edges.findLast((edge) => edge < atMs - 1e-6) ?? 0);
  }

  protected override render(): unknown {
    const { width } = this.size;
    const { outcome, atMs } = this;
    if (outcome === undefined) return nothing;
    const { rounds, totalTimeMs, stoppedAtMs } = outcome;
    if (rounds.length === 0) return html`<p class="muted">This policy has no rounds: ${outcome.policy} moves the guest in one piece.</p>`;
    const most = Math.max(1, ...rounds.map(({ pages, dirtied }) => Math.max(pages, dirtied)));
    const x = (ms: number): number => LEFT + (ms / Math.max(1e-9, totalTimeMs)) * (width - LEFT);
    const y = (pages: number): number => BOTTOM - (pages / most) * (BOTTOM - 12);
    const current = rounds.findLast((round) => round.atMs <= atMs) ?? rounds[0];
    return html`<svg viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label=${`${rounds.length} rounds in ${formatWall(totalTimeMs)}. ${rounds.slice(0, ROUNDS_LISTED).map((round) => this.text(round)).join(' ')}`}>
        ${ticks(most, 3).map((value) => svg`<line class="grid" x1=${LEFT} x2=${width} y1=${y(value)} y2=${y(value)}></line><text x=${LEFT - 8} y=${y(value) + 4} text-anchor="end">${formatCount(value)}</text>`)}
        ${stoppedAtMs === undefined ? nothing : svg`<rect class="stopped" x=${x(stoppedAtMs)} y="0" width=${Math.max(2, x(totalTimeMs) - x(stoppedAtMs))} height=${BOTTOM}></rect>`}
        ${rounds.map((round) => this.bar(round, x, y))}
        <line class="now" x1=${x(atMs)} x2=${x(atMs)} y1="0" y2=${BOTTOM}></line>
        ${ticks(totalTimeMs, 8).map((ms) => svg`<text x=${x(ms)} y=${BOTTOM + 20} text-anchor=${x(ms) > width - 40 ? 'end' : 'middle'}>${formatWall(ms)}</text>`)}
      </svg>
      <div class="transport">
        <button @click=${this.toggle} data-testid="rounds-play">${this.isPlaying ? 'Pause' : 'Play'}</button>
        <button class="icon" aria-label="Previous round" @click=${() => this.step(-1)}>‹</button><button class="icon" aria-label="Next round" @click=${() => this.step(1)}>›</button>
        <input type="range" min="0" max=${totalTimeMs} step="any" .value=${String(atMs)} aria-label="Time since the migration began" aria-valuetext=${`${formatWall(atMs)}. ${this.text(current)}`} @input=${(event: Event) => { this.isPlaying = false; this.atMs = Number((event.target as HTMLInputElement).value); }} />
        <span data-testid="rounds-now">${formatWall(atMs)}: ${this.text(current)}</span>
      </div>
      <p class="muted"><span class="key sent"></span> pages sent <span class="key dirtied"></span> pages written meanwhile, to be sent again <span class="key stopped"></span> the guest is stopped</p>`;
  }

  private text({ sync, pages, bytes, dirtied, throttlePercent }: Round): string {
    return `Round ${sync}: ${formatCount(pages)} pages sent (${formatBytes(bytes)}), ${formatCount(dirtied)} written meanwhile${throttlePercent > 0 ? `, guest throttled by ${throttlePercent} %` : ''}.`;
  }

  private bar(round: Round, x: (ms: number) => number, y: (pages: number) => number): unknown {
    const done = Math.min(1, Math.max(0, (this.atMs - round.atMs) / Math.max(1e-9, round.ms)));
    const left = x(round.atMs);
    const width = Math.max(1.2, x(round.atMs + round.ms) - left - 1);
    const part = (pages: number, className: string, offset: number): unknown => svg`
      <rect class="${className} later" x=${left + offset * width} y=${y(pages)} width=${width * 0.5} height=${BOTTOM - y(pages)}></rect>
      <rect class=${className} x=${left + offset * width} y=${y(pages * done)} width=${width * 0.5} height=${BOTTOM - y(pages * done)}></rect>`;
    return svg`<g><title>${this.text(round)}</title>${part(round.pages, 'sent', 0)}${part(round.dirtied, 'dirtied', 0.5)}</g>`;
  }
}
customElements.define('lab-rounds-chart', RoundsChart);
