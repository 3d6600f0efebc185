/** The recording among those that it goes on from and that go on from it, as a tree along their positions. */
import { css, html, nothing } from 'lit';
import { parseHeader } from '../engine/log/header.ts';
import { MemorySource } from '../engine/log/storage.ts';
import './branch-form.ts';
import { AnalysisPage, PAGE_PROPERTIES } from './analysis-page.ts';
import { analysis } from './analysis-styles.ts';
import { type BranchTree, type KnownBranch, branchTree } from './branch-tree.ts';
import { describeEnd, formatCount, formatInstructions } from './format.ts';
import { lastPlace } from './last-place.ts';
import { localLog, localRecordings, serverRecordings } from './library.ts';
import { serverGuests } from './recording/server-run.ts';
import { formatRoute } from './router.ts';
import { controls, panels } from './styles.ts';

export class BranchesPage extends AnalysisPage {
  static override properties = { ...PAGE_PROPERTIES, tree: { state: true }, canBranch: { state: true } };
  static override styles = [
    controls,
    panels,
    analysis,
    css`
      ul {
        margin: 0;
        padding: 0 0 0 1.4rem;
        border-left: 2px solid var(--line);
        list-style: none;
      }
      ul.top {
        padding: 0;
        border: 0;
      }
      li {
        margin: 0.5rem 0;
      }
      .node {
        display: grid;
        gap: 0.35rem;
        padding: 0.6rem 0.8rem;
        border: 1px solid var(--line);
        border-radius: 0.4rem;
        background: var(--raised);
      }
      .node.own {
        border-color: var(--accent);
        background: var(--accent-soft);
      }
      .node .spread > a {
        color: var(--text);
        font-weight: 600;
      }
      .track {
        position: relative;
        height: 0.55rem;
        border-radius: 0.3rem;
        background: var(--line);
      }
      .track span {
        position: absolute;
        top: 0;
        height: 100%;
        border-radius: 0.3rem;
        background: var(--kind-exit);
      }
      .track span.before {
        background: var(--kind-idle);
        opacity: 0.5;
      }
    `,
  ];
  declare tree: BranchTree | undefined;
  /** The server makes branches of it. */
  declare canBranch: boolean | undefined;
  private freeName = '';
  protected readonly heading = 'Branches';
  protected readonly purpose = 'What this recording goes on from, and what goes on from it. A branch shares all that comes before the moment where it leaves.';

  protected start(): void {
    void this.ask('Looking for branches', async () => {
      const { summary } = this.opened!;
      const { place, id } = this.route;
      const known = await knownBranches();
      this.canBranch = place === 'server' && (await serverGuests()) !== undefined;
      // The lists may not have it: a link to a file that the server cannot list.
      const isListed = known.some((each) => each.summary.id === summary.id);
      // Never one that is there: nothing is written over.
      this.freeName = `${summary.guest}-branch-${Date.now().toString(36).slice(-5)}`;
      this.tree = branchTree(isListed ? known : [...known, { place, id, name: summary.guest, summary, parent: undefined }], summary.id, this.route);
    });
  }

  protected content(): unknown {
    const { tree } = this;
    if (tree === undefined) return nothing;
    const isAlone = tree.parent === undefined && tree.children.length === 0;
    return html`<section class="panel" aria-label="Branches"><header><h2>${isAlone ? 'No branches' : 'Branches'}</h2></header><div class="body">
      <ul class="top" data-testid="branches">${this.node(tree, lastOf(tree))}</ul>
      ${isAlone ? html`<p class="muted">Nothing goes on from this recording yet. ${this.canBranch === true ? 'Make a branch below, or one with' : 'Make a branch with'} <code>chronovisor branch FILE --at @POSITION</code>, put it beside it (or drop it on this page), and it is shown here.</p>` : nothing}
    </div></section>
    ${this.canBranch === true ? html`<lab-branch-form recording=${this.route.id} at=${this.leaving()} name=${this.freeName} @branched=${() => this.start()}></lab-branch-form>` : nothing}`;
  }

  /** From the link, or where a person was last in this recording; at its end a guest may do nothing any more. */
  private leaving(): string {
    const { at } = this.query;
    if (/^\d+$/.test(at ?? '')) return `@${at}`;
    const last = lastPlace()?.route;
    return last?.kind === 'run' && last.place === this.route.place && last.id === this.route.id && last.at !== undefined ? `@${last.at}` : '50%';
  }

  private node({ branch, parent, children }: BranchTree, last: number): unknown {
    const { place, id, name, summary } = branch;
    const end = describeEnd(summary.end);
    const own = place === this.route.place && id === this.route.id;
    const from = parent?.position ?? 0;
    const share = (position: number): number => (position / Math.max(1, last)) * 100;
    return html`<li><div class="node ${own ? 'own' : ''}" data-testid="branch" data-id=${summary.id}>
        <div class="spread"><a href=${formatRoute({ kind: 'run', place, id, at: parent?.position })} aria-current=${own ? 'true' : 'false'}>${name}</a><span class="badge ${end.tone}">${end.text}</span>
          <span class="grow muted">${parent === undefined ? 'from power-on' : html`leaves at <a class="moment" href=${formatRoute({ kind: 'run', place, id, at: parent.position })}>@${formatCount(parent.position)}</a>${parent.isKnown ? '' : ', of a recording that is not here'}`}, ${formatInstructions(summary.lastPosition - from)} instructions, ${formatCount(summary.records)} events of its own</span>
          ${own ? html`<span class="badge">this recording</span>` : html`<a class="button" href=${formatRoute({ kind: 'analysis', page: 'diff', place: this.route.place, id: this.route.id, query: { other: `${place} ${id}` } })}>Diff with this one</a>`}</div>
        <div class="track" role="img" aria-label=${`from @${formatCount(from)} to @${formatCount(summary.lastPosition)}`}><span class="before" .style=${`left: 0; width: ${share(from)}%`}></span><span .style=${`left: ${share(from)}%; width: ${Math.max(0.3, share(summary.lastPosition - from))}%`}></span></div>
      </div>${children.length === 0 ? nothing : html`<ul>${children.map((child) => this.node(child, last))}</ul>`}</li>`;
  }
}
customElements.define('lab-branches', BranchesPage);

function lastOf({ branch, children }: BranchTree): number {
  return Math.max(branch.summary.lastPosition, ...children.map(lastOf));
}

/** Those of the server say what they go on from; those of this browser in their logs. */
async function knownBranches(): Promise<readonly KnownBranch[]> {
  const [server, local] = await Promise.all([serverRecordings(), localRecordings()]);
  const known: KnownBranch[] = (server ?? []).flatMap(({ id, file, summary, ...entry }) => {
    const { parent } = entry as { readonly parent?: KnownBranch['parent'] };
    return summary === undefined ? [] : [{ place: 'server' as const, id, name: `${summary.guest}, ${file}`, summary, parent }];
  });
  for (const { id, name, summary } of local) {
    const bytes = await localLog(id).catch(() => undefined);
    if (bytes === undefined) continue;
    const { parent } = parseHeader(new MemorySource(bytes)).header;
    known.push({ place: 'local', id, name: `${summary.guest}, ${name}`, summary, parent: parent === undefined ? undefined : { logId: parent.logId, position: parent.position } });
  }
  return known;
}
