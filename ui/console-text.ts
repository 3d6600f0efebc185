/**
 * A very plain terminal: lines of text, carriage return, backspace, tab, erase; colours and other escape sequences are left out.
 * It goes forward a byte at a time, and starts anew to go back.
 */
const LINES_MAX = 4000;
const TAB = 8;

export class ConsoleText {
  private lines: string[] = [''];
  private row = 0;
  private column = 0;
  private escape = '';
  /** Bytes of a UTF-8 character that is not complete yet. */
  private partial: number[] = [];
  /** Lines at the top that were dropped. */
  dropped = 0;

  write(byte: number): void {
    if (this.escape !== '') return this.writeEscape(byte);
    switch (byte) {
      case 0x1b:
        this.escape = '\x1b';
        return;
      case 0x0a:
        return this.newLine();
      case 0x0d:
        this.column = 0;
        return;
      case 0x08:
        this.column = Math.max(0, this.column - 1);
        return;
      case 0x09:
        do this.put(' ');
        while (this.column % TAB !== 0);
        return;
      default:
        if (byte >= 0x80) return this.writeUtf8(byte);
        if (byte >= 0x20 && byte !== 0x7f) this.put(String.fromCharCode(byte));
    }
  }

  toString(): string {
    return this.lines.join('\n');
  }

  private put(character: string): void {
    const line = this.lines[this.row];
    this.lines[this.row] = `${line.slice(0, this.column).padEnd(this.column)}${character}${line.slice(this.column + 1)}`;
    this.column++;
  }

  private newLine(): void {
    this.row++;
    this.column = 0;
    if (this.row === this.lines.length) this.lines.push('');
    if (this.lines.length > LINES_MAX * 2) {
      this.lines = this.lines.slice(LINES_MAX);
      this.row -= LINES_MAX;
      this.dropped += LINES_MAX;
    }
  }

  private writeUtf8(byte: number): void {
    this.partial = byte >= 0xc0 ? [byte] : [...this.partial, byte];
    const lead = this.partial[0];
    const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (this.partial.length < length) return;
    this.put(new TextDecoder().decode(Uint8Array.from(this.partial)));
    this.partial = [];
  }

  /** CSI sequences end with a byte from @ to ~, operating system commands with BEL or ST, those of character sets after two bytes, others after one. */
  private writeEscape(byte: number): void {
    this.escape += String.fromCharCode(byte);
    const kind = this.escape[1];
    if (kind === '[') {
      if (this.escape.length > 2 && byte >= 0x40 && byte <= 0x7e) this.finishCsi();
    } else if (kind === ']') {
      if (byte === 0x07 || this.escape.endsWith('\x1b\\')) this.escape = '';
    } else if (!'()*+-./#% '.includes(kind) || this.escape.length > 2) this.escape = '';
    if (this.escape.length > 256) this.escape = '';
  }

  private finishCsi(): void {
    const [, digits, final] = /^\x1b\[([\d;?]*).*(.)$/.exec(this.escape) ?? [];
    this.escape = '';
    const value = Number.parseInt(digits ?? '', 10);
    switch (final) {
      case 'K':
        // Erase to the end of the line; 2 is all of it.
        this.lines[this.row] = value === 2 ? '' : this.lines[this.row].slice(0, this.column);
        return;
      case 'J':
        if (value === 2 || value === 3) {
          this.lines = [''];
          this.row = 0;
          this.column = 0;
        }
        return;
      case 'D':
        this.column = Math.max(0, this.column - (Number.isNaN(value) ? 1 : value));
        return;
      case 'C':
        this.column += Number.isNaN(value) ? 1 : Math.min(value, 512);
        return;
    }
  }
}
