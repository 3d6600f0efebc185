/**
 * The door for events on their way into a log: the recorder holds a LogWriter, the replayer a VerifyingSink, and neither
 * machine can tell which. Methods take plain numbers and allocate nothing; 64-bit values are two u32, lo and hi. Positions never go back.
 *
 * Call a method where the event takes effect: `timeOffsetNs` grows by the cost of each access and by idle().
 */
import type { DeviceReport } from '../devices/device.ts';
import type { ControlAction, DigestComponents, EndReason, FirstWrites, LogEvent, MarkSource } from './events.ts';
import type { Position } from './position.ts';

export interface EventSink {
  /** Records taken so far, counted from the beginning of the log. */
  readonly records: number;
  /** Virtual time that passed without instructions, ns: virtual time = position + timeOffsetNs. */
  readonly timeOffsetNs: number;

  inputConsole(position: Position, port: string, bytes: Uint8Array): void;
  inputNet(position: Position, port: string, frame: Uint8Array): void;
  inputEntropy(position: Position, port: string, bytes: Uint8Array): void;
  /** ns since 1970-01-01 UTC */
  inputWallClock(position: Position, nsLo: number, nsHi: number): void;
  inputControl(position: Position, action: ControlAction): void;
  inputRegister(position: Position, register: string, valueLo: number, valueHi: number): void;
  /** address: guest-physical. */
  inputMemory(position: Position, address: number, bytes: Uint8Array): void;
  /** ns: later if positive. */
  inputTimerShift(position: Position, timer: string, ns: number): void;
  inputLine(position: Position, line: number, asserted: boolean): void;
  inputStall(position: Position, ns: number): void;

  /** size: 1, 2 or 4 bytes; flags: ACCESS_*; costNs: what the access adds to the time offset. */
  exitIo(position: Position, ripLo: number, ripHi: number, port: number, size: number, flags: number, value: number, costNs: number): void;
  /** address: guest-physical; size: 1, 2, 4 or 8 bytes; flags: ACCESS_*. */
  exitMmio(position: Position, ripLo: number, ripHi: number, address: number, size: number, flags: number, valueLo: number, valueHi: number, costNs: number): void;
  exitMsr(position: Position, ripLo: number, ripHi: number, index: number, write: boolean, valueLo: number, valueHi: number): void;
  exitCpuid(position: Position, ripLo: number, ripHi: number, leaf: number, subleaf: number): void;
  /** access: CR_*; gpr: number of the general register. */
  exitCr(position: Position, ripLo: number, ripHi: number, cr: number, access: number, gpr: number, valueLo: number, valueHi: number): void;
  exitDr(position: Position, ripLo: number, ripHi: number, dr: number, write: boolean, gpr: number, valueLo: number, valueHi: number): void;
  /** errorCode: -1 if the vector has none; address: CR2 of a page fault, DR6 bits of a debug exception, else 0. */
  exitException(position: Position, ripLo: number, ripHi: number, vector: number, errorCode: number, addressLo: number, addressHi: number): void;
  /** level: 1 to 4; address: guest-physical, of the entry; value: the whole new entry. */
  exitPageTable(position: Position, ripLo: number, ripHi: number, level: number, address: number, valueLo: number, valueHi: number): void;
  /** Any other reason: EXIT_REASONS. */
  exit(position: Position, ripLo: number, ripHi: number, reason: number, qualificationLo: number, qualificationHi: number): void;

  /** phase: PHASE_*; controller: CONTROLLER_*; vector and line: -1 if not known or not applicable. */
  interrupt(position: Position, phase: number, controller: number, vector: number, line: number): void;
  device(position: Position, report: DeviceReport): void;
  /** ns of virtual time pass without instructions. */
  idle(position: Position, ns: number): void;
  /** pages: ascending page frame numbers. firstWrites: of the same pages. */
  dirty(position: Position, epoch: number, pages: Uint32Array, firstWrites?: FirstWrites): void;
  /** Since reset; systemCalls modulo 2^32. */
  counts(position: Position, kernelInstructions: number, systemCalls: number): void;
  /** 32 lower-case hex digits each. */
  digest(position: Position, digest: string, components?: DigestComponents): void;
  mark(position: Position, name: string, source: MarkSource): void;
  /** The last event. */
  end(position: Position, reason: EndReason, detail: string, digest?: string): void;

  /** Any event as an object; for tools and tests. Totals of an end event are computed, not taken. */
  append(event: LogEvent): void;
  /** A moment from which a crash loses nothing before it. */
  flush(): void;
}
