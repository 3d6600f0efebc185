/* The local APIC, where there is one: "virtual wire" mode, in which LINT0 hands the 8259's interrupts on
 * (SDM vol. 3A, 11.5.1). Firmware does this on a PC; a machine that starts a kernel directly may not have. */
#include "cpu.h"
#include "devices.h"
#include "memory.h"
#include "trap.h"

#define CPUID_APIC (1u << 9)
#define APIC_ENABLED (1ul << 11)
#define REGISTER_SPURIOUS 0xf0
#define REGISTER_LINT0 0x350
#define REGISTER_LINT1 0x360
#define SPURIOUS_ENABLED 0x100
#define DELIVER_EXTINT 0x700
#define DELIVER_NMI 0x400

void lapic_start(void) {
  if (!(cpuid(1).edx & CPUID_APIC)) return;
  u64 base = read_msr(MSR_APIC_BASE);
  if (!(base & APIC_ENABLED)) return;
  volatile u8 *registers = mmu_map_device(base & PTE_FRAME);
  *(volatile u32 *)(registers + REGISTER_LINT0) = DELIVER_EXTINT;
  *(volatile u32 *)(registers + REGISTER_LINT1) = DELIVER_NMI;
  /* Vector 47 is IRQ 15's, whose handler takes an interrupt that nobody sent for a spurious one. */
  *(volatile u32 *)(registers + REGISTER_SPURIOUS) = SPURIOUS_ENABLED | (IRQ_VECTOR + 15);
}
