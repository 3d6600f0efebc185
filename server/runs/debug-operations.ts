/**
 * A debug session in its thread: the debugger of server/debugger behind DebugCommand. One command after the other, in the order in which they come; `interrupt` alone is
 * heard at once, between two slices of a walk.
 */
import { listing, listingBefore, linearRip } from '../../engine/debug/listing.ts';
import { textOf } from '../../engine/debug/disassembler.ts';
import { translate } from '../../engine/debug/inspect.ts';
import type { DebugCommand, MemoryRange } from '../../engine/protocol/lab.ts';
import { rangeOf, writeJson } from '../cli/bisect-common.ts';
import { turn } from '../cli/host.ts';
import { toJson } from '../cli/output.ts';
import { Debugger, type Halt, type Point } from '../debugger/debugger.ts';
import { haltText, pointText } from '../debugger/text.ts';
import { addressOf, stateJson } from './machine-operations.ts';
import { ProblemError } from './problem.ts';
import type { Recording } from './recording.ts';
import type { Operation } from './thread.ts';

export type DebugThreadNotice =
  | { readonly kind: 'progress'; readonly position: number; readonly direction: 'forward' | 'backward' }
  | { readonly kind: 'message'; readonly text: string };

export const STEPS_MAX = 1_000_000;
const INSTRUCTIONS_MAX = 1000;

export class DebugOperations {
  private readonly recording: Recording;
  private readonly notify: (notice: DebugThreadNotice) => void;
  private debug: Debugger | undefined;
  /** Memory that the answer of each walk has, with the registers; undefined: neither. */
  private subscription: readonly MemoryRange[] | undefined;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(recording: Recording, notify: (notice: DebugThreadNotice) => void) {
    this.recording = recording;
    this.notify = notify;
  }

  get operations(): Readonly<Record<string, Operation>> {
    return {
      debug: (command: DebugCommand) => {
        if (command.op === 'interrupt') {
          this.debug?.interrupt();
          return toJson({});
        }
        const mine = this.queue.then(() => this.do(command));
        this.queue = mine.catch(() => undefined);
        return mine;
      },
    };
  }

  private opened(): Debugger {
    if (this.debug !== undefined) return this.debug;
    const { recording } = this;
    const travel = recording.travel();
    this.debug = new Debugger({
      travel, turn,
      symbols: recording.symbols,
      onProgress: (position, direction) => this.notify({ kind: 'progress', position, direction }),
      onMessage: (text) => this.notify({ kind: 'message', text }),
    });
    return this.debug;
  }

  private async do(command: DebugCommand): Promise<string> {
    const debug = this.opened();
    const { travel, symbols } = debug;
    const at = (address: bigint): object => ({ address, symbol: symbols.tell(address), line: symbols.lineOf(address) });
    switch (command.op) {
      case 'place':
        return toJson({ place: debug.place(), origin: symbols.origin, warnings: this.recording.warnings });
      case 'seek':
        return this.halted(await debug.seek(command.where));
      case 'step':
      case 'reverse-step':
        return this.halted(await debug.step(command.unit ?? 'instruction', command.op === 'step' ? 'forward' : 'backward', Math.min(command.count ?? 1, STEPS_MAX)));
      case 'continue':
        return this.halted(await debug.continue('forward'));
      case 'reverse-continue':
        return this.halted(await debug.continue('backward'));
      case 'interrupt':
        throw new Error('an interrupt waits for nothing');
      case 'state':
        return stateJson(travel, command.memory ?? [], [], command.hasDigest === true);
      case 'subscribe':
        this.subscription = command.isOff === true ? undefined : (command.memory ?? []);
        return toJson({});
      case 'translate':
        return toJson({ address: command.address, physical: translate(travel.machine, addressOf(command.address)) ?? null });
      case 'evaluate':
        return toJson({ value: debug.evaluate(command.expression) });
      case 'disassemble': {
        const address = command.address === undefined ? linearRip(travel.machine) : addressOf(command.address);
        const before = Math.min(command.before ?? 0, INSTRUCTIONS_MAX);
        const lines = [...(before === 0 ? [] : listingBefore(travel.machine, symbols.table, address, before)), ...listing(travel.machine, address, Math.min(command.count ?? 20, INSTRUCTIONS_MAX))];
        return toJson({ instructions: lines.map((line) => ({ ...at(line.address), bytes: line.bytes, text: textOf(line), flow: line.flow, target: line.target })) });
      }
      case 'stack': {
        const frames = await debug.stack(Math.min(command.frames ?? 64, 256));
        return toJson({ frames: frames?.map((frame) => ({ ...frame, function: frame.function?.name, line: symbols.lineOf(frame.rip) })) ?? null });
      }
      case 'add-point': {
        const { point } = command;
        const options = { condition: point.condition };
        const added = point.kind === 'watchpoint' ? debug.addWatchpoint(point.text, point.access ?? 'change', options) : point.kind === 'breakpoint' ? debug.addBreakpoint(point.text, options) : debug.addCatchpoint(point.text, options);
        return toJson({ point: pointOf(added) });
      }
      case 'remove-point':
        if (!debug.remove(command.number)) throw new ProblemError({ code: 'debugger', message: `there is no point ${command.number}` });
        return toJson({});
      case 'points':
        return toJson({ points: debug.points.map(pointOf) });
      case 'last-write': {
        const range = rangeOf({ travel, symbols: symbols.table }, command.address, command.isPhysical === true, 'debug');
        const write = await debug.lastWrite(range.ranges);
        return toJson({ address: range.address, length: range.length, write: write === undefined ? null : writeJson(symbols.table, write) });
      }
    }
  }

  private halted(halt: Halt): string {
    const debug = this.opened();
    const { write } = halt.kind === 'point' ? halt : { write: undefined };
    const answer = toJson({
      halt: { kind: halt.kind, text: haltText(debug, halt), ...(halt.kind === 'point' && { point: pointOf(halt.point), write: write === undefined ? null : writeJson(debug.symbols.table, write) }) },
      place: debug.place(),
    });
    return this.subscription === undefined ? answer : `${answer.slice(0, -1)},"state":${stateJson(debug.travel, this.subscription, [], false)}}`;
  }
}

function pointOf(point: Point): object {
  const { id, kind, text, conditionText, addresses, range, hits, isEnabled } = point;
  return { number: id, kind, text, condition: conditionText, description: pointText(point), addresses, range, hits, isEnabled };
}
