/* System calls that do next to nothing: the price of the way in and out. */
#include "work.h"

#define CALLS 100000
#define YIELDS 1000

u64 work_syscall(u64 size) {
  u64 sum = 0;
  i64 pid = sys_getpid();
  for (u64 i = 0; i < size * CALLS; i++) sum += (u64)(sys_getpid() - pid) + i;
  for (u64 i = 0; i < size * YIELDS; i++) sys_yield();
  return checksum(CHECKSUM_START, &sum, sizeof sum);
}
