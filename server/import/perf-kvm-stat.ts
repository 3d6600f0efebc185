/**
 * Tables of `perf kvm stat report` and `live`. Columns are found by the words of the heading, and a row is read from the right, because the column of names has had many widths
 * and names hold blanks:
 *
 *              VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time        perf 6.1 and before; times in us
 *     Event name   Samples   Sample%    Time (ns)     Time%   Max Time (ns)   Min Time (ns)  Mean Time (ns)   newer
 *
 * Linux tools/perf/builtin-kvm.c.
 */
import type { CostSummary, ExitProfile, ProfileDimension, ProfileRow } from '../../engine/analysis/exit-profile/profile.ts';
import type { NotUnderstood } from './not-understood.ts';
import { currentName, isSleepName } from './reason-names.ts';

type Column = 'samples' | 'samplesShare' | 'timeShare' | 'time' | 'min' | 'max' | 'mean';

interface Row {
  readonly name: string;
  samples: number;
  totalNs: number | undefined;
  minNs: number | undefined;
  maxNs: number | undefined;
}

const ROWS_MAX = 4096;
/** The smallest heading: `Samples  Samples%   Time%    Avg time`. */
const COLUMNS_MIN = 3;
const HEADING = /(Samples?%)|(Samples)|(Time%)|(Min Time|Max Time|Avg time|Mean Time)(?: ?\((ns|us|ms)\))?|(Time ?\((?:ns|us|ms)\))/gi;

interface Heading {
  readonly kind: ProfileDimension;
  readonly columns: readonly Column[];
  /** ns of a number without a unit, by column. */
  readonly scale: readonly number[];
}

const UNIT_NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** A number as perf prints it, in ns if it has a unit of time. */
function numberOf(text: string, scale: number): number | undefined {
  const match = /^(\d{1,18}(?:\.\d{1,9})?)(ns|us|ms|s|%)?$/.exec(text);
  if (match === null) return undefined;
  const unit = match[2];
  return Number(match[1]) * (unit === undefined ? scale : unit === '%' ? 1 : UNIT_NS[unit]);
}

function headingOf(text: string): Heading | undefined {
  const columns: Column[] = [];
  const scale: number[] = [];
  let first = -1;
  for (const match of text.matchAll(HEADING)) {
    if (first < 0) first = match.index;
    const word = match[0].toLowerCase();
    const column: Column = word.startsWith('sample') ? (word.endsWith('%') ? 'samplesShare' : 'samples') : word === 'time%' ? 'timeShare' : word.startsWith('min') ? 'min' : word.startsWith('max') ? 'max' : word.startsWith('time') ? 'time' : 'mean';
    columns.push(column);
    scale.push(column === 'samples' || column.endsWith('Share') ? 1 : UNIT_NS[/\((ns|us|ms)\)/.exec(word)?.[1] ?? 'us']);
  }
  if (columns.length < COLUMNS_MIN || !columns.includes('samples') || new Set(columns).size !== columns.length) return undefined;
  const name = text.slice(0, first).trim();
  const kind = /mmio/i.test(name) ? 'gpa' : /port/i.test(name) ? 'port' : /msr/i.test(name) ? 'msr' : 'reason';
  return { kind, columns, scale };
}

export class PerfKvmStatImport {
  tables = 0;
  lostEvents = 0;
  /** Of the footers; undefined if a table has none. */
  private footerSamples: number | undefined;
  private footerNs: number | undefined;
  private readonly kinds = new Map<ProfileDimension, Map<string, Row>>();
  private readonly layouts = new Set<string>();
  private readonly notUnderstood: NotUnderstood;
  private heading: Heading | undefined;
  private isMeanOnly = false;
  /** A row or a heading of which mail has put the rest on the next line. */
  private broken: { line: number; text: string } | undefined;
  private pendingCode: string | undefined;

  constructor(notUnderstood: NotUnderstood) {
    this.notUnderstood = notUnderstood;
  }

  /** Takes a line if it is one of a table. */
  take(number: number, text: string): boolean {
    const trimmed = text.trim();
    if (this.broken !== undefined) {
      const joined = { line: this.broken.line, text: `${this.broken.text} ${trimmed}` };
      this.broken = undefined;
      if (trimmed !== '' && (this.takeHeading(joined.text) || this.takeRow(joined.line, joined.text, false))) return true;
      this.notUnderstood.add(joined.line, joined.text, 'the beginning of a row without its end');
    }
    const isTold = /^Analyze events for\b/.test(trimmed) || /^\d\d:\d\d:\d\d\.\d{6}$/.test(trimmed) || /^-{10,}$/.test(trimmed) || /^\[ perf record:/.test(trimmed) || /^#.*\bperf kvm\b/.test(trimmed);
    if (isTold) return true;
    // A heading that was cut inside its columns.
    if (/\bSamples\b.*\bSamples?%.*\b(Min|Max|Avg|Mean)$/.test(trimmed)) {
      this.broken = { line: number, text: trimmed };
      return true;
    }
    if (this.takeHeading(trimmed)) return true;
    if (this.heading === undefined) return false;
    if (trimmed === '') return true;
    const footer = /^Total Samples: ?(\d{1,15}), Total events handled time: ?(\d{1,15}(?:\.\d{1,6})?)us\.$/.exec(trimmed);
    if (footer !== null) {
      this.footerSamples = (this.footerSamples ?? 0) + Number(footer[1]);
      this.footerNs = (this.footerNs ?? 0) + Number(footer[2]) * 1e3;
      return true;
    }
    const lost = /^Lost events: ?(\d{1,15})$/.exec(trimmed);
    if (lost !== null) {
      this.lostEvents += Number(lost[1]);
      return true;
    }
    const unknown = /^unknown kvm exit code: ?(-?\d{1,12}) on (\w{1,10})$/.exec(trimmed);
    if (unknown !== null) {
      this.pendingCode = unknown[1];
      return true;
    }
    return this.takeRow(number, text, true);
  }

  end(): void {
    if (this.broken !== undefined) this.notUnderstood.add(this.broken.line, this.broken.text, 'the beginning of a row without its end');
    this.broken = undefined;
  }

  profile(name: string): ExitProfile {
    const by: Partial<Record<ProfileDimension, readonly ProfileRow[]>> = {};
    for (const [kind, rows] of this.kinds) by[kind] = profileRows([...rows.values()], this.isMeanOnly);
    const main = [...(this.kinds.get('reason') ?? this.kinds.values().next().value ?? new Map<string, Row>()).values()];
    const sideOf = (isIdle: boolean): { low: number; typical: number; high: number } => {
      const total = main.filter((row) => isSleepName(row.name) === isIdle).reduce((sum, { totalNs }) => sum + (totalNs ?? 0), 0);
      return { low: total, typical: total, high: total };
    };
    const exits = main.reduce((sum, { samples }) => sum + samples, 0);
    const notes: string[] = [];
    if (this.tables > 1) notes.push(`${this.tables} tables were added up`);
    if (this.footerSamples !== undefined && this.footerSamples !== exits) notes.push(`the rows add up to ${exits} exits, the footer says ${this.footerSamples}: rows are missing`);
    if (this.footerSamples === undefined && exits > 0) notes.push('the text has no footer: rows may be missing');
    if (this.lostEvents > 0) notes.push(`perf lost ${this.lostEvents} events: counts are too low`);
    const unnamed = main.filter((row) => row.name.startsWith('UNKNOWN')).length;
    if (unnamed > 0) notes.push(`${unnamed} reasons have no name: this perf does not know them (kvm_pvm prints its own codes, and its vectors appear under Intel's names)`);
    return {
      source: { kind: 'perf kvm stat report', name, under: [...this.layouts].sort().join(', ') },
      unit: 'ns',
      costIs: 'time from kvm_exit to kvm_entry, as the host sees it: without the hardware part of exit and entry (about 500 to 1000 cycles), and with the sleep of a halted guest',
      exits,
      idleExits: main.filter((row) => isSleepName(row.name)).reduce((sum, { samples }) => sum + samples, 0),
      work: sideOf(false),
      idle: sideOf(true),
      by,
      stacks: main.map((row) => ({ frames: [row.name], count: row.samples, cost: row.totalNs ?? 0, isIdle: isSleepName(row.name) })),
      notes,
    };
  }

  private takeHeading(text: string): boolean {
    const heading = headingOf(text);
    if (heading === undefined) return false;
    this.heading = heading;
    this.tables++;
    this.pendingCode = undefined;
    if (!heading.columns.includes('min')) this.isMeanOnly = true;
    this.layouts.add(heading.columns.includes('time') ? 'newer layout (ns)' : heading.columns.includes('min') ? 'layout of perf 6.1' : 'condensed');
    if (!this.kinds.has(heading.kind)) this.kinds.set(heading.kind, new Map());
    return true;
  }

  /** `mayGoOn`: the rest of the row may be on the next line. */
  private takeRow(number: number, text: string, mayGoOn: boolean): boolean {
    if (this.heading === undefined) return false;
    const { columns, scale, kind } = this.heading;
    const words = text.replace(/\(\s*\+-\s*[\d.]{1,12}%\s*\)\s*$/, '').trim().split(/\s+/);
    const numbers: number[] = [];
    let at = words.length - 1;
    for (; at >= 1 && numbers.length < columns.length; at--) {
      const value = numberOf(words[at], scale[columns.length - 1 - numbers.length]);
      if (value === undefined) break;
      numbers.unshift(value);
    }
    if (numbers.length < columns.length) {
      // A row that goes on has at least a name, its count and a share.
      if (mayGoOn && words.length >= 3 && numbers.length >= 2) {
        this.broken = { line: number, text };
        return true;
      }
      return false;
    }
    const rows = this.kinds.get(kind) ?? new Map<string, Row>();
    const value = (column: Column): number | undefined => {
      const place = columns.indexOf(column);
      return place < 0 ? undefined : numbers[place];
    };
    const samples = value('samples') ?? 0;
    if (!Number.isSafeInteger(samples)) return false;
    const printed = words.slice(0, at + 1).join(' ');
    const name = printed === 'UNKNOWN' && this.pendingCode !== undefined ? `UNKNOWN (${this.pendingCode})` : printed;
    this.pendingCode = undefined;
    const mean = value('mean');
    const totalNs = value('time') ?? (mean === undefined ? undefined : mean * samples);
    const known = rows.get(name);
    if (known === undefined) {
      if (rows.size >= ROWS_MAX) return false;
      rows.set(name, { name, samples, totalNs, minNs: value('min'), maxNs: value('max') });
    } else {
      known.samples += samples;
      known.totalNs = known.totalNs === undefined || totalNs === undefined ? undefined : known.totalNs + totalNs;
      known.minNs = least(known.minNs, value('min'), Math.min);
      known.maxNs = least(known.maxNs, value('max'), Math.max);
    }
    return true;
  }
}

function least(a: number | undefined, b: number | undefined, pick: (a: number, b: number) => number): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : pick(a, b);
}

function profileRows(rows: readonly Row[], isMeanOnly: boolean): ProfileRow[] {
  const totals = [false, true].map((isIdle) => rows.filter((row) => isSleepName(row.name) === isIdle).reduce((sum, { totalNs }) => sum + (totalNs ?? 0), 0));
  return rows
    .map((row): ProfileRow => {
      const isIdle = isSleepName(row.name);
      const side = totals[isIdle ? 1 : 0];
      const cost: CostSummary | undefined =
        row.totalNs === undefined || row.samples === 0
          ? undefined
          : {
              exits: row.samples, total: row.totalNs, totalLow: row.totalNs, totalHigh: row.totalNs, mean: row.totalNs / row.samples, share: side === 0 ? 0 : row.totalNs / side,
              ...(!isMeanOnly && { min: row.minNs, max: row.maxNs }),
            };
      const renamed = currentName(row.name);
      return { label: row.name, ...(renamed !== undefined && { detail: `now ${renamed}` }), isIdle, isOther: false, count: row.samples, ...(cost !== undefined && { cost }) };
    })
    .sort((a, b) => Number(a.isIdle) - Number(b.isIdle) || (b.cost?.total ?? 0) - (a.cost?.total ?? 0) || b.count - a.count);
}
