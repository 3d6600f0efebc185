/* System calls: arguments are checked here, the work is done elsewhere. The list is abi.h. */
#include "accounting.h"
#include "cpu.h"
#include "devices.h"
#include "process.h"
#include "trap.h"

/* A string argument, in the kernel's own memory; false when it is not readable. */
static bool fetch_text(char *to, u64 size, u64 from) {
  for (u64 i = 0; i < size; i++) {
    if (!space_allows(current->space, (const void *)(from + i), 1, false)) return false;
    to[i] = *(const char *)(from + i);
    if (!to[i]) return true;
  }
  to[size - 1] = 0;
  return true;
}

static bool may_read(u64 pointer, u64 length) { return space_allows(current->space, (const void *)pointer, length, false); }
static bool may_write(u64 pointer, u64 length) { return space_allows(current->space, (const void *)pointer, length, true); }

static i64 call_read(u64 buffer, u64 length) {
  if (!may_write(buffer, length)) return ERROR_FAULT;
  return tty_read((char *)buffer, length);
}

static i64 call_write(u64 buffer, u64 length) {
  if (!may_read(buffer, length)) return ERROR_FAULT;
  return tty_write((const char *)buffer, length, current->meter);
}

static i64 call_mmap(u64 length) {
  struct space *space = current->space;
  length = page_up(length);
  if (!length || length > USER_STACK_TOP - USER_STACK_BYTES - space->mapping_next) return ERROR_NO_MEMORY;
  u64 start = space->mapping_next;
  space->mapping_next += length + PAGE_BYTES; /* a page between two mappings, where an overrun faults */
  space_add(space, start, start + length, REGION_WRITE | REGION_MAPPING);
  return (i64)start;
}

static i64 call_exec(struct trap_frame *frame) {
  char name[NAME_MAX];
  char arguments[ARGUMENTS_MAX];
  if (!fetch_text(name, sizeof name, frame->rdi) || !fetch_text(arguments, sizeof arguments, frame->rsi)) return ERROR_FAULT;
  return process_exec(frame, name, arguments);
}

static i64 call_wait(u64 status_pointer) {
  if (!may_write(status_pointer, sizeof(int))) return ERROR_FAULT;
  int status = 0;
  int pid = process_wait(&status);
  if (pid > 0) *(int *)status_pointer = status;
  return pid;
}

static i64 call_mark(u64 name) {
  char text[64];
  if (!fetch_text(text, sizeof text, name)) return ERROR_FAULT;
  mark(text);
  return 0;
}

static i64 call_panic(u64 kind) {
  if (kind == PANIC_NULL) *(volatile u64 *)0;
  /* A push on a stack that is not mapped: #PF, and as that cannot be pushed either, #DF. */
  if (kind == PANIC_STACK) __asm__ volatile("movq %0, %%rsp\n\tpushq %%rax" : : "r"(DEVICE_MAP_BASE + (1ul << 29)));
  panic("asked for by process %u", current->pid);
}

static i64 call_random(u64 buffer, u64 length) {
  u8 bytes[64];
  if (length > sizeof bytes) length = sizeof bytes;
  if (!may_write(buffer, length)) return ERROR_FAULT;
  i64 got = rng_read(bytes, length);
  if (got > 0) memcpy((void *)buffer, bytes, (u64)got);
  return got;
}

static i64 call_disk(u64 sector, u64 count, u64 buffer, bool write) {
  if (count == 0 || count > DISK_SECTORS_MAX || sector + count > disk_sectors()) return ERROR_INVALID;
  u64 length = count * DISK_SECTOR_BYTES;
  if (write ? !may_read(buffer, length) : !may_write(buffer, length)) return ERROR_FAULT;
  return disk_transfer(sector, count, (void *)buffer, write);
}

static i64 call_processes(u64 list, u64 count) {
  if (count > PROCESSES_MAX) count = PROCESSES_MAX;
  if (!may_write(list, count * sizeof(struct process_info))) return ERROR_FAULT;
  return (i64)process_list((struct process_info *)list, count);
}

static i64 call(struct trap_frame *frame) {
  const u64 a = frame->rdi, b = frame->rsi, c = frame->rdx;
  switch (frame->rax) {
    case SYS_READ: return call_read(b, c);
    case SYS_WRITE: return call_write(b, c);
    case SYS_MMAP: return call_mmap(a);
    case SYS_MUNMAP: return space_remove(current->space, a) ? 0 : ERROR_INVALID;
    case SYS_BRK: return (i64)space_break(current->space, a);
    case SYS_YIELD: reschedule_wanted = true; return 0;
    case SYS_SLEEP: return process_sleep((a * TICKS_PER_SECOND + 999) / 1000);
    case SYS_ALARM: return (i64)process_alarm(a);
    case SYS_GETPID: return current->pid;
    case SYS_FORK: return process_fork(frame);
    case SYS_EXEC: return call_exec(frame);
    case SYS_EXIT: process_exit((int)a);
    case SYS_WAIT: return call_wait(a);
    case SYS_GETTIME: return (i64)(ticks * (1000000000 / TICKS_PER_SECOND));
    case SYS_GETRANDOM: return call_random(a, b);
    case SYS_MARK: return call_mark(a);
    case SYS_POWEROFF: accounting_check(); power_off((u8)a);
    case SYS_PANIC: return call_panic(a);
    case SYS_PROCESSES: return call_processes(a, b);
    case SYS_DISK_SIZE: return (i64)disk_sectors();
    case SYS_DISK_READ: return call_disk(a, b, c, false);
    case SYS_DISK_WRITE: return call_disk(a, b, c, true);
    default: return ERROR_NO_CALL;
  }
}

void syscall_dispatch(struct trap_frame *frame) {
  interrupts_on();
  accounting_call(frame->rax);
  bool is_exec = frame->rax == SYS_EXEC;
  i64 result = call(frame);
  /* A program that begins finds its arguments in its registers, and no result. */
  if (!is_exec || result < 0) frame->rax = (u64)result;
  interrupts_off();
  process_obey_kill();
  if (reschedule_wanted) schedule();
}
