/* virtio-console output (OASIS virtio 1.1, 5.3): with `console=hvc0` on the command line, a copy of all that goes to the UART. */
#include "bootinfo.h"
#include "cpu.h"
#include "devices.h"
#include "virtio.h"

#define TRANSMIT_QUEUE 1

static struct virtio_queue queue;
static u8 *buffer;

void hvc_attach(struct virtio_device *device) {
  char option[16];
  bool wanted = false;
  for (u64 i = 0; boot_option("console", i, option, sizeof option); i++)
    if (strcmp(option, "hvc0") == 0) wanted = true;
  if (buffer || !wanted || !virtio_queue_start(device, &queue, TRANSMIT_QUEUE)) return;
  virtio_driver_ok(device);
  u64 frame = frame_take();
  if (!frame) panic("out of memory for the console");
  buffer = physical(frame);
  print("console: hvc0 too\n");
}

bool hvc_ready(void) { return buffer; }

void hvc_write(const char *bytes, u64 length) {
  u64 flags = interrupts_save(); /* echo comes from an interrupt, and there is one buffer */
  memcpy(buffer, bytes, length);
  const struct virtio_buffer chain = {buffer, (u32)length, false};
  virtio_transfer_polled(&queue, &chain, 1);
  interrupts_restore(flags);
}
