/* Processes: the table, the scheduler, and the calls that make and end them. */
#ifndef PROCESS_H
#define PROCESS_H
#include "kernel.h"
#include "memory.h"
#include "timer.h"

#define PROCESSES_MAX 32
#define KERNEL_STACK_BYTES 8192

enum process_state { PROCESS_FREE, PROCESS_READY, PROCESS_BLOCKED, PROCESS_ZOMBIE };

/* How much a process wrote to the console: calls by size, each bucket twice the one before. */
#define METER_BUCKETS 8
struct meter {
  u64 writes[METER_BUCKETS]; /* below 16 bytes, 32, 64, ... 2048 */
};

struct process {
  u8 fpu[512] __attribute__((aligned(16))); /* FXSAVE */
  u64 context;                              /* kernel stack pointer while another process runs */
  enum process_state state;
  u32 pid;
  u32 parent;
  int status;    /* of a zombie */
  int killed_by; /* status to end with at the next return to user mode, 0 = live on */
  u64 ticks;
  const void *waits_for;
  struct space *space;
  struct meter *meter;
  struct timer *alarm;
  char name[NAME_MAX];
};

extern struct process *current;
extern bool reschedule_wanted; /* set by the tick, obeyed on the way back to user mode */

void processes_start(void);
void idle(void) __attribute__((noreturn));

/* All with interrupts off, as they look at what handlers change. */
void schedule(void);
void sleep_on(const void *channel);
void wake_up(const void *channel);
void process_kill(struct process *process, int status);

int process_fork(const struct trap_frame *frame);
int process_exec(struct trap_frame *frame, const char *name, const char *arguments);
void process_exit(int status) __attribute__((noreturn));
int process_wait(int *status);
int process_sleep(u64 tick_count);
u64 process_alarm(u64 tick_count);
u64 process_list(struct process_info *list, u64 count);

/* Ends the current process if something has asked for it; called on the way back to user mode. */
void process_obey_kill(void);
#endif
