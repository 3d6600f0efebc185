/** Ports, commands and bits of the keyboard controller. Sources: Intel 8042 datasheet; IBM PC AT Technical Reference, Keyboard Controller; port 0x92: 82371AB (PIIX4) datasheet, 4.2.6. */

export const PORT_DATA = 0x60;
export const PORT_COMMAND = 0x64;
export const PORT_SYSTEM_CONTROL_A = 0x92;

// status (read of 0x64)
export const STATUS_OUTPUT_FULL = 0x01;
export const STATUS_SYSTEM = 0x04;
export const STATUS_COMMAND = 0x08;
/** Keyboard not locked by the key switch. */
export const STATUS_UNLOCKED = 0x10;

// commands (write of 0x64)
export const READ_RAM = 0x20;
export const READ_RAM_LAST = 0x3f;
export const WRITE_RAM = 0x60;
export const WRITE_RAM_LAST = 0x7f;
export const DISABLE_AUX = 0xa7;
export const ENABLE_AUX = 0xa8;
export const TEST_AUX = 0xa9;
export const SELF_TEST = 0xaa;
export const TEST_KEYBOARD = 0xab;
export const DISABLE_KEYBOARD = 0xad;
export const ENABLE_KEYBOARD = 0xae;
export const READ_INPUT_PORT = 0xc0;
export const READ_OUTPUT_PORT = 0xd0;
export const WRITE_OUTPUT_PORT = 0xd1;
export const WRITE_KEYBOARD_BUFFER = 0xd2;
export const WRITE_AUX_BUFFER = 0xd3;
export const WRITE_AUX = 0xd4;
export const DISABLE_A20 = 0xdd;
export const ENABLE_A20 = 0xdf;
/** 0xf0 to 0xff pulse the output-port bits that are 0 in the low nibble. */
export const PULSE = 0xf0;
export const NO_COMMAND = 0;

export const SELF_TEST_PASSED = 0x55;
export const KEYBOARD_TEST_PASSED = 0x00;
/** Clock line stuck low: there is no auxiliary device. */
export const AUX_TEST_FAILED = 0x01;
/** Input port: key switch not locked. */
export const INPUT_PORT = 0x80;

// output port
export const OUTPUT_NOT_RESET = 0x01;
export const OUTPUT_A20 = 0x02;
/** Clock and data lines of an idle keyboard. */
export const OUTPUT_AT_POWER_ON = 0xc0 | OUTPUT_NOT_RESET | OUTPUT_A20;

// configuration byte (RAM byte 0)
export const CONFIG_SYSTEM = 0x04;
export const CONFIG_KEYBOARD_DISABLED = 0x10;
export const CONFIG_AUX_DISABLED = 0x20;
export const CONFIG_TRANSLATE = 0x40;

// system control port A
export const CONTROL_A_RESET = 0x01;
export const CONTROL_A_A20 = 0x02;
