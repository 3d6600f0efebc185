/* GDT, TSS, IDT, and what happens on an exception or an interrupt. */
#include "trap.h"
#include "cpu.h"
#include "devices.h"
#include "memory.h"
#include "process.h"

#define VECTORS 48
#define STUB_BYTES 16
#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_PAGE_FAULT 14
#define IST_DOUBLE_FAULT 1
#define GATE_INTERRUPT 0x8e

#ifndef PV
/* SDM vol. 3A, 8.7 */
struct __attribute__((packed)) task_state {
  u32 reserved0;
  u64 stack[3];
  u64 reserved1;
  u64 interrupt_stack[7];
  u64 reserved2;
  u16 reserved3;
  u16 io_map;
};

/* SDM vol. 3A, 6.14.1 */
struct gate {
  u16 offset_low, selector;
  u8 stack_index, type;
  u16 offset_middle;
  u32 offset_high, reserved;
};

struct __attribute__((packed)) table_pointer {
  u16 limit;
  u64 base;
};

/* Reached by GS in entry.S, which knows the offsets. */
static struct cpu_area {
  u64 kernel_stack;
  u64 user_stack;
} cpu_area;

static u64 gdt[] = {
    0,
    0x00af9b000000ffff, /* kernel code, 64-bit */
    0x00cf93000000ffff, /* kernel data */
    0x00cffb000000ffff, /* user code, 32-bit: only to keep SYSRET's order */
    0x00cff3000000ffff, /* user data */
    0x00affb000000ffff, /* user code, 64-bit */
    0,                  /* TSS, two entries */
    0,
};
static struct gate idt[VECTORS];
static struct task_state task_state;
static u8 double_fault_stack[4096] __attribute__((aligned(16)));
#endif
static void (*irq_handlers[16])(void);

static const char *const exception_names[] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
    "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
};

#ifndef PV /* else pv/traps.c */
void trap_set_stack(u64 top) {
  task_state.stack[0] = top;
  cpu_area.kernel_stack = top;
}
#endif

void irq_handle(u8 irq, void (*handler)(void)) {
  irq_handlers[irq] = handler;
  pic_unmask(irq);
}

#ifndef PV
static void load_tables(void) {
  u64 base = (u64)&task_state;
  task_state.io_map = sizeof task_state;
  task_state.interrupt_stack[IST_DOUBLE_FAULT - 1] = (u64)double_fault_stack + sizeof double_fault_stack;
  gdt[TSS_SELECTOR / 8] = (sizeof task_state - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
  gdt[TSS_SELECTOR / 8 + 1] = base >> 32;
  for (int vector = 0; vector < VECTORS; vector++) {
    u64 stub = (u64)trap_stubs + (u64)vector * STUB_BYTES;
    struct gate *gate = &idt[vector];
    gate->offset_low = (u16)stub;
    gate->offset_middle = (u16)(stub >> 16);
    gate->offset_high = (u32)(stub >> 32);
    gate->selector = KERNEL_CS;
    gate->type = GATE_INTERRUPT;
    gate->stack_index = vector == VECTOR_DOUBLE_FAULT ? IST_DOUBLE_FAULT : 0;
  }
  struct table_pointer gdt_pointer = {sizeof gdt - 1, (u64)gdt};
  struct table_pointer idt_pointer = {sizeof idt - 1, (u64)idt};
  __asm__ volatile("lgdt %0" : : "m"(gdt_pointer));
  __asm__ volatile("pushq %0\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n1:" : : "i"(KERNEL_CS) : "rax", "memory");
  __asm__ volatile("movw %w0, %%ss\n\tmovw %w0, %%ds\n\tmovw %w0, %%es" : : "r"(KERNEL_SS));
  __asm__ volatile("lidt %0" : : "m"(idt_pointer));
  __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void traps_start(void) {
  load_tables();
  write_msr(MSR_GS_BASE, (u64)&cpu_area);
  write_msr(MSR_KERNEL_GS_BASE, 0);
  write_msr(MSR_STAR, (u64)USER_BASE << 48 | (u64)KERNEL_CS << 32);
  write_msr(MSR_LSTAR, (u64)syscall_entry);
  write_msr(MSR_SFMASK, 0x47700); /* TF, IF, DF, IOPL, NT, AC */
}
#endif

static bool from_user(const struct trap_frame *frame) { return frame->cs & 3; }

static void handle_irq(u8 irq) {
  if (pic_is_spurious(irq)) return;
  if (irq_handlers[irq]) irq_handlers[irq]();
  pic_end(irq);
}

static void handle_exception(struct trap_frame *frame) {
  const char *name = frame->vector < sizeof exception_names / sizeof *exception_names ? exception_names[frame->vector] : "?";
  u64 address = frame->vector == VECTOR_PAGE_FAULT ? read_cr2() : 0;
  if (frame->vector == VECTOR_PAGE_FAULT && current->space && address < USER_END &&
      space_fault(current->space, address, frame->error))
    return;
  if (!from_user(frame)) panic_at(frame, "%s in the kernel, error %lx, address %lx", name, frame->error, address);
  print("%s[%u]: %s at %lx, error %lx, address %lx: ended\n", current->name, current->pid, name, frame->rip, frame->error,
        address);
  interrupts_on();
  process_exit(128 + (int)frame->vector);
}

void trap_dispatch(struct trap_frame *frame) {
  if (frame->vector >= IRQ_VECTOR) handle_irq((u8)(frame->vector - IRQ_VECTOR));
  else handle_exception(frame);
  if (!from_user(frame)) return; /* the kernel is not preempted */
  process_obey_kill();
  if (reschedule_wanted) schedule();
}
