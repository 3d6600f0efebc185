/** A flame graph as a tree of boxes: click or Enter makes a box the whole width, arrows go from box to box. */
import { LitElement, type PropertyValues, css, html, nothing } from 'lit';
import { formatCount } from '../format.ts';
import { formatShare } from '../quantities.ts';
import { controls } from '../styles.ts';
import { type FlameBox, type FlameNode, type Stack, boxesOf, flameOf } from './flame.ts';

/** Of the width: what is narrower cannot be seen. */
const LEAST = 0.0008;
const ROW_REM = 1.7;
const HUES = ['--kind-idle', '--kind-mark', '--kind-input', '--kind-exit', '--kind-device', '--kind-interrupt'];

export class FlameChart extends LitElement {
  static override properties = { stacks: { attribute: false }, unit: {}, zoomed: { state: true }, focused: { state: true } };
  static override styles = [
    controls,
    css`
      :host {
        display: block;
      }
      .flame {
        position: relative;
        overflow: hidden;
      }
      .box {
        position: absolute;
        overflow: hidden;
        padding: 0 0.3rem;
        border: 1px solid var(--panel);
        border-radius: 0.2rem;
        background: color-mix(in srgb, var(--hue) 30%, var(--panel));
        color: var(--text);
        font-size: 0.85rem;
        line-height: 1.55rem;
        text-overflow: ellipsis;
        white-space: nowrap;
        cursor: pointer;
      }
      .box:hover,
      .box:focus-visible {
        background: color-mix(in srgb, var(--hue) 50%, var(--panel));
      }
      .box:focus-visible {
        outline-offset: -2px;
      }
      .told {
        min-height: 1.6rem;
        margin-top: 0.4rem;
      }
    `,
  ];
  declare stacks: readonly Stack[] | undefined;
  declare unit: string | undefined;
  declare zoomed: FlameNode | undefined;
  declare focused: FlameNode | undefined;
  private root: FlameNode = flameOf([]);

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('stacks')) return;
    this.root = flameOf(this.stacks ?? []);
    this.zoomed = this.focused = this.root;
  }

  private get boxes(): FlameBox[] {
    return boxesOf(this.zoomed ?? this.root, LEAST);
  }

  private text({ name, weight }: FlameNode): string {
    return `${name}: ${formatCount(Math.round(weight))} ${this.unit ?? ''}, ${formatShare(weight / Math.max(1, this.root.weight))}`;
  }

  private readonly onKey = (event: KeyboardEvent): void => {
    const boxes = this.boxes;
    const at = boxes.find(({ node }) => node === this.focused) ?? boxes[0];
    if (at === undefined) return;
    const row = boxes.filter(({ node }) => node.depth === at.node.depth).sort((a, b) => a.from - b.from);
    let next: FlameNode | undefined;
    switch (event.key) {
      case 'ArrowDown':
        next = boxes.find(({ node }) => node.parent === at.node)?.node;
        break;
      case 'ArrowUp':
        next = at.node.parent;
        break;
      case 'ArrowLeft':
      case 'ArrowRight':
        next = row.at(Math.max(0, row.indexOf(at) + (event.key === 'ArrowLeft' ? -1 : 1)))?.node;
        break;
      case 'Enter':
      case ' ':
        this.zoomed = next = at.node;
        break;
      case 'Escape':
        this.zoomed = next = this.root;
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
    if (next !== undefined) this.focusOn(next);
  };

  private focusOn(node: FlameNode): void {
    this.focused = node;
    void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>('[tabindex="0"]')?.focus());
  }

  protected override render(): unknown {
    const { boxes } = this;
    if (boxes.length === 0) return html`<p class="muted">There is nothing with a weight.</p>`;
    const focused = boxes.some(({ node }) => node === this.focused) ? this.focused : boxes[0].node;
    const depth = Math.max(...boxes.map(({ node }) => node.depth)) + 1;
    return html`<div class="flame" role="tree" aria-label="Flame graph" @keydown=${this.onKey} .style=${`height: ${depth * ROW_REM}rem`}>
        ${boxes.map(({ node, from, width }) => html`<div class="box" role="treeitem" aria-level=${node.depth + 1} aria-label=${this.text(node)} aria-selected=${node === this.zoomed} tabindex=${node === focused ? 0 : -1} title=${this.text(node)}
          .style=${`left: ${from * 100}%; width: ${width * 100}%; top: ${node.depth * ROW_REM}rem; height: ${ROW_REM}rem; --hue: var(${HUES[node.depth % HUES.length]})`}
          @click=${() => { this.zoomed = node; this.focused = node; }} @focus=${() => (this.focused = node)}>${width > 0.02 ? node.name : ''}</div>`)}
      </div>
      <p class="told muted" aria-live="polite">${focused === undefined ? nothing : this.text(focused)}. Arrows move, Enter widens a box, Escape shows all.</p>`;
  }
}
customElements.define('lab-flame-chart', FlameChart);
