/** The commands of the terminal debugger, named as those of gdb and rr where there are such. */
import { EVENT_FORMS } from '../../engine/debug/event-words.ts';
import { ExpressionError } from '../../engine/debug/expression.ts';
import { REGISTER_NAMES } from '../../engine/debug/inspect.ts';
import { linearRip, listing, listingBefore } from '../../engine/debug/listing.ts';
import { StepError } from '../../engine/debug/steps.ts';
import { SymbolError } from '../../engine/debug/symbols.ts';
import { SeekError } from '../../engine/debug/time-travel.ts';
import type { LogKind } from '../../engine/log/events.ts';
import { rangeOf, writeText } from '../cli/bisect-common.ts';
import { grouped, megabytes, virtualTime } from '../cli/format.ts';
import { linkLines, startOf } from '../cli/why.ts';
import { UsageError } from '../cli/usage-error.ts';
import { monitor } from '../gdb/monitor.ts';
import { StoreError } from '../store/errors.ts';
import type { Debugger, Halt, Point, StepKind } from './debugger.ts';
import { DebuggerError } from './error.ts';
import { CATCH_FORMS, type WatchAccess, addressesOf } from './points.ts';
import type { Sources } from './sources.ts';
import { type MemoryFormat, frameText, haltText, instructionText, memoryFormat, memoryLines, nextInstructionText, numberText, placeText, pointText, registerLines } from './text.ts';

interface Command {
  /** The first is its name, the others are short for it. */
  readonly names: readonly string[];
  readonly form: string;
  readonly help: string;
  /** An empty line runs it again. */
  readonly repeats?: boolean;
  /** What follows it, for completion. */
  readonly completes?: 'symbols' | 'registers' | 'info' | 'catch' | 'places' | 'commands';
  readonly run: (rest: string, name: string) => Promise<void> | void;
}

/** Kinds of events that something did; the others are the recorder's own. */
const WALKED_KINDS: readonly LogKind[] = ['input', 'exit', 'interrupt', 'device', 'idle', 'mark'];
const LIST_LINES = 10;
/** After the line asked for, for one with code. */
const LINES_LOOKED_AT = 50;
const FRAMES_SHOWN = 20;
const FRAMES_MAX = 1000;
const COMPLETIONS_MAX = 200;
const COUNT_MAX = 1_000_000_000;
const INFO_WORDS = ['registers', 'breakpoints', 'marks', 'events', 'threads', 'checkpoints', 'line', 'symbol', 'recording'];

/** An expected failure of a command: what it was asked for cannot be done. */
export function isAnswer(error: unknown): error is Error {
  return [DebuggerError, ExpressionError, SymbolError, SeekError, StepError, UsageError, StoreError].some((type) => error instanceof type);
}

export interface CommandsOptions {
  readonly debug: Debugger;
  readonly sources: Sources;
  readonly write: (text: string) => void;
}

export class Commands {
  /** `quit` was given. */
  isOver = false;
  private readonly debug: Debugger;
  private readonly sources: Sources;
  private readonly write: (text: string) => void;
  private readonly commands: readonly Command[];
  private readonly byName = new Map<string, Command>();
  private last = '';
  private format: MemoryFormat = { count: 1, format: 'x', size: 8 };
  private nextMemory: { readonly address: bigint; readonly isPhysical: boolean } | undefined;
  private nextLine: { readonly file: string; readonly line: number } | undefined;

  constructor({ debug, sources, write }: CommandsOptions) {
    this.debug = debug;
    this.sources = sources;
    this.write = write;
    this.commands = this.table();
    for (const command of this.commands) for (const name of command.names) this.byName.set(name, command);
  }

  /** Runs a line. Throws what isAnswer() knows, DivergedError. */
  async run(line: string): Promise<void> {
    const trimmed = line.trim();
    const text = trimmed === '' ? this.last : trimmed;
    if (text === '' || text.startsWith('#')) return;
    const [, name, rest] = /^([A-Za-z][\w-]*)?(.*)$/s.exec(text) ?? ['', '', ''];
    const command = this.find(name ?? '', text);
    this.last = command.repeats === true ? text : '';
    await command.run(rest.trim(), command.names[0]);
  }

  /** The line begins with the whole name of a command. */
  knows(line: string): boolean {
    return this.byName.has(/^\s*([A-Za-z][\w-]*)(?=[\s/]|$)/.exec(line)?.[1] ?? '');
  }

  /** Whole words that the last word of a line may be meant as, and that word. */
  complete(line: string): readonly [readonly string[], string] {
    const [, head, word] = (/^(\s*)([\w-]*)$/.exec(line) ?? /^(.*?)([^\s(*,+-]*)$/s.exec(line) ?? ['', '', '']) as readonly string[];
    const first = /^\s*([A-Za-z][\w-]*)/.exec(head)?.[1];
    let choices: readonly string[];
    if (first === undefined) choices = this.commands.map(({ names }) => names[0]);
    else {
      const command = this.byName.get(first) ?? this.commands.find(({ names }) => names[0].startsWith(first));
      choices = command === undefined ? [] : this.choices(command.completes ?? 'symbols', head);
    }
    return [choices.filter((choice) => choice.startsWith(word)).slice(0, COMPLETIONS_MAX), word];
  }

  private choices(kind: NonNullable<Command['completes']>, head: string): readonly string[] {
    const { table } = this.debug.symbols;
    switch (kind) {
      case 'commands':
        return this.commands.map(({ names }) => names[0]);
      case 'info':
        return /^\s*\S+\s+reg\w*\s/.test(head) ? REGISTER_NAMES : INFO_WORDS;
      case 'catch':
        return ['exit', 'interrupt', 'exception', 'syscall', 'mark', 'console', 'event', 'when'];
      case 'places':
        return ['end', ...(this.debug.bookmarks?.list ?? []).map(({ name }) => `mark:${name}`), ...this.markNames().map((name) => `mark:${name}`)];
      case 'registers':
        return REGISTER_NAMES;
      case 'symbols':
        return [...REGISTER_NAMES, 'position', ...table.symbols.map(({ name }) => name)];
    }
  }

  private markNames(): readonly string[] {
    const names = new Set<string>();
    for (const event of this.debug.travel.reader.events({ kinds: ['mark'] })) if (event.kind === 'mark' && names.size < COMPLETIONS_MAX) names.add(event.name);
    return [...names];
  }

  private find(name: string, text: string): Command {
    const exact = this.byName.get(name);
    if (exact !== undefined) return exact;
    const near = name === '' ? [] : this.commands.filter(({ names }) => names[0].startsWith(name));
    if (near.length === 1) return near[0];
    if (near.length > 1) throw new DebuggerError(`"${name}" may be ${near.map(({ names }) => names[0]).join(', ')}`);
    throw new DebuggerError(`there is no command "${name === '' ? text : name}"; \`help\` lists them`);
  }

  // ---- what is shown ----

  private line(text: string): void {
    this.write(`${text}\n`);
  }

  /** The status line. */
  status(): string {
    return placeText(this.debug.place());
  }

  private halted(halt: Halt): void {
    const why = haltText(this.debug, halt);
    if (why !== '') this.line(why);
    this.showPlace();
  }

  private showPlace(): void {
    const place = this.debug.place();
    this.line(placeText(place));
    this.line(nextInstructionText(this.debug));
    this.nextLine = place.line === undefined ? undefined : { file: place.line.file, line: Math.max(1, place.line.line - LIST_LINES / 2) };
    if (place.line === undefined) return;
    const text = this.sources.find(place.line.file)?.lines.at(place.line.line - 1);
    if (text !== undefined) this.line(`${place.line.line}\t${text}`);
  }

  // ---- commands ----

  private table(): readonly Command[] {
    const step = (name: string, short: string, kind: StepKind, direction: 'forward' | 'backward', help: string): Command => ({
      names: [name, short], form: '[N]', help, repeats: true, run: async (rest) => this.halted(await this.debug.step(kind, direction, count(rest, name))),
    }); // prettier-ignore
    const go = (name: string, short: readonly string[], direction: 'forward' | 'backward', help: string): Command => ({
      names: [name, ...short], form: '', help, repeats: true, run: async (rest) => {
        none(rest, name);
        this.halted(await this.debug.continue(direction));
      },
    }); // prettier-ignore
    const event = (name: string, short: string, direction: 'forward' | 'backward', help: string): Command => ({
      names: [name, short], form: '[WHAT]', help, repeats: true, completes: 'catch', run: async (rest) => this.halted(await this.debug.event(rest === '' ? `event ${WALKED_KINDS.join(' ')}` : rest, direction)),
    }); // prettier-ignore
    const watch = (name: string, access: WatchAccess, help: string): Command => ({
      names: [name], form: 'WHAT[,BYTES] [if EXPR]', help, run: (rest) => {
        const { text, condition } = conditional(rest, name);
        this.added(this.debug.addWatchpoint(text, access, { condition }));
      },
    }); // prettier-ignore
    const breakAt = (name: string, short: string, isTemporary: boolean, help: string): Command => ({
      names: [name, short], form: '[WHERE] [if EXPR]', help, run: (rest) => {
        const { text, condition } = conditional(rest === '' || rest.startsWith('if ') ? `*rip ${rest}` : rest, name);
        this.added(this.debug.addBreakpoint(text, { condition, isTemporary }));
      },
    }); // prettier-ignore
    return [
      go('continue', ['c'], 'forward', 'on to the next breakpoint, watchpoint or catchpoint, or to the end'),
      go('reverse-continue', ['rc'], 'backward', 'the same backward'),
      step('stepi', 'si', 'instruction', 'forward', 'one instruction on, or N'),
      step('reverse-stepi', 'rsi', 'instruction', 'backward', 'one instruction back, or N'),
      step('nexti', 'ni', 'over-instruction', 'forward', 'one instruction on, over what it calls'),
      step('reverse-nexti', 'rni', 'over-instruction', 'backward', 'the same backward'),
      step('step', 's', 'line', 'forward', 'to another line of source; without lines as stepi'),
      step('reverse-step', 'rs', 'line', 'backward', 'back to where the line before began; without lines as reverse-stepi'),
      step('next', 'n', 'over-line', 'forward', 'as step, over what it calls'),
      step('reverse-next', 'rn', 'over-line', 'backward', 'as reverse-step, over what it calls'),
      step('finish', 'fin', 'out', 'forward', 'until the function returns'),
      step('reverse-finish', 'rfin', 'out', 'backward', 'back to the call of the function'),
      {
        names: ['seek', 'goto'], form: 'WHERE', help: '@1234567, 50%, event:1000, mark:NAME, end; or N instructions on or back: +N, -N', completes: 'places',
        run: async (rest) => {
          if (rest === '') throw new DebuggerError('seek needs a place: @1234567, 50%, event:1000, mark:NAME, end, +N or -N');
          const relative = /^([+-])(\d[\d_]{0,18})$/.exec(rest);
          const n = relative === null ? 0 : Number(relative[2].replaceAll('_', '')) * (relative[1] === '-' ? -1 : 1);
          this.halted(relative === null ? await this.debug.seek(rest) : await this.debug.seekPosition(Math.min(Math.max(0, this.debug.travel.position + n), this.debug.travel.last)));
        },
      },
      event('next-event', 'ne', 'forward', `on to the next event of the log that is WHAT, or to the next at all: ${EVENT_FORMS}, syscall [NAME|NUMBER]`),
      event('reverse-next-event', 'rne', 'backward', 'back to the last such event'),
      { names: ['when'], form: '', help: 'position, event and virtual time of the present', run: () => this.write(monitor(this.debug.travel, 'when')) },
      breakAt('break', 'b', false, 'stops where the instruction at a symbol, FILE:LINE or *EXPR is about to run (a function: its first one); here unless told'),
      breakAt('tbreak', 'tb', true, 'the same, once'),
      watch('watch', 'change', 'stops where memory has changed: a symbol, EXPR[,BYTES], u32(EXPR), or p32(EXPR) for physical memory'),
      watch('wwatch', 'write', 'the same at every store, also of what was there'),
      watch('rwatch', 'read', 'where it was read'),
      watch('awatch', 'access', 'where it was read or written'),
      {
        names: ['catch'], form: 'WHAT', help: CATCH_FORMS, completes: 'catch', run: (rest) => {
          const { text, condition } = /^\s*(?:console|when)\b/.test(rest) ? { text: rest, condition: undefined } : conditional(rest, 'catch');
          this.added(this.debug.addCatchpoint(text, { condition }));
        },
      },
      { names: ['delete', 'd'], form: '[N...]', help: 'takes breakpoints, watchpoints and catchpoints out; all unless told', run: (rest) => this.each(rest, 'delete', ({ id }) => void this.debug.remove(id)) },
      { names: ['enable'], form: '[N...]', help: 'they count again', run: (rest) => this.each(rest, 'enable', (point) => void (point.isEnabled = true)) },
      { names: ['disable'], form: '[N...]', help: 'they do not count', run: (rest) => this.each(rest, 'disable', (point) => void (point.isEnabled = false)) },
      { names: ['info', 'i'], form: INFO_WORDS.join('|'), help: 'registers [NAME...|all], events [N], line WHERE, symbol ADDRESS', completes: 'info', run: (rest) => this.info(rest) },
      { names: ['backtrace', 'bt', 'where'], form: '[N]', help: 'who called, innermost first', run: async (rest) => this.backtrace(rest) },
      { names: ['x'], form: '/[N][xduotcsia][bhwg] EXPR', help: 'memory; `xp` is guest-physical memory', repeats: true, run: (rest) => this.examine(rest, false) },
      { names: ['xp'], form: '/[N][xduotcsa][bhwg] EXPR', help: 'guest-physical memory', repeats: true, run: (rest) => this.examine(rest, true) },
      { names: ['print', 'p'], form: '[/xduotac] EXPR', help: 'the value of an expression; registers with or without $', run: (rest) => this.print(rest) },
      { names: ['disassemble', 'disas'], form: '[WHERE][,N]', help: 'the function, or N instructions from there; Intel syntax', run: (rest) => this.disassemble(rest) },
      { names: ['list', 'l'], form: '[FILE:LINE|FUNCTION]', help: 'source around the present or a place', repeats: true, run: (rest) => this.list(rest) },
      { names: ['events'], form: '[N]', help: 'the N events before the present and the N after it', run: (rest) => this.events(rest) },
      { names: ['last-write', 'lw'], form: 'WHAT[,BYTES]', help: 'who wrote there last, before the present; the cursor stays', run: async (rest) => this.lastWrite(rest) },
      { names: ['why'], form: 'REGISTER|WHAT[,BYTES]', help: 'where the value there comes from: each store, load and move before, to arithmetic, a device or an input', completes: 'registers', run: async (rest) => this.why(rest) },
      { names: ['mark'], form: 'NAME', help: 'a mark here, kept beside the recording; seek mark:NAME goes to it', completes: 'places', run: (rest) => this.mark(rest) },
      { names: ['unmark'], form: 'NAME', help: 'takes such a mark away', completes: 'places', run: (rest) => this.unmark(rest) },
      { names: ['status'], form: '', help: 'where it is, and the instruction there', run: () => this.showPlace() },
      { names: ['echo'], form: 'TEXT', help: 'writes a line, for scripts', run: (rest) => this.line(rest) },
      { names: ['help', 'h'], form: '[COMMAND]', help: 'this', completes: 'commands', run: (rest) => this.help(rest) },
      { names: ['quit', 'q', 'exit'], form: '', help: 'the recording stays as it was', run: () => void (this.isOver = true) },
    ]; // prettier-ignore
  }

  private help(rest: string): void {
    const shown = rest === '' ? this.commands : [this.find(rest, rest)];
    for (const { names, form, help } of shown) this.line(`${`${names.join(', ')} ${form}`.trimEnd().padEnd(34)}  ${help}`);
    if (rest === '') this.line('An expression: registers, symbols (their addresses), u8 u16 u32 u64 s8 .. s64(ADDRESS), p8 .. p64(ADDRESS) physical, position, events("exit cpuid") before here, C operators.');
  }

  private added(point: Point): void {
    this.line(`${point.kind} ${point.id}: ${pointText(point)}`);
  }

  private each(rest: string, name: string, act: (point: Point) => void): void {
    const words = rest.split(/\s+/).filter((word) => word !== '');
    const chosen = words.length === 0 ? this.debug.points : words.map((word) => this.pointOf(word, name));
    for (const point of chosen) act(point);
  }
  private pointOf(word: string, name: string): Point {
    const point = /^\d{1,9}$/.test(word) ? this.debug.point(Number(word)) : undefined;
    if (point === undefined) throw new DebuggerError(`${name} "${word}": there is no point of this number; \`info breakpoints\` lists them`);
    return point;
  }

  private info(rest: string): void {
    const [word = '', ...words] = rest.split(/\s+/);
    const matches = INFO_WORDS.filter((known) => word !== '' && known.startsWith(word));
    const { debug } = this;
    const { travel, symbols } = debug;
    switch (matches.length === 1 || word === 'r' ? (word === 'r' ? 'registers' : matches[0]) : word) {
      case 'registers':
        for (const line of registerLines(travel.machine, symbols, words)) this.line(line);
        return;
      case 'breakpoints':
        if (debug.points.length === 0) this.line('there are none');
        for (const point of debug.points) this.line(`${String(point.id).padEnd(4)} ${point.kind.padEnd(10)} ${point.isEnabled ? 'on ' : 'off'} met ${String(point.hits).padEnd(5)} ${pointText(point)}`);
        return;
      case 'marks':
        this.write(monitor(travel, 'marks'));
        for (const { name, position } of debug.bookmarks?.list ?? []) this.line(`@${grouped(position)}  ${name}  (yours)`);
        return;
      case 'events':
        this.events(words.join(' '));
        return;
      case 'threads': {
        const { task } = debug.place();
        this.line(`* 1  CPU 0, ${debug.register('halted') === 1n ? 'halted, ' : ''}ring ${debug.register('cpl') ?? 0n}${task === undefined ? '' : `, task ${task}`}`);
        return;
      }
      case 'checkpoints': {
        const { count: number, bytes } = travel.checkpoints;
        this.line(`${number} checkpoints, ${megabytes(bytes)} of them in memory${travel.problem === undefined ? '' : `; the index is not used: ${travel.problem.message}`}`);
        return;
      }
      case 'line': {
        const address = words.length === 0 ? debug.place().rip : addressesOf(travel, symbols, words.join(' '))[0];
        const line = symbols.lineOf(address);
        this.line(`${symbols.tell(address)} (0x${address.toString(16)}): ${line === undefined ? 'no line is known' : `${line.file}:${line.line}`}`);
        return;
      }
      case 'symbol':
        if (words.length === 0) throw new DebuggerError('info symbol needs an address');
        this.line(symbols.tell(BigInt.asUintN(64, debug.evaluate(words.join(' ')))));
        return;
      case 'recording': {
        const { reader } = travel;
        const end = debug.end();
        this.line(`@0 to @${grouped(travel.last)}, ${grouped(reader.records)} events, ${virtualTime(end?.totals?.virtualNs ?? 0)}; ${end === undefined ? 'cut off' : `ends by ${end.reason}${end.detail === '' ? '' : `, ${end.detail}`}`}`);
        this.line(`symbols: ${symbols.origin === 'none' ? 'none' : `${grouped(symbols.table.symbols.length)}, from ${symbols.origin === 'elf' ? 'the image' : "the kernel's memory"}`}`);
        return;
      }
      default:
        throw new DebuggerError(`info "${word}": give ${INFO_WORDS.join(', ')}`);
    }
  }

  private async backtrace(rest: string): Promise<void> {
    const shown = rest === '' ? FRAMES_SHOWN : count(rest, 'backtrace', FRAMES_MAX);
    const frames = await this.debug.stack(shown);
    if (frames === undefined) throw new DebuggerError('interrupted');
    frames.slice(0, shown).forEach((_, i) => this.line(frameText(this.debug.symbols, frames, i)));
  }

  private examine(rest: string, isPhysical: boolean): void {
    const [, letters, text] = /^(?:\/(\S*))?\s*(.*)$/s.exec(rest) ?? ['', undefined, ''];
    const format = memoryFormat(letters ?? '', this.format);
    const next = this.nextMemory?.isPhysical === isPhysical ? this.nextMemory.address : undefined;
    const address = text === '' ? next : BigInt.asUintN(64, this.debug.evaluate(noDollar(text)));
    if (address === undefined) throw new DebuggerError(`${isPhysical ? 'xp' : 'x'} needs an address, such as x/8xg rsp`);
    this.format = format;
    const shown = memoryLines(this.debug.travel.machine, this.debug.symbols, address, format, isPhysical);
    for (const line of shown.lines) this.line(line);
    this.nextMemory = { address: shown.next, isPhysical };
    // The next empty line goes on behind it.
    this.last = `${isPhysical ? 'xp' : 'x'}/${format.count}${format.format}${{ 1: 'b', 2: 'h', 4: 'w', 8: 'g' }[format.size]}`;
  }

  private print(rest: string): void {
    const [, letter, text] = /^(?:\/([a-z]*))?\s*(.*)$/s.exec(rest) ?? ['', undefined, ''];
    if (text === '') throw new DebuggerError('print needs an expression, such as print/x u64(rsp)');
    this.line(numberText(this.debug.symbols, this.debug.evaluate(noDollar(text)), letter ?? ''));
  }

  private disassemble(rest: string): void {
    const { debug } = this;
    const { machine } = debug.travel;
    const { table } = debug.symbols;
    const [, where, number] = /^(.*?)(?:,\s*(\d{1,5}))?$/s.exec(rest) ?? ['', '', undefined];
    const here = linearRip(machine);
    const address = where === '' ? here : addressesOf(debug.travel, debug.symbols, noDollar(where))[0];
    const symbol = table.at(address);
    const marked = (instruction: ReturnType<typeof listing>[number]): string => instructionText(debug.symbols, instruction, instruction.address === here ? '=> ' : '   ');
    if (number === undefined && symbol !== undefined && symbol.size > 0 && symbol.size <= 1 << 16) {
      const end = symbol.address + BigInt(symbol.size);
      for (let at = symbol.address; at < end; ) {
        const [instruction] = listing(machine, at, 1);
        this.line(marked(instruction));
        at += BigInt(instruction.length);
      }
      return;
    }
    const lines = number === undefined ? [...listingBefore(machine, table, address, 5), ...listing(machine, address, 10)] : listing(machine, address, Math.min(Number(number), 10_000));
    for (const instruction of lines) this.line(marked(instruction));
  }

  private events(rest: string): void {
    if (!/^(?:[1-9]\d{0,2})?$/.test(rest)) throw new DebuggerError(`events "${rest}": give a number from 1 to 500`);
    this.write(monitor(this.debug.travel, `events ${rest}`));
  }

  private list(rest: string): void {
    const { debug } = this;
    if (rest !== '') {
      const line = /^(.*\.[A-Za-z]\w*):(\d{1,9})$/.exec(rest);
      if (line !== null) {
        // The whole name of the file, where code comes from it.
        const [address] = Array.from({ length: LINES_LOOKED_AT }, (_, i) => debug.symbols.addressesOf(line[1], Number(line[2]) + i).at(0)).filter((found) => found !== undefined);
        const file = (address === undefined ? undefined : debug.symbols.lineOf(address)?.file) ?? line[1];
        this.nextLine = { file, line: Math.max(1, Number(line[2]) - LIST_LINES / 2) };
      }
      else {
        const at = debug.symbols.lineOf(addressesOf(debug.travel, debug.symbols, rest)[0]);
        if (at === undefined) throw new DebuggerError(`no line of source is known for "${rest}"`);
        this.nextLine = { file: at.file, line: Math.max(1, at.line - LIST_LINES / 2) };
      }
    }
    if (this.nextLine === undefined) {
      const at = debug.place().line;
      if (at === undefined) throw new DebuggerError('no line of source is known here; `disassemble` shows the code');
      this.nextLine = { file: at.file, line: Math.max(1, at.line - LIST_LINES / 2) };
    }
    const { file, line } = this.nextLine;
    const source = this.sources.find(file);
    if (source === undefined) throw new DebuggerError(`there is no file "${file}" in the folders of source (--sources FOLDER)`);
    const shown = source.lines.slice(line - 1, line - 1 + LIST_LINES);
    if (shown.length === 0) throw new DebuggerError(`${file} has ${source.lines.length} lines`);
    const here = debug.place().line;
    shown.forEach((text, i) => this.line(`${here?.file === file && here.line === line + i ? '=>' : '  '} ${line + i}\t${text}`));
    this.nextLine = { file, line: line + shown.length };
    this.last = 'list';
  }

  private async lastWrite(rest: string): Promise<void> {
    if (rest === '') throw new DebuggerError('last-write needs an address, such as last-write ticks');
    const { travel, symbols } = this.debug;
    const physical = /^p(8|16|32|64)\s*\((.*)\)$/.exec(rest);
    const range = rangeOf({ travel, symbols: symbols.table }, physical === null ? rest : `${physical[2]},${Number(physical[1]) / 8}`, physical !== null, 'debug');
    const write = await this.debug.lastWrite(range.ranges);
    this.line(write === undefined ? `nobody wrote to 0x${range.address.toString(16)}, ${range.length} bytes, before @${grouped(travel.position)}` : writeText(symbols.table, write));
  }

  private async why(rest: string): Promise<void> {
    if (rest === '') throw new DebuggerError('why needs a register or an address, such as why rax');
    const { travel, symbols } = this.debug;
    for await (const link of this.debug.why(startOf({ travel, symbols: symbols.table }, noDollar(rest), 'debug'))) for (const line of linkLines(symbols, link)) this.line(line);
  }

  private mark(name: string): void {
    const { bookmarks, travel } = this.debug;
    if (bookmarks === undefined) throw new DebuggerError('there is no file to keep marks in');
    bookmarks.set(name, travel.position);
    this.line(`mark:${name} is @${grouped(travel.position)}`);
  }
  private unmark(name: string): void {
    if (this.debug.bookmarks?.delete(name.replace(/^mark:/, '')) !== true) throw new DebuggerError(`there is no mark of yours "${name}"`);
  }
}

/** `$rax` is rax. */
function noDollar(text: string): string {
  return text.replace(/\$(?=[A-Za-z])/g, '');
}

function conditional(text: string, name: string): { readonly text: string; readonly condition: string | undefined } {
  const match = /^(.*?)\s+if\s+(.+)$/s.exec(text);
  const what = noDollar((match === null ? text : match[1]).trim());
  if (what === '') throw new DebuggerError(`${name} needs to be told what; \`help ${name}\``);
  return { text: what, condition: match === null ? undefined : noDollar(match[2]) };
}

function count(text: string, name: string, max = COUNT_MAX): number {
  if (text === '') return 1;
  const number = /^\d[\d_]{0,12}$/.test(text) ? Number(text.replaceAll('_', '')) : NaN;
  if (!(number >= 1 && number <= max)) throw new DebuggerError(`${name} "${text}": give a number from 1 to ${max}`);
  return number;
}

function none(rest: string, name: string): void {
  if (rest !== '') throw new DebuggerError(`${name} "${rest}": nothing follows ${name}`);
}
