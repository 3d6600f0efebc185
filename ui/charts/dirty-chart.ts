/** What the guest writes over time, twice on one axis: pages a second as a curve (SVG), and where in memory as a heat map (canvas). The start of a migration is a line in both. */
import { LitElement, type PropertyValues, css, html, nothing, svg } from 'lit';
import type { CurvePoint, HeatMap } from '../../engine/analysis/dirty/folds.ts';
import { formatBytes, formatCount, formatNs } from '../format.ts';
import { onThemeChange } from '../theme.ts';
import { ticks } from '../quantities.ts';
import { REM_UNITS, WidthController } from './width-controller.ts';

const LEFT = 84;
const CURVE_HEIGHT = 170;
/** 16.43 rem. */
const HEAT_HEIGHT = 230;
const AXIS = 26;
const PAGE_BYTES = 4096;

export class DirtyChart extends LitElement {
  static override properties = { curve: { attribute: false }, heat: { attribute: false }, pages: { type: Number }, marks: { attribute: false }, endNs: { type: Number }, startNs: { type: Number }, stops: { attribute: false } };
  static override styles = css`
    :host {
      display: block;
    }
    svg {
      display: block;
      width: 100%;
      height: auto;
    }
    canvas {
      position: absolute;
      left: 6rem;
      width: calc(100% - 6rem);
      height: 100%;
      top: 0;
      image-rendering: pixelated;
    }
    .heat {
      position: relative;
      overflow: hidden;
      height: 16.43rem;
    }
    .heat svg {
      position: absolute;
      inset: 0;
      height: 100%;
    }
    text {
      fill: var(--muted);
      font: 400 12px var(--sans);
      font-variant-numeric: tabular-nums;
    }
    .grid {
      stroke: var(--line);
    }
    .area {
      fill: var(--kind-dirty);
      opacity: 0.22;
    }
    .curve {
      fill: none;
      stroke: var(--kind-dirty);
      stroke-width: 1.8;
    }
    .start {
      stroke: var(--cursor);
      stroke-width: 2;
    }
    .sync {
      stroke: var(--accent);
      stroke-width: 1;
    }
    .mark {
      stroke: var(--kind-mark);
      stroke-dasharray: 2 3;
    }
  `;
  private readonly size = new WidthController(this);
  declare curve: readonly CurvePoint[] | undefined;
  declare heat: HeatMap | undefined;
  /** Of the guest's memory. */
  declare pages: number;
  declare marks: readonly { readonly name: string; readonly atNs: number }[] | undefined;
  /** Virtual ns, both. */
  declare endNs: number;
  declare startNs: number | undefined;
  /** Virtual ns of syncs that lie within the recording. */
  declare stops: readonly number[] | undefined;
  private stopWatching: (() => void) | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.stopWatching = onThemeChange(this.paint);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.stopWatching?.();
  }

  private readonly x = (ns: number): number => LEFT + (ns / Math.max(1, this.endNs)) * (this.size.width - LEFT);

  protected override render(): unknown {
    const { width } = this.size;
    const { curve = [], heat, marks = [], startNs, stops = [], endNs } = this;
    const most = Math.max(1, ...curve.map(({ pagesPerSecond }) => pagesPerSecond));
    const y = (value: number): number => CURVE_HEIGHT - (value / most) * (CURVE_HEIGHT - 14);
    const steps = curve.map(({ fromNs, toNs, pagesPerSecond }) => `L${this.x(fromNs).toFixed(1)} ${y(pagesPerSecond).toFixed(1)}H${this.x(Math.min(toNs, endNs)).toFixed(1)}`).join('');
    const lines = (height: number): unknown => svg`
      ${marks.map(({ name, atNs }) => svg`<line class="mark" x1=${this.x(atNs)} x2=${this.x(atNs)} y1="0" y2=${height}><title>mark ${name}</title></line>`)}
      ${stops.map((at) => svg`<line class="sync" x1=${this.x(at)} x2=${this.x(at)} y1="0" y2=${height}></line>`)}
      ${startNs === undefined ? nothing : svg`<line class="start" x1=${this.x(startNs)} x2=${this.x(startNs)} y1="0" y2=${height}></line>`}`;
    const peak = curve.reduce<CurvePoint | undefined>((best, each) => (best === undefined || each.pagesPerSecond > best.pagesPerSecond ? each : best), undefined);
    const memory = this.pages * PAGE_BYTES;
    return html`<svg viewBox="0 0 ${width} ${CURVE_HEIGHT + AXIS}" role="img" aria-label=${`Pages written a second over ${formatNs(endNs)}${peak === undefined ? '' : `; most ${formatCount(Math.round(peak.pagesPerSecond))} at ${formatNs(Math.round(peak.fromNs))}`}`}>
        ${ticks(most, 3).map((value) => svg`<line class="grid" x1=${LEFT} x2=${width} y1=${y(value)} y2=${y(value)}></line><text x=${LEFT - 8} y=${y(value) + 4} text-anchor="end">${value >= 1000 ? `${value / 1000} k` : value}</text>`)}
        <path class="area" d="M${LEFT} ${CURVE_HEIGHT}${steps}V${CURVE_HEIGHT}Z"></path><path class="curve" d=${`M${LEFT} ${y(curve[0]?.pagesPerSecond ?? 0)}${steps}`}></path>
        ${lines(CURVE_HEIGHT)}
        ${ticks(endNs, 8).map((at) => svg`<text x=${this.x(at)} y=${CURVE_HEIGHT + 18} text-anchor=${this.x(at) > width - 40 ? 'end' : 'middle'}>${formatNs(at)}</text>`)}
      </svg>
      ${heat === undefined
        ? nothing
        : html`<div class="heat"><canvas role="img" aria-label=${`Where in ${formatBytes(memory)} of memory pages are written: rows of ${formatBytes(heat.pagesPerRow * PAGE_BYTES)}, columns of ${formatNs(heat.columnNs)}`} width=${heat.columns} height=${heat.rows}></canvas>
            <svg viewBox="0 0 ${width} ${HEAT_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
              <text x=${LEFT - 8} y="12" text-anchor="end">0</text><text x=${LEFT - 8} y=${HEAT_HEIGHT - 4} text-anchor="end">${formatBytes(memory)}</text>${lines(HEAT_HEIGHT)}</svg></div>`}`;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('heat') || changed.has('endNs')) this.paint();
  }

  private readonly paint = (): void => {
    const { heat } = this;
    const canvas = this.renderRoot.querySelector('canvas');
    const context = canvas?.getContext('2d');
    if (heat === undefined || canvas === null || context === null || context === undefined) return;
    // The last column may reach beyond the end of the run.
    canvas.style.width = `calc((100% - ${LEFT / REM_UNITS}rem) * ${(heat.columns * heat.columnNs) / Math.max(1, this.endNs)})`;
    const style = getComputedStyle(this);
    const [low, high] = ['--raised', '--kind-dirty'].map((name) => rgbOf(style.getPropertyValue(name).trim()));
    const image = context.createImageData(heat.columns, heat.rows);
    const scale = Math.log1p(heat.most);
    for (let i = 0; i < heat.counts.length; i++) {
      const share = heat.counts[i] === 0 ? 0 : 0.25 + (0.75 * Math.log1p(heat.counts[i])) / Math.max(1e-9, scale);
      for (let part = 0; part < 3; part++) image.data[i * 4 + part] = low[part] + (high[part] - low[part]) * share;
      image.data[i * 4 + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  };
}
customElements.define('lab-dirty-chart', DirtyChart);

/** `#rrggbb` */
function rgbOf(color: string): readonly [number, number, number] {
  const value = Number.parseInt(color.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}
