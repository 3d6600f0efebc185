/* From the loader to kernel_main: two 32-bit entries (PVH and Multiboot 1), page tables, long mode, higher half.
 *
 * Both loaders enter in 32-bit protected mode without paging, flat segments, EBX = physical address of their
 * information block. (PVH: xen/include/public/arch-x86/hvm/start_info.h; Multiboot specification 0.6.96, section 3.2.) */
#include "bootinfo.h"

#define KERNEL_BASE 0xffffffff80000000
#define MULTIBOOT_MAGIC 0x1badb002
/* bit 0: modules page-aligned; bit 1: tell the memory size; bit 16: the address fields are valid (ELF is not looked at) */
#define MULTIBOOT_FLAGS 0x00010003

  .section .boot.header, "a"
  .balign 4
multiboot_header:
  .long MULTIBOOT_MAGIC
  .long MULTIBOOT_FLAGS
  .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
  .long multiboot_header
  .long load_start
  .long load_end
  .long bss_end
  .long multiboot_start

  .section .note.Xen, "a", @note
  .balign 4
  .long 4 /* name */
  .long 8 /* descriptor */
  .long 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
  .asciz "Xen"
  .quad pvh_start

  .section .boot.text, "ax"
  .code32
  .globl pvh_start, multiboot_start
pvh_start:
  movl $BOOT_PVH, %edi
  jmp 1f
multiboot_start:
  movl $BOOT_MULTIBOOT, %edi
1:
  cli
  cld
  movl %ebx, %esi

  /* Long mode, or a clear end. */
  movl $0x80000001, %eax
  cpuid
  btl $29, %edx
  jc 2f
  movb $2, %al
  outb %al, $0xf4
3:
  hlt
  jmp 3b
2:
  /* The first GiB in 2 MiB pages, seen twice: where it is, and at KERNEL_BASE. mmu.c builds the final tables. */
  movl $(boot_directory - KERNEL_BASE), %ebx
  movl $0x83, %eax /* present, writable, large */
  xorl %ecx, %ecx
4:
  movl %eax, (%ebx, %ecx, 8)
  addl $0x200000, %eax
  incl %ecx
  cmpl $512, %ecx
  jne 4b
  movl $(boot_directory - KERNEL_BASE + 3), (boot_pointers_low - KERNEL_BASE)
  movl $(boot_directory - KERNEL_BASE + 3), (boot_pointers_high - KERNEL_BASE + 510 * 8)
  movl $(boot_pointers_low - KERNEL_BASE + 3), (boot_pml4 - KERNEL_BASE)
  movl $(boot_pointers_high - KERNEL_BASE + 3), (boot_pml4 - KERNEL_BASE + 511 * 8)

  movl $0x620, %eax /* PAE; OSFXSR and OSXMMEXCPT for the user programs' SSE */
  movl %eax, %cr4
  movl $(boot_pml4 - KERNEL_BASE), %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx /* EFER */
  rdmsr
  orl $0x101, %eax /* LME, SCE */
  wrmsr
  movl $0x80010033, %eax /* PG, WP (copy-on-write must hold for the kernel too), NE, ET, MP, PE */
  movl %eax, %cr0
  lgdt boot_gdt_pointer
  ljmp $8, $5f

  .code64
5:
  movw $16, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  xorl %eax, %eax
  movw %ax, %fs
  movw %ax, %gs
  movq $boot_high, %rax
  jmp *%rax

  .balign 8
boot_gdt:
  .quad 0
  .quad 0x00af9b000000ffff /* 64-bit code */
  .quad 0x00cf93000000ffff /* data */
boot_gdt_pointer:
  .word . - boot_gdt - 1
  .long boot_gdt

  .text
boot_high:
  movq $boot_stack_top, %rsp
  xorl %ebp, %ebp /* a backtrace ends here */
  movl %edi, %edi
  movl %esi, %esi
  call kernel_main
6:
  cli
  hlt
  jmp 6b

  .section .bss.page, "aw", @nobits
  .balign 4096
boot_pml4: .skip 4096
boot_pointers_low: .skip 4096
boot_pointers_high: .skip 4096
boot_directory: .skip 4096
  .globl boot_stack
boot_stack: .skip 8192
boot_stack_top:
