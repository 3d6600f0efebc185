/**
 * The guest's terminal: xterm.js without a screen, because its own one makes style elements, which the content security policy of the pages forbids, and is a picture to a screen reader.
 * Lines come out as runs of one look each.
 */
import { Terminal as Xterm } from '@xterm/headless/lib-headless/xterm-headless.mjs';

const COLUMNS = 80;
const ROWS = 25;
/** Lines above the screen that are kept. */
const SCROLLBACK = 3000;

export interface TextRun {
  readonly text: string;
  /** Of the 16 colours of a terminal; undefined: its own. Others are left out. */
  readonly colour: number | undefined;
  readonly isBold: boolean;
  /** The cell where the next character comes. */
  readonly isCursor?: boolean;
}

const PLAIN: TextRun = { text: '', colour: undefined, isBold: false };

export class GuestTerminal {
  private readonly xterm = new Xterm({
    cols: COLUMNS, rows: ROWS, scrollback: SCROLLBACK, allowProposedApi: true,
    // A line feed alone is a new line, as the lab's guests mean it.
    convertEol: true,
  }); // prettier-ignore

  /** Resolves when it is all shown. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => this.xterm.write(bytes, resolve));
  }
  reset(): void {
    this.xterm.reset();
  }
  dispose(): void {
    this.xterm.dispose();
  }

  /** All of it, with line feeds; neighbours of one look together. */
  runs(hasCursor = false): readonly TextRun[] {
    const runs: TextRun[] = [];
    const add = (run: TextRun): void => {
      const before = runs.at(-1);
      if (before !== undefined && isAlike(before, run)) runs[runs.length - 1] = { ...before, text: before.text + run.text };
      else runs.push(run);
    };
    this.lines(hasCursor).forEach((line, i) => {
      if (i > 0) add({ ...(runs.at(-1) ?? PLAIN), isCursor: false, text: '\n' });
      line.forEach(add);
    });
    return runs;
  }

  /** Lines that were only wrapped are one; what is empty at the end is left out. */
  private lines(hasCursor: boolean): readonly (readonly TextRun[])[] {
    const { active } = this.xterm.buffer;
    const lines: TextRun[][] = [];
    const end = active.baseY + active.cursorY + 1;
    let cell = active.getNullCell();
    for (let y = 0; y < Math.max(end, lastUsed(active) + 1); y++) {
      const line = active.getLine(y);
      if (line === undefined) break;
      const runs: TextRun[] = line.isWrapped ? (lines.pop() ?? []) : [];
      const isGoneOn = active.getLine(y + 1)?.isWrapped === true;
      const text = line.translateToString(!isGoneOn);
      const cursor = hasCursor && y === end - 1 ? Math.min(active.cursorX, line.length - 1) : -1;
      let x = 0;
      while (x < line.length && x < Math.max(text.length, isGoneOn ? line.length : 0, cursor + 1)) {
        cell = line.getCell(x, cell) ?? cell;
        const colour = cell.isFgPalette() && cell.getFgColor() < 16 ? cell.getFgColor() : undefined;
        const isBold = cell.isBold() !== 0;
        const characters = cell.getWidth() === 0 ? '' : cell.getChars() === '' ? ' ' : cell.getChars();
        const run: TextRun = { text: characters, colour, isBold, ...(x === cursor && { isCursor: true }) };
        const before = runs.at(-1);
        if (before !== undefined && isAlike(before, run)) runs[runs.length - 1] = { ...before, text: before.text + characters };
        else runs.push(run);
        x++;
      }
      lines.push(runs);
    }
    return lines;
  }
}

function isAlike(a: TextRun, b: TextRun): boolean {
  return a.colour === b.colour && a.isBold === b.isBold && a.isCursor !== true && b.isCursor !== true;
}

function lastUsed(buffer: { readonly length: number; getLine(y: number): { translateToString(trimRight: boolean): string } | undefined }): number {
  for (let y = buffer.length - 1; y >= 0; y--) if (buffer.getLine(y)?.translateToString(true) !== '') return y;
  return -1;
}
