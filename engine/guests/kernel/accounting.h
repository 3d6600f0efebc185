/* Accounting: which system calls were made, and by whom. */
#ifndef ACCOUNTING_H
#define ACCOUNTING_H
#include "../lib/types.h"
void accounting_start(void);
void accounting_call(u64 number);
/* From the timer interrupt: adds up the records that have come in. */
void accounting_tick(void);
/* From exit: now and then all records are counted, as none may get lost. */
void accounting_exit(void);
void accounting_check(void);
#endif
