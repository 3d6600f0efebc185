/** Ports for tests and tools. Source: QEMU hw/misc/debugexit.c (isa-debug-exit, here at 0xf4 with iosize 1: 0xf5 is the mark port), hw/char/debugcon.c; 0x80: IBM PC AT POST code. */

export const PORT_EXIT = 0xf4;
export const PORT_EXIT_COUNT = 1;
export const PORT_CONSOLE = 0xe9;
/** A read of the debug console gives this: how a guest finds it. */
export const CONSOLE_PRESENT = 0xe9;
export const PORT_POST = 0x80;
