/* Into the kernel and out of it: exceptions and interrupts (IDT), SYSCALL, and the switch between two kernel stacks.
 *
 * Every entry leaves the same struct trap_frame (kernel.h) on the kernel stack. GS points to struct cpu_area (trap.c) while
 * in the kernel, and SWAPGS stands at each border to user mode. */

#define VECTORS 48
#define STUB_BYTES 16
#define FRAME_CS 144
#define CPU_KERNEL_STACK 0
#define CPU_USER_STACK 8
#ifdef PV
#include "../pv-abi.h"
#endif

  .text

/* One stub a vector, all of the same size. The CPU pushes an error code for some exceptions (SDM vol. 3A, 6.15); the others
 * push 0 for it. */
  .balign STUB_BYTES
  .globl trap_stubs
trap_stubs:
  .set vector, 0
  .rept VECTORS
  .balign STUB_BYTES
  .if (vector != 8) && (vector != 10) && (vector != 11) && (vector != 12) && (vector != 13) && (vector != 14) && (vector != 17) && (vector != 21)
  pushq $0
  .endif
  pushq $vector
  jmp trap_entry
  .set vector, vector + 1
  .endr

  .macro push_registers
  pushq %rax
  pushq %rbx
  pushq %rcx
  pushq %rdx
  pushq %rsi
  pushq %rdi
  pushq %rbp
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  .endm

  .macro pop_registers_but_rax
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rbp
  popq %rdi
  popq %rsi
  popq %rdx
  popq %rcx
  popq %rbx
  .endm

  .macro pop_registers
  pop_registers_but_rax
  popq %rax
  .endm

  .type trap_entry, @function
trap_entry:
  push_registers
#ifndef PV /* a hypervisor gives the frames and the stack: no GS */
  testb $3, FRAME_CS(%rsp)
  jz 1f
  swapgs
1:
#endif
  cld
  movq %rsp, %rdi
  call trap_dispatch

/* Also where a new process begins: its first frame lies on its stack. */
  .globl trap_return
  .type trap_return, @function
trap_return:
#ifdef PV
  /* struct pv_iret begins at the saved RAX; the mask of events comes with the flags. */
  pop_registers_but_rax
  movl $HYPERVISOR_iret, %eax
  vmcall
#else
  cli
  testb $3, FRAME_CS(%rsp)
  jz 1f
  swapgs
1:
  pop_registers
  addq $16, %rsp /* vector, error */
  iretq
#endif

/* RCX = user rip, R11 = user rflags; interrupts are off by SFMASK (SDM vol. 2, SYSCALL). */
  .globl syscall_entry
  .type syscall_entry, @function
syscall_entry:
#ifdef PV /* SS, RSP, RFLAGS, CS and RIP are on the kernel stack already */
  pushq $0
  pushq $0x80
  push_registers
  movq %rsp, %rdi
  call syscall_dispatch
  jmp trap_return
#else
  swapgs
  movq %rsp, %gs:CPU_USER_STACK
  movq %gs:CPU_KERNEL_STACK, %rsp
  pushq $0x23 /* USER_SS */
  pushq %gs:CPU_USER_STACK
  pushq %r11
  pushq $0x2b /* USER_CS */
  pushq %rcx
  pushq $0
  pushq $0x80 /* no exception: a system call */
  push_registers
  movq %rsp, %rdi
  call syscall_dispatch
  cli
  pop_registers
  addq $16, %rsp
  movq 0(%rsp), %rcx
  movq 16(%rsp), %r11
  movq 24(%rsp), %rsp
  swapgs
  sysretq
#endif

/* void switch_context(u64 *save, u64 next): struct first_context (process.c) is this layout. */
  .globl switch_context
  .type switch_context, @function
switch_context:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
