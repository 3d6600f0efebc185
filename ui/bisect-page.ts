/** Where something begins, in three steps: what to look for, where, and the moment that was found. */
import { css, html, nothing } from 'lit';
import './charts/position-line.ts';
import type { BisectAnswer, BisectAsked } from '../engine/protocol/analysis.ts';
import type { OpenedRecording } from './analysis-client.ts';
import { AnalysisPage, PAGE_PROPERTIES } from './analysis-page.ts';
import { analysis } from './analysis-styles.ts';
import type { LinePlace } from './charts/position-line.ts';
import { formatCount, isGuestFailure } from './format.ts';
import { controls, panels } from './styles.ts';

interface Question {
  readonly id: BisectAsked['question'];
  readonly title: string;
  readonly field: string | undefined;
  readonly hint: string;
  readonly example: string;
}

const QUESTIONS: readonly Question[] = [
  { id: 'when', title: 'A condition becomes true', field: 'Condition', hint: 'u32(ADDRESS) and its like read memory; registers and symbols by name; && || == < + - and brackets.', example: 'u64(ticks) > 100' },
  { id: 'stays', title: 'A condition becomes true for good', field: 'Condition', hint: 'The position from which on it is true up to the end of the search.', example: 'u64(ticks) > 100 && cpl == 3' },
  { id: 'store', title: 'Memory is written first', field: 'Address or symbol, and bytes', hint: 'SYMBOL, or ADDRESS,BYTES. Mapped at the begin of the search.', example: 'ticks,8' },
  { id: 'console', title: 'The console prints a text', field: 'Text', hint: 'As the serial console prints it.', example: 'PANIC' },
  { id: 'panic', title: 'The kernel panics', field: undefined, hint: 'Its panic function, or what it prints.', example: '' },
];

type Found = Extract<BisectAnswer, { kind: 'found' }>;

export class BisectPage extends AnalysisPage {
  static override properties = { ...PAGE_PROPERTIES, answer: { state: true } };
  static override styles = [
    controls,
    panels,
    analysis,
    css`
      .steps {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr));
        gap: 1rem 2rem;
        width: 100%;
      }
      fieldset.question {
        flex-direction: column;
      }
      .hint {
        color: var(--muted);
        font-size: 0.88rem;
      }
      .step {
        display: grid;
        gap: 0.6rem;
        align-content: start;
      }
      .row {
        display: flex;
        flex-wrap: wrap;
        gap: 0.8rem;
      }
      .row label {
        flex: 1 1 9rem;
      }
      .title {
        margin-bottom: 0.6rem;
        font-size: 1.15rem;
        font-weight: 620;
      }
      .registers {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
        gap: 0.1rem 1rem;
        font: 0.9rem/1.5 var(--mono);
        white-space: pre;
      }
    `,
  ];
  declare answer: BisectAnswer | undefined;
  protected readonly heading = 'Bisect';
  protected readonly purpose = 'Finds the first moment of the recording where something is so, exact to the instruction, and who did it.';

  private get asked(): BisectAsked {
    const question = QUESTIONS.find(({ id }) => id === this.query['question'])?.id ?? (isGuestFailure(this.opened?.summary.end) ? 'panic' : 'when');
    return { question, text: this.query['text'] ?? '', from: this.query['from'] ?? '@0', to: this.query['to'] ?? 'end' };
  }

  /** A link that asks is answered at once; a page without a question waits for one. */
  protected start(): void {
    this.answer = undefined;
    const { asked } = this;
    if (this.query['question'] === undefined || (asked.question !== 'panic' && asked.text === '')) return;
    void this.ask('Searching', async (client, onReply) => {
      this.answer = (await client.ask({ kind: 'bisect', asked }, 'bisected', onReply)).answer;
    });
  }

  private readonly onSubmit = (event: Event): void => {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const text = (name: string): string => String(form.get(name) ?? '').trim();
    this.set({ question: this.asked.question, text: text('text'), from: text('from') === '@0' ? '' : text('from'), to: text('to') === 'end' ? '' : text('to') });
    this.start();
  };

  protected content({ summary, marks }: OpenedRecording): unknown {
    const { asked, answer, busy } = this;
    const question = QUESTIONS.find(({ id }) => id === asked.question)!;
    const places: LinePlace[] = marks.map(({ name, position }) => ({ name: `mark ${name}`, position, href: this.momentHref(position), isFound: false }));
    if (answer?.kind === 'found') places.push({ name: answer.title, position: answer.position, href: this.momentHref(answer.instruction.position), isFound: true });
    return html`<section class="panel" aria-label="Question"><div class="body"><form @submit=${this.onSubmit}>
        <div class="steps">
          <fieldset class="question"><legend>1. What to look for</legend>
            ${QUESTIONS.map(({ id, title }) => html`<label class="check"><input type="radio" name="question" value=${id} .checked=${id === asked.question} @change=${() => this.choose(id)} />${title}</label>`)}</fieldset>
          <div class="step"><span class="muted">2. Which, and where</span>
            ${question.field === undefined ? html`<p class="hint">${question.hint}</p>` : html`<label class="field">${question.field}
              <input class="mono" name="text" data-testid="bisect-text" required spellcheck="false" autocomplete="off" placeholder=${`such as ${question.example}`} .value=${asked.text} /><span class="hint">${question.hint}</span></label>`}
            <div class="row">
              <label class="field">from<input class="mono" name="from" .value=${asked.from} spellcheck="false" /></label>
              <label class="field">to<input class="mono" name="to" .value=${asked.to} spellcheck="false" /></label>
            </div>
            <span class="hint">Places: @1234567, 50%, event:1000, mark:NAME or end.</span>
            <div><button class="primary" type="submit" data-testid="bisect-start" ?disabled=${busy !== undefined}>Find it</button></div>
          </div>
        </div></form></div></section>
      <section class="panel" aria-label="Result"><header><h2>3. Where it begins</h2></header><div class="body">
        <lab-position-line .places=${places} .last=${summary.lastPosition} .reached=${busy?.what === 'Searching' ? (busy.share ?? 0) * summary.lastPosition : undefined}></lab-position-line>
        ${answer === undefined
          ? html`<p class="muted" data-testid="bisect-empty">${busy === undefined ? 'Ask above. What is about memory alone is found at the speed of a replay; a condition about registers looks at each instruction, about a million a second.' : 'The line shows how far the search is.'}</p>`
          : answer.kind === 'none'
            ? html`<div class="notice" data-testid="bisect-none"><strong>It does not begin here</strong><span>${answer.message} Look in another stretch, or for something else.</span></div>`
            : this.found(answer)}
      </div></section>`;
  }

  private choose(question: BisectAsked['question']): void {
    this.answer = undefined;
    this.set({ question, text: '' });
  }

  private found({ title, position, method, instruction, calls, task, stores, before, registers }: Found): unknown {
    const moment = (at: number): unknown => html`<a class="moment" href=${this.momentHref(at)}>@${formatCount(at)}</a>`;
    return html`<div data-testid="bisect-found" data-position=${position}>
      <p class="title">${moment(position)} ${title}</p>
      <dl class="facts">
        <dt>${instruction.isEffect ? 'done by' : 'about to run'}</dt><dd>${moment(instruction.position)} <code>${instruction.code}</code>, ring ${instruction.ring}<br /><code>${instruction.assembly}</code></dd>
        ${instruction.source === undefined ? nothing : html`<dt>source</dt><dd><code>${instruction.source}</code></dd>`}
        ${task === undefined ? nothing : html`<dt>task</dt><dd>${task}</dd>`}
        ${calls.length === 0 ? nothing : html`<dt>called from</dt><dd><code>${calls.join(', ')}</code></dd>`}
        ${stores.map((store, i) => html`<dt>${i === 0 ? 'store' : 'store before'}</dt><dd>${moment(store.position)} <code>${store.text}</code></dd>`)}
        ${before.map((each) => html`<dt>${each.name}</dt><dd>${moment(each.position)} ${each.text}</dd>`)}
        <dt>found by</dt><dd>${method}</dd>
      </dl>
      <h3>Registers before it ran</h3>
      <div class="registers">${registers.map(([name, value]) => html`<span>${name.padEnd(7)}${value}</span>`)}</div>
    </div>`;
  }
}
customElements.define('lab-bisect', BisectPage);
