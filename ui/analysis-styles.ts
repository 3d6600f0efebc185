/** What the pages that analyse a recording share: their frame, forms, tables and figures. */
import { css } from 'lit';

export const analysis = css`
  :host {
    display: block;
    max-width: 175rem;
    margin: 0 auto;
    padding: 0.8rem 1.2rem 3rem;
  }
  .head {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.4rem 1.2rem;
  }
  .head h1 {
    flex: 1 1 auto;
    font-size: 1.4rem;
    font-weight: 650;
    letter-spacing: -0.01em;
  }
  .head h1 .muted {
    font-weight: 450;
  }
  .back {
    color: var(--muted);
    font-weight: 500;
    text-decoration: none;
  }
  .back:hover {
    text-decoration: underline;
  }
  .purpose {
    margin: 0.3rem 0 0.2rem;
  }
  .busy {
    display: flex;
    align-items: center;
    gap: 0.8rem;
    min-height: 2.2rem;
    margin-bottom: 0.4rem;
  }
  .busy progress {
    flex: 0 1 24rem;
    accent-color: var(--accent);
  }
  .notice {
    margin-bottom: 1rem;
  }
  .notice strong {
    white-space: pre-wrap;
  }
  .notice code {
    white-space: pre-wrap;
  }
  .panel {
    margin-bottom: 1rem;
  }
  .panel > .body {
    padding: 0.8rem;
  }
  .scroll {
    overflow-x: auto;
  }
  form {
    display: flex;
    flex-wrap: wrap;
    align-items: end;
    gap: 0.7rem 1.1rem;
  }
  label.field {
    display: grid;
    gap: 0.25rem;
    color: var(--muted);
    font-size: 0.88rem;
  }
  label.check {
    display: inline-flex;
    align-items: center;
    gap: 0.4rem;
    min-height: 2.1rem;
  }
  label.check input {
    min-height: 0;
    accent-color: var(--accent);
  }
  fieldset {
    display: flex;
    flex-wrap: wrap;
    gap: 0.1rem 0.9rem;
    min-width: 0;
    margin: 0;
    padding: 0;
    border: 0;
  }
  legend {
    padding: 0;
    color: var(--muted);
    font-size: 0.88rem;
  }
  table {
    width: 100%;
    border-collapse: collapse;
    font-variant-numeric: tabular-nums;
  }
  caption {
    padding: 0 0 0.4rem;
    color: var(--muted);
    font-size: 0.9rem;
    text-align: left;
  }
  th,
  td {
    padding: 0.3rem 0.7rem 0.3rem 0;
    border-bottom: 1px solid var(--line);
    text-align: left;
    vertical-align: top;
  }
  thead th {
    color: var(--muted);
    font-size: 0.86rem;
    font-weight: 500;
    white-space: nowrap;
  }
  tbody th {
    font-weight: 500;
  }
  th.number,
  td.number {
    text-align: right;
    white-space: nowrap;
  }
  h3 {
    margin: 1rem 0 0.4rem;
    font-size: 0.95rem;
    font-weight: 600;
  }
  .columns {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(44rem, 100%), 1fr));
    gap: 0 1rem;
    align-items: start;
  }
  dl.facts {
    display: grid;
    grid-template-columns: max-content minmax(0, 1fr);
    gap: 0.2rem 1.2rem;
    margin: 0;
    overflow-wrap: anywhere;
  }
  dl.facts dt {
    color: var(--muted);
  }
  dl.facts dd {
    margin: 0;
  }
  .notes {
    margin: 0.6rem 0 0;
    padding-left: 1.2rem;
    color: var(--muted);
    font-size: 0.92rem;
  }
  a.moment {
    color: var(--accent);
    font-variant-numeric: tabular-nums;
  }
  svg text {
    fill: var(--text);
    font: 400 0.85rem var(--sans);
    font-variant-numeric: tabular-nums;
  }
  svg text.muted {
    fill: var(--muted);
  }
`;
