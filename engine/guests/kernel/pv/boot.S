/* From the domain builder to kernel_main: long mode, paging and the mapping of all RAM are there. RSI = start info (pv-abi.h). */
#include "../bootinfo.h"
#include "../../pv-abi.h"

#define KERNEL_BASE 0xffffffff80000000

  .section .note.Chronovisor, "a", @note
  .balign 4
  .long 12 /* name */
  .long 8  /* descriptor */
  .long PV_NOTE_ENTRY
  .asciz "Chronovisor"
  .quad pv_start
  .long 12
  .long 8
  .long PV_NOTE_VIRT_BASE
  .asciz "Chronovisor"
  .quad KERNEL_BASE

  .text
  .globl pv_start
pv_start:
  movq $boot_stack_top, %rsp
  xorl %ebp, %ebp /* a backtrace ends here */
  cld
  movq %rsi, pv_start_info(%rip)
  movl $BOOT_PV, %edi
  call kernel_main
1:
  ud2
  jmp 1b

  .section .bss.page, "aw", @nobits
  .balign 4096
  .globl boot_stack
boot_stack: .skip 8192
boot_stack_top:
