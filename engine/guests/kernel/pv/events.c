/* Event channels: where a PC has interrupt controllers. All of them come through one callback, which is taken for IRQ 15. */
#include "../cpu.h"
#include "../devices.h"
#include "../trap.h"

#define IRQ_EVENTS 15
#define TICK_NS (1000000000ul / TICKS_PER_SECOND)

static void (*handlers[PV_PORTS])(void);
static u32 timer_port;
static u64 next_tick;
static void (*on_tick)(void);

static void dispatch(void) {
  /* What comes from here on calls again, after this. */
  *shared8(SHARED_UPCALL_PENDING) = 0;
  *shared64(SHARED_PENDING_SELECT) = 0;
  u64 ready;
  while ((ready = *shared64(SHARED_PENDING) & ~*shared64(SHARED_MASK))) {
    u64 port = (u64)__builtin_ctzl(ready);
    __atomic_fetch_and((u64 *)shared64(SHARED_PENDING), ~(1ul << port), __ATOMIC_SEQ_CST);
    if (handlers[port]) handlers[port]();
  }
}

void event_bind(u64 operation, u32 from, void (*handler)(void), u32 *port) {
  struct pv_bind bind = {from, 0};
  if (hypercall(HYPERVISOR_event_channel_op, operation, (u64)&bind, 0)) panic("no event channel for %u of operation %lu", from, operation);
  *port = bind.port;
  handlers[bind.port] = handler;
  hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_unmask, (u64)port, 0);
}

void event_send(u32 port) { hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_send, (u64)&port, 0); }

static void timer(void) {
  next_tick += TICK_NS;
  hypercall(HYPERVISOR_set_timer_op, next_tick, 0, 0);
  on_tick();
}

void event_tick_start(void (*tick)(void)) {
  u32 low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  on_tick = tick;
  /* START_TSC_HZ is 1 GHz: the TSC counts ns. */
  next_tick = ((u64)high << 32 | low) + TICK_NS;
  event_bind(EVTCHNOP_bind_virq, VIRQ_TIMER, timer, &timer_port);
  hypercall(HYPERVISOR_set_timer_op, next_tick, 0, 0);
}

/* The interface of pic.c. */
void pic_start(void) { irq_handle(IRQ_EVENTS, dispatch); }
void pic_unmask(u8 irq) { (void)irq; }
bool pic_is_spurious(u8 irq) {
  (void)irq;
  return false;
}
void pic_end(u8 irq) { (void)irq; }
void lapic_start(void) {}
