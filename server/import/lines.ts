/** Bytes to lines, with a bound: no text, however made, takes more memory than one line may have. */

export const LINE_CHARACTERS_MAX = 4096;

export class LineSplitter {
  private readonly decoder = new TextDecoder('utf-8');
  private readonly onLine: (text: string, isCut: boolean) => void;
  private rest = '';
  private isCut = false;

  constructor(onLine: (text: string, isCut: boolean) => void) {
    this.onLine = onLine;
  }

  push(bytes: Uint8Array): void {
    this.take(this.decoder.decode(bytes, { stream: true }));
  }

  end(): void {
    this.take(this.decoder.decode());
    if (this.rest !== '' || this.isCut) this.emit();
  }

  private take(text: string): void {
    let from = 0;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
      this.append(text.slice(from, at));
      this.emit();
      from = at + 1;
    }
    this.append(text.slice(from));
  }

  private append(text: string): void {
    const room = LINE_CHARACTERS_MAX - this.rest.length;
    if (text.length > room) this.isCut = true;
    this.rest += text.slice(0, room);
  }

  private emit(): void {
    const text = this.rest.endsWith('\r') ? this.rest.slice(0, -1) : this.rest;
    const isCut = this.isCut;
    this.rest = '';
    this.isCut = false;
    this.onLine(text, isCut);
  }
}
