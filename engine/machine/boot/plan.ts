/** What a boot protocol makes of the images: bytes to place in guest memory and the state in which the CPU starts. */
import type { Decompress } from './bzimage.ts';

export type BootProtocol = 'pvh' | 'linux64' | 'multiboot1' | 'pv';
/** As `--boot` takes it; `multiboot` is `multiboot1`. */
export type BootChoice = 'auto' | 'pvh' | 'linux64' | 'multiboot' | 'multiboot1';

export interface BootModule {
  readonly bytes: Uint8Array;
  /** The module's own command line (PVH and Multiboot). */
  readonly commandLine?: string | undefined;
}

export interface BootImages {
  readonly kernel: Uint8Array;
  /** The first module of PVH and Multiboot, the initrd of Linux. */
  readonly initrd?: Uint8Array | undefined;
  /** Modules after the initrd. */
  readonly modules?: readonly BootModule[] | undefined;
}

export interface BootOptions {
  /** Size of guest RAM from physical address 0, bytes: a multiple of 4096, 2 MiB to 2 GiB. */
  readonly memoryBytes: number;
  readonly commandLine?: string | undefined;
  /** Physical address of the ACPI RSDP; undefined on a machine without ACPI. */
  readonly rsdpAddress?: number | undefined;
  readonly protocol?: BootChoice | undefined;
  /** For packed kernels other than LZ4 and XZ. */
  readonly decompress?: Decompress | undefined;
  /** What messages call the kernel image; "the kernel" if undefined. */
  readonly kernelName?: string | undefined;
}

/** A segment register with its hidden part. */
export interface SegmentState {
  readonly selector: number;
  readonly base: bigint;
  /** In bytes, granularity applied. */
  readonly limit: number;
  /** VMX access rights: bits 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G. SDM vol. 3C 25.4.1, table 25-2. */
  readonly attr: number;
}

export type SegmentName = 'cs' | 'ds' | 'es' | 'ss' | 'fs' | 'gs' | 'tr';
export type RegisterName =
  | 'rax' | 'rcx' | 'rdx' | 'rbx' | 'rsp' | 'rbp' | 'rsi' | 'rdi'
  | 'r8' | 'r9' | 'r10' | 'r11' | 'r12' | 'r13' | 'r14' | 'r15'; // prettier-ignore

export interface InitialCpuState {
  readonly mode: 'protected32' | 'long64';
  readonly rip: bigint;
  readonly rsp: bigint;
  /** General registers that are not zero, rsp excepted. */
  readonly registers: Readonly<Partial<Record<RegisterName, bigint>>>;
  readonly rflags: bigint;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly segments: Readonly<Record<SegmentName, SegmentState>>;
  readonly gdtBase: bigint;
  readonly gdtLimit: number;
}

export interface BootLoad {
  readonly paddr: number;
  /** May be a view into an image: copy, do not keep. */
  readonly bytes: Uint8Array;
}

export interface BootPlan {
  readonly protocol: BootProtocol;
  /** Sorted by address; they do not overlap, and lie in RAM. All other RAM is zero. */
  readonly loads: readonly BootLoad[];
  readonly cpu: InitialCpuState;
  /** What was decided and why, a sentence each, for `--verbose` and the log. */
  readonly notes: readonly string[];
}

/** CR0.PE, and CR0.ET, which is always set (SDM vol. 3A 2.5). */
export const CR0_PROTECTED = 0x11n;
/** Bit 1 of RFLAGS is always set; interrupts are off. */
export const RFLAGS_RESET = 2n;
