/* What the domain builder tells, and the lab's own calls: exit and marks. */
#include "../bootinfo.h"
#include "../cpu.h"
#include "../kernel.h"
#include "../memory.h"

u8 *pv_start_info; /* boot.S */
volatile u8 *pv_shared;

void boot_info_read(u32 protocol, u64 info_paddr) {
  (void)info_paddr;
  if (start_info(0) != START_MAGIC) panic("no start info (magic %lx)", start_info(0));
  boot_info.protocol = protocol;
  boot_info.memory_end = start_info(START_FREE_END);
  copy_text(boot_info.command_line, (const char *)pv_start_info + START_COMMAND_LINE, COMMAND_LINE_MAX);
}

void power_off(u8 exit_code) {
  struct pv_shutdown shutdown = {SHUTDOWN_poweroff, exit_code};
  interrupts_off();
  hypercall(HYPERVISOR_sched_op, SCHEDOP_shutdown, (u64)&shutdown, 0);
  for (;;) halt();
}

void mark(const char *name) { hypercall(HYPERVISOR_mark, (u64)name, 0, 0); }
