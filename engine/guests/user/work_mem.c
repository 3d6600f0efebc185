/* Memory: mappings are made, filled, copied, walked in random order and given back; the heap grows and shrinks. */
#include "work.h"

#define BLOCKS 16
#define BLOCK_BYTES (256 * 1024ul)
#define HEAP_BYTES (512 * 1024ul)
#define STEPS 800000

u64 work_mem(u64 size) {
  u64 sum = CHECKSUM_START;
  for (u64 round = 0; round < size; round++) {
    u64 *blocks[BLOCKS];
    for (u64 i = 0; i < BLOCKS; i++) {
      blocks[i] = sys_mmap(BLOCK_BYTES);
      if ((i64)blocks[i] < 0) {
        print("work mem: out of memory\n");
        sys_exit(1);
      }
    }
    /* Every page is dirtied once, then a quarter again by copies. */
    const u64 words = BLOCK_BYTES / 8;
    u64 state = round * 2 + 1;
    for (u64 i = 0; i < BLOCKS; i++)
      for (u64 word = 0; word < words; word += 8) {
        state = state * 6364136223846793005ul + 1442695040888963407ul;
        blocks[i][word] = state;
      }
    for (u64 i = 0; i < BLOCKS / 4; i++) memcpy(blocks[i * 4], blocks[i * 4 + 1], BLOCK_BYTES);
    /* Each step depends on the one before: no two loads at once. */
    u64 at = 0;
    for (u64 step = 0; step < STEPS; step++) {
      u64 value = blocks[at % BLOCKS][at / BLOCKS % (words / 8) * 8];
      at = (at * 5 + value + step) >> 3;
      if (step % 64 == 0) blocks[at % BLOCKS][at / BLOCKS % (words / 8) * 8] ^= step;
    }
    sum = checksum(sum, &at, sizeof at);
    for (u64 i = 0; i < BLOCKS; i++) {
      for (u64 word = 0; word < words; word += 512) sum = checksum(sum, &blocks[i][word], 8);
      sys_munmap(blocks[i]);
    }
    u64 heap = sys_break(0);
    sys_break(heap + HEAP_BYTES);
    for (u64 offset = 0; offset < HEAP_BYTES; offset += 4096) *(u64 *)(heap + offset) = offset ^ round;
    sum = checksum(sum, (void *)(heap + HEAP_BYTES - 4096), 8);
    sys_break(heap);
  }
  return sum;
}
