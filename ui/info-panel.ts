/** What a recording is: guest, machine, images, end, and how many events of each kind. */
import { LitElement, css, html, nothing } from 'lit';
import { formatBytes, formatCount, formatNs } from './format.ts';
import { KIND_ORDER, kindName } from './kinds.ts';
import { ModelController } from './model-controller.ts';
import type { RunModel } from './run-model.ts';
import { controls, panelHost, panels } from './styles.ts';

export class InfoPanel extends LitElement {
  static override properties = { model: { attribute: false } };
  static override styles = [
    controls,
    panels,
    panelHost,
    css`
      .body {
        flex: 1;
        min-height: 0;
        overflow: auto;
        padding: 0.6rem 0.8rem 0.8rem;
      }
      dl {
        display: grid;
        grid-template-columns: max-content minmax(0, 1fr);
        gap: 0.15rem 1rem;
        margin: 0;
        font-size: 0.92rem;
      }
      dt {
        color: var(--muted);
      }
      dd {
        margin: 0;
        overflow-wrap: anywhere;
      }
    `,
  ];
  declare model: RunModel | undefined;

  constructor() {
    super();
    new ModelController(this);
  }

  protected override render(): unknown {
    const summary = this.model?.summary;
    const row = (name: string, value: unknown): unknown => html`<dt>${name}</dt><dd>${value}</dd>`;
    return html`<section class="panel" aria-label="Recording">
      <header><h2>Recording</h2></header>
      <div class="body" tabindex="0" role="group" aria-label="About the recording" data-testid="info">
        ${summary === undefined
          ? nothing
          : html`<dl>
              ${row('guest', summary.guest)} ${row('command line', html`<code>${summary.commandLine}</code>`)}
              ${row('machine', html`${formatBytes(summary.memoryBytes)}, ${summary.cpuModel}${summary.devices.length === 0 ? nothing : `, ${summary.devices.join(', ')}`}`)}
              ${row('length', html`${formatCount(summary.lastPosition)} instructions${summary.end === undefined ? nothing : `, ${formatNs(summary.end.virtualNs)} of virtual time`}`)}
              ${row('end', summary.end === undefined ? 'cut off: the recorder was stopped in the middle' : html`${summary.end.reason} ${summary.end.detail}`)}
              ${row('state at the end', html`<code>${summary.end?.digest ?? 'not known'}</code>`)}
              ${row('log', html`${formatBytes(summary.bytes)}, ${formatCount(summary.records)} events, format ${summary.formatVersion}, ${summary.product}`)}
              ${KIND_ORDER.filter((kind) => summary.counts[kindName(kind)] > 0).map((kind) => row(kindName(kind), formatCount(summary.counts[kindName(kind)])))}
              ${summary.images.map((image) => row(image.name, html`${formatBytes(image.bytes)}, ${image.embedded ? 'in the log' : 'not in the log'}, <code title=${image.sha256}>sha256 ${image.sha256.slice(0, 16)}…</code>`))}
              ${row('identity', html`<code>${summary.id}</code>`)} ${row('seed', html`<code>${summary.seed}</code>`)}
              ${row('clock at power-on', new Date(Number(BigInt(summary.wallClockNs) / 1_000_000n)).toISOString())}
            </dl>`}
      </div>
    </section>`;
  }
}
customElements.define('lab-info', InfoPanel);
