/**
 * Runs a recording again, with nothing from outside but its log, and compares every event and digest. The twin of recorder.ts.
 *
 * Inputs come from the log: each is given to the machine when all events before it have been made again. Position and virtual time
 * alone would not do: a timer that fires at a halt may come before or after an input at the same position and time.
 */
import { type BlockEntry, recordsOf } from '../log/block.ts';
import { eventAt } from '../log/event-batch.ts';
import { type EndEvent, type InputEvent, KIND_INPUT, KIND_MARK, type LogEvent, type LogKind, type MarkEvent } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import type { EventSink } from '../log/event-sink.ts';
import { TeeSink } from '../log/tee-sink.ts';
import { type Divergence, VerifyingSink } from '../log/verify.ts';
import type { Machine } from '../machine/machine.ts';
import { applyChange, changeProblem, logChange } from './change.ts';
import type { Checkpoint, CheckpointState } from './checkpoint.ts';
import { type Outputs, type Recipe, RecipeError, type RunImages, buildMachine, decodeRecipe } from './recipe.ts';
import { Session } from './session.ts';

export interface ReplayerOptions {
  readonly reader: LogReader;
  readonly images: RunImages;
  readonly module: WebAssembly.Module;
  readonly outputs?: Outputs;
  /** Where to start instead of power-on: no image is loaded then. `blank`: nowhere yet, restore() comes before anything else. */
  readonly from?: Checkpoint | 'blank';
  /** Where to stop: when so many records have been made and the position is reached. step() then goes no further: `isStopped`. */
  readonly stop?: { readonly position: number; readonly records: number };
  /** Is told of each event that the machine makes, and of marks, after it was compared, while the machine is at it. It must change nothing. */
  readonly witness?: EventSink;
}

export type ReplayStatus =
  | { readonly kind: 'running' }
  /** Every event was made again; `digest` is the state at the end. `complete` is false for a log that was cut off. */
  | { readonly kind: 'identical'; readonly position: Position; readonly digest: string; readonly complete: boolean; readonly end: EndEvent | undefined }
  | { readonly kind: 'diverged'; readonly divergence: Divergence };

export interface PlacedInput {
  /** Number of its record; of a mark that counts come before, of these. */
  readonly index: number;
  readonly event: InputEvent | MarkEvent;
  /** When it came, ns of virtual time. */
  readonly virtualNs: number;
}

/** Instructions between looks at whether the replay has diverged. */
const SLICE_INSTRUCTIONS = 1_000_000;

export class Replayer {
  readonly recipe: Recipe;
  readonly machine: Machine;
  readonly reader: LogReader;
  private sink: VerifyingSink;
  private readonly witness: EventSink | undefined;
  private readonly session: Session;
  private readonly inputs: Inputs;
  /** Where the log stops, and why. */
  private readonly end: EndEvent | undefined;
  /** Number of the first record that a recorder writes when it stops. */
  private readonly closingRecord: number;
  private readonly stop: ReplayerOptions['stop'];
  private done: Exclude<ReplayStatus, { kind: 'running' }> | undefined;

  /** Throws RecipeError, BootError, LogError. */
  constructor(options: ReplayerOptions) {
    const { reader, images, module } = options;
    this.reader = reader;
    this.stop = options.stop;
    this.recipe = decodeRecipe(reader.header);
    if (reader.header.parent !== undefined) throw new RecipeError('the log is a branch: it can only be replayed together with its parent');
    const { from } = options;
    this.machine = buildMachine(this.recipe, images, module, options.outputs ?? {}, from !== undefined);
    // A blank one is compared with nothing.
    this.sink = new VerifyingSink(reader, from === undefined ? {} : { fromRecord: reader.records });
    this.witness = options.witness;
    this.machine.attach(this.machineSink());
    this.inputs = new Inputs(reader, this.recipe);
    if (from === undefined) this.inputs.goTo(0);
    const closing = closingOf(reader);
    this.end = closing.end;
    this.closingRecord = closing.index;
    if (from === undefined && reader.records > 0) {
      const ns = BigInt(reader.header.wallClockNs);
      this.sink.inputWallClock(0 as Position, Number(ns & 0xffffffffn), Number(ns >> 32n));
    }
    this.session = new Session(this.machine, this.sink, this.recipe.epochInstructions, this.recipe.digestInstructions);
    if (from !== undefined && from !== 'blank') this.restore(from);
  }

  /** Where the replay stands, between two steps; its RAM is that of the machine. Changes nothing. */
  save(): CheckpointState {
    if (this.sink.divergence !== undefined) throw new Error('a replay that has diverged is no state of its recording');
    return { position: this.machine.position(), records: this.sink.records, session: this.session.save(), machine: this.machine.save() };
  }

  /** The inverse of save(): goes on from there, whatever this replay did before. After a throw, restore another checkpoint. */
  restore({ state, pages }: Checkpoint): void {
    this.machine.restore(state.machine, pages);
    this.session.restore(state.session);
    this.sink = new VerifyingSink(this.reader, { fromRecord: state.records });
    this.session.setSink(this.sink);
    this.machine.attach(this.machineSink());
    this.inputs.goTo(state.records);
    this.done = undefined;
  }

  private machineSink(): EventSink {
    return this.witness === undefined ? this.sink : new TeeSink(this.sink, this.witness);
  }

  get position(): Position {
    return this.machine.position();
  }
  /** Records compared so far. */
  get records(): number {
    return this.sink.records;
  }

  /** Replays to the end of the log. */
  run(): Exclude<ReplayStatus, { kind: 'running' }> {
    for (;;) {
      const status = this.step(100_000_000);
      if (status.kind !== 'running') return status;
    }
  }

  /** Goes on for at most `instructions`. */
  step(instructions: number): ReplayStatus {
    if (this.done !== undefined) return this.done;
    const until = this.machine.position() + instructions;
    for (;;) {
      const status = this.slice(until);
      if (status !== undefined) return status;
    }
  }

  /** It has reached where it was told to stop. */
  get isStopped(): boolean {
    return this.stop?.records === this.sink.records && this.stop.position === this.machine.position();
  }

  private slice(until: number): ReplayStatus | undefined {
    const { machine } = this;
    if (this.isStopped) return { kind: 'running' };
    this.feed();
    if (this.isStopped) return { kind: 'running' };
    if (this.cutOff()) return this.identical(machine.digest().digest, false);
    if (this.atEnd()) return this.finishFromOutside();
    const at = machine.position();
    if (at >= until) return { kind: 'running' };
    const limits = [until, at + SLICE_INSTRUCTIONS];
    // What comes from outside at this very position comes after other events here: the machine stops again before the next instruction.
    let isHere = false;
    for (const position of [this.inputs.next?.event.position, this.end?.position, this.stop?.position]) {
      if (position === undefined || position < at) continue;
      if (position === at) isHere = true;
      else limits.push(position);
    }
    // The last event of a log that was cut off may be that of the instruction at its position; a replay goes no further.
    if (this.isCutOff && at >= this.reader.lastPosition) limits.push(at + 1);
    else if (this.isCutOff) limits.push(this.reader.lastPosition);
    const records = this.sink.records;
    let stop = isHere ? this.session.advance(at) : undefined;
    if (stop?.kind === 'limit' && this.sink.records > records) return undefined;
    if (stop === undefined || stop.kind === 'limit') stop = this.session.advance(Math.min(...limits));
    if (this.sink.divergence !== undefined) return this.diverged();
    if (stop.kind === 'end') {
      const digest = this.session.finish(stop.reason, stop.detail);
      if (this.sink.divergence !== undefined || this.sink.finish() !== undefined) return this.diverged();
      return this.identical(digest, true);
    }
    if (stop.kind === 'observed') return { kind: 'running' };
    if (stop.kind === 'idle') {
      if (this.isStopped || this.feed() || this.atEnd() || this.cutOff()) return undefined;
      // How far time jumped at a halt is in the log: to the timer, or less because an input came; a branch goes to the time of its next input even without a timer.
      const { expected } = this.sink;
      const ns = expected?.kind === 'idle' ? Math.min(stop.ns, expected.ns) : stop.ns;
      if (ns === Infinity) {
        // The machine waits for an input that the log does not have.
        this.sink.finish();
        return this.sink.divergence === undefined ? this.identical(machine.digest().digest, this.end !== undefined) : this.diverged();
      }
      machine.skipIdle(ns);
    }
    return undefined;
  }

  /** Gives the machine the inputs that were taken here and now. */
  private feed(): boolean {
    let fed = false;
    for (;;) {
      const input = this.inputs.next;
      if (input === undefined || input.index !== this.sink.records || input.event.position !== this.machine.position() || this.isStopped) return fed;
      this.inputs.skip();
      fed = true;
      if (input.event.kind === 'mark') {
        this.machine.reportCounts();
        this.sink.mark(this.machine.position(), input.event.name, input.event.source);
        this.witness?.mark(this.machine.position(), input.event.name, input.event.source);
        continue;
      }
      const detail = input.event.input;
      switch (detail.kind) {
        case 'console':
          this.sink.inputConsole(this.machine.position(), detail.port, detail.bytes);
          // A machine that has no room for what it took when it was recorded has diverged already, or is about to.
          if (this.machine.consoleSpace >= detail.bytes.length) this.machine.receiveConsole(detail.bytes);
          break;
        case 'register':
        case 'memory':
        case 'timer-shift':
        case 'line':
        case 'stall': {
          const problem = changeProblem(this.machine, detail);
          if (problem !== undefined) throw new RecipeError(`the log has a change at @${input.event.position} that this machine cannot make: ${problem}`);
          logChange(this.sink, this.machine.position(), detail);
          applyChange(this.machine, detail);
          break;
        }
        default:
          throw new RecipeError(`the log has an input of the kind "${detail.kind}", which this version does not replay`);
      }
    }
  }

  /** The log was stopped here by its recorder, not by the guest. */
  private atEnd(): boolean {
    if (this.end === undefined) return false;
    const { reason, position } = this.end;
    const outside = reason === 'limit' || reason === 'user';
    return outside && this.closingRecord === this.sink.records && position === this.machine.position();
  }

  /** The log stops without the end of the run. */
  private get isCutOff(): boolean {
    return this.end === undefined || this.end.reason === 'truncated';
  }

  /** The log has nothing more to compare with because it was cut off. */
  private cutOff(): boolean {
    const { expected } = this.sink;
    if (this.end === undefined) return expected === undefined;
    return expected?.kind === 'end' && expected.reason === 'truncated';
  }

  private finishFromOutside(): ReplayStatus {
    const { reason, detail } = this.end!;
    const digest = this.session.finish(reason, detail);
    if (this.sink.divergence !== undefined || this.sink.finish() !== undefined) return this.diverged();
    return this.identical(digest, true);
  }

  private diverged(): ReplayStatus {
    const divergence = this.sink.divergence!;
    // A cut-off log ends between two events; what the machine did after it is no difference.
    const cut = this.end === undefined ? divergence.expected === undefined : divergence.expected?.kind === 'end' && divergence.expected.reason === 'truncated';
    if (cut) return this.identical(this.machine.digest().digest, false);
    this.done = { kind: 'diverged', divergence };
    return this.done;
  }

  private identical(digest: string, complete: boolean): ReplayStatus {
    this.done = { kind: 'identical', position: this.machine.position(), digest, complete, end: this.end };
    return this.done;
  }
}

/** What came from outside after power-on, from record `from` on. What a person or a tool marked does, like an input. */
export function inputsOf(reader: LogReader, recipe: Recipe, from = 0): readonly PlacedInput[] {
  const inputs: PlacedInput[] = [];
  reader.eventBlocks.forEach((entry, block) => {
    if (entry.firstRecord + recordsOf(entry) > from) inputs.push(...inputsOfBlock(reader, recipe, block).filter(({ index }) => index >= from));
  });
  return inputs;
}

function inputsOfBlock(reader: LogReader, recipe: Recipe, block: number): readonly PlacedInput[] {
  if (!hasInputs(reader.eventBlocks[block])) return [];
  const batch = reader.batch(block);
  const inputs: PlacedInput[] = [];
  for (let row = 0; row < batch.count; row++) {
    if (batch.kind[row] !== KIND_INPUT && batch.kind[row] !== KIND_MARK) continue;
    const event = eventAt(batch, row);
    const isFromOutside = event.kind === 'input' ? event.input.kind !== 'wall-clock' : event.kind === 'mark' && event.source !== 'guest';
    if (!isFromOutside || (event.kind !== 'input' && event.kind !== 'mark')) continue;
    // The counts of a mark come before it.
    const index = batch.firstRecord + row - (event.kind === 'mark' && recipe.machine.counts === true ? 1 : 0);
    inputs.push({ index, event, virtualNs: event.position + batch.timeOffsetNs[row] });
  }
  return inputs;
}
function hasInputs({ counts }: BlockEntry): boolean {
  return counts[KIND_INPUT] > 0 || counts[KIND_MARK] > 0;
}

/** What comes from outside, one after the other. A block of the log is decoded when what it holds may come next. */
class Inputs {
  /** The next one, if there is any. */
  next: PlacedInput | undefined;
  private readonly reader: LogReader;
  private readonly recipe: Recipe;
  /** Numbers of the event blocks that have inputs, and what they have, as far as it is known. */
  private readonly blocks: readonly number[];
  private readonly known: (readonly PlacedInput[] | undefined)[] = [];
  private block = 0;
  private row = 0;

  constructor(reader: LogReader, recipe: Recipe) {
    this.reader = reader;
    this.recipe = recipe;
    this.blocks = reader.eventBlocks.flatMap((entry, block) => (hasInputs(entry) ? [block] : []));
  }

  /** To the first that is the record `index` or comes later. */
  goTo(index: number): void {
    const { eventBlocks } = this.reader;
    const block = this.blocks.findIndex((each) => eventBlocks[each].firstRecord + recordsOf(eventBlocks[each]) > index);
    this.block = block < 0 ? this.blocks.length : block;
    this.row = this.rows().findIndex((input) => input.index >= index);
    if (this.row < 0) this.row = this.rows().length;
    this.find();
  }
  skip(): void {
    this.row++;
    this.find();
  }

  private find(): void {
    while (this.block < this.blocks.length && this.row >= this.rows().length) {
      this.block++;
      this.row = 0;
    }
    this.next = this.rows()[this.row];
  }
  private rows(): readonly PlacedInput[] {
    if (this.block >= this.blocks.length) return [];
    return (this.known[this.block] ??= inputsOfBlock(this.reader, this.recipe, this.blocks[this.block]));
  }
}

const CLOSING_ORDER: readonly LogKind[] = ['counts', 'dirty', 'digest', 'end'];

/** The end event and the number of the first record that Session.finish() wrote: counts, a dirty set if there are epochs, a digest, the end. */
export function closingOf(reader: LogReader): { readonly end: EndEvent | undefined; readonly index: number } {
  let index = reader.records;
  let end: EndEvent | undefined;
  let before: LogEvent | undefined;
  for (const { event, index: record } of reader.entries({ kinds: CLOSING_ORDER, from: reader.lastPosition })) {
    // One dirty set may take several records.
    const goesOn = before !== undefined && (CLOSING_ORDER.indexOf(event.kind) > CLOSING_ORDER.indexOf(before.kind) || (event.kind === 'dirty' && before.kind === 'dirty' && before.more));
    if (!goesOn) index = record;
    if (event.kind === 'end') end = event;
    before = event;
  }
  return { end, index };
}
