/* The disk: a ring of requests to the driver domain, one in flight. The interface of virtio.c and disk.c. */
#include "../cpu.h"
#include "../devices.h"
#include "../trap.h"

static volatile u8 *ring;
static u32 port;
static u32 produced, seen;
static bool busy;

static u32 answered(void) { return *(volatile u32 *)(ring + BLOCK_RSP_PROD); }

static void answer(void) { wake_up(&ring); }

void virtio_start(void) {
  u64 frame = start_info(START_BLOCK);
  if (!frame) return;
  ring = physical(frame * PAGE_BYTES);
  event_bind(EVTCHNOP_bind_interdomain, PV_PORT_BLOCK, answer, &port);
  print("disk: %lu sectors, port %u\n", disk_sectors(), port);
}

u64 disk_sectors(void) { return start_info(START_SECTORS); }

static i64 transfer(u64 sector, u64 count, u64 frame, bool write) {
  interrupts_off();
  while (busy) sleep_on(&busy);
  busy = true;
  volatile u8 *entry = ring + BLOCK_RING + produced % BLOCK_ENTRIES * BLOCK_ENTRY_BYTES;
  entry[BLOCK_OPERATION] = write ? BLOCK_WRITE : BLOCK_READ;
  entry[BLOCK_SEGMENTS] = 1;
  *(volatile u64 *)(entry + BLOCK_ID) = produced;
  *(volatile u64 *)(entry + BLOCK_SECTOR) = sector;
  *(volatile u32 *)(entry + BLOCK_SEGMENT) = (u32)(frame / PAGE_BYTES);
  entry[BLOCK_SEGMENT + 4] = 0;
  entry[BLOCK_SEGMENT + 5] = (u8)(count - 1);
  *(volatile u32 *)(ring + BLOCK_REQ_PROD) = ++produced;
  event_send(port);
  while (answered() == seen) sleep_on(&ring);
  volatile u8 *response = ring + BLOCK_RING + seen++ % BLOCK_ENTRIES * BLOCK_ENTRY_BYTES;
  i64 status = *(volatile short *)(response + BLOCK_RSP_STATUS);
  busy = false;
  wake_up(&busy);
  interrupts_on();
  return status == BLOCK_OKAY ? 0 : ERROR_IO;
}

i64 disk_transfer(u64 sector, u64 count, void *buffer, bool write) {
  u64 length = count * DISK_SECTOR_BYTES;
  u64 frame = frame_take();
  if (!frame) panic("out of memory for a disk request");
  if (write) memcpy(physical(frame), buffer, length);
  i64 result = transfer(sector, count, frame, write);
  if (!result && !write) memcpy(buffer, physical(frame), length);
  frame_drop(frame);
  return result;
}

/* There is no entropy device. */
i64 rng_read(u8 *bytes, u64 length) {
  (void)bytes;
  (void)length;
  return ERROR_NO_DEVICE;
}
