/**
 * What the interpreter asks of the machine around it. Values wider than 32 bits cross in the MAILBOX.
 */

/** Port read; size 1, 2 or 4 bytes. */
// @ts-ignore: decorator
@external("env", "ioRead")
export declare function hostIoRead(port: u32, size: u32): u32;
// @ts-ignore: decorator
@external("env", "ioWrite")
export declare function hostIoWrite(port: u32, size: u32, value: u32): void;
/** Device memory read at guest-physical `paddr`; the value is put into MAILBOX[0]. */
// @ts-ignore: decorator
@external("env", "mmioRead")
export declare function hostMmioRead(paddr: u32, size: u32): void;
/** Device memory write; the value is in MAILBOX[0]. */
// @ts-ignore: decorator
@external("env", "mmioWrite")
export declare function hostMmioWrite(paddr: u32, size: u32): void;
/** An architectural event; what else is known is in MAILBOX (see the machine's table). */
// @ts-ignore: decorator
@external("env", "exitEvent")
export declare function hostExitEvent(reason: u32, info: u32): void;
/** Acknowledges the interrupt: vector, or -1 when it has gone. */
// @ts-ignore: decorator
@external("env", "acknowledge")
export declare function hostAcknowledge(): i32;
/** CPUID: leaf and subleaf to EAX EBX ECX EDX in MAILBOX[0..3]. */
// @ts-ignore: decorator
@external("env", "cpuid")
export declare function hostCpuid(leaf: u32, subleaf: u32): void;
/** MSRs that belong to devices or to the CPU model: value in MAILBOX[0]; returns 0 when there is no such MSR (or the value is refused). */
// @ts-ignore: decorator
@external("env", "rdmsr")
export declare function hostRdmsr(index: u32): u32;
// @ts-ignore: decorator
@external("env", "wrmsr")
export declare function hostWrmsr(index: u32): u32;
/** MOV CR8: task priority of the local APIC. */
// @ts-ignore: decorator
@external("env", "readTpr")
export declare function hostReadTpr(): u32;
// @ts-ignore: decorator
@external("env", "writeTpr")
export declare function hostWriteTpr(value: u32): void;
/** An observed instruction is about to run; kinds OBSERVE_*. Non-zero: stop before it. */
// @ts-ignore: decorator
@external("env", "observe")
export declare function hostObserve(kinds: u32): u32;
/** A watched frame is about to be accessed; ACCESS_LOAD to ACCESS_DEVICE. */
// @ts-ignore: decorator
@external("env", "observeAccess")
export declare function hostObserveAccess(kind: u32, paddr: u32, size: u32): void;
/** Counting build only (COUNT_TLB): an access that may be no hit of the most recent page of its set; TLB_* of the layout. */
// @ts-ignore: decorator
@external("env", "tlbAccess")
export declare function hostTlbAccess(pageLow: u32, pageHigh: u32, kind: u32): void;
/** Counting build only: what the guest invalidates; TLB_FLUSH_* of the layout. */
// @ts-ignore: decorator
@external("env", "tlbFlush")
export declare function hostTlbFlush(what: u32, pageLow: u32, pageHigh: u32): void;
/** Counting build only: a PAUSE runs, at this privilege. */
// @ts-ignore: decorator
@external("env", "pause")
export declare function hostPause(cpl: u32): void;
/** A block has been interpreted JIT_THRESHOLD times. */
// @ts-ignore: decorator
@external("env", "hotBlock")
export declare function hostHotBlock(block: u32): void;
/** A block that is part of compiled functions has changed: they must not be entered again. */
// @ts-ignore: decorator
@external("env", "dropCompiled")
export declare function hostDropCompiled(block: u32): void;
/** All decoded code is about to go. */
// @ts-ignore: decorator
@external("env", "dropAllCompiled")
export declare function hostDropAllCompiled(): void;
/** Throws: unwinds the interpreter to the run loop of the machine, which calls fault(). */
// @ts-ignore: decorator
@external("env", "unwind")
export declare function hostUnwind(): void;
