/** Page by page, what only a replay tells: how often it is written and read, how often a write leaves it as it was, and how short it gets. */
import type { DirtyEpoch } from './epoch.ts';
import type { EpochFold } from './folds.ts';
import { PAGE_BYTES } from './truth.ts';

export interface PageRow {
  readonly page: number;
  /** Epochs in which it was written, and those of them at whose end no byte was another than at their begin. */
  readonly writes: number;
  readonly unchanged: number;
  /** Epochs in which it was read as data. */
  readonly reads: number;
  /** Epochs in which it was written, and at whose end all its bytes were zeros. */
  readonly zero: number;
  /** Means over the epochs in which it was written, bytes: XBZRLE code (a page where that does not pay), LZ4. */
  readonly deltaBytes: number;
  readonly compressedBytes: number;
}

export interface PageReport extends Omit<PageRow, 'page'> {
  /** Most written first. */
  readonly pages: readonly PageRow[];
}

export interface PagesState {
  readonly cells: readonly (readonly [page: number, counts: readonly number[]])[];
}

const WRITES = 0, UNCHANGED = 1, READS = 2, ZERO = 3, DELTA = 4, COMPRESSED = 5, COLUMNS = 6; // prettier-ignore

/** Of epochs of a replay with reads and content. */
export class PagesFold implements EpochFold<PageReport, PagesState> {
  private readonly cells = new Map<number, number[]>();

  fold({ pages, detail }: DirtyEpoch): readonly PageReport[] {
    const content = detail?.content;
    if (content === undefined || detail?.reads === undefined) throw new RangeError('what is in the pages, and what is read, is not in a log: take the epochs from a replay with both');
    for (let i = 0; i < pages.length; i++) {
      const cell = this.cell(pages[i]);
      cell[WRITES]++;
      if (content.deltaBytes[i] === 0) cell[UNCHANGED]++;
      if (content.isZero[i] === 1) cell[ZERO]++;
      cell[DELTA] += Math.min(PAGE_BYTES, content.deltaBytes[i]);
      cell[COMPRESSED] += content.compressedBytes[i];
    }
    for (const page of detail.reads) this.cell(page)[READS]++;
    return [];
  }
  private cell(page: number): number[] {
    let cell = this.cells.get(page);
    if (cell === undefined) this.cells.set(page, (cell = new Array<number>(COLUMNS).fill(0)));
    return cell;
  }

  finish(): readonly PageReport[] {
    const row = (cell: readonly number[]): Omit<PageRow, 'page'> => {
      const mean = (sum: number): number => (cell[WRITES] === 0 ? 0 : sum / cell[WRITES]);
      return { writes: cell[WRITES], unchanged: cell[UNCHANGED], reads: cell[READS], zero: cell[ZERO], deltaBytes: mean(cell[DELTA]), compressedBytes: mean(cell[COMPRESSED]) };
    };
    const sum = new Array<number>(COLUMNS).fill(0);
    for (const cell of this.cells.values()) for (let i = 0; i < COLUMNS; i++) sum[i] += cell[i];
    const pages = [...this.cells].map(([page, cell]) => ({ page, ...row(cell) })).sort((a, b) => b.writes - a.writes || b.reads - a.reads || a.page - b.page);
    return [{ ...row(sum), pages }];
  }
  save(): PagesState {
    return { cells: [...this.cells].map(([page, counts]) => [page, [...counts]]) };
  }
  restore({ cells }: PagesState): void {
    this.cells.clear();
    for (const [page, counts] of cells) this.cells.set(page, [...counts]);
  }
}
