/* The instructions that C has no word for. */
#ifndef CPU_H
#define CPU_H
#include "../lib/types.h"

#define RFLAGS_IF (1ul << 9)
#define CR4_PGE (1ul << 7)
#define MSR_APIC_BASE 0x1b
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define EFER_NXE (1ul << 11)

#ifdef PV
#include "pv/pv.h" /* the same by hypercall and shared memory */
#else
/* Selectors. The order is SYSRET's: SS = base + 8, CS = base + 16 with base = USER_BASE (SDM vol. 2, SYSRET). */
#define KERNEL_CS 0x08
#define KERNEL_SS 0x10
#define USER_BASE 0x1b
#define USER_SS 0x23
#define USER_CS 0x2b
#define TSS_SELECTOR 0x30

static inline void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline u8 in8(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline void interrupts_off(void) { __asm__ volatile("cli" : : : "memory"); }
static inline void interrupts_on(void) { __asm__ volatile("sti" : : : "memory"); }
/* STI holds interrupts back for one instruction, so none can slip in between and be slept through. */
static inline void interrupts_on_and_halt(void) { __asm__ volatile("sti\n\thlt" : : : "memory"); }
static inline void halt(void) { __asm__ volatile("hlt" : : : "memory"); }
static inline u64 interrupts_save(void) {
  u64 flags;
  __asm__ volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags) : : "memory");
  return flags;
}
static inline void interrupts_restore(u64 flags) {
  if (flags & RFLAGS_IF) interrupts_on();
}
static inline u64 read_msr(u32 msr) {
  u32 low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return (u64)high << 32 | low;
}
static inline void write_msr(u32 msr, u64 value) {
  __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
static inline u64 read_cr2(void) {
  u64 value;
  __asm__ volatile("movq %%cr2, %0" : "=r"(value));
  return value;
}
static inline u64 read_cr3(void) {
  u64 value;
  __asm__ volatile("movq %%cr3, %0" : "=r"(value));
  return value;
}
static inline void write_cr3(u64 value) { __asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory"); }
static inline u64 read_cr4(void) {
  u64 value;
  __asm__ volatile("movq %%cr4, %0" : "=r"(value));
  return value;
}
static inline void write_cr4(u64 value) { __asm__ volatile("movq %0, %%cr4" : : "r"(value) : "memory"); }
static inline void invalidate_page(u64 vaddr) { __asm__ volatile("invlpg (%0)" : : "r"(vaddr) : "memory"); }
#endif
static inline void fpu_save(void *area) { __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory"); }
static inline void fpu_restore(const void *area) { __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory"); }

struct cpuid {
  u32 eax, ebx, ecx, edx;
};
static inline struct cpuid cpuid(u32 leaf) {
  struct cpuid result;
  __asm__ volatile("cpuid"
                   : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
                   : "a"(leaf), "c"(0));
  return result;
}
#endif
