/** Ports and bits of the 8259A pair. Source: Intel 8259A datasheet (231468); ELCR: Intel 82371AB (PIIX4) datasheet, 4.2.7. */

export const PORT_MASTER_COMMAND = 0x20;
export const PORT_MASTER_DATA = 0x21;
export const PORT_SLAVE_COMMAND = 0xa0;
export const PORT_SLAVE_DATA = 0xa1;
export const PORT_ELCR_MASTER = 0x4d0;
export const PORT_ELCR_SLAVE = 0x4d1;

/** The master's input that the slave's INT drives. */
export const CASCADE_IRQ = 2;
/** The input whose vector is given when no request is left at the acknowledge cycle. */
export const SPURIOUS_IRQ = 7;

// command port: ICW1 has bit 4, OCW3 has bit 3 and not bit 4, OCW2 has neither
export const ICW1 = 0x10;
export const ICW1_NEEDS_ICW4 = 0x01;
export const ICW1_SINGLE = 0x02;
export const ICW1_LEVEL = 0x08;
export const ICW2_BASE = 0xf8;
export const ICW4_AUTO_EOI = 0x02;
export const ICW4_SPECIAL_FULLY_NESTED = 0x10;

export const OCW3 = 0x08;
export const OCW3_READ_ISR = 0x01;
export const OCW3_READ_ENABLE = 0x02;
export const OCW3_POLL = 0x04;
export const OCW3_SPECIAL_MASK = 0x20;
export const OCW3_SPECIAL_MASK_ENABLE = 0x40;

// OCW2, bits 7:5
export const OCW2_ROTATE_AUTO_EOI_CLEAR = 0;
export const OCW2_EOI = 1;
export const OCW2_SPECIFIC_EOI = 3;
export const OCW2_ROTATE_AUTO_EOI_SET = 4;
export const OCW2_ROTATE_EOI = 5;
export const OCW2_SET_PRIORITY = 6;
export const OCW2_ROTATE_SPECIFIC_EOI = 7;

/** Poll word: bit 7 says that a request was there. */
export const POLL_INTERRUPT = 0x80;

/** Inputs that may be level-triggered: not 0, 1, 2, 8 and 13. */
export const ELCR_MASK_MASTER = 0xf8;
export const ELCR_MASK_SLAVE = 0xde;

// what the data port expects next
export const EXPECT_OCW1 = 0;
export const EXPECT_ICW2 = 1;
export const EXPECT_ICW3 = 2;
export const EXPECT_ICW4 = 3;
