/* The console ring, with the interface of uart.c. */
#include "../cpu.h"
#include "../devices.h"
#include "../trap.h"

static volatile u8 *ring;
static u32 port;
static void (*receiver)(char byte);

static volatile u32 *counter(u64 offset) { return (volatile u32 *)(ring + offset); }

static void receive(void) {
  u32 consumed = *counter(CONSOLE_IN_CONS);
  while (consumed != *counter(CONSOLE_IN_PROD)) {
    char byte = (char)ring[CONSOLE_IN + consumed++ % CONSOLE_IN_BYTES];
    *counter(CONSOLE_IN_CONS) = consumed;
    if (receiver) receiver(byte);
  }
}

/* The first thing that the kernel starts. */
void uart_start(void) {
  pv_shared = physical(start_info(START_SHARED_INFO) * PAGE_BYTES);
  ring = physical(start_info(START_CONSOLE) * PAGE_BYTES);
  event_bind(EVTCHNOP_bind_interdomain, PV_PORT_CONSOLE, receive, &port);
}

void uart_write(const char *bytes, u64 length) {
  u64 flags = interrupts_save(); /* echo comes from an event */
  for (u64 i = 0; i < length; i++) {
    u32 produced = *counter(CONSOLE_OUT_PROD);
    while (produced - *counter(CONSOLE_OUT_CONS) >= CONSOLE_OUT_BYTES) event_send(port);
    ring[CONSOLE_OUT + produced % CONSOLE_OUT_BYTES] = (u8)bytes[i];
    *counter(CONSOLE_OUT_PROD) = produced + 1;
  }
  event_send(port);
  interrupts_restore(flags);
}

void uart_listen(void (*receive_byte)(char byte)) { receiver = receive_byte; }

/* No copy of the console elsewhere. */
bool hvc_ready(void) { return false; }
void hvc_write(const char *bytes, u64 length) {
  (void)bytes;
  (void)length;
}
