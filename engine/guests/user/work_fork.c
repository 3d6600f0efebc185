/* Processes: children that write to memory shared with their parent, children that become another program, and now and then
 * one that sets an alarm and is done before it rings. */
#include "work.h"

#define CHILDREN 96
#define PAGES 8
#define ALARM_TICKS 100000

static u8 shared[PAGES * 4096];

static int __attribute__((noreturn)) child(u64 number) {
  if (number % 4 == 1) {
    sys_exec("true", number % 8 == 1 ? "17" : "0x23");
    sys_exit(99);
  }
  if (number % 64 == 63) sys_alarm(ALARM_TICKS);
  for (u64 page = 0; page < PAGES; page++) shared[page * 4096] ^= (u8)(number * page);
  sys_exit((int)(checksum(CHECKSUM_START, shared, sizeof shared / PAGES) & 0xffff));
}

u64 work_fork(u64 size) {
  u64 sum = CHECKSUM_START;
  for (u64 page = 0; page < PAGES; page++) shared[page * 4096] = (u8)page;
  for (u64 i = 0; i < size * CHILDREN; i++) {
    i64 pid = sys_fork();
    if (pid == 0) child(i);
    int status = -1;
    if (sys_wait(&status) != pid) print("work fork: a child is missing\n");
    sum = checksum(sum, &status, sizeof status);
    shared[i % PAGES * 4096 + 1]++;
  }
  return checksum(sum, shared, sizeof shared);
}
