/* virtio-blk (OASIS virtio 1.1, 5.2). */
#include "devices.h"
#include "virtio.h"

#define REQUEST_READ 0
#define REQUEST_WRITE 1
#define STATUS_OK 0

static struct virtio_queue queue;
static u64 sectors;

/* What a request needs in physical memory, one page; `status` is written by the device. */
struct request {
  u32 type, reserved;
  u64 sector;
  u8 status;
};

void disk_attach(struct virtio_device *device) {
  if (sectors || !virtio_queue_start(device, &queue, 0)) return;
  sectors = (u64)virtio_config(device, 4) << 32 | virtio_config(device, 0);
  virtio_driver_ok(device);
  print("disk: %lu sectors, irq %u\n", sectors, device->irq);
}

u64 disk_sectors(void) { return sectors; }

i64 disk_transfer(u64 sector, u64 count, void *buffer, bool write) {
  u32 length = (u32)(count * DISK_SECTOR_BYTES);
  u64 request_frame = frame_take();
  u64 data_frame = frame_take();
  if (!request_frame || !data_frame) panic("out of memory for a disk request");
  struct request *request = physical(request_frame);
  void *data = physical(data_frame);
  request->type = write ? REQUEST_WRITE : REQUEST_READ;
  request->sector = sector;
  request->status = 0xff;
  if (write) memcpy(data, buffer, length);
  const struct virtio_buffer buffers[] = {
      {request, 16, false},
      {data, length, !write},
      {&request->status, 1, true},
  };
  virtio_transfer(&queue, buffers, 3);
  bool ok = *(volatile u8 *)&request->status == STATUS_OK;
  if (ok && !write) memcpy(buffer, data, length);
  frame_drop(request_frame);
  frame_drop(data_frame);
  return ok ? 0 : ERROR_IO;
}
