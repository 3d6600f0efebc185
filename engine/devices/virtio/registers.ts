/** Names and bits of the virtio-mmio transport. Virtio 1.2, section 4.2.2, table 4.1, unless another is named. */

/** Offsets from the window's base, bytes. All are 32 bits wide; R, W or RW as the driver sees them. */
export const MAGIC_VALUE        = 0x000; // R
export const VERSION            = 0x004; // R
export const DEVICE_ID          = 0x008; // R
export const VENDOR_ID          = 0x00c; // R
export const DEVICE_FEATURES    = 0x010; // R
export const DEVICE_FEATURES_SEL = 0x014; // W
export const DRIVER_FEATURES    = 0x020; // W
export const DRIVER_FEATURES_SEL = 0x024; // W
export const QUEUE_SEL          = 0x030; // W
export const QUEUE_NUM_MAX      = 0x034; // R
export const QUEUE_NUM          = 0x038; // W
export const QUEUE_READY        = 0x044; // RW
export const QUEUE_NOTIFY       = 0x050; // W
export const INTERRUPT_STATUS   = 0x060; // R
export const INTERRUPT_ACK      = 0x064; // W
export const STATUS             = 0x070; // RW
export const QUEUE_DESC_LOW     = 0x080; // W
export const QUEUE_DESC_HIGH    = 0x084; // W
export const QUEUE_DRIVER_LOW   = 0x090; // W
export const QUEUE_DRIVER_HIGH  = 0x094; // W
export const QUEUE_DEVICE_LOW   = 0x0a0; // W
export const QUEUE_DEVICE_HIGH  = 0x0a4; // W
export const SHM_SEL            = 0x0ac; // W
export const SHM_LEN_LOW        = 0x0b0; // R
export const SHM_LEN_HIGH       = 0x0b4; // R
export const SHM_BASE_LOW       = 0x0b8; // R
export const SHM_BASE_HIGH      = 0x0bc; // R
export const CONFIG_GENERATION  = 0x0fc; // R
export const CONFIG             = 0x100; // RW, any width

/** "virt", little endian. */
export const MAGIC = 0x74726976;
/** The version of a modern (not legacy) device. */
export const VERSION_MODERN = 2;
/** "CHRV", little endian: the vendor field is ours to choose. */
export const VENDOR = 0x56524843;

// ---- InterruptStatus and InterruptACK ----
export const INTERRUPT_USED_BUFFER = 1 << 0;
export const INTERRUPT_CONFIG_CHANGE = 1 << 1;

// ---- Status: section 2.1 ----
export const STATUS_ACKNOWLEDGE = 1;
export const STATUS_DRIVER = 2;
export const STATUS_DRIVER_OK = 4;
export const STATUS_FEATURES_OK = 8;
export const STATUS_NEEDS_RESET = 64;
export const STATUS_FAILED = 128;
/** What a driver may set; NEEDS_RESET is the device's. */
export const STATUS_DRIVER_BITS =
  STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | STATUS_FEATURES_OK | STATUS_FAILED;

// ---- reserved feature bits: section 6. The first two are in word 0, VERSION_1 (bit 32) is bit 0 of word 1 ----
export const F_INDIRECT_DESC = 1 << 28;
export const F_EVENT_IDX = 1 << 29;
export const F_VERSION_1_WORD1 = 1 << 0;

// ---- split virtqueue: section 2.7 ----
export const DESC_BYTES = 16;
export const DESC_F_NEXT = 1;
export const DESC_F_WRITE = 2;
export const DESC_F_INDIRECT = 4;
export const AVAIL_F_NO_INTERRUPT = 1;

// ---- device types: section 5 ----
export const DEVICE_NET = 1;
export const DEVICE_BLOCK = 2;
export const DEVICE_CONSOLE = 3;
export const DEVICE_ENTROPY = 4;
