/* System calls leave a record; the timer interrupt folds the records into totals and makes them free again.
 *
 *     free ──► a system call fills one ──► pending ──► the tick adds it up ──► free
 *
 * Both lists are changed by the handler, so a system call touches them with interrupts off. */
#include "accounting.h"
#include "cpu.h"
#include "process.h"

#define RECORDS 64
#define EXITS_PER_CHECK 32
#define CALL_NUMBERS 1024
#define SPARE_WORDS 60
#define SPARE_PATTERN 0x6b6b6b6b6b6b6b6bul

struct record {
  struct record *next;
  u64 number;
  u64 pid;
  u64 tick;
  u64 spare[SPARE_WORDS]; /* for arguments and a user backtrace, one day; nobody writes here yet */
};

static struct record records[RECORDS];
static struct record *free_list;
static struct record *pending_list;
static u32 totals[CALL_NUMBERS];
static u64 exits;

void accounting_start(void) {
  for (int i = RECORDS - 1; i >= 0; i--) {
    for (int word = 0; word < SPARE_WORDS; word++) records[i].spare[word] = SPARE_PATTERN;
    records[i].next = free_list;
    free_list = &records[i];
  }
}

static struct record *take(void) {
  struct record *record = free_list;
  if (!record) return NULL;
  /* Whoever wrote to a record that is not his is found here. */
  for (int word = 0; word < SPARE_WORDS; word++)
    if (record->spare[word] != SPARE_PATTERN) panic("accounting record %lx was written to", (u64)record);
  free_list = record->next;
  return record;
}

static void fold(void) {
  while (pending_list) {
    struct record *record = pending_list;
    pending_list = record->next;
    totals[record->number % CALL_NUMBERS]++;
    record->next = free_list;
    free_list = record;
  }
}

void accounting_call(u64 number) {
#ifdef BUG_LOST_UPDATE
  /* The bug: the handler gives records back. What it puts on the list while take() looks at the first record is lost when
     take() sets the list to what came behind that record. */
  struct record *record = take();
  u64 flags = interrupts_save();
#else
  u64 flags = interrupts_save();
  struct record *record = take();
#endif
  if (!record) {
    fold();
    record = take();
  }
  if (record) {
    record->number = number;
    record->pid = current->pid;
    record->tick = ticks;
    record->next = pending_list;
    pending_list = record;
  }
  interrupts_restore(flags);
}

void accounting_tick(void) { fold(); }

void accounting_exit(void) {
  if (++exits % EXITS_PER_CHECK == 0) accounting_check();
}

static u64 length_of(const struct record *list) {
  u64 length = 0;
  for (; list; list = list->next)
    if (++length > RECORDS) break; /* a ring */
  return length;
}

void accounting_check(void) {
  u64 flags = interrupts_save();
  u64 free_count = length_of(free_list);
  u64 pending_count = length_of(pending_list);
  if (free_count + pending_count != RECORDS)
    panic("list corrupted: accounting has %lu free and %lu pending records of %d", free_count, pending_count, RECORDS);
  interrupts_restore(flags);
}
