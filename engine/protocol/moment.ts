/**
 * What a page asks its worker about one moment of a recording, how it walks from there, and what it is answered. Types only; the messages that carry
 * them are in messages.ts. Addresses are bigint: these messages are cloned, not written as JSON.
 */
import type { MachineState } from './messages.ts';

/** What the panels that are open show. An address is an expression (engine/debug/expression.ts): `rsp` follows the register. */
export interface Look {
  /** Code: around `at`, or around rip. */
  readonly listing?: { readonly at: string | undefined; readonly before: number; readonly after: number };
  /** Rows of 16 bytes; `skip` rows on from the one that holds the address, or back. */
  readonly memory?: { readonly at: string; readonly skip: number; readonly rows: number; readonly isPhysical: boolean };
  readonly paging?: { readonly at: string };
  readonly hasDevices?: boolean;
}

export interface ListingRow {
  readonly address: bigint;
  /** Hex digits; empty: nothing is mapped there. */
  readonly bytes: string;
  readonly text: string;
  /** Of a direct jump or call, or of memory that it names. */
  readonly target: { readonly address: bigint; readonly name: string } | undefined;
  /** Where a function begins: its name. */
  readonly label: string | undefined;
  /** Where the code of another line begins: `FILE:LINE`. */
  readonly source: string | undefined;
}

export interface MemoryRow {
  readonly address: bigint;
  /** Guest-physical; undefined: not mapped to RAM. */
  readonly paddr: number | undefined;
  readonly bytes: Uint8Array;
}

/** One entry of a page walk. */
export interface PagingLevel {
  /** As in the manual: PML4, PDPT, PD, PT. */
  readonly name: string;
  readonly index: number;
  /** Guest-physical, of the entry. */
  readonly paddr: number;
  readonly entry: bigint;
  /** Names of the bits that are set: P, RW, US, ... */
  readonly flags: readonly string[];
}

export interface PagingView {
  readonly address: bigint;
  readonly mode: 'off' | '32-bit' | 'PAE' | '4-level';
  readonly cr3: bigint;
  readonly levels: readonly PagingLevel[];
  /** Undefined: not mapped. */
  readonly paddr: bigint | undefined;
  readonly pageBytes: number;
  /** Of all levels together. */
  readonly rights: { readonly isWritable: boolean; readonly isUser: boolean; readonly isExecutable: boolean };
}

/** A panel that has nothing to show: why, in words. */
export interface NoView {
  readonly problem: string;
}

/** Devices' state, as their save() names it. */
export interface StateNode {
  readonly name: string;
  readonly value: string | undefined;
  readonly children: readonly StateNode[];
}

export interface Moment {
  readonly machine: MachineState;
  /** Linear address of the next instruction. */
  readonly rip: bigint;
  /** `symbol+0x12`, or the address. */
  readonly symbol: string;
  readonly source: string | undefined;
  /** `sh[12]` */
  readonly task: string | undefined;
  /** Between a delivery and the first instruction of its handler: later than the state of the position. */
  readonly isBetween: boolean;
  readonly listing: readonly ListingRow[] | NoView | undefined;
  readonly memory: { readonly at: bigint; readonly rows: readonly MemoryRow[] } | NoView | undefined;
  readonly paging: PagingView | NoView | undefined;
  readonly devices: readonly StateNode[] | undefined;
}

// ---- walking ----

/** Where a walk stops. Its bounds are fixed when it is made: a watchpoint is of the memory that was mapped there then. */
export type PagePoint =
  /** condition: an expression (engine/debug/expression.ts) that is not zero where it stops. */
  | { readonly kind: 'breakpoint'; readonly text: string; readonly addresses: readonly bigint[]; readonly condition?: string | undefined }
  | { readonly kind: 'watchpoint'; readonly text: string; readonly access: WatchAccess; readonly ranges: readonly { readonly paddr: number; readonly length: number }[] }
  /** Exits, interrupts, marks, ... of the log, by kind. */
  | { readonly kind: 'event'; readonly text: string; readonly kinds: number; readonly words: string }
  | { readonly kind: 'console'; readonly text: string };

export type WatchAccess = 'change' | 'write' | 'read' | 'access';

/** A point as a person gives it. */
export type PointAsked =
  /** An expression, a symbol, FILE:LINE; each may be followed by `if` and an expression. */
  | { readonly kind: 'breakpoint'; readonly text: string }
  | { readonly kind: 'watchpoint'; readonly text: string; readonly bytes: number; readonly isPhysical: boolean; readonly access: WatchAccess };

export type WalkDirection = 'forward' | 'backward';

export type WalkUnit = 'instruction' | 'over' | 'out' | 'line' | 'over-line' | 'continue';

export type WalkEnd =
  | { readonly kind: 'step' | 'interrupted' }
  /** Number of the point among those that were given. */
  | { readonly kind: 'point'; readonly index: number }
  /** The end of history in that direction. */
  | { readonly kind: 'history' };

export interface StackFrame {
  readonly rip: bigint;
  readonly symbol: string;
  readonly source: string | undefined;
  readonly stackPointer: bigint;
  /** The last position in the caller. */
  readonly calledAt: number | undefined;
  readonly kind: 'call' | 'interrupt' | 'syscall' | 'top';
}

/** A link of the chain that led to a value; the latest first. */
export interface OriginLink {
  readonly kind: string;
  readonly position: number;
  readonly symbol: string | undefined;
  readonly instruction: string | undefined;
  /** Register or memory that was written. */
  readonly subject: string;
  readonly value: string | undefined;
  /** What it was made from, `rax = 0x12`, and what the log has about it. */
  readonly inputs: readonly string[];
}

export type OriginAsked =
  | { readonly kind: 'register'; readonly name: string }
  | { readonly kind: 'memory'; readonly address: bigint; readonly bytes: number }
  | { readonly kind: 'physical'; readonly paddr: number; readonly bytes: number };

/** Which task of the guest runs from one position to the next. */
export interface TaskSpans {
  /** `sh[12]`; empty: not known. */
  readonly names: readonly string[];
  /** Ascending; the last is the end of the last stretch. Before the first one nobody was there yet. */
  readonly positions: Float64Array;
  /** Of names; one fewer than positions. */
  readonly tasks: Uint16Array;
}

/** Of which guest, and from where its names are. */
export interface SymbolsView {
  readonly origin: 'elf' | 'kallsyms' | 'none';
  readonly count: number;
  readonly isLinux: boolean;
  /** Control registers at power-on, the lower 32 bits; undefined: the machine was not seen there. */
  readonly powerOn: { readonly cr0: number; readonly efer: number } | undefined;
  readonly problem: string | undefined;
}
