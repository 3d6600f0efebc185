/** Which device a port belongs to, and where hypervisors keep that device. */
export const PORT_OTHER = 0;
/** 8259A pair and their edge/level registers. */
export const PORT_PIC = 1;
/** 8254: channels 0 and 1, and the mode register. */
export const PORT_PIT = 2;
/** Channel 2 of the 8254 and its gate: what kernels calibrate their TSC with. */
export const PORT_PIT_CALIBRATION = 3;
/** 16550 UARTs. */
export const PORT_UART = 4;
export const PORT_RTC = 5;
/** PCI configuration mechanism 1. */
export const PORT_PCI = 6;
/** 8042 keyboard controller. */
export const PORT_I8042 = 7;

export const PORT_CLASS = new Uint8Array(65_536);
for (const port of [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1]) PORT_CLASS[port] = PORT_PIC;
for (const port of [0x40, 0x41, 0x43]) PORT_CLASS[port] = PORT_PIT;
for (const port of [0x42, 0x61]) PORT_CLASS[port] = PORT_PIT_CALIBRATION;
for (const base of [0x3f8, 0x2f8, 0x3e8, 0x2e8]) PORT_CLASS.fill(PORT_UART, base, base + 8);
for (const port of [0x70, 0x71]) PORT_CLASS[port] = PORT_RTC;
PORT_CLASS.fill(PORT_PCI, 0xcf8, 0xd00);
for (const port of [0x60, 0x64]) PORT_CLASS[port] = PORT_I8042;
