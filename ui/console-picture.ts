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

async function load({ place, id }: RecordingPlace): Promise<string> {
  if (place === 'server') {
    const response = await fetch(`./api/v1/recordings/${encodeURIComponent(id)}/console?bytes=${PICTURE_BYTES}`).catch(() => undefined);
    return response?.ok === true ? pictureOf(new Uint8Array(await response.arrayBuffer())) : '';
  }
  const bytes = await localLog(id).catch(() => undefined);
  return bytes === undefined ? '' : pictureOf(consoleEnd(LogReader.open(new MemorySource(bytes))));
}

export class ConsolePicture extends LitElement {
  static override properties = { recording: { attribute: false }, version: {}, text: { state: true } };
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
  `;
  declare recording: RecordingPlace | undefined;
  /** Another one: another picture. */
  declare version: string;
  declare text: string;
  private readonly watcher = new IntersectionObserver((entries) => {
    if (entries.some(({ isIntersecting }) => isIntersecting)) this.see();
  });

  constructor() {
    super();
    this.text = '';
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
      const text = known.get(key) ?? (this.isConnected ? await load(recording).catch(() => '') : undefined);
      if (text === undefined) return;
      known.set(key, text);
      for (const oldest of known.keys()) {
        if (known.size <= KNOWN_MAX) break;
        known.delete(oldest);
      }
      this.text = text;
    });
  }

  protected override render(): unknown {
    return html`<pre role="img" aria-label="The console at the end" data-testid="picture">${this.text}</pre>`;
  }
}
customElements.define('lab-console-picture', ConsolePicture);
