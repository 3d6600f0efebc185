/* What every file of the kernel uses: text, printing, panic. */
#ifndef KERNEL_H
#define KERNEL_H
#include "../abi.h"
#include "../lib/string.h"
#include "../lib/types.h"

/* Everything the interrupted code had, in the order entry.S pushes it. */
struct trap_frame {
  u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
  u64 vector, error;
  u64 rip, cs, rflags, rsp, ss;
};

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The kernel cannot go on: prints the reason, the registers and a backtrace, and ends the machine with exit code 1. */
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void panic_at(const struct trap_frame *frame, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* Ports that a PC does not have: debug exit 0xf4, marks 0xf5. */
void power_off(u8 exit_code) __attribute__((noreturn));
void mark(const char *name);
#endif
