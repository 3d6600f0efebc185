/**
 * The Debug Adapter Protocol over a recording: requests to responses and events. Knows no stream.
 *
 *     receive ─► queue ─► one request at a time ─► Debugger (server/debugger)
 *        └── cancel, pause, disconnect, threads: at once, also while something runs
 *
 * A walk answers its request first and ends with a `stopped` event. Requests about breakpoints that come while it runs break it off between two slices, are
 * answered, and the walk goes on; those about the machine are refused until it stands still.
 */
import { type Frame, codeAddress } from '../../engine/debug/call-stack.ts';
import { BAD, textOf } from '../../engine/debug/disassembler.ts';
import { readLinear } from '../../engine/debug/inspect.ts';
import { type ListedInstruction, listing, listingBefore } from '../../engine/debug/listing.ts';
import { DivergedError } from '../../engine/debug/time-travel.ts';
import { KIND_NAMES, LOG_KINDS } from '../../engine/log/events.ts';
import { rangeOf, writeText } from '../cli/bisect-common.ts';
import { failureOf } from '../cli/exit-codes.ts';
import { Commands, isAnswer } from '../debugger/commands.ts';
import { Debugger, type Halt, POINTS_MAX, type Point, type StepKind } from '../debugger/debugger.ts';
import { DebuggerError } from '../debugger/error.ts';
import { type OpenOptions, type Opened, crewOf } from '../debugger/open.ts';
import { haltText, numberText } from '../debugger/text.ts';
import { type Fields, address, count, fieldsOf, list, optionalCount, optionalText, text, texts } from './arguments.ts';
import { SCOPES, scopeVariables } from './variables.ts';

export interface AdapterCallbacks {
  readonly program: string | undefined;
  readonly at: string | undefined;
  readonly open: (file: string, options: OpenOptions) => Opened;
  readonly turn: () => Promise<void>;
  readonly log: (text: string) => void;
  readonly send: (message: object) => void;
  /** The client has disconnected. */
  readonly onEnd: () => void;
}

interface Request {
  readonly seq: number;
  readonly command: string;
  readonly fields: Fields;
}

type Handler = (fields: Fields, request: Request) => Promise<object | undefined> | object | undefined;
/** The `reason` of a stopped event. */
type Reason = 'step' | 'breakpoint' | 'exception' | 'pause' | 'entry' | 'goto' | 'function breakpoint' | 'data breakpoint' | 'instruction breakpoint';

export const QUEUE_MAX = 1000;
const THREAD = 1;
const FRAMES_MAX = 1000;
const FRAMES_DEFAULT = 20;
const INSTRUCTIONS_MAX = 10_000;
const MEMORY_BYTES_MAX = 1 << 20;
const BINS_MAX = 10_000;
/** Slices of a walk before its progress is told. */
const QUIET_SLICES = 4;

const CAPABILITIES = {
  supportsConfigurationDoneRequest: true, supportsStepBack: true, supportsSteppingGranularity: true, supportsInstructionBreakpoints: true, supportsDataBreakpoints: true,
  supportsDataBreakpointBytes: true, supportsConditionalBreakpoints: true, supportsHitConditionalBreakpoints: true, supportsFunctionBreakpoints: true, supportsLogPoints: true,
  supportsReadMemoryRequest: true, supportsDisassembleRequest: true, supportsEvaluateForHovers: true, supportsCancelRequest: true, supportsCompletionsRequest: true,
  supportsExceptionInfoRequest: true, supportsRestartRequest: true, supportsTerminateRequest: true, supportsDelayedStackTraceLoading: true,
  exceptionBreakpointFilters: [
    { filter: 'panic', label: 'Panic of the guest', description: 'its function `panic` is about to run', default: true },
    { filter: 'exception', label: 'Exceptions of the guest', description: 'exceptions that the log has as exits', default: false },
  ],
}; // prettier-ignore

/** What a cancelled request is answered. */
const CANCELLED = 'cancelled';

export class Adapter {
  private readonly callbacks: AdapterCallbacks;
  private readonly queue: Request[] = [];
  private readonly cancelled = new Set<number>();
  private readonly handlers: Readonly<Record<string, Handler>>;
  private seq = 1;
  private isWorking = false;
  private isOver = false;
  private worker: Promise<void> = Promise.resolve();
  private opened: Opened | undefined;
  private debug: Debugger | undefined;
  private commands: Commands | undefined;
  private written: string[] = [];
  private start = '@0';
  private stopsOnEntry = true;
  private hasProgress = false;
  /** The line and column numbers of the client begin at 1. */
  private lineBase = 1;
  /** A walk: what it is called, and its request. */
  private walk: { readonly title: string; readonly request: number; /** Broken off, it goes on where it was. */ readonly resumes: boolean; slices: number; percent: number } | undefined;
  /** The request that is worked on. */
  private current: number | undefined;
  private currentCommand: string | undefined;
  /** The client wants the walk to end where it is. */
  private isPaused = false;
  /** Done when the request has been answered. */
  private afterwards: (() => Promise<void>) | undefined;
  private exception: { readonly id: string; readonly description: string } | undefined;
  private frames: readonly Frame[] | undefined;
  /** Points by what asked for them. */
  private readonly points = new Map<string, readonly Point[]>();

  constructor(callbacks: AdapterCallbacks) {
    this.callbacks = callbacks;
    this.handlers = this.table();
  }

  /** A message as it came. */
  receive(value: unknown): void {
    if (this.isOver) return;
    const message = fieldsOf(value);
    const { seq, command } = message;
    if (message['type'] !== 'request' || typeof seq !== 'number' || !Number.isSafeInteger(seq) || typeof command !== 'string') {
      this.tell('what the client sent is no request: it has no type "request", seq or command');
      return;
    }
    const request: Request = { seq, command, fields: fieldsOf(message['arguments']) };
    if (command === 'cancel' || command === 'pause' || command === 'disconnect' || command === 'terminate') {
      this.atOnce(request);
      return;
    }
    if (command === 'threads') {
      this.respond(request, { threads: [{ id: THREAD, name: 'CPU 0' }] });
      return;
    }
    if (this.queue.length >= QUEUE_MAX) {
      this.refuse(request, `${QUEUE_MAX} requests wait already`);
      return;
    }
    if (this.walk !== undefined && !BETWEEN.has(command)) {
      this.refuse(request, 'the recording is being walked through: pause first');
      return;
    }
    this.queue.push(request);
    // A walk is broken off for it; a step is not, because it would end elsewhere.
    if (this.walk?.resumes === true) this.debug?.interrupt();
    if (!this.isWorking) this.worker = this.work();
  }

  /** A line for the person at the client. */
  tell(message: string): void {
    this.event('output', { category: 'console', output: `${message}\n` });
  }

  /** What runs is broken off; resolves when nothing is at work any more. */
  async close(): Promise<void> {
    this.isOver = true;
    this.queue.length = 0;
    this.debug?.interrupt();
    await this.worker;
    const crew = this.opened?.crew;
    await crew?.close();
    for (const problem of crew?.problems ?? []) this.callbacks.log(`a thread was lost, the others did its work: ${problem}`);
  }

  private atOnce(request: Request): void {
    if (request.command === 'pause') {
      // In vain when nothing runs, or is about to.
      if (this.walk !== undefined || this.queue.some(({ command }) => MOVES.has(command)) || (this.currentCommand !== undefined && MOVES.has(this.currentCommand))) {
        this.isPaused = true;
        this.debug?.interrupt();
      }
      this.respond(request);
      return;
    }
    if (request.command === 'cancel') {
      const { requestId, progressId } = request.fields;
      const id = typeof requestId === 'number' ? requestId : typeof progressId === 'string' && /^\d+$/.test(progressId) ? Number(progressId) : undefined;
      if (id !== undefined && this.queue.some(({ seq }) => seq === id)) this.cancelled.add(id);
      if (id !== undefined && (id === this.walk?.request || id === this.current)) {
        this.isPaused = true;
        this.cancelled.add(id);
        this.debug?.interrupt();
      }
      this.respond(request);
      return;
    }
    this.respond(request);
    if (request.command === 'terminate') this.event('terminated');
    else this.isOver = true;
    if (this.isOver) this.callbacks.onEnd();
  }

  private async work(): Promise<void> {
    this.isWorking = true;
    try {
      await this.drain();
    } finally {
      this.isWorking = false;
    }
  }

  private async drain(): Promise<void> {
    while (this.queue.length > 0) {
      // What came with a request is heard before it is worked on.
      await this.callbacks.turn();
      const request = this.queue.shift();
      if (this.isOver || request === undefined) return;
      await this.answer(request);
    }
  }

  private async answer(request: Request): Promise<void> {
    if (this.cancelled.delete(request.seq)) {
      this.refuse(request, CANCELLED);
      return;
    }
    const handler = Object.hasOwn(this.handlers, request.command) ? this.handlers[request.command] : undefined;
    if (handler === undefined) {
      this.refuse(request, `there is no request "${request.command.slice(0, 100)}"`);
      return;
    }
    const outer = [this.current, this.currentCommand] as const;
    this.current = request.seq;
    this.currentCommand = request.command;
    try {
      const body = await handler(request.fields, request);
      if (this.cancelled.delete(request.seq)) this.refuse(request, CANCELLED);
      else this.respond(request, body);
    } catch (error) {
      this.afterwards = undefined;
      if (isAnswer(error)) this.refuse(request, error.message);
      else if (error instanceof DivergedError) this.refuse(request, `${error.message}\nThe recording does not replay from there on; now at @0`);
      else if (failureOf(error) !== undefined) this.refuse(request, failureOf(error)!.message);
      else {
        this.callbacks.log(bugText(error));
        this.refuse(request, error instanceof Error ? error.message : String(error));
      }
    } finally {
      [this.current, this.currentCommand] = outer;
    }
    const after = this.afterwards;
    this.afterwards = undefined;
    if (after !== undefined) await after();
  }

  // ---- messages ----

  private send(message: object): void {
    this.callbacks.send({ seq: this.seq++, ...message });
  }
  private respond({ seq, command }: Request, body?: object): void {
    this.send({ type: 'response', request_seq: seq, success: true, command, ...(body === undefined ? {} : { body }) });
  }
  private refuse({ seq, command }: Request, message: string): void {
    this.send({ type: 'response', request_seq: seq, success: false, command, message, body: { error: { id: 1, format: message.replaceAll('{', '{{'), showUser: message !== CANCELLED } } });
  }
  private event(event: string, body?: object): void {
    this.send({ type: 'event', event, ...(body === undefined ? {} : { body }) });
  }

  private get session(): { readonly debug: Debugger; readonly opened: Opened } {
    if (this.debug === undefined || this.opened === undefined) throw new DebuggerError('no recording is open: launch first');
    return { debug: this.debug, opened: this.opened };
  }

  // ---- walks ----

  /** After the response, to the `stopped` event. */
  private later(title: string, request: Request, go: (debug: Debugger) => Promise<Halt>, resumes?: 'forward' | 'backward'): undefined {
    const { debug } = this.session;
    this.afterwards = async () => {
      // A pause that came before it had begun.
      if (this.isPaused) {
        this.stopped({ kind: 'interrupted' });
        return;
      }
      this.walk = { title, request: request.seq, resumes: resumes !== undefined, slices: 0, percent: -1 };
      const from = debug.travel.position;
      try {
        let halt = await go(debug);
        // Broken off for requests, not by the client: they are answered, and it goes on.
        while (halt.kind === 'interrupted' && resumes !== undefined && !this.isPaused && !this.isOver) {
          const at = debug.travel.position;
          await this.drain();
          // What is met at the very place of the interruption has not been looked at on the way forward.
          if (resumes === 'forward' && at > from) debug.travel.seek(at - 1);
          halt = await debug.continue(resumes);
        }
        this.stopped(halt);
      } catch (error) {
        if (!(error instanceof DivergedError) && !isAnswer(error)) this.callbacks.log(bugText(error));
        this.tell(error instanceof Error ? error.message : String(error));
        this.stopped({ kind: 'step' });
      } finally {
        this.cancelled.delete(request.seq);
        this.endProgress();
        this.walk = undefined;
      }
    };
    return undefined;
  }

  private onProgress(at: number): void {
    const { walk, opened } = this;
    if (walk === undefined || opened === undefined || !this.hasProgress) return;
    walk.slices++;
    if (walk.slices < QUIET_SLICES) return;
    const percent = Math.min(100, Math.floor((at / Math.max(1, opened.travel.last)) * 100));
    if (percent === walk.percent) return;
    const body = { progressId: String(walk.request), message: `@${at}`, percentage: percent };
    if (walk.percent < 0) this.event('progressStart', { ...body, title: walk.title, requestId: walk.request, cancellable: true });
    else this.event('progressUpdate', body);
    walk.percent = percent;
  }
  private endProgress(): void {
    if (this.walk !== undefined && this.walk.percent >= 0) this.event('progressEnd', { progressId: String(this.walk.request) });
  }

  private stopped(halt: Halt, entry?: Reason): void {
    const { debug } = this.session;
    this.endProgress();
    this.walk = undefined;
    this.isPaused = false;
    this.frames = undefined;
    const end = halt.kind === 'end' ? debug.end() : undefined;
    const hasFailed = end !== undefined && (end.reason === 'triple-fault' || end.reason === 'error' || (end.reason === 'debug-exit' && end.detail !== '1'));
    const reason: Reason = entry ?? (hasFailed ? 'exception' : halt.kind === 'point' ? this.reasonOf(halt.point) : halt.kind === 'step' ? 'step' : halt.kind === 'seek' ? 'goto' : 'pause');
    const why = haltText(debug, halt);
    this.exception = reason === 'exception' ? { id: hasFailed ? end.reason : halt.kind === 'point' ? halt.point.text : 'exception', description: why } : undefined;
    this.event('stopped', {
      reason,
      description: why === '' ? `@${debug.travel.position}` : why.split('\n')[0],
      ...(why === '' ? {} : { text: why }),
      threadId: THREAD,
      allThreadsStopped: true,
      ...(halt.kind === 'point' ? { hitBreakpointIds: [halt.point.id] } : {}),
    });
  }

  private reasonOf(point: Point): Reason {
    for (const [key, points] of this.points) {
      if (!points.includes(point)) continue;
      if (key === 'functions') return 'function breakpoint';
      if (key === 'instructions') return 'instruction breakpoint';
      if (key === 'data') return 'data breakpoint';
      if (key === 'exceptions') return 'exception';
    }
    return point.kind === 'watchpoint' ? 'data breakpoint' : 'breakpoint';
  }

  // ---- breakpoints ----

  /** Those of one kind or file anew. */
  private replace(key: string, wanted: readonly unknown[], add: (fields: Fields, options: { readonly condition?: string | undefined; readonly fromHit?: number | undefined; readonly message?: string | undefined }) => Point, describe: (point: Point) => object = () => ({})): object {
    const { debug } = this.session;
    for (const point of this.points.get(key) ?? []) debug.remove(point.id);
    const points: Point[] = [];
    const breakpoints = wanted.map((entry) => {
      const fields = fieldsOf(entry);
      try {
        const hit = optionalText(fields, 'hitCondition')?.trim();
        const match = hit === undefined || hit === '' ? undefined : /^(?:>=\s*)?(\d{1,9})$/.exec(hit);
        if (match === null) throw new DebuggerError(`the hit count "${hit}": give a number; it stops from that hit on`);
        const condition = optionalText(fields, 'condition');
        const point = add(fields, { condition: condition === '' ? undefined : condition, fromHit: match === undefined ? undefined : Number(match[1]), message: optionalText(fields, 'logMessage') });
        points.push(point);
        return { id: point.id, verified: true, ...(point.addresses.length > 0 ? { instructionReference: hex(point.addresses[0]) } : {}), ...describe(point) };
      } catch (error) {
        if (!isAnswer(error)) throw error;
        return { verified: false, message: error.message };
      }
    });
    this.points.set(key, points);
    return { breakpoints };
  }

  private sourceBreakpoint(path: string, fields: Fields, options: object): Point {
    const { debug } = this.session;
    const line = count(fields, 'line', 0, 10_000_000) + 1 - this.lineBase;
    // What the compiler called the file is an end of its path here.
    const parts = path.split(/[\\/]/).filter((part) => part !== '');
    let problem: Error | undefined;
    for (let from = 0; from < parts.length; from++) {
      try {
        return debug.addBreakpoint(`${parts.slice(from).join('/')}:${line}`, options);
      } catch (error) {
        if (!(error instanceof DebuggerError)) throw error;
        problem = error;
      }
    }
    throw problem ?? new DebuggerError('the source has no path');
  }

  private placeOfPoint(point: Point): object {
    const line = point.addresses.length === 0 ? undefined : this.session.debug.symbols.lineOf(point.addresses[0]);
    return line === undefined ? {} : { line: line.line - 1 + this.lineBase, ...this.sourceOf(line.file) };
  }

  private sourceOf(file: string): { readonly source?: object } {
    const found = this.session.opened.sources.find(file);
    return found === undefined ? {} : { source: { name: file.slice(file.lastIndexOf('/') + 1), path: found.path } };
  }

  // ---- requests ----

  private table(): Readonly<Record<string, Handler>> {
    const step = (kind: StepKind, direction: 'forward' | 'backward'): Handler => (fields, request) => {
      const byInstruction = optionalText(fields, 'granularity') === 'instruction';
      const how = !byInstruction ? kind : kind === 'line' ? 'instruction' : kind === 'over-line' ? 'over-instruction' : kind;
      return this.later(request.command, request, (debug) => debug.step(how, direction));
    };
    const move = (direction: 'forward' | 'backward', body?: object): Handler => (_, request) => {
      this.later(request.command, request, (debug) => debug.continue(direction), direction);
      return body;
    };
    return {
      initialize: (fields) => {
        this.hasProgress = fields['supportsProgressReporting'] === true;
        this.lineBase = fields['linesStartAt1'] === false ? 0 : 1;
        return CAPABILITIES;
      },
      launch: (fields, request) => this.launch(fields, request),
      attach: (fields, request) => this.launch(fields, request),
      configurationDone: (_, request) => {
        const { debug } = this.session;
        if (!this.stopsOnEntry) return this.later('continue', request, () => debug.continue('forward'), 'forward');
        this.afterwards = async () => this.stopped({ kind: 'seek' }, 'entry');
        return undefined;
      },
      restart: (_, request) => this.later('restart', request, (debug) => debug.seek(this.start)),
      continue: move('forward', { allThreadsContinued: true }),
      reverseContinue: move('backward'),
      next: step('over-line', 'forward'),
      stepIn: step('line', 'forward'),
      stepOut: step('out', 'forward'),
      stepBack: step('over-line', 'backward'),
      'chronovisor/reverseStepIn': step('line', 'backward'),
      'chronovisor/reverseStepOut': step('out', 'backward'),
      'chronovisor/seek': (fields, request) => this.seek(fields, request),
      'chronovisor/position': () => this.position(),
      'chronovisor/timeline': (fields, request) => this.timeline(fields, request),
      'chronovisor/marks': () => this.marks(),
      'chronovisor/setMark': (fields) => {
        const { debug } = this.session;
        debug.bookmarks?.set(text(fields, 'name'), optionalCount(fields, 'position', 0, debug.travel.last) ?? debug.travel.position);
        return this.marks();
      },
      'chronovisor/deleteMark': (fields) => {
        if (this.session.debug.bookmarks?.delete(text(fields, 'name')) !== true) throw new DebuggerError('there is no mark of yours of this name');
        return this.marks();
      },
      'chronovisor/lastWrite': (fields) => this.lastWrite(fields),
      setBreakpoints: (fields) => {
        const source = fieldsOf(fields['source']);
        const path = optionalText(source, 'path') ?? text(source, 'name');
        return this.replace(`source ${path}`, list(fields, 'breakpoints', POINTS_MAX), (entry, options) => this.sourceBreakpoint(path, entry, options), (point) => this.placeOfPoint(point));
      },
      setFunctionBreakpoints: (fields) => this.replace('functions', list(fields, 'breakpoints', POINTS_MAX), (entry, options) => this.session.debug.addBreakpoint(text(entry, 'name'), options), (point) => this.placeOfPoint(point)),
      setInstructionBreakpoints: (fields) =>
        this.replace('instructions', list(fields, 'breakpoints', POINTS_MAX), (entry, options) => {
          const at = BigInt.asUintN(64, address(entry, 'instructionReference') + BigInt(optionalCount(entry, 'offset', -(2 ** 31), 2 ** 31) ?? 0));
          return this.session.debug.addBreakpoint(`*${hex(at)}`, options);
        }),
      dataBreakpointInfo: (fields) => this.dataBreakpointInfo(fields),
      setDataBreakpoints: (fields) =>
        this.replace('data', list(fields, 'breakpoints', POINTS_MAX), (entry, options) => {
          const access = optionalText(entry, 'accessType') ?? 'write';
          if (access !== 'write' && access !== 'read' && access !== 'readWrite') throw new DebuggerError(`there is no access "${access.slice(0, 40)}"`);
          // Clients show `write` as "value change".
          return this.session.debug.addWatchpoint(text(entry, 'dataId'), access === 'write' ? 'change' : access === 'read' ? 'read' : 'access', options);
        }),
      setExceptionBreakpoints: (fields) => this.exceptionBreakpoints(texts(fields, 'filters', 10)),
      exceptionInfo: () => {
        if (this.exception === undefined) throw new DebuggerError('it did not stop at an exception');
        return { exceptionId: this.exception.id, description: this.exception.description, breakMode: 'always' };
      },
      stackTrace: (fields) => this.stackTrace(fields),
      scopes: (fields) => ({ scopes: optionalCount(fields, 'frameId', 0, FRAMES_MAX) === 0 || fields['frameId'] === 1 ? SCOPES.map(({ name, hint }, i) => ({ name, variablesReference: i + 1, expensive: false, ...(hint === undefined ? {} : { presentationHint: hint }) })) : [] }),
      variables: (fields) => ({ variables: scopeVariables(this.session.debug, count(fields, 'variablesReference', 1, SCOPES.length) - 1) }),
      evaluate: (fields) => this.evaluate(fields),
      completions: (fields) => this.completions(fields),
      disassemble: (fields) => this.disassemble(fields),
      readMemory: (fields) => this.readMemory(fields),
      source: (fields) => {
        const { path } = { path: text(fieldsOf(fields['source']), 'path') };
        const found = this.session.opened.sources.find(path);
        if (found === undefined) throw new DebuggerError(`there is no file "${path.slice(0, 200)}" in the folders of source`);
        return { content: found.lines.join('\n') };
      },
      modules: () => ({ modules: [], totalModules: 0 }),
      loadedSources: () => ({ sources: [] }),
    };
  }

  private async launch(fields: Fields, request: Request): Promise<undefined> {
    if (this.opened !== undefined) throw new DebuggerError('a recording is open already');
    const { callbacks } = this;
    const program = callbacks.program ?? optionalText(fields, 'program');
    if (program === undefined) throw new DebuggerError('"program" is missing: the path of the recording');
    const images = { kernel: optionalText(fields, 'kernel'), initrd: optionalText(fields, 'initrd'), disk: optionalText(fields, 'disk'), folder: optionalText(fields, 'images') };
    const symbols = typeof fields['symbols'] === 'string' ? [fields['symbols']] : texts(fields, 'symbols', 100);
    const opened = callbacks.open(program, {
      ...(Object.values(images).some((place) => place !== undefined) ? { images } : {}),
      ...(symbols.length === 0 ? {} : { symbols }),
      ...(fields['sources'] === undefined ? {} : { sources: texts(fields, 'sources', 100) }),
    });
    for (const warning of opened.warnings) this.tell(warning);
    this.stopsOnEntry = fields['stopOnEntry'] !== false;
    this.start = optionalText(fields, 'at') ?? callbacks.at ?? '@0';
    const debug = new Debugger({ travel: opened.travel, symbols: opened.symbols, bookmarks: opened.bookmarks, isIndexed: opened.isIndexed, turn: callbacks.turn, crew: crewOf(opened, callbacks.turn), onProgress: (at) => this.onProgress(at), onMessage: (message) => this.tell(message) });
    this.walk = { title: 'launch', request: request.seq, resumes: false, slices: 0, percent: -1 };
    try {
      await debug.seek(this.start);
    } finally {
      this.endProgress();
      this.walk = undefined;
    }
    this.opened = opened;
    this.debug = debug;
    this.commands = new Commands({ debug, sources: opened.sources, write: (line) => void this.written.push(line) });
    this.afterwards = async () => this.event('initialized');
    return undefined;
  }

  private seek(fields: Fields, request: Request): object | undefined {
    const position = optionalCount(fields, 'position', 0, Number.MAX_SAFE_INTEGER);
    const where = position === undefined ? text(fields, 'where') : `@${position}`;
    const { debug } = this.session;
    // A place that is not there is the answer of the request itself, and nothing moves.
    debug.checkPlace(where);
    return this.later('seek', request, () => debug.seek(where));
  }

  private position(): object {
    const place = this.session.debug.place();
    const { travel } = this.session.debug;
    return { position: place.position, last: place.last, percent: place.percent, event: travel.records, virtualNs: travel.machine.nowNs(), isEnd: travel.isAtEnd, function: place.symbol, task: place.task };
  }

  private marks(): object {
    const { travel, bookmarks } = this.session.debug;
    const recorded: object[] = [];
    for (const event of travel.reader.events({ kinds: ['mark'] })) if (event.kind === 'mark' && recorded.length < BINS_MAX) recorded.push({ name: event.name, position: event.position, source: event.source });
    return { marks: recorded, own: bookmarks?.list ?? [] };
  }

  /** Events by kind in equal stretches of the recording. */
  private async timeline(fields: Fields, request: Request): Promise<object> {
    const { travel } = this.session.debug;
    const from = optionalCount(fields, 'from', 0, travel.last) ?? 0;
    const to = optionalCount(fields, 'to', from, Number.MAX_SAFE_INTEGER) ?? travel.last + 1;
    const bins = optionalCount(fields, 'bins', 1, BINS_MAX) ?? 100;
    const kinds = fields['kinds'] === undefined ? LOG_KINDS : LOG_KINDS.filter((kind) => texts(fields, 'kinds', 20).includes(kind));
    const counts = new Map(kinds.map((kind) => [kind, new Array<number>(bins).fill(0)]));
    const { reader } = travel;
    for (let block = 0; block < reader.eventBlocks.length; block++) {
      if (block % 16 === 0) await this.callbacks.turn();
      if (this.isOver || this.cancelled.has(request.seq)) return {};
      const entry = reader.eventBlocks[block];
      if (entry.firstPosition >= to || entry.lastPosition < from) continue;
      const batch = reader.batch(block);
      for (let i = 0; i < batch.count; i++) {
        const at = batch.position[i];
        if (at < from || at >= to) continue;
        const row = counts.get(KIND_NAMES[batch.kind[i]]!);
        if (row !== undefined) row[Math.min(bins - 1, Math.floor(((at - from) / (to - from)) * bins))]++;
      }
    }
    return { from, to, bins, position: travel.position, last: travel.last, counts: Object.fromEntries(counts) };
  }

  private async lastWrite(fields: Fields): Promise<object> {
    const { debug } = this.session;
    const { travel, symbols } = debug;
    const range = rangeOf({ travel, symbols: symbols.table }, text(fields, 'expression'), fields['physical'] === true, 'debug');
    const write = await debug.lastWrite(range.ranges);
    return write === undefined ? {} : { position: write.position, instructionReference: hex(write.rip), by: write.by, text: writeText(symbols.table, write) };
  }

  private dataBreakpointInfo(fields: Fields): object {
    const { debug } = this.session;
    const name = text(fields, 'name');
    const bytes = optionalCount(fields, 'bytes', 1, 65_536);
    const isVariable = fields['variablesReference'] !== undefined && fields['variablesReference'] !== 0;
    if (isVariable) return { dataId: null, description: 'a register cannot be watched: a conditional breakpoint can look at it' };
    try {
      const typed = /^([usp])(8|16|32|64)\s*\((.*)\)$/.exec(name);
      const asked = typed === null ? (bytes === undefined ? name : `${name},${bytes}`) : `${typed[3]},${Number(typed[2]) / 8}`;
      const range = rangeOf({ travel: debug.travel, symbols: debug.symbols.table }, asked, typed?.[1] === 'p', 'debug');
      const dataId = typed?.[1] === 'p' ? name : `${hex(range.address)},${range.length}`;
      return { dataId, description: `${range.length} bytes at ${hex(range.address)} (${debug.symbols.tell(range.address)})`, accessTypes: ['write', 'read', 'readWrite'], canPersist: false };
    } catch (error) {
      if (!isAnswer(error)) throw error;
      return { dataId: null, description: error.message };
    }
  }

  private exceptionBreakpoints(filters: readonly string[]): object {
    const { debug } = this.session;
    for (const point of this.points.get('exceptions') ?? []) debug.remove(point.id);
    const points: Point[] = [];
    const breakpoints = filters.map((filter) => {
      try {
        if (filter === 'panic') points.push(debug.addBreakpoint('panic'));
        else if (filter === 'exception') points.push(debug.addCatchpoint('exception'));
        else throw new DebuggerError(`there is no filter "${filter.slice(0, 40)}"`);
        return { id: points[points.length - 1].id, verified: true };
      } catch (error) {
        if (!isAnswer(error)) throw error;
        return { verified: false, message: error.message };
      }
    });
    this.points.set('exceptions', points);
    return { breakpoints };
  }

  private async stackTrace(fields: Fields): Promise<object> {
    const { debug } = this.session;
    const start = optionalCount(fields, 'startFrame', 0, FRAMES_MAX) ?? 0;
    const levels = optionalCount(fields, 'levels', 0, FRAMES_MAX) ?? 0;
    const wanted = Math.min(FRAMES_MAX, start + (levels === 0 ? FRAMES_DEFAULT : levels));
    if (this.frames === undefined || this.frames.length < wanted) {
      const found = await debug.stack(wanted + 1);
      if (found === undefined) throw new DebuggerError(CANCELLED);
      this.frames = found;
    }
    const { frames } = this;
    const stackFrames = frames.slice(start, wanted).map((frame, i) => {
      const number = start + i;
      const line = debug.symbols.lineOf(codeAddress(frames, number));
      const source = line === undefined ? {} : this.sourceOf(line.file);
      const name = frame.function === undefined ? hex(frame.rip) : `${frame.function.name}${frame.kind === 'interrupt' ? ' <interrupted>' : ''}`;
      return { id: number + 1, name, line: line === undefined || source.source === undefined ? 0 : line.line - 1 + this.lineBase, column: 0, instructionPointerReference: hex(frame.rip), ...source };
    });
    return { stackFrames, totalFrames: this.frames.length };
  }

  private async evaluate(fields: Fields): Promise<object> {
    const { debug } = this.session;
    const expression = text(fields, 'expression');
    const plain = expression.replace(/\$(?=[A-Za-z])/g, '');
    if (optionalText(fields, 'context') === 'repl') {
      const before = debug.travel.position;
      this.written = [];
      if (this.commands!.knows(expression)) {
        await this.commands!.run(expression);
        if (debug.travel.position !== before) this.afterwards = async () => this.stopped({ kind: 'seek' });
        return { result: this.written.join('').replace(/\n$/, ''), variablesReference: 0 };
      }
    }
    const value = debug.evaluate(plain);
    return { result: numberText(debug.symbols, value, ''), variablesReference: 0, memoryReference: hex(BigInt.asUintN(64, value)) };
  }

  private completions(fields: Fields): object {
    const line = text(fields, 'text').slice(0, optionalCount(fields, 'column', 0, 100_000) === undefined ? undefined : Math.max(0, Number(fields['column']) - this.lineBase));
    const { commands } = this;
    if (commands === undefined) throw new DebuggerError('no recording is open: launch first');
    const [words, part] = commands.complete(line);
    return { targets: words.map((label) => ({ label, start: line.length - part.length, length: part.length })) };
  }

  private disassemble(fields: Fields): object {
    const { debug } = this.session;
    const { machine } = debug.travel;
    const { table } = debug.symbols;
    const base = BigInt.asUintN(64, address(fields, 'memoryReference') + BigInt(optionalCount(fields, 'offset', -(2 ** 31), 2 ** 31) ?? 0));
    const skip = optionalCount(fields, 'instructionOffset', -INSTRUCTIONS_MAX, INSTRUCTIONS_MAX) ?? 0;
    const wanted = count(fields, 'instructionCount', 0, INSTRUCTIONS_MAX);
    const before = skip < 0 ? listingBefore(machine, table, base, -skip) : [];
    // At the very beginning of memory there may be fewer.
    const missing = Math.max(0, -skip - before.length);
    const all: (ListedInstruction | undefined)[] = [...Array.from({ length: missing }, () => undefined), ...before, ...listing(machine, base, Math.max(0, wanted + skip))];
    const chosen = all.slice(Math.max(0, skip), Math.max(0, skip) + wanted);
    const instructions = chosen.map((instruction) => {
      if (instruction === undefined || instruction.bytes.length === 0) return { address: hex(instruction?.address ?? 0n), instruction: '(not mapped)', presentationHint: 'invalid' };
      const line = debug.symbols.lineOf(instruction.address);
      const source = line === undefined ? {} : this.sourceOf(line.file);
      const target = instruction.target ?? instruction.reference;
      return {
        address: hex(instruction.address),
        instructionBytes: Array.from(instruction.bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' '),
        instruction: `${textOf(instruction)}${target !== undefined && table.at(target) !== undefined ? `  # ${debug.symbols.tell(target)}` : ''}`,
        ...(table.at(instruction.address) === undefined ? {} : { symbol: debug.symbols.tell(instruction.address) }),
        ...(source.source === undefined || line === undefined ? {} : { location: source.source, line: line.line - 1 + this.lineBase }),
        ...(instruction.mnemonic === BAD ? { presentationHint: 'invalid' } : {}),
      };
    });
    return { instructions };
  }

  private readMemory(fields: Fields): object {
    const { machine } = this.session.debug.travel;
    const at = BigInt.asUintN(64, address(fields, 'memoryReference') + BigInt(optionalCount(fields, 'offset', -(2 ** 40), 2 ** 40) ?? 0));
    const wanted = count(fields, 'count', 0, MEMORY_BYTES_MAX);
    const bytes = readLinear(machine, at, wanted);
    return { address: hex(at), data: Buffer.from(bytes).toString('base64'), ...(bytes.length < wanted ? { unreadableBytes: wanted - bytes.length } : {}) };
  }
}

/** End with a `stopped` event. */
const MOVES = new Set(['continue', 'reverseContinue', 'next', 'stepIn', 'stepOut', 'stepBack', 'restart', 'configurationDone', 'chronovisor/seek', 'chronovisor/reverseStepIn', 'chronovisor/reverseStepOut']);

/** Answered while a walk is broken off. */
const BETWEEN = new Set(['setBreakpoints', 'setFunctionBreakpoints', 'setInstructionBreakpoints', 'setDataBreakpoints', 'setExceptionBreakpoints', 'dataBreakpointInfo', 'chronovisor/marks', 'chronovisor/position']);

function bugText(error: unknown): string {
  return `this is a bug, please report it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
