/* The timers that run are in a table that every tick goes through. A timer that has rung is out of the table and belongs to
 * whoever made it, until timer_delete. */
#include "timer.h"
#include "cpu.h"
#include "process.h"

#define TIMERS_MAX 64

_Static_assert(sizeof(struct timer) <= OBJECT_BYTES, "objects are 64 bytes");

volatile u64 ticks;
static struct timer *running[TIMERS_MAX];

struct timer *timer_new(struct process *process, u64 remaining, enum timer_kind kind) {
  struct timer *timer = object_take();
  timer->process = process;
  timer->remaining = remaining ? remaining : 1;
  timer->kind = kind;
  u64 flags = interrupts_save();
  int slot = 0;
  while (slot < TIMERS_MAX && running[slot]) slot++;
  if (slot == TIMERS_MAX) panic("no room for another timer");
  timer->slot = slot;
  running[slot] = timer;
  interrupts_restore(flags);
  return timer;
}

void timer_delete(struct timer *timer) {
  u64 flags = interrupts_save();
  if (running[timer->slot] == timer) running[timer->slot] = NULL;
  interrupts_restore(flags);
  object_give(timer);
}

static void ring(struct timer *timer) {
  if (timer->kind == TIMER_KILL) process_kill(timer->process, STATUS_ALARM);
  else wake_up(timer);
}

void timers_tick(void) {
  for (int slot = 0; slot < TIMERS_MAX; slot++) {
    struct timer *timer = running[slot];
    if (!timer || --timer->remaining) continue;
    running[slot] = NULL;
    ring(timer);
  }
}
