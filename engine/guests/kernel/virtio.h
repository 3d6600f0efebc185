/* virtio 1.x over MMIO, version 2 of the register layout (OASIS virtio 1.1, 4.2), with one request in flight a queue. */
#ifndef VIRTIO_H
#define VIRTIO_H
#include "../lib/types.h"

#define VIRTIO_BLOCK 2
#define VIRTIO_CONSOLE 3
#define VIRTIO_RNG 4
#define QUEUE_SIZE 8

struct virtio_buffer {
  void *bytes; /* kernel memory */
  u32 length;
  bool device_writes;
};

struct virtio_queue {
  struct virtio_device *device;
  u32 index;
  struct virtq_desc *descriptors;
  volatile struct virtq_avail *available;
  volatile struct virtq_used *used;
  u16 used_seen;
  bool busy;
};

struct virtio_device {
  volatile u8 *registers;
  u32 id;
  u8 irq;
};

u32 virtio_read(struct virtio_device *device, u32 offset);
void virtio_write(struct virtio_device *device, u32 offset, u32 value);
u32 virtio_config(struct virtio_device *device, u32 offset);

bool virtio_queue_start(struct virtio_device *device, struct virtio_queue *queue, u32 index);
/* Begins to use the device; after its queues. */
void virtio_driver_ok(struct virtio_device *device);

/* Sends one chain and sleeps until it is used; the number of bytes the device wrote. Others wait for their turn. */
u32 virtio_transfer(struct virtio_queue *queue, const struct virtio_buffer *buffers, u32 count);
/* The same without sleeping: polls, for use where nobody can sleep. */
u32 virtio_transfer_polled(struct virtio_queue *queue, const struct virtio_buffer *buffers, u32 count);

void disk_attach(struct virtio_device *device);
void rng_attach(struct virtio_device *device);
void hvc_attach(struct virtio_device *device);
#endif
