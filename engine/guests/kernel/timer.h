/* Timers: something that happens to a process some ticks from now. */
#ifndef TIMER_H
#define TIMER_H
#include "../lib/types.h"

#define TICKS_PER_SECOND 250
struct process;

enum timer_kind { TIMER_WAKE, TIMER_KILL };

struct timer {
  struct process *process;
  u64 remaining; /* ticks; 0 = it has rung */
  enum timer_kind kind;
  int slot;
};

extern volatile u64 ticks; /* since boot */

struct timer *timer_new(struct process *process, u64 remaining, enum timer_kind kind);
void timer_delete(struct timer *timer);
/* From the timer interrupt. */
void timers_tick(void);
#endif
