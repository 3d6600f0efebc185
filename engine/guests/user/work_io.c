/* Input and output: lines and one large block to the console; the end of the disk, where there is one, is written and read. */
#include "work.h"

#define LINES 40
#define BLOCK_BYTES 2400
#define DISK_SECTORS 64

static u64 console(u64 sum, u64 round) {
  static char text[BLOCK_BYTES];
  for (u64 line = 0; line < LINES; line++) {
    u64 length = 8 + (line * 13 + round * 5) % 64;
    for (u64 i = 0; i < length; i++) text[i] = (char)('a' + (line + i) % 26);
    text[length - 1] = '\n';
    sys_write(text, length);
    sum = checksum(sum, text, length);
  }
  for (u64 i = 0; i < BLOCK_BYTES; i++) text[i] = i % 80 == 79 ? '\n' : (char)('0' + (i + round) % 10);
  sys_write(text, BLOCK_BYTES);
  return checksum(sum, text, BLOCK_BYTES);
}

static void disk(u64 size) {
  u64 sectors = sys_disk_size();
  if (sectors < DISK_SECTORS) return;
  static u8 data[DISK_SECTORS_MAX * DISK_SECTOR_BYTES];
  u64 sum = CHECKSUM_START;
  u64 first = sectors - DISK_SECTORS;
  for (u64 round = 0; round < size; round++) {
    for (u64 sector = 0; sector < DISK_SECTORS; sector += DISK_SECTORS_MAX) {
      for (u64 i = 0; i < sizeof data; i++) data[i] = (u8)(sector + round + i * 3 + i / 512);
      if (sys_disk_write(first + sector, DISK_SECTORS_MAX, data) < 0) print("work io: disk write failed\n");
    }
    for (u64 sector = 0; sector < DISK_SECTORS; sector += 3) {
      u64 count = DISK_SECTORS - sector < 3 ? DISK_SECTORS - sector : 3;
      if (sys_disk_read(first + sector, count, data) < 0) print("work io: disk read failed\n");
      sum = checksum(sum, data, count * DISK_SECTOR_BYTES);
    }
  }
  print("work io disk: %016lx\n", sum);
}

u64 work_io(u64 size) {
  u64 sum = CHECKSUM_START;
  for (u64 round = 0; round < size; round++) sum = console(sum, round);
  disk(size);
  return sum;
}
