/* A 16550 at 0x3f8: output waits for the FIFO, input comes by interrupt. */
#include "cpu.h"
#include "devices.h"
#include "trap.h"

#define UART 0x3f8
#define DATA (UART + 0)
#define INTERRUPT_ENABLE (UART + 1)
#define FIFO_CONTROL (UART + 2)
#define LINE_CONTROL (UART + 3)
#define MODEM_CONTROL (UART + 4)
#define LINE_STATUS (UART + 5)
#define STATUS_RECEIVED 0x01
#define STATUS_FIFO_EMPTY 0x20
#define FIFO_BYTES 16

static void (*receiver)(char byte);

void uart_start(void) {
  out8(INTERRUPT_ENABLE, 0);
  out8(LINE_CONTROL, 0x80); /* divisor latch: 115200 baud */
  out8(DATA, 1);
  out8(INTERRUPT_ENABLE, 0);
  out8(LINE_CONTROL, 0x03); /* 8N1 */
  out8(FIFO_CONTROL, 0x07); /* on, cleared, interrupt from the first byte */
  out8(MODEM_CONTROL, 0x0b); /* DTR, RTS, OUT2: on a PC, OUT2 lets the interrupt through */
}

void uart_write(const char *bytes, u64 length) {
  for (u64 i = 0; i < length; i++) {
    if (i % FIFO_BYTES == 0)
      while (!(in8(LINE_STATUS) & STATUS_FIFO_EMPTY)) {
      }
    out8(DATA, (u8)bytes[i]);
  }
}

static void receive(void) {
  while (in8(LINE_STATUS) & STATUS_RECEIVED) receiver((char)in8(DATA));
}

void uart_listen(void (*receive_byte)(char byte)) {
  receiver = receive_byte;
  irq_handle(IRQ_UART, receive);
  out8(INTERRUPT_ENABLE, 0x01);
}
