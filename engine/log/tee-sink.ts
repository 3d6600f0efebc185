/** One taker of events that hands them to two. What it says of itself is what the first says. */
import type { DeviceReport } from '../devices/device.ts';
import type { EventSink } from './event-sink.ts';
import type { ControlAction, DigestComponents, EndReason, FirstWrites, LogEvent, MarkSource } from './events.ts';
import type { Position } from './position.ts';

export class TeeSink implements EventSink {
  private readonly first: EventSink;
  private readonly second: EventSink;

  constructor(first: EventSink, second: EventSink) {
    this.first = first;
    this.second = second;
  }

  get records(): number {
    return this.first.records;
  }
  get timeOffsetNs(): number {
    return this.first.timeOffsetNs;
  }

  inputConsole(position: Position, port: string, bytes: Uint8Array): void {
    this.first.inputConsole(position, port, bytes);
    this.second.inputConsole(position, port, bytes);
  }
  inputNet(position: Position, port: string, frame: Uint8Array): void {
    this.first.inputNet(position, port, frame);
    this.second.inputNet(position, port, frame);
  }
  inputEntropy(position: Position, port: string, bytes: Uint8Array): void {
    this.first.inputEntropy(position, port, bytes);
    this.second.inputEntropy(position, port, bytes);
  }
  inputWallClock(position: Position, nsLo: number, nsHi: number): void {
    this.first.inputWallClock(position, nsLo, nsHi);
    this.second.inputWallClock(position, nsLo, nsHi);
  }
  inputControl(position: Position, action: ControlAction): void {
    this.first.inputControl(position, action);
    this.second.inputControl(position, action);
  }
  inputRegister(position: Position, register: string, valueLo: number, valueHi: number): void {
    this.first.inputRegister(position, register, valueLo, valueHi);
    this.second.inputRegister(position, register, valueLo, valueHi);
  }
  inputMemory(position: Position, address: number, bytes: Uint8Array): void {
    this.first.inputMemory(position, address, bytes);
    this.second.inputMemory(position, address, bytes);
  }
  inputTimerShift(position: Position, timer: string, ns: number): void {
    this.first.inputTimerShift(position, timer, ns);
    this.second.inputTimerShift(position, timer, ns);
  }
  inputLine(position: Position, line: number, asserted: boolean): void {
    this.first.inputLine(position, line, asserted);
    this.second.inputLine(position, line, asserted);
  }
  inputStall(position: Position, ns: number): void {
    this.first.inputStall(position, ns);
    this.second.inputStall(position, ns);
  }
  exitIo(position: Position, ripLo: number, ripHi: number, port: number, size: number, flags: number, value: number, costNs: number): void {
    this.first.exitIo(position, ripLo, ripHi, port, size, flags, value, costNs);
    this.second.exitIo(position, ripLo, ripHi, port, size, flags, value, costNs);
  }
  exitMmio(position: Position, ripLo: number, ripHi: number, address: number, size: number, flags: number, valueLo: number, valueHi: number, costNs: number): void {
    this.first.exitMmio(position, ripLo, ripHi, address, size, flags, valueLo, valueHi, costNs);
    this.second.exitMmio(position, ripLo, ripHi, address, size, flags, valueLo, valueHi, costNs);
  }
  exitMsr(position: Position, ripLo: number, ripHi: number, index: number, write: boolean, valueLo: number, valueHi: number): void {
    this.first.exitMsr(position, ripLo, ripHi, index, write, valueLo, valueHi);
    this.second.exitMsr(position, ripLo, ripHi, index, write, valueLo, valueHi);
  }
  exitCpuid(position: Position, ripLo: number, ripHi: number, leaf: number, subleaf: number): void {
    this.first.exitCpuid(position, ripLo, ripHi, leaf, subleaf);
    this.second.exitCpuid(position, ripLo, ripHi, leaf, subleaf);
  }
  exitCr(position: Position, ripLo: number, ripHi: number, cr: number, access: number, gpr: number, valueLo: number, valueHi: number): void {
    this.first.exitCr(position, ripLo, ripHi, cr, access, gpr, valueLo, valueHi);
    this.second.exitCr(position, ripLo, ripHi, cr, access, gpr, valueLo, valueHi);
  }
  exitDr(position: Position, ripLo: number, ripHi: number, dr: number, write: boolean, gpr: number, valueLo: number, valueHi: number): void {
    this.first.exitDr(position, ripLo, ripHi, dr, write, gpr, valueLo, valueHi);
    this.second.exitDr(position, ripLo, ripHi, dr, write, gpr, valueLo, valueHi);
  }
  exitException(position: Position, ripLo: number, ripHi: number, vector: number, errorCode: number, addressLo: number, addressHi: number): void {
    this.first.exitException(position, ripLo, ripHi, vector, errorCode, addressLo, addressHi);
    this.second.exitException(position, ripLo, ripHi, vector, errorCode, addressLo, addressHi);
  }
  exitPageTable(position: Position, ripLo: number, ripHi: number, level: number, address: number, valueLo: number, valueHi: number): void {
    this.first.exitPageTable(position, ripLo, ripHi, level, address, valueLo, valueHi);
    this.second.exitPageTable(position, ripLo, ripHi, level, address, valueLo, valueHi);
  }
  exit(position: Position, ripLo: number, ripHi: number, reason: number, qualificationLo: number, qualificationHi: number): void {
    this.first.exit(position, ripLo, ripHi, reason, qualificationLo, qualificationHi);
    this.second.exit(position, ripLo, ripHi, reason, qualificationLo, qualificationHi);
  }
  interrupt(position: Position, phase: number, controller: number, vector: number, line: number): void {
    this.first.interrupt(position, phase, controller, vector, line);
    this.second.interrupt(position, phase, controller, vector, line);
  }
  device(position: Position, report: DeviceReport): void {
    this.first.device(position, report);
    this.second.device(position, report);
  }
  idle(position: Position, ns: number): void {
    this.first.idle(position, ns);
    this.second.idle(position, ns);
  }
  dirty(position: Position, epoch: number, pages: Uint32Array, firstWrites?: FirstWrites): void {
    this.first.dirty(position, epoch, pages, firstWrites);
    this.second.dirty(position, epoch, pages, firstWrites);
  }
  counts(position: Position, kernelInstructions: number, systemCalls: number): void {
    this.first.counts(position, kernelInstructions, systemCalls);
    this.second.counts(position, kernelInstructions, systemCalls);
  }
  digest(position: Position, digest: string, components?: DigestComponents): void {
    this.first.digest(position, digest, components);
    this.second.digest(position, digest, components);
  }
  mark(position: Position, name: string, source: MarkSource): void {
    this.first.mark(position, name, source);
    this.second.mark(position, name, source);
  }
  end(position: Position, reason: EndReason, detail: string, digest?: string): void {
    this.first.end(position, reason, detail, digest);
    this.second.end(position, reason, detail, digest);
  }
  append(event: LogEvent): void {
    this.first.append(event);
    this.second.append(event);
  }
  flush(): void {
    this.first.flush();
    this.second.flush();
  }
}
