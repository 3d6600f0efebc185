/** What a guest had on its console at the end, small. Of the server it is asked for when it comes into view, one after the other. */
import { LitElement, css, html } from 'lit';
import { LogReader } from '../engine/log/reader.ts';
import { MemorySource } from '../engine/log/storage.ts';
import type { RecordingPlace } from './recording-place.ts';
import { PICTURE_BYTES, consoleEnd, pictureOf } from './console-end.ts';
import { localLog } from './library.ts';

/** Of this page, by place and id. */
const known = new Map<string, string>();
const KNOWN_MAX = 500;
/** A server has few threads for recordings. */
let queue: Promise<void> = Promise.resolve();

/** Throws what is wrong with the log, the server or the browser. */
async function load({ place, id }: RecordingPlace): Promise<string> {
  if (place === 'server') {
    const response = await fetch(`./api/v1/recordings/${encodeURIComponent(id)}/console?bytes=${PICTURE_BYTES}`);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return pictureOf(new Uint8Array(await response.arrayBuffer()));
  }
  const bytes = await localLog(id);
  if (bytes === undefined) throw new Error('this browser does not have it');
  return pictureOf(consoleEnd(LogReader.open(new MemorySource(bytes))));
}

export class ConsolePicture extends LitElement {
  static override properties = { recording: { attribute: false }, version: {}, text: { state: true }, note: { state: true } };
  static override styles = css`
    :host {
      display: block;
    }
    pre {
      height: 8.2rem;
      margin: 0;
      padding: 0.5rem 0.7rem;
      overflow: hidden;
      border-radius: 0.4rem;
      background: var(--console);
      color: var(--console-text);
      font: 400 0.72rem/1.25 var(--mono);
    }
    .note {
      color: color-mix(in srgb, var(--console-text) 70%, var(--console));
    }
  `;
  declare recording: RecordingPlace | undefined;
  /** Another one: another picture. */
  declare version: string;
  declare text: string;
  /** In place of a picture. */
  declare note: string;
  private readonly watcher = new IntersectionObserver((entries) => {
    if (entries.some(({ isIntersecting }) => isIntersecting)) this.see();
  });

  constructor() {
    super();
    this.text = '';
    this.note = 'looking…';
    this.version = '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.watcher.observe(this);
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.watcher.disconnect();
  }

  private see(): void {
    const { recording } = this;
    if (recording === undefined) return;
    this.watcher.disconnect();
    const key = `${recording.place} ${recording.id} ${this.version}`;
    queue = queue.then(async () => {
      if (!this.isConnected) return;
      const text = known.get(key) ?? (await load(recording).catch(() => undefined));
      // Not kept: the next look may have more luck.
      if (text === undefined) return void (this.note = 'the console cannot be shown now');
      known.set(key, text);
      for (const oldest of known.keys()) {
        if (known.size <= KNOWN_MAX) break;
        known.delete(oldest);
      }
      this.text = text;
      this.note = text === '' ? 'the guest wrote nothing here' : '';
    });
  }

  protected override render(): unknown {
    return html`<pre class=${this.note === '' ? '' : 'note'} role="img" aria-label="The console at the end" data-testid="picture">${this.note === '' ? this.text : this.note}</pre>`;
  }
}
customElements.define('lab-console-picture', ConsolePicture);
