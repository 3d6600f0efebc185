/* panic: the registers as they are at the call, before C code can use them, then panic_print with the same arguments. */

  .macro save register offset
  movq %\register, panic_frame + \offset(%rip)
  .endm

  .text
  .globl panic
  .type panic, @function
panic:
  /* The order of struct trap_frame (kernel.h). */
  save r15, 0
  save r14, 8
  save r13, 16
  save r12, 24
  save r11, 32
  save r10, 40
  save r9, 48
  save r8, 56
  save rbp, 64
  save rdi, 72
  save rsi, 80
  save rdx, 88
  save rcx, 96
  save rbx, 104
  save rax, 112
  pushfq
  popq panic_frame + 152(%rip)
  movq (%rsp), %r10
  subq $5, %r10
  save r10, 136 /* rip: the call itself; what follows it may be another function */
  leaq 8(%rsp), %r10
  save r10, 160 /* rsp */
  movq $0x08, panic_frame + 144(%rip) /* KERNEL_CS */
  jmp panic_print
