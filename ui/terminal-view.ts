/** How runs of a terminal's text look: in the console of a recording, and in that of a run that goes on. */
import { css, html } from 'lit';
import type { TextRun } from './terminal.ts';

export const terminalStyles = css`
  .bold {
    font-weight: 700;
  }
  /* The console is dark in both themes: these are light enough on it. */
  .c0,
  .c8 {
    color: #8b93a7;
  }
  .c1,
  .c9 {
    color: #ff8a80;
  }
  .c2,
  .c10 {
    color: #7ee08a;
  }
  .c3,
  .c11 {
    color: #ffd866;
  }
  .c4,
  .c12 {
    color: #8fb4ff;
  }
  .c5,
  .c13 {
    color: #e09cff;
  }
  .c6,
  .c14 {
    color: #6fe0e0;
  }
  .c7,
  .c15 {
    color: #f2f4f8;
  }
  .cursor {
    outline: 1px solid currentColor;
  }
  :focus > .cursor {
    background: var(--console-text);
    color: var(--console);
    outline: none;
  }
`;

export function terminalText(runs: readonly TextRun[]): unknown {
  return runs.map(({ text, colour, isBold, isCursor }) => {
    const classes = [...(colour === undefined ? [] : [`c${colour}`]), ...(isBold ? ['bold'] : []), ...(isCursor === true ? ['cursor'] : [])];
    return classes.length === 0 ? text : html`<span class=${classes.join(' ')}>${text}</span>`;
  });
}
