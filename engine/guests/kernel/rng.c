/* virtio-rng (OASIS virtio 1.1, 5.4). */
#include "devices.h"
#include "virtio.h"

static struct virtio_queue queue;
static bool present;

void rng_attach(struct virtio_device *device) {
  if (present || !virtio_queue_start(device, &queue, 0)) return;
  virtio_driver_ok(device);
  present = true;
  print("rng: irq %u\n", device->irq);
}

i64 rng_read(u8 *bytes, u64 length) {
  if (!present) return ERROR_NO_DEVICE;
  u64 frame = frame_take();
  if (!frame) panic("out of memory for a random request");
  const struct virtio_buffer buffer = {physical(frame), (u32)length, true};
  u32 got = virtio_transfer(&queue, &buffer, 1);
  if (got > length) got = (u32)length;
  memcpy(bytes, physical(frame), got);
  frame_drop(frame);
  return got;
}
