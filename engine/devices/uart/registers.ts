/** Registers of the 16550A, as offsets from the base port. Source: National Semiconductor PC16550D datasheet (TL/C/8652). */

export const RECEIVE_TRANSMIT = 0;
export const INTERRUPT_ENABLE = 1;
/** Read: interrupt identification; write: FIFO control. */
export const INTERRUPT_ID = 2;
export const FIFO_CONTROL = 2;
export const LINE_CONTROL = 3;
export const MODEM_CONTROL = 4;
export const LINE_STATUS = 5;
export const MODEM_STATUS = 6;
export const SCRATCH = 7;
export const PORT_COUNT = 8;

export const IER_RECEIVED = 0x01;
export const IER_TRANSMIT_EMPTY = 0x02;
export const IER_LINE_STATUS = 0x04;
export const IER_MODEM_STATUS = 0x08;
export const IER_MASK = 0x0f;

export const IIR_NONE = 0x01;
export const IIR_LINE_STATUS = 0x06;
export const IIR_RECEIVED = 0x04;
export const IIR_TIMEOUT = 0x0c;
export const IIR_TRANSMIT_EMPTY = 0x02;
export const IIR_MODEM_STATUS = 0x00;
export const IIR_FIFO = 0xc0;

export const FCR_ENABLE = 0x01;
export const FCR_CLEAR_RECEIVE = 0x02;
/** Bits 7:6: trigger level of the receive FIFO, bytes. */
export const FIFO_TRIGGERS = [1, 4, 8, 14];
export const FIFO_BYTES = 16;

export const LCR_STOP_BITS = 0x04;
export const LCR_PARITY = 0x08;
export const LCR_DIVISOR = 0x80;

export const MCR_DTR = 0x01;
export const MCR_RTS = 0x02;
export const MCR_OUT1 = 0x04;
/** On a PC, OUT2 connects the interrupt output to the bus. */
export const MCR_OUT2 = 0x08;
export const MCR_LOOPBACK = 0x10;
export const MCR_MASK = 0x1f;

export const LSR_DATA_READY = 0x01;
export const LSR_OVERRUN = 0x02;
export const LSR_TRANSMIT_EMPTY = 0x20;
export const LSR_TRANSMITTER_IDLE = 0x40;

export const MSR_CTS = 0x10;
export const MSR_DSR = 0x20;
export const MSR_RI = 0x40;
export const MSR_DCD = 0x80;
export const MSR_LINES = 0xf0;
/** Delta bits: CTS, DSR, trailing edge of RI, DCD. */
export const MSR_DELTAS = 0x0f;
export const MSR_RI_TRAILING = 0x04;

/** Input clock after the divider by 16, Hz: the baud rate of divisor 1. */
export const BAUD_BASE_HZ = 115200;
/** 9600 baud: what firmware leaves. */
export const DIVISOR_AT_POWER_ON = 12;
/** The timeout interrupt comes after this many character times without a byte read or received. */
export const TIMEOUT_CHARACTERS = 4;
