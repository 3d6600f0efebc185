/** The devices' state as a tree. */
import { css, html, nothing } from 'lit';
import type { Look, StateNode } from '../../engine/protocol/moment.ts';
import { MomentPanel, panelStyles } from './moment-panel.ts';

export class DevicesPanel extends MomentPanel {
  static override styles = [
    ...panelStyles,
    css`
      details {
        padding-left: 1rem;
      }
      details.top {
        padding-left: 0;
      }
      summary {
        cursor: pointer;
        font-weight: 600;
      }
      .value {
        display: flex;
        gap: 0.6rem;
        padding-left: 1rem;
        font: 400 0.86rem/1.55 var(--mono);
      }
      .value span:first-child {
        flex: none;
        color: var(--muted);
      }
      .value span:last-child {
        overflow-wrap: anywhere;
      }
      .value.changed span:last-child {
        background: var(--changed);
      }
    `,
  ];
  protected override readonly name = 'devices';
  private shown = new Map<string, string>();
  private earlier = new Map<string, string>();
  private shownAt = -1;

  protected override look(): Look {
    return { hasDevices: true };
  }

  protected override willUpdate(): void {
    const { moment } = this;
    if (moment?.devices === undefined || moment.machine.position === this.shownAt) return;
    this.earlier = this.shown;
    this.shown = new Map();
    this.shownAt = moment.machine.position;
    const gather = (nodes: readonly StateNode[], path: string): void => {
      for (const { name, value, children } of nodes) {
        if (value !== undefined) this.shown.set(`${path}/${name}`, value);
        gather(children, `${path}/${name}`);
      }
    };
    gather(moment.devices, '');
  }

  protected override render(): unknown {
    const devices = this.moment?.devices;
    return html`<section class="panel" aria-label="Devices" aria-busy=${this.isBusy ? 'true' : 'false'}>
      <header><h2>Devices</h2><span class="muted">what each keeps</span></header>
      <div class="body" tabindex="0" role="group" aria-label="Devices' state" data-testid="devices">${devices === undefined ? this.empty() : devices.map((node) => this.node(node, '', true))}</div>
    </section>`;
  }

  private node({ name, value, children }: StateNode, path: string, isTop = false): unknown {
    const own = `${path}/${name}`;
    if (children.length === 0) {
      const before = this.earlier.get(own);
      const isChanged = before !== undefined && before !== value;
      return html`<div class="value ${isChanged ? 'changed' : ''}" title=${isChanged ? `was ${before}` : nothing}><span>${name}</span><span>${value ?? 'nothing'}</span></div>`;
    }
    return html`<details class=${isTop ? 'top' : ''} ?open=${isTop && name !== 'random' && name !== 'msrs'}><summary>${name}${value === undefined ? nothing : html` <span class="muted">${value}</span>`}</summary>${children.map((child) => this.node(child, own))}</details>`;
  }
}
customElements.define('lab-devices', DevicesPanel);
