/* The life of a process: fork, exec, exit, wait, sleep. */
#include "process.h"
#include "accounting.h"
#include "cpu.h"
#include "elf.h"
#include "trap.h"

_Static_assert(sizeof(struct meter) <= OBJECT_BYTES, "objects are 64 bytes");

/* Slot 0 is the idle task, slot 1 starts as init. */
static struct process processes[PROCESSES_MAX];
static u8 stacks[PROCESSES_MAX][KERNEL_STACK_BYTES] __attribute__((aligned(16)));
struct process *current = &processes[0];
bool reschedule_wanted;
static u32 last_pid;

/* What switch_context (entry.S) finds on a stack that has never run. */
struct first_context {
  u64 r15, r14, r13, r12, rbx, rbp;
  void (*resume)(void);
};

static u8 *stack_top(const struct process *process) { return stacks[process - processes] + KERNEL_STACK_BYTES; }

static struct process *find_free(void) {
  for (int i = 1; i < PROCESSES_MAX; i++)
    if (processes[i].state == PROCESS_FREE) return &processes[i];
  return NULL;
}

/* The FPU as a new program expects it: FCW 0x37f, MXCSR 0x1f80, all else 0. */
static void fpu_reset(struct process *process) {
  memset(process->fpu, 0, sizeof process->fpu);
  *(u16 *)&process->fpu[0] = 0x37f;
  *(u32 *)&process->fpu[24] = 0x1f80;
}

/* A process that will enter user mode with `frame` when it is first scheduled. */
static void prepare_stack(struct process *process, const struct trap_frame *frame) {
  struct trap_frame *top = (struct trap_frame *)stack_top(process) - 1;
  *top = *frame;
  struct first_context *context = (struct first_context *)top - 1;
  memset(context, 0, sizeof *context);
  context->resume = trap_return;
  process->context = (u64)context;
}

void processes_start(void) {
  processes[0].state = PROCESS_READY;
  copy_text(processes[0].name, "idle", NAME_MAX);
}

/* What kernel_main becomes: runs whenever nobody else is ready, and sleeps until an interrupt has made somebody so. */
void idle(void) {
  for (;;) {
    interrupts_off();
    schedule();
    interrupts_on_and_halt();
  }
}

int process_fork(const struct trap_frame *frame) {
  struct process *child = find_free();
  if (!child) return ERROR_NO_PROCESS;
  child->pid = ++last_pid;
  child->parent = current->pid;
  child->ticks = 0;
  child->killed_by = 0;
  child->alarm = NULL;
  child->meter = object_take();
  child->space = current->space ? space_clone(current->space) : space_new();
  copy_text(child->name, current->name, NAME_MAX);
  /* The live registers are newer than what the last switch saved. */
  if (current != &processes[0]) fpu_save(child->fpu);
  else fpu_reset(child);
  struct trap_frame child_frame = *frame;
  child_frame.rax = 0;
  prepare_stack(child, &child_frame);
  child->state = PROCESS_READY;
  return (int)child->pid;
}

int process_exec(struct trap_frame *frame, const char *name, const char *arguments) {
  struct process *process = current;
  /* The idle task execs on behalf of init, which it has just forked. */
  if (process == &processes[0]) {
    process = &processes[1];
    frame = (struct trap_frame *)stack_top(process) - 1;
  }
  const struct program *program = program_find(name);
  if (!program) return ERROR_NOT_FOUND;
  char line[ARGUMENTS_MAX];
  copy_text(line, arguments, sizeof line); /* it may be in the space that goes now */
  copy_text(process->name, program->name, NAME_MAX);
  space_clear(process->space);

  memset(frame, 0, sizeof *frame);
  frame->rip = elf_load(process->space, program);
  space_add(process->space, USER_STACK_TOP - USER_STACK_BYTES, USER_STACK_TOP, REGION_WRITE);
  u64 text = USER_STACK_TOP - ARGUMENTS_MAX;
  memcpy((char *)space_page(process->space, page_down(text)) + (text & (PAGE_BYTES - 1)), line, strlen(line) + 1);
  frame->rdi = text;
  frame->rsp = text;
  frame->cs = USER_CS;
  frame->ss = USER_SS;
  frame->rflags = RFLAGS_IF;
  fpu_reset(process);
  if (process == current) fpu_restore(process->fpu);
  return 0;
}

void process_exit(int status) {
  struct process *process = current;
  if (process->pid == 1) panic("init ended with status %d", status);
  if (process->alarm) {
#ifdef BUG_USE_AFTER_FREE
    /* The bug: an alarm that has not rung is still in the table of running timers. */
    object_give(process->alarm);
#else
    timer_delete(process->alarm);
#endif
    process->alarm = NULL;
  }
  write_cr3(kernel_pml4);
  space_delete(process->space, process->pid);
  process->space = NULL;
  object_give(process->meter);
  process->meter = NULL;
  accounting_exit();

  interrupts_off();
  for (int i = 1; i < PROCESSES_MAX; i++)
    if (processes[i].state != PROCESS_FREE && processes[i].parent == process->pid) processes[i].parent = 1;
  process->status = status;
  process->state = PROCESS_ZOMBIE;
  wake_up(processes); /* all who wait look again whether it was their child */
  schedule();
  panic("a dead process runs");
}

int process_wait(int *status) {
  interrupts_off();
  for (;;) {
    bool any = false;
    for (int i = 1; i < PROCESSES_MAX; i++) {
      struct process *child = &processes[i];
      if (child->state == PROCESS_FREE || child->parent != current->pid) continue;
      any = true;
      if (child->state != PROCESS_ZOMBIE) continue;
      *status = child->status;
      child->state = PROCESS_FREE;
      interrupts_on();
      return (int)child->pid;
    }
    if (!any || current->killed_by) {
      interrupts_on();
      return any ? ERROR_INTERRUPTED : ERROR_NO_CHILD;
    }
    sleep_on(processes);
  }
}

int process_sleep(u64 tick_count) {
  struct timer *timer = timer_new(current, tick_count, TIMER_WAKE);
  interrupts_off();
  /* A timer that has rung stays at 0. */
  while (timer->remaining && !current->killed_by) sleep_on(timer);
  interrupts_on();
  timer_delete(timer);
  return current->killed_by ? ERROR_INTERRUPTED : 0;
}

u64 process_alarm(u64 tick_count) {
  u64 remaining = 0;
  if (current->alarm) {
    remaining = current->alarm->remaining;
    timer_delete(current->alarm);
    current->alarm = NULL;
  }
  if (tick_count) current->alarm = timer_new(current, tick_count, TIMER_KILL);
  return remaining;
}

void process_kill(struct process *process, int status) {
  process->killed_by = status;
  if (process->state == PROCESS_BLOCKED) process->state = PROCESS_READY;
  reschedule_wanted = true;
}

void process_obey_kill(void) {
  if (!current->killed_by) return;
  interrupts_on();
  process_exit(current->killed_by);
}

u64 process_list(struct process_info *list, u64 count) {
  u64 written = 0;
  for (int i = 0; i < PROCESSES_MAX && written < count; i++) {
    const struct process *process = &processes[i];
    if (process->state == PROCESS_FREE) continue;
    struct process_info *info = &list[written++];
    info->pid = process->pid;
    info->parent = process->parent;
    info->pages = process->space ? (u32)process->space->resident : 0;
    info->ticks = (u32)process->ticks;
    info->state = process == current ? 'R' : "?rsz"[process->state];
    copy_text(info->name, process->name, NAME_MAX);
  }
  return written;
}

/* The scheduler: round robin, the idle task when nobody else is ready. */

static struct process *next_ready(void) {
  u64 start = (u64)(current - processes);
  for (u64 i = 1; i <= PROCESSES_MAX; i++) {
    struct process *candidate = &processes[(start + i) % PROCESSES_MAX];
    if (candidate != &processes[0] && candidate->state == PROCESS_READY) return candidate;
  }
  return &processes[0];
}

void schedule(void) {
  reschedule_wanted = false;
  struct process *next = next_ready();
  struct process *before = current;
  if (next == before) return;
  if (before != &processes[0]) fpu_save(before->fpu);
  current = next;
  if (next == &processes[0]) {
    write_cr3(kernel_pml4);
  } else {
    write_cr3(next->space->pml4);
    trap_set_stack((u64)stack_top(next));
    fpu_restore(next->fpu);
  }
  switch_context(&before->context, next->context);
}

void sleep_on(const void *channel) {
  current->waits_for = channel;
  current->state = PROCESS_BLOCKED;
  schedule();
}

void wake_up(const void *channel) {
  for (int i = 1; i < PROCESSES_MAX; i++) {
    if (processes[i].state != PROCESS_BLOCKED || processes[i].waits_for != channel) continue;
    processes[i].state = PROCESS_READY;
    reschedule_wanted = true;
  }
}
