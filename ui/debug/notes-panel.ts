/** Bookmarks and notes of the recording; each is a moment. */
import { css, html, nothing } from 'lit';
import { formatCount } from '../format.ts';
import { MomentPanel, panelStyles } from './moment-panel.ts';

export class NotesPanel extends MomentPanel {
  static override styles = [
    ...panelStyles,
    css`
      form.new {
        display: flex;
        gap: 0.35rem;
        margin-bottom: 0.6rem;
      }
      form.new input {
        flex: 1;
        min-width: 0;
      }
      ul {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        gap: 0.5rem;
        padding: 0.35rem 0;
        border-bottom: 1px solid var(--line);
      }
      li span {
        flex: 1 1 8rem;
        overflow-wrap: anywhere;
      }
      li button:last-child {
        min-height: 1.7rem;
        padding: 0 0.5rem;
      }
    `,
  ];
  protected override readonly name = 'notes';

  protected override render(): unknown {
    const { model } = this;
    const notes = model?.notes ?? [];
    return html`<section class="panel" aria-label="Notes">
      <header><h2>Notes</h2><span class="muted" data-testid="notes-home">${model?.noteList === undefined ? '' : model.noteList.home === 'server' ? 'kept beside the recording, for everybody' : !model.noteList.isReadOnly ? 'kept in this browser' : 'kept in this browser: the server only reads the folder of this recording'}</span></header>
      <div class="body" tabindex="0" role="group" aria-label="Bookmarks and notes" data-testid="notes">
        <form class="new" @submit=${this.onAdd}>
          <input type="text" name="text" maxlength="4000" aria-label="Note at the cursor" placeholder="Note at @${formatCount(model?.cursor.position ?? 0)}" autocomplete="off" data-testid="note-text" />
          <button>Keep</button>
        </form>
        ${model?.noteList?.problem === undefined ? nothing : html`<div class="notice bad" role="alert">${model.noteList.problem}.</div>`}
        ${notes.length === 0
          ? html`<p class="empty">No notes yet: write one above, or press B for a bookmark at the cursor.</p>`
          : html`<ul>
              ${notes.map(
                ({ id, position, text }) => html`<li>
                  <button class="link" @click=${() => model?.jumpToPosition(position)}>@${formatCount(position)}</button><span>${text}</span>
                  <button aria-label="Delete the note at @${formatCount(position)}" title="Delete" @click=${() => model?.dropNote(id)}>✕</button>
                </li>`,
              )}
            </ul>`}
      </div>
    </section>`;
  }

  private readonly onAdd = (event: Event): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const text = String(new FormData(form).get('text') ?? '').trim();
    this.model?.addNote(text === '' ? 'bookmark' : text);
    form.reset();
  };
}
customElements.define('lab-notes', NotesPanel);
