/* Page tables (SDM vol. 3A, 4.5): the walk that all others use, and the kernel's own half. */
#include "bootinfo.h"
#include "cpu.h"
#include "memory.h"

u64 kernel_pml4;
u64 nx_bit;
#ifndef PV
static u64 global_bit;
static u64 device_next = DEVICE_MAP_BASE;
#endif

static u64 table_take(void) {
  u64 frame = frame_take();
  if (!frame) panic("out of memory for page tables");
  return frame;
}

/* The entry at `level` (1 = page table, 2 = directory) for vaddr; the tables above are made when `create` is set. */
static u64 *entry_at(u64 pml4, u64 vaddr, int level, bool create) {
  u64 *table = physical(pml4);
  for (int i = 4;; i--) {
    u64 *entry = &table[vaddr >> (12 + 9 * (i - 1)) & 511];
    if (i == level) return entry;
    if (!(*entry & PTE_PRESENT)) {
      if (!create) return NULL;
      /* Rights are decided in the last level; the ones above allow everything their half may have. */
      u64 frame = table_take();
      table_begin(frame);
      pte_set(entry, frame | PTE_PRESENT | PTE_WRITE | (vaddr < USER_END ? PTE_USER : 0), i);
    }
    table = physical(*entry & PTE_FRAME);
  }
}

u64 *mmu_entry(u64 pml4, u64 vaddr, bool create) { return entry_at(pml4, vaddr, 1, create); }

#ifndef PV /* pv/memory.c goes on with the tables that it was given */
/* What the kernel may do with its own page: never both write and execute. */
static u64 kernel_rights(u64 vaddr) {
  if (vaddr >= (u64)text_start && vaddr < (u64)rodata_start) return PTE_PRESENT | global_bit;
  if (vaddr >= (u64)rodata_start && vaddr < (u64)data_start) return PTE_PRESENT | global_bit | nx_bit;
  return PTE_PRESENT | PTE_WRITE | global_bit | nx_bit;
}

void mmu_start(void) {
  if (cpuid(0x80000001).edx & (1u << 20)) {
    nx_bit = PTE_NX;
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
  }
  if (cpuid(1).edx & (1u << 13)) global_bit = PTE_GLOBAL;

  kernel_pml4 = table_take();
  const u64 large = 1ul << 21;
  const u64 small_end = (paddr_of(kernel_end) + large - 1) & ~(large - 1);
  for (u64 paddr = 0; paddr < boot_info.memory_end; paddr += large) {
    u64 vaddr = paddr + KERNEL_BASE;
    if (paddr < small_end) {
      for (u64 page = 0; page < large; page += PAGE_BYTES)
        *entry_at(kernel_pml4, vaddr + page, 1, true) = (paddr + page) | kernel_rights(vaddr + page);
    } else {
      *entry_at(kernel_pml4, vaddr, 2, true) = paddr | PTE_LARGE | kernel_rights(vaddr);
    }
  }
  /* The device window's pointer entry must be there before the first space copies the upper half; it is, as the
     two windows share one PML4 entry. */
  write_cr3(kernel_pml4);
  if (global_bit) write_cr4(read_cr4() | CR4_PGE);
}

volatile void *mmu_map_device(u64 paddr) {
  u64 vaddr = device_next;
  device_next += PAGE_BYTES;
  *entry_at(kernel_pml4, vaddr, 1, true) =
      page_down(paddr) | PTE_PRESENT | PTE_WRITE | PTE_CACHE_OFF | PTE_WRITE_THROUGH | global_bit | nx_bit;
  return (volatile void *)(vaddr + (paddr & (PAGE_BYTES - 1)));
}
#endif
