/* Does what a program must not; the kernel ends it and goes on. */
#include "user.h"

static volatile u64 zero;

static u64 __attribute__((noinline)) overflow(u64 depth) {
  volatile u8 room[1024];
  room[0] = (u8)depth;
  return depth == zero - 1 ? 0 : overflow(depth + 1) + room[0]; /* 2^64 deep: never */
}

int main(char *arguments) {
  const char *kind = next_word(&arguments);
  static const u8 code[] = {0xc3};
  if (strcmp(kind, "null") == 0) return (int)*(volatile u64 *)zero;
  if (strcmp(kind, "text") == 0) *(volatile u8 *)0x400000 = 0;
  if (strcmp(kind, "nx") == 0) {
    u8 buffer[16];
    memcpy(buffer, code, sizeof code);
    ((void (*)(void))(u64)buffer)();
  }
  if (strcmp(kind, "div") == 0) return (int)(1000 / zero);
  if (strcmp(kind, "ud") == 0) __asm__ volatile("ud2");
  if (strcmp(kind, "gp") == 0) __asm__ volatile("hlt");
  if (strcmp(kind, "kernel") == 0) return (int)*(volatile u64 *)0xffffffff80100000;
  if (strcmp(kind, "stack") == 0) return (int)overflow(0);
  if (strcmp(kind, "alarm") == 0) {
    sys_alarm(2);
    while (!zero) {
    }
  }
  print("crash null|text|nx|div|ud|gp|kernel|stack|alarm\n");
  return 1;
}
