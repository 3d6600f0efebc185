/* The devices, one file each. */
#ifndef DEVICES_H
#define DEVICES_H
#include "process.h"

/* pic.c: two 8259A */
void pic_start(void);
void pic_unmask(u8 irq);
bool pic_is_spurious(u8 irq);
void pic_end(u8 irq);

/* lapic.c: only so much that the 8259s' interrupts get through */
void lapic_start(void);

/* pit.c: 8254 channel 0, the tick */
void pit_start(void);

/* uart.c: 16550 at 0x3f8 */
#define IRQ_UART 4
void uart_start(void);
void uart_write(const char *bytes, u64 length);
void uart_listen(void (*receive)(char byte));

/* tty.c: lines in and out of the console */
void tty_start(void);
void tty_output(const char *bytes, u64 length);
i64 tty_write(const char *bytes, u64 length, struct meter *meter);
i64 tty_read(char *buffer, u64 length);

/* virtio-mmio: virtio.c finds the devices; disk.c, rng.c and hvc.c drive them */
void virtio_start(void);
u64 disk_sectors(void);
i64 disk_transfer(u64 sector, u64 count, void *buffer, bool write);
i64 rng_read(u8 *bytes, u64 length);
bool hvc_ready(void);
void hvc_write(const char *bytes, u64 length);
#endif
