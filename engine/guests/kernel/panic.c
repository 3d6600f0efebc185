/* The end of a kernel that found itself broken. Uses nothing that may be broken too: no lock, no allocation. */
#include "../lib/format.h"
#include "cpu.h"
#include "devices.h"
#include "kernel.h"
#include "memory.h"
#include "process.h"

#define BACKTRACE_MAX 16

static bool panicking;

static void print_registers(const struct trap_frame *f) {
  print("rip %016lx  rflags %016lx  cs %02lx  vector %lu  error %lx\n", f->rip, f->rflags, f->cs, f->vector, f->error);
  print("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
  print("rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
  print("r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
  print("r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
  print("cr2 %016lx  cr3 %016lx\n", read_cr2(), read_cr3());
}

/* Frame pointers chain upwards; a value that does not, or leaves the kernel's data, ends the walk. */
static void print_backtrace(u64 rbp) {
  print("backtrace:");
  for (int i = 0; i < BACKTRACE_MAX; i++) {
    if (rbp < (u64)data_start || rbp >= (u64)kernel_end - 16 || rbp % 8) break;
    const u64 *frame = (const u64 *)rbp;
    if (frame[1] < (u64)text_start || frame[1] >= (u64)rodata_start) break;
    print(" %lx", frame[1]);
    if (frame[0] <= rbp) break;
    rbp = frame[0];
  }
  print("\n");
}

static void __attribute__((noreturn)) end(const struct trap_frame *frame, const char *reason) {
  interrupts_off();
  if (panicking) power_off(1);
  panicking = true;
  print("\nPANIC: %s\n", reason);
  print("process %u (%s), tick %lu\n", current->pid, current->name, ticks);
  print_registers(frame);
  print_backtrace(frame->rbp);
  power_off(1);
}

/* capture.S fills the frame and comes here; callers know the two as panic(). */
struct trap_frame panic_frame;
void panic_print(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

void panic_print(const char *format, ...) {
  char reason[160];
  va_list arguments;
  va_start(arguments, format);
  format_text(reason, sizeof reason, format, arguments);
  va_end(arguments);
  end(&panic_frame, reason);
}

void panic_at(const struct trap_frame *frame, const char *format, ...) {
  char reason[160];
  va_list arguments;
  va_start(arguments, format);
  format_text(reason, sizeof reason, format, arguments);
  va_end(arguments);
  end(frame, reason);
}
