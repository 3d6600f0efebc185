/** What the elements share: controls, badges, panels. Colours are the properties of theme.css. */
import { css } from 'lit';

export const controls = css`
  :host {
    box-sizing: border-box;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  :focus-visible {
    outline: 2px solid var(--accent);
    outline-offset: 1px;
  }
  button,
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.45rem;
    min-height: 2.1rem;
    padding: 0 0.8rem;
    border: 1px solid var(--line-strong);
    border-radius: 0.4rem;
    background: var(--panel);
    color: var(--text);
    font: 500 0.95rem/1 var(--sans);
    text-decoration: none;
    white-space: nowrap;
    cursor: pointer;
  }
  button:hover:not(:disabled),
  .button:hover {
    background: var(--raised);
    border-color: var(--muted);
  }
  button:disabled,
  button[aria-disabled='true'] {
    opacity: 0.5;
    cursor: default;
  }
  button.primary,
  .button.primary {
    border-color: var(--accent);
    background: var(--accent);
    color: var(--accent-text);
  }
  button.primary:hover:not(:disabled),
  .button.primary:hover {
    background: var(--accent);
    filter: brightness(1.08);
  }
  button.quiet {
    border-color: transparent;
    background: transparent;
  }
  button.icon {
    width: 2.1rem;
    padding: 0;
  }
  input,
  select {
    min-height: 2.1rem;
    padding: 0 0.6rem;
    border: 1px solid var(--line-strong);
    border-radius: 0.4rem;
    background: var(--panel);
    color: var(--text);
    font: 400 0.95rem/1 var(--sans);
  }
  input.mono {
    font-family: var(--mono);
  }
  input::placeholder {
    color: var(--muted);
    opacity: 1;
  }
  code,
  .mono {
    font-family: var(--mono);
    font-size: 0.92em;
  }
  kbd {
    display: inline-block;
    min-width: 1.6em;
    padding: 0.1em 0.4em;
    border: 1px solid var(--line-strong);
    border-bottom-width: 2px;
    border-radius: 0.3em;
    background: var(--raised);
    font: 500 0.85em/1.3 var(--mono);
    text-align: center;
  }
  h1,
  h2,
  h3,
  p {
    margin: 0;
  }
  .muted {
    color: var(--muted);
  }
  .badge {
    display: inline-flex;
    align-items: center;
    gap: 0.35rem;
    padding: 0.18rem 0.55rem;
    border-radius: 1rem;
    background: var(--raised);
    color: var(--muted);
    font-size: 0.85rem;
    font-weight: 500;
    line-height: 1.3;
    white-space: nowrap;
  }
  .badge.good {
    background: var(--good-soft);
    color: var(--good);
  }
  .badge.bad {
    background: var(--bad-soft);
    color: var(--bad);
  }
  .badge.warn {
    background: var(--warn-soft);
    color: var(--warn);
  }
  .notice {
    display: grid;
    gap: 0.25rem;
    padding: 0.75rem 1rem;
    border: 1px solid var(--line);
    border-radius: var(--radius);
    background: var(--panel);
  }
  .notice.bad {
    border-color: var(--bad);
    background: var(--bad-soft);
  }
  .notice.bad strong {
    color: var(--bad);
  }
  .spread {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.6rem;
  }
  .grow {
    flex: 1 1 auto;
  }
  .visually-hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
`;

/** An element that is one panel, and fills the place that it is given. */
export const panelHost = css`
  :host {
    display: flex;
    min-width: 0;
    min-height: 0;
  }
  .panel {
    flex: 1;
  }
`;

export const panels = css`
  .panel {
    display: flex;
    flex-direction: column;
    min-width: 0;
    min-height: 0;
    overflow: hidden;
    border: 1px solid var(--line);
    border-radius: var(--radius);
    background: var(--panel);
  }
  .panel > header {
    display: flex;
    flex: none;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.5rem;
    min-height: 2.5rem;
    padding: 0.3rem 0.8rem;
    border-bottom: 1px solid var(--line);
  }
  .panel > header h2 {
    font-size: 0.95rem;
    font-weight: 600;
  }
`;

/** A dialog over the page; its width is its own. */
export const dialogs = css`
  dialog {
    padding: 1.2rem 1.4rem 1.4rem;
    border: 1px solid var(--line-strong);
    border-radius: var(--radius);
    background: var(--panel);
    color: var(--text);
  }
  dialog::backdrop {
    background: rgb(0 0 0 / 45%);
  }
`;

/** One that asks, or tells how long work goes on: heading, body, buttons. */
export const formDialogs = css`
  dialog {
    font: 400 1rem/1.45 var(--sans);
  }
  h2 {
    font-size: 1.2rem;
    font-weight: 640;
  }
  .body {
    display: grid;
    gap: 0.8rem;
    margin: 0.8rem 0 1.2rem;
  }
`;
