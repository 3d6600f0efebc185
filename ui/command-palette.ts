/** Every command by its name, and a place to go to: `@1234567`, `50%`, a mark or a note. The same table as the keys. */
import { LitElement, css, html, nothing } from 'lit';
import { COMMANDS, type CommandTargets } from './commands.ts';
import { formatCount } from './format.ts';
import type { RunModel } from './run-model.ts';
import { controls, dialogs } from './styles.ts';

interface Entry {
  readonly title: string;
  readonly keys: readonly string[];
  run(): void;
}

const ENTRIES_MAX = 40;

export class CommandPalette extends LitElement {
  static override properties = { text: { state: true }, chosen: { state: true } };
  static override styles = [
    controls,
    dialogs,
    css`
      dialog {
        width: min(38rem, 92vw);
        margin-top: 12vh;
        padding: 0.6rem;
      }
      input {
        width: 100%;
      }
      ul {
        max-height: 50vh;
        margin: 0.4rem 0 0;
        padding: 0;
        overflow: auto;
        list-style: none;
      }
      li {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        padding: 0.3rem 0.6rem;
        border-radius: 0.3rem;
        cursor: pointer;
      }
      li[aria-selected='true'] {
        background: var(--accent-soft);
      }
      li span {
        flex: 1;
      }
    `,
  ];
  declare text: string;
  declare chosen: number;
  targets: (() => CommandTargets | undefined) | undefined;

  constructor() {
    super();
    this.text = '';
    this.chosen = 0;
  }

  get isOpen(): boolean {
    return this.renderRoot.querySelector('dialog')?.open === true;
  }
  open(): void {
    this.text = '';
    this.chosen = 0;
    this.renderRoot.querySelector('dialog')?.showModal();
    const input = this.renderRoot.querySelector('input');
    if (input !== null) {
      input.value = '';
      input.focus();
    }
  }
  private close(): void {
    this.renderRoot.querySelector('dialog')?.close();
  }

  private entries(): readonly Entry[] {
    const targets = this.targets?.();
    if (targets === undefined) return [];
    const words = this.text.toLowerCase().split(/\s+/).filter((word) => word !== '');
    const commands = COMMANDS.map(({ title, keys, run }): Entry => ({ title, keys, run: () => run(targets) }));
    return [...placesOf(this.text, targets.model), ...commands].filter(({ title }) => words.every((word) => title.toLowerCase().includes(word))).slice(0, ENTRIES_MAX);
  }

  protected override render(): unknown {
    const entries = this.entries();
    return html`<dialog aria-label="Commands" @click=${(event: Event) => event.target === event.currentTarget && this.close()}>
      <input type="text" role="combobox" aria-label="Command or place" aria-expanded="true" aria-controls="list" aria-activedescendant=${entries.length === 0 ? nothing : `entry-${this.chosen}`} placeholder="command, @position, 50%, mark or note" spellcheck="false" autocomplete="off" data-testid="palette" @input=${this.onInput} @keydown=${this.onKey} />
      <ul id="list" role="listbox" aria-label="Commands">
        ${entries.map(({ title, keys }, i) => html`<li id="entry-${i}" role="option" aria-selected=${i === this.chosen ? 'true' : 'false'} @click=${() => this.choose(i)}><span>${title}</span>${keys.map((key) => html`<kbd>${key}</kbd>`)}</li>`)}
        ${entries.length === 0 ? html`<li role="option" aria-selected="false"><span class="muted">Nothing has this name; try “step”, “@0” or “50%”.</span></li>` : nothing}
      </ul>
    </dialog>`;
  }

  private choose(i: number): void {
    const entry = this.entries()[i];
    this.close();
    entry?.run();
  }
  private readonly onInput = (event: Event): void => {
    this.text = (event.target as HTMLInputElement).value;
    this.chosen = 0;
  };
  private readonly onKey = (event: KeyboardEvent): void => {
    event.stopPropagation();
    const count = this.entries().length;
    if (event.key === 'Enter') this.choose(this.chosen);
    else if (event.key === 'ArrowDown') this.chosen = Math.min(count - 1, this.chosen + 1);
    else if (event.key === 'ArrowUp') this.chosen = Math.max(0, this.chosen - 1);
    else return;
    event.preventDefault();
    void this.updateComplete.then(() => this.renderRoot.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }));
  };
}
customElements.define('lab-palette', CommandPalette);

/** Places that a text names. Their titles hold the text itself, so that the filter keeps them. */
export function placesOf(text: string, model: RunModel): readonly Entry[] {
  const trimmed = text.trim();
  if (trimmed === '') return [];
  const entry = (title: string, position: number): Entry => ({ title, keys: [], run: () => model.jumpToPosition(position) });
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(trimmed);
  const digits = /^@?([\d,_]+)$/.exec(trimmed)?.[1].replace(/[,_]/g, '');
  const lower = trimmed.toLowerCase();
  return [
    ...(percent !== null && Number(percent[1]) <= 100 ? [entry(`Go to ${trimmed} of the recording`, (model.lastPosition * Number(percent[1])) / 100)] : []),
    ...(digits !== undefined && digits !== '' && digits.length <= 16 && Number(digits) <= model.lastPosition ? [entry(`Go to ${trimmed}`, Number(digits))] : []),
    ...model.marks.filter(({ name }) => name.toLowerCase().includes(lower)).map(({ name, position }) => entry(`Mark ${name} at @${formatCount(position)}`, position)),
    ...model.notes.filter((note) => note.text.toLowerCase().includes(lower)).map((note) => entry(`Note ${note.text} at @${formatCount(note.position)}`, note.position)),
  ];
}
