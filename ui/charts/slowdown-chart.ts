/** Bars of slowdown against the bare machine, one a technique, with the range of the costs as a line. SVG; the table beside it has the numbers. */
import { LitElement, css, html, svg } from 'lit';
import type { CycleRange } from '../../engine/analysis/comparison/ledger.ts';
import { formatRatio, ticks } from '../quantities.ts';
import { WidthController } from './width-controller.ts';

export interface SlowdownBar {
  readonly name: string;
  readonly slowdown: CycleRange;
}

const NAME_WIDTH = 150;
const VALUE_WIDTH = 180;
const ROW_HEIGHT = 30;
const AXIS_HEIGHT = 26;

export class SlowdownChart extends LitElement {
  static override properties = { bars: { attribute: false }, chosen: {} };
  static override styles = css`
    :host {
      display: block;
    }
    svg {
      display: block;
      width: 100%;
      height: auto;
    }
    text {
      fill: var(--text);
      font: 400 14px var(--sans);
      font-variant-numeric: tabular-nums;
    }
    .axis {
      fill: var(--muted);
      font-size: 12px;
    }
    .grid {
      stroke: var(--line);
    }
    .one {
      stroke: var(--line-strong);
      stroke-dasharray: 3 3;
    }
    .bar {
      fill: var(--kind-exit);
      opacity: 0.75;
    }
    .chosen .bar {
      opacity: 1;
    }
    .chosen text.name {
      font-weight: 650;
    }
    .range {
      stroke: var(--text);
      stroke-width: 1.5;
    }
  `;
  private readonly size = new WidthController(this);
  declare bars: readonly SlowdownBar[] | undefined;
  declare chosen: string | undefined;

  protected override render(): unknown {
    const { width } = this.size;
    const { bars = [], chosen } = this;
    const most = Math.max(1, ...bars.map(({ slowdown }) => slowdown.high)) * 1.03;
    const plot = width - NAME_WIDTH - VALUE_WIDTH;
    const x = (value: number): number => NAME_WIDTH + (value / most) * plot;
    const bottom = bars.length * ROW_HEIGHT;
    const height = bottom + AXIS_HEIGHT;
    return html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label=${`Slowdown: ${bars.map(({ name, slowdown }) => `${name} ${formatRatio(slowdown.typical)}`).join(', ')}`}>
      ${ticks(most).map((value) => svg`<line class="grid" x1=${x(value)} x2=${x(value)} y1="0" y2=${bottom}></line><text class="axis" x=${x(value)} y=${bottom + 18} text-anchor="middle">${value}×</text>`)}
      <line class="one" x1=${x(1)} x2=${x(1)} y1="0" y2=${bottom}></line>
      ${bars.map(({ name, slowdown: { low, typical, high } }, i) => {
        const y = i * ROW_HEIGHT;
        const middle = y + ROW_HEIGHT / 2;
        return svg`<g class=${name === chosen ? 'chosen' : ''}>
          <text class="name" x=${NAME_WIDTH - 10} y=${middle + 5} text-anchor="end">${name}</text>
          <rect class="bar" x=${NAME_WIDTH} y=${y + 6} width=${Math.max(1, x(typical) - NAME_WIDTH)} height=${ROW_HEIGHT - 12} rx="2"></rect>
          <path class="range" fill="none" d="M${x(low)} ${middle - 5}v10M${x(low)} ${middle}H${x(high)}M${x(high)} ${middle - 5}v10"></path>
          <text x=${width - VALUE_WIDTH + 14} y=${middle + 5}>${formatRatio(typical)}  (${low.toFixed(2)} to ${high.toFixed(2)})</text>
        </g>`;
      })}
    </svg>`;
  }
}
customElements.define('lab-slowdown-chart', SlowdownChart);
