/* The trap table, and the two callbacks: events and system calls. */
#include "../cpu.h"
#include "../trap.h"

#define EXCEPTIONS 32
#define STUB_BYTES 16
/* A stub that pushes 0 for the error code, as events have none; its handler is the one of IRQ 15 (events.c). */
#define EVENT_STUB (IRQ_VECTOR + 15)

void trap_set_stack(u64 top) { hypercall(HYPERVISOR_stack_switch, 0, top, 0); }

static u64 stub(u64 vector) { return (u64)trap_stubs + vector * STUB_BYTES; }

void traps_start(void) {
  struct pv_trap traps[EXCEPTIONS + 1] = {0};
  for (u8 vector = 0; vector < EXCEPTIONS; vector++) {
    traps[vector].vector = vector;
    traps[vector].flags = PV_TRAP_MASKS;
    traps[vector].address = stub(vector);
  }
  if (hypercall(HYPERVISOR_set_trap_table, (u64)traps, 0, 0)) panic("the hypervisor refuses the trap table");
  if (hypercall(HYPERVISOR_set_callbacks, stub(EVENT_STUB), 0, (u64)syscall_entry)) panic("the hypervisor refuses the callbacks");
}
