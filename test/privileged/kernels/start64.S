/* Start of the 64-bit test kernels: Multiboot 1, page tables, long mode; run() and the exception stubs.
 *
 *   run(context) ── IRETQ ──► snippet ── any exception, interrupt or INT ──► stub ──► capture, back to the caller of run()
 *
 * Memory, all of it physical = virtual for privilege 0:
 *   0 .. 16 MiB                identity, supervisor, 2 MiB pages
 *   1 GiB + 0 .. 16 MiB        the same memory for privilege 3
 *   2 GiB .. 2 GiB + 2 MiB     4 KiB test pages, table test_pt, at first not present
 */
#include "layout.h"
#define MULTIBOOT_MAGIC 0x1badb002
/* bit 16: the address fields are valid; ELF is not looked at */
#define MULTIBOOT_FLAGS 0x00010003

  .section .boot, "ax"
  .balign 4
multiboot_header:
  .long MULTIBOOT_MAGIC
  .long MULTIBOOT_FLAGS
  .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
  .long multiboot_header
  .long load_start
  .long load_end
  .long bss_end
  .long start

  .code32
  .globl start
start:
  cli
  cld
  movl $test_pml4, %edi
  movl $(test_tables_end - test_pml4) / 4, %ecx
  xorl %eax, %eax
  rep stosl
  movl $(test_pdpt + 7), test_pml4
  movl $(test_pd0 + 7), test_pdpt
  movl $(test_pd1 + 7), test_pdpt + 8
  movl $(test_pd2 + 7), test_pdpt + 16
  movl $(test_pt + 7), test_pd2
  xorl %ecx, %ecx
  movl $0x83, %eax
1:
  movl %eax, test_pd0(, %ecx, 8)
  leal 4(%eax), %edx
  movl %edx, test_pd1(, %ecx, 8)
  addl $0x200000, %eax
  incl %ecx
  cmpl $8, %ecx
  jne 1b
  movl $0x628, %eax /* PAE, OSFXSR, OSXMMEXCPT, DE */
  movl %eax, %cr4
  movl $test_pml4, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x901, %eax /* NXE LME SCE */
  wrmsr
  movl $0x80010033, %eax /* PG WP NE ET MP PE */
  movl %eax, %cr0
  lgdt gdt_pointer
  ljmp $8, $2f
  .code64
2:
  movw $16, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  xorl %eax, %eax
  movw %ax, %fs
  movw %ax, %gs
  movq $boot_stack_top, %rsp
  xorl %ebp, %ebp
  fninit
  call kernel_main
3:
  cli
  hlt
  jmp 3b

  .text
  .globl run
run:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, saved_rsp
  movl CONTEXT_DS(%rdi), %eax
  movw %ax, %ds
  movl CONTEXT_ES(%rdi), %eax
  movw %ax, %es
  movl CONTEXT_FS(%rdi), %eax
  testl %eax, %eax
  js 1f
  movw %ax, %fs
1:
  movl CONTEXT_GS(%rdi), %eax
  testl %eax, %eax
  js 1f
  movw %ax, %gs
1:
  pushq CONTEXT_SS(%rdi)
  pushq CONTEXT_R + 32(%rdi)
  pushq CONTEXT_RFLAGS(%rdi)
  pushq CONTEXT_CS(%rdi)
  pushq CONTEXT_RIP(%rdi)
  movq CONTEXT_R + 0(%rdi), %rax
  movq CONTEXT_R + 8(%rdi), %rcx
  movq CONTEXT_R + 16(%rdi), %rdx
  movq CONTEXT_R + 24(%rdi), %rbx
  movq CONTEXT_R + 40(%rdi), %rbp
  movq CONTEXT_R + 48(%rdi), %rsi
  movq CONTEXT_R + 64(%rdi), %r8
  movq CONTEXT_R + 72(%rdi), %r9
  movq CONTEXT_R + 80(%rdi), %r10
  movq CONTEXT_R + 88(%rdi), %r11
  movq CONTEXT_R + 96(%rdi), %r12
  movq CONTEXT_R + 104(%rdi), %r13
  movq CONTEXT_R + 112(%rdi), %r14
  movq CONTEXT_R + 120(%rdi), %r15
  movq CONTEXT_R + 56(%rdi), %rdi
  .globl run_iret
run_iret:
  iretq

stub_common:
  popq cap + CAPTURE_VECTOR
  movq %rsp, cap + CAPTURE_RAW
  movq %rax, cap + CAPTURE_R + 0
  movq %rcx, cap + CAPTURE_R + 8
  movq %rdx, cap + CAPTURE_R + 16
  movq %rbx, cap + CAPTURE_R + 24
  movq %rbp, cap + CAPTURE_R + 40
  movq %rsi, cap + CAPTURE_R + 48
  movq %rdi, cap + CAPTURE_R + 56
  movq %r8, cap + CAPTURE_R + 64
  movq %r9, cap + CAPTURE_R + 72
  movq %r10, cap + CAPTURE_R + 80
  movq %r11, cap + CAPTURE_R + 88
  movq %r12, cap + CAPTURE_R + 96
  movq %r13, cap + CAPTURE_R + 104
  movq %r14, cap + CAPTURE_R + 112
  movq %r15, cap + CAPTURE_R + 120
  pushfq
  popq cap + CAPTURE_FLAGS_IN
  cli
  cld
  xorl %eax, %eax
1:
  movq (%rsp, %rax, 8), %rcx
  movq %rcx, cap + CAPTURE_FRAME(, %rax, 8)
  incl %eax
  cmpl $6, %eax
  jne 1b
  movq %cr2, %rax
  movq %rax, cap + CAPTURE_CR2
  movq %dr6, %rax
  movq %rax, cap + CAPTURE_DR6
  movl %cs, %eax
  movq %rax, cap + CAPTURE_CS_IN
  movl %ss, %eax
  movq %rax, cap + CAPTURE_SS_IN
  movl %ds, %eax
  movq %rax, cap + CAPTURE_DS
  movl %es, %eax
  movq %rax, cap + CAPTURE_ES
  movl %fs, %eax
  movq %rax, cap + CAPTURE_FS
  movl %gs, %eax
  movq %rax, cap + CAPTURE_GS
  movl $16, %eax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movq saved_rsp, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret

  .balign 16
  .globl stubs
stubs:
  n = 0
  .rept 256
  .balign 16
  .byte 0x68
  .long n
  .byte 0xe9
  .long stub_common - . - 4
  n = n + 1
  .endr

  .section .snip, "ax"
  .data
  .balign 8
  .globl gdt_pointer
gdt_pointer:
  .word GDT_ENTRIES * 8 - 1
  .quad gdt

  .bss
  .balign 8
  .globl saved_rsp
saved_rsp: .skip 8
  .balign 4096
  .globl test_pml4, test_pdpt, test_pd0, test_pd1, test_pd2, test_pt, test_pd3, test_pt2
test_pml4: .skip 4096
test_pdpt: .skip 4096
test_pd0: .skip 4096
test_pd1: .skip 4096
test_pd2: .skip 4096
test_pt: .skip 4096
test_pd3: .skip 4096
test_pt2: .skip 4096
test_tables_end:
  .skip 8192
boot_stack_top:
