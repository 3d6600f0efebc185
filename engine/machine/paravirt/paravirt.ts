/**
 * What a hypervisor offers its guest beside the hardware, as the machine sees it: CPUID leaves from 4000_0000h on, MSRs, hypercalls, and pages
 * that it shares with the guest. One implementation for each hypervisor: kvm.ts, hyperv.ts.
 */
import type { CpuidRow } from '../../cpu/model.ts';
import type { Device, GuestMemory, TimerSource } from '../../devices/device.ts';
import type { EoiAssist } from './eoi-assist.ts';

export const PARAVIRT_KINDS = ['kvm', 'hyperv'] as const;
export type ParavirtKind = (typeof PARAVIRT_KINDS)[number];

export interface Paravirt extends Device {
  /** Undefined for a leaf of the CPU's own. */
  cpuid(leaf: number): CpuidRow | undefined;
  /** The index belongs to the interface, offered or not. */
  ownsMsr(index: number): boolean;
  /** Undefined where RDMSR raises #GP(0). */
  readMsr(index: number): bigint | undefined;
  /** `value` is unsigned, 64 bits. False where WRMSR raises #GP(0). */
  writeMsr(index: number, value: bigint): boolean;
  /** VMCALL or VMMCALL. RAX afterwards, 64 bits; undefined where the instruction raises #UD. */
  hypercall(caller: HypercallRegisters): bigint | undefined;
  /** The guest wrote IA32_TSC: what was told of the relation of TSC and time is wrong now. */
  tscChanged(): void;
  /** With a local APIC only. The machine calls it around each event of that APIC. */
  readonly eoi: EoiAssist | undefined;
}

export interface ParavirtOptions {
  readonly memory: GuestMemory;
  readonly timers: TimerSource;
  /** The time-stamp counter, 64 bits. One tick is 1 ns. */
  readonly tsc: { now(): bigint };
  /** Wall clock at power-on, ns since 1970-01-01 UTC. */
  readonly wallClockNs: bigint;
  /** Undefined in a machine without local APIC. */
  readonly apic: ParavirtApic | undefined;
  /** The guest asked for a reset of the machine. */
  readonly onReset?: () => void;
}

/** What is asked of the local APIC. */
export interface ParavirtApic {
  /** The highest vector in service; -1. */
  readonly inService: number;
  /** An interrupt waits in IRR, deliverable or not. */
  readonly isPending: boolean;
  /** The interrupt came level-triggered: its end concerns the I/O APIC. */
  isLevel(vector: number): boolean;
  /** As a write to the EOI register. */
  endOfInterrupt(): void;
  /** An interrupt message from the hypervisor, edge-triggered unless `level`. */
  deliver(vector: number, level: boolean): void;
  /** Registers of the APIC page, 32 bits. */
  readRegister(offset: number): number;
  writeRegister(offset: number, value: number): void;
}

/** The caller of a hypercall. */
export interface HypercallRegisters {
  /** 0 to 3. */
  readonly privilege: number;
  /** In 64-bit mode; else the upper halves of registers mean nothing. */
  readonly is64: boolean;
  /** In encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8 to r15. */
  register(index: number): bigint;
}

export const RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSI = 6;

/** Offsets in the APIC page (SDM vol. 3A table 10-1). */
export const APIC_ID = 0x20, APIC_TPR = 0x80, APIC_EOI = 0xb0, APIC_SVR = 0xf0, APIC_ICR_LOW = 0x300, APIC_ICR_HIGH = 0x310;
export const SVR_ENABLE = 0x100;

/** Four characters as the register of a CPUID signature. */
export const signature = (text: string): number => (text.charCodeAt(0) | (text.charCodeAt(1) << 8) | (text.charCodeAt(2) << 16) | (text.charCodeAt(3) << 24)) >>> 0;
export const bits = (...numbers: readonly number[]): number => numbers.reduce((value, bit) => (value | (1 << bit)) >>> 0, 0);
