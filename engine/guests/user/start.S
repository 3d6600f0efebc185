/* Where a program begins: RDI points to its argument line, the stack ends below that. */
#include "../abi.h"
  .section .text.start, "ax"
  .globl _start
_start:
  xorl %ebp, %ebp
  andq $-16, %rsp
  call main
  movl %eax, %edi
  movl $SYS_EXIT, %eax
  syscall
  ud2
