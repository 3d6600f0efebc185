/**
 * Where a walk through a recording stops. Each kind is a set of positions that depends on the recording alone, so both directions stop at
 * the same places: forward at the next of the set, backward at the one before.
 */
import type { LogEvent, LogKind } from '../log/events.ts';
import type { PlainExpression } from './expression.ts';
import type { PhysicalRange } from './inspect.ts';

/** Asked of the machine at the stop. Plain data, so that it goes to a worker as it is; conditions.ts says what it means. */
export type Condition =
  | { readonly kind: 'expression'; readonly expression: PlainExpression }
  | FrameCondition;

/** A function goes on in a frame: with this stack pointer, in user mode or not, and in this address space. */
export interface FrameCondition {
  readonly kind: 'frame';
  readonly rsp: bigint;
  readonly isUser: boolean;
  /** Undefined: any. */
  readonly cr3: number | undefined;
}

export type StopPoint =
  /** The instruction at this linear address is about to run. REP string instructions count once, when they begin or go on after an interrupt. */
  | { readonly kind: 'breakpoint'; readonly address: bigint; readonly condition?: Condition | undefined }
  /**
   * Bytes of these ranges were written, read or both; the stop is after the instruction that did it. Writes by devices and by the page walk
   * (A and D bits) are writes. With `changed`, only those after which a byte is another than before. The condition is asked at the stop.
   */
  | { readonly kind: 'watchpoint'; readonly ranges: readonly PhysicalRange[]; readonly access: 'write' | 'read' | 'access'; readonly changed?: boolean; readonly condition?: Condition | undefined }
  /** An event of the log; the stop is before the instruction that made it. */
  | { readonly kind: 'event'; readonly kinds: readonly LogKind[]; readonly matches?: (event: LogEvent) => boolean }
  /** The serial console has printed this text; the stop is before the instruction that sent its last byte. */
  | { readonly kind: 'console'; readonly text: string }
  /** Any position where it holds. Every instruction is looked at: about a million a second. */
  | { readonly kind: 'condition'; readonly condition: Condition };
