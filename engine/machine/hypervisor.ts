/**
 * The place of a hypervisor above the guest, for guests that know of it. With one, the CPU's exceptions, VMCALL and event upcalls come to it instead of going through the
 * guest's descriptor tables: the machine leaves the core at an instruction boundary, hands over, and goes on with whatever state the hypervisor left.
 *
 *     core ──► VMCALL, exception, INTR ──► Machine ──► Hypervisor ──► registers, memory, event ──► core
 *
 * Like a device it is a pure state machine with save and restore, so what it does is no input: a replay makes it again.
 */
import type { Core } from '../cpu/core.ts';
import type { BlockBacking } from '../devices/virtio-block/virtio-block.ts';
import type { ReportSink, SavedState, TimerSource } from '../devices/device.ts';
import type { EndKind } from './machine.ts';

export interface Hypervisor {
  /** Its part of the saved state. */
  readonly name: string;
  /** The guest is in memory, and the CPU as its boot plan says. */
  start(): void;
  /** VMCALL; RIP is its address, and it has not retired: retire() does that. The exit is not in the log yet. */
  hypercall(): void;
  /** The CPU would deliver this; RIP as for delivery. The exit is not in the log yet. error: undefined if the vector has none; address: CR2 of a page fault. */
  exception(vector: number, error: number | undefined, address: bigint): void;
  /** It has asked for attention, and the CPU is between two instructions, or halted. */
  attend(): void;
  /** Bytes that the console would take now. */
  readonly consoleSpace: number;
  receiveConsole(bytes: Uint8Array): void;
  save(): SavedState;
  /** After RAM was restored. */
  restore(state: SavedState): void;
}

/** What the machine hands to it. */
export interface HypervisorHost {
  readonly core: Core;
  /** Of the machine: README.md. */
  readonly revision: number;
  readonly timers: TimerSource;
  readonly disk: BlockBacking | undefined;
  readonly report: ReportSink;
  /** Calls attend() at the next boundary, or not any more. */
  setAttention(wanted: boolean): void;
  /** The instruction that came here retires: `bytes` long; the position goes on by one. */
  retire(bytes: number): void;
  /** An exit, at the instruction that came here. */
  exit(reason: number, qualification: bigint): void;
  exitException(vector: number, error: number | undefined, address: bigint): void;
  /** An event channel; phase as in the log (0 raised, 1 injected); port -1: several. */
  event(phase: number, port: number): void;
  console(byte: number): void;
  mark(name: string): void;
  end(reason: EndKind, detail: string): void;
}

export type NewHypervisor = (host: HypervisorHost) => Hypervisor;
