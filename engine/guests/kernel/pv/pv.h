/* The kernel under a hypervisor (pv-abi.h): what cpu.h has instructions for, by hypercall and shared memory. */
#ifndef PV_H
#define PV_H
#include "../../pv-abi.h"

#define KERNEL_CS PV_CS_KERNEL
#define USER_CS PV_CS_USER
#define USER_SS PV_SS

static inline i64 hypercall(u64 number, u64 a, u64 b, u64 c) {
  i64 result;
  __asm__ volatile("vmcall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "memory");
  return result;
}

/* start.c */
extern u8 *pv_start_info;
extern volatile u8 *pv_shared;
static inline u64 start_info(u64 offset) { return *(const u64 *)(pv_start_info + offset); }
static inline volatile u8 *shared8(u64 offset) { return pv_shared + offset; }
static inline volatile u64 *shared64(u64 offset) { return (volatile u64 *)(pv_shared + offset); }

/* The interrupt flag is a byte. */
static inline void interrupts_off(void) {
  *shared8(SHARED_UPCALL_MASK) = 1;
  __asm__ volatile("" : : : "memory");
}
static inline void interrupts_on(void) {
  __asm__ volatile("" : : : "memory");
  *shared8(SHARED_UPCALL_MASK) = 0;
  if (*shared8(SHARED_UPCALL_PENDING)) hypercall(HYPERVISOR_xen_version, 0, 0, 0);
}
static inline void interrupts_on_and_halt(void) { hypercall(HYPERVISOR_sched_op, SCHEDOP_block, 0, 0); }
static inline void halt(void) { hypercall(HYPERVISOR_sched_op, SCHEDOP_block, 0, 0); }
static inline u64 interrupts_save(void) {
  u64 flags = *shared8(SHARED_UPCALL_MASK) ? 0 : RFLAGS_IF;
  interrupts_off();
  return flags;
}
static inline void interrupts_restore(u64 flags) {
  if (flags & RFLAGS_IF) interrupts_on();
}
static inline u64 read_cr2(void) { return *shared64(SHARED_CR2); }

/* memory.c */
u64 read_cr3(void);
void write_cr3(u64 pml4);
void invalidate_page(u64 vaddr);

/* events.c: one handler a port */
void event_bind(u64 operation, u32 from, void (*handler)(void), u32 *port);
void event_send(u32 port);
void event_tick_start(void (*tick)(void));
#endif
