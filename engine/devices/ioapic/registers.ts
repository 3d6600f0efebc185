/** Registers of the I/O APIC. Sources: Intel 82093AA datasheet (290566); the EOI register of version 0x20: Intel ICH datasheets, 9.5.5. */

export const IOAPIC_BASE = 0xfec00000;
export const IOAPIC_BYTES = 0x1000;
export const PIN_COUNT = 24;

// memory-mapped
export const SELECT = 0x00;
export const WINDOW = 0x10;
export const END_OF_INTERRUPT = 0x40;

// through the window
export const ID = 0x00;
export const VERSION = 0x01;
export const ARBITRATION = 0x02;
export const REDIRECTION = 0x10;

/** Version 0x20, highest redirection entry 23. */
export const VERSION_VALUE = 0x00170020;
export const ID_MASK = 0x0f000000;

// low word of a redirection entry
export const ENTRY_VECTOR = 0xff;
export const ENTRY_LOGICAL = 0x800;
export const ENTRY_REMOTE_IRR = 0x4000;
export const ENTRY_LEVEL = 0x8000;
export const ENTRY_MASKED = 0x10000;
/** Not delivery status (12) and remote IRR (14). */
export const ENTRY_WRITABLE = 0x1afff;
// high word
export const ENTRY_DESTINATION = 0xff000000;

// delivery modes, bits 10:8
export const DELIVERY_FIXED = 0;
export const DELIVERY_LOWEST = 1;
export const DELIVERY_EXTINT = 7;
