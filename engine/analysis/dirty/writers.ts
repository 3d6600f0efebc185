/** Who dirties: first writes by guest function, task, address space and ring, from epochs of a replay. */
import { ACCESS_DEVICE, ACCESS_WALK } from '../../cpu/layout.ts';
import type { DirtyEpoch } from './epoch.ts';
import type { EpochFold } from './folds.ts';

export interface WritersOptions {
  /** Names of guest functions; without, addresses. */
  readonly functionAt?: ((ripLo: number, ripHi: number) => string | undefined) | undefined;
}

export interface WriterRow {
  /** A function, an address, `device`, or `page walk` (A and D bits). */
  readonly name: string;
  /** First writes: pages times epochs. What makes a page dirty again after a sync. */
  readonly firstWrites: number;
  /** Distinct pages over the whole time. */
  readonly pages: number;
  readonly share: number;
}

export interface Writers {
  readonly firstWrites: number;
  /** Most first. */
  readonly byFunction: readonly WriterRow[];
  /** By CR3: an address space, which is a process or a kernel thread's borrowed one. */
  readonly bySpace: readonly WriterRow[];
  readonly byRing: readonly WriterRow[];
  /** `comm-pid`, if the replay could name what ran; else as bySpace. */
  readonly byTask: readonly WriterRow[];
}

export interface WritersState {
  readonly cells: readonly { readonly key: string; readonly firstWrites: number; readonly pages: readonly number[] }[];
}

interface Cell {
  firstWrites: number;
  readonly pages: Set<number>;
}

const DEVICE = 'device';
const WALK = 'page walk';

export class WritersFold implements EpochFold<Writers, WritersState> {
  private readonly options: WritersOptions;
  /** By function, space, ring and task, separated by a tab. */
  private cells = new Map<string, Cell>();

  constructor(options: WritersOptions = {}) {
    this.options = options;
  }

  fold({ pages, detail }: DirtyEpoch): readonly Writers[] {
    const who = detail?.who;
    if (who === undefined) throw new RangeError('who wrote is not in a log: take the epochs from a replay');
    for (let i = 0; i < pages.length; i++) {
      const isDevice = who.kind[i] === ACCESS_DEVICE;
      const space = isDevice ? DEVICE : `cr3 0x${who.space[i].toString(16)}`;
      const ring = isDevice ? DEVICE : `ring ${who.cpl[i]}`;
      const key = `${this.nameOf(who.kind[i], who.ripLo[i], who.ripHi[i])}\t${space}\t${ring}\t${isDevice ? DEVICE : (who.task?.[i] ?? space)}`;
      let cell = this.cells.get(key);
      if (cell === undefined) this.cells.set(key, (cell = { firstWrites: 0, pages: new Set() }));
      cell.firstWrites++;
      cell.pages.add(pages[i]);
    }
    return [];
  }
  private nameOf(kind: number, ripLo: number, ripHi: number): string {
    if (kind === ACCESS_DEVICE) return DEVICE;
    if (kind === ACCESS_WALK) return WALK;
    return this.options.functionAt?.(ripLo, ripHi) ?? `0x${((BigInt(ripHi) << 32n) | BigInt(ripLo)).toString(16)}`;
  }

  finish(): readonly Writers[] {
    const firstWrites = [...this.cells.values()].reduce((sum, cell) => sum + cell.firstWrites, 0);
    const by = (part: number): readonly WriterRow[] => {
      const rows = new Map<string, Cell>();
      for (const [key, cell] of this.cells) {
        const name = key.split('\t')[part];
        let row = rows.get(name);
        if (row === undefined) rows.set(name, (row = { firstWrites: 0, pages: new Set() }));
        row.firstWrites += cell.firstWrites;
        for (const page of cell.pages) row.pages.add(page);
      }
      return [...rows]
        .map(([name, row]) => ({ name, firstWrites: row.firstWrites, pages: row.pages.size, share: firstWrites === 0 ? 0 : row.firstWrites / firstWrites }))
        .sort((a, b) => b.firstWrites - a.firstWrites || (a.name < b.name ? -1 : 1));
    };
    return [{ firstWrites, byFunction: by(0), bySpace: by(1), byRing: by(2), byTask: by(3) }];
  }

  save(): WritersState {
    return { cells: [...this.cells].map(([key, { firstWrites, pages }]) => ({ key, firstWrites, pages: [...pages] })) };
  }
  restore({ cells }: WritersState): void {
    this.cells = new Map(cells.map(({ key, firstWrites, pages }) => [key, { firstWrites, pages: new Set(pages) }]));
  }
}
