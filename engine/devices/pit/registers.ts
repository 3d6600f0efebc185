/** Ports and bits of the 8254 timer and of system control port B. Sources: Intel 8254 datasheet (231164); 82371AB (PIIX4) datasheet, 4.2.4. */

/** Input clock of the three channels, Hz: 14.31818 MHz / 12. */
export const PIT_HZ = 1193182;

export const PORT_CHANNEL_0 = 0x40;
export const PORT_CHANNEL_2 = 0x42;
export const PORT_CONTROL = 0x43;
export const PORT_SYSTEM_CONTROL = 0x61;

// control word: bits 7:6 channel (3 = read-back), 5:4 access, 3:1 mode, 0 BCD
export const SELECT_READ_BACK = 3;
export const ACCESS_LATCH = 0;
export const ACCESS_LOW = 1;
export const ACCESS_HIGH = 2;
export const ACCESS_BOTH = 3;

export const READ_BACK_NO_COUNT = 0x20;
export const READ_BACK_NO_STATUS = 0x10;

// status byte
export const STATUS_OUT = 0x80;
export const STATUS_NULL_COUNT = 0x40;

export const MODE_TERMINAL_COUNT = 0;
export const MODE_ONE_SHOT = 1;
export const MODE_RATE = 2;
export const MODE_SQUARE = 3;
export const MODE_SOFTWARE_STROBE = 4;
export const MODE_HARDWARE_STROBE = 5;

// system control port B (0x61)
export const CONTROL_GATE_2 = 0x01;
/** Gate of channel 2, speaker, and the two NMI masks: what a guest may write. */
export const CONTROL_WRITABLE = 0x0f;
export const CONTROL_REFRESH = 0x10;
export const CONTROL_OUT_2 = 0x20;

/** Ticks of a refresh cycle, which toggles CONTROL_REFRESH: 15.086 us (PIIX4: channel 1, count 18). */
export const REFRESH_TICKS = 18;
