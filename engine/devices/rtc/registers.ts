/** Registers of the MC146818A real-time clock and bytes of the PC's CMOS RAM. Source: Motorola MC146818A datasheet; bytes above 0x0d: IBM PC AT Technical Reference, CMOS RAM map. */

export const PORT_INDEX = 0x70;
export const PORT_DATA = 0x71;
/** Bit 7 of the index port is the NMI mask. */
export const INDEX_MASK = 0x7f;

export const SECONDS = 0x00;
export const SECONDS_ALARM = 0x01;
export const MINUTES = 0x02;
export const MINUTES_ALARM = 0x03;
export const HOURS = 0x04;
export const HOURS_ALARM = 0x05;
export const DAY_OF_WEEK = 0x06;
export const DAY_OF_MONTH = 0x07;
export const MONTH = 0x08;
export const YEAR = 0x09;
export const REGISTER_A = 0x0a;
export const REGISTER_B = 0x0b;
export const REGISTER_C = 0x0c;
export const REGISTER_D = 0x0d;
/** KiB below 1 MiB; low byte, high byte. */
export const BASE_MEMORY = 0x15;
/** KiB above 1 MiB, at most 65535; twice. */
export const EXTENDED_MEMORY = 0x17;
export const EXTENDED_MEMORY_2 = 0x30;
export const CENTURY = 0x32;
/** Units of 64 KiB above 16 MiB, at most 65535 (the usual extension of the map). */
export const HIGH_MEMORY = 0x34;
export const CMOS_BYTES = 128;

/** The bytes that time itself changes. */
export const TIME_BYTES = [SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY_OF_MONTH, MONTH, YEAR, CENTURY];

// register A
export const A_UPDATE_IN_PROGRESS = 0x80;
/** Divider 11x: held in reset. */
export const A_DIVIDER_RESET = 0x60;
export const A_RATE = 0x0f;
/** 32768 Hz time base, periodic rate 1024 Hz: what firmware leaves. */
export const A_AT_POWER_ON = 0x26;

// register B
export const B_SET = 0x80;
export const B_PERIODIC = 0x40;
export const B_ALARM = 0x20;
export const B_UPDATE = 0x10;
export const B_BINARY = 0x04;
export const B_24_HOURS = 0x02;

// register C; the enable bits of register B are in the same places
export const C_IRQ = 0x80;
export const C_PERIODIC = 0x40;
export const C_ALARM = 0x20;
export const C_UPDATE = 0x10;
export const C_FLAGS = C_PERIODIC | C_ALARM | C_UPDATE;

/** Register D: battery and RAM are good. */
export const D_VALID = 0x80;

export const HOUR_PM = 0x80;
/** Alarm bytes from 0xc0 match anything. */
export const ALARM_ANY = 0xc0;

export const TIME_BASE_HZ = 32768;
/** UIP rises this long before the update. */
export const UPDATE_NOTICE_NS = 244_000;
/** The first update after the divider leaves reset comes after half a second. */
export const DIVIDER_RELEASE_NS = 500_000_000;
