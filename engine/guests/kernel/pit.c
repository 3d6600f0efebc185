/* Channel 0 of the 8254 timer: the tick. */
#include "accounting.h"
#include "cpu.h"
#include "devices.h"
#include "trap.h"

#define PIT_HZ 1193182
#define PIT_CHANNEL0 0x40
#define PIT_COMMAND 0x43
#define RATE_GENERATOR 0x34 /* channel 0, low byte then high byte, mode 2 */
#define IRQ_PIT 0

static void tick(void) {
  ticks++;
  current->ticks++;
  timers_tick();
  accounting_tick();
  reschedule_wanted = true;
}

#ifdef PV
void pit_start(void) { event_tick_start(tick); }
#else
void pit_start(void) {
  const u16 divisor = (PIT_HZ + TICKS_PER_SECOND / 2) / TICKS_PER_SECOND;
  out8(PIT_COMMAND, RATE_GENERATOR);
  out8(PIT_CHANNEL0, (u8)divisor);
  out8(PIT_CHANNEL0, (u8)(divisor >> 8));
  irq_handle(IRQ_PIT, tick);
}
#endif
