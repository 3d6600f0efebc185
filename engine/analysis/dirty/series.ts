/**
 * A dirty-page series as text, for those with their own: CSV, a row for each page that was found dirty.
 *
 *     # memory=8GiB          pages of RAM; or --memory
 *     # epoch=50ms           rows are those of a dirty log that was read so often; else each is a write at its own time
 *     time_ms,page           time_ns, time_us, time_ms or time_s; page (frame number) or address (guest-physical); optional: pages (how many from there on)
 *     50,1024
 *     50,0x401
 */
import { TimelineBuilder } from './timeline.ts';
import { type DirtyTruth, PAGE_BYTES } from './truth.ts';

/** The text is no series. `line` begins at 1. */
export class SeriesError extends Error {
  override readonly name = 'SeriesError';
  readonly line: number;

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.line = line;
  }
}

export interface SeriesOptions {
  readonly name: string;
  /** Bytes; over what the text says. */
  readonly memoryBytes?: number | undefined;
  /** ns; over what the text says. */
  readonly epochNs?: number | undefined;
}

const ENTRIES_MAX = 50_000_000;
const UNIT_NS: Readonly<Record<string, number>> = { time_ns: 1, time_us: 1e3, time_ms: 1e6, time_s: 1e9 };
const DURATION_NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };
const SIZE_BYTES: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/** Throws SeriesError. */
export function parseSeries(text: string, options: SeriesOptions): DirtyTruth {
  let memoryBytes = options.memoryBytes;
  let epochNs = options.epochNs;
  let columns: { readonly time: number; readonly unitNs: number; readonly page: number; readonly isAddress: boolean; readonly pages: number } | undefined;
  const rows: { readonly atNs: number; readonly page: number }[] = [];
  const lines = text.split(/\r?\n/);
  lines.forEach((content, i) => {
    const line = i + 1;
    const trimmed = content.trim();
    if (trimmed === '') return;
    if (trimmed.startsWith('#')) {
      const memory = /\bmemory\s*=\s*(\d+)\s*([KMG]?)(?:i?B)?\b/i.exec(trimmed);
      if (memory !== null) memoryBytes ??= Number(memory[1]) * SIZE_BYTES[memory[2].toUpperCase()];
      const epoch = /\bepoch\s*=\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s)\b/.exec(trimmed);
      if (epoch !== null) epochNs ??= Number(epoch[1]) * DURATION_NS[epoch[2]];
      return;
    }
    const cells = trimmed.split(',').map((cell) => cell.trim());
    if (columns === undefined) {
      columns = columnsOf(cells, line);
      return;
    }
    const number = (at: number, what: string): number => {
      const cell = cells[at] ?? '';
      const value = /^(0x[0-9a-f]+|\d+(\.\d+)?)$/i.test(cell) ? Number(cell) : NaN;
      if (!Number.isFinite(value)) throw new SeriesError(line, `"${cell}" is no ${what}`);
      return value;
    };
    const atNs = number(columns.time, 'time') * columns.unitNs;
    const first = columns.isAddress ? Math.floor(number(columns.page, 'address') / PAGE_BYTES) : number(columns.page, 'page');
    const count = columns.pages < 0 ? 1 : number(columns.pages, 'number of pages');
    if (!Number.isInteger(first) || !Number.isInteger(count) || count < 1) throw new SeriesError(line, 'pages are whole numbers, and at least one');
    if (rows.length + count > ENTRIES_MAX) throw new SeriesError(line, `more than ${ENTRIES_MAX} pages: give a longer epoch`);
    for (let page = first; page < first + count; page++) rows.push({ atNs, page });
  });
  if (columns === undefined) throw new SeriesError(lines.length, 'there is no header line, such as time_ms,page');
  if (rows.length === 0) throw new SeriesError(lines.length, 'there is no row after the header');
  if (memoryBytes === undefined) throw new SeriesError(1, 'how much memory the guest has is not said: a line `# memory=8GiB`, or --memory');
  const pages = Math.floor(memoryBytes / PAGE_BYTES);
  const beyond = rows.find(({ page }) => page >= pages);
  if (beyond !== undefined) throw new SeriesError(1, `page ${beyond.page} is beyond the memory of ${pages} pages`);
  rows.sort((a, b) => a.atNs - b.atNs || a.page - b.page);
  const builder = new TimelineBuilder();
  const ends: number[] = [];
  let last = rows[rows.length - 1].atNs;
  if (epochNs === undefined) for (const { atNs, page } of rows) builder.add(atNs, page);
  else {
    if (!(epochNs > 0)) throw new SeriesError(1, 'an epoch is longer than nothing');
    // A row belongs to the epoch in which its time lies; one at an edge to the epoch that ends there.
    last = Math.max(1, Math.ceil(last / epochNs)) * epochNs;
    for (let end = epochNs; end <= last + epochNs / 2; end += epochNs) ends.push(end);
    let epoch = -1;
    let seen = new Set<number>();
    for (const { atNs, page } of rows) {
      const own = Math.max(0, Math.ceil(atNs / epochNs) - 1);
      if (own !== epoch) [epoch, seen] = [own, new Set()];
      if (seen.has(page)) continue;
      seen.add(page);
      builder.add((own + 1) * epochNs, page);
    }
  }
  return {
    name: options.name,
    pages,
    beginNs: 0,
    endNs: epochNs === undefined ? last + 1 : last,
    timeline: builder.build(),
    ...(epochNs !== undefined && { epochEndsNs: Float64Array.from(ends) }),
    times: epochNs === undefined ? 'first write' : 'epoch end',
    busyShare: 1,
  };
}

function columnsOf(cells: readonly string[], line: number): { time: number; unitNs: number; page: number; isAddress: boolean; pages: number } {
  const names = cells.map((cell) => cell.toLowerCase());
  const time = names.findIndex((name) => UNIT_NS[name] !== undefined);
  const page = names.findIndex((name) => name === 'page' || name === 'address');
  if (time < 0) throw new SeriesError(line, `no column for the time: one of ${Object.keys(UNIT_NS).join(', ')}`);
  if (page < 0) throw new SeriesError(line, 'no column for the page: page or address');
  return { time, unitNs: UNIT_NS[names[time]], page, isAddress: names[page] === 'address', pages: names.indexOf('pages') };
}

/** The inverse of parseSeries, a line at a time: runs of pages are one row. */
export function* seriesText({ pages, timeline, epochEndsNs }: DirtyTruth): Generator<string, void, void> {
  yield `# memory=${pages * PAGE_BYTES}`;
  yield epochEndsNs === undefined ? '# every write' : '# first writes of epochs; times are virtual ns';
  yield 'time_ns,page,pages';
  for (let i = 0; i < timeline.length; ) {
    let count = 1;
    while (i + count < timeline.length && timeline.atNs[i + count] === timeline.atNs[i] && timeline.page[i + count] === timeline.page[i] + count) count++;
    yield `${timeline.atNs[i]},${timeline.page[i]},${count}`;
    i += count;
  }
}
