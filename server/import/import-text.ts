/** Text of other tools to an exit profile. Which tool it came from is found from the lines themselves. */
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { LINE_CHARACTERS_MAX, LineSplitter } from './lines.ts';
import { NotUnderstood, type UnreadLine } from './not-understood.ts';
import { PerfKvmStatImport } from './perf-kvm-stat.ts';
import { type ImportedExit, TraceImport } from './trace-import.ts';

export interface ImportReport {
  /** `trace`: events; `table`: sums; `none`: the text holds nothing that is known. */
  readonly kind: 'trace' | 'table' | 'none';
  readonly lines: number;
  /** Lines that say nothing about exits and are known: comments, blanks, the tool's own messages, frames of call stacks. */
  readonly ignoredLines: number;
  readonly notUnderstood: number;
  readonly firstNotUnderstood: readonly UnreadLine[];
  /** Lines of a trace by event. */
  readonly events: Readonly<Record<string, number>>;
  readonly pairs: { readonly exits: number; readonly entries: number; readonly unpairedExits: number; readonly unpairedEntries: number; readonly nested: number; readonly userspaceExits: number } | undefined;
  readonly profile: ExitProfile | undefined;
}

/** Comments of ftrace and perf, prompts, blank lines; headers of trace-cmd. */
const IGNORED = /^\s*$|^\s*#|^\s*\$ |^cpus=\d+$|^version = \d+$|^CPU \d+ is empty$|^\s*\[ perf record:/;
/** `perf script` with call stacks: an address, a symbol, a file. */
const STACK_FRAME = /^\s+[0-9a-f]{6,16} \S/;
/** `On 2021-..., X wrote:` and other prose are not understood, but mail's quoting marks are known. */
const QUOTING = /^(?:> ?)+/;

export class TextImport {
  private readonly name: string;
  private readonly notUnderstood = new NotUnderstood();
  private readonly trace: TraceImport;
  private readonly table = new PerfKvmStatImport(this.notUnderstood);
  private readonly splitter = new LineSplitter((text, isCut) => this.line(text, isCut));
  private lines = 0;
  private ignored = 0;
  private traceLines = 0;

  /** `onExit` gets each exit of an event text as soon as it is over. */
  constructor(name: string, onExit?: (exit: ImportedExit) => void) {
    this.name = name;
    this.trace = new TraceImport(this.notUnderstood, onExit);
  }

  push(bytes: Uint8Array): void {
    this.splitter.push(bytes);
  }

  end(): ImportReport {
    this.splitter.end();
    this.trace.end();
    this.table.end();
    const hasTrace = [...this.trace.events.keys()].some((event) => event.startsWith('kvm_'));
    const kind = hasTrace ? 'trace' : this.table.tables > 0 ? 'table' : 'none';
    return {
      kind,
      lines: this.lines,
      ignoredLines: this.ignored,
      notUnderstood: this.notUnderstood.count,
      firstNotUnderstood: this.notUnderstood.first,
      events: Object.fromEntries([...this.trace.events].sort(([a], [b]) => (a < b ? -1 : 1))),
      pairs: hasTrace
        ? {
            exits: this.trace.exits, entries: this.trace.entries, unpairedExits: this.trace.unpairedExits, unpairedEntries: this.trace.unpairedEntries, nested: this.trace.nested, userspaceExits: this.trace.userspaceExits,
          }
        : undefined,
      profile: kind === 'trace' ? this.trace.profile(this.name) : kind === 'table' ? this.table.profile(this.name) : undefined,
    };
  }

  private line(raw: string, isCut: boolean): void {
    this.lines++;
    const text = raw.replace(QUOTING, '');
    if (isCut) {
      this.notUnderstood.add(this.lines, text, `the line has more than ${LINE_CHARACTERS_MAX} characters`);
      return;
    }
    if (this.trace.take(this.lines, text)) {
      this.traceLines++;
      return;
    }
    if (this.table.take(this.lines, text)) return;
    if (IGNORED.test(text) || (this.traceLines > 0 && STACK_FRAME.test(text))) {
      this.ignored++;
      return;
    }
    this.notUnderstood.add(this.lines, text, 'neither an event nor a row of a table');
  }
}

/** A whole text. */
export function importText(name: string, text: string, onExit?: (exit: ImportedExit) => void): ImportReport {
  const importer = new TextImport(name, onExit);
  importer.push(new TextEncoder().encode(text));
  return importer.end();
}
