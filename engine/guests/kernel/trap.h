/* Descriptor tables and the ways into the kernel. */
#ifndef TRAP_H
#define TRAP_H
#include "kernel.h"

#define IRQ_VECTOR 32 /* the 8259s' first vector */

void traps_start(void);
/* The stack that the next entry from user mode uses. */
void trap_set_stack(u64 top);
void irq_handle(u8 irq, void (*handler)(void));

/* entry.S */
extern char trap_stubs[];
void syscall_entry(void);
void trap_return(void);
void switch_context(u64 *save, u64 next);

/* Called by entry.S */
void trap_dispatch(struct trap_frame *frame);
void syscall_dispatch(struct trap_frame *frame);
#endif
