/* Starting: the parts in the order in which they need each other, then init. */
#include "accounting.h"
#include "bootinfo.h"
#include "cpu.h"
#include "devices.h"
#include "trap.h"

void kernel_main(u32 protocol, u64 info_paddr) {
  uart_start();
  processes_start();
  boot_info_read(protocol, info_paddr);
  frames_start();
  mmu_start();
  traps_start();
  print("lab kernel: %lu MiB, %s\n", boot_info.memory_end >> 20, BOOT_NAME(protocol));

  pic_start();
  lapic_start();
  accounting_start();
  tty_start();
  virtio_start();
  pit_start();

  /* Init gets what `run=` says, as if it had been typed. */
  char commands[ARGUMENTS_MAX] = "";
  boot_option("run", 0, commands, sizeof commands);
  struct trap_frame unused = {0};
  process_fork(&unused);
  if (process_exec(&unused, "init", commands) < 0) panic("no init in the image");
  idle();
}
