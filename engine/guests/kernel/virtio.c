/* virtio-mmio: finding devices, the handshake, and split queues (OASIS virtio 1.1, 2.6, 3.1.1 and 4.2).
 *
 * Devices are where the command line says, in Linux's words: virtio_mmio.device=<size>@<base>:<irq>. */
#include "virtio.h"
#include "bootinfo.h"
#include "cpu.h"
#include "devices.h"
#include "trap.h"

#define DEVICES_MAX 8
#define MAGIC 0x74726976 /* "virt" */

#define REG_MAGIC 0x000
#define REG_VERSION 0x004
#define REG_DEVICE_ID 0x008
#define REG_DEVICE_FEATURES 0x010
#define REG_DEVICE_FEATURES_SEL 0x014
#define REG_DRIVER_FEATURES 0x020
#define REG_DRIVER_FEATURES_SEL 0x024
#define REG_QUEUE_SEL 0x030
#define REG_QUEUE_NUM_MAX 0x034
#define REG_QUEUE_NUM 0x038
#define REG_QUEUE_READY 0x044
#define REG_QUEUE_NOTIFY 0x050
#define REG_INTERRUPT_STATUS 0x060
#define REG_INTERRUPT_ACK 0x064
#define REG_STATUS 0x070
#define REG_QUEUE_DESC 0x080
#define REG_QUEUE_DRIVER 0x090
#define REG_QUEUE_DEVICE 0x0a0
#define REG_CONFIG 0x100

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8
#define STATUS_FAILED 128
#define FEATURE_VERSION_1_HIGH 1 /* bit 32 */

#define DESC_NEXT 1
#define DESC_WRITE 2

struct virtq_desc {
  u64 address;
  u32 length;
  u16 flags, next;
};

struct virtq_avail {
  u16 flags, index, ring[QUEUE_SIZE];
};

struct virtq_used {
  u16 flags, index;
  struct {
    u32 id, length;
  } ring[QUEUE_SIZE];
};

static struct virtio_device devices[DEVICES_MAX];
static u32 device_count;

u32 virtio_read(struct virtio_device *device, u32 offset) { return *(volatile u32 *)(device->registers + offset); }
void virtio_write(struct virtio_device *device, u32 offset, u32 value) {
  *(volatile u32 *)(device->registers + offset) = value;
}
u32 virtio_config(struct virtio_device *device, u32 offset) { return virtio_read(device, REG_CONFIG + offset); }

static void add_status(struct virtio_device *device, u32 bits) {
  virtio_write(device, REG_STATUS, virtio_read(device, REG_STATUS) | bits);
}

static void write_address(struct virtio_device *device, u32 offset, u64 paddr) {
  virtio_write(device, offset, (u32)paddr);
  virtio_write(device, offset + 4, (u32)(paddr >> 32));
}

bool virtio_queue_start(struct virtio_device *device, struct virtio_queue *queue, u32 index) {
  virtio_write(device, REG_QUEUE_SEL, index);
  if (virtio_read(device, REG_QUEUE_NUM_MAX) < QUEUE_SIZE) return false;
  u64 frame = frame_take();
  if (!frame) return false;
  u8 *page = physical(frame);
  queue->device = device;
  queue->index = index;
  queue->descriptors = (struct virtq_desc *)page;
  queue->available = (volatile struct virtq_avail *)(page + 1024);
  queue->used = (volatile struct virtq_used *)(page + 2048);
  virtio_write(device, REG_QUEUE_NUM, QUEUE_SIZE);
  write_address(device, REG_QUEUE_DESC, frame);
  write_address(device, REG_QUEUE_DRIVER, frame + 1024);
  write_address(device, REG_QUEUE_DEVICE, frame + 2048);
  virtio_write(device, REG_QUEUE_READY, 1);
  return true;
}

void virtio_driver_ok(struct virtio_device *device) { add_status(device, STATUS_DRIVER_OK); }

static void submit(struct virtio_queue *queue, const struct virtio_buffer *buffers, u32 count) {
  for (u32 i = 0; i < count; i++) {
    struct virtq_desc *descriptor = &queue->descriptors[i];
    descriptor->address = paddr_of(buffers[i].bytes);
    descriptor->length = buffers[i].length;
    descriptor->flags = (u16)((i + 1 < count ? DESC_NEXT : 0) | (buffers[i].device_writes ? DESC_WRITE : 0));
    descriptor->next = (u16)(i + 1);
  }
  queue->available->ring[queue->available->index % QUEUE_SIZE] = 0;
  __asm__ volatile("mfence" : : : "memory"); /* the device must not see the index before the chain */
  queue->available->index++;
  __asm__ volatile("mfence" : : : "memory");
  virtio_write(queue->device, REG_QUEUE_NOTIFY, queue->index);
}

static u32 finish(struct virtio_queue *queue) {
  u32 length = queue->used->ring[queue->used_seen % QUEUE_SIZE].length;
  queue->used_seen++;
  return length;
}

u32 virtio_transfer(struct virtio_queue *queue, const struct virtio_buffer *buffers, u32 count) {
  interrupts_off();
  while (queue->busy) sleep_on(&queue->busy);
  queue->busy = true;
  submit(queue, buffers, count);
  while (queue->used->index == queue->used_seen) sleep_on(queue->device);
  u32 length = finish(queue);
  queue->busy = false;
  wake_up(&queue->busy);
  interrupts_on();
  return length;
}

u32 virtio_transfer_polled(struct virtio_queue *queue, const struct virtio_buffer *buffers, u32 count) {
  u64 flags = interrupts_save();
  submit(queue, buffers, count);
  while (queue->used->index == queue->used_seen) __asm__ volatile("pause");
  u32 length = finish(queue);
  interrupts_restore(flags);
  return length;
}

/* The 8259 sees edges and the device's line is a level: it must be low again before this ends. */
static void interrupt(void) {
  for (u32 i = 0; i < device_count; i++) {
    u32 status;
    while ((status = virtio_read(&devices[i], REG_INTERRUPT_STATUS)) != 0) {
      virtio_write(&devices[i], REG_INTERRUPT_ACK, status);
      wake_up(&devices[i]);
    }
  }
}

static void attach(struct virtio_device *device) {
  void (*driver)(struct virtio_device *) = NULL;
  if (device->id == VIRTIO_BLOCK) driver = disk_attach;
  if (device->id == VIRTIO_RNG) driver = rng_attach;
  if (device->id == VIRTIO_CONSOLE) driver = hvc_attach;
  if (!driver) return; /* nobody here knows it: leave it as it is */

  virtio_write(device, REG_STATUS, 0);
  add_status(device, STATUS_ACKNOWLEDGE);
  add_status(device, STATUS_DRIVER);
  virtio_write(device, REG_DEVICE_FEATURES_SEL, 1);
  u32 offered = virtio_read(device, REG_DEVICE_FEATURES);
  virtio_write(device, REG_DRIVER_FEATURES_SEL, 0);
  virtio_write(device, REG_DRIVER_FEATURES, 0);
  virtio_write(device, REG_DRIVER_FEATURES_SEL, 1);
  virtio_write(device, REG_DRIVER_FEATURES, offered & FEATURE_VERSION_1_HIGH);
  add_status(device, STATUS_FEATURES_OK);
  if (!(offered & FEATURE_VERSION_1_HIGH) || !(virtio_read(device, REG_STATUS) & STATUS_FEATURES_OK)) {
    add_status(device, STATUS_FAILED);
    print("virtio: device %u refuses version 1\n", device->id);
    return;
  }
  irq_handle(device->irq, interrupt);
  driver(device);
}

static void probe(u64 base, u64 irq) {
  if (device_count == DEVICES_MAX || irq == 0 || irq > 15 || irq == 2) {
    print("virtio: the device at %lx is left out: %s\n", base, device_count == DEVICES_MAX ? "too many" : "no such IRQ line");
    return;
  }
  struct virtio_device *device = &devices[device_count];
  device->registers = mmu_map_device(base);
  if (virtio_read(device, REG_MAGIC) != MAGIC) return;
  device->id = virtio_read(device, REG_DEVICE_ID);
  device->irq = (u8)irq;
  if (device->id == 0) return; /* an empty place */
  u32 version = virtio_read(device, REG_VERSION);
  if (version != 2) {
    print("virtio: device %u at %lx has register layout %u, not 2\n", device->id, base, version);
    return;
  }
  device_count++;
  attach(device);
}

void virtio_start(void) {
  char option[64];
  for (u64 i = 0; boot_option("virtio_mmio.device", i, option, sizeof option); i++) {
    const char *rest = option;
    while (*rest && *rest != '@') rest++; /* a window is a page or less: the size says nothing new */
    if (*rest != '@') continue;
    u64 base = parse_number(rest + 1, &rest);
    if (*rest != ':') continue;
    probe(base, parse_number(rest + 1, NULL));
  }
}
