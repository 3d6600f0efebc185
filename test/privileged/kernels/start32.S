/* Start of the 32-bit test kernels: Multiboot 1, own GDT; run() and the exception stubs. The 32-bit twin of start64.S. */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00010003
#define CAP(n) (cap + 4 * (n))

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

  .globl start
start:
  cli
  cld
  lgdt gdt_pointer
  ljmp $8, $1f
1:
  movl $16, %eax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movw %ax, %fs
  movw %ax, %gs
  movl $boot_stack_top, %esp
  movl %cr4, %eax
  orl $0x608, %eax /* OSFXSR, OSXMMEXCPT, DE */
  movl %eax, %cr4
  movl $0x10033, %eax /* WP NE ET MP PE */
  movl %eax, %cr0
  fninit
  call kernel_main
2:
  cli
  hlt
  jmp 2b

  .text
  /* context: r[8] in encoding order, eip, cs, eflags, ss, ds, es, fs, gs */
  .globl run
run:
  movl 4(%esp), %edx
  pushl %ebx
  pushl %ebp
  pushl %esi
  pushl %edi
  movl %esp, saved_esp
  testb $3, 36(%edx)
  jz 1f
  pushl 44(%edx)
  pushl 16(%edx)
  jmp 2f
1:
  movl 16(%edx), %ecx
  movw 44(%edx), %ss
  movl %ecx, %esp
2:
  pushl 40(%edx)
  pushl 36(%edx)
  pushl 32(%edx)
  pushl 0(%edx)
  pushl 4(%edx)
  pushl 8(%edx)
  pushl 12(%edx)
  pushl $0
  pushl 20(%edx)
  pushl 24(%edx)
  pushl 28(%edx)
  pushl 48(%edx)
  movw 52(%edx), %es
  movw 56(%edx), %fs
  movw 60(%edx), %gs
  popl %ds
  popal
  iretl

stub_common:
  pushl %eax
  pushl %ds
  movl $16, %eax
  movw %ax, %ds
  popl CAP(14)
  popl CAP(0)
  popl CAP(8)
  movl %esp, CAP(9)
  movl %ecx, CAP(1)
  movl %edx, CAP(2)
  movl %ebx, CAP(3)
  movl %ebp, CAP(5)
  movl %esi, CAP(6)
  movl %edi, CAP(7)
  pushfl
  popl CAP(10)
  cli
  cld
  xorl %eax, %eax
3:
  movl (%esp, %eax, 4), %ecx
  movl %ecx, CAP(18)(, %eax, 4)
  incl %eax
  cmpl $6, %eax
  jne 3b
  movl %cr2, %eax
  movl %eax, CAP(11)
  movl %dr6, %eax
  movl %eax, CAP(24)
  movl %cs, %eax
  movl %eax, CAP(12)
  movl %ss, %eax
  movl %eax, CAP(13)
  movl %es, %eax
  movl %eax, CAP(15)
  movl %fs, %eax
  movl %eax, CAP(16)
  movl %gs, %eax
  movl %eax, CAP(17)
  movl $16, %eax
  movw %ax, %es
  movw %ax, %fs
  movw %ax, %gs
  movw %ax, %ss
  movl saved_esp, %esp
  popl %edi
  popl %esi
  popl %ebp
  popl %ebx
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
  .word 64 * 8 - 1
  .long gdt

  .bss
  .balign 8
saved_esp: .skip 8
  .balign 16
  .skip 8192
boot_stack_top:
