/* Several processes compute at once, in integers, SSE and x87: what one leaves in a register must not reach another. */
#include "work.h"

#define CHILDREN 3

u64 work_parallel(u64 size) {
  i64 pids[CHILDREN];
  for (u64 i = 0; i < CHILDREN; i++) {
    pids[i] = sys_fork();
    if (pids[i] == 0) {
      sys_sleep(4 * i);
      sys_exit((int)((work_cpu(size) + i) & 0x7fffffff));
    }
  }
  /* They end in any order; the sum is in the order of their making. */
  int statuses[CHILDREN] = {0};
  for (u64 ended = 0; ended < CHILDREN; ended++) {
    int status;
    i64 pid = sys_wait(&status);
    for (u64 i = 0; i < CHILDREN; i++)
      if (pids[i] == pid) statuses[i] = status;
  }
  return checksum(CHECKSUM_START, statuses, sizeof statuses);
}
