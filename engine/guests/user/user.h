/* What every program uses: system calls by name, printing. */
#ifndef USER_H
#define USER_H
#include "../abi.h"
#include "../lib/string.h"
#include "../lib/types.h"

static inline i64 syscall3(i64 number, u64 a, u64 b, u64 c) {
  i64 result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}
static inline i64 sys_read(char *buffer, u64 length) { return syscall3(SYS_READ, 0, (u64)buffer, length); }
static inline i64 sys_write(const char *buffer, u64 length) { return syscall3(SYS_WRITE, 1, (u64)buffer, length); }
static inline void *sys_mmap(u64 length) { return (void *)syscall3(SYS_MMAP, length, 0, 0); }
static inline i64 sys_munmap(void *start) { return syscall3(SYS_MUNMAP, (u64)start, 0, 0); }
static inline u64 sys_break(u64 end) { return (u64)syscall3(SYS_BRK, end, 0, 0); }
static inline void sys_yield(void) { syscall3(SYS_YIELD, 0, 0, 0); }
static inline i64 sys_sleep(u64 milliseconds) { return syscall3(SYS_SLEEP, milliseconds, 0, 0); }
static inline i64 sys_alarm(u64 ticks) { return syscall3(SYS_ALARM, ticks, 0, 0); }
static inline i64 sys_getpid(void) { return syscall3(SYS_GETPID, 0, 0, 0); }
static inline i64 sys_fork(void) { return syscall3(SYS_FORK, 0, 0, 0); }
static inline i64 sys_exec(const char *name, const char *arguments) {
  return syscall3(SYS_EXEC, (u64)name, (u64)arguments, 0);
}
static inline void __attribute__((noreturn)) sys_exit(int status) {
  syscall3(SYS_EXIT, (u64)status, 0, 0);
  __builtin_unreachable();
}
static inline i64 sys_wait(int *status) { return syscall3(SYS_WAIT, (u64)status, 0, 0); }
static inline i64 sys_gettime(void) { return syscall3(SYS_GETTIME, 0, 0, 0); }
static inline i64 sys_getrandom(void *buffer, u64 length) { return syscall3(SYS_GETRANDOM, (u64)buffer, length, 0); }
static inline i64 sys_mark(const char *name) { return syscall3(SYS_MARK, (u64)name, 0, 0); }
static inline void sys_poweroff(int code) { syscall3(SYS_POWEROFF, (u64)code, 0, 0); }
static inline void sys_panic(u64 kind) { syscall3(SYS_PANIC, kind, 0, 0); }
static inline i64 sys_processes(struct process_info *list, u64 count) {
  return syscall3(SYS_PROCESSES, (u64)list, count, 0);
}
static inline u64 sys_disk_size(void) { return (u64)syscall3(SYS_DISK_SIZE, 0, 0, 0); }
static inline i64 sys_disk_read(u64 sector, u64 count, void *buffer) {
  return syscall3(SYS_DISK_READ, sector, count, (u64)buffer);
}
static inline i64 sys_disk_write(u64 sector, u64 count, const void *buffer) {
  return syscall3(SYS_DISK_WRITE, sector, count, (u64)buffer);
}

/* One write for each call. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Splits off the next word of *text, in place; empty at the end. */
char *next_word(char **text);

/* FNV-1a, 64 bits: the checksums of this folder. */
#define CHECKSUM_START 0xcbf29ce484222325ul
u64 checksum(u64 sum, const void *bytes, u64 length);
#endif
