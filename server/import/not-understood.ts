/** What an importer could not read: how many lines, and the first of them. Nothing is passed over in silence. */

const SHOWN_MAX = 10;
const SHOWN_CHARACTERS = 160;

export interface UnreadLine {
  /** From 1. */
  readonly line: number;
  readonly text: string;
  readonly why: string;
}

export class NotUnderstood {
  count = 0;
  readonly first: UnreadLine[] = [];

  add(line: number, text: string, why: string): void {
    this.count++;
    if (this.first.length < SHOWN_MAX) this.first.push({ line, text: printable(text), why });
  }
}

function printable(text: string): string {
  const clean = text.slice(0, SHOWN_CHARACTERS).replace(/[^\x20-\x7e]/g, '?').trim();
  return text.length > SHOWN_CHARACTERS ? `${clean}...` : clean;
}
