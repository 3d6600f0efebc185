/**
 * The paravirtual interface as numbers: the twin of engine/guests/pv-abi.h, which says what they mean. Names are the header's; abi.test.ts compares all of them.
 */
export const PV_NOTE_ENTRY = 1;
export const PV_NOTE_VIRT_BASE = 3;

// ---- hypercalls: Xen's numbers ----

export const HYPERVISOR_set_trap_table = 0;
export const HYPERVISOR_mmu_update = 1;
export const HYPERVISOR_stack_switch = 3;
export const HYPERVISOR_set_callbacks = 4;
export const HYPERVISOR_multicall = 13;
export const HYPERVISOR_set_timer_op = 15;
export const HYPERVISOR_xen_version = 17;
export const HYPERVISOR_iret = 23;
export const HYPERVISOR_mmuext_op = 26;
export const HYPERVISOR_sched_op = 29;
export const HYPERVISOR_event_channel_op = 32;
export const HYPERVISOR_mark = 48;
export const PV_VERSION = 1;
export const PV_MMU_UPDATES_MAX = 512;
export const PV_MULTICALLS_MAX = 64;

// ---- errors: as Xen and Linux number them ----

export const PV_EPERM = 1;
export const PV_ENOENT = 2;
export const PV_EFAULT = 14;
export const PV_EBUSY = 16;
export const PV_EINVAL = 22;
export const PV_ENOSPC = 28;
export const PV_ENOSYS = 38;

// ---- privilege ----

export const PV_CS_USER = 0xe033;
export const PV_CS_KERNEL = 0xe030;
export const PV_SS = 0xe02b;

// ---- page tables ----

export const MMU_NORMAL_PT_UPDATE = 0;
export const MMU_PT_UPDATE_PRESERVE_AD = 2;
export const MMUEXT_PIN_L1_TABLE = 0;
export const MMUEXT_PIN_L2_TABLE = 1;
export const MMUEXT_PIN_L3_TABLE = 2;
export const MMUEXT_PIN_L4_TABLE = 3;
export const MMUEXT_UNPIN_TABLE = 4;
export const MMUEXT_NEW_BASEPTR = 5;
export const MMUEXT_TLB_FLUSH_LOCAL = 6;
export const MMUEXT_INVLPG_LOCAL = 7;
export const MMUEXT_NEW_USER_BASEPTR = 15;

// ---- traps ----

export const PV_TRAP_DPL = 3;
export const PV_TRAP_MASKS = 4;

// ---- scheduling ----

export const SCHEDOP_yield = 0;
export const SCHEDOP_block = 1;
export const SCHEDOP_shutdown = 2;
export const SHUTDOWN_poweroff = 0;
export const SHUTDOWN_reboot = 1;
export const SHUTDOWN_crash = 3;

// ---- events ----

export const PV_PORTS = 64;
export const EVTCHNOP_bind_interdomain = 0;
export const EVTCHNOP_bind_virq = 1;
export const EVTCHNOP_close = 3;
export const EVTCHNOP_send = 4;
export const EVTCHNOP_unmask = 9;
export const VIRQ_TIMER = 0;
export const PV_PORT_CONSOLE = 1;
export const PV_PORT_BLOCK = 2;

// ---- shared info: offsets are Xen's ----

export const SHARED_UPCALL_PENDING = 0;
export const SHARED_UPCALL_MASK = 1;
export const SHARED_PENDING_SELECT = 8;
export const SHARED_CR2 = 16;
export const SHARED_PENDING = 2048;
export const SHARED_MASK = 2560;

// ---- start info ----

export const START_MAGIC = 0x3176506e6f726843n;
export const START_PAGES = 8;
export const START_FREE_END = 16;
export const START_SHARED_INFO = 24;
export const START_CONSOLE = 32;
export const START_BLOCK = 40;
export const START_SECTORS = 48;
export const START_BASEPTR = 56;
export const START_TSC_HZ = 64;
export const START_COMMAND_LINE = 72;
export const START_COMMAND_LINE_BYTES = 1024;

// ---- console ring: xencons_interface ----

export const CONSOLE_IN = 0;
export const CONSOLE_IN_BYTES = 1024;
export const CONSOLE_OUT = 1024;
export const CONSOLE_OUT_BYTES = 2048;
export const CONSOLE_IN_CONS = 3072;
export const CONSOLE_IN_PROD = 3076;
export const CONSOLE_OUT_CONS = 3080;
export const CONSOLE_OUT_PROD = 3084;

// ---- block ring: as blkif, but segments name frames instead of grants, which the driver domain holds as writable until it answers ----

export const BLOCK_REQ_PROD = 0;
export const BLOCK_RSP_PROD = 8;
export const BLOCK_RING = 64;
export const BLOCK_ENTRIES = 32;
export const BLOCK_ENTRY_BYTES = 112;
export const BLOCK_OPERATION = 0;
export const BLOCK_SEGMENTS = 1;
export const BLOCK_ID = 8;
export const BLOCK_SECTOR = 16;
export const BLOCK_SEGMENT = 24;
export const BLOCK_SEGMENTS_MAX = 11;
export const BLOCK_RSP_OPERATION = 8;
export const BLOCK_RSP_STATUS = 10;
export const BLOCK_READ = 0;
export const BLOCK_WRITE = 1;
export const BLOCK_OKAY = 0;
export const BLOCK_ERROR = -1;
