/** A recording as one line, with the place that was found, and marks for orientation. SVG; each place is a link to its moment. */
import { LitElement, css, html, nothing, svg } from 'lit';
import { formatCount } from '../format.ts';
import { ticks } from '../quantities.ts';
import { WidthController } from './width-controller.ts';

export interface LinePlace {
  readonly position: number;
  readonly name: string;
  readonly href: string;
  readonly isFound: boolean;
}

const LINE_Y = 34;
const HEIGHT = 78;
const PAD = 12;

export class PositionLine extends LitElement {
  static override properties = { places: { attribute: false }, last: { type: Number }, from: { type: Number }, to: { type: Number }, reached: { type: Number } };
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
      fill: var(--muted);
      font: 400 12px var(--sans);
      font-variant-numeric: tabular-nums;
    }
    .line {
      stroke: var(--line-strong);
      stroke-width: 6;
      stroke-linecap: round;
    }
    .range {
      stroke: var(--accent-soft);
      stroke-width: 6;
    }
    .reached {
      stroke: var(--accent);
      stroke-width: 6;
    }
    .tick {
      stroke: var(--line-strong);
    }
    .mark {
      stroke: var(--kind-mark);
      stroke-width: 2;
    }
    .found line {
      stroke: var(--cursor);
      stroke-width: 3;
    }
    .found text {
      fill: var(--text);
      font-size: 14px;
      font-weight: 650;
    }
    a:focus-visible {
      outline: 2px solid var(--accent);
    }
  `;
  private readonly size = new WidthController(this);
  declare places: readonly LinePlace[] | undefined;
  /** The last position. */
  declare last: number;
  /** The stretch that is searched. */
  declare from: number | undefined;
  declare to: number | undefined;
  /** How far a search is. */
  declare reached: number | undefined;

  protected override render(): unknown {
    const { width } = this.size;
    const { places = [], last, from, to, reached } = this;
    const x = (position: number): number => PAD + (position / Math.max(1, last)) * (width - 2 * PAD);
    const anchor = (at: number): string => (at < 150 ? 'start' : at > width - 150 ? 'end' : 'middle');
    return html`<svg viewBox="0 0 ${width} ${HEIGHT}" role="group" aria-label=${`Positions 0 to ${formatCount(last)}`}>
      <line class="line" x1=${x(0)} x2=${x(last)} y1=${LINE_Y} y2=${LINE_Y}></line>
      ${from === undefined || to === undefined ? nothing : svg`<line class="range" x1=${x(from)} x2=${x(to)} y1=${LINE_Y} y2=${LINE_Y}></line>`}
      ${reached === undefined ? nothing : svg`<line class="reached" x1=${x(0)} x2=${x(reached)} y1=${LINE_Y} y2=${LINE_Y}></line>`}
      ${ticks(last, 6).map((each) => svg`<line class="tick" x1=${x(each)} x2=${x(each)} y1=${LINE_Y + 8} y2=${LINE_Y + 14}></line><text x=${x(each)} y=${LINE_Y + 28} text-anchor=${anchor(x(each))}>@${formatCount(each)}</text>`)}
      ${places.map(({ position, name, href, isFound }) => svg`<a class=${isFound ? 'found' : ''} href=${href} aria-label=${`${name}, at ${formatCount(position)}`}>
        <title>${name}, @${formatCount(position)}</title>
        ${isFound
          ? svg`<line x1=${x(position)} x2=${x(position)} y1=${LINE_Y - 14} y2=${LINE_Y + 12}></line><text x=${x(position)} y=${LINE_Y - 19} text-anchor=${anchor(x(position))}>@${formatCount(position)}</text>`
          : svg`<line class="mark" x1=${x(position)} x2=${x(position)} y1=${LINE_Y - 8} y2=${LINE_Y + 8}></line>`}
      </a>`)}
    </svg>`;
  }
}
customElements.define('lab-position-line', PositionLine);
