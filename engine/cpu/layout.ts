/**
 * Addresses in the core's linear memory, shared by the AssemblyScript interpreter, the TypeScript machine
 * and (later) compiled code. This file is valid AssemblyScript and valid TypeScript: plain constants only.
 *
 * 0x0000_1000  CPU state (this page is what both tiers read and write)
 * 0x0000_2000  what interpreter and compiler tell each other: no part of the state
 * 0x0000_4000  static data of the interpreter
 * 0x0010_0000  software TLB
 * 0x0030_0000  block look-up tables
 * 0x0050_0000  what an earlier run learnt: blocks that begin hot
 * 0x0080_0000  pages on their way into RAM (assembly/pages.ts)
 * 0x0100_0000  pre-decoded code
 * 0x0300_0000  per-page tables (attributes, dirty bits, hashes)
 * 0x0400_0000  guest RAM (physical address 0)
 */

// ---- general registers: u64 each, in encoding order rax rcx rdx rbx rsp rbp rsi rdi r8..r15 ----
export const REGS = 0x1000;
/** Always zero: the base or index of an address that has none. */
export const REG_ZERO = 16;
/** Virtual address of the page that holds the running block, for rip-relative operands. */
export const REG_PAGE = 17;
/** Linear address computed by an EA micro-op. */
export const REG_EA = 18;

export const RIP = 0x1100;
/** RFLAGS without CF PF AF ZF SF OF, which are lazy. Bit 1 is always set. */
export const FLAGS = 0x1108;
/** Lazy flags: last result, sign-extended to 64 bits. ZF is (result == 0), SF and PF come from it. */
export const FLAG_RESULT = 0x1110;
/** Lazy flags: bit 63 CF, bit 62 CF xor OF, bit 3 AF, bit 0 SF correction, bit 1 PF correction. */
export const FLAG_AUX = 0x1118;
/** Instructions retired since reset: the position. */
export const ICOUNT = 0x1120;
/** The position at which run() returns at the latest. */
export const LIMIT = 0x1128;
/** Virtual ns that passed without retiring instructions (idle, device access). Virtual time = ICOUNT + TIME_OFFSET. */
export const TIME_OFFSET = 0x1130;
/** Non-zero while the interrupt controller wants the CPU's attention. */
export const INTR = 0x1138;
/** Non-zero for one instruction after STI, MOV SS, POP SS. */
export const INTR_SHADOW = 0x113c;
/** Privilege level, 0 to 3. */
export const CPL = 0x1140;
/** Non-zero while the CPU is halted by HLT. */
export const HALTED = 0x1144;
/** Address of the micro-op that is running when a helper is called. */
export const CURSOR = 0x1148;
/** Address of the header of the running block. */
export const BLOCK = 0x114c;
/** Why run() returned (EXIT_*). */
export const EXIT = 0x1150;
/** u32 addresses of the read and write TLB that the current privilege uses. */
export const TLB_READ = 0x1160;
export const TLB_WRITE = 0x1164;
/** u32 generation of the virtual block look-up: raised when any mapping or code changes. */
export const GENERATION = 0x1168;
/** u32 decode mode and privilege of the running code (MODE_*). */
export const MODE = 0x116c;
/** Non-zero: run exactly one instruction alone (it touches a device or changes its own block). */
export const ISOLATE = 0x1170;
/** Guest RAM size in bytes, u32. */
export const RAM_SIZE = 0x1174;
/** Guest pages dirtied since the list was last taken, u32. */
export const DIRTY_COUNT = 0x1178;
/** u32: #DB conditions (DR6 bits) that wait for the end of the running instruction. */
export const DEBUG_PENDING = 0x117c;
/** u64: blocks stop when ICOUNT would pass this; 0 forces the full check at the next block boundary. */
export const STOP_AT = 0x1180;

// ---- u64 counts for reports: saved with the state, no part of a digest (see README.md, decision 10) ----
/** Instructions retired at privilege 0 to 2, up to KERNEL_SINCE. */
export const KERNEL_INSTRUCTIONS = 0x11a0;
/** The position at which privilege 3 was left last. */
export const KERNEL_SINCE = 0x11a8;
/** SYSCALL, SYSENTER and INT n (n from 32 on) from privilege 3. */
export const SYSTEM_CALLS = 0x11b0;

// ---- segment registers: es cs ss ds fs gs ldtr tr; 32 bytes each ----
export const SEGS = 0x1200;
export const SEG_SIZE = 32;
/** u16 selector */
export const SEG_SELECTOR = 0;
/** u32 access rights: bits 8..23 of the descriptor's second word (type S DPL P, AVL L D G) as in the VMX format, bit 16 = unusable */
export const SEG_ATTR = 4;
/** u32 limit, in bytes */
export const SEG_LIMIT = 8;
/** u64 base */
export const SEG_BASE = 16;
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;
/** u64 each: the bases as address computation uses them (zero for es cs ss ds in 64-bit mode); slots 6 and 7 are zero for ever. */
export const SEG_EFFECTIVE = 0x1300;
/** Slots of operands without a segment base: data, and stack (whose faults are #SS). */
export const SEG_FLAT = 6;
export const SEG_FLAT_STACK = 7;
export const GDTR_BASE = 0x1340;
export const GDTR_LIMIT = 0x1348;
export const IDTR_BASE = 0x1350;
export const IDTR_LIMIT = 0x1358;

// ---- control and debug registers, MSRs: u64 each ----
export const CR0 = 0x1380;
export const CR2 = 0x1388;
export const CR3 = 0x1390;
export const CR4 = 0x1398;
export const CR8 = 0x13a0;
export const EFER = 0x13a8;
export const DR0 = 0x13c0;
export const DR6 = 0x13e0;
export const DR7 = 0x13e8;
export const MSR_STAR = 0x1400;
export const MSR_LSTAR = 0x1408;
export const MSR_CSTAR = 0x1410;
export const MSR_FMASK = 0x1418;
export const MSR_KERNEL_GS_BASE = 0x1420;
export const MSR_SYSENTER_CS = 0x1428;
export const MSR_SYSENTER_ESP = 0x1430;
export const MSR_SYSENTER_EIP = 0x1438;
export const MSR_PAT = 0x1440;
export const MSR_TSC_AUX = 0x1448;
/** Added to virtual time to give the TSC (written through IA32_TSC and IA32_TSC_ADJUST). */
export const TSC_OFFSET = 0x1450;

/** The four PAE page-directory-pointer entries as loaded by MOV CR3 (SDM vol. 3A 4.4.1). */
export const PDPTE = 0x1460;
/** u64 state of the generator behind RDRAND and RDSEED. */
export const RANDOM = 0x1480;

// ---- pending exception, as set before the interpreter unwinds ----
export const EXC_VECTOR = 0x1500;
export const EXC_ERROR = 0x1504;
export const EXC_HAS_ERROR = 0x1508;
/** u64 */
export const EXC_ADDRESS = 0x1510;

// ---- x87, MMX, SSE ----
/** u16 each */
export const FCW = 0x1600;
export const FSW = 0x1602;
/** u8: abridged tag word as FXSAVE stores it, bit i set = physical register i is not empty. TOP lives in FSW bits 13:11. */
export const FTW = 0x1604;
/** u16 */
export const FOP = 0x1606;
/** u64 last instruction and data pointer */
export const FIP = 0x1608;
export const FDP = 0x1610;
/** u16 */
export const FCS = 0x1618;
export const FDS = 0x161a;
/** u32 */
export const MXCSR = 0x1620;
/** Eight physical (not TOP-relative) registers of 16 bytes: u64 significand, u16 sign and exponent. MMi is the significand of physical register i. */
export const FPR = 0x1680;
/** Sixteen XMM registers of 16 bytes */
export const XMM = 0x1700;

// ---- mailbox for calls between the interpreter and the machine ----
/** Eight u64 */
export const MAILBOX = 0x1800;

export const STATE_BEGIN = 0x1000;
export const STATE_END = 0x2000;

// ---- between interpreter and compiler (engine/jit) ----
/** u32: a block that has been interpreted so often is handed to the compiler; 0 never. */
export const JIT_THRESHOLD = 0x2000;
/** u32: index mask of a software TLB set, in bytes. */
export const JIT_TLB_MASK = 0x2004;
/** u64 each, for statistics: instructions retired by compiled code, visits to it, blocks interpreted. */
export const JIT_RETIRED = 0x2008;
export const JIT_VISITS = 0x2010;
/** Where a compiled function leaves what its flags follow from: u64 operands a and b, result, carry, form (SITE_FLAGS). */
export const JIT_FLAGS = 0x2018;
/** u32: the cell to be told, with SITE_VERIFY. */
export const JIT_CELL = 0x2040;
/** u32, even: like GENERATION (odd), for look-ups through global translations, which a CR3 load leaves alone. */
export const GENERATION_GLOBAL = 0x2044;
/** u32 by kind (PROFILE_*): what a block that PROFILE knows begins with in place of no heat when it is decoded. That of kind 0, which there is not: non-zero while there is a profile. */
export const PROFILE_HEATS = 0x2048;
/** u32, for statistics: blocks that began so. */
export const PROFILE_BEGUN = 0x2058;
/**
 * How a compiled function is left, u64. Bits 0 and 1 (SITE_KIND), 0: full check at RIP; SITE_GO_ON: the block at RIP; SITE_RESUME: the interpreter goes on at micro-op (SITE_OP, 10 bits) of the
 * block (SITE_BLOCK, its address); SITE_BEFORE: full check before that block, for whose instructions ICOUNT has been raised already. SITE_RELATIVE: RIP is the running page and an offset
 * (SITE_OFFSET, the rest, 2^31 more than it is). SITE_VERIFY: the cell in JIT_CELL holds if RIP is in its frame. SITE_FLAGS, 13 bits: form of the flags (4 bits, of settleFlags), logarithm of
 * the bytes (2), shift count (6), CF apart (1).
 */
export const SITE_KIND = 3;
export const SITE_GO_ON = 1;
export const SITE_RESUME = 2;
export const SITE_BEFORE = 3;
export const SITE_VERIFY = 4;
export const SITE_RELATIVE = 8;
export const SITE_FLAGS = 4;
export const SITE_OP = 17;
export const SITE_BLOCK = 27;
export const SITE_OFFSET = 17;
/** u32: entries of the core's function table below this belong to the core. */
export const JIT_TABLE_BASE = 1;

// ---- header of a decoded block, which its micro-ops follow (assembly/blocks.ts) ----
export const BLOCK_PADDR = 4;
export const BLOCK_BYTES = 8;
export const BLOCK_COUNT = 10;
export const BLOCK_MODE = 12;
export const BLOCK_HEAT = 24;
/** u32: 0; 1: in a compiled function that cannot be entered here; or index of the compiled function << 16 | number of the block in it. */
export const BLOCK_COMPILED = 28;
export const BLOCK_HEADER = 32;
/** Look-up of a block by virtual address, entries of 16 bytes: u64 rip ^ mode << 52, u32 block, u32 GENERATION or GENERATION_GLOBAL. */
export const VIRTUAL_ENTRIES = 16384;


export const TLB = 0x00100000;
/** Of the counting build (assembly/memory.ts, COUNT_TLB), bits of an access; the logarithm of the page's size is above TLB_SHIFT. */
export const TLB_FETCH = 1;
export const TLB_USER = 2;
export const TLB_GLOBAL = 4;
export const TLB_SHIFT = 8;
/** What is invalidated: translations that are not global (MOV CR3), one page (INVLPG), all. */
export const TLB_FLUSH_LOCAL = 0;
export const TLB_FLUSH_PAGE = 1;
export const TLB_FLUSH_ALL = 2;
export const BLOCKS = 0x00300000;
/**
 * Blocks that an earlier run compiled (engine/jit/profile.ts), u64 each, 0 for none: key of the code (codeKey() in assembly/blocks.ts), how often it may begin hot yet (above PROFILE_LEFT), and its kind.
 * Open addressing from the key's upper bits, at most PROFILE_PROBES slots from there. Written by the compiler's side when a core is made; a reset leaves it.
 */
export const PROFILE = 0x00500000;
export const PROFILE_SLOTS = 65536;
export const PROFILE_PROBES = 32;
/** Bits of an entry that are no key, and of them the kind. */
export const PROFILE_BITS = 6;
export const PROFILE_LEFT = 2;
/** A region was made around it, soon or late after it had been decoded; or it was part of one only. */
export const PROFILE_SOON = 1;
export const PROFILE_LATE = 2;
export const PROFILE_MEMBER = 3;
/** Packed pages of a checkpoint, before they are unpacked. */
export const STAGING = 0x00800000;
export const STAGING_BYTES = 0x00040000;
export const CODE = 0x01000000;
export const CODE_END = 0x03000000;
export const RAM = 0x04000000;

// ---- per-page tables, indexed by page frame number (2 GiB = 524,288 frames) ----
/** u8: PAGE_CODE, PAGE_TABLE_*, PAGE_WRITABLE, PAGE_LEVELS */
export const PAGE_ATTR = 0x03000000;
/** u8: non-zero when dirtied in this epoch */
export const PAGE_DIRTY = 0x03080000;
/** u32 list of the dirtied frames, in order of first write */
export const DIRTY_LIST = 0x03100000;
/** For each of them, in a table right after RAM: u64 position and u64 TIME_OFFSET of that write. */
export const FIRST_WRITE_BYTES = 16;
/** u64 hash of the page's contents when last hashed */
export const PAGE_HASH = 0x03300000;
/** u32 first block of the page */
export const PAGE_BLOCKS = 0x03700000;
/** u32, one bit for each 128 bytes that hold decoded code */
export const PAGE_CODE_MASK = 0x03900000;

// ---- what an observer watches (all zero and free while there is none) ----
/** u8 a frame: WATCH_* */
export const PAGE_WATCH = 0x03b00000;
/** u8 for each offset in a page: non-zero where an instruction that starts there is observed. */
export const OBSERVED_OFFSETS = 0x03b80000;
/**
 * Memory of compiled functions (engine/jit): cells, one for each page of code, and tables of blocks that indirect branches may lead to.
 * Cell: u32 GENERATION for which it holds, u32 page frame, u64 virtual page that was found to be there.
 * Entry of a table: i64 place of the block, u16 its number, u32 (at 12) its page's cell.
 */
export const JIT_MEMORY = 0x03b82000;
export const JIT_MEMORY_END = 0x04000000;
export const CELL_BYTES = 16;
export const CELL_FRAME = 4;
export const CELL_PAGE = 8;
export const TARGET_BYTES = 16;
export const TARGET_BLOCK = 8;
export const TARGET_CELL = 12;
export const WATCH_READ = 1;
export const WATCH_WRITE = 2;
/** Told when the frame would become dirty if it were not: before its first store, or by an instruction that is about to store and faults elsewhere. */
export const WATCH_DIRTY = 4;
/** u32: non-zero while calls and returns are observed. */
export const OBSERVE_CALLS = 0x1188;
/** u32: non-zero while any frame is watched. */
export const WATCHING = 0x118c;

/** Kinds handed to `observe` before an instruction runs. */
export const OBSERVE_START = 1;
export const OBSERVE_CALL = 2;
export const OBSERVE_RETURN = 4;
/** Kinds handed to `observeAccess`, before the bytes change. */
export const ACCESS_LOAD = 0;
export const ACCESS_STORE = 1;
/** A and D bits of a page-table entry. */
export const ACCESS_WALK = 2;
export const ACCESS_DEVICE = 3;

// ---- why run() returned ----
export const EXIT_LIMIT = 1;
export const EXIT_HLT = 2;
/** Triple fault. */
export const EXIT_SHUTDOWN = 3;
/** The machine asked for a return (a device ended the run). */
export const EXIT_REQUEST = 4;
/** The guest entered a mode that the CPU does not have (16-bit code, virtual-8086). */
export const EXIT_UNSUPPORTED = 5;

/** The observer stops the run before the instruction at RIP. */
export const EXIT_OBSERVED = 6;

// ---- exit event kinds handed to the host, Intel's basic exit reasons (SDM vol. 3C appendix C) ----
export const REASON_EXCEPTION = 0;
export const REASON_CPUID = 10;
export const REASON_HLT = 12;
export const REASON_INVLPG = 14;
export const REASON_VMCALL = 18;
export const REASON_CR_ACCESS = 28;
export const REASON_MOV_DR = 29;
export const REASON_RDMSR = 31;
export const REASON_WRMSR = 32;
export const REASON_GDTR_IDTR = 46;
export const REASON_LDTR_TR = 47;
export const REASON_WBINVD = 54;
/** Not Intel's: a store to a frame that is a page table. */
export const REASON_PAGE_TABLE = 0x100;

// ---- page attributes ----
/** The page holds decoded code: stores take the slow path and may invalidate blocks. */
export const PAGE_CODE = 1;
/** A cached non-global (global) translation was read through this page: stores that change a present entry drop translations. */
export const PAGE_TABLE = 2;
export const PAGE_TABLE_GLOBAL = 4;
/** A write translation to this page may be cached. */
export const PAGE_WRITABLE = 8;
/**
 * The frame is a page table of level 1 (bit 4) to 4 (bit 7): a walk has passed through it. Not a cache: it decides which stores are
 * reported, so it is part of the state of the machine.
 */
export const PAGE_LEVELS = 0xf0;
