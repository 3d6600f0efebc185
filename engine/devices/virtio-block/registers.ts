/** The block device: virtio 1.2, section 5.2. */

/** The unit of sectors and of capacity, bytes, whatever blk_size says (5.2.4). */
export const SECTOR_BYTES = 512;

/** Feature bits (5.2.3). */
export const F_SEG_MAX = 2;
export const F_READ_ONLY = 5;
export const F_BLOCK_SIZE = 6;
export const F_FLUSH = 9;
export const F_DISCARD = 13;
export const F_WRITE_ZEROES = 14;

/** Request types (5.2.6). */
export const REQUEST_IN = 0;
export const REQUEST_OUT = 1;
export const REQUEST_FLUSH = 4;
export const REQUEST_GET_ID = 8;
export const REQUEST_DISCARD = 11;
export const REQUEST_WRITE_ZEROES = 13;

/** Request status (5.2.6). */
export const STATUS_OK = 0;
export const STATUS_IO_ERROR = 1;
export const STATUS_UNSUPPORTED = 2;

/** Request header, bytes: u32 type, u32 reserved, u64 sector. */
export const HEADER_BYTES = 16;
/** GET_ID's answer, bytes: text, padded with zeros. */
export const ID_BYTES = 20;
/** One range of DISCARD and WRITE_ZEROES, bytes: u64 sector, u32 sectors, u32 flags (bit 0 unmap). */
export const RANGE_BYTES = 16;

/** Configuration space (5.2.4), bytes. */
export const CONFIG_CAPACITY = 0;                  // u64, sectors
export const CONFIG_SEG_MAX = 12;                  // u32
export const CONFIG_BLOCK_SIZE = 20;               // u32
export const CONFIG_MAX_DISCARD_SECTORS = 36;      // u32
export const CONFIG_MAX_DISCARD_RANGES = 40;       // u32
export const CONFIG_DISCARD_ALIGNMENT = 44;        // u32, sectors
export const CONFIG_MAX_WRITE_ZEROES_SECTORS = 48; // u32
export const CONFIG_MAX_WRITE_ZEROES_RANGES = 52;  // u32
export const CONFIG_WRITE_ZEROES_MAY_UNMAP = 56;   // u8
export const CONFIG_BYTES = 60;
