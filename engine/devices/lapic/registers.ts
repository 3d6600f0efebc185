/** Registers of the local APIC. Source: Intel SDM vol. 3A, chapter 10 (APIC), table 10-1 for the offsets, 10.12 for x2APIC. */

export const LAPIC_BASE = 0xfee00000;
export const LAPIC_BYTES = 0x1000;

// register numbers: MMIO offset / 16, and MSR - 0x800
export const ID = 0x02;
export const VERSION = 0x03;
export const TPR = 0x08;
export const APR = 0x09;
export const PPR = 0x0a;
export const EOI = 0x0b;
export const LDR = 0x0d;
export const DFR = 0x0e;
export const SVR = 0x0f;
export const ISR = 0x10;
export const TMR = 0x18;
export const IRR = 0x20;
export const ESR = 0x28;
export const ICR_LOW = 0x30;
export const ICR_HIGH = 0x31;
export const LVT_TIMER = 0x32;
export const LVT_THERMAL = 0x33;
export const LVT_PERFORMANCE = 0x34;
export const LVT_LINT0 = 0x35;
export const LVT_LINT1 = 0x36;
export const LVT_ERROR = 0x37;
export const LVT_COUNT = 6;
export const INITIAL_COUNT = 0x38;
export const CURRENT_COUNT = 0x39;
export const DIVIDE = 0x3e;
/** x2APIC only. */
export const SELF_IPI = 0x3f;

/** Version 0x14 (xAPIC), highest LVT entry 5, no EOI-broadcast suppression. */
export const VERSION_VALUE = 0x00050014;

export const SVR_VECTOR = 0xff;
export const SVR_ENABLE = 0x100;
export const SVR_WRITABLE = 0x3ff;
export const DFR_FLAT = 0xf;
export const DFR_AT_RESET = 0xffffffff;

// LVT entries
export const LVT_VECTOR = 0xff;
export const LVT_REMOTE_IRR = 0x4000;
export const LVT_LEVEL = 0x8000;
export const LVT_MASKED = 0x10000;
export const LVT_TIMER_MODE = 0x60000;
export const TIMER_ONE_SHOT = 0x00000;
export const TIMER_PERIODIC = 0x20000;
export const TIMER_DEADLINE = 0x40000;
/** Writable bits of the six entries, timer to error, with TSC-deadline mode. */
export const LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff];

// delivery modes, bits 10:8 of LVT entries, ICR and I/O APIC entries
export const DELIVERY_FIXED = 0;
export const DELIVERY_LOWEST = 1;
export const DELIVERY_NMI = 4;
export const DELIVERY_EXTINT = 7;

// ESR
export const ERROR_SEND_ILLEGAL_VECTOR = 0x20;
export const ERROR_RECEIVE_ILLEGAL_VECTOR = 0x40;
export const ERROR_ILLEGAL_REGISTER = 0x80;
/** Vectors below this are not for the APIC. */
export const VECTOR_MIN = 16;

// ICR
export const ICR_LOGICAL = 0x800;
/** Bits 12 (delivery status), 13, 16, 17 and 20 to 31 are not writable. */
export const ICR_WRITABLE = 0xccfff;
export const SHORTHAND_NONE = 0;
export const SHORTHAND_SELF = 1;
export const SHORTHAND_ALL = 2;

export const DIVIDE_WRITABLE = 0xb;

export const MSR_APIC_BASE = 0x1b;
export const MSR_TSC_DEADLINE = 0x6e0;
export const MSR_X2APIC = 0x800;
export const MSR_X2APIC_LAST = 0x8ff;

export const BASE_BOOTSTRAP = 0x100;
export const BASE_X2APIC = 0x400;
export const BASE_ENABLE = 0x800;
